//! Where a bundle goes: never over what is examined, and nothing is left of one that was not finished.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common;
use crate::common::command::{EXE, database, walscope};

/// Every name in a folder, with what is in it.
fn listing(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

/// Every name in a folder, without the content, for files that SQLite has open in this process: reading them here would
/// drop its locks.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A database with a `-wal` and a `-shm` that nobody has open, as a crash leaves them.
fn left_alone(folder: &Path) {
    let work = tempfile::tempdir().unwrap();
    let db = database(&work.path().join("t.db"));
    let copied = Command::new("cp").arg("-r").arg(work.path().join(".")).arg(folder).status().unwrap();
    assert!(copied.success());
    drop(db);
}

#[test]
fn an_examined_file_is_never_replaced_by_its_bundle_under_any_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    left_alone(folder.path());
    let at = |name: &str| folder.path().join(name);
    symlink("t.db-wal", at("soft")).unwrap();
    fs::hard_link(at("t.db-shm"), at("hard")).unwrap();
    fs::create_dir(at("elsewhere")).unwrap();
    symlink("../t.db", at("elsewhere/link.db")).unwrap();
    symlink("../t.db-journal", at("elsewhere/nowhere")).unwrap();
    symlink(".", at("same")).unwrap();
    let before = listing(folder.path());
    for (output, word) in [
        ("t.db", "is the database"),
        ("t.db-wal", "is the database's -wal"),
        ("t.db-shm", "is the database's -shm"),
        ("t.db-journal", "would become the database's -journal"),
        ("same/t.db-journal", "would become the database's -journal"),
        ("./t.db", "is the database"),
        ("soft", "is the database's -wal"),
        ("hard", "is the database's -shm"),
        ("elsewhere/link.db", "is the database"),
        ("elsewhere/nowhere", "would become the database's -journal"),
    ] {
        for source in ["t.db", "elsewhere/link.db"] {
            for force in [[].as_slice(), &["--force"]] {
                let ran = walscope(folder.path(), &[&["snapshot", source, "-o", output], force].concat());
                assert_eq!(ran.code, 2, "{source} {output} {force:?}: {}", ran.stderr);
                assert!(ran.stderr.contains(word) && ran.stderr.contains("choose another name"), "{}", ran.stderr);
                assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
            }
        }
        assert!(listing(folder.path()) == before, "{output}");
        assert!(fs::symlink_metadata(at("elsewhere/nowhere")).unwrap().is_symlink());
    }
    // A name that only begins the same is free.
    assert_eq!(walscope(folder.path(), &["snapshot", "t.db", "-o", "t.db-wal2"]).code, 0);
}

#[test]
fn what_would_become_a_missing_sibling_is_refused_too() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(&folder.path().join("t.db")));
    for suffix in ["-wal", "-shm", "-journal"] {
        let ran = walscope(folder.path(), &["snapshot", "t.db", "-o", &format!("t.db{suffix}")]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("would become the database's {suffix}")), "{}", ran.stderr);
    }
    assert_eq!(names(folder.path()), ["t.db"]);
}

#[test]
fn standard_output_redirected_into_an_examined_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    left_alone(folder.path());
    let before = listing(folder.path());
    for name in ["t.db", "t.db-wal", "t.db-shm"] {
        let out = fs::OpenOptions::new().append(true).open(folder.path().join(name)).unwrap();
        let mut command = Command::new(EXE);
        let command = command.args(["snapshot", "t.db", "-o", "-"]).current_dir(folder.path());
        let output = command.stdout(out).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("standard output is the database"), "{said}");
        assert!(listing(folder.path()) == before, "{name}");
    }
}

#[test]
fn a_wal_a_shm_and_a_bundle_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    left_alone(folder.path());
    assert_eq!(walscope(folder.path(), &["snapshot", "t.db", "-o", "b.walsnap"]).code, 0);
    for (source, sentence) in [
        ("t.db-wal", "t.db-wal: is a -wal; give the database it belongs to"),
        ("t.db-shm", "t.db-shm: is a -shm; give the database it belongs to"),
        ("b.walsnap", "b.walsnap: is a bundle; give a database"),
    ] {
        for wait in [[].as_slice(), &["--wait"]] {
            let ran = walscope(folder.path(), &[&["snapshot", source, "-o", "never.walsnap"], wait].concat());
            assert_eq!(ran.code, 2, "{source}");
            assert_eq!(ran.stderr.trim_end(), format!("walscope: {sentence}"));
        }
    }
    assert!(!folder.path().join("never.walsnap").exists());
}

