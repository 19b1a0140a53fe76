//! What walscope asks of the system while it examines files in use: nothing is written, no lock that SQLite could meet is
//! taken, access times stay.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use crate::common;
use crate::sqlite::Sqlite;

const EXE: &str = env!("CARGO_BIN_EXE_walscope");
/// Bytes that SQLite never locks begin here: the pending byte, the shared range and the -shm's bytes are all below.
const BEYOND_SQLITE: u64 = 1 << 40;

struct Examined {
    _folder: tempfile::TempDir,
    _sqlite: Sqlite,
    /// Two more processes use the database; one of them does it without its locks, so that walscope looks again.
    others: [Sqlite; 2],
    database: PathBuf,
}

fn examined() -> Option<Examined> {
    let there = Command::new("strace").arg("-V").output().is_ok_and(|out| out.status.success());
    common::have("strace", there).then(|| {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("examined.db");
        let mut sqlite = Sqlite::open(&database);
        sqlite.run("INSERT INTO t VALUES (1)");
        sqlite.run("BEGIN; SELECT x FROM t");
        let others = [Sqlite::open(&database), Sqlite::open_without_locks(&database)];
        Examined { _folder: folder, _sqlite: sqlite, others, database }
    })
}

impl Examined {
    fn files(&self) -> [PathBuf; 3] {
        ["", "-wal", "-shm"].map(|suffix| PathBuf::from(format!("{}{suffix}", self.database.display())))
    }

    /// Runs walscope under strace; the lines of the trace.
    fn trace(&self, arguments: &[&str]) -> Vec<String> {
        let scratch = tempfile::tempdir().unwrap();
        let log = scratch.path().join("trace");
        let out = Command::new("strace")
            .args(["-f", "-y", "-s", "4096", "-e", "trace=%file,%desc", "-o"])
            .arg(&log)
            .arg(EXE)
            .args(arguments)
            .current_dir(scratch.path())
            .output()
            .unwrap();
        let code = out.status.code();
        assert!(matches!(code, Some(0 | 1 | 3)), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect()
    }
}

/// Every command that looks at a database or its processes. What is not here is in
/// `a_trial_in_the_folder_of_a_database_locks_its_scratch_file_alone`.
fn examining(examined: &Examined) -> Vec<Vec<String>> {
    let here = examined.database.display().to_string();
    let folder = examined.database.parent().unwrap().display().to_string();
    let through = format!("pid:{}:{here}", std::process::id());
    let [one, other] = examined.others.each_ref().map(|process| format!("pid:{}:{here}", process.pid()));
    [
        vec!["inspect", &here],
        vec!["verify", &here],
        vec!["verify", &folder],
        vec!["wal", &here],
        vec!["shm", &here],
        vec!["snapshot", &here, "-o", "out.walsnap"],
        vec!["rescue", &here, "-o", "rescued"],
        vec!["compare", &here, &here],
        vec!["probe", "hold", &here, "--for", "1"],
        vec!["probe", "seek", &here, "0123456789abcdef"],
        vec!["probe", "meet", &here, "--timeout", "1"],
        vec!["inspect", &through],
        vec!["compare", &here, &through],
        vec!["compare", &through, &through],
        vec!["compare", &one, &other],
        vec!["inspect", &other],
        vec!["snapshot", &through, "-o", "out.walsnap", "--with-db", "--samples", "3", "--interval", "1"],
        vec!["snapshot", &here, "-o", "-", "--wal", "headers"],
        vec!["snapshot", &here, "-o", "held.walsnap", "--hold=1"],
        vec!["shm", &through, "--pages", "--hash"],
        vec!["probe", "hold", &through, "--for", "1"],
        vec!["probe", "seek", &through, "0123456789abcdef"],
        vec!["probe", "meet", &through, "--timeout", "1"],
        vec!["ps"],
    ]
    .into_iter()
    .map(|arguments| arguments.into_iter().map(str::to_owned).collect())
    .collect()
}

#[test]
fn no_examined_file_is_opened_for_writing_and_no_lock_of_sqlite_s_is_taken() {
    let Some(examined) = examined() else { return };
    for arguments in examining(&examined) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        // The copies of a rescue have the names of what is examined.
        let lines: Vec<String> = examined
            .trace(&arguments)
            .into_iter()
            .map(|line| line.replace("rescued/examined.db", "rescued/copy"))
            .collect();
        let touching: Vec<&String> = lines.iter().filter(|line| line.contains("examined.db")).collect();
        let opened = touching.iter().filter(|line| line.contains("open")).count();
        assert!(opened >= 2, "{arguments:?} was not traced while it opened the files: {lines:#?}");
        for line in touching {
            let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start()).split('(').next().unwrap();
            let writes = [
                "write",
                "pwrite64",
                "writev",
                "pwritev",
                "ftruncate",
                "fallocate",
                "unlink",
                "unlinkat",
                "rename",
                "renameat",
                "renameat2",
                "utimensat",
                "fchmod",
                "fchown",
                "chmod",
                "truncate",
            ];
            // What is printed about a file names it, too: of what writes through a descriptor, that descriptor counts. What
            // takes a path behind the descriptor of a folder, or two paths, counts wherever the name stands.
            let by_descriptor = ["write", "pwrite64", "writev", "pwritev"].contains(&call);
            let own = !by_descriptor
                || line
                    .split_once(call)
                    .is_some_and(|(_, rest)| rest.split(',').next().unwrap().contains("examined.db"));
            assert!(!(writes.contains(&call) && own), "{arguments:?}: {line}");
            if call.starts_with("open") {
                let flags = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"];
                assert!(!flags.iter().any(|flag| line.contains(flag)), "{arguments:?}: {line}");
            }
            if call == "mmap" {
                assert!(!line.contains("PROT_WRITE"), "{arguments:?}: {line}");
            }
        }
        let locking = || lines.iter().filter(|line| line.contains("SETLK") || line.contains("flock("));
        let holds = matches!(arguments[..], ["probe", "hold" | "meet", ..] | ["snapshot", .., "--hold=1"]);
        assert!(
            !holds || locking().next().is_some(),
            "{arguments:?} was not traced while it held a beacon: {lines:#?}"
        );
        for line in locking() {
            let start = line.split_once("l_start=").and_then(|(_, rest)| rest.split([',', '}']).next()?.parse().ok());
            assert!(start.is_some_and(|start: u64| start >= BEYOND_SQLITE), "{arguments:?}: {line}");
        }
    }
}

