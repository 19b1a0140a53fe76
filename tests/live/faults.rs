//! Files that are cut, removed or replaced between two readings; a -shm of three bytes under a mapping; processes that
//! vanish; signals; a disk quota. Nothing dies, nothing is left behind, nothing half is called whole.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use walscope::bundle::{Capture, Options, Step, write_bundle};
use walscope::look::DatabaseSeen;

use crate::actor::Role;
use crate::common;
use crate::common::command;
use crate::common::restore;
use crate::common::synthetic;
use crate::crew::Crew;
use crate::host::{Host, commands};

/// A database with -wal and -shm as a crash leaves them: 200 rows, half of them copied into the database.
fn left_alone(folder: &Path) -> PathBuf {
    let work = tempfile::tempdir().unwrap();
    let db = command::database(&work.path().join("t.db"));
    let rows = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < 100) INSERT INTO t SELECT randomblob(90) FROM n";
    db.execute_batch(rows).unwrap();
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    db.execute_batch(rows).unwrap();
    // By another process: to read it here would drop SQLite's locks.
    let copied = Command::new("cp").arg("-r").arg(work.path().join(".")).arg(folder).status().unwrap();
    assert!(copied.success());
    folder.join("t.db")
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// What becomes of a file.
const FAULTS: [&str; 8] = [
    "cut to nothing",
    "cut to 3 bytes",
    "cut in half",
    "removed",
    "replaced by a copy",
    "a FIFO",
    "a folder",
    "a link",
];

fn strike(file: &Path, fault: &str) {
    let cut = |length: u64| File::options().write(true).open(file).unwrap().set_len(length).unwrap();
    let make_way = || fs::remove_file(file).unwrap();
    match fault {
        "cut to nothing" => cut(0),
        "cut to 3 bytes" => cut(3),
        "cut in half" => cut(fs::metadata(file).unwrap().len() / 2),
        "removed" => make_way(),
        "replaced by a copy" => {
            let copy = file.with_extension("copy");
            fs::copy(file, &copy).unwrap();
            fs::rename(copy, file).unwrap();
        }
        "a FIFO" => {
            make_way();
            rustix::fs::mkfifoat(rustix::fs::CWD, file, 0o600.into()).unwrap();
        }
        "a folder" => {
            make_way();
            fs::create_dir(file).unwrap();
        }
        _ => {
            make_way();
            symlink("/etc/passwd", file).unwrap();
        }
    }
}

fn rows(path: &Path) -> String {
    let db = Connection::open(path).unwrap();
    let integrity = db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    let sum = db.query_row("SELECT sum(length(x)) FROM t", [], |row| row.get::<_, i64>(0));
    format!("{integrity:?} {sum:?}")
}

