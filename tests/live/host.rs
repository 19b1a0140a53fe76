//! The application that uses the database through SQLite does not notice that somebody looks: it keeps its locks while the
//! command looks, and the library refuses to look from inside of it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rusqlite::Connection;
use tempfile::TempDir;
use walscope::bundle::{Options, SnapshotError, capture_live};
use walscope::shm::WalIndex;
use walscope::wal::scan;

use crate::common::command;

const VARIABLE: &str = "WALSCOPE_TEST_LIVE_HOST";
const REPLY: &str = "host: ";

/// An application with a database open, in the middle of a read transaction.
pub struct Host {
    folder: TempDir,
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Host {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["host", "--exact", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, folder.path().join("t.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut host = Self { folder, process, to, from };
        host.answer();
        host
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("t.db")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn ask(&mut self, what: &str) -> String {
        writeln!(self.to, "{what}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.from.read_line(&mut line).unwrap(), 0, "the host has ended");
            // libtest writes `test name ... ` without a newline before the first answer.
            if let Some((_, answer)) = line.trim_end().split_once(REPLY) {
                return answer.to_owned();
            }
        }
    }

    /// Its POSIX locks, sorted. By descriptor: /proc/locks, given out a page at a time, can miss or repeat lines while others
    /// come and go.
    fn locks(&self) -> Vec<String> {
        let mut locks = Vec::new();
        for entry in fs::read_dir(format!("/proc/{}/fdinfo", self.process.id())).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let own = text.lines().filter_map(|line| line.strip_prefix("lock:")?.split_once(": "));
            locks.extend(own.map(|(_, lock)| lock.to_owned()).filter(|lock| lock.starts_with("POSIX")));
        }
        locks.sort();
        locks
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The child's part; returns at once in the parent.
pub fn serve() {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    let path = PathBuf::from(path);
    let db = command::database(&path);
    let reader = command::connect(&path);
    let count = |db: &Connection| db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    reader.execute_batch("BEGIN").unwrap();
    count(&reader).unwrap();
    db.execute_batch("INSERT INTO t VALUES(2)").unwrap();
    println!("{REPLY}ready");
    let sibling = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (command, argument) = line.split_once(' ').unwrap_or((line.as_str(), ""));
        let answer = match command {
            "capture" => match capture_live(path.as_path(), &Options::default()) {
                Err(SnapshotError::Open(error)) => format!("refused: {error}"),
                Err(error) => format!("failed: {error}"),
                Ok(_) => "captured".to_owned(),
            },
            "parse" => {
                // Bytes that another process read: argument is a folder with copies.
                let read = |suffix: &str| fs::read(format!("{argument}/copy{suffix}")).unwrap();
                let (shm, wal) = (read("-shm"), read("-wal"));
                let head = WalIndex::open(&shm).unwrap().head;
                let facts = scan(&wal, &mut |_| ()).unwrap();
                format!("{} {}", head.headers[0].mx_frame, facts.frames.committed)
            }
            // What every library would do that knows nothing of this.
            "trap" => {
                drop(File::open(sibling("-shm")).unwrap());
                "closed".to_owned()
            }
            "count" => count(&db).map_or_else(|error| format!("failed: {error}"), |rows| rows.to_string()),
            // Without a page in the cache.
            "count-afresh" => {
                count(&command::connect(&path)).map_or_else(|error| format!("failed: {error}"), |rows| rows.to_string())
            }
            other => panic!("{other}"),
        };
        println!("{REPLY}{answer}");
    }
}

/// Every command that looks at files, as an operator would type it.
pub fn commands(path: &Path) -> Vec<Vec<String>> {
    let path = path.display().to_string();
    let shm = format!("{path}-shm");
    let wal = format!("{path}-wal");
    [
        vec!["inspect", &path],
        vec!["wal", &path, "--transactions"],
        vec!["wal", &wal],
        vec!["shm", &path, "--pages", "--hash"],
        vec!["shm", &shm],
        vec!["verify", &path],
        vec!["snapshot", &path, "-o", "b.walsnap", "--with-db", "--force"],
        vec!["rescue", &path, "-o", "rescued"],
        vec!["compare", &path, &path],
        vec!["ps"],
        vec!["probe", "hold", &path, "--for", "1"],
        vec!["probe", "seek", &path, "0123456789abcdef"],
        vec!["probe", "meet", &path, "--timeout", "1"],
    ]
    .into_iter()
    .map(|words| words.into_iter().map(str::to_owned).collect())
    .collect()
}

#[test]
fn every_command_leaves_the_locks_of_other_processes() {
    let mut host = Host::start();
    let before = host.locks();
    assert!(before.len() >= 3, "SHARED on the database, the dead-man switch, a read slot: {before:?}");
    for words in commands(&host.path()) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = command::walscope(host.folder.path(), &words);
        assert!([0, 1, 3].contains(&ran.code), "{words:?}: {} {}", ran.code, ran.stderr);
        assert_eq!(host.locks(), before, "{words:?}");
    }
    assert_eq!(host.ask("count"), "2");
}

#[test]
fn the_library_refuses_to_look_from_inside_of_the_application() {
    let mut host = Host::start();
    let before = host.locks();
    let answer = host.ask("capture");
    assert!(answer.starts_with("refused: ") && answer.contains("this very process holds POSIX locks"), "{answer}");
    assert_eq!(host.locks(), before, "refusing must not drop what it protects");
    assert_eq!(host.ask("capture"), answer, "again, with nothing left open from the first time");
}

#[test]
fn parsing_given_bytes_inside_of_the_application_touches_no_lock() {
    let mut host = Host::start();
    let before = host.locks();
    for suffix in ["-shm", "-wal"] {
        let copy = host.folder.path().join(format!("copy{suffix}"));
        fs::copy(format!("{}{suffix}", host.path().display()), copy).unwrap();
    }
    let answer = host.ask(&format!("parse {}", host.folder.path().display()));
    let (shown, found) = answer.split_once(' ').unwrap();
    assert_eq!(shown, found);
    assert_ne!(found, "0");
    assert_eq!(host.locks(), before);
}

#[test]
fn closing_a_descriptor_drops_the_locks_of_the_process() {
    let mut host = Host::start();
    let before = host.locks();
    host.ask("trap");
    let after = host.locks();
    assert!(after.len() < before.len(), "closing a second descriptor dropped nothing: {before:?} {after:?}");
}

#[test]
fn a_full_hash_table_is_described_as_sqlite_treats_it() {
    let mut host = Host::start();
    let shm = format!("{}-shm", host.path().display());
    // No lock is lost: this process has none.
    let mut bytes = fs::read(&shm).unwrap();
    for slot in bytes[16384..32768].chunks_exact_mut(2).filter(|slot| *slot == [0, 0]) {
        slot.copy_from_slice(&0xa7a7u16.to_ne_bytes());
    }
    let file = File::options().write(true).open(&shm).unwrap();
    assert_eq!(host.ask("count-afresh"), "2");
    file.write_all_at(&bytes[16384..32768], 16384).unwrap();
    let answer = host.ask("count-afresh");
    assert!(answer.contains("malformed"), "{answer}");
    let document = command::walscope(host.folder.path(), &["verify", "t.db", "--json"]).json();
    let found = document["findings"].as_array().unwrap();
    let found = found.iter().find(|finding| finding["code"] == "shm_frames_unreachable").unwrap();
    assert_eq!((&found["severity"], &found["evidence"]["full_blocks"]), (&"error".into(), &1.into()), "{found:#}");
    assert!(found["detail"].as_str().unwrap().contains("SQLITE_CORRUPT"));
}
