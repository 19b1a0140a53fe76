//! Live sides that come and go, have two names, or were put together from parts: what `compare` may say of them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use walscope::bundle::{Options, Step, capture_opened, write_bundle};
use walscope::linux::{self, open_database};

use crate::common;
use crate::common::btrfs;

const DATABASE: &str = "WALSCOPE_TEST_DATABASE";
const SHORT_LIVED: &str = "WALSCOPE_TEST_SHORT_LIVED";

/// SQLite in a child process: this test binary, run again. Killed when dropped.
struct Sqlite(Child);

impl Sqlite {
    /// Holds the database open.
    fn open(database: &Path) -> Self {
        Self::start(database, "", Stdio::null())
    }

    /// Holds the database open, and this other file, too.
    fn open_with(database: &Path, file: fs::File) -> Self {
        Self::start(database, "", file.into())
    }

    /// Repeatedly opens the database, inserts a row and closes it.
    fn short_lived(database: &Path) -> Self {
        Self::start(database, "1", Stdio::null())
    }

    fn start(database: &Path, short_lived: &str, input: Stdio) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(common::only_test(module_path!(), "sqlite_in_a_child"))
            .env(DATABASE, database)
            .env(SHORT_LIVED, short_lived)
            .stdin(input)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "ready"), "the child has ended");
        Self(child)
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The child's side. When it runs as a test, it does nothing.
#[test]
fn sqlite_in_a_child() {
    let Some(database) = std::env::var_os(DATABASE) else { return };
    let open = || {
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        // A connection that opens while another one closes may be refused once; the next try works.
        let sql = "PRAGMA journal_mode=wal; CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES(1)";
        connection.execute_batch(sql).ok().map(|()| connection)
    };
    let held = open();
    println!("\nready");
    if std::env::var(SHORT_LIVED).unwrap().is_empty() {
        loop {
            std::thread::park();
        }
    }
    drop(held);
    loop {
        open();
    }
}

fn database() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    (folder, path)
}

/// Exit code and document.
fn compare(a: &Path, b: &Path) -> (i32, Value) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_walscope")).args(["compare", "--json"]).args([a, b]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code().unwrap(), document)
}

