//! SQLite is the judge: random histories, written by SQLite in a process that dies with its files open, decoded here and
//! recovered by SQLite from copies.
//!
//! Everything that touches a database through SQLite happens in child processes (this test binary again): a process
//! that closes any descriptor of a file loses its POSIX locks on it, and a killed process leaves its `-shm` behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};
use walscope::analysis::checkpoint::{CheckpointState, diagnose};
use walscope::analysis::shm::{BlockFacts, Lookup, WalIndex};
use walscope::analysis::transactions::transactions;
use walscope::analysis::wal::{Frame, FrameClass, WalFacts, scan, scan_pages};
use walscope::format::shm::block_of;

use support::read_native_header;

/// Names the folder and seed of a history to a child.
const HISTORY: &str = "WALSCOPE_TEST_HISTORY";
/// Names the folder with copies to a child.
const JUDGE: &str = "WALSCOPE_TEST_JUDGE";
const HISTORIES: u64 = 50;
const CUTS: u64 = 10;

/// splitmix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What the histories have shown together: a test that never met a rollback says nothing about rollbacks.
#[derive(Debug, Default)]
struct Seen {
    commits: u64,
    padding: u64,
    uncommitted: u64,
    residue: u64,
    stale: u64,
    shrunk: u64,
    blocks: u64,
}

#[test]
fn fifty_random_histories_agree_with_sqlite() {
    let mut seen = Seen::default();
    for seed in 0..HISTORIES {
        check_history(seed, &mut seen);
    }
    eprintln!("{seen:?}");
    assert!(seen.commits > 500, "{seen:?}");
    assert!(seen.padding > 0 && seen.uncommitted > 0 && seen.residue > 0 && seen.stale > 0, "{seen:?}");
    assert!(seen.shrunk > 0, "{seen:?}");
}

#[test]
fn a_wal_index_of_three_blocks_agrees_with_sqlite() {
    let mut seen = Seen::default();
    check_history(LONG, &mut seen);
    assert!(seen.blocks >= 3, "{seen:?}");
}

/// A seed whose history is one long row of small commits.
const LONG: u64 = 1_000_000;

/// The whole of one history: written, decoded, judged.
fn check_history(seed: u64, seen: &mut Seen) {
    let folder = tempfile::tempdir().unwrap();
    run_child("writes_one_history", HISTORY, &format!("{seed}:{}", folder.path().display()));
    let database = folder.path().join("t.db");
    let wal = fs::read(folder.path().join("t.db-wal")).unwrap();
    let shm = fs::read(folder.path().join("t.db-shm")).unwrap();

    let mut frames = Vec::new();
    let facts = scan(&wal, &mut |frame| frames.push(*frame)).unwrap();
    count(&wal, &facts, &frames, seen);
    let committed = facts.frames.committed;
    seen.blocks = seen.blocks.max(u64::from(block_of(committed as u32)) + 1);

    // What the writer left in its -shm, killed outside of any commit.
    let left = read_native_header(&shm);
    assert_eq!(u64::from(left.mx_frame), committed, "seed {seed}: mxFrame of the killed writer");
    check_index(&shm, &frames, committed, seed);

    // What SQLite recovers from a copy, from copies cut short, and what it checkpoints.
    let copies = tempfile::tempdir().unwrap();
    let mut random = Random(seed ^ 0xc0ffee);
    let mut cuts = vec![wal.len()];
    for _ in 0..CUTS.min(wal.len() as u64) {
        cuts.push(cut(&wal, &frames, &mut random));
    }
    for (n, length) in cuts.iter().enumerate() {
        copy(&copies.path().join(format!("cut-{n:02}")), &database, &wal[..*length]);
    }
    let checkpointed = copies.path().join("checkpoint");
    copy(&checkpointed, &database, &wal);
    run_child("judges_the_copies", JUDGE, &copies.path().display().to_string());
    for (n, length) in cuts.iter().enumerate() {
        check_recovery(&copies.path().join(format!("cut-{n:02}")), &wal[..*length], seed);
    }
    check_checkpoint(&checkpointed, &wal, &facts, seed);
}

/// A length to cut a WAL at: behind a commit frame, behind any frame, or anywhere.
fn cut(wal: &[u8], frames: &[Frame], random: &mut Random) -> usize {
    let end = |frame: &Frame| frames.get(frame.number as usize).map_or(wal.len(), |next| next.offset as usize);
    let commits: Vec<&Frame> = frames.iter().filter(|frame| frame.valid && frame.header.is_commit()).collect();
    match random.below(4) {
        0 | 1 if !commits.is_empty() => end(commits[random.below(commits.len() as u64) as usize]),
        2 if !frames.is_empty() => end(&frames[random.below(frames.len() as u64) as usize]),
        _ => random.below(wal.len() as u64 + 1) as usize,
    }
}

