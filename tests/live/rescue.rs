//! Saves files beside a process that writes all the time, after they were deleted, renamed or replaced: what is saved opens
//! in SQLite, is whole, and has every row that was committed before.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::Connection;

use crate::common::command::walscope;
use crate::common::pause;
use crate::common::random::Random;

const VARIABLE: &str = "WALSCOPE_TEST_RESCUED";
/// Trials of a plain test run.
const TRIALS: u64 = 40;

const MODES: [&str; 6] = ["WAL", "WAL", "WAL", "WAL", "DELETE", "PERSIST"];

/// The child's part, until it is killed; returns at once in the parent. After each commit it writes the largest row.
pub fn serve() {
    let Ok(task) = std::env::var(VARIABLE) else { return };
    let (seed, path) = task.split_once(' ').unwrap();
    let mut random = Random(seed.parse().unwrap());
    let mode = random.pick(&MODES);
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
enum Accident {
    Nothing,
    WalDeleted,
    ShmDeleted,
    AllDeleted,
    FolderDeleted,
    Renamed,
    Replaced,
}

struct Writer {
    child: Child,
    acknowledged: Arc<AtomicI64>,
}

impl Writer {
    fn start(path: &Path, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["rescued", "--exact", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, format!("{seed} {}", path.display()))
            .stdin(Stdio::null())
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
        Self { child, acknowledged }
    }

    fn rows(&self) -> i64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    fn wait_for(&mut self, rows: i64) {
        while self.rows() < rows {
            assert!(self.child.try_wait().unwrap().is_none(), "the writer has ended");
            pause();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn happen(accident: Accident, path: &Path, random: &mut Random) -> PathBuf {
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
            return if random.one_in(2) { to } else { path.to_owned() };
        }
        Accident::Replaced => {
            let other = path.with_file_name("backup.db");
            Connection::open(&other).unwrap().execute_batch("CREATE TABLE backup(x)").unwrap();
            fs::rename(other, path).unwrap();
        }
    }
    path.to_owned()
}

/// The rows of a saved database, if it is whole.
fn rows(saved: &Path, context: impl Fn() -> String) -> i64 {
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

fn trial(seed: u64) -> (Accident, i32) {
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let path = data.join("t.db");
    let mut writer = Writer::start(&path, seed);
    let rows_before = 1 + i64::try_from(random.below(300)).unwrap();
    writer.wait_for(rows_before);
    let accident = random.pick(&[
        Accident::Nothing,
        Accident::WalDeleted,
        Accident::ShmDeleted,
        Accident::AllDeleted,
        Accident::FolderDeleted,
        Accident::Renamed,
        Accident::Replaced,
    ]);
    let mut source = happen(accident, &path, &mut random);
    // By its old name a renamed database is known through its -wal. In rollback mode nothing has that name between two
    // transactions.
    if accident == Accident::Renamed && Random(seed).pick(&MODES) != "WAL" {
        source = path.with_file_name("renamed.db");
    }
    let committed = writer.rows();
    let ran = walscope(folder.path(), &["rescue", &source.display().to_string(), "-o", "saved", "--json"]);
    let context = || format!("seed {seed}, {accident:?}: {} {}", ran.text(), ran.stderr);
    assert!(ran.code == 0 || ran.code == 1, "{}", context());
    // In rollback mode SQLite notices that a file is gone, and the writer ends.
    let pid = u64::from(writer.child.id());
    let document = ran.json();
    let of_writer =
        |set: &&serde_json::Value| set["processes"].as_array().unwrap().iter().any(|process| process["pid"] == pid);
    let sets = document["sets"].as_array().unwrap();
    let set = sets.iter().find(of_writer).unwrap_or_else(|| panic!("{}", context()));
    if set["stable"] == true {
        let saved = rows(&folder.path().join(set["database"].as_str().unwrap()), context);
        assert!(saved >= committed, "{saved} of {committed} rows: {}", context());
    }
    (accident, ran.code)
}

#[test]
fn what_a_rescue_saves_has_every_row_that_was_committed_before_it() {
    let trials = std::env::var("WALSCOPE_RESCUES").map_or(TRIALS, |number| number.parse().unwrap());
    let mut unstable = 0;
    for seed in 1..=trials {
        let (_, code) = trial(seed);
        unstable += u64::from(code != 0);
    }
    eprintln!("{trials} rescues beside a busy writer, {unstable} of them not shown to be of one moment");
    assert!(unstable * 10 <= trials, "{unstable} of {trials}");
}

/// A process is killed while its files are looked for. What it had open is gone then, and nobody may say that all was saved.
#[test]
fn a_rescue_beside_a_process_that_ends_never_says_all_without_the_wal() {
    let in_wal_mode = (1..).find(|seed| Random(*seed).pick(&MODES) == "WAL").unwrap();
    let mut without = 0;
    for seed in 1..=TRIALS {
        let mut random = Random(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let mut writer = Writer::start(&path, in_wal_mode);
        writer.wait_for(1 + i64::try_from(random.below(20)).unwrap());
        happen(Accident::AllDeleted, &path, &mut random);
        let output = folder.path().join("saved");
        let mut rescue = Command::new(crate::common::command::EXE);
        rescue.arg("rescue").arg(&path).arg("-o").arg(&output).stdout(Stdio::null()).stderr(Stdio::null());
        let mut rescue = rescue.spawn().unwrap();
        (0..random.below(2000)).for_each(|_| std::thread::yield_now());
        drop(writer);
        let code = rescue.wait().unwrap().code();
        let saved = output.join("t.db-wal").exists();
        without += u64::from(!saved);
        assert!(code != Some(0) || saved, "seed {seed}: all is said to be saved without the -wal");
    }
    eprintln!("{TRIALS} rescues beside a process that ends, {without} of them without the -wal");
}
