//! What writers and readers do, each in a process of its own: this test binary, executed again. A process lives for a set
//! number of operations and then ends, or kills itself with SIGKILL inside of SQLite.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use rustix::process::{Signal, getpid, kill_process};

use crate::common::random::Random;
use crate::ledger;

/// Names role, seed, page size and folder to a child.
const VARIABLE: &str = "WALSCOPE_TEST_LIVE_ACTOR";
/// Operations of one life.
const LIFE: u64 = 400;

/// What a process is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Writes and checkpoints, 0 or 1.
    Writer(usize),
    /// Writes as 0 or 1, and opens and closes the database for every statement.
    ShortLived(usize),
    /// Writes as 0 or 1, opens and closes the database for every statement, and changes to a rollback journal and back;
    /// never kills itself.
    ModeChanger(usize),
    /// Reads in transactions of some length.
    Reader,
}

/// Things that are counted, in the order of the file that they are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// The number of the last transaction that was about to be committed. Not a count: never starts over.
    Begun,
    /// The number of the last transaction whose commit has returned. Not a count: never starts over.
    Committed,
    Passive,
    Full,
    Restart,
    Truncate,
    Rollback,
    Vacuum,
    Read,
    Opened,
    JournalMode,
}

/// The number of counts.
pub const COUNTS: usize = Count::JournalMode as usize + 1;

/// The counts of one process, in a file: they outlive a SIGKILL. Nothing else ever reads or writes it through SQLite.
pub struct Counts(File);

impl Counts {
    pub fn open(folder: &Path, place: usize) -> Self {
        let path = folder.join(format!("counts-{place}"));
        Self(File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap())
    }

    pub fn get(&self, count: Count) -> i64 {
        let mut bytes = [0; 8];
        let read = self.0.read_at(&mut bytes, count as u64 * 8).unwrap();
        if read == 8 { i64::from_le_bytes(bytes) } else { 0 }
    }

    /// All counts, in the order of [`Count`].
    pub fn all(&self) -> [i64; COUNTS] {
        let mut bytes = [0; COUNTS * 8];
        let _ = self.0.read_at(&mut bytes, 0).unwrap();
        std::array::from_fn(|at| i64::from_le_bytes(bytes[at * 8..at * 8 + 8].try_into().unwrap()))
    }

    fn set(&self, count: Count, value: i64) {
        self.0.write_all_at(&value.to_le_bytes(), count as u64 * 8).unwrap();
    }

    fn add(&self, count: Count) {
        self.set(count, self.get(count) + 1);
    }
}

