//! Real SQLite in a child process, controlled over pipes.
//!
//! The test binary is executed again: closing any descriptor of a database drops the POSIX locks of the whole process
//! on it, so a capture and SQLite in one process would disturb each other.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rusqlite::Connection;

const VARIABLE: &str = "WALSCOPE_TEST_SQLITE_CHILD";
const REPLY: &str = "sqlite-child: ";

/// A child with SQLite. Killed when dropped.
pub struct SqliteChild {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl SqliteChild {
    /// Starts a child.
    pub fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(crate::common::only_test(module_path!(), "sqlite_child_entry"))
            .env(VARIABLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        Self { child, to, from }
    }

    /// Runs one command; returns the digest of the state that is committed after it.
    pub fn run(&mut self, command: &str) -> u64 {
        let reply = self.reply(command);
        reply.parse().unwrap_or_else(|_| panic!("{command:?}: {reply}"))
    }

    /// Runs a command that cannot succeed; returns why.
    pub fn fails(&mut self, command: &str) -> String {
        let reply = self.reply(command);
        reply.strip_prefix("failed: ").unwrap_or_else(|| panic!("{command:?} did not fail: {reply}")).to_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command in which the process dies; returns the signal. `None`: it answered.
    pub fn dies(mut self, command: &str) -> Option<i32> {
        writeln!(self.to, "{command}").unwrap();
        let mut line = String::new();
        while self.from.read_line(&mut line).unwrap() > 0 {
            if line.contains(REPLY) {
                return None;
            }
        }
        std::os::unix::process::ExitStatusExt::signal(&self.child.wait().unwrap())
    }

    fn reply(&mut self, command: &str) -> String {
        writeln!(self.to, "{command}").unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(self.from.read_line(&mut line).unwrap(), 0, "the child ended in {command:?}");
            // libtest writes `test name ... ` without a newline before the first reply.
            if let Some((_, reply)) = line.trim_end().split_once(REPLY) {
                return reply.to_owned();
            }
        }
    }

    /// SIGKILL: nothing is closed, nothing is cleaned up.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for SqliteChild {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's part: reads and runs commands until standard input ends.
#[test]
fn sqlite_child_entry() {
    if crate::common::task(VARIABLE).is_none() {
        return;
    }
    let mut writer = Writer { path: PathBuf::new(), connection: None, reader: None, version: 0, digest: 0 };
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        match writer.run(&line) {
            Ok(digest) => println!("{REPLY}{digest}"),
            Err(error) => println!("{REPLY}failed: {error}"),
        }
    }
}

struct Writer {
    path: PathBuf,
    connection: Option<Connection>,
    reader: Option<Connection>,
    version: i64,
    digest: u64,
}

impl Writer {
    fn run(&mut self, line: &str) -> rusqlite::Result<u64> {
        let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
        if command != "commit" {
            self.rollback()?;
        }
        match command {
            // Only sets the path of the database: commands that need a connection open one.
            "at" => {
                self.close();
                self.path = PathBuf::from(argument);
            }
            "create" => self.create(argument)?,
            "open" => {
                self.rows()?;
            }
            "insert" => self.insert(argument.parse().unwrap())?,
            "update" => self.update()?,
            "delete" => self.execute("DELETE FROM t WHERE id % 2 = 0")?,
            "vacuum" => self.execute("VACUUM")?,
            "spill" => {
                self.execute("PRAGMA cache_size=5; BEGIN")?;
                self.update()?;
                return Ok(self.digest);
            }
            "commit" => self.execute("COMMIT")?,
            "rollback" => {}
            "checkpoint" => self.pragma(&format!("PRAGMA wal_checkpoint({argument})"))?,
            "mode" => self.pragma(&format!("PRAGMA journal_mode={argument}"))?,
            "read" => {
                let reader = Connection::open(&self.path)?;
                reader.execute_batch("BEGIN")?;
                reader.query_row("SELECT count(*) FROM t", [], |_| Ok(()))?;
                self.reader = Some(reader);
            }
            "unread" => self.reader = None,
            // Changes page 1 and nothing else.
            "mark" => self.execute(&format!("PRAGMA user_version={argument}"))?,
            // Read through a new connection, which has nothing cached.
            "marked" => {
                let reader = Connection::open(&self.path)?;
                let version: i64 = reader.query_row("PRAGMA user_version", [], |row| row.get(0))?;
                return Ok(version.unsigned_abs());
            }
            "close" => self.close(),
            "persist" => self.persist()?,
            "short" => {
                self.close();
                self.update()?;
                self.digest = digest(self.connection()?)?;
                self.close();
            }
            other => panic!("no such command: {other}"),
        }
        if let Some(connection) = &self.connection {
            self.digest = digest(connection)?;
        }
        Ok(self.digest)
    }

