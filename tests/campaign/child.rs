//! Processes with real SQLite, several connections each, driven line by line.
//!
//! The test binary is executed again: a process that looks at files as walscope does must not use them through SQLite
//! itself, since closing a descriptor drops all its POSIX locks. One child serves many histories.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection, OpenFlags};
use rustix::process::{Pid, Resource, Rlimit, Signal, getpid, kill_process, prlimit};

const VARIABLE: &str = "WALSCOPE_TEST_CAMPAIGN_CHILD";
const REPLY: &str = "campaign-child: ";
/// The test function that calls [`serve`].
const ENTRY: &str = "campaign_child";

/// What becomes of a child that writes beyond its file size limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtLimit {
    /// The write fails: SIGXFSZ is ignored.
    Fails,
    /// SIGXFSZ kills it in the middle of the write.
    Dies,
}

/// What a child answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It worked.
    Done(String),
    /// SQLite refused.
    Failed(String),
    /// Its checkpoint met a lock and asks whether to try again.
    Busy,
    /// The process ended.
    Dead,
}

/// A child with SQLite. Killed when dropped.
pub struct Child {
    process: Process,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Child {
    pub fn start(at_limit: AtLimit) -> Self {
        // An ignored signal stays ignored over exec. A dying child leaves no core file.
        let before = match at_limit {
            AtLimit::Fails => "trap '' XFSZ",
            AtLimit::Dies => "ulimit -c 0",
        };
        let mut process = Command::new("/bin/sh")
            .args(["-c", &format!("{before}; exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args([ENTRY, "--exact", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = process.stdin.take().unwrap();
        let from = BufReader::new(process.stdout.take().unwrap());
        Self { process, to, from }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn ask(&mut self, command: &str) -> Reply {
        // A child that died is recognized by the missing reply.
        let _ = writeln!(self.to, "{command}");
        loop {
            let mut line = Vec::new();
            if self.from.read_until(b'\n', &mut line).unwrap() == 0 {
                self.process.wait().unwrap();
                return Reply::Dead;
            }
            // libtest writes `test name ... ` without a newline before the first reply.
            let line = String::from_utf8(line).unwrap();
            let Some((_, reply)) = line.trim_end().split_once(REPLY) else { continue };
            return match reply.split_once(' ').unwrap_or((reply, "")) {
                ("busy", _) => Reply::Busy,
                ("failed", why) => Reply::Failed(why.to_owned()),
                (_, what) => Reply::Done(what.to_owned()),
            };
        }
    }

    /// Sends a command that must work, and returns its answer.
    pub fn done(&mut self, command: &str) -> String {
        match self.ask(command) {
            Reply::Done(what) => what,
            other => panic!("{command}: {other:?}"),
        }
    }

    /// No file may grow beyond `bytes` by this child's writes.
    pub fn limit(&self, bytes: Option<u64>) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap());
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }

    /// SIGKILL: nothing is closed, nothing is cleaned up.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads and runs commands until standard input ends. Returns at once in the parent.
pub fn serve() {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    let mut server = Server::default();
    while let Some(line) = read_line() {
        match server.run(&line) {
            Ok(what) => println!("{REPLY}ok {what}"),
            Err(error) => println!("{REPLY}failed {error}"),
        }
    }
}

fn read_line() -> Option<String> {
    let mut line = String::new();
    let n = io::stdin().read_line(&mut line).unwrap();
    (n > 0).then(|| line.trim_end().to_owned())
}

fn die() {
    kill_process(getpid(), Signal::KILL).unwrap();
}

#[derive(Default)]
struct Server {
    connections: HashMap<String, (Connection, Arc<AtomicI32>)>,
}

impl Server {
    fn run(&mut self, line: &str) -> rusqlite::Result<String> {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (verb, id, rest) = (word(), word(), word());
        match verb {
            "open" => self.open(id, rest)?,
            "close" => drop(self.connections.remove(id)),
            "close-all" => self.connections.clear(),
            "sql" => {
                let (connection, frames) = &self.connections[id];
                frames.store(-1, Ordering::Relaxed);
                // To the last row: that is where the commit is told.
                let mut batch = Batch::new(connection, rest);
                while let Some(mut statement) = batch.next()? {
                    let mut rows = statement.raw_query();
                    while rows.next()?.is_some() {}
                }
                return Ok(frames.load(Ordering::Relaxed).to_string());
            }
            "value" => return self.connections[id].0.query_row(rest, [], |row| row.get(0)),
            "checkpoint" => return checkpoint(&self.connections[id].0, rest),
            "wait" => {
                let connection = &mut self.connections.get_mut(id).unwrap().0;
                connection.busy_handler(Some(|_| {
                    println!("{REPLY}busy");
                    read_line().is_some_and(|line| line == "again")
                }))?;
                let result = checkpoint(connection, rest);
                connection.busy_timeout(Duration::ZERO)?;
                return result;
            }
            "die" => self.die(id, rest)?,
            other => panic!("no such command: {other}"),
        }
        Ok(String::new())
    }

    fn open(&mut self, id: &str, uri: &str) -> rusqlite::Result<()> {
        let connection = Connection::open_with_flags(uri, OpenFlags::default() | OpenFlags::SQLITE_OPEN_URI)?;
        // rusqlite waits 5 seconds for a lock; here nobody would release one in that time.
        connection.busy_timeout(Duration::ZERO)?;
        let frames = Arc::new(AtomicI32::new(-1));
        let heard = Arc::clone(&frames);
        let mut connection = connection;
        // In the place of the automatic checkpoint: it tells mxFrame after each commit.
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, n| {
            heard.store(n, Ordering::Relaxed);
            Ok(())
        }))?;
        self.connections.insert(id.to_owned(), (connection, frames));
        Ok(())
    }

    /// `HOOK N`: SIGKILL to itself at the N-th call.
    fn die(&mut self, id: &str, how: &str) -> rusqlite::Result<()> {
        let (hook, n) = how.split_once(' ').unwrap();
        let left = AtomicU64::new(n.parse().unwrap());
        let count = move || {
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                die();
            }
        };
        let connection = &mut self.connections.get_mut(id).unwrap().0;
        match hook {
            "update" => connection.update_hook(Some(move |_, _: &str, _: &str, _| count())),
            "commit" => connection.commit_hook(Some(move || {
                count();
                false
            })),
            "wal" => connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, _| {
                count();
                Ok(())
            })),
            "progress" => connection.progress_handler(
                1,
                Some(move || {
                    count();
                    false
                }),
            ),
            other => panic!("no such hook: {other}"),
        }
    }
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<String> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(format!("{}|{}|{}", row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    })
}
