//! A process that writes to a database all the time, what happens to its files meanwhile, and what must be in a copy of them
//! that `walscope rescue` saved. The process is this test binary, run again; a container runs a copy of it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::Connection;
use serde_json::Value;

use crate::common::pause;
use crate::common::random::Random;

/// What the child has to do: a seed and a path.
const VARIABLE: &str = "WALSCOPE_TEST_RESCUED";

const MODES: [&str; 6] = ["WAL", "WAL", "WAL", "WAL", "DELETE", "PERSIST"];

/// Whether the writer of a seed uses a WAL.
pub fn uses_wal(seed: u64) -> bool {
    Random(seed).pick(&MODES) == "WAL"
}

/// Trials: `WALSCOPE_RESCUES`, or those of a plain test run.
pub fn trials(plain: u64) -> u64 {
    std::env::var("WALSCOPE_RESCUES").map_or(plain, |number| number.parse().unwrap())
}

/// The child's part, until its input ends or it is killed; returns at once in the parent. After each commit it writes the
/// largest row.
#[test]
fn writer() {
    let Some(task) = crate::common::task(VARIABLE) else { return };
    let task = task.into_string().unwrap();
    let (seed, path) = task.split_once(' ').unwrap();
    // Nobody outside of a container can kill what runs in it, without knowing its pid there.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let mut random = Random(seed.parse().unwrap());
    let mode = random.pick(&MODES);
    fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    let db = Connection::open(path).unwrap();
    let frames = random.pick(&[3, 20, 1000]);
    let cache = random.pick(&[5, 2000]);
    db.execute_batch(&format!(
        "PRAGMA synchronous=OFF; PRAGMA journal_mode={mode}; PRAGMA wal_autocheckpoint={frames}; PRAGMA cache_size={cache};
         CREATE TABLE t(n INTEGER PRIMARY KEY, b BLOB); CREATE TABLE s(total); INSERT INTO s VALUES(0);"
    ))
    .unwrap();
    let mut n: u64 = 0;
    while let Ok(largest) = transaction(&db, &mut random, n) {
        n = largest;
        std::io::stdout().write_all(format!("{n}\n").as_bytes()).unwrap();
        let sql = match random.below(30) {
            0 => "PRAGMA wal_checkpoint(TRUNCATE)",
            1 => "PRAGMA wal_checkpoint(PASSIVE)",
            2 => "BEGIN; UPDATE t SET b = randomblob(2000); ROLLBACK",
            _ => continue,
        };
        if db.execute_batch(sql).is_err() {
            break;
        }
    }
    // SQLite noticed that a file is gone. The connection stays as it is, and the files stay open.
    loop {
        std::thread::park();
    }
}

/// Adds some rows and changes one. The largest row is returned when they are committed.
fn transaction(db: &Connection, random: &mut Random, mut n: u64) -> rusqlite::Result<u64> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    for _ in 0..=random.below(5) {
        n += 1;
        db.execute_batch(&format!("INSERT INTO t VALUES({n}, randomblob({}))", random.below(3000)))?;
    }
    let (size, which) = (random.below(3000), 1 + random.below(n));
    db.execute_batch(&format!(
        "UPDATE t SET b = randomblob({size}) WHERE n = {which}; UPDATE s SET total = (SELECT sum(n) FROM t); COMMIT"
    ))?;
    Ok(n)
}

/// What happens to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accident {
    Nothing,
    WalDeleted,
    ShmDeleted,
    AllDeleted,
    FolderDeleted,
    Renamed,
    Replaced,
}

impl Accident {
    pub const ALL: [Self; 7] = [
        Self::Nothing,
        Self::WalDeleted,
        Self::ShmDeleted,
        Self::AllDeleted,
        Self::FolderDeleted,
        Self::Renamed,
        Self::Replaced,
    ];
}

/// A process that writes to a database all the time.
pub struct Writer {
    child: Child,
    input: Option<ChildStdin>,
    acknowledged: Arc<AtomicI64>,
    in_container: bool,
}