#[test]
fn access_times_stay_for_the_owner() {
    let Some(examined) = examined() else { return };
    // Older than the last write: `relatime` would move it at the first read.
    for file in examined.files() {
        let set = Command::new("touch").args(["-a", "-d", "2001-02-03 04:05:06"]).arg(&file).status().unwrap();
        assert!(set.success());
    }
    let times =
        || examined.files().map(|file| fs::metadata(file).map(|file| (file.atime(), file.atime_nsec())).unwrap());
    let before = times();
    for arguments in examining(&examined) {
        let out = Command::new(EXE).args(&arguments).current_dir(tempfile::tempdir().unwrap().path()).output().unwrap();
        assert_ne!(out.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(times(), before, "{arguments:?}");
    }
}

/// A trial locks bytes as SQLite does, on its own scratch file: the database beside it is not opened.
#[test]
fn a_trial_in_the_folder_of_a_database_locks_its_scratch_file_alone() {
    let Some(examined) = examined() else { return };
    let folder = examined.database.parent().unwrap().display().to_string();
    let arguments = ["probe", "meet", &folder, "--timeout", "60"];
    let traces = std::thread::scope(|scope| {
        let each = [0, 1].map(|_| scope.spawn(|| examined.trace(&arguments)));
        each.map(|trace| trace.join().unwrap())
    });
    for lines in traces {
        assert!(!lines.iter().any(|line| line.contains("examined.db")), "{lines:#?}");
        let locks: Vec<&String> = lines.iter().filter(|line| line.contains("SETLK")).collect();
        for kind in ["F_OFD_SETLK, {l_type=F_WRLCK", "F_SETLK, {l_type=F_WRLCK", "l_start=120", "EAGAIN"] {
            assert!(locks.iter().any(|line| line.contains(kind)), "{kind} was not traced: {locks:#?}");
        }
        assert!(locks.iter().all(|line| line.contains("/.walscope-meet-")), "{locks:#?}");
    }
}
