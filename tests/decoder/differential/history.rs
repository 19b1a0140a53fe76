//! Random histories, written by SQLite in a process of its own that dies with its files open, by itself or by SIGKILL.
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};
use rustix::process::{Signal, getpid, kill_process};

use super::die;
use crate::common::random::Random;

/// Names the folder and seed of a history to a child.
pub const HISTORY: &str = "WALSCOPE_TEST_HISTORY";

/// Where the test function of the child stands.
pub const MODULE: &str = module_path!();

/// A seed whose history is one long row of small commits.
pub const LONG: u64 = 1_000_000;

#[test]
fn writes_one_history() {
    let Some(task) = crate::common::task(HISTORY) else { return };
    let task = task.into_string().unwrap();
    let (seed, folder) = task.split_once(':').unwrap();
    let seed: u64 = seed.parse().unwrap();
    let path = PathBuf::from(folder).join("t.db");
    let mut history = History::begin(&path, seed);
    if seed == LONG {
        history.write_long();
    } else {
        history.write();
    }
    // `history` still lives: its connections are never closed.
    die();
}

/// A writer at work.
pub struct History {
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
        let steps = 30 + self.random.below(40);
        let killed_from = self.random.one_in(3).then(|| self.random.below(steps));
        for step in 0..steps {
            if killed_from == Some(step) {
                self.arm();
            }
            self.step();
        }
        if self.random.one_in(2) {
            self.run("BEGIN");
            self.insert(40);
        }
    }

    /// SIGKILL to itself at the N-th call of a hook from here on.
    fn arm(&mut self) {
        let hook = self.random.below(4);
        let calls = [8, 4, 4, 4_000][hook as usize];
        let left = AtomicU64::new(1 + self.random.below(calls));
        let count = move || {
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                kill_process(getpid(), Signal::KILL).unwrap();
            }
        };
        match hook {
            0 => self.writer.update_hook(Some(move |_, _: &str, _: &str, _| count())).unwrap(),
            1 => self
                .writer
                .commit_hook(Some(move || {
                    count();
                    false
                }))
                .unwrap(),
            2 => self
                .writer
                .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, _| {
                    count();
                    Ok(())
                }))
                .unwrap(),
            _ => self
                .writer
                .progress_handler(
                    1,
                    Some(move || {
                        count();
                        false
                    }),
                )
                .unwrap(),
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
