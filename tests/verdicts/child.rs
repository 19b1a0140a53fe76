//! Processes with real SQLite that do what they are told, line by line: the test binary, executed again.
//!
//! A child is a process of one thread, so that it can give itself namespaces and another root, and go on after a fork.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, openat};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::namespaces;

const VARIABLE: &str = "WALSCOPE_TEST_VERDICTS_CHILD";
const REPLY: &str = "verdicts-child: ";
/// The test function that calls [`serve`].
const ENTRY: &str = "verdicts_child";

/// What a child answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It worked.
    Done(String),
    /// Somebody else holds a lock.
    Busy,
    /// SQLite or the system refused.
    Failed(String),
    /// The process ended.
    Dead,
}

/// A process that does what it is told. Killed when dropped, so that nothing is closed in order.
pub struct Told {
    process: Option<Child>,
    pidfd: OwnedFd,
    pid: u32,
    to: Box<dyn Write + Send>,
    from: BufReader<Box<dyn Read + Send>>,
    /// The folder of the pipes of processes that it forks.
    pipes: PathBuf,
}

impl Told {
    /// Starts one. `pipes`: a folder for named pipes.
    pub fn start(pipes: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([ENTRY, "--exact", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, pipes)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (to, from) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut told = Self {
            pidfd: pidfd(process.id()),
            pid: process.id(),
            to: Box::new(to),
            from: BufReader::new(Box::new(from)),
            process: Some(process),
            pipes: pipes.to_owned(),
        };
        let Reply::Done(pid) = told.hear() else { panic!("a child did not start") };
        told.pid = pid.parse().unwrap();
        told.pidfd = pidfd(told.pid);
        told
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    pub fn ask(&mut self, command: &str) -> Reply {
        // A child that died is recognized by the missing reply.
        let _ = writeln!(self.to, "{command}").and_then(|()| self.to.flush());
        self.hear()
    }

    fn hear(&mut self) -> Reply {
        loop {
            let mut line = Vec::new();
            if self.from.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                return Reply::Dead;
            }
            // libtest writes `test name ... ` without a newline before the first reply.
            let line = String::from_utf8_lossy(&line).into_owned();
            let Some((_, reply)) = line.trim_end().split_once(REPLY) else { continue };
            return match reply.split_once(' ').unwrap_or((reply, "")) {
                ("busy", _) => Reply::Busy,
                ("failed", why) => Reply::Failed(why.to_owned()),
                (_, what) => Reply::Done(what.to_owned()),
            };
        }
    }

    /// Tells it what must work.
    pub fn must(&mut self, command: &str) -> String {
        match self.ask(command) {
            Reply::Done(what) => what,
            other => panic!("{command}: {other:?}"),
        }
    }

    /// A new process that goes on with everything that this one has. `files`: it shares the descriptors themselves, not
    /// copies of them.
    pub fn fork(&mut self, name: &str, files: bool) -> Self {
        for end in ["in", "out"] {
            let path = self.pipes.join(format!("{name}.{end}"));
            mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        }
        let pid: u32 = self.must(&format!("{} {name}", if files { "clone" } else { "fork" })).parse().unwrap();
        let pidfd = pidfd(pid);
        // Both sides open them in one order: each waits for the other.
        let to = File::options().write(true).open(self.pipes.join(format!("{name}.in"))).unwrap();
        let from = File::open(self.pipes.join(format!("{name}.out"))).unwrap();
        Self {
            process: None,
            pidfd,
            pid,
            to: Box::new(to),
            from: BufReader::new(Box::new(from)),
            pipes: self.pipes.clone(),
        }
    }

    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }

    /// Waits until the process has stopped.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid);
        while std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") T ")) {
            crate::common::pause();
        }
    }

    /// SIGKILL. A process that was forked is a child of its parent, or of init; its end is seen by its pidfd.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        match &mut self.process {
            Some(process) => drop(process.wait()),
            None => {
                let mut waiting = [rustix::event::PollFd::new(&self.pidfd, rustix::event::PollFlags::IN)];
                let _ = rustix::event::poll(&mut waiting, None);
            }
        }
    }
}

fn pidfd(pid: u32) -> OwnedFd {
    pidfd_open(Pid::from_raw(pid.try_into().unwrap()).unwrap(), PidfdFlags::empty()).unwrap()
}

impl Drop for Told {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads and runs commands until standard input ends. Returns at once in the parent.
pub fn serve() {
    let Some(pipes) = std::env::var_os(VARIABLE) else { return };
    alone();
    println!("{REPLY}ok {}", std::process::id());
    let mut server =
        Server { pipes: File::open(pipes).unwrap(), connection: None, kept: Vec::new(), mapped: Vec::new() };
    server.listen(io::stdin().lock(), io::stdout());
    std::process::exit(0);
}

/// libtest runs tests in a thread. Goes on in a new process, which has this thread only; the old one ends with it.
#[allow(unsafe_code)]
fn alone() {
    // SAFETY: the other thread of libtest waits for this one. It holds no lock, and the C library keeps its own in order.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child > 0 {
        let _ = rustix::process::waitpid(Pid::from_raw(child), rustix::process::WaitOptions::empty());
        std::process::exit(0);
    }
}