/// Starts a process at `place`, where its counts are kept.
pub fn start(role: Role, place: usize, seed: u64, page_size: u64, folder: &Path) -> Child {
    let (name, writer) = match role {
        Role::Writer(n) => ("writer", n),
        Role::ShortLived(n) => ("short", n),
        Role::ModeChanger(n) => ("mode", n),
        Role::Reader => ("reader", 0),
    };
    Command::new(std::env::current_exe().unwrap())
        .args(["actor", "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, format!("{name} {writer} {place} {seed} {page_size} {}", folder.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The child's part; returns at once in the parent.
pub fn serve() {
    let Ok(task) = std::env::var(VARIABLE) else { return };
    let words: Vec<&str> = task.splitn(6, ' ').collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    let folder = PathBuf::from(words[5]);
    let mut actor = Actor {
        path: folder.join("t.db"),
        counts: Counts::open(&folder, number(2) as usize),
        random: Random(number(3)),
        writer: number(1) as usize,
        page_size: number(4),
        armed: None,
    };
    // Half of the processes die in the middle of something.
    if words[0] != "mode" && actor.random.one_in(2) {
        actor.armed = Some((actor.random.below(LIFE), actor.random.below(4)));
    }
    match words[0] {
        "reader" => actor.read(),
        "writer" => actor.write(),
        "short" => actor.live_shortly(false),
        _ => actor.live_shortly(true),
    }
}

struct Actor {
    path: PathBuf,
    counts: Counts,
    random: Random,
    writer: usize,
    page_size: u64,
    /// The operation that it will not survive, and the hook that kills it.
    armed: Option<(u64, u64)>,
}

/// Others may be in the way at any time; nothing else may go wrong.
fn unless_busy<T>(result: rusqlite::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let code = error.sqlite_error_code();
            let busy = [rusqlite::ErrorCode::DatabaseBusy, rusqlite::ErrorCode::DatabaseLocked];
            assert!(code.is_some_and(|code| busy.contains(&code)), "{error}");
            None
        }
    }
}

impl Actor {
    fn open(&mut self) -> Option<Connection> {
        let db = Connection::open(&self.path).unwrap();
        db.busy_timeout(std::time::Duration::from_millis(20)).unwrap();
        let automatic = self.random.pick(&[0, 0, 5, 40]);
        let setting = format!(
            "PRAGMA page_size={}; PRAGMA synchronous=OFF; PRAGMA cache_size=10; PRAGMA journal_mode=WAL;
             PRAGMA wal_autocheckpoint={automatic};",
            self.page_size
        );
        unless_busy(db.execute_batch(&setting))?;
        unless_busy(ledger::create(&db))?;
        self.counts.add(Count::Opened);
        Some(db)
    }

    /// SIGKILL to itself at one of the next calls of a hook.
    fn arm(&mut self, db: &mut Connection, hook: u64) {
        let left = AtomicU64::new(1 + self.random.below([12, 2, 2, 2_000][hook as usize]));
        let count = move || {
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                kill_process(getpid(), Signal::KILL).unwrap();
            }
            false
        };
        match hook {
            0 => db
                .update_hook(Some(move |_, _: &str, _: &str, _| {
                    count();
                }))
                .unwrap(),
            1 => db.commit_hook(Some(count)).unwrap(),
            2 => db
                .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, _| {
                    count();
                    Ok(())
                }))
                .unwrap(),
            _ => db.progress_handler(1, Some(count)).unwrap(),
        }
    }

    fn write(mut self) {
        let mut db = None;
        for operation in 0..LIFE {
            if db.is_none() || self.random.one_in(60) {
                // The old one goes first: it may be the last, which takes -wal and -shm with it.
                drop(db.take());
                db = self.open();
            }
            let Some(db) = &mut db else { continue };
            if let Some((_, hook)) = self.armed.take_if(|(at, _)| *at <= operation) {
                self.arm(db, hook);
            }
            self.operation(db);
        }
    }

    fn live_shortly(mut self, changes_mode: bool) {
        for operation in 0..LIFE / 8 {
            let Some(mut db) = self.open() else { continue };
            if let Some((_, hook)) = self.armed.take_if(|(at, _)| *at / 8 <= operation) {
                self.arm(&mut db, hook);
            }
            if changes_mode && self.random.one_in(25) {
                self.change_mode(&db);
            }
            self.operation(&db);
        }
    }

    fn operation(&mut self, db: &Connection) {
        match self.random.below(40) {
            0..=27 => self.transaction(db),
            28..=30 => self.checkpoint(db, "PASSIVE", Count::Passive),
            31 | 32 => self.checkpoint(db, "FULL", Count::Full),
            33 | 34 => self.checkpoint(db, "RESTART", Count::Restart),
            35 | 36 => self.checkpoint(db, "TRUNCATE", Count::Truncate),
            37 | 38 => {
                if unless_busy(ledger::poison(db)).is_some() {
                    self.counts.add(Count::Rollback);
                }
                give_up(db);
            }
            _ => {
                if unless_busy(db.execute_batch("VACUUM")).is_some() {
                    self.counts.add(Count::Vacuum);
                }
            }
        }
    }

    fn transaction(&mut self, db: &Connection) {
        if let Some(number) = unless_busy(ledger::write(db, self.writer, &mut self.random)) {
            self.counts.set(Count::Begun, number);
            if unless_busy(db.execute_batch("COMMIT")).is_some() {
                self.counts.set(Count::Committed, number);
            }
        }
        give_up(db);
    }

    fn checkpoint(&self, db: &Connection, mode: &str, count: Count) {
        let answer = db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get::<_, i64>(0));
        if unless_busy(answer) == Some(0) {
            self.counts.add(count);
        }
    }

    /// To a rollback journal and a transaction there; the next opener changes back.
    fn change_mode(&mut self, db: &Connection) {
        let mode = db.query_row("PRAGMA journal_mode=DELETE", [], |row| row.get::<_, String>(0));
        if unless_busy(mode).as_deref() == Some("delete") {
            self.counts.add(Count::JournalMode);
            self.transaction(db);
        }
    }

    fn read(mut self) {
        let mut operations = 0;
        while operations < LIFE / 4 {
            operations += 1;
            let Some(mut db) = self.open() else { continue };
            if let Some((_, hook)) = self.armed.take_if(|(at, _)| *at / 4 <= operations) {
                self.arm(&mut db, hook);
            }
            for _ in 0..self.random.below(8) {
                operations += 1;
                db.execute_batch("BEGIN").unwrap();
                let first = unless_busy(db.query_row("SELECT tx FROM state", [], |row| row.get::<_, i64>(0)));
                for _ in 0..self.random.below(6) {
                    // SQLite's own snapshot is the yardstick: if it were wrong, so would be this test.
                    if let (Some(first), Some(now)) = (first, busy_or(ledger::check(&db))) {
                        assert_eq!(now.tx, first, "a reader saw another state");
                        self.counts.add(Count::Read);
                    }
                }
                give_up(&db);
            }
        }
    }
}

fn busy_or(checked: Result<ledger::State, String>) -> Option<ledger::State> {
    match checked {
        Ok(state) => Some(state),
        Err(error) if error.contains("locked") => None,
        Err(error) => panic!("a reader: {error}"),
    }
}

fn give_up(db: &Connection) {
    if !db.is_autocommit() {
        db.execute_batch("ROLLBACK").unwrap();
    }
}
