//! One history: random steps with real SQLite in other processes, and a look after each.

use std::path::PathBuf;

use tempfile::TempDir;
use walscope::evidence::LockSlot;
use walscope::look::checkpoint::{CheckpointFacts, Restart};

use crate::check::Known;
use crate::child::{AtLimit, Child, Reply};
use crate::common::in_memory;
use crate::common::random::Random;
use crate::look::Look;
use crate::model::{Index, Who, raw};
use crate::moments::Keeper;
use crate::tally::Tally;

/// Rows that no step deletes; each fills about a page.
pub const ROWS: u64 = 14;
/// Connections a process.
pub const CONNECTIONS: usize = 4;

/// The processes that serve one history after the other.
pub struct Crew {
    pub children: [Child; 2],
}

impl Crew {
    pub fn start() -> Self {
        Self { children: [Child::start(AtLimit::Fails), Child::start(AtLimit::Fails)] }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Closed,
    Nothing,
    Reading,
    Writing,
}

pub struct History<'a> {
    pub random: Random,
    pub crew: &'a mut Crew,
    pub tally: &'a mut Tally,
    pub path: PathBuf,
    pub page_size: u64,
    pub padded: bool,
    /// The salt-1 of the last generation in which a commit was left that nobody was told of.
    pub unconfirmed: Option<u32>,
    /// Many readers at many frames, until no slot is free.
    crowded: bool,
    pub synchronous: &'static str,
    /// The wal-index as SQLite must have it; `None` while nobody has it open.
    pub index: Option<Index>,
    pub doing: [Doing; 2 * CONNECTIONS],
    /// Keeps moments, if accidents shall happen to them.
    pub keeper: Option<Keeper>,
    seed: u64,
    steps: Vec<String>,
    _folder: TempDir,
}

impl Drop for History<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("WALSCOPE_SEED={} failed after:\n  {}", self.seed, self.steps.join("\n  "));
        }
    }
}

impl<'a> History<'a> {
    pub fn run(seed: u64, crew: &'a mut Crew, tally: &'a mut Tally) {
        let mut history = Self::begin(seed, crew, tally);
        history.steps();
        history.finish();
    }

    /// A history up to its last step, and some of its moments.
    pub fn kept(seed: u64, crew: &'a mut Crew, tally: &'a mut Tally) -> (Self, Keeper) {
        let mut history = Self::begin(seed, crew, tally);
        history.keeper = Some(Keeper::new(seed));
        history.steps();
        let keeper = history.keeper.take().expect("a keeper");
        (history, keeper)
    }

    fn steps(&mut self) {
        let steps = 14 + self.random.below(14);
        for _ in 0..steps {
            self.step();
            self.offer(false);
        }
    }

    /// Offers this moment to the keeper, if there is one.
    pub fn offer(&mut self, at_rest: bool) {
        if self.left_unconfirmed() {
            return;
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.offer(&self.path, self.steps.len(), at_rest);
        }
    }

    /// Whether a commit that nobody was told of can stand in the -wal as a frame that was never copied: the one innocent cause
    /// of the warning `stale_frames_not_in_database`, which docs/findings.md names.
    pub fn left_unconfirmed(&self) -> bool {
        let Some(salt) = self.unconfirmed else { return false };
        let wal = std::fs::read(self.path.with_extension("db-wal")).unwrap_or_default();
        let Some(now) = wal.get(16..20) else { return false };
        let now = u32::from_be_bytes(now.try_into().unwrap());
        now == salt || now == salt.wrapping_add(1)
    }

    /// Closes everything; the database must be whole.
    pub fn finish(mut self) {
        self.close_all();
        self.integrity();
        self.tally.histories += 1;
    }

    /// Ends the processes: their files were spoilt.
    pub fn abandon(self) {
        *self.crew = Crew::start();
    }

