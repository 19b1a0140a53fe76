//! Runs another program to its end, which must come within a time. What it says is bounded too.
//!
//! The program leads a process group of its own: Ctrl-C in a terminal does not end it half-way, and whatever it has started
//! is ended together with it when its time is over. It is always waited for, so that no zombie stays.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::own_child::OwnChild;

/// The most that is kept of an output, bytes. A program that writes more finds its pipe closed.
const OUTPUT_LIMIT: u64 = 4 << 20;
/// How often a program is asked for that has closed its outputs and goes on.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// What it wrote to standard output, unless that went elsewhere.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Ended {
    /// Standard output without the space around it, if the program succeeded.
    ///
    /// # Errors
    /// When it failed: `what` failed, the status, and what the program said on standard error.
    pub fn success(self, what: &str) -> io::Result<String> {
        if self.status.success() {
            return Ok(String::from_utf8_lossy(&self.stdout).trim().to_owned());
        }
        let said = String::from_utf8_lossy(&self.stderr);
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Err(io::Error::other(format!("{what}: {}: {}", self.status, said.join("; "))))
    }
}

/// Something that writes a program's standard input.
pub type Feed<'a> = &'a (dyn Fn(&mut dyn Write) -> io::Result<()> + Sync);

/// Runs `command` with standard error collected, and standard output too unless `stdout` says otherwise. Standard input is
/// what `feed` writes, else nothing.
///
/// # Errors
/// When it cannot be started, and [`io::ErrorKind::TimedOut`] when it did not end within the time: then it was killed.
/// A program that fails is no error.
pub fn run(
    command: &mut Command,
    feed: Option<Feed<'_>>,
    stdout: Option<Stdio>,
    within: Duration,
) -> io::Result<Ended> {
    let deadline = Instant::now() + within;
    let command = command
        .stdin(if feed.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(stdout.unwrap_or_else(Stdio::piped))
        .stderr(Stdio::piped());
    let mut leader = Leader::start(command)?;
    let Pipes { stdin, stdout, stderr } = leader.pipes();
    let outputs = [collect(stdout), collect(stderr)];
    thread::scope(|scope| {
        // An error here, such as a broken pipe, is explained by the program itself.
        scope.spawn(move || write_all(feed, stdin));
        let ended = end(&mut leader.child, &outputs, deadline);
        if ended.is_none() {
            leader.kill_group();
            leader.wait()?;
        }
        ended.unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::TimedOut, format!("no end within {within:?}"))))
    })
}

/// Waits for both outputs and the program itself; `None` when the time is over.
fn end(child: &mut Child, [stdout, stderr]: &[Receiver<Vec<u8>>; 2], deadline: Instant) -> Option<io::Result<Ended>> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let stdout = stdout.recv_timeout(left()).ok()?;
    let stderr = stderr.recv_timeout(left()).ok()?;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(Ok(Ended { status, stdout, stderr })),
            Ok(None) if left().is_zero() => return None,
            Ok(None) => thread::sleep(ASK_EVERY.min(left())),
            Err(error) => return Some(Err(error)),
        }
    }
}

/// A program that leads a process group of its own: what it starts is in that group, unless it leaves it.
#[derive(Debug)]
pub struct Leader {
    child: Child,
    own: Option<OwnChild>,
}

/// What a program was given as pipes: this process's ends.
#[derive(Debug)]
pub struct Pipes {
    /// Its standard input.
    pub stdin: Option<ChildStdin>,
    /// Its standard output.
    pub stdout: Option<ChildStdout>,
    /// Its standard error.
    pub stderr: Option<ChildStderr>,
}

impl Leader {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let own = i32::try_from(child.id()).ok().and_then(Pid::from_raw).map(OwnChild::of);
        Ok(Self { child, own })
    }

    /// The pipes, once.
    pub fn pipes(&mut self) -> Pipes {
        let child = &mut self.child;
        Pipes { stdin: child.stdin.take(), stdout: child.stdout.take(), stderr: child.stderr.take() }
    }

    /// Kills it and all of its group. Once it was waited for, the group's number may be another's: then nothing is killed.
    /// Returns whether something was.
    pub fn kill_group(&self) -> bool {
        // It may have left its group itself.
        self.own.as_ref().is_some_and(|own| own.kill_group() | own.kill())
    }

    /// Waits for its end, however long it takes. Further calls give the same status.
    ///
    /// # Errors
    /// What waitpid(2) said.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

