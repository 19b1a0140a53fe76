//! A scene with real SQLite, what `inspect` says of it, and what SQLite does next.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::actor::{Actor, Answer};
use crate::common::command::walscope;
use crate::common::in_memory;

/// What a connection finds that opens the database and reads the table `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// So many rows, and `PRAGMA integrity_check` says ok.
    Rows(i64),
    /// So many rows, and `PRAGMA integrity_check` names faults, or fails.
    Faulty(i64),
    Fails(&'static str),
    Dies(i32),
}

/// What a connection gets that writes a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// It is written. This is what another one reads then, and so many frames are in the WAL; -1: nobody can tell.
    Then(Reads, i64),
    Fails(&'static str),
}

/// What `PRAGMA wal_checkpoint` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// Whether it was blocked, the frames in the WAL, and how many of them are in the database. -1: there is no WAL.
    Returns(i64, i64, i64),
    Fails(&'static str),
}

/// What is left after the last connection closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Whether the `-wal` is still there.
    pub wal: bool,
    /// What the database holds without it.
    pub alone: Reads,
}

/// What SQLite does next: each of these is done to a scene of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// Rows whose transactions were committed.
    pub rows: i64,
    /// A process that has the database open reads again; the first connection of the first process that is not held.
    pub there: Option<Reads>,
    /// A new process reads.
    pub reader: Reads,
    /// A new process writes.
    pub writer: Writes,
    /// A new process runs `PRAGMA wal_checkpoint`.
    pub passive: Checkpoint,
    /// A new process runs `PRAGMA wal_checkpoint(TRUNCATE)`.
    pub truncate: Checkpoint,
    /// Those who have it open close it; if nobody has, one opens it, reads and closes.
    pub close: Closed,
    /// Those who have it open are killed; then one opens it and reads.
    pub killed: Option<Reads>,
}

/// What SQLite does next with files that nobody has open: by a reader, a writer, both checkpoints, and one that closes.
pub fn rest(rows: i64, reader: Reads, writer: Writes, [passive, truncate]: [Checkpoint; 2], close: Closed) -> Next {
    Next { rows, there: None, reader, writer, passive, truncate, close, killed: None }
}

/// What SQLite does next with a database in use: read by one that is there, by a new one, and after all were killed; then
/// as in [`rest`].
pub fn live(
    rows: i64,
    [there, reader, killed]: [Reads; 3],
    writer: Writes,
    checkpoints: [Checkpoint; 2],
    close: Closed,
) -> Next {
    Next { there: Some(there), killed: Some(killed), ..rest(rows, reader, writer, checkpoints, close) }
}

/// The `-wal` is gone after the last close.
pub fn gone(alone: Reads) -> Closed {
    Closed { wal: false, alone }
}

/// The `-wal` stays.
pub fn stays(alone: Reads) -> Closed {
    Closed { wal: true, alone }
}

/// Where `inspect` looks.
pub enum Source {
    /// At the database.
    Database,
    /// At the `-wal` alone.
    Wal,
    /// At a file that the scene made from the database.
    Other(String),
    /// The scene looked itself: a document of `inspect`.
    Looked(Value),
}

/// The files of a scene, and the processes that have them open. The last of them closes first.
pub struct Stage {
    folder: tempfile::TempDir,
    pub there: Vec<Actor>,
    /// Rows whose transactions were committed.
    pub rows: i64,
    pub source: Source,
}

/// The pages of the databases are as small as they can be.
pub const PAGE: usize = 512;
/// Bytes of a frame.
pub const FRAME: usize = 24 + PAGE;

impl Stage {
    /// An empty folder.
    pub fn new() -> Self {
        // In memory if that can be, so that no disk is waited for.
        let folder = in_memory();
        Self { folder, there: Vec::new(), rows: 0, source: Source::Database }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file beside the database: "", "-wal", "-shm".
    pub fn file(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("t.db{suffix}"))
    }

