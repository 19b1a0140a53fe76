//! A child process, and what the kernel says it has cost.
#![allow(unsafe_code, reason = "wait4 has no safe form: it alone gives the cost of one child")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one process has cost.
#[derive(Clone, Copy)]
pub struct Cost {
    pub wall: Duration,
    /// User and system.
    pub cpu: Duration,
    /// Largest resident set, KiB.
    pub peak_kib: u64,
}

/// Runs to the end, output thrown away; panics if it gives no answer.
#[allow(clippy::zombie_processes, reason = "wait4 below waits for it, and counts what it used")]
pub fn cost(command: &mut Command) -> Cost {
    let begun = Instant::now();
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the right types, and the process is a child of this one.
    let waited = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage) };
    // 1 is an answer, too: something was found, if only elsewhere on the machine.
    assert!(waited == child.id() as libc::pid_t && (status == 0 || status == 1 << 8), "{command:?}: {status:#x}");
    let time = |time: libc::timeval| Duration::from_micros(time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64);
    Cost { wall: begun.elapsed(), cpu: time(usage.ru_utime) + time(usage.ru_stime), peak_kib: usage.ru_maxrss as u64 }
}
