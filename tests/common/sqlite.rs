//! Real SQLite in a child process that runs SQL statements. The child is this test binary, run again.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const DATABASE: &str = "WALSCOPE_TEST_DATABASE";

/// A connection in another process; killed on drop, so that -wal and -shm stay.
pub struct Sqlite {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Sqlite {
    /// Opens a database in WAL mode, with a table `t(x)`.
    pub fn open(database: &Path) -> Self {
        Self::open_by(&std::env::current_exe().unwrap(), database)
    }

    /// Opens a database in WAL mode in a child that runs `program`: a copy of this test binary, which can have another
    /// name.
    pub fn open_by(program: &Path, database: &Path) -> Self {
        let mut child = Command::new(program)
            .args(crate::common::only_test(module_path!(), "sqlite_in_a_child"))
            .env(DATABASE, database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut sqlite = Self { child, input, output };
        sqlite.wait();
        sqlite
    }

    /// Opens a database in a child that then opens and closes the files itself: all its POSIX locks are gone.
    pub fn open_without_locks(database: &Path) -> Self {
        let mut sqlite = Self::open(database);
        sqlite.run("LOSE LOCKS");
        sqlite
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs statements to their end.
    pub fn run(&mut self, sql: &str) {
        writeln!(self.input, "{sql}").unwrap();
        self.wait();
    }

    /// Begins a statement and does not wait for its end.
    pub fn begin(&mut self, sql: &str) {
        writeln!(self.input, "{sql}").unwrap();
    }

    /// Closes the database and opens it again, and runs statements of one line.
    pub fn reopen(&mut self, batch: &str) {
        self.run("REOPEN");
        self.run(&format!("BATCH {batch}"));
    }

    /// Runs a statement in which the child dies.
    pub fn dies_of(mut self, sql: &str) {
        writeln!(self.input, "{sql}").unwrap();
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() != 0 {
            assert!(!line.trim_end().ends_with("done"), "the child lives");
        }
    }

    fn wait(&mut self) {
        let mut line = String::new();
        // libtest writes `test name ... ` without a newline before the first answer.
        while !line.trim_end().ends_with("done") {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the child has ended");
            assert!(!line.contains("failed: "), "{line}");
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's part: runs statements until standard input ends.
#[test]
fn sqlite_in_a_child() {
    let Some(database) = crate::common::task(DATABASE) else { return };
    let mut db = rusqlite::Connection::open(&database).unwrap();
    db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE IF NOT EXISTS t(x);").unwrap();
    println!("done");
    for line in std::io::stdin().lines() {
        let mut sql = line.unwrap();
        if sql == "LOSE LOCKS" {
            for suffix in ["", "-shm"] {
                let mut file = database.clone();
                file.push(suffix);
                drop(std::fs::File::open(file).unwrap());
            }
            println!("done");
            continue;
        }
        if sql == "REOPEN" {
            db = rusqlite::Connection::open(&database).unwrap();
            println!("done");
            continue;
        }
        if let Some(batch) = sql.strip_prefix("BATCH ") {
            match db.execute_batch(batch) {
                Ok(()) => println!("done"),
                Err(error) => println!("failed: {error}"),
            }
            continue;
        }
        // A row is fetched, so that the read transaction really begins.
        if let Some(query) = sql.strip_prefix("BEGIN; ") {
            db.execute_batch("BEGIN").unwrap();
            sql = query.to_owned();
        }
        let mut statement = db.prepare(&sql);
        let ran = match &mut statement {
            Ok(statement) if statement.column_count() > 0 => statement.query_row([], |_| Ok(())),
            Ok(statement) => statement.execute([]).map(|_| ()),
            Err(error) => {
                println!("failed: {error}");
                continue;
            }
        };
        match ran {
            Ok(()) => println!("done"),
            Err(error) => println!("failed: {error}"),
        }
    }
}