/// Something at `path` that is no regular file. `false`: only root can make it.
fn make(kind: &str, path: &Path) -> bool {
    let ran = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).arg(path).args(arguments).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    match kind {
        "a symbolic link" => symlink("kept", path).is_ok(),
        "a folder" => fs::create_dir(path).is_ok(),
        "a named pipe" => ran("mkfifo", &[]),
        "a socket" => UnixListener::bind(path).is_ok(),
        // As /dev/null, but in a folder of its own.
        _ => common::have("root", ran("mknod", &["c", "1", "3"])),
    }
}

#[test]
fn only_a_regular_file_is_ever_replaced() {
    let folder = tempfile::tempdir().unwrap();
    left_alone(folder.path());
    fs::write(folder.path().join("kept"), b"kept").unwrap();
    let output = folder.path().join("out");
    let found = || {
        let found = fs::symlink_metadata(&output).unwrap();
        (found.ino(), found.mode(), found.rdev())
    };
    for kind in ["a symbolic link", "a folder", "a named pipe", "a socket", "a device"] {
        if !make(kind, &output) {
            continue;
        }
        let before = found();
        for force in [[].as_slice(), &["--force"]] {
            let ran = walscope(folder.path(), &[&["snapshot", "t.db", "-o", "out"], force].concat());
            assert_eq!(ran.code, 2, "{kind} {force:?}: {}", ran.stderr);
            assert!(ran.stderr.starts_with(&format!("walscope: out: is {kind}")), "{}", ran.stderr);
            assert!(ran.stderr.contains("-o - for standard output"), "{}", ran.stderr);
            assert_eq!(found(), before, "{kind} {force:?}");
        }
        if before.1 & 0o170_000 == 0o040_000 { fs::remove_dir(&output) } else { fs::remove_file(&output) }.unwrap();
    }
    assert_eq!(fs::read(folder.path().join("kept")).unwrap(), b"kept");
    assert_eq!(names(folder.path()), ["kept", "t.db", "t.db-shm", "t.db-wal"]);
}

#[test]
fn what_came_to_the_name_while_the_bundle_was_made_is_not_replaced_either() {
    for prepare in ["", HIDE_PROC] {
        if !prepare.is_empty() && !have_namespaces() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let line = format!("{prepare} exec {EXE} snapshot t.db -o out --wait --force");
        let mut command = Command::new(if prepare.is_empty() { "sh" } else { "unshare" });
        let namespaces: &[&str] = if prepare.is_empty() { &[] } else { &["-Urm", "sh"] };
        let command = command.args(namespaces).args(["-c", &line]).current_dir(folder.path());
        let mut waiting = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut errors, mut said) = (BufReader::new(waiting.stderr.take().unwrap()), String::new());
        // It has looked at the name before it waits.
        errors.read_line(&mut said).unwrap();
        assert!(said.contains("waiting for"), "{said}");
        assert!(make("a named pipe", &folder.path().join("out")));
        let _db = database(&folder.path().join("t.db"));
        errors.read_to_string(&mut said).unwrap();
        assert_eq!(waiting.wait().unwrap().code(), Some(2), "{said}");
        assert!(said.contains("is a named pipe"), "{prepare:?}: {said}");
        assert!(fs::symlink_metadata(folder.path().join("out")).unwrap().file_type().is_fifo());
        assert_eq!(names(folder.path()), ["out", "t.db", "t.db-shm", "t.db-wal"]);
    }
}