    fn begin(seed: u64, crew: &'a mut Crew, tally: &'a mut Tally) -> Self {
        let mut random = Random(seed);
        let folder = in_memory();
        let any = 512 << random.below(8);
        let page_size = random.pick(&[512, 1024, 4096, 4096, any]);
        // Without powersafe overwrite, and with full synchronisation, commits are padded to the sector boundary.
        let padded = random.one_in(8) && page_size <= 4096;
        let synchronous = if padded { "FULL" } else { random.pick(&["OFF", "OFF", "OFF", "NORMAL", "FULL", "EXTRA"]) };
        tally.count(format!("page size {page_size}"));
        tally.count(format!("synchronous={synchronous}"));
        let mut history = Self {
            crowded: random.one_in(6),
            path: folder.path().join("t.db"),
            _folder: folder,
            index: None,
            doing: [Doing::Closed; 2 * CONNECTIONS],
            steps: Vec::new(),
            keeper: None,
            random,
            crew,
            tally,
            page_size,
            padded,
            unconfirmed: None,
            synchronous,
            seed,
        };
        history.create();
        history
    }

    fn create(&mut self) {
        let (size, vacuum) = (self.page_size, self.random.below(3));
        let body = size * 3 / 5;
        let rows = format!(
            "WITH n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<{ROWS}) SELECT i, randomblob({body}) FROM n"
        );
        self.ask(0, "open 0", &self.uri());
        self.ask(
            0,
            "sql 0",
            &format!(
                "PRAGMA page_size={size}; PRAGMA auto_vacuum={vacuum}; PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL; \
                 CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB); INSERT INTO t {rows}"
            ),
        );
        self.ask(0, "close 0", "");
    }

    pub fn uri(&self) -> String {
        format!("file:{}?psow={}", self.path.display(), u8::from(!self.padded))
    }

    pub fn note(&mut self, what: impl Into<String>) {
        self.steps.push(what.into());
    }

    /// A command that must work.
    pub fn ask(&mut self, child: usize, verb: &str, rest: &str) -> String {
        self.note(format!("child {child}: {verb} {rest}"));
        self.crew.children[child].done(format!("{verb} {rest}").trim_end())
    }

    pub fn who(&self, connection: usize) -> Who {
        Who { pid: self.crew.children[connection / CONNECTIONS].pid(), id: connection }
    }

    fn sql(&mut self, connection: usize, sql: &str) -> Option<u32> {
        let frames = self.ask(connection / CONNECTIONS, &format!("sql {connection}"), sql);
        u32::try_from(frames.parse::<i64>().unwrap()).ok()
    }

    pub fn index(&mut self) -> &mut Index {
        self.index.as_mut().expect("an open wal-index")
    }

    fn which(&self, doing: Doing) -> Vec<usize> {
        (0..self.doing.len()).filter(|connection| self.doing[*connection] == doing).collect()
    }

    pub fn any(&mut self, doing: Doing) -> Option<usize> {
        let which = self.which(doing);
        (!which.is_empty()).then(|| self.random.pick(&which))
    }

    /// A connection that is open and idle.
    fn idle(&mut self) -> Option<usize> {
        self.any(Doing::Nothing).or_else(|| self.open())
    }

    /// An idle connection, if nobody writes.
    fn may_write(&mut self) -> Option<usize> {
        if !self.which(Doing::Writing).is_empty() {
            return None;
        }
        self.idle()
    }

    /// Opens a connection, and reads through it; the first one recovers.
    pub fn open(&mut self) -> Option<usize> {
        let connection = self.any(Doing::Closed)?;
        let (uri, synchronous) = (self.uri(), self.synchronous);
        let committed = self.index.is_none().then(|| Look::at(&self.path).wal.frames.committed);
        self.ask(connection / CONNECTIONS, &format!("open {connection}"), &uri);
        self.sql(
            connection,
            &format!("PRAGMA synchronous={synchronous}; PRAGMA cache_spill=OFF; SELECT count(*) FROM t"),
        );
        if let Some(committed) = committed {
            let recovered = raw(&self.path).expect("a -shm").mx_frame;
            assert_eq!(u64::from(recovered), committed, "what SQLite recovers");
            self.index = Some(Index::recovered(recovered));
        }
        let who = self.who(connection);
        self.index().touch(who);
        self.doing[connection] = Doing::Nothing;
        Some(connection)
    }

    pub fn known_open(&self) -> Vec<u32> {
        let open = (0..self.doing.len()).filter(|connection| self.doing[*connection] != Doing::Closed);
        open.map(|connection| self.who(connection).pid).collect()
    }

    /// Looks, and compares with all that is known. `checkpointing`: whose checkpoint waits for somebody.
    pub fn look(&mut self, checkpointing: Option<u32>) -> CheckpointFacts {
        self.look_with(checkpointing, None)
    }