struct Server {
    pipes: File,
    connection: Option<Connection>,
    kept: Vec<File>,
    mapped: Vec<memmap2::Mmap>,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

impl Server {
    fn listen(&mut self, mut input: impl BufRead, mut output: impl Write) {
        let mut line = String::new();
        while input.read_line(&mut line).is_ok_and(|n| n > 0) {
            let reply = match self.run(line.trim_end()) {
                Ok(what) => format!("ok {what}"),
                Err(error) => match error.downcast_ref::<rusqlite::Error>().and_then(|e| e.sqlite_error_code()) {
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "busy".to_owned(),
                    _ => format!("failed {error}").replace('\n', " "),
                },
            };
            if writeln!(output, "{REPLY}{reply}").and_then(|()| output.flush()).is_err() {
                return;
            }
            line.clear();
        }
    }

    fn run(&mut self, line: &str) -> Result<String> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "open" => {
                let connection = Connection::open_with_flags(rest, OpenFlags::default() | OpenFlags::SQLITE_OPEN_URI)?;
                // rusqlite waits 5 seconds for a lock; here nobody would release one in that time.
                connection.busy_timeout(Duration::ZERO)?;
                self.connection = Some(connection);
            }
            "close" => self.connection = None,
            "sql" => {
                let connection = self.connection.as_ref().ok_or("not open")?;
                let mut batch = rusqlite::Batch::new(connection, rest);
                while let Some(mut statement) = rusqlite::fallible_iterator::FallibleIterator::next(&mut batch)? {
                    let mut rows = statement.raw_query();
                    while rows.next()?.is_some() {}
                }
            }
            "value" => {
                let connection = self.connection.as_ref().ok_or("not open")?;
                let value: rusqlite::types::Value = connection.query_row(rest, [], |row| row.get(0))?;
                return Ok(match value {
                    rusqlite::types::Value::Integer(n) => n.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    other => format!("{other:?}"),
                });
            }
            "read-only" => {
                let connection = self.connection.as_ref().ok_or("not open")?;
                return Ok(connection.is_readonly("main")?.to_string());
            }
            // Closing any descriptor of a file drops all POSIX locks of the process on it.
            "touch" => drop(File::open(rest)?),
            "keep" => self.kept.push(File::open(rest)?),
            "map" => {
                let file = File::open(rest)?;
                self.mapped.push(map(&file)?);
            }
            "own-mounts" => namespaces::own_mounts()?,
            "bind" => {
                let (from, to) = rest.split_once(' ').ok_or("two paths")?;
                rustix::mount::mount_bind(from, to)?;
            }
            "mounts-of" => namespaces::mounts_of(rest)?,
            "root" => {
                rustix::process::chroot(rest)?;
                std::env::set_current_dir("/")?;
            }
            "fork" | "clone" => return self.fork(rest, verb == "clone"),
            "exec" => {
                let child = Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
                // It ends when its standard input does, that is when this process ends.
                let pid = child.id();
                std::mem::forget(child);
                return Ok(pid.to_string());
            }
            other => return Err(format!("no such command: {other}").into()),
        }
        Ok(String::new())
    }

    #[allow(unsafe_code)]
    fn fork(&mut self, name: &str, files: bool) -> Result<String> {
        let flags = libc::SIGCHLD | if files { libc::CLONE_FILES } else { 0 };
        // SAFETY: this process has one thread, so the child has all of its memory in a consistent state. Without
        // CLONE_VM the child has a copy of the memory and goes on after the call, as after fork(2).
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) };
        if pid != 0 {
            return if pid < 0 { Err(io::Error::last_os_error().into()) } else { Ok(pid.to_string()) };
        }
        let open = |end: &str, flags| {
            let path = CString::new(format!("{name}.{end}")).unwrap();
            File::from(openat(&self.pipes, &path, flags | OFlags::CLOEXEC, Mode::empty()).unwrap())
        };
        let (input, output) = (open("in", OFlags::RDONLY), open("out", OFlags::WRONLY));
        self.listen(BufReader::new(input), output);
        // SAFETY: it ends this process at once; nothing is closed in order, as by SIGKILL.
        unsafe { libc::_exit(0) }
    }
}

#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<memmap2::Mmap> {
    // SAFETY: the bytes are never looked at.
    unsafe { memmap2::Mmap::map(file) }
}

/// The path as an SQLite URI.
pub fn uri(path: &Path, parameters: &str) -> String {
    let path = String::from_utf8(path.as_os_str().as_bytes().to_vec()).unwrap();
    format!("file:{path}{}{parameters}", if parameters.is_empty() { "" } else { "?" })
}