#[test]
fn files_cut_removed_or_replaced_at_any_step_are_labelled_or_harmless() {
    let whole = tempfile::tempdir().unwrap();
    let original = left_alone(whole.path());
    let judged = tempfile::tempdir().unwrap();
    fs::copy(&original, judged.path().join("t.db")).unwrap();
    fs::copy(sibling(&original, "-wal"), judged.path().join("t.db-wal")).unwrap();
    let expected = rows(&judged.path().join("t.db"));
    assert!(expected.starts_with("Ok(\"ok\") Ok("), "{expected}");
    let (mut stable, mut unstable, mut refused) = (0, 0, 0);
    for suffix in ["", "-wal", "-shm"] {
        for fault in FAULTS {
            for at in 0.. {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("t.db");
                for suffix in ["", "-wal", "-shm"] {
                    fs::copy(sibling(&original, suffix), sibling(&path, suffix)).unwrap();
                }
                let (mut call, mut struck) = (0, None);
                let mut bundle = tempfile::tempfile().unwrap();
                let options = Options { with_db: true, attempts: 1, chunk_size: 16384, ..Options::default() };
                let written = write_bundle(path.as_path(), &options, &mut bundle, &mut |_, step| {
                    if call == at {
                        strike(&sibling(&path, suffix), fault);
                        struck = Some(step);
                    }
                    call += 1;
                });
                let Some(step) = struck else { break };
                let what = format!("{suffix:?} {fault} before {step:?}");
                let Ok(manifest) = written else {
                    // A database of a wrong kind is refused at the door, and only there.
                    assert!(suffix.is_empty() && step == Step::Before, "{what}: {written:?}");
                    refused += 1;
                    continue;
                };
                let capture = Capture::from_file("b", Arc::new(bundle)).unwrap();
                assert_eq!(capture.manifest, manifest, "{what}");
                if !manifest.stability.stable {
                    assert!(manifest.stability.reason.is_some(), "{what}");
                    unstable += 1;
                    continue;
                }
                stable += 1;
                // What was there before anything was opened is what was captured.
                if step == Step::Before {
                    continue;
                }
                // Everything was looked at before; or of the wal-index only what the next opener makes anew was lost.
                assert!(step == Step::Evidence || (suffix, fault) == ("-shm", "cut in half"), "{what} is stable");
                assert!(matches!(capture.database, DatabaseSeen::Whole(_)), "{what}");
                assert_eq!(rows(&restore::restore(&capture, folder.path())), expected, "{what}");
            }
        }
    }
    eprintln!("faults while capturing: {unstable} unstable, {stable} harmless, {refused} refused");
    assert!(unstable > 100 && stable > 20 && refused > 0, "{unstable} {stable} {refused}");
}

/// Does something over and over until dropped.
struct Meanwhile(Arc<AtomicBool>, Option<std::thread::JoinHandle<u64>>);

impl Meanwhile {
    fn run(mut act: impl FnMut() + Send + 'static) -> Self {
        let go = Arc::new(AtomicBool::new(true));
        let on = Arc::clone(&go);
        let thread = std::thread::spawn(move || {
            let mut times = 0;
            while on.load(Ordering::Relaxed) {
                act();
                times += 1;
            }
            times
        });
        Self(go, Some(thread))
    }