    /// Looks and compares, with one more process that has the wal-index open.
    pub fn look_with(&mut self, checkpointing: Option<u32>, one_more: Option<u32>) -> CheckpointFacts {
        let look = Look::at(&self.path);
        let known = Known {
            path: &self.path,
            page_size: self.page_size as usize,
            index: self.index.as_ref().expect("an open wal-index"),
            open: self.known_open().into_iter().chain(one_more).collect(),
            checkpointing,
            padded: self.padded,
            unconfirmed: self.left_unconfirmed(),
        };
        known.check(&look, self.tally);
        for (compared, what) in [
            (look.index_compared, "wal-index held against the WAL"),
            (look.backfill_compared, "copied frames held against the database"),
            (look.pages_looked_for, "each page looked for in both files"),
            (look.page_ones_compared, "page 1 held against the WAL"),
            (look.stale_compared, "frames of the generation before held against the database"),
            (look.trees_walked, "all trees walked over"),
        ] {
            if compared {
                self.tally.count(what);
            }
        }
        if look.wal.frames.uncommitted > 0 {
            self.tally.count("uncommitted frames");
        }
        if look.wal.frames.committed > look.facts.committed {
            self.tally.count("WAL ahead of the wal-index");
        }
        if look.wal.frames.stale > 0 {
            self.tally.count("frames of an older generation");
        }
        if look.wal.frames.torn_bytes > 0 {
            self.tally.count("torn frame");
        }
        if self.random.one_in(80) && !self.left_unconfirmed() {
            look.check_command(&self.path);
            self.tally.count("the command says the same");
        }
        look.facts
    }

    fn step(&mut self) {
        if self.index.is_none() {
            self.open();
        }
        let crowded = self.crowded && !self.random.one_in(5);
        match self.random.below(if crowded { 12 } else { 34 }) {
            0..=6 => self.write(),
            7..=11 => self.begin_read(),
            12 | 13 => self.end_read(),
            14 | 15 => self.begin_write(),
            16 | 17 => self.end_write(),
            18..=20 => self.checkpoint("PASSIVE"),
            21 => {
                let mode = self.random.pick(&["NOOP", "FULL", "RESTART", "TRUNCATE"]);
                self.checkpoint(mode);
            }
            22 => self.waiting_checkpoint(),
            23 => drop(self.open()),
            24 => self.close(),
            25 => self.vacuum(),
            26 | 27 => self.cut_checkpoint(),
            28 => self.cut_commit(),
            29 => self.killed_by_hook(),
            30 => self.kill_all(),
            31 | 32 => self.write_after_reading(),
            _ => self.exclusive(),
        }
        if self.index.is_some() {
            self.look(None);
        }
    }

    pub fn some_rows(&mut self) -> String {
        let first = 1 + self.random.below(ROWS);
        let last = first + self.random.below(4);
        format!("UPDATE t SET b = randomblob(length(b)) WHERE id BETWEEN {first} AND {last}")
    }

    /// A whole transaction.
    fn write(&mut self) {
        let size = self.page_size;
        let insert = format!("INSERT INTO t(b) VALUES (randomblob({}))", 1 + self.random.below(size * 2));
        let update = self.some_rows();
        let sql = match self.random.below(8) {
            0 | 1 => insert,
            2 => format!("DELETE FROM t WHERE id > {}", ROWS + self.random.below(3)),
            // Had it spilled, it would have restarted the WAL without the model noticing.
            3 => format!("PRAGMA cache_spill=OFF; BEGIN; {insert}; ROLLBACK"),
            4 => format!("BEGIN; {insert}; SAVEPOINT s; {update}; ROLLBACK TO s; {insert}; COMMIT"),
            _ => update,
        };
        self.transaction(&sql);
    }

    fn vacuum(&mut self) {
        let sql = if self.random.one_in(2) { "VACUUM" } else { "PRAGMA incremental_vacuum" };
        self.transaction(sql);
        self.tally.count("vacuum");
    }

