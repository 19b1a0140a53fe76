//! Whether a `-wal` belongs to its database, asked of random histories, whose processes are killed at any moment: nothing
//! is said. `torn_copies` asks it of copies of two moments.
//!
//! ```sh
//! WALSCOPE_PAIRS=150 cargo test --release --test judge pairs_at_random -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use walscope::finding::{Code, Finding, Severity, findings};
use walscope::look::{Bytes, Inspection, Options, inspect};

use crate::common::in_memory;
use crate::common::random::Random;

/// Histories of each kind in a plain test run.
const HISTORIES: u64 = 12;
const VARIABLE: &str = "WALSCOPE_TEST_PAIR";

/// A process with a connection that does random work: by steps, or until it is killed.
pub struct Worker {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Worker {
    pub fn start(path: &Path, seed: u64, synchronous: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(crate::common::only_test(module_path!(), "works_at_random"))
            .env(VARIABLE, format!("{seed} {synchronous} {}", path.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    /// Lets it do this many statements, and waits for the last of them.
    pub fn steps(&mut self, count: u64) {
        writeln!(self.to, "{count}").unwrap();
        self.wait(count);
    }

    /// Lets it work on and on, and waits for this many statements.
    fn run(&mut self, count: u64) {
        writeln!(self.to, "{}", u64::MAX).unwrap();
        self.wait(count);
    }

    fn wait(&mut self, count: u64) {
        let mut line = String::new();
        for _ in 0..count {
            line.clear();
            // libtest writes `test name ... ` without a newline before the first answer.
            while !line.trim_end().ends_with("step") {
                line.clear();
                assert_ne!(self.from.read_line(&mut line).unwrap(), 0, "the worker has ended");
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The worker's part.
#[test]
fn works_at_random() {
    let Some(told) = crate::common::task(VARIABLE) else { return };
    let told = told.into_string().unwrap();
    let mut words = told.splitn(3, ' ');
    let mut word = || words.next().unwrap().to_owned();
    let (seed, synchronous, path) = (word().parse().unwrap(), word(), word());
    let (mut random, mut number, mut db) = (Random(seed), 0, None);
    for line in std::io::stdin().lines() {
        for _ in 0..line.unwrap().parse::<u64>().unwrap() {
            number += 1;
            // Others are in the way now and then: that ends a statement, and sometimes a transaction.
            let _ = one(&mut db, &path, &synchronous, &mut random, (seed, number));
            println!("step");
        }
    }
}

fn one(
    db: &mut Option<Connection>,
    path: &str,
    synchronous: &str,
    random: &mut Random,
    (seed, number): (u64, u64),
) -> rusqlite::Result<()> {
    if random.one_in(40) {
        *db = None;
    }
    if db.is_none() {
        let new = Connection::open(path)?;
        new.busy_timeout(Duration::from_millis(200))?;
        let (auto, cache, secure) = (random.pick(&[0, 5, 20, 100]), random.pick(&[5, 10, 2000]), random.below(2));
        new.execute_batch(&format!(
            "PRAGMA synchronous={synchronous}; PRAGMA wal_autocheckpoint={auto}; PRAGMA cache_size={cache};
             PRAGMA secure_delete={secure}; CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, d BLOB)"
        ))?;
        *db = Some(new);
    }
    let Some(db) = db else { return Ok(()) };
    let (modes, ends) =
        (["PASSIVE", "PASSIVE", "FULL", "RESTART", "RESTART", "TRUNCATE"], ["COMMIT", "COMMIT", "ROLLBACK"]);
    let sql = match random.below(100) {
        0..6 => format!("CREATE TABLE z{seed}_{number}(a)"),
        kind @ 6..18 => {
            let (rows, drop) =
                (random.below(85) + 5, if kind < 10 { format!("DROP TABLE b{seed};") } else { String::new() });
            format!(
                "BEGIN; CREATE TABLE IF NOT EXISTS b{seed}(a);
                 INSERT INTO b{seed} WITH RECURSIVE q(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM q WHERE i < {rows}) SELECT randomblob(700) FROM q;
                 {drop} {}",
                random.pick(&ends)
            )
        }
        18..54 => format!("INSERT INTO t(d) VALUES(randomblob({}))", random.below(5000) + 1),
        54..63 => format!("DELETE FROM t WHERE id % {} = 0", random.below(7) + 2),
        63..68 => format!("PRAGMA incremental_vacuum({})", random.below(19) + 1),
        68..77 => format!("PRAGMA wal_checkpoint({})", random.pick(&modes)),
        77 => "VACUUM".to_owned(),
        _ => format!("UPDATE t SET d = randomblob({}) WHERE id = {}", random.below(3000) + 1, random.below(49) + 1),
    };
    let done = db.execute_batch(&sql);
    if !db.is_autocommit() {
        db.execute_batch("ROLLBACK")?;
    }
    done
}

/// A new database in WAL mode.
pub fn database(path: &Path, random: &mut Random) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    let page_size = 512 << random.pick(&[0, 0, 1, 1, 2, 3, 3, 6, 7]);
    let db = Connection::open(path).unwrap();
    db.execute_batch(&format!(
        "PRAGMA page_size={page_size}; PRAGMA auto_vacuum={}; PRAGMA journal_mode=WAL;
         CREATE TABLE t(id INTEGER PRIMARY KEY, d BLOB)",
        random.below(3)
    ))
    .unwrap();
}

pub fn read(path: &Path, suffix: &str) -> Option<Vec<u8>> {
    fs::read(format!("{}{suffix}", path.display())).ok()
}

/// What is found in a database and a `-wal` that nobody uses.
pub fn look(database: Vec<u8>, wal: Option<Vec<u8>>) -> (Inspection, Vec<Finding>) {
    let seen = inspect(&Bytes { database: Some(database), wal, ..Bytes::default() }, &Options::default()).unwrap();
    let found = findings(&seen).into_iter().filter(|finding| finding.severity >= Severity::Warning).collect();
    (seen, found)
}

fn histories() -> u64 {
    std::env::var("WALSCOPE_PAIRS").map_or(HISTORIES, |number| number.parse().unwrap())
}

pub type Tally = BTreeMap<String, u64>;

pub fn count(tally: &mut Tally, what: impl Into<String>) {
    *tally.entry(what.into()).or_default() += 1;
}

#[test]
fn random_histories_with_kills_fit_their_wal() {
    let (folder, mut tally) = (in_memory(), Tally::new());
    let path = folder.path().join("t.db");
    for seed in 0..histories() {
        let mut random = Random(seed);
        database(&path, &mut random);
        let (synchronous, alone) = (random.pick(&[0, 0, 1, 2]), random.one_in(2));
        for _ in 0..=random.below(4) {
            let workers = 1 + random.below(3);
            let mut workers: Vec<Worker> =
                (0..workers).map(|_| Worker::start(&path, random.below(1 << 30), synchronous)).collect();
            for worker in &mut workers {
                worker.run(1);
            }
            while !workers.is_empty() {
                let waited_for = random.below(workers.len() as u64) as usize;
                workers[waited_for].wait(1 + random.below(60));
                let rest = workers.split_off(if alone { 1 } else { workers.len() });
                workers.iter_mut().for_each(Worker::kill);
                workers = rest;
            }
            let (seen, found) = look(read(&path, "").unwrap(), read(&path, "-wal"));
            let how = if alone { "killed one by one" } else { "killed at once" };
            count(&mut tally, how);
            for (what, compared) in [
                ("pages", seen.pages.is_ok()),
                ("page 1", seen.page_ones.is_ok()),
                ("frames before", seen.stale.is_ok()),
            ] {
                if compared {
                    count(&mut tally, format!("{how}: {what}"));
                }
            }
            // One by one, a writer can die between its commit frame and the wal-index.
            let excused = |finding: &&Finding| alone && finding.code() == Code::StaleFramesNotInDatabase;
            let (excused, wrong): (Vec<&Finding>, Vec<&Finding>) = found.iter().partition(excused);
            assert!(wrong.is_empty(), "seed {seed}, {how}, synchronous {synchronous}: {wrong:#?}");
            excused.iter().for_each(|_| count(&mut tally, "excused"));
        }
    }
    println!("{tally:#?}");
    let states = tally.get("killed one by one").copied().unwrap_or_default() + tally["killed at once"];
    let of = |what: &str| {
        ["killed one by one", "killed at once"]
            .iter()
            .filter_map(|how| tally.get(&format!("{how}: {what}")))
            .sum::<u64>()
    };
    assert!(of("pages") * 3 > states && of("page 1") * 3 > states && of("frames before") * 10 > states, "{tally:#?}");
    assert!(tally.get("excused").copied().unwrap_or_default() * 20 <= states, "{tally:#?}");
}

#[test]
fn a_page_1_that_a_killed_checkpoint_wrote_by_half_is_not_taken_for_another_schema() {
    let folder = in_memory();
    let path = folder.path().join("t.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "PRAGMA page_size=32768; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a);
         PRAGMA wal_checkpoint(TRUNCATE); CREATE TABLE u(a)",
    )
    .unwrap();
    let (before, wal) = (read(&path, "").unwrap(), read(&path, "-wal").unwrap());
    // The first frame with page 1: a header of 32 bytes, and one of 24.
    let frames = wal[32..].chunks(24 + 32768);
    let image = &frames.rev().find(|frame| frame[..4] == [0, 0, 0, 1]).unwrap()[24..];
    for written in [4096, 8192, 28672] {
        let mut database = before.clone();
        database[..written].copy_from_slice(&image[..written]);
        let (seen, found) = look(database, Some(wal.clone()));
        assert!(seen.page_ones.is_ok() && found.is_empty(), "{written}: {found:#?}");
    }
}
