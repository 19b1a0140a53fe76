//! Runs a program to its end, with a time limit, and in its own process group, so that Ctrl-C does not kill it
//! half-way.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// How a program ended, and its output.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// What it wrote to standard output, unless that was redirected.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Ended {
    /// Standard output, if the program succeeded.
    pub fn success(self, what: &str) -> anyhow::Result<String> {
        if !self.status.success() {
            let said = String::from_utf8_lossy(&self.stderr);
            let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            bail!("{what}: {}: {}", self.status, said.join("; "));
        }
        Ok(String::from_utf8_lossy(&self.stdout).trim().to_owned())
    }
}

/// Something that writes a program's standard input.
pub type Feed<'a> = &'a (dyn Fn(&mut dyn Write) -> io::Result<()> + Sync);

/// Runs `command` with standard error collected, and standard output too unless `stdout` says otherwise.
pub fn run(
    command: &mut Command,
    feed: Option<Feed<'_>>,
    stdout: Option<Stdio>,
    limit: Duration,
) -> anyhow::Result<Ended> {
    let what = format!("{} {}", command.get_program().display(), first_argument(command));
    command
        .process_group(0)
        .stdin(if feed.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(stdout.unwrap_or_else(Stdio::piped))
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| what.clone())?;
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (done, ended) = mpsc::channel();
    let (stdout, stderr, in_time) = thread::scope(|scope| {
        let feeder = scope.spawn(move || write_all(feed, stdin));
        let out = scope.spawn(move || collect(out));
        let err = scope.spawn(move || collect(err));
        scope.spawn(move || {
            // The pipes end when the program ends. An error of the feeder (a broken pipe) is ignored: the program's own
            // output explains it.
            let _ = feeder.join();
            let _ = done.send((out.join().unwrap_or_default(), err.join().unwrap_or_default()));
        });
        match ended.recv_timeout(limit) {
            Ok((out, err)) => (out, err, true),
            Err(_) => {
                kill_group(&child);
                let (out, err) = ended.recv().unwrap_or_default();
                (out, err, false)
            }
        }
    });
    let status = child.wait()?;
    if !in_time {
        bail!("{what}: no end within {} s", limit.as_secs());
    }
    Ok(Ended { status, stdout, stderr })
}

/// Kills a child that was started as the leader of its own process group, and all of that group.
pub fn kill_group(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn first_argument(command: &Command) -> String {
    command.get_args().next().map(|argument| argument.to_string_lossy().into_owned()).unwrap_or_default()
}

fn write_all(feed: Option<Feed<'_>>, stdin: Option<ChildStdin>) -> io::Result<()> {
    match (feed, stdin) {
        (Some(feed), Some(mut stdin)) => feed(&mut stdin),
        _ => Ok(()),
    }
}

fn collect(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}