    /// Runs a whole transaction; what was predicted about the next writer must happen.
    fn transaction(&mut self, sql: &str) {
        let Some(connection) = self.may_write() else { return };
        let foretold = self.look(None);
        let before = raw(&self.path).unwrap().salts;
        let who = self.who(connection);
        self.index().begin_read(who, false);
        if let Some(frames) = self.sql(connection, sql) {
            let restarted = raw(&self.path).unwrap().salts != before;
            if foretold.committed > 0 {
                let restarts = foretold.pending == 0 && foretold.restart == Restart::Possible;
                assert_eq!(restarted, restarts, "the next writer restarts the WAL: {foretold:?}");
                let not = if restarts { "restarts" } else { "does not restart" };
                self.tally.count(format!("foretold the next writer {not}"));
            }
            self.index().first_frame(who);
            self.index().commit(frames);
        }
        self.index().end(who);
        if sql == "VACUUM" {
            // It forgets its connection's schema. Read anew at once, lest a PRAGMA does it later, as a reader of its own.
            self.sql(connection, "SELECT count(*) FROM t");
            self.index().touch(who);
        }
    }

    fn begin_read(&mut self) {
        let Some(connection) = self.idle() else { return };
        self.sql(connection, "PRAGMA cache_spill=OFF; BEGIN; SELECT count(*) FROM t");
        let who = self.who(connection);
        let index = self.index();
        index.begin_read(who, false);
        if index.slot_of(who).is_some_and(|slot| slot > 0 && index.marks[slot] < Some(index.mx_frame)) {
            self.tally.count("reader on a mark below its own frame");
        }
        self.doing[connection] = Doing::Reading;
    }

    /// A reader that goes on to write: possible upon the newest snapshot only.
    fn write_after_reading(&mut self) {
        let Some(connection) = self.any(Doing::Reading).filter(|_| self.which(Doing::Writing).is_empty()) else {
            return;
        };
        // folklore: within a transaction PRAGMA cache_spill changes nothing (setAllPagerFlags in pragma.c asks for
        // autocommit), so the reader has switched it off before it began.
        let command = format!("sql {connection} {}", self.some_rows());
        self.note(&command);
        match self.crew.children[connection / CONNECTIONS].ask(&command) {
            Reply::Done(_) => {
                let who = self.who(connection);
                self.index().writer = Some(who);
                self.doing[connection] = Doing::Writing;
                self.tally.count("a reader became the writer");
            }
            Reply::Failed(_) => self.tally.count("a reader was too old to write"),
            other => panic!("{command}: {other:?}"),
        }
    }

    fn end_read(&mut self) {
        let Some(connection) = self.any(Doing::Reading) else { return };
        self.end(connection, "COMMIT");
    }

    fn begin_write(&mut self) {
        let Some(connection) = self.may_write() else { return };
        let who = self.who(connection);
        self.index().begin_read(who, false);
        if self.random.one_in(2) {
            // More pages than the cache holds: some go into the WAL before the commit.
            let sql =
                "PRAGMA cache_spill=ON; PRAGMA cache_size=5; BEGIN IMMEDIATE; UPDATE t SET b = randomblob(length(b))";
            self.sql(connection, sql);
            self.index().first_frame(who);
        } else {
            let rows = self.some_rows();
            self.sql(connection, &format!("PRAGMA cache_spill=OFF; BEGIN IMMEDIATE; {rows}"));
        }
        self.index().writer = Some(who);
        self.doing[connection] = Doing::Writing;
    }

    fn end_write(&mut self) {
        let Some(connection) = self.any(Doing::Writing) else { return };
        let how = self.random.pick(&["COMMIT", "COMMIT", "ROLLBACK"]);
        self.end(connection, how);
    }

    fn end(&mut self, connection: usize, how: &str) {
        let who = self.who(connection);
        if let Some(frames) = self.sql(connection, how) {
            self.index().first_frame(who);
            self.index().commit(frames);
        }
        self.index().end(who);
        self.doing[connection] = Doing::Nothing;
    }

    /// A checkpoint that waits for nobody: it reports and does what was predicted.
    fn checkpoint(&mut self, mode: &str) {
        let Some(connection) = self.idle() else { return };
        let foretold = self.look(None);
        let report = self.ask(connection / CONNECTIONS, &format!("checkpoint {connection}"), mode);
        self.check_report(mode, &report, &foretold);
    }

