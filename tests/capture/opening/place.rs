//! A folder in which states are made, and what `inspect` and SQLite say of them as another user.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use rusqlite::{Connection, ffi};
use serde_json::Value;

use crate::common;
use crate::sqlite::Sqlite;

/// A database path, and `read` or `write`: what the child tries.
const TRY: &str = "WALSCOPE_TEST_OPEN";
/// A database path that a child keeps open, reading.
const READ: &str = "WALSCOPE_TEST_KEEPS_OPEN";
/// The user who asks, who owns nothing.
pub const USER: u32 = 1000;

/// The child's part: opens the database as an application does, and says what SQLite said.
#[test]
fn opens_in_a_child() {
    let Some(task) = common::task(TRY) else { return };
    let task = task.into_string().unwrap();
    let (aim, path) = task.split_once(' ').unwrap();
    let tried = Connection::open(path).and_then(|db| match aim {
        "read" => db.query_row("SELECT count(*) FROM t", [], |_| Ok(())),
        _ => db.execute("INSERT INTO t VALUES (7)", []).map(|_| ()),
    });
    let said = match tried {
        Ok(()) => "ok".to_owned(),
        Err(error) => error.sqlite_error().map_or(-1, |error| error.extended_code).to_string(),
    };
    println!("said: {said} done");
}

/// The part of a child that reads, and keeps the database open until standard input ends.
#[test]
fn reads_in_a_child() {
    let Some(path) = common::task(READ) else { return };
    let db = Connection::open(path).unwrap();
    let rows: i64 = db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    println!("reads {rows}");
    let _ = std::io::stdin().lines().count();
}

/// A folder that every user can reach, with copies of the programs that another user has to run.
pub struct Place {
    folder: tempfile::TempDir,
    pub made: u32,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        mode(folder.path(), 0o755);
        for (name, program) in
            [("walscope", PathBuf::from(env!("CARGO_BIN_EXE_walscope"))), ("try", std::env::current_exe().unwrap())]
        {
            let copy = folder.path().join(name);
            if fs::hard_link(&program, &copy).is_err() {
                fs::copy(&program, &copy).unwrap();
            }
            mode(&copy, 0o755);
        }
        Self { folder, made: 0 }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a program through others that change the user or the namespaces.
    pub fn command(&self, before: &[&str], program: &str) -> Command {
        let program = self.at(program);
        match before.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        }
    }

    /// What `inspect` says.
    pub fn asked(&self, before: &[&str], source: &str) -> Said {
        let out = self.command(before, "walscope").args(["inspect", "--json", source]).output().unwrap();
        let Ok(document) = serde_json::from_slice::<Value>(&out.stdout) else {
            let error = String::from_utf8_lossy(&out.stderr).into_owned();
            assert_eq!(out.status.code(), Some(2), "{error}");
            assert!(error.contains("Permission denied"), "{error}");
            return Said { refused: true, ..Said::default() };
        };
        let open = &document["open"];
        let word = |name: &str| open[name].as_str().unwrap_or_else(|| panic!("{document}")).to_owned();
        let errors = open["reasons"].as_array().unwrap().iter().filter(|reason| reason["certain"] == true);
        let errors = errors.map(|reason| (reason["about"].clone(), reason["sqlite"].clone()));
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        Said {
            refused: false,
            read: word("read"),
            write: word("write"),
            errors: errors.map(|(about, error)| (text(about), text(error))).collect(),
            codes: document["findings"].as_array().unwrap().iter().map(|one| text(one["code"].clone())).collect(),
            page: open["explanation"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// A process that reads, and keeps the database open.
    pub fn reader(&self, before: &[&str], path: &Path) -> Waiting {
        let mut command = self.command(before, "try");
        command.args(common::only_test(module_path!(), "reads_in_a_child")).env(READ, path);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map(Result::unwrap).any(|line| line.contains("reads ")));
        let (pid, input) = (child.id(), child.stdin.take().unwrap());
        Waiting { child, pid, _input: input }
    }

    /// What SQLite does as the same user.
    pub fn tried(&self, before: &[&str], aim: &str, path: &Path) -> Option<i32> {
        let mut command = self.command(before, "try");
        command.args(common::only_test(module_path!(), "opens_in_a_child"));
        let out = command.env(TRY, format!("{aim} {}", path.display())).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let said = text.split_once("said: ").and_then(|(_, rest)| rest.split_once(" done"));
        let said = said.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&out.stderr))).0.to_owned();
        (said != "ok").then(|| said.parse().unwrap())
    }

    /// Makes a state twice for each view, and compares what is said of it with what SQLite does.
    pub fn judge(&mut self, name: &str, before: &[&str], make: &mut dyn FnMut(&Path) -> State) -> Vec<Said> {
        let mut all = Vec::new();
        for view in ["self", "pid"] {
            let mut made = |place: &mut Self| {
                place.made += 1;
                let folder = place.at(&place.made.to_string());
                fs::create_dir(&folder).unwrap();
                make(&folder)
            };
            let state = made(self);
            let said = match view {
                "self" => self.asked(before, &state.path.display().to_string()),
                _ => {
                    let other = Waiting::start(before);
                    self.asked(&[], &format!("pid:{}:{}", other.pid, state.path.display()))
                }
            };
            let read = self.tried(before, "read", &state.path);
            drop(state);
            let state = made(self);
            let write = self.tried(before, "write", &state.path);
            said.agrees(&format!("{name}, {view}"), read, write);
            all.push(said);
        }
        all
    }
}