    fn connection(&mut self) -> rusqlite::Result<&Connection> {
        if self.connection.is_none() {
            let connection = Connection::open(&self.path)?;
            // rusqlite waits 5 seconds for a lock; here nobody would release one in that time.
            connection.busy_timeout(std::time::Duration::ZERO)?;
            connection.execute_batch("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0")?;
            self.connection = Some(connection);
        }
        Ok(self.connection.as_ref().unwrap())
    }

    /// After this, closing leaves an empty `-wal`, and the `-shm` unchanged.
    #[allow(unsafe_code)]
    fn persist(&mut self) -> rusqlite::Result<()> {
        self.pragma("PRAGMA journal_size_limit=0")?;
        let mut on: std::ffi::c_int = 1;
        // SAFETY: the handle is that of an open connection, and the operation reads and writes one int at the pointer.
        let done = unsafe {
            rusqlite::ffi::sqlite3_file_control(
                self.connection()?.handle(),
                c"main".as_ptr(),
                rusqlite::ffi::SQLITE_FCNTL_PERSIST_WAL,
                (&raw mut on).cast(),
            )
        };
        assert_eq!(done, rusqlite::ffi::SQLITE_OK);
        Ok(())
    }

    fn close(&mut self) {
        self.reader = None;
        self.connection = None;
    }

    fn rollback(&mut self) -> rusqlite::Result<()> {
        match &self.connection {
            Some(connection) if !connection.is_autocommit() => connection.execute_batch("ROLLBACK"),
            _ => Ok(()),
        }
    }

    fn execute(&mut self, sql: &str) -> rusqlite::Result<()> {
        self.connection()?.execute_batch(sql)
    }

    fn pragma(&mut self, sql: &str) -> rusqlite::Result<()> {
        self.connection()?.query_row(sql, [], |_| Ok(()))
    }

    fn rows(&mut self) -> rusqlite::Result<i64> {
        self.connection()?.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
    }

    fn create(&mut self, mode: &str) -> rusqlite::Result<()> {
        self.close();
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            let _ = std::fs::remove_file(path);
        }
        self.execute("PRAGMA page_size=1024")?;
        self.pragma(&format!("PRAGMA journal_mode={mode}"))?;
        self.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, version INTEGER, body BLOB)")?;
        self.insert(60)
    }

    fn insert(&mut self, count: i64) -> rusqlite::Result<()> {
        self.version += 1;
        let version = self.version;
        let connection = self.connection()?;
        connection.execute_batch("SAVEPOINT s")?;
        for _ in 0..count {
            connection.execute("INSERT INTO t(version, body) VALUES (?1, randomblob(400))", [version])?;
        }
        connection.execute_batch("RELEASE s")
    }

    /// Updates every row, so that every page of the table changes.
    fn update(&mut self) -> rusqlite::Result<()> {
        self.version += 1;
        let version = self.version;
        self.connection()?.execute("UPDATE t SET version = ?1, body = randomblob(400)", [version])?;
        Ok(())
    }
}

/// A checksum over all rows, which identifies one committed state.
pub fn digest(connection: &Connection) -> rusqlite::Result<u64> {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |bytes: &[u8]| {
        for &byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    let mut statement = connection.prepare("SELECT id, version, body FROM t ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        add(&row.get::<_, i64>(0)?.to_le_bytes());
        add(&row.get::<_, i64>(1)?.to_le_bytes());
        add(row.get_ref(2)?.as_blob()?);
    }
    Ok(hash)
}

/// Opens files that nobody else uses. Returns the integrity check, and the digest of all rows.
pub fn judge(path: &Path) -> rusqlite::Result<(String, u64)> {
    let connection = Connection::open(path)?;
    let integrity = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    Ok((integrity, digest(&connection)?))
}