    /// A process that has the database open, and read from it.
    pub fn join(&mut self) -> &mut Actor {
        let mut actor = Actor::with("a", &self.file(""));
        actor.sql("a", "SELECT count(*) FROM sqlite_master");
        self.add(actor)
    }

    pub fn add(&mut self, actor: Actor) -> &mut Actor {
        self.there.push(actor);
        self.there.last_mut().unwrap()
    }

    /// SIGKILL for all, so that -wal and -shm stay.
    pub fn kill_all(&mut self) {
        self.there.clear();
    }

    /// A database in WAL mode with rows, in use by one process; nothing is in its -wal.
    pub fn create(&mut self, rows: i64) {
        let mut actor = Actor::with("a", &self.file(""));
        actor.sql("a", &format!("PRAGMA page_size={PAGE}"));
        actor.sql("a", "PRAGMA journal_mode=WAL");
        actor.sql("a", "CREATE TABLE t(x)");
        self.add(actor);
        self.insert(rows);
        self.checkpoint("TRUNCATE");
    }

    /// Rows by the first process, in one transaction each; each has a page of its own.
    pub fn insert(&mut self, rows: i64) {
        for _ in 0..rows {
            self.there[0].sql("a", INSERT);
            self.rows += 1;
        }
    }

    pub fn checkpoint(&mut self, mode: &str) -> String {
        self.there[0].sql("a", &format!("PRAGMA wal_checkpoint({mode})"))
    }

    /// A process with a read transaction.
    pub fn reader(&mut self) {
        let actor = self.join();
        actor.sql("a", "BEGIN");
        actor.sql("a", COUNT);
    }

    /// Writes bytes into a file as it is.
    pub fn poke(&self, suffix: &str, offset: usize, bytes: &[u8]) {
        let file = File::options().write(true).open(self.file(suffix)).unwrap();
        file.write_all_at(bytes, offset as u64).unwrap();
    }

    /// Cuts a file off.
    pub fn cut(&self, suffix: &str, bytes: usize) {
        File::options().write(true).open(self.file(suffix)).unwrap().set_len(bytes as u64).unwrap();
    }

    /// Writes a file anew in place, as `cp` does.
    pub fn put(&self, suffix: &str, bytes: &[u8]) {
        fs::write(self.file(suffix), bytes).unwrap();
    }

    pub fn bytes(&self, suffix: &str) -> Vec<u8> {
        fs::read(self.file(suffix)).unwrap()
    }

    /// The checkpoint in the document of `inspect`; processes have the same numbers and names each time.
    pub fn inspect(&self) -> (String, String) {
        let name = match &self.source {
            Source::Database => "t.db",
            Source::Wal => "t.db-wal",
            Source::Other(name) => name,
            Source::Looked(document) => return self.said(document),
        };
        let ran = walscope(self.folder(), &["inspect", name, "--json"]);
        assert!(ran.code <= 1, "{}", ran.stderr);
        self.said(&ran.json())
    }

    fn said(&self, document: &Value) -> (String, String) {
        let checkpoint = &document["checkpoint"];
        let text = |name: &str| checkpoint[name].as_str().unwrap_or_else(|| panic!("{document:#}")).to_owned();
        let pids: Vec<u32> = self.there.iter().map(Actor::pid).collect();
        (text("sentence"), with_fixed_numbers(&text("explanation"), &pids))
    }
}

/// The same sentence with the numbers from 4711 on for these processes, and one name for all.
fn with_fixed_numbers(said: &str, pids: &[u32]) -> String {
    let mut fixed = String::new();
    let mut rest = said;
    // Each process is replaced once, from the left: a real number can be one of the fixed ones.
    let first = |text: &str| {
        let of = |(number, pid): (u32, &u32)| {
            let found = ["pid", "process"].map(|word| Some((text.find(&format!("{word} {pid} ("))?, word, number)));
            found.into_iter().flatten().min()
        };
        (4711..).zip(pids).filter_map(of).min()
    };
    while let Some((at, word, number)) = first(rest) {
        let end = at + rest[at..].find(')').unwrap() + 1;
        fixed += &format!("{}{word} {number} (app)", &rest[..at]);
        rest = &rest[end..];
    }
    fixed + rest
}

