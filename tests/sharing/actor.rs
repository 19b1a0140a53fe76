//! A process with real SQLite that does what programs do to their own databases, in namespaces of its own if wanted.
//!
//! The child is this test binary, run again.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::common;
use crate::common::command::{EXE, Ran, run, walscope};

const VARIABLE: &str = "WALSCOPE_TEST_ACTOR";
const REPLY: &str = "actor: ";

/// Starts a program in a mount namespace and a PID namespace of its own, as a container does.
pub const APART: &[&str] = &["unshare", "-m", "-p", "--mount-proc", "--kill-child"];

/// The process. Killed when dropped.
pub struct Actor {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    pub pid: u32,
}

impl Actor {
    /// Starts one behind a prefix, such as [`APART`].
    pub fn start(prefix: &[&str]) -> Self {
        let program = std::env::current_exe().unwrap();
        let words: Vec<&str> = prefix.iter().copied().chain([program.to_str().unwrap()]).collect();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args(common::only_test(module_path!(), "actor_entry"))
            .env(VARIABLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut actor = Self { pid: child.id(), child, to, from };
        actor.ask("hello");
        if prefix.contains(&"-p") {
            // The program is the child of `unshare`.
            let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", actor.pid)).unwrap();
            actor.pid = children.trim().parse().unwrap();
        }
        actor
    }

    /// Runs a command to its end and returns its answer.
    pub fn ask(&mut self, what: &str) -> String {
        writeln!(self.to, "{what}").unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(self.from.read_line(&mut line).unwrap(), 0, "the actor ended in {what:?}");
            // libtest writes `test name ... ` without a newline before the first answer.
            if let Some((_, answer)) = line.trim_end().split_once(REPLY) {
                return answer.to_owned();
            }
        }
    }

    /// Opens the database, or one by `file:...`, and runs statements on it.
    pub fn open(&mut self, database: &str, sql: &str) {
        assert_eq!(self.ask(&format!("open {database}")), "done");
        self.sql(sql);
    }

    pub fn sql(&mut self, sql: &str) {
        assert_eq!(self.ask(&format!("sql {sql}")), "done", "{sql}");
    }

    /// Runs a command in the namespaces of this process.
    pub fn beside(&self, command: &[&str]) -> Ran {
        let pid = self.pid.to_string();
        run(Command::new("timeout").args(["120", "nsenter", "-t", &pid, "-m", "-p"]).args(command))
    }

    /// Runs a command in the mount namespace of this process.
    pub fn beside_mounts(&self, command: &[&str]) -> Ran {
        let pid = self.pid.to_string();
        run(Command::new("timeout").args(["120", "nsenter", "-t", &pid, "-m"]).args(command))
    }

    /// Captures beside this process, as root or as another user. The capture need not be of one moment.
    pub fn snapshot(&self, database: &Path, user: &[&str], program: &str, to: &Path) {
        let capture = [program, "snapshot", database.to_str().unwrap(), "-o", "-"];
        let ran = self.beside(&[user, &capture].concat());
        assert!(ran.code == 0 || ran.code == 1, "{}", ran.stderr);
        std::fs::write(to, ran.stdout).unwrap();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's part: does what it is told until standard input ends.
#[test]
fn actor_entry() {
    if crate::common::task(VARIABLE).is_none() {
        return;
    }
    let mut connections: Vec<Connection> = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match command {
            "hello" => "done".to_owned(),
            "open" => answer(Connection::open(argument).map(|connection| connections.push(connection))),
            "sql" => answer(execute(connections.last().unwrap(), argument)),
            // Any close of a file drops all POSIX locks of the process on it.
            "copy" => answer(File::open(argument).map(drop)),
            "close" => {
                connections.clear();
                "done".to_owned()
            }
            "fork" => forked().to_string(),
            "share" => shared().to_string(),
            other => panic!("no such command: {other}"),
        };
        println!("{REPLY}{answer}");
    }
}

fn answer<E: std::fmt::Display>(done: Result<(), E>) -> String {
    done.map_or_else(|error| format!("failed: {error}"), |()| "done".to_owned())
}

/// Runs statements; of each query one row is fetched, so that its transaction really begins.
fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    for sql in sql.split(';').map(str::trim).filter(|sql| !sql.is_empty()) {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        rows.next()?;
    }
    Ok(())
}

/// A child that waits with what it inherited, and ends with this process.
#[allow(unsafe_code)]
fn forked() -> i32 {
    // SAFETY: the child calls functions that may be called between fork and exec of a process with several threads.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            loop {
                libc::pause();
            }
        }
        pid
    }
}

/// A process that shares the descriptors of this one, and outlives it.
#[allow(unsafe_code)]
fn shared() -> i32 {
    extern "C" fn wait(_: *mut libc::c_void) -> libc::c_int {
        loop {
            // SAFETY: it only waits for a signal.
            unsafe { libc::pause() };
        }
    }
    let stack = Box::leak(vec![0_u128; 4096].into_boxed_slice()).as_mut_ptr_range().end;
    // SAFETY: the stack is aligned, large enough, and never freed; the new process has memory of its own.
    unsafe { libc::clone(wait, stack.cast(), libc::CLONE_FILES | libc::SIGCHLD, std::ptr::null_mut()) }
}

/// What a comparison says.
pub struct Said(pub Value);

impl Said {
    pub fn of(ran: &Ran) -> Self {
        Self(ran.json())
    }

    pub fn compare(a: &str, b: &str) -> Self {
        Self::of(&walscope(Path::new("/"), &["compare", a, b, "--json"]))
    }

    pub fn sharing(&self) -> &str {
        self.0["verdict"]["sharing"].as_str().unwrap()
    }

    pub fn of_mappings(&self) -> bool {
        self.sharing() == "proven" && self.0["verdict"]["subject"] == "mappings"
    }

    pub fn told(&self) -> &str {
        self.0["explanation"].as_str().unwrap()
    }

    /// Whether a warning or an error stands beside it.
    pub fn warned(&self) -> bool {
        let findings = self.0["findings"].as_array().unwrap();
        findings.iter().any(|finding| finding["severity"] == "warning" || finding["severity"] == "error")
    }

    /// Whether the process is named in the sentence or by a finding.
    pub fn names(&self, pids: &[u32]) -> bool {
        let text = format!("{} {}", self.told(), self.0["findings"]);
        let word = |pid: &u32| {
            [format!("process {pid}"), format!("pid {pid}")].iter().any(|words| {
                text.match_indices(words.as_str())
                    .any(|(at, _)| !text[at + words.len()..].starts_with(|next: char| next.is_ascii_digit()))
            })
        };
        pids.iter().any(word)
    }
}

/// The command as every user may run it.
pub fn for_all(folder: &Path) -> String {
    let copy = folder.join("walscope");
    common::command::copy_executable(EXE, &copy);
    copy.display().to_string()
}