/// A process that waits, as the user who is asked about.
pub struct Waiting {
    child: Child,
    pub pid: u32,
    _input: ChildStdin,
}

impl Waiting {
    pub fn start(before: &[&str]) -> Self {
        let mut words = before.to_vec();
        words.extend(["sh", "-c", "echo $$; exec cat"]);
        let mut command = Command::new(words[0]);
        let mut child = command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let input = child.stdin.take().unwrap();
        Self { pid: line.trim().parse().unwrap(), child, _input: input }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, Default)]
pub struct Said {
    pub refused: bool,
    pub read: String,
    pub write: String,
    pub errors: Vec<(String, String)>,
    pub codes: Vec<String>,
    pub page: String,
}

impl Said {
    /// No `yes` where SQLite fails, no `no` where it works, and the error that SQLite gives.
    pub fn agrees(&self, name: &str, read: Option<i32>, write: Option<i32>) {
        let context = format!("{name}: {self:?}; SQLite read {read:?}, write {write:?}");
        if self.refused {
            assert!(read.is_some(), "{context}");
            return;
        }
        for (said, done) in [(&self.read, read), (&self.write, write)] {
            match said.as_str() {
                "yes" => assert_eq!(done, None, "{context}"),
                "no" => assert!(done.is_some(), "{context}"),
                other => assert_eq!(other, "unknown", "{context}"),
            }
        }
        let first = |aim: &str| self.errors.iter().find(|(about, _)| about == aim).map(|(_, error)| code(error));
        if self.read == "no" {
            assert_eq!(first("read"), read, "{context}");
        } else if self.read == "yes" && self.write == "no" {
            assert_eq!(first("write"), write, "{context}");
        }
        let full = self.codes.iter().any(|code| code == "file_system_full" || code == "shared_mappings_refused");
        assert!(full || (self.read == "no") == self.codes.contains(&"cannot_open_here".to_owned()), "{context}");
        assert_eq!(self.page.is_empty(), self.read == "yes" && self.write == "yes", "{context}");
    }
}

fn code(name: &str) -> i32 {
    match name {
        "SQLITE_CANTOPEN" => ffi::SQLITE_CANTOPEN,
        "SQLITE_READONLY" => ffi::SQLITE_READONLY,
        "SQLITE_READONLY_DIRECTORY" => ffi::SQLITE_READONLY_DIRECTORY,
        "SQLITE_READONLY_ROLLBACK" => ffi::SQLITE_READONLY_ROLLBACK,
        "SQLITE_IOERR_DELETE" => ffi::SQLITE_IOERR_DELETE,
        "SQLITE_IOERR_SHMMAP" => ffi::SQLITE_IOERR_SHMMAP,
        other => panic!("{other}"),
    }
}

/// What a test made, and what keeps it so. Mounts are undone before the files are left.
pub struct State {
    pub path: PathBuf,
    pub _kept: Option<Sqlite>,
    pub undo: Vec<Vec<String>>,
}

impl Drop for State {
    fn drop(&mut self) {
        for undo in &self.undo {
            assert!(Command::new(&undo[0]).args(&undo[1..]).status().unwrap().success(), "{undo:?}");
        }
    }
}

pub fn run(words: &[&str]) {
    assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{words:?}");
}

pub fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// A database that was closed.
pub fn database(folder: &Path, journal_mode: &str) -> PathBuf {
    let path = folder.join("t.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(&format!("PRAGMA journal_mode={journal_mode}; CREATE TABLE t(x); INSERT INTO t VALUES (1);"))
        .unwrap();
    path
}

/// Opens it in a process, which commits. Dropped, it is killed, and leaves its files.
pub fn opened(path: &Path) -> Sqlite {
    let mut sqlite = Sqlite::open(path);
    sqlite.run("INSERT INTO t VALUES (2)");
    sqlite
}

/// A journal that waits: a transaction that was written out in part, and then killed.
pub fn killed_in_a_transaction(path: &Path) {
    let copy = beside(path, "-aside");
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "PRAGMA cache_size=1; BEGIN; CREATE TABLE u(x);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50) INSERT INTO u SELECT zeroblob(3000) FROM n;",
    )
    .unwrap();
    fs::copy(beside(path, "-journal"), &copy).unwrap();
    let written = fs::read(path).unwrap();
    drop(db);
    fs::write(path, written).unwrap();
    fs::rename(copy, beside(path, "-journal")).unwrap();
}

/// `w`: all may write; `r`: all may read; `n`: nobody but the owner.
pub fn rights(path: &Path, of: char) {
    mode(
        path,
        match of {
            'w' => 0o666,
            'r' => 0o644,
            _ => 0o600,
        },
    );
}

pub fn state(folder: &Path, path: PathBuf, of_folder: char, read_only: bool, kept: Option<Sqlite>) -> State {
    mode(folder, if of_folder == 'w' { 0o777 } else { 0o755 });
    if !read_only {
        return State { path, _kept: kept, undo: Vec::new() };
    }
    let at = folder.with_extension("ro");
    fs::create_dir(&at).unwrap();
    let (from, to) = (folder.display().to_string(), at.display().to_string());
    run(&["mount", "--bind", &from, &to]);
    run(&["mount", "-o", "remount,bind,ro", &to]);
    let undo = vec![vec!["umount".to_owned(), to]];
    State { path: at.join("t.db"), _kept: kept, undo }
}

pub const AS_USER: [&str; 6] = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"];

pub fn root() -> bool {
    common::have("root", rustix::process::geteuid().is_root())
}