    pub fn check_report(&mut self, mode: &str, report: &str, foretold: &CheckpointFacts) {
        assert_eq!(report, self.index().checkpoint(mode), "wal_checkpoint({mode})");
        let truncated = mode == "TRUNCATE" && report == "0|0|0";
        let (log, copied) = report.split_once('|').unwrap().1.split_once('|').unwrap();
        if !truncated {
            assert_eq!(log, foretold.committed.to_string(), "wal_checkpoint({mode}) of {foretold:?}");
            let expected = if mode == "NOOP" { Some(foretold.backfilled) } else { foretold.safe_to };
            assert_eq!(Some(copied), expected.map(|n| n.to_string()).as_deref(), "wal_checkpoint({mode})");
        }
        self.tally.count(format!("wal_checkpoint({mode})"));
        if mode == "PASSIVE" && foretold.pending > 0 {
            let by_slot_0 = foretold.blocked_by.iter().any(|blocker| blocker.lock == LockSlot::Read0);
            let how = match by_slot_0 {
                true => "stopped by slot 0",
                false if foretold.safe_to < Some(foretold.committed) => "stopped by a mark",
                false => "copied all",
            };
            self.tally.count(format!("foretold PASSIVE {how}"));
        }
    }

    /// A checkpoint with a busy handler: while it waits it holds CKPT, and every other one comes back with 1|-1|-1.
    fn waiting_checkpoint(&mut self) {
        let Some(connection) = self.idle() else { return };
        let (child, pid) = (connection / CONNECTIONS, self.who(connection).pid);
        let mode = self.random.pick(&["FULL", "RESTART", "TRUNCATE"]);
        let mut foretold = self.look(None);
        self.note(format!("child {child}: wait {connection} {mode}"));
        let mut reply = self.crew.children[child].ask(&format!("wait {connection} {mode}"));
        while reply == Reply::Busy {
            let now = raw(&self.path).unwrap();
            self.index().adopt(&now);
            let others = |doing| self.which(doing).into_iter().filter(|other| other / CONNECTIONS != child).collect();
            let (idle, reading, writing): (Vec<usize>, Vec<usize>, Vec<usize>) =
                (others(Doing::Nothing), others(Doing::Reading), others(Doing::Writing));
            foretold = self.look(Some(pid));
            if let Some(other) = idle.first() {
                let report = self.ask(other / CONNECTIONS, &format!("checkpoint {other}"), "PASSIVE");
                assert_eq!(report, "1|-1|-1", "PASSIVE while CKPT is held elsewhere");
                self.tally.count("foretold PASSIVE 1|-1|-1");
                assert_eq!(self.look(Some(pid)), foretold, "a refused checkpoint does nothing");
            }
            let ends: Vec<usize> = writing.into_iter().chain(reading).collect();
            let answer = match ends.first() {
                Some(other) if self.random.one_in(2) => {
                    self.end(*other, "COMMIT");
                    "again"
                }
                _ => "give up",
            };
            self.note(format!("child {child}: {answer}"));
            reply = self.crew.children[child].ask(answer);
        }
        let Reply::Done(report) = reply else { panic!("wal_checkpoint({mode}): {reply:?}") };
        let expected = self.index().checkpoint(mode);
        assert_eq!(report, expected, "wal_checkpoint({mode}) that waited, foretold {foretold:?}");
        self.tally.count(format!("wal_checkpoint({mode}) with a busy handler"));
    }

    fn close(&mut self) {
        let Some(connection) = self.any(Doing::Nothing).or_else(|| self.any(Doing::Reading)) else { return };
        self.close_one(connection);
    }

    pub fn close_one(&mut self, connection: usize) {
        self.ask(connection / CONNECTIONS, &format!("close {connection}"), "");
        let who = self.who(connection);
        self.index().end(who);
        self.doing[connection] = Doing::Closed;
        if self.known_open().is_empty() {
            self.index = None;
            self.look_at_rest(None);
        }
    }

    pub fn close_all(&mut self) {
        while let Some(connection) = (0..self.doing.len()).find(|n| self.doing[*n] != Doing::Closed) {
            self.close_one(connection);
        }
    }

    fn integrity(&mut self) {
        let uri = self.uri();
        self.ask(0, "open 0", &uri);
        assert_eq!(self.ask(0, "value 0", "PRAGMA integrity_check"), "ok");
        self.ask(0, "close 0", "");
    }
}
