//! SQLite in a process of its own, with as many connections as a scene needs. It can be held in the middle of a checkpoint
//! and of a recovery.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rusqlite::{Connection, ffi};

const VARIABLE: &str = "WALSCOPE_TEST_ACTOR";
const REPLY: &str = "actor: ";
const WAITS: &str = "waits";
const FAILED: &str = "failed ";

/// The names of SQLite's answers, with the number of each.
const CODES: &[(c_int, &str)] = &[
    (ffi::SQLITE_ERROR, "SQLITE_ERROR"),
    (ffi::SQLITE_BUSY, "SQLITE_BUSY"),
    (ffi::SQLITE_BUSY_RECOVERY, "SQLITE_BUSY_RECOVERY"),
    (ffi::SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY_SNAPSHOT"),
    (ffi::SQLITE_LOCKED, "SQLITE_LOCKED"),
    (ffi::SQLITE_READONLY, "SQLITE_READONLY"),
    (ffi::SQLITE_IOERR, "SQLITE_IOERR"),
    (ffi::SQLITE_IOERR_READ, "SQLITE_IOERR_READ"),
    (ffi::SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE"),
    (ffi::SQLITE_IOERR_SHORT_READ, "SQLITE_IOERR_SHORT_READ"),
    (ffi::SQLITE_IOERR_SHMSIZE, "SQLITE_IOERR_SHMSIZE"),
    (ffi::SQLITE_CORRUPT, "SQLITE_CORRUPT"),
    (ffi::SQLITE_FULL, "SQLITE_FULL"),
    (ffi::SQLITE_CANTOPEN, "SQLITE_CANTOPEN"),
    (ffi::SQLITE_PROTOCOL, "SQLITE_PROTOCOL"),
    (ffi::SQLITE_NOTADB, "SQLITE_NOTADB"),
];

/// What SQLite answers to a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The columns of the first row, with `|` between them.
    Done(String),
    /// SQLite's name for what went wrong.
    Failed(&'static str),
    /// The process ended by a signal.
    Died(i32),
    /// The process is held in the middle, until [`Actor::go_on`].
    Waits,
}

/// A process with SQLite. Killed when dropped.
pub struct Actor {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    pub waits: bool,
}

impl Actor {
    pub fn start() -> Self {
        Self::start_as("plain")
    }

    /// One that is held at the end of each recovery, with the locks of the recovery.
    pub fn start_held_in_recovery() -> Self {
        Self::start_as("recovery")
    }

    fn start_as(kind: &str) -> Self {
        let mut child = Command::new("env")
            // A write beyond the limit of file sizes fails, and does not kill.
            .args(["--ignore-signal=XFSZ", std::env::current_exe().unwrap().to_str().unwrap()])
            .args(crate::common::only_test(module_path!(), "actor_in_a_child"))
            .env(VARIABLE, kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from, waits: false }
    }

    /// One with the database open by a connection of this name.
    pub fn with(name: &str, database: &Path) -> Self {
        let mut actor = Self::start();
        actor.open(name, database);
        actor
    }

    pub fn open(&mut self, name: &str, database: &Path) {
        assert!(matches!(self.ask(&format!("open {name} {}", database.display())), Answer::Done(_)));
    }

    /// One statement, by the connection of this name.
    pub fn ask_sql(&mut self, name: &str, sql: &str) -> Answer {
        self.ask(&format!("sql {name} {sql}"))
    }

    /// One statement that succeeds.
    pub fn sql(&mut self, name: &str, sql: &str) -> String {
        match self.ask_sql(name, sql) {
            Answer::Done(row) => row,
            other => panic!("{sql}: {other:?}"),
        }
    }

    /// The next wait for a lock in this connection holds the process.
    pub fn hold_when_busy(&mut self, name: &str) {
        self.ask(&format!("hold {name}"));
    }

    /// Closes all connections, in the order of their names.
    pub fn close(&mut self) -> Answer {
        self.ask("close")
    }

    pub fn go_on(&mut self) -> Answer {
        self.ask("go")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn ask(&mut self, command: &str) -> Answer {
        // A process that died cannot be written to; that shows below.
        let _ = writeln!(self.to, "{command}");
        loop {
            let mut line = String::new();
            if self.from.read_line(&mut line).unwrap() == 0 {
                return Answer::Died(self.child.wait().unwrap().signal().unwrap_or(0));
            }
            // libtest writes `test name ... ` without a newline before the first reply.
            let Some((_, reply)) = line.trim_end_matches('\n').split_once(REPLY) else { continue };
            self.waits = reply == WAITS;
            let failed = reply.strip_prefix(FAILED).map(|name| CODES.iter().find(|code| code.1 == name));
            return match failed {
                Some(code) => Answer::Failed(code.unwrap_or_else(|| panic!("{command}: {reply}")).1),
                None if self.waits => Answer::Waits,
                None => Answer::Done(reply.to_owned()),
            };
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Holds this process until it is told to go on.
fn wait_here() {
    println!("{REPLY}{WAITS}");
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
}

/// The child's part: runs commands until standard input ends.
#[test]
fn actor_in_a_child() {
    let Some(kind) = crate::common::task(VARIABLE) else { return };
    if kind == "recovery" {
        hold_in_recovery();
    }
    let mut connections = BTreeMap::new();
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).unwrap() > 0 {
        match obey(&mut connections, line.trim_end()) {
            Ok(row) => println!("{REPLY}{row}"),
            Err(error) => println!("{REPLY}{FAILED}{}", name_of(&error)),
        }
        line.clear();
    }
}

fn obey(connections: &mut BTreeMap<String, Connection>, line: &str) -> rusqlite::Result<String> {
    let mut words = line.splitn(3, ' ');
    let (command, name, rest) = (words.next().unwrap(), words.next().unwrap_or(""), words.next().unwrap_or(""));
    match command {
        "open" => {
            let connection = Connection::open(rest)?;
            connection.busy_timeout(Duration::ZERO)?;
            connection.execute_batch("PRAGMA wal_autocheckpoint=0")?;
            connections.insert(name.to_owned(), connection);
        }
        "hold" => {
            connections.get_mut(name).unwrap().busy_handler(Some(|_| {
                wait_here();
                true
            }))?;
        }
        "sql" => return first_row(&connections[name], rest),
        "touch" => drop(std::fs::File::open(name).unwrap()),
        "close" => while connections.pop_first().is_some() {},
        other => panic!("no such command: {other}"),
    }
    Ok(String::new())
}

fn first_row(connection: &Connection, sql: &str) -> rusqlite::Result<String> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(String::new()) };
    let mut cells = Vec::new();
    for column in 0..columns {
        cells.push(match row.get_ref(column)? {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            other => other.as_str().unwrap_or("?").lines().next().unwrap_or_default().to_owned(),
        });
    }
    // To the end, so that a transaction of its own ends.
    while rows.next()?.is_some() {}
    Ok(cells.join("|"))
}

fn name_of(error: &rusqlite::Error) -> String {
    let rusqlite::Error::SqliteFailure(error, _) = error else { return error.to_string() };
    let of = |number: c_int| CODES.iter().find(|code| code.0 == number).map(|code| code.1.to_owned());
    of(error.extended_code)
        .or_else(|| of(error.extended_code & 0xff))
        .unwrap_or_else(|| error.extended_code.to_string())
}

/// SQLite reports a recovery while it still holds the locks for it.
#[allow(unsafe_code)]
fn hold_in_recovery() {
    unsafe extern "C" fn log(_: *mut c_void, code: c_int, _: *const c_char) {
        if code == ffi::SQLITE_NOTICE_RECOVER_WAL {
            wait_here();
        }
    }
    let log: unsafe extern "C" fn(*mut c_void, c_int, *const c_char) = log;
    // SAFETY: SQLite is not initialised yet in this process, and the function has the type that this setting asks for.
    let set = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOG, log, std::ptr::null_mut::<c_void>()) };
    assert_eq!(set, ffi::SQLITE_OK);
}