fn write_all(feed: Option<Feed<'_>>, stdin: Option<ChildStdin>) -> io::Result<()> {
    match (feed, stdin) {
        (Some(feed), Some(mut stdin)) => feed(&mut stdin),
        _ => Ok(()),
    }
}

/// Reads a pipe to its end in a thread of its own, which nobody waits for: a process that left the group may keep the pipe
/// open for ever.
fn collect(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, collected) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // After an error, the bytes read so far are the output.
            let _ = pipe.take(OUTPUT_LIMIT).read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    collected
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn sh(script: &str, within: Duration) -> io::Result<Ended> {
        run(Command::new("sh").args(["-c", script]), None, None, within)
    }

    #[test]
    fn both_outputs_and_the_status_are_told() {
        let ended = sh("echo out; echo err >&2; exit 3", LONG).unwrap();
        assert_eq!((ended.stdout, ended.stderr, ended.status.code()), (b"out\n".into(), b"err\n".into(), Some(3)));
        let fed = run(&mut Command::new("cat"), Some(&|stdin| stdin.write_all(b"given")), None, LONG).unwrap();
        assert_eq!(fed.stdout, b"given");
        let failed = sh("echo a >&2; echo; echo b >&2; exit 3", LONG).unwrap().success("sh").unwrap_err();
        assert_eq!(failed.to_string(), "sh: exit status: 3: a; b");
        let missing = run(&mut Command::new("no-such-program"), None, None, LONG).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_with_what_it_started() {
        let begun = Instant::now();
        for script in ["sleep 60", "sleep 60 & wait", "exec >&- 2>&-; sleep 60"] {
            let error = sh(script, Duration::from_millis(200)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{script}");
        }
        // One that left the group keeps the pipe, and is not waited for.
        let error = sh("setsid sleep 3 & wait", Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    /// The group is still there, and may be another's by its number alone.
    #[test]
    fn no_group_is_killed_by_the_number_of_a_leader_that_was_waited_for() {
        let mut command = Command::new("sh");
        let command = command.args(["-c", "sleep 60 >&- & echo $!"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut leader = Leader::start(command).unwrap();
        let mut text = String::new();
        leader.pipes().stdout.unwrap().read_to_string(&mut text).unwrap();
        let member = Pid::from_raw(text.trim().parse().unwrap()).unwrap();
        assert!(leader.wait().unwrap().success());
        assert!(!leader.kill_group());
        // It is in no other group, and was left alone.
        rustix::process::kill_process(member, rustix::process::Signal::KILL).unwrap();
        // One that has ended and was not waited for keeps its number, so the rest of its group can be killed.
        let mut leader =
            Leader::start(Command::new("sh").args(["-c", "sleep 60 & exit"]).stdin(Stdio::null())).unwrap();
        assert!(leader.kill_group());
        leader.wait().unwrap();
    }

    #[test]
    fn an_endless_output_is_cut() {
        let ended = sh("yes", LONG).unwrap();
        assert_eq!((ended.stdout.len() as u64, ended.status.success()), (OUTPUT_LIMIT, false));
    }

    #[test]
    fn nothing_of_it_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let script = format!("echo $$ >{}; sleep 60 & echo $! >{}; wait", first.display(), second.display());
        assert_eq!(sh(&script, Duration::from_secs(2)).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let pid = |file| std::fs::read_to_string(file).unwrap().trim().to_owned();
        // A zombie would still have a folder. The other process is not a child of this one, so it may be a zombie.
        assert!(!std::path::Path::new("/proc").join(pid(first)).exists());
        let second = format!("/proc/{}/stat", pid(second));
        let gone = || std::fs::read_to_string(&second).map_or(true, |stat| stat.contains(") Z "));
        let deadline = Instant::now() + LONG;
        while !gone() {
            assert!(Instant::now() < deadline, "{second} is there");
            thread::sleep(ASK_EVERY);
        }
    }
}
