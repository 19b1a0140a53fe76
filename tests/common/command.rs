//! Running the real binary.

use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::Value;

pub const EXE: &str = env!("CARGO_BIN_EXE_walscope");

pub struct Ran {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("{e}: {} {}", self.text(), self.stderr))
    }
}

/// Runs walscope in a folder. `timeout` only turns a hang into a failure (code 124).
pub fn walscope(folder: &Path, args: &[&str]) -> Ran {
    run(Command::new("timeout").arg("120").arg(EXE).args(args).current_dir(folder))
}

/// walscope with every signal at its default but for those that are to be ignored ("HUP,INT"), whatever this test was
/// started with: a shell's background job ignores SIGINT. The process stays the one that was started.
pub fn with_signals(ignored: &str) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal");
    if !ignored.is_empty() {
        command.arg(format!("--ignore-signal={ignored}"));
    }
    command.arg(EXE);
    command
}

pub fn run(command: &mut Command) -> Ran {
    let out = command.stdin(Stdio::null()).output().unwrap();
    Ran {
        code: out.status.code().unwrap_or(-1),
        stdout: out.stdout,
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// A database in WAL mode with some commits in its WAL. The test process is the SQLite side: it must never open the
/// files itself while the connection lives, since closing them would drop SQLite's locks. walscope is another process.
pub fn database(path: &Path) -> Connection {
    let db = connect(path);
    db.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES(1);",
    )
    .unwrap();
    db
}

pub fn connect(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

/// Copies an executable to run it from there.
///
/// Another process makes the copy. If this process had a descriptor for writing, a program that another test starts at
/// that moment could inherit it, and the copy could not be run (ETXTBSY) until that program had called exec.
pub fn copy_executable(from: impl AsRef<Path>, to: &Path) {
    let from = from.as_ref();
    let copied = Command::new("cp").arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "cp {}", from.display());
}