/// Runs `snapshot` under strace with a shell line before it that may prepare namespaces. Signals have their defaults
/// but for one to be ignored, whatever this test was started with: a shell's background job ignores SIGINT.
fn traced(ignored: &str, strace: &str, folder: &Path, prepare: &str, force: bool) -> std::process::ExitStatus {
    let force = if force { "--force" } else { "" };
    let ignored = if ignored.is_empty() { String::new() } else { format!("--ignore-signal={ignored}") };
    let line = format!(
        "{prepare} exec env --default-signal {ignored} strace -f -qq {strace} {EXE} snapshot t.db -o b.walsnap {force}"
    );
    let mut command = Command::new("sh");
    if !prepare.is_empty() {
        command = Command::new("unshare");
        command.args(["-Urm", "sh"]);
    }
    let command = command.args(["-c", &line]).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

/// A folder with a database that nobody has open, and something under the bundle's name where that is to be replaced.
fn prepared(force: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    left_alone(folder.path());
    if force {
        fs::write(folder.path().join("b.walsnap"), b"what was there").unwrap();
    }
    folder
}

/// Moments to send a signal at, each as a system call and how often it was made: some that matter, and some from the
/// first call of a run to its last.
fn moments(prepare: &str, force: bool) -> Vec<(String, usize)> {
    let folder = prepared(force);
    let trace = folder.path().join("trace");
    assert!(traced("", &format!("-o {}", trace.display()), folder.path(), prepare, force).success());
    let mut made = BTreeMap::new();
    let mut calls = Vec::new();
    for line in fs::read_to_string(trace).unwrap().lines() {
        // `4711  openat(AT_FDCWD, ...`. strace counts each call by itself.
        let Some((name, _)) = line.split_once(' ').and_then(|(_, call)| call.trim_start().split_once('(')) else {
            continue;
        };
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let made = made.entry(name.to_owned()).or_insert(0);
            *made += 1;
            calls.push((name.to_owned(), *made));
        }
    }
    let mut moments: Vec<(String, usize)> =
        [("write", 1), ("write", 3), ("write", 5), ("fsync", 1)].map(|(call, when)| (call.to_owned(), when)).into();
    // Each of the calls that a file gets its name by, whichever they are.
    moments.extend(calls.iter().filter(|(name, _)| name.starts_with("link") || name.starts_with("rename")).cloned());
    moments.extend((1..=8).filter_map(|eighth| calls.get(calls.len() * eighth / 9)).cloned());
    moments
}

/// After a signal at any moment the folder is as it was, or holds the new bundle, whole. How many runs were ended.
fn signals_leave_nothing(prepare: &str, force: bool) -> u32 {
    let mut ended = 0;
    let signals = ["SIGTERM", "SIGINT", "SIGHUP"].into_iter().cycle();
    for ((call, when), signal) in moments(prepare, force).into_iter().zip(signals) {
        let folder = prepared(force);
        let before = listing(folder.path());
        let inject = format!("-o /dev/null -e 'inject={call}:signal={signal}:when={when}'");
        let status = traced("", &inject, folder.path(), prepare, force);
        let killed = status.signal().is_some();
        ended += u32::from(killed);
        let mut after = listing(folder.path());
        let changed: Vec<&String> = after.keys().filter(|name| after.get(*name) != before.get(*name)).collect();
        let what = format!(
            "{signal} at {call} {when}, force {force}, {prepare:?}: {status}, of {:?} new or changed: {changed:?}",
            after.keys()
        );
        if after.get("b.walsnap") != before.get("b.walsnap") {
            let whole = walscope(folder.path(), &["inspect", "b.walsnap"]);
            assert_eq!(whole.code, 0, "{what}: {}", whole.stderr);
            after.remove("b.walsnap");
            after.extend(before.get_key_value("b.walsnap").map(|(name, bytes)| (name.clone(), bytes.clone())));
        } else {
            assert!(killed, "{what}: neither ended nor written");
        }
        assert!(after == before, "{what}");
    }
    ended
}

fn have_strace() -> bool {
    common::have("strace", Command::new("strace").arg("-V").output().is_ok())
}

#[test]
fn a_signal_at_any_moment_leaves_the_folder_as_it_was() {
    if have_strace() {
        for force in [false, true] {
            let ended = signals_leave_nothing("", force);
            // Up to the first naming call nothing holds a signal up.
            assert!(ended >= 5, "only {ended} runs were ended: the signals came too late");
        }
    }
}

/// Without /proc a file that has no name cannot be given one.
const HIDE_PROC: &str = "mount -t tmpfs none /proc &&";

fn have_namespaces() -> bool {
    let there = Command::new("unshare").args(["-Urm", "sh", "-c", &format!("{HIDE_PROC} true")]).status();
    common::have("userns", there.is_ok_and(|status| status.success()))
}

#[test]
fn where_files_must_have_a_name_a_signal_leaves_nothing_either() {
    if have_namespaces() && have_strace() {
        for force in [false, true] {
            let ended = signals_leave_nothing(HIDE_PROC, force);
            // A thread waits for the signals here: under load the bundle may be whole before it has its turn.
            assert!(ended >= 1, "no run was ended: the signals came too late");
        }
    }
}