    fn end(mut self) -> u64 {
        self.0.store(false, Ordering::Relaxed);
        self.1.take().unwrap().join().unwrap()
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Runs every command; each has to end by itself, with an answer or a sentence.
fn all_answer(folder: &Path, path: &Path) {
    for words in commands(path) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = command::walscope(folder, &words);
        assert!((0..=3).contains(&ran.code), "{words:?}: {} {}", ran.code, ran.stderr);
        assert!(
            !ran.stderr.contains("panicked") && (ran.code != 2 || !ran.stderr.is_empty()),
            "{words:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_wal_index_cut_to_three_bytes_under_its_mappings_kills_no_command() {
    // The application has it mapped, and is not asked anything any more: SQLite itself would die of SIGBUS.
    let host = Host::start();
    let shm = File::options().read(true).write(true).open(sibling(&host.path(), "-shm")).unwrap();
    let length = shm.metadata().unwrap().len() as usize;
    let mut bytes = vec![0; length];
    shm.read_exact_at(&mut bytes, 0).unwrap();
    shm.set_len(3).unwrap();
    all_answer(host.folder(), &host.path());
    let again = Meanwhile::run(move || {
        shm.write_all_at(&bytes, 0).unwrap();
        shm.set_len(3).unwrap();
    });
    for _ in 0..3 {
        all_answer(host.folder(), &host.path());
    }
    assert!(again.end() > 0);
}

#[test]
fn every_command_answers_while_files_are_cut_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = left_alone(folder.path());
    let whole: Vec<(PathBuf, Vec<u8>)> = ["", "-wal", "-shm"]
        .map(|suffix| sibling(&path, suffix))
        .map(|file| (file.clone(), fs::read(&file).unwrap()))
        .into();
    let mut turn = 0;
    let meanwhile = Meanwhile::run(move || {
        let (file, bytes) = &whole[turn % 3];
        let fault = FAULTS[turn / 3 % 5];
        strike(file, fault);
        fs::write(file, bytes).unwrap();
        turn += 1;
    });
    for _ in 0..4 {
        all_answer(folder.path(), &path);
    }
    assert!(meanwhile.end() > 10);
}

#[test]
fn processes_that_end_while_they_are_looked_at_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut crew = Crew::new(folder.path(), &[Role::ShortLived(0), Role::ShortLived(1), Role::Reader], 77);
    crew.keep();
    while !sibling(&folder.path().join("t.db"), "-shm").exists() {
        crew.keep();
        common::pause();
    }
    for _ in 0..12 {
        crew.keep();
        for words in [&["ps", "--json"][..], &["inspect", "t.db", "--json"], &["compare", "t.db", "t.db", "--json"]] {
            crew.disturb(false);
            let ran = command::walscope(folder.path(), words);
            assert!((0..=3).contains(&ran.code) && !ran.stderr.contains("panicked"), "{words:?}: {}", ran.stderr);
            assert_ne!(ran.code, 2, "{words:?}: {}", ran.stderr);
        }
    }
}

/// Entries of /proc/locks on a file that belong to open file descriptions.
fn beacons(file: &Path) -> usize {
    let inode = format!(":{} ", fs::metadata(file).unwrap().ino());
    let text = fs::read_to_string("/proc/locks").unwrap();
    text.lines().filter(|line| line.contains("OFDLCK") && line.contains(&inode)).count()
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn started(folder: &Path, ignored: &str, words: &[&str]) -> Child {
    let mut command = command::with_signals(ignored);
    command.args(words).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits for what the process is to bring about, as long as it lives.
fn until(child: &mut Child, come: impl Fn() -> bool) {
    while !come() {
        assert!(child.try_wait().unwrap().is_none(), "the command ended too soon");
        common::pause();
    }
}

#[test]
fn a_signal_leaves_no_beacon_and_no_scratch_file() {
    let host = Host::start();
    let shm = sibling(&host.path(), "-shm");
    let trial = tempfile::tempdir().unwrap();
    let there = names(host.folder());
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        let end = |mut child: Child| {
            kill_process(Pid::from_child(&child), signal).unwrap();
            child.wait().unwrap()
        };
        let mut child = started(host.folder(), "", &["probe", "hold", "t.db", "--for", "100"]);
        until(&mut child, || beacons(&shm) > 0);
        end(child);
        assert_eq!(beacons(&shm), 0, "{signal:?}");
        assert_eq!(names(host.folder()), there, "{signal:?}");
        // A process that is killed cannot remove its card: the next trial names it.
        if signal != Signal::KILL {
            let folder = trial.path().display().to_string();
            let mut child = started(host.folder(), "", &["probe", "meet", &folder, "--timeout", "100"]);
            until(&mut child, || !names(trial.path()).is_empty());
            let status = end(child);
            assert_eq!(names(trial.path()), BTreeSet::new(), "{signal:?}: {status}");
        }
    }
}

/// Whether a process has a signal in one of the sets of /proc/PID/status: `SigIgn`, `SigCgt`.
fn is_in(child: &Child, set: &str, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let set = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':')).unwrap();
    u64::from_str_radix(set.trim(), 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn what_nohup_and_a_background_job_ignore_asks_no_command_to_stop() {
    let host = Host::start();
    let trial = tempfile::tempdir().unwrap();
    let folder = trial.path().display().to_string();
    let mut commands = vec![
        vec!["snapshot", "t.db", "-o", "b.walsnap", "--force", "--hold"],
        vec!["probe", "meet", &folder, "--timeout", "100"],
        vec!["probe", "meet", "t.db", "--timeout", "100"],
    ];
    if cfg!(feature = "lab") {
        commands.push(vec!["lab", "--runtime", "processes", "--rows", "10000"]);
    }
    let ignored = [Signal::HUP, Signal::INT];
    for words in commands {
        let mut child = started(host.folder(), "HUP,INT", &words);
        // It listens to the one that is left.
        while !is_in(&child, "SigCgt", Signal::TERM) {
            assert!(child.try_wait().unwrap().is_none(), "{words:?}: the command ended too soon");
            common::pause();
        }
        for signal in ignored {
            assert!(is_in(&child, "SigIgn", signal), "{words:?}: {signal:?}");
            kill_process(Pid::from_child(&child), signal).unwrap();
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        assert!(status.code().is_some(), "{words:?}: {status}");
        assert!(names(trial.path()).is_empty(), "{words:?}");
    }
}

#[test]
fn a_limit_on_file_sizes_leaves_no_half_bundle() {
    let there = Command::new("unshare").args(["-Urm", "true"]).status().is_ok_and(|status| status.success());
    // Without /proc a file that has no name cannot be given one, so that it has a name from the start.
    for hide in ["", "mount -t tmpfs none /proc && "] {
        if !hide.is_empty() && !common::have("userns", there) {
            continue;
        }
        for force in ["", "--force"] {
            let folder = tempfile::tempdir().unwrap();
            left_alone(folder.path());
            if !force.is_empty() {
                fs::write(folder.path().join("b.walsnap"), b"what was there").unwrap();
            }
            let before = names(folder.path());
            let line = format!(
                "{hide} ulimit -c 0; ulimit -f 16; exec {} snapshot t.db --with-db -o b.walsnap {force}",
                command::EXE
            );
            let mut command = Command::new(if hide.is_empty() { "sh" } else { "unshare" });
            if !hide.is_empty() {
                command.args(["-Urm", "sh"]);
            }
            let ran = command::run(command.args(["-c", &line]).current_dir(folder.path()));
            assert_eq!(ran.code, 2, "{hide:?} {force:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("too large"), "{}", ran.stderr);
            assert_eq!(names(folder.path()), before, "{hide:?} {force:?}");
            if !force.is_empty() {
                assert_eq!(fs::read(folder.path().join("b.walsnap")).unwrap(), b"what was there");
            }
        }
    }
}

/// Frames that SQLite's 32 bits cannot count.
#[test]
fn more_than_2_to_the_32_frames_are_counted_and_not_wrapped() {
    const FRAMES: u64 = (1 << 32) + 5;
    const FRAME: u64 = 24 + 512;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db-wal");
    let mut wal = synthetic::WalWriter::new(512, false, [7, 8]);
    wal.frame(1, 2, 1).frame(2, 2, 2).frame(1, 2, 3);
    fs::write(&path, &wal.bytes).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    // Nearly nothing of it takes room; where no file may be so long there is nothing to test.
    if !common::have("2.3 TB sparse", file.set_len(32 + FRAMES * FRAME).is_ok()) {
        return;
    }
    // The last frame is of another generation, though the frame before the hole's end would number 4 if counts wrapped.
    let mut stale = synthetic::WalWriter::new(512, false, [6, 9]);
    stale.frame(2, 2, 4);
    file.write_all_at(&stale.bytes[32..], 32 + (FRAMES - 1) * FRAME).unwrap();
    let ran = command::walscope(folder.path(), &["inspect", "t.db-wal", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let frames = ran.json()["wal"]["frames"].clone();
    let counted = |name: &str| frames[name].as_u64().unwrap();
    assert_eq!((counted("in_file"), counted("committed")), (FRAMES, 3), "{frames}");
    assert_eq!((counted("stale"), counted("unwritten")), (1, FRAMES - 4), "{frames}");
    let ran = command::walscope(folder.path(), &["verify", "t.db-wal"]);
    assert!(ran.code == 0 && ran.text().contains("4,294,967,301 frames: 3 follow by checksum"), "{}", ran.text());
    // The list begins without passing over the hole, and has what was asked for.
    let ran = command::walscope(folder.path(), &["wal", "t.db-wal", "--frame", "2..5", "--json"]);
    let listed = ran.json()["frames"].as_array().unwrap().len();
    assert_eq!((ran.code, listed), (0, 4), "{}", ran.stderr);
}
