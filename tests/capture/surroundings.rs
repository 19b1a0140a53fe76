//! How the files are mounted, linked and owned: each finding is raised by a real case, and not without it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use walscope::evidence::{MountAccess, Observation};
use walscope::finding::Code;
use walscope::finding::surroundings::needs_care;

use crate::common;
use crate::sqlite::Sqlite;

const EXE: &str = env!("CARGO_BIN_EXE_walscope");

/// A database with a commit, held open.
fn world() -> (tempfile::TempDir, PathBuf, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let database = fs::canonicalize(folder.path()).unwrap().join("t.db");
    let mut sqlite = Sqlite::open(&database);
    sqlite.run("INSERT INTO t VALUES (1)");
    (folder, database, sqlite)
}

fn root() -> bool {
    common::have("root", rustix::process::geteuid().is_root())
}

/// Codes about surroundings in the document of a command. Findings about the file system of the test folder are
/// ignored.
fn codes(command: &mut Command) -> Vec<String> {
    let out = command.stdin(Stdio::null()).output().unwrap();
    let json: Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    let all = json["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap().to_owned());
    // What `verify` checks is about the files' content, and access times are about who looks.
    let about_content = |code: &Code| code.check().is_some() || *code == Code::AccessTimeMoved;
    let other: Vec<&str> = Code::ALL.iter().filter(|code| about_content(code)).map(|code| code.name()).collect();
    all.filter(|code| !other.contains(&code.as_str())).collect()
}

fn inspect(source: impl AsRef<std::ffi::OsStr>) -> Vec<String> {
    let found = codes(Command::new(EXE).args(["inspect", "--json"]).arg(source));
    found.into_iter().filter(|code| code != "file_system_needs_care").collect()
}

/// Runs a shell text, and then inspect, in a new mount namespace.
fn in_a_mount_namespace(setup: &str, source: &Path) -> Vec<String> {
    let script = format!("{setup} && exec \"$0\" inspect --json \"$1\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, EXE]).arg(source);
    codes(&mut command).into_iter().filter(|code| code != "file_system_needs_care").collect()
}

#[test]
fn a_database_in_its_own_folder_raises_no_finding() {
    let (_folder, database, _sqlite) = world();
    assert_eq!(inspect(&database), [""; 0]);
}

#[test]
fn a_hard_link_and_a_symbolic_link_are_named() {
    let (_folder, database, _sqlite) = world();
    let link = database.with_file_name("link.db");
    symlink("t.db", &link).unwrap();
    assert_eq!(inspect(&link), ["database_symlinked"]);
    fs::hard_link(&database, database.with_file_name("second.db")).unwrap();
    assert_eq!(inspect(&database), ["database_hard_linked"]);
}

/// Two names of all three files are one wal-index, until one of the names is closed as the last one.
#[test]
fn hard_links_of_all_three_files_are_one_wal_index_for_now() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let db = rusqlite::Connection::open(at("t.db")).unwrap();
    db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES('old')").unwrap();
    for suffix in ["", "-wal", "-shm"] {
        fs::hard_link(at(&format!("t.db{suffix}")), at(&format!("second.db{suffix}"))).unwrap();
    }
    let other = rusqlite::Connection::open(at("second.db")).unwrap();
    db.execute_batch("INSERT INTO t VALUES('seen by both')").unwrap();
    let rows = |db: &rusqlite::Connection| db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    assert_eq!(rows(&other), Ok(2), "one wal-index");
    let ran = Command::new(EXE).args(["inspect", "--json"]).arg(at("t.db")).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let linked = document["findings"].as_array().unwrap().iter().find(|one| one["code"] == "database_hard_linked");
    let linked = linked.unwrap();
    assert_eq!(linked["evidence"]["sidecars_linked"], true, "{linked:#}");
    let told = linked["detail"].as_str().unwrap();
    assert!(told.contains("share one wal-index") && !told.contains("two wal-indexes"), "{told}");
    // What the text says of later.
    drop(other);
    drop(db);
    let deleted = ["t.db-wal", "second.db-wal"].map(|name| !at(name).exists());
    assert_eq!(deleted, [true, false]);
    let db = rusqlite::Connection::open(at("t.db")).unwrap();
    db.execute_batch("INSERT INTO t VALUES('new')").unwrap();
    drop(db);
    let other = rusqlite::Connection::open(at("second.db")).unwrap();
    assert_eq!(rows(&other), Ok(2), "the newest row is hidden by the old -wal");
}

#[test]
fn a_wal_index_with_stricter_permissions_than_its_database_is_named() {
    let (_folder, database, _sqlite) = world();
    let shm = PathBuf::from(format!("{}-shm", database.display()));
    let mode = |file: &Path, mode| fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    mode(&database, 0o666);
    mode(&shm, 0o644);
    assert_eq!(inspect(&database), ["sidecars_stricter"]);
    // In the opposite case nobody is kept out.
    mode(&database, 0o600);
    mode(&PathBuf::from(format!("{}-wal", database.display())), 0o600);
    assert_eq!(inspect(&database), [""; 0]);
}

#[test]
fn a_user_of_a_container_who_cannot_write_is_named_and_an_examiner_is_not() {
    if !root() {
        return;
    }
    let (folder, database, _sqlite) = world();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let drop = ["--reuid", "1000", "--regid", "1000", "--clear-groups", "sleep", "600"];
    let mut other = Command::new("setpriv").args(drop).spawn().unwrap();
    let status = format!("/proc/{}/status", other.id());
    while !fs::read_to_string(&status).unwrap().contains("Uid:\t1000") {
        common::pause();
    }
    let found = inspect(format!("pid:{}:{}", other.id(), database.display()));
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(found, ["user_cannot_write"]);
    assert_eq!(inspect(&database), [""; 0]);
}

#[test]
fn a_database_mounted_as_a_single_file_is_named_from_one_side_alone() {
    if !root() {
        return;
    }
    let (_folder, database, _sqlite) = world();
    let elsewhere = tempfile::tempdir().unwrap();
    let mounted = elsewhere.path().join("t.db");
    fs::write(&mounted, "").unwrap();
    let setup = format!("mount --bind {} {}", database.display(), mounted.display());
    // The open connection has the other wal-index mapped.
    assert_eq!(in_a_mount_namespace(&setup, &mounted), ["split_brain", "database_file_mount"]);
    // A mount of the whole folder is right, and raises nothing.
    let folder = database.parent().unwrap();
    let setup = format!("mount --bind {} {}", folder.display(), elsewhere.path().display());
    assert_eq!(in_a_mount_namespace(&setup, &mounted), [""; 0]);
}

/// The finding about mounts in the document of `inspect` at the place itself, and of a bundle that is made there: code,
/// severity, detail.
fn about_mounts(setup: &str, database: &Path) -> Vec<Vec<(String, String, String)>> {
    let script = format!(
        "{setup} && \"$0\" snapshot \"$1\" -o \"$1.walsnap\" > /dev/null && \"$0\" inspect --json \"$1\" > \"$1.json\"; \
         exec \"$0\" inspect --json \"$1.walsnap\""
    );
    let of_bundle = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script, EXE])
        .arg(database)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let live = fs::read(format!("{}.json", database.display())).unwrap();
    let found = |document: &[u8]| {
        let json: Value = serde_json::from_slice(document)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&of_bundle.stderr)));
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
        let all = json["findings"].as_array().unwrap().iter();
        let about = all.filter(|one| one["code"] == "database_file_mount" || one["code"] == "sidecars_elsewhere");
        about.map(|one| (text(one, "code"), text(one, "severity"), text(one, "detail"))).collect()
    };
    vec![found(&live), found(&of_bundle.stdout)]
}

