//! The driver's end of an actor.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use walscope::linux::child::{Leader, Pipes};

use super::protocol::{CheckpointAnswer, Reply, Request};
use crate::stop::Stop;

/// How long a reply may take. It is long, so that a busy machine with a slow disk does not count as dead.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long an actor may take to end after the end of its input.
const FAREWELL: Duration = Duration::from_secs(30);
/// Time between two checks whether the user wants to stop.
const GLANCE: Duration = Duration::from_millis(100);

/// A running actor. Dropping it ends the actor and waits for its end.
pub struct Peer {
    /// `writer` or `reader`.
    pub name: &'static str,
    /// Its pid, as the driver sees it.
    pid: u32,
    /// Whether it has the database open.
    pub open: bool,
    leader: Leader,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    complaints: Option<JoinHandle<String>>,
    stop: Stop,
}

/// What SQLite, or the system of an actor, said instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// How the start of an actor ended.
pub enum Start {
    /// It listens.
    Ready(Peer),
    /// This machine does not allow it.
    Unavailable(String),
}

impl Start {
    /// The actor; an error where this machine does not allow it.
    pub fn ready(self) -> anyhow::Result<Peer> {
        match self {
            Self::Ready(peer) => Ok(peer),
            Self::Unavailable(reason) => bail!("{reason}"),
        }
    }
}

impl Peer {
    /// Starts an actor and waits until it listens.
    pub fn start(name: &'static str, command: &mut Command, stop: &Stop) -> anyhow::Result<Start> {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Only the driver handles Ctrl-C: an actor that died of it would look like a failure.
        let mut leader = Leader::start(pipes).with_context(|| format!("starting the {name}"))?;
        let Pipes { stdin, stdout, stderr } = leader.pipes();
        let (send, lines) = mpsc::channel();
        if let Some(stdout) = stdout {
            thread::spawn(move || {
                BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
            });
        }
        let complaints = stderr.map(|mut stderr| {
            thread::spawn(move || {
                let mut text = String::new();
                let _ = stderr.read_to_string(&mut text);
                text
            })
        });
        let mut peer = Self { name, pid: 0, open: false, leader, stdin, lines, complaints, stop: stop.clone() };
        match peer.reply()? {
            Reply::Ready { pid } => {
                peer.pid = pid;
                Ok(Start::Ready(peer))
            }
            Reply::Unavailable { reason } => Ok(Start::Unavailable(reason)),
            other => peer.unexpected(&other),
        }
    }

    /// Sends a request and waits for the reply. A refusal by SQLite is a reply, too: [`Reply::Failed`].
    pub fn ask(&mut self, request: &Request) -> anyhow::Result<Reply> {
        self.send(request)?;
        self.reply()
    }

    /// Sends a request. Its reply has to be waited for.
    pub fn send(&mut self, request: &Request) -> anyhow::Result<()> {
        self.stop.check()?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let sent = self.stdin.as_mut().map(|stdin| stdin.write_all(&line));
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { self.gone() }
    }

    /// Sends a request that must succeed.
    pub fn demand(&mut self, request: &Request) -> anyhow::Result<()> {
        self.attempt(request)?.map_or(Ok(()), |error| bail!("{error}"))
    }

    /// Sends a request that SQLite may refuse. Returns the refusal, with the name of the side.
    pub fn attempt(&mut self, request: &Request) -> anyhow::Result<Option<String>> {
        let reply = self.ask(request)?;
        match request {
            Request::Open { .. } => self.open = matches!(reply, Reply::Done),
            Request::Close | Request::Die => self.open = false,
            _ => {}
        }
        match reply {
            Reply::Done => Ok(None),
            Reply::Failed { error } => Ok(Some(format!("{}: {error}", self.name))),
            other => self.unexpected(&other),
        }
    }

    /// Asks for a count. A refusal by SQLite is the inner error.
    pub fn count(&mut self, request: &Request) -> anyhow::Result<Result<u64, Refusal>> {
        match self.ask(request)? {
            Reply::Rows { count } => Ok(Ok(count)),
            Reply::Failed { error } => Ok(Err(Refusal(error))),
            other => self.unexpected(&other),
        }
    }

    /// Inserts rows. Returns how many were committed, and what stopped the rest.
    pub fn insert(&mut self, rows: u32) -> anyhow::Result<(u64, Option<String>)> {
        match self.ask(&Request::Insert { rows })? {
            Reply::Inserted { rows, error } => Ok((rows, error)),
            Reply::Failed { error } => Ok((0, Some(error))),
            other => self.unexpected(&other),
        }
    }

    /// Begins a write transaction and leaves it open. Returns by how many bytes the `-wal` grew, or what SQLite
    /// refused.
    pub fn spill(&mut self) -> anyhow::Result<Result<u64, Refusal>> {
        match self.ask(&Request::Spill)? {
            Reply::Spilled { wal_grew } => Ok(Ok(wal_grew)),
            Reply::Failed { error } => Ok(Err(Refusal(error))),
            other => self.unexpected(&other),
        }
    }

    /// The SOURCE by which a process outside reaches a file that this actor sees.
    pub fn source(&self, path: &Path) -> OsString {
        let mut source = OsString::from(format!("pid:{}:", self.pid));
        source.push(path);
        source
    }

    /// Kills the actor and everything that it started here. Nothing is closed.
    pub fn kill(self) {
        self.leader.kill_group();
    }

    /// Runs a passive checkpoint.
    pub fn checkpoint(&mut self) -> anyhow::Result<Result<CheckpointAnswer, Refusal>> {
        match self.ask(&Request::Checkpoint)? {
            Reply::Checkpoint(answer) => Ok(Ok(answer)),
            Reply::Failed { error } => Ok(Err(Refusal(error))),
            other => self.unexpected(&other),
        }
    }

    /// The first line of an integrity check, or why there was none.
    pub fn integrity(&mut self) -> anyhow::Result<String> {
        match self.ask(&Request::Integrity)? {
            Reply::Integrity { text } => Ok(text),
            Reply::Failed { error } => Ok(error),
            other => self.unexpected(&other),
        }
    }

    /// Waits for the reply to a request that was sent.
    pub fn reply(&mut self) -> anyhow::Result<Reply> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(GLANCE) {
                Ok(line) => {
                    return serde_json::from_str(&line).with_context(|| format!("{} said {line:?}", self.name));
                }
                Err(RecvTimeoutError::Disconnected) => return self.gone(),
                Err(RecvTimeoutError::Timeout) => self.stop.check()?,
            }
            if Instant::now() > deadline {
                bail!("{}: no reply within {} s", self.name, PATIENCE.as_secs());
            }
        }
    }

    fn gone<T>(&mut self) -> anyhow::Result<T> {
        let status = self.farewell()?;
        let text = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        bail!("the {} ended ({status}): {}", self.name, text.trim())
    }

    /// What a program printed that the actor was told to run.
    pub fn said(&mut self) -> anyhow::Result<String> {
        match self.reply()? {
            Reply::Said { text } => Ok(text),
            Reply::Failed { error } => bail!("{}: {error}", self.name),
            other => self.unexpected(&other),
        }
    }

    fn unexpected<T>(&self, reply: &Reply) -> anyhow::Result<T> {
        bail!("the {} replied out of turn: {reply:?}", self.name)
    }

    /// Ends the actor: closes its input and waits for the end of its output.
    fn farewell(&mut self) -> std::io::Result<std::process::ExitStatus> {
        drop(self.stdin.take());
        let deadline = Instant::now() + FAREWELL;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.leader.kill_group();
                    break;
                }
            }
        }
        self.leader.wait()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.farewell();
    }
}