fn check_recovery(folder: &Path, wal: &[u8], seed: u64) {
    let facts = scan(&wal.to_vec(), &mut |_| ()).unwrap();
    let what = format!("seed {seed}, {} at {} bytes", folder.display(), wal.len());
    let shm = fs::read(folder.join("t.db-shm")).unwrap();
    let sqlite = read_native_header(&shm);
    let Some(last) = facts.last_commit else {
        assert_eq!(sqlite.mx_frame, 0, "{what}");
        return;
    };
    assert_eq!(u64::from(sqlite.mx_frame), last.frame, "{what}: mxFrame");
    assert_eq!(sqlite.database_pages, last.database_pages, "{what}: nPage");
    assert_eq!(sqlite.frame_checksum, last.checksum, "{what}: aFrameCksum");
    assert_eq!(Some(sqlite.page_size), facts.page_size(), "{what}: szPage");
    assert_eq!(Some(sqlite.salts), facts.header.map(|header| header.salts()), "{what}: aSalt");
    let page_count: u32 = fs::read_to_string(folder.join("page_count")).unwrap().parse().unwrap();
    assert_eq!(page_count, last.database_pages, "{what}: PRAGMA page_count");
    // Recovery sets nBackfillAttempted to mxFrame; that is no interrupted checkpoint.
    let head = WalIndex::open(&shm).unwrap().head;
    assert_eq!(diagnose(&facts, Some(&head), None).state, CheckpointState::Pending, "{what}");
}

fn check_checkpoint(folder: &Path, wal: &Vec<u8>, facts: &WalFacts, seed: u64) {
    let result = fs::read_to_string(folder.join("result")).unwrap();
    let committed = facts.frames.committed;
    assert_eq!(result, format!("0|{committed}|{committed}"), "seed {seed}: wal_checkpoint");
    let shm = fs::read(folder.join("t.db-shm")).unwrap();
    let judged = diagnose(facts, Some(&WalIndex::open(&shm).unwrap().head), None);
    let Some(last) = facts.last_commit else { return };
    assert_eq!((judged.state, judged.backfilled), (CheckpointState::Complete, committed), "seed {seed}");

    let mut images: HashMap<u32, Vec<u8>> = HashMap::new();
    scan_pages(wal, &mut |frame, page| {
        if facts.class_of(frame) == FrameClass::Committed {
            images.insert(frame.header.page, page.to_vec());
        }
    })
    .unwrap();
    let database = fs::read(folder.join("t.db")).unwrap();
    for (page, image) in images.iter().filter(|(page, _)| **page <= last.database_pages) {
        let at = (*page as usize - 1) * image.len();
        assert!(database[at..at + image.len()] == image[..], "seed {seed}: page {page} after the checkpoint");
    }
}

/// Every entry and every lookup of a -shm that SQLite wrote.
fn check_index(shm: &Vec<u8>, frames: &[Frame], committed: u64, seed: u64) {
    let index = WalIndex::open(shm).unwrap();
    let mx_frame = u32::try_from(committed).unwrap();
    let blocks: Vec<_> = (0..=block_of(mx_frame)).map(|number| index.block(number).unwrap()).collect();
    for block in &blocks {
        let facts = BlockFacts::of(block, mx_frame);
        assert!(facts.sound() && facts.live_slots == facts.indexed, "seed {seed}: {facts:?}");
    }
    let mut newest = HashMap::new();
    for frame in frames.iter().take(committed as usize) {
        let block = &blocks[block_of(frame.number as u32) as usize];
        let entry = (frame.number - block.first_frame) as usize;
        assert_eq!(block.page_numbers[entry], frame.header.page, "seed {seed}: frame {}", frame.number);
        newest.insert(frame.header.page, frame.number);
    }
    for (page, frame) in newest.iter().take(200) {
        assert_eq!(index.frame_of_page(*page, mx_frame).unwrap(), Lookup::Found(*frame), "seed {seed}: page {page}");
    }
    assert_eq!(index.frame_of_page(u32::MAX, mx_frame).unwrap(), Lookup::Absent);
}

fn count(wal: &Vec<u8>, facts: &WalFacts, frames: &[Frame], seen: &mut Seen) {
    seen.commits += facts.commits;
    seen.uncommitted += facts.frames.uncommitted;
    seen.residue += facts.frames.residue;
    seen.stale += facts.frames.stale;
    let commits: Vec<u32> = frames
        .iter()
        .filter(|frame| frame.valid && frame.header.is_commit())
        .map(|frame| frame.header.commit_pages)
        .collect();
    seen.shrunk += commits.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
    transactions(wal, 0, &mut |transaction| seen.padding += transaction.commit_points() - 1).unwrap();
}

fn copy(folder: &Path, database: &Path, wal: &[u8]) {
    fs::create_dir(folder).unwrap();
    fs::copy(database, folder.join("t.db")).unwrap();
    fs::write(folder.join("t.db-wal"), wal).unwrap();
}

/// Runs one of the tests below, which are no tests, in a process of its own that ends by aborting.
fn run_child(name: &str, variable: &str, value: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(variable, value)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(DONE), "{name} {value}: {text}");
}

/// What a child says right before it dies with its files open.
const DONE: &str = "the child did its work";

fn die() -> ! {
    println!("{DONE}");
    std::process::abort()
}