impl Writer {
    /// Starts one here.
    pub fn start(path: &Path, seed: u64) -> Self {
        Self::start_by(Command::new(std::env::current_exe().unwrap()).env(VARIABLE, task(seed, path)), false)
    }

    /// Starts one in a running container that has this binary as `program`.
    pub fn start_in(container: &str, program: &str, path: &Path, seed: u64) -> Self {
        let variable = format!("{VARIABLE}={}", task(seed, path));
        Self::start_by(Command::new("docker").args(["exec", "-i", "-e", &variable, container, program]), true)
    }

    fn start_by(command: &mut Command, in_container: bool) -> Self {
        let mut child = command
            .args(crate::common::only_test(module_path!(), "writer"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let acknowledged = Arc::new(AtomicI64::new(0));
        let (out, shared) = (child.stdout.take().unwrap(), Arc::clone(&acknowledged));
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Ok(n) = line.parse() {
                    shared.store(n, Ordering::SeqCst);
                }
            }
        });
        let input = child.stdin.take();
        Self { child, input, acknowledged, in_container }
    }

    pub fn pid(&self) -> u64 {
        u64::from(self.child.id())
    }

    /// The rows that it said are committed.
    pub fn rows(&self) -> i64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    pub fn wait_for(&mut self, rows: i64) {
        while self.rows() < rows {
            assert!(self.child.try_wait().unwrap().is_none(), "the writer has ended");
            pause();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.input.take());
        // The engine's client ends when the process in the container has ended.
        if !self.in_container {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn task(seed: u64, path: &Path) -> String {
    format!("{seed} {}", path.display())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Lets it happen to the files. Gives the path by which they are asked for then.
pub fn happen(accident: Accident, path: &Path, uses_wal: bool, random: &mut Random) -> PathBuf {
    match accident {
        Accident::Nothing => {}
        Accident::WalDeleted => drop(fs::remove_file(beside(path, "-wal"))),
        Accident::ShmDeleted => drop(fs::remove_file(beside(path, "-shm"))),
        Accident::AllDeleted => ["-wal", "-shm", "-journal", ""].iter().for_each(|suffix| {
            let _ = fs::remove_file(beside(path, suffix));
        }),
        Accident::FolderDeleted => {
            let folder = path.parent().unwrap();
            while folder.exists() {
                // A journal may come while the folder is emptied.
                let _ = fs::remove_dir_all(folder);
            }
        }
        Accident::Renamed => {
            let to = path.with_file_name("renamed.db");
            fs::rename(path, &to).unwrap();
            // By its old name a renamed database is known through its -wal. In rollback mode nothing has that name between
            // two transactions.
            return if random.one_in(2) || !uses_wal { to } else { path.to_owned() };
        }
        Accident::Replaced => {
            // Made elsewhere: SQLite does not open a file by way of /proc/PID/root.
            let made = tempfile::tempdir().unwrap();
            let (made, other) = (made.path().join("backup.db"), path.with_file_name("backup.db"));
            Connection::open(&made).unwrap().execute_batch("CREATE TABLE backup(x)").unwrap();
            fs::copy(made, &other).unwrap();
            fs::rename(other, path).unwrap();
        }
    }
    path.to_owned()
}

/// The set that a process has open.
pub fn set_of(document: &Value, is_the_process: impl Fn(u64) -> bool) -> Option<&Value> {
    let has_it = |set: &&Value| {
        let processes = set["processes"].as_array().unwrap();
        processes.iter().any(|process| is_the_process(process["pid"].as_u64().unwrap()))
    };
    document["sets"].as_array().unwrap().iter().find(has_it)
}

/// The rows of a saved database, which has to be whole.
pub fn rows(saved: &Path, context: impl Fn() -> String) -> i64 {
    let db = Connection::open(saved).unwrap();
    let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "{}", context());
    let (count, largest, sum): (i64, i64, i64) = db
        .query_row("SELECT count(*), max(n), sum(n) FROM t", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    let total: i64 = db.query_row("SELECT total FROM s", [], |row| row.get(0)).unwrap();
    assert_eq!((count, sum), (largest, total), "{}", context());
    largest
}