fn codes(document: &Value) -> Vec<&str> {
    document["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[test]
fn short_lived_processes_never_look_like_a_split() {
    let (_folder, path) = database();
    let _processes = [Sqlite::short_lived(&path), Sqlite::short_lived(&path)];
    for _ in 0..25 {
        let (code, document) = compare(&path, &path);
        assert!(matches!(code, 0 | 3), "{code}: {document:#}");
    }
}

#[test]
fn short_lived_connections_beside_others_leave_the_subject_at_mappings() {
    let (_folder, path) = database();
    let stay = [Sqlite::open(&path), Sqlite::open(&path)];
    let _come_and_go = [Sqlite::short_lived(&path), Sqlite::short_lived(&path)];
    let [a, b] = stay.each_ref().map(|process| format!("pid:{}:{}", process.0.id(), path.display()));
    for _ in 0..25 {
        let (code, document) = compare(Path::new(&a), Path::new(&b));
        assert_eq!((code, &document["verdict"]["subject"]), (0, &Value::from("mappings")), "{document:#}");
        assert_eq!(codes(&document), [""; 0]);
    }
}

#[test]
fn a_process_that_stays_on_a_deleted_wal_index_refutes() {
    let (folder, path) = database();
    let _stale = Sqlite::open(&path);
    fs::remove_file(folder.path().join("t.db-shm")).unwrap();
    let _fresh = Sqlite::open(&path);
    let (code, document) = compare(&path, &path);
    assert_eq!(code, 1, "{document:#}");
    assert_eq!(document["verdict"]["subject"], "mappings");
    assert!(codes(&document).contains(&"split_brain"));
}

/// A FUSE daemon that can be stopped; its mount is removed with it.
struct Daemon(Child, PathBuf);

impl Daemon {
    fn mount(source: &Path, at: PathBuf) -> Option<Self> {
        let daemon = Command::new("bindfs")
            .args(["-f", "--no-allow-other", "-o", "attr_timeout=0"])
            .args([source, &at])
            .stderr(Stdio::null())
            .spawn();
        let mut daemon = Self(daemon.ok()?, at);
        while !ran("mountpoint", &[Path::new("-q"), &daemon.1]) {
            if daemon.0.try_wait().unwrap().is_some() {
                return None;
            }
            common::pause();
        }
        Some(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Calls that wait for it then fail.
        let _ = self.0.kill();
        let _ = self.0.wait();
        ran("umount", &[Path::new("-l"), &self.1]);
    }
}

#[test]
fn a_descriptor_on_a_dead_fuse_mount_stops_nobody() {
    let (folder, path) = database();
    let at = |name: &str| folder.path().join(name);
    for name in ["source", "mount"] {
        fs::create_dir(at(name)).unwrap();
    }
    fs::write(at("source").join("file"), "").unwrap();
    let daemon = Daemon::mount(&at("source"), at("mount"));
    if !common::have("fuse", daemon.is_some()) {
        return;
    }
    let daemon = daemon.unwrap();
    let process = Sqlite::open_with(&path, fs::File::open(at("mount").join("file")).unwrap());
    assert!(ran("kill", &[Path::new("-STOP"), Path::new(&daemon.0.id().to_string())]));
    // The limit only turns a hang into a failure.
    let looked = Command::new("timeout")
        .args(["-s", "KILL", "60", env!("CARGO_BIN_EXE_walscope"), "snapshot"])
        .arg(&path)
        .arg("-o")
        .arg(at("b.walsnap"))
        .output()
        .unwrap();
    drop(daemon);
    assert!(looked.status.success(), "{:?}", looked.status);
    drop(process);
}

#[test]
fn files_replaced_under_a_live_wal_index_prove_no_sharing() {
    for (name, code) in [("t.db", "wal_index_shared_database_not"), ("t.db-wal", "wal_index_shared_wal_not")] {
        let (folder, path) = database();
        let at = |name: &str| folder.path().join(name);
        let stale = Sqlite::open(&path);
        let capture = |name: &str| {
            let mut file = fs::File::create(at(name)).unwrap();
            write_bundle(&path, &Options::default(), &mut file, &mut |_, _| {}).unwrap();
        };
        capture("a.walsnap");
        // A birth time has the resolution of one tick of the clock for inode times.
        let captured = fs::metadata(at("a.walsnap")).unwrap().modified().unwrap();
        while fs::metadata(at("next")).and_then(|next| next.created()).map_or(true, |born| born <= captured) {
            let _ = fs::remove_file(at("next"));
            fs::copy(at(name), at("next")).unwrap();
        }
        fs::rename(at("next"), at(name)).unwrap();
        let fresh = Sqlite::open(&path);
        capture("b.walsnap");
        let (decided, document) = compare(&at("a.walsnap"), &at("b.walsnap"));
        assert_eq!(decided, 3, "{name}: {document:#}");
        assert!(codes(&document).contains(&code), "{name}: {document:#}");
        let [stale, fresh] = [&stale, &fresh].map(|process| format!("pid:{}:{}", process.0.id(), path.display()));
        let (_, document) = compare(Path::new(&stale), Path::new(&fresh));
        assert_eq!(document["verdict"]["subject"], "paths", "{name}: {document:#}");
        assert!(codes(&document).contains(&code), "{name}: {document:#}");
        assert!(!document["explanation"].as_str().unwrap().contains("nothing to do"));
    }
}

#[test]
fn a_process_that_has_the_database_open_under_another_name_refutes() {
    let (folder, path) = database();
    let _one = Sqlite::open(&path);
    let alias = folder.path().join("u.db");
    fs::hard_link(&path, &alias).unwrap();
    let other = Sqlite::open(&alias);
    let (code, document) = compare(&path, &path);
    assert_eq!(code, 1, "{document:#}");
    assert_eq!(document["verdict"]["decided_by"], serde_json::json!(["process_mappings", "lock_pairing"]));
    let explanation = document["explanation"].as_str().unwrap();
    assert!(explanation.contains(&format!("process {}", other.0.id())), "{explanation}");
    assert!(explanation.contains("u.db-shm"), "{explanation}");
}

#[test]
fn one_wal_index_linked_beside_two_databases_is_an_error_and_proves_no_sharing() {
    let (folder, path) = database();
    let _process = Sqlite::open(&path);
    let apart = folder.path().join("apart");
    fs::create_dir(&apart).unwrap();
    fs::copy(&path, apart.join("t.db")).unwrap();
    fs::copy(folder.path().join("t.db-wal"), apart.join("t.db-wal")).unwrap();
    fs::hard_link(folder.path().join("t.db-shm"), apart.join("t.db-shm")).unwrap();
    let (code, document) = compare(&path, &apart.join("t.db"));
    assert_eq!(code, 3, "{document:#}");
    assert!(codes(&document).contains(&"wal_index_shared_database_not"), "{document:#}");
    assert!(!document["explanation"].as_str().unwrap().contains("nothing to do"));
}

#[test]
fn a_bundle_compared_with_itself_or_its_copy_proves_nothing() {
    let (folder, path) = database();
    let _process = Sqlite::open(&path);
    let (bundle, copy) = (folder.path().join("a.walsnap"), folder.path().join("b.walsnap"));
    let mut file = fs::File::create(&bundle).unwrap();
    write_bundle(&path, &Options::default(), &mut file, &mut |_, _| {}).unwrap();
    fs::copy(&bundle, &copy).unwrap();
    for other in [&bundle, &copy] {
        let (code, document) = compare(&bundle, other);
        assert_eq!(code, 3, "{document:#}");
        assert!(document["explanation"].as_str().unwrap().contains("one and the same capture"));
    }
}

#[test]
fn the_paths_are_checked_again_after_the_processes() {
    let unchanged = |change: &dyn Fn(&Path)| {
        let (folder, path) = database();
        let _process = Sqlite::open(&path);
        let mut hook = |_, step| {
            if step == Step::Evidence {
                change(folder.path());
            }
        };
        let manifest = write_bundle(&path, &Options::default(), &mut std::io::sink(), &mut hook).unwrap();
        (manifest.evidence.paths_unchanged, manifest.evidence.folder_unchanged)
    };
    assert_eq!(unchanged(&|_| {}), (true, true));
    assert_eq!(unchanged(&|folder| fs::remove_file(folder.join("t.db-shm")).unwrap()), (false, true));
    let away = tempfile::tempdir().unwrap();
    assert_eq!(unchanged(&|folder| fs::rename(folder, away.path().join("moved")).unwrap()), (false, false));
}

#[test]
fn a_live_capture_returns_the_descriptors_it_was_made_from() {
    let (folder, path) = database();
    fs::write(&path, "first").unwrap();
    let inode = || fs::metadata(&path).unwrap().ino();
    let first = inode();
    let replaced = || {
        let files = open_database(&path, walscope::linux::Care::default()).unwrap();
        fs::write(folder.path().join("next"), "second").unwrap();
        fs::rename(folder.path().join("next"), &path).unwrap();
        files
    };
    let once = Options { attempts: 1, ..Options::default() };
    let (capture, files) = capture_opened(replaced(), &once).unwrap();
    assert_eq!(capture.manifest.evidence.files.database.value().unwrap().inode, first);
    assert!(!capture.manifest.evidence.paths_unchanged && !linux::paths_unchanged(&files));
    // A further attempt opens the files again, and those descriptors are returned.
    let (capture, files) = capture_opened(replaced(), &Options::default()).unwrap();
    assert_eq!((capture.manifest.stability.attempts, capture.manifest.stability.stable), (2, true));
    assert_eq!(files.database.value().unwrap().metadata().unwrap().ino(), inode());
    assert!(linux::paths_unchanged(&files));
}

#[test]
fn a_process_on_another_btrfs_subvolume_does_not_count_though_maps_prints_the_same() {
    let Some(btrfs) = btrfs::Btrfs::mount() else { return };
    let (one, copy) = (btrfs.path("one"), btrfs.path("copy"));
    btrfs.subvolume(&[&one]);
    let _process = Sqlite::open(&one.join("t.db"));
    btrfs.subvolume(&[&one, &copy]);
    let view = |path: &Path| {
        let files = open_database(&path.join("t.db"), walscope::linux::Care::default()).unwrap();
        let id = *linux::identities(&files).shm.value().unwrap().maps_identity.value().unwrap();
        let view = linux::mappings_view(&files);
        (id, view.value().unwrap().mappings.len())
    };
    let ((of_one, on_one), (of_copy, on_copy)) = (view(&one), view(&copy));
    assert_eq!(of_one, of_copy, "the ground for all this");
    assert_eq!((on_one, on_copy), (1, 0));
}

/// A disk image under a loop device of one fixed number, mounted.
struct Attached<'a> {
    device: &'a Path,
    mounted: PathBuf,
}

impl<'a> Attached<'a> {
    fn image(device: &'a Path, image: &Path, mounted: PathBuf) -> Option<Self> {
        let attached = Self { device, mounted };
        let done = ran("losetup", &[device, image]) && ran("mount", &[device, &attached.mounted]);
        done.then_some(attached)
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        ran("umount", &[&self.mounted]);
        ran("losetup", &[Path::new("-d"), self.device]);
    }
}

fn ran(command: &str, arguments: &[&Path]) -> bool {
    let mut command = Command::new(command);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A loop device that nobody else uses; its device node is removed with it.
struct Loop(PathBuf);

impl Loop {
    fn make(folder: &Path) -> Option<Self> {
        let number = 1_000 + std::process::id() % 100_000;
        let node = folder.join("loop");
        let made = Command::new("mknod").arg(&node).args(["b", "7", &number.to_string()]).status();
        made.is_ok_and(|made| made.success()).then_some(Self(node))
    }
}

#[test]
fn clones_of_a_disk_mounted_one_after_the_other_under_one_number_are_not_proven_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("mnt")).unwrap();
    fs::File::create(at("one")).unwrap().set_len(32 << 20).unwrap();
    let device = Loop::make(folder.path());
    let made = device.is_some() && ran("mkfs.ext4", &[Path::new("-q"), &at("one")]);
    let first = device.as_ref().filter(|_| made).and_then(|device| Attached::image(&device.0, &at("one"), at("mnt")));
    if !common::have("root", first.is_some()) {
        return;
    }
    let device = device.as_ref().unwrap();
    let database = at("mnt").join("t.db");
    let capture = |name: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_walscope"))
            .arg("snapshot")
            .arg(&database)
            .arg("-o")
            .arg(at(name))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    let compared = |a: &str, b: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_walscope"))
            .args(["compare", "--json"])
            .args([at(a), at(b)])
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap())
    };
    // Killed: -wal and -shm stay.
    drop(Sqlite::open(&database));
    capture("a");
    capture("again");
    drop(first);
    fs::copy(at("one"), at("clone")).unwrap();
    let second = Attached::image(&device.0, &at("clone"), at("mnt")).unwrap();
    capture("b");
    let (code, same) = compared("a", "again");
    assert_eq!(code, Some(0), "{same}");
    let (code, cloned) = compared("a", "b");
    assert_eq!(code, Some(3), "{cloned}");
    assert!(cloned.contains("another disk was attached under this device number"), "{cloned}");
    drop(second);
    // The same disk, attached again: it cannot be distinguished from a clone.
    let third = Attached::image(&device.0, &at("one"), at("mnt")).unwrap();
    capture("c");
    assert_eq!(compared("a", "c").0, Some(3));
    drop(third);
}
