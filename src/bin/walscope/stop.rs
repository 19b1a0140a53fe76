//! The one flag that says whether a signal asked walscope to stop. It is looked at between steps and while waiting, so that
//! everything is cleaned up first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use walscope::linux::ignores_signal;

/// The flag of this process. Handlers stay until it ends, so they are set once.
static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The user wants to stop.
#[cfg(feature = "lab")]
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Whether a signal asked to stop.
#[derive(Debug, Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on the signals that [`asking`] names set the flag instead of ending the process.
    pub fn listen() -> anyhow::Result<Self> {
        if let Some(flag) = ASKED.get() {
            return Ok(Self(Arc::clone(flag)));
        }
        let flag = Arc::new(AtomicBool::new(false));
        for signal in asking() {
            signal_hook::flag::register(signal, Arc::clone(&flag)).context("listening for signals")?;
        }
        Ok(Self(Arc::clone(ASKED.get_or_init(|| flag))))
    }

    /// Whether a signal has come.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once a signal has come.
    #[cfg(feature = "lab")]
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.asked() { Err(Interrupted) } else { Ok(()) }
    }
}

/// The signals that ask to stop: SIGINT, SIGTERM and SIGHUP, without those that the caller told this process to ignore.
///
/// folklore: nohup(1) starts a program with SIGHUP ignored, and a shell without job control starts its background jobs with
/// SIGINT ignored (POSIX, "Asynchronous Lists"). A handler would undo that, and the program would end with the terminal after
/// all. The kernel is asked, not /proc: where a bundle needs a temporary name, /proc is not mounted. Held by
/// `a_signal_that_the_caller_ignores_stays_ignored`, `what_nohup_and_a_background_job_ignore_asks_no_command_to_stop`.
pub fn asking() -> impl Iterator<Item = i32> {
    [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !ignores_signal(*signal))
}