#[test]
fn each_set_of_single_file_mounts_is_named_by_what_it_lacks() {
    if !root() {
        return;
    }
    let (_folder, database, _sqlite) = world();
    /// What is mounted, and the finding: its code, its severity, words of its detail.
    type Case = (&'static [&'static str], Option<(&'static str, &'static str, &'static str)>);
    let cases: [Case; 8] = [
        (&[], None),
        (&[""], Some(("database_file_mount", "warning", "neither wal-index nor WAL"))),
        (&["", "-wal"], Some(("database_file_mount", "warning", "the -shm is not"))),
        (&["", "-shm"], Some(("database_file_mount", "warning", "the -wal is not"))),
        (&["", "-wal", "-shm"], Some(("database_file_mount", "notice", "three mounts"))),
        (&["-wal"], Some(("sidecars_elsewhere", "warning", "The -wal is mounted apart"))),
        (&["-shm"], Some(("sidecars_elsewhere", "warning", "The -shm is mounted apart"))),
        (&["-wal", "-shm"], Some(("sidecars_elsewhere", "warning", "The -wal and -shm are mounted apart"))),
    ];
    for (mounted, expected) in cases {
        let (volume, inside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut setup = "true".to_owned();
        for suffix in ["", "-wal", "-shm"] {
            let from = format!("{}{suffix}", database.display());
            let place = |folder: &Path| folder.join(format!("t.db{suffix}"));
            fs::copy(&from, place(volume.path())).unwrap();
            fs::copy(&from, place(inside.path())).unwrap();
            if mounted.contains(&suffix) {
                let [of, to] = [&volume, &inside].map(|folder| place(folder.path()).display().to_string());
                setup.push_str(&format!(" && mount --bind {of} {to}"));
            }
        }
        for found in about_mounts(&setup, &inside.path().join("t.db")) {
            match (&expected, found.as_slice()) {
                (None, []) => {}
                (Some((code, severity, words)), [one]) => {
                    assert_eq!((one.0.as_str(), one.1.as_str()), (*code, *severity), "{mounted:?}: {one:?}");
                    assert!(one.2.contains(words), "{mounted:?}: {one:?}");
                }
                _ => panic!("{mounted:?}: {found:?}"),
            }
        }
    }
    // Where -wal and -shm do not exist yet, SQLite will make them beneath the mount.
    let (volume, inside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::copy(&database, volume.path().join("t.db")).unwrap();
    fs::write(inside.path().join("t.db"), "").unwrap();
    let setup = format!("mount --bind {0}/t.db {1}/t.db", volume.path().display(), inside.path().display());
    for found in about_mounts(&setup, &inside.path().join("t.db")) {
        assert!(found.len() == 1 && found[0].1 == "warning", "{found:?}");
    }
}

#[test]
fn a_wal_index_from_another_file_system_is_named() {
    if !root() {
        return;
    }
    let (_folder, database, _sqlite) = world();
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path().display();
    let setup =
        format!("mount -t tmpfs none {at} && cp {0}-shm {at}/shm && mount --bind {at}/shm {0}-shm", database.display());
    assert_eq!(in_a_mount_namespace(&setup, &database), ["split_brain", "sidecars_elsewhere"]);
}

/// A bindfs mount; unmounted on drop.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("fusermount").args(["-u", "-z"]).arg(&self.0).status();
    }
}

#[test]
fn two_fuse_mounts_of_one_folder_are_named() {
    let there = Path::new("/dev/fuse").exists()
        && Command::new("bindfs").arg("--version").output().is_ok_and(|out| out.status.success());
    if !common::have("fuse", there) || !root() {
        return;
    }
    let (_folder, database, _sqlite) = world();
    let points = tempfile::tempdir().unwrap();
    let mounts = ["a", "b"].map(|name| {
        let at = points.path().join(name);
        fs::create_dir(&at).unwrap();
        let status = Command::new("bindfs").arg("--no-allow-other").arg(database.parent().unwrap()).arg(&at).status();
        assert!(status.unwrap().success());
        Mounted(at)
    });
    let [a, b] = mounts.each_ref().map(|mount| mount.0.join("t.db"));
    assert_eq!(fs::metadata(&a).unwrap().ino(), fs::metadata(&b).unwrap().ino());
    let found = codes(Command::new(EXE).args(["compare", "--json"]).args([&a, &b]));
    assert!(found.contains(&"two_mounts_of_one_file_system".to_owned()), "{found:?}");
    assert_eq!(found.iter().filter(|code| *code == "file_system_needs_care").count(), 2, "{found:?}");
    // One mount looked at twice is one mount.
    let found = codes(Command::new(EXE).args(["compare", "--json"]).args([&a, &a]));
    assert!(!found.contains(&"two_mounts_of_one_file_system".to_owned()), "{found:?}");
}

#[test]
fn file_systems_are_recognized_by_their_type_and_local_ones_need_no_care() {
    for name in ["fuse.bindfs", "fuseblk", "fuse", "virtiofs", "9p", "nfs", "nfs4", "cifs", "smb3", "overlay"] {
        assert!(needs_care(name).is_some(), "{name}");
    }
    for name in ["ext4", "xfs", "btrfs", "tmpfs", "f2fs", "zfs", "nfsd", "fusectl", "overlayfs.x", ""] {
        assert!(needs_care(name).is_none(), "{name}");
    }
}

/// Every descriptor answers for the mount that it was opened through.
#[test]
fn a_read_only_mount_is_recorded_for_every_file_reached_through_it() {
    if !root() {
        return;
    }
    let (_folder, database, _sqlite) = world();
    let folder = database.parent().unwrap().display();
    let mounts = format!("mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}");
    let script = format!("{mounts} && exec \"$0\" snapshot \"$1\" -o -");
    let access = |command: &mut Command| {
        let out = command.stdin(Stdio::null()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let scratch = tempfile::tempdir().unwrap();
        let bundle = scratch.path().join("a.walsnap");
        fs::write(&bundle, out.stdout).unwrap();
        let files = walscope::bundle::Capture::open(&bundle).unwrap().manifest.evidence.files;
        [files.directory, files.database, files.wal, files.shm].map(|file| file.value().unwrap().mount_access.clone())
    };
    let mut read_only = Command::new("unshare");
    read_only.args(["--mount", "--propagation", "private", "sh", "-c", &script, EXE]).arg(&database);
    let expected = |access: MountAccess| [(); 4].map(|()| Observation::seen(access));
    assert_eq!(access(&mut read_only), expected(MountAccess::ReadOnly));
    let mut plain = Command::new(EXE);
    plain.args(["snapshot", "-o", "-"]).arg(&database);
    assert_eq!(access(&mut plain), expected(MountAccess::ReadWrite));
}