#[test]
#[ignore = "a child of the tests above"]
fn writes_one_history() {
    let task = std::env::var(HISTORY).unwrap();
    let (seed, folder) = task.split_once(':').unwrap();
    let seed: u64 = seed.parse().unwrap();
    let path = PathBuf::from(folder).join("t.db");
    let mut history = History::begin(&path, seed);
    if seed == LONG {
        history.write_long()
    } else {
        history.write()
    }
    // `history` still lives: its connections are never closed.
    die();
}

#[test]
#[ignore = "a child of the tests above"]
fn judges_the_copies() {
    for entry in fs::read_dir(std::env::var(JUDGE).unwrap()).unwrap() {
        let folder = entry.unwrap().path();
        let connection = Connection::open(folder.join("t.db")).unwrap();
        connection.execute_batch("PRAGMA synchronous=OFF").unwrap();
        if folder.ends_with("checkpoint") {
            let row = connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                    Ok(format!("{}|{}|{}", row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
                })
                .unwrap();
            fs::write(folder.join("result"), row).unwrap();
        } else {
            // A cut WAL beside a database that was checkpointed further is no consistent database; recovery does not care.
            let pages: u32 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap_or(0);
            fs::write(folder.join("page_count"), pages.to_string()).unwrap();
        }
        // Closing would checkpoint and delete what is to be looked at.
        std::mem::forget(connection);
    }
    die();
}

/// A writer at work.
struct History {
    random: Random,
    writer: Connection,
    reader: Connection,
    reading: bool,
    page_size: u64,
}

impl History {
    fn begin(path: &Path, seed: u64) -> Self {
        let mut random = Random(seed);
        let page_size = 512 << (seed % 8);
        // Without powersafe overwrite, and with full synchronisation, commits are padded to the sector boundary.
        let padded = seed.is_multiple_of(5) && seed != LONG;
        let uri = format!("file:{}?psow={}", path.display(), u8::from(!padded));
        let open = || Connection::open_with_flags(&uri, OpenFlags::default() | OpenFlags::SQLITE_OPEN_URI).unwrap();
        let (writer, reader) = (open(), open());
        // A checkpoint that meets a reader is to come back busy, not to wait for it.
        writer.busy_timeout(Duration::ZERO).unwrap();
        let synchronous = if padded { "FULL" } else { "OFF" };
        writer
            .execute_batch(&format!(
                "PRAGMA synchronous={synchronous}; PRAGMA page_size={page_size}; PRAGMA auto_vacuum={};
                 PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=8;
                 CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB); INSERT INTO t(b) VALUES (x'00');",
                random.below(3)
            ))
            .unwrap();
        Self { random, writer, reader, reading: false, page_size }
    }

    /// Many single-page commits: more frames than two blocks of the wal-index hold.
    fn write_long(&self) {
        let mut insert = self.writer.prepare("INSERT INTO t(b) VALUES (?1)").unwrap();
        for n in 0..8_300 {
            insert.execute(params![n]).unwrap();
        }
    }

    fn write(&mut self) {
        for _ in 0..30 + self.random.below(40) {
            self.step();
        }
        if self.random.one_in(2) {
            self.run("BEGIN");
            self.insert(40);
        }
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0..=4 => {
                let rows = 1 + self.random.below(6);
                self.run("BEGIN");
                self.insert(rows);
                self.run("COMMIT");
            }
            5 | 6 => {
                let id = self.random.below(60);
                let sql = format!("UPDATE t SET b = randomblob(length(b)) WHERE id BETWEEN {id} AND {}", id + 4);
                self.run(&sql);
            }
            7 | 8 => {
                let id = self.random.below(60);
                let sql = format!("DELETE FROM t WHERE id BETWEEN {id} AND {}", id + 9);
                self.run(&sql);
            }
            9 => {
                self.run("BEGIN");
                self.insert(30);
                self.run("ROLLBACK");
            }
            10 => {
                self.run("BEGIN");
                self.insert(3);
                self.run("SAVEPOINT s");
                self.insert(20);
                self.run("ROLLBACK TO s");
                self.insert(2);
                self.run("COMMIT");
            }
            11 => self.run("PRAGMA wal_checkpoint(PASSIVE)"),
            12 => self.run("PRAGMA wal_checkpoint(RESTART)"),
            13 => {
                let sql = if self.random.one_in(3) { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "VACUUM" };
                self.run(sql);
            }
            14 => self.run("PRAGMA incremental_vacuum"),
            _ => {
                let sql = if self.reading { "COMMIT" } else { "BEGIN; SELECT count(*) FROM t" };
                self.reader.execute_batch(sql).unwrap();
                self.reading = !self.reading;
            }
        }
    }

    fn run(&self, sql: &str) {
        self.writer.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn insert(&mut self, rows: u64) {
        let longest = (self.page_size * 2).min(20_000);
        for _ in 0..rows {
            let length = self.random.below(longest);
            self.writer.execute("INSERT INTO t(b) VALUES (randomblob(?1))", params![length as i64]).unwrap();
        }
    }
}