#[test]
fn real_process_numbers_that_are_those_of_the_document_are_replaced_once() {
    let said = "process 4711 (a b) waits for pid 9 (x), and pid 4711 (a b) for nobody";
    let fixed = "process 4712 (app) waits for pid 4711 (app), and pid 4712 (app) for nobody";
    assert_eq!(with_fixed_numbers(said, &[9, 4711]), fixed);
}

/// One row, of the size of a page.
pub const INSERT: &str = "INSERT INTO t VALUES(hex(zeroblob(200)))";
pub const COUNT: &str = "SELECT count(*) FROM t";

fn reads_by(actor: &mut Actor) -> Reads {
    let rows = match actor.ask_sql("a", COUNT) {
        Answer::Done(rows) => rows.parse().unwrap(),
        Answer::Failed(code) => return Reads::Fails(code),
        Answer::Died(signal) => return Reads::Dies(signal),
        Answer::Waits => panic!("held while it reads"),
    };
    match actor.ask_sql("a", "PRAGMA integrity_check") {
        Answer::Done(said) if said == "ok" => Reads::Rows(rows),
        _ => Reads::Faulty(rows),
    }
}

/// What a new process reads.
pub fn reads(database: &Path) -> Reads {
    reads_by(&mut Actor::with("a", database))
}

fn checkpoint(stage: &Stage, sql: &str) -> Checkpoint {
    match Actor::with("a", &stage.file("")).ask_sql("a", sql) {
        Answer::Done(row) => {
            let numbers: Vec<i64> = row.split('|').map(|cell| cell.parse().unwrap()).collect();
            Checkpoint::Returns(numbers[0], numbers[1], numbers[2])
        }
        Answer::Failed(code) => Checkpoint::Fails(code),
        other => panic!("{other:?}"),
    }
}

fn write(stage: &Stage) -> Writes {
    let mut actor = Actor::with("a", &stage.file(""));
    match actor.ask_sql("a", INSERT) {
        Answer::Done(_) => {
            let reads = reads(&stage.file(""));
            let frames = match actor.ask_sql("a", "PRAGMA wal_checkpoint") {
                Answer::Done(row) => row.split('|').nth(1).unwrap().parse().unwrap(),
                _ => -1,
            };
            Writes::Then(reads, frames)
        }
        Answer::Failed(code) => Writes::Fails(code),
        other => panic!("{other:?}"),
    }
}

fn close(stage: &mut Stage) -> Closed {
    if stage.there.is_empty() {
        let mut actor = Actor::with("a", &stage.file(""));
        reads_by(&mut actor);
        actor.close();
    }
    for actor in stage.there.iter_mut().rev() {
        while actor.waits {
            actor.go_on();
        }
        actor.close();
    }
    let folder = Stage::new();
    let alone = folder.file("");
    fs::copy(stage.file(""), &alone).unwrap();
    Closed { wal: stage.file("-wal").exists(), alone: reads(&alone) }
}

/// What SQLite does next in this scene, made anew for each act.
pub fn next(make: fn(&mut Stage)) -> Next {
    let scene = || {
        let mut stage = Stage::new();
        make(&mut stage);
        stage
    };
    let (in_use, rows) = {
        let stage = scene();
        (!stage.there.is_empty(), stage.rows)
    };
    let database = |stage: &Stage| stage.file("");
    Next {
        rows,
        there: scene().there.iter_mut().find(|actor| !actor.waits).map(reads_by),
        reader: {
            let stage = scene();
            reads(&database(&stage))
        },
        writer: write(&scene()),
        passive: checkpoint(&scene(), "PRAGMA wal_checkpoint"),
        truncate: checkpoint(&scene(), "PRAGMA wal_checkpoint(TRUNCATE)"),
        close: close(&mut scene()),
        killed: in_use.then(|| {
            let mut stage = scene();
            stage.kill_all();
            reads(&database(&stage))
        }),
    }
}