#[test]
fn a_signal_that_the_caller_ignores_stays_ignored() {
    if !have_strace() {
        return;
    }
    for (prepare, when) in [("", 2), (HIDE_PROC, 1)] {
        if !prepare.is_empty() && !have_namespaces() {
            return;
        }
        let folder = prepared(true);
        // These naming calls are behind the setting up of handlers; the slow writes after them give one the time to act.
        let inject = format!(
            "-o /dev/null -e 'inject=/^(link|rename):signal=SIGHUP:when={when}' -e inject=write:delay_enter=200000"
        );
        let status = traced("HUP", &inject, folder.path(), prepare, true);
        assert_eq!(status.code(), Some(0), "{prepare:?}");
        assert_eq!(walscope(folder.path(), &["inspect", "b.walsnap"]).code, 0);
    }
}

#[test]
fn a_full_disk_leaves_no_half_bundle() {
    // The mount goes with its namespace, and the folder is listed inside.
    let line = format!(
        "mount -t tmpfs -o size=48k none small && {{ {EXE} snapshot t.db -o small/b.walsnap {{}}; echo \"code $?\"; ls -A small; }}"
    );
    let folder = tempfile::tempdir().unwrap();
    left_alone(folder.path());
    fs::create_dir(folder.path().join("small")).unwrap();
    for (prepare, option) in [("", ""), ("", "--force"), (HIDE_PROC, "")] {
        let line = format!("{prepare}{}", line.replace("{}", option));
        let output = Command::new("unshare").args(["-m", "sh", "-c", &line]).current_dir(folder.path()).output();
        let there = output.as_ref().is_ok_and(|output| !output.stdout.is_empty());
        if !common::have("root", there) {
            return;
        }
        let output = output.unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(out, "code 2\n", "{prepare:?} {option:?}: {err}");
        assert!(err.contains("No space left"), "{err}");
    }
}

/// The bundle is whole before the wait begins, and standard output has ended: whoever reads it goes on.
#[test]
fn a_beacon_is_held_after_the_bundle_is_whole_and_another_capture_meets_it() {
    let folder = tempfile::tempdir().unwrap();
    let db = database(&folder.path().join("t.db"));
    let compare = |a: &str, extra: &[&str]| {
        let ran = walscope(folder.path(), &[&["compare", "--json", a, "second.walsnap"], extra].concat());
        (ran.code, ran.json()["verdict"].clone())
    };
    let capture =
        |name: &str| assert_eq!(walscope(folder.path(), &["snapshot", "t.db", "-o", name, "--force"]).code, 0);
    capture("alone.walsnap");
    // By its end of standard input, by a signal, and streamed.
    for (way, output) in [("input", "first.walsnap"), ("signal", "first.walsnap"), ("streamed", "-")] {
        let mut holder = Command::new(EXE)
            .args(["snapshot", "t.db", "-o", output, "--hold", "--force"])
            .current_dir(folder.path())
            .stdin(if way == "signal" { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if output == "-" {
            let mut bundle = Vec::new();
            holder.stdout.take().unwrap().read_to_end(&mut bundle).unwrap();
            fs::write(folder.path().join("first.walsnap"), bundle).unwrap();
        }
        // It says that it waits when the bundle is there.
        let mut said = String::new();
        let mut errors = BufReader::new(holder.stderr.take().unwrap());
        while !said.contains("the bundle is whole") {
            said.clear();
            assert_ne!(errors.read_line(&mut said).unwrap(), 0, "it ended");
        }
        capture("second.walsnap");
        let (code, verdict) = compare("first.walsnap", &["--strict"]);
        assert_eq!(verdict["assuming"], serde_json::json!([]), "{way}: {verdict:#}");
        assert_eq!((code, &verdict["sharing"]), (0, &"proven".into()), "{way}");
        let (code, verdict) = compare("alone.walsnap", &[]);
        assert_eq!(verdict["assuming"][0], "one_machine", "{way}");
        assert_eq!((code, compare("alone.walsnap", &["--strict"]).0), (0, 3), "{way}");
        match way {
            "signal" => {
                let pid = rustix::process::Pid::from_child(&holder);
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            }
            _ => drop(holder.stdin.take()),
        }
        assert_eq!(holder.wait().unwrap().code(), Some(0), "{way}");
        // It is not held any more.
        capture("second.walsnap");
        assert_eq!(compare("first.walsnap", &["--strict"]).0, 3, "{way}");
    }
    drop(db);
}

#[test]
fn without_a_shm_nothing_can_be_held_and_no_bundle_is_made() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(&folder.path().join("t.db")));
    let ran = walscope(folder.path(), &["snapshot", "t.db", "-o", "a.walsnap", "--hold=1"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--hold needs a -shm"), "{}", ran.stderr);
    assert_eq!(names(folder.path()), ["t.db"]);
}
