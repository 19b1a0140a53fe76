//! What two real live sides show: page frames, beacons and trials between processes, users, namespaces and mounts.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::common;
use crate::common::command::{self, EXE, Ran, database, run, walscope};
use crate::sqlite::Sqlite;

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program that another user may run, in a folder that it may enter.
fn for_everybody(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    for name in fs::read_dir(folder).unwrap() {
        let path = name.unwrap().path();
        if path.is_file() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}

/// A copy of walscope beside the database: the build folder may be closed to other users.
fn executable(folder: &Path) -> PathBuf {
    let copy = folder.join("walscope-copy");
    command::copy_executable(EXE, &copy);
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

/// A file in a folder as a process sees it.
fn seen_by(pid: u32, folder: &Path, name: &str) -> String {
    format!("pid:{pid}:{}", folder.join(name).display())
}

#[test]
fn processes_without_the_database_open_allow_a_verdict_about_paths_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let subject = |pids: [u32; 2]| {
        let sources = pids.map(|pid| seen_by(pid, folder.path(), "t.db"));
        let ran = walscope(folder.path(), &["compare", &sources[0], &sources[1], "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        (ran.json()["verdict"]["subject"].clone(), ran.json()["explanation"].as_str().unwrap().to_owned())
    };
    let user = Sqlite::open(&path);
    let bystander = Sqlite::open(&folder.path().join("o.db"));
    let myself = std::process::id();
    let (of_one, explanation) = subject([bystander.pid(), myself]);
    assert_eq!(of_one, "paths", "{explanation}");
    assert!(explanation.contains("does not map the -shm itself"), "{explanation}");
    let another = Sqlite::open(&path);
    assert_eq!(subject([user.pid(), bystander.pid()]).0, "paths");
    assert_eq!(subject([user.pid(), another.pid()]).0, "mappings");
}

#[test]
fn a_probe_does_not_prove_sharing_when_neither_side_may_read_the_wal() {
    if !common::have("root", root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    for_everybody(folder.path());
    let copy = executable(folder.path());
    let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", copy.to_str().unwrap()];
    let meet = ["probe", "meet", "t.db", "--token", "denied", "--timeout", "60", "--json"];
    let words: Vec<&str> = user.into_iter().chain(meet).collect();
    for (mode, code) in [(0o644, 0), (0o600, 3)] {
        fs::set_permissions(folder.path().join("t.db-wal"), fs::Permissions::from_mode(mode)).unwrap();
        for ran in both(folder.path(), &words, &words) {
            assert_eq!(ran.code, code, "{mode:o}: {} {}", ran.text(), ran.stderr);
            assert_eq!(ran.json()["verdict"]["locks"], "proven");
        }
    }
}

/// Runs two probes at the same time; each is a complete command line.
fn both(folder: &Path, a: &[&str], b: &[&str]) -> [Ran; 2] {
    std::thread::scope(|scope| {
        let start = |words: &[&str]| {
            let mut command = Command::new("timeout");
            command.arg("120").args(words).current_dir(folder);
            scope.spawn(move || run(&mut command))
        };
        let (a, b) = (start(a), start(b));
        [a.join().unwrap(), b.join().unwrap()]
    })
}

fn says<'a>(document: &'a Value, kind: &str) -> Vec<&'a str> {
    let items = document["verdict"]["because"].as_array().unwrap().iter();
    items.filter(|item| item["kind"] == kind).map(|item| item["says"].as_str().unwrap()).collect()
}

#[test]
fn two_live_sides_are_compared_by_page_frames_identity_and_beacon() {
    if !common::have("root", root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    let other = Sqlite::open(&folder.path().join("t.db"));
    let ran = walscope(folder.path(), &["compare", "t.db", &seen_by(other.pid(), folder.path(), "t.db"), "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let document = ran.json();
    let decided: Vec<&str> =
        document["verdict"]["decided_by"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
    assert_eq!(decided, ["physical_pages", "kernel_identity", "lock_beacon"]);
    assert_eq!(document["verdict"]["subject"], "mappings");
}

#[test]
fn two_databases_are_refuted_by_page_frames_identity_and_beacon() {
    let folder = tempfile::tempdir().unwrap();
    let (_t, _o) = (database(&folder.path().join("t.db")), database(&folder.path().join("o.db")));
    let document = walscope(folder.path(), &["compare", "t.db", "o.db", "--json"]).json();
    assert_eq!(says(&document, "lock_beacon"), ["refutes"]);
    assert_eq!(says(&document, "kernel_identity"), ["refutes"]);
    if common::have("root", root()) {
        assert_eq!(says(&document, "physical_pages"), ["refutes"]);
    }
}

#[test]
fn a_bundle_records_page_tables_and_no_verdict_uses_them() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    for name in ["a.walsnap", "b.walsnap"] {
        assert_eq!(
            walscope(folder.path(), &["snapshot", "t.db", "-o", name, "--samples", "3", "--interval", "1"]).code,
            0
        );
    }
    let capture = walscope::bundle::Capture::open(&folder.path().join("a.walsnap")).unwrap();
    let evidence = capture.manifest.evidence;
    assert_eq!(evidence.samples.len(), 6);
    assert!(!evidence.page_tables.value().unwrap().is_empty());
    let document = walscope(folder.path(), &["compare", "a.walsnap", "b.walsnap", "--json"]).json();
    assert_eq!(says(&document, "physical_pages"), ["silent"]);
    assert_eq!(says(&document, "lock_beacon"), ["silent"]);
}

/// A process that ends with the test, also when the test fails.
struct Held(Child, ChildStdin, BufReader<ChildStdout>);

impl Held {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(EXE)
            .args(["probe", "hold", "t.db"])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self(child, input, output)
    }

    fn nonce(&mut self) -> String {
        let mut line = String::new();
        while !line.starts_with("Nonce") {
            line.clear();
            assert_ne!(self.2.read_line(&mut line).unwrap(), 0);
        }
        line.trim_start_matches("Nonce").trim().to_owned()
    }

    /// Closes its standard input and returns the exit code.
    fn finish(self) -> i32 {
        let Self(mut child, input, mut output) = self;
        drop(input);
        std::io::copy(&mut output, &mut std::io::sink()).unwrap();
        child.wait().unwrap().code().unwrap()
    }
}

#[test]
fn a_beacon_is_seen_across_pid_namespaces_and_users_until_its_holder_ends() {
    if !common::have("root", root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    for_everybody(folder.path());
    let copy = executable(folder.path());
    let copy = copy.to_str().unwrap();
    let mut held = Held::start(folder.path());
    let nonce = held.nonce();
    let seek = [copy, "probe", "seek", "t.db", &nonce, "--json"];
    let user: Vec<&str> =
        ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"].into_iter().chain(seek).collect();
    let namespace: Vec<&str> = ["unshare", "-p", "-f", "--mount-proc"].into_iter().chain(seek).collect();
    for words in [&seek[..], &user, &namespace] {
        let ran = run(Command::new(words[0]).args(&words[1..]).current_dir(folder.path()));
        let document = ran.json();
        assert_eq!(says(&document, "lock_beacon"), ["proves"], "{words:?}");
        assert_eq!(document["verdict"]["locks"], "proven");
        assert_eq!(document["schema"], "walscope/probe/1");
    }
    // Another word: the locks are seen, and the identity beside them is bound to the word of the holder.
    let stranger = walscope(folder.path(), &["probe", "seek", "t.db", &nonce, "--token", "other", "--json"]);
    assert_eq!((stranger.code, says(&stranger.json(), "lock_beacon")), (3, vec!["supports"]));
    let told = |ran: &command::Ran| ran.json()["explanation"].as_str().unwrap().to_owned();
    assert!(told(&stranger).contains("Run it with the --token of the holder"), "{}", told(&stranger));
    let other = walscope(folder.path(), &["probe", "seek", "t.db", "0123456789abcdef", "--json"]);
    assert_eq!((other.code, says(&other.json(), "lock_beacon")), (3, vec!["silent"]));
    assert!(told(&other).contains("No beacon with this nonce was found"), "{}", told(&other));
    assert_eq!(held.finish(), 3, "what nobody was asked about is not decided");
    let after = walscope(folder.path(), &["probe", "seek", "t.db", &nonce, "--json"]);
    assert_eq!((after.code, says(&after.json(), "lock_beacon")), (3, vec!["silent"]));
    assert!(told(&after).contains("the holder may have ended"), "{}", told(&after));
}

#[test]
fn two_sides_meet_through_beacons_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    let state = || -> Vec<_> {
        let mut all: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| {
                let (path, file) = entry.map(|e| (e.path(), e.metadata().unwrap())).unwrap();
                (path, file.modified().unwrap(), file.accessed().unwrap(), file.len())
            })
            .collect();
        all.sort();
        all
    };
    let before = state();
    let meet = [EXE, "probe", "meet", "t.db", "--token", "here", "--timeout", "60", "--json"];
    let [a, b] = both(folder.path(), &meet, &meet);
    assert_eq!(state(), before);
    let (a, b) = (a.json(), b.json());
    assert_eq!((&a["peer_nonce"], &b["peer_nonce"]), (&b["nonce"], &a["nonce"]));
    for document in [&a, &b] {
        assert_eq!(document["acknowledged"], true);
        assert_eq!(document["verdict"]["locks"], "proven");
        assert_eq!(says(document, "lock_beacon"), ["proves"]);
        assert_eq!(document["other_nonces"], serde_json::json!([]));
    }
    let alone = walscope(folder.path(), &["probe", "meet", "t.db", "--timeout", "1", "--json"]);
    assert_eq!((alone.code, &alone.json()["peer_nonce"]), (3, &Value::Null));
    let told = alone.json()["explanation"].as_str().unwrap().to_owned();
    assert!(told.contains("at the same time, with the same --token. If nobody is met then either"), "{told}");
}

#[test]
fn a_folder_is_tried_by_two_users_and_left_as_it_was() {
    if !common::have("root", root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = executable(folder.path());
    let volume = folder.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o1777)).unwrap();
    let meet = [copy.to_str().unwrap(), "probe", "meet", "volume", "--timeout", "60", "--json"];
    let user: Vec<&str> =
        ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"].into_iter().chain(meet).collect();
    for ran in both(folder.path(), &meet, &user) {
        assert_eq!(ran.code, 0, "{} {}", ran.text(), ran.stderr);
        let document = ran.json();
        assert_eq!(document["on"], "scratch_file");
        let decided = serde_json::json!(["lock_beacon", "tried_locks", "mapping_coherence"]);
        assert_eq!(document["verdict"]["decided_by"], decided);
    }
    assert_eq!(fs::read_dir(&volume).unwrap().count(), 0);
}

#[test]
fn a_status_file_that_is_just_made_is_waited_for() {
    let has_strace = Command::new("strace").arg("-V").output().is_ok();
    if !common::have("root", root()) || !common::have("strace", has_strace) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = executable(folder.path());
    let volume = folder.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o1777)).unwrap();
    let names = || -> Vec<String> {
        fs::read_dir(&volume).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let meet = ["probe", "meet", "volume", "--timeout", "60"];
    // The status file of a side that came first, with the lowest nonce.
    let mut first = Command::new(&copy).args(meet).current_dir(folder.path()).stdout(Stdio::null()).spawn().unwrap();
    let name = loop {
        if let Some(name) = names().pop() {
            break name;
        }
    };
    first.kill().unwrap();
    first.wait().unwrap();
    fs::remove_file(volume.join(&name)).unwrap();
    let lowest = "0".repeat(16);
    let mut words: Vec<&str> = name.split('.').collect();
    words[2] = &lowest;
    let host = volume.join(words.join("."));
    fs::File::options().create_new(true).write(true).open(&host).unwrap().set_len(4096).unwrap();
    fs::set_permissions(&host, fs::Permissions::from_mode(0o600)).unwrap();
    let user = ["-f", "-e", "trace=openat", "setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"];
    let mut user = Command::new("strace")
        .args(user)
        .arg(&copy)
        .args(meet)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut calls = BufReader::new(user.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(calls.any(|call| call.contains("walscope-meet") && call.contains("EACCES")), "it was refused");
    fs::set_permissions(&host, fs::Permissions::from_mode(0o666)).unwrap();
    let joined = format!(".{lowest}.");
    assert!(calls.any(|call| call.contains("O_CREAT") && call.contains(&joined)), "it joined");
    let group = rustix::process::Pid::from_child(&user);
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    user.wait().unwrap();
}

/// Two FUSE mounts of one folder, unmounted on drop.
struct Mounts([PathBuf; 2], tempfile::TempDir);

impl Mounts {
    fn new(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        let mounts = ["m1", "m2"].map(|name| folder.path().join(name));
        for path in [&source, &mounts[0], &mounts[1]] {
            fs::create_dir(path).unwrap();
        }
        // Made before the first mount, so that the first is unmounted if the second mount fails.
        let mounts = Self(mounts, folder);
        for mount in &mounts.0 {
            assert!(Command::new("bindfs").args(options).args([&source, mount]).status().unwrap().success());
        }
        mounts
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for mount in &self.0 {
            let _ = Command::new("fusermount").arg("-uz").arg(mount).status();
        }
    }
}

fn fuse() -> bool {
    let there = root() && Path::new("/dev/fuse").exists();
    common::have(
        "fuse",
        there && Command::new("bindfs").arg("--version").output().is_ok_and(|out| out.status.success()),
    )
}

#[test]
fn two_fuse_mounts_of_one_folder_are_refuted_although_the_bytes_are_equal() {
    if !fuse() {
        return;
    }
    let mounts = Mounts::new(&[]);
    let here = mounts.1.path();
    let (_a, _b) = (database(&here.join("m1/t.db")), command::connect(&here.join("m2/t.db")));
    assert_eq!(_b.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u32>(0)).unwrap(), 1);
    // Page frames need no open; locks do.
    let ran = walscope(here, &["compare", "m1/t.db", "m2/t.db", "--json"]);
    let document = ran.json();
    assert_eq!((ran.code, says(&document, "physical_pages")), (1, vec!["refutes"]), "{}", ran.stderr);
    assert_eq!(says(&document, "lock_beacon"), ["silent"]);
    let ran = walscope(here, &["compare", "m1/t.db", "m2/t.db", "--json", "--look-anyway"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let document = ran.json();
    assert_eq!(says(&document, "physical_pages"), ["refutes"]);
    assert_eq!(says(&document, "lock_beacon"), ["refutes"]);
    assert_eq!(document["verdict"]["memory"], "refuted");

    let meet = |mount| [EXE, "probe", "meet", mount, "--timeout", "60", "--json"];
    for ran in both(here, &meet("m1"), &meet("m2")) {
        let document = ran.json();
        assert_eq!((ran.code, &document["verdict"]["memory"]), (1, &Value::from("refuted")), "{}", ran.text());
        assert_eq!(document["verdict"]["locks"], "refuted");
    }
    // Through one mount both sides share memory.
    for ran in both(here, &meet("m1"), &meet("m1")) {
        assert_eq!((ran.code, &ran.json()["verdict"]["sharing"]), (0, &Value::from("proven")), "{}", ran.text());
    }
    assert_eq!(fs::read_dir(here.join("source")).unwrap().count(), 3, "t.db, -wal and -shm");
}

/// The folder itself and a mount of it, and two mounts of it: no file was deleted, so none is to be put away.
#[test]
fn two_ways_to_one_folder_are_told_to_become_one_way() {
    if !fuse() {
        return;
    }
    let mounts = Mounts::new(&[]);
    let here = mounts.1.path();
    let (_a, b) = (database(&here.join("source/t.db")), command::connect(&here.join("m1/t.db")));
    let c = command::connect(&here.join("m2/t.db"));
    assert_eq!((count(&b), count(&c)), (1, 1));
    let said = |paths: [&str; 2], more: &[&str]| {
        let ran = walscope(here, &[&["compare", "--json"], &paths[..], more].concat());
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        ran.json()["explanation"].as_str().unwrap().to_owned()
    };
    for paths in [["source/t.db", "m1/t.db"], ["m1/t.db", "m2/t.db"]] {
        for more in [[].as_slice(), &["--look-anyway"]] {
            let told = said(paths, more);
            let (save, one) = (told.find("walscope rescue SOURCE"), told.find("let all of them use one way"));
            assert!(save.is_some() && one.is_some() && save < one, "{paths:?} {more:?}: {told}");
            assert!(told.contains("either one of the mounts or the folder itself"), "{told}");
            assert!(!told.contains("put away") && !told.contains("delete, rename or replace"), "{told}");
        }
    }
}

#[test]
fn fuse_mounts_with_lock_forwarding_share_locks_and_no_memory() {
    if !fuse() {
        return;
    }
    let mounts = Mounts::new(&["--enable-lock-forwarding", "--multithreaded"]);
    let here = mounts.1.path();
    let (_a, b) = (database(&here.join("m1/t.db")), command::connect(&here.join("m2/t.db")));
    assert_eq!(count(&b), 1);
    let document = walscope(here, &["compare", "m1/t.db", "m2/t.db", "--json", "--look-anyway"]).json();
    assert_eq!(says(&document, "lock_beacon"), ["supports"], "{document:#}");
    assert_eq!(document["verdict"]["memory"], "refuted");
    assert_eq!(document["verdict"]["sharing"], "refuted");

    // Two daemons are two processes: each refuses what the other one holds.
    let meet = |mount| [EXE, "probe", "meet", mount, "--timeout", "60", "--json"];
    for ran in both(here, &meet("m1"), &meet("m2")) {
        let document = ran.json();
        assert_eq!((ran.code, says(&document, "tried_locks")), (1, vec!["proves"]), "{}", ran.text());
        assert_eq!(
            (&document["verdict"]["memory"], &document["verdict"]["locks"]),
            (&"refuted".into(), &"proven".into())
        );
    }
}

/// One daemon takes the locks of both sides as locks of its own process, and these never exclude each other.
#[test]
fn locks_that_a_fuse_mount_shows_and_grants_are_refuted_by_trying() {
    if !fuse() {
        return;
    }
    let mounts = Mounts::new(&["--enable-lock-forwarding", "--multithreaded"]);
    let here = mounts.1.path();
    for ran in both(here, &[EXE, "probe", "meet", "m1", "--json"], &[EXE, "probe", "meet", "m1", "--json"]) {
        let document = ran.json();
        assert_eq!((ran.code, says(&document, "tried_locks")), (1, vec!["refutes"]), "{}", ran.text());
        assert_eq!(says(&document, "lock_beacon"), ["supports"]);
        assert_eq!(
            (&document["verdict"]["memory"], &document["verdict"]["locks"]),
            (&"proven".into(), &"refuted".into())
        );
    }
    let (_a, b) = (database(&here.join("m1/t.db")), command::connect(&here.join("m1/t.db")));
    assert_eq!(count(&b), 1);
    let refused = walscope(here, &["probe", "meet", "m1/t.db", "--json"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("--look-anyway") && refused.stderr.contains("probe meet FOLDER"),
        "{}",
        refused.stderr
    );
    let meet = [EXE, "probe", "meet", "m1/t.db", "--json", "--look-anyway"];
    for ran in both(here, &meet, &meet) {
        let document = ran.json();
        assert_eq!((ran.code, &document["verdict"]["locks"]), (3, &"undecided".into()), "{}", ran.text());
        assert!(document["explanation"].as_str().unwrap().contains("probe meet FOLDER"), "{}", ran.text());
    }
}

/// Two overlays over one lower folder, unmounted on drop.
struct Overlays(tempfile::TempDir);

impl Overlays {
    const NAMES: [&str; 2] = ["o1", "o2"];

    fn new() -> Option<Self> {
        let overlays = Self(tempfile::tempdir().unwrap());
        let here = overlays.0.path();
        fs::create_dir(here.join("lower")).unwrap();
        // A database in WAL mode, at rest: each overlay copies it up and makes its own -wal and -shm.
        drop(database(&here.join("made.db")));
        fs::rename(here.join("made.db"), here.join("lower/t.db")).unwrap();
        let mounted = Self::NAMES.iter().all(|name| {
            for part in ["", "-upper", "-work"] {
                fs::create_dir(here.join(format!("{name}{part}"))).unwrap();
            }
            let options =
                format!("lowerdir={0}/lower,upperdir={0}/{name}-upper,workdir={0}/{name}-work", here.display());
            let mut mount = Command::new("mount");
            mount.args(["-t", "overlay", "overlay", "-o", &options]).arg(here.join(name));
            mount.status().unwrap().success()
        });
        common::have("overlay", mounted).then_some(overlays)
    }
}

impl Drop for Overlays {
    fn drop(&mut self) {
        for name in Self::NAMES {
            let _ = Command::new("umount").arg("-l").arg(self.0.path().join(name)).status();
        }
    }
}

fn count(db: &rusqlite::Connection) -> u32 {
    db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

#[test]
fn two_overlays_over_one_folder_are_refuted_and_one_is_proven() {
    if !common::have("root", root()) {
        return;
    }
    let Some(overlays) = Overlays::new() else { return };
    let here = overlays.0.path();
    let connections = ["o1", "o1", "o2"].map(|name| command::connect(&here.join(name).join("t.db")));
    assert!(connections.iter().all(|db| count(db) == 1));
    let apart = walscope(here, &["compare", "o1/t.db", "o2/t.db", "--json"]).json();
    assert_eq!(apart["verdict"]["sharing"], "refuted", "{apart:#}");
    assert_eq!(says(&apart, "physical_pages"), ["refutes"]);
    assert_eq!(says(&apart, "lock_beacon"), ["refutes"]);

    let other = Sqlite::open(&here.join("o1/t.db"));
    let one = walscope(here, &["compare", "o1/t.db", &seen_by(other.pid(), here, "o1/t.db"), "--json"]).json();
    assert_eq!(one["verdict"]["sharing"], "proven", "{one:#}");
    assert_eq!(one["verdict"]["decided_by"], serde_json::json!(["physical_pages", "lock_beacon"]));
}

#[test]
fn an_overlay_and_its_own_upper_folder_share_memory_without_locks() {
    if !common::have("root", root()) {
        return;
    }
    let Some(overlays) = Overlays::new() else { return };
    let here = overlays.0.path();
    let above = command::connect(&here.join("o1/t.db"));
    above.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    let below = command::connect(&here.join("o1-upper/t.db"));
    assert_eq!((count(&above), count(&below)), (2, 2));
    let document = walscope(here, &["compare", "o1/t.db", "o1-upper/t.db", "--json"]).json();
    assert_eq!(says(&document, "physical_pages"), ["proves"], "{document:#}");
    assert_eq!(document["verdict"]["locks"], "refuted");
    assert_eq!(document["verdict"]["sharing"], "refuted");
}

#[test]
fn a_probe_says_what_it_cannot_use() {
    let folder = tempfile::tempdir().unwrap();
    {
        let _db = database(&folder.path().join("t.db"));
    }
    let ran = walscope(folder.path(), &["probe", "hold", "t.db", "--for", "1"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("needs a -shm") && ran.stderr.contains("probe meet FOLDER"), "{}", ran.stderr);
    for nonce in ["", "12", "0123456789abcdeg", "0x23456789abcdef"] {
        assert_eq!(walscope(folder.path(), &["probe", "seek", "t.db", nonce]).code, 2);
    }
}
