//! A child of this process, named so that no signal meets another process. The number of a child is its own until it is
//! waited for. From then on the kernel may give it to any process; and where SIGCHLD is ignored nobody has to wait.

use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
    waitid,
};

/// A child, by its number and by a descriptor of it, which never is another's.
#[derive(Debug)]
pub(crate) struct OwnChild {
    pid: Pid,
    /// None before Linux 5.4, and where it is not allowed.
    exact: Option<OwnedFd>,
}

impl OwnChild {
    /// A child that was started just now and not waited for.
    pub(crate) fn of(pid: Pid) -> Self {
        let exact = pidfd_open(pid, PidfdFlags::empty()).ok();
        let child = Self { pid, exact };
        // It may have ended meanwhile, where SIGCHLD is ignored. What has its number then is no child of this process.
        if child.is_unreaped() { child } else { Self { exact: None, ..child } }
    }

    /// Its number.
    #[cfg(test)]
    pub(crate) fn number(&self) -> Pid {
        self.pid
    }

    fn id(&self) -> WaitId<'_> {
        self.exact.as_ref().map_or(WaitId::Pid(self.pid), |exact| WaitId::PidFd(exact.as_fd()))
    }

    /// Whether it was not waited for, so that its number is its own, whether it runs or has ended.
    fn is_unreaped(&self) -> bool {
        waitid(self.id(), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT).is_ok()
    }

    /// Kills it. Returns whether it was there to be killed.
    pub(crate) fn kill(&self) -> bool {
        match &self.exact {
            Some(exact) => pidfd_send_signal(exact, Signal::KILL).is_ok(),
            None => self.is_unreaped() && kill_process(self.pid, Signal::KILL).is_ok(),
        }
    }

    /// Kills the process group that it leads. Once it was waited for, the group's number may be another's: then nothing is
    /// killed. Returns whether something was.
    pub(crate) fn kill_group(&self) -> bool {
        self.is_unreaped() && kill_process_group(self.pid, Signal::KILL).is_ok()
    }

    /// Waits for its end, however long it takes.
    pub(crate) fn wait(&self) {
        while matches!(waitid(self.id(), WaitIdOptions::EXITED), Err(rustix::io::Errno::INTR)) {}
    }

    /// Waits for its end for so many milliseconds, about.
    pub(crate) fn wait_at_most(&self, milliseconds: u32) {
        for _ in 0..milliseconds {
            match waitid(self.id(), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(None) | Err(rustix::io::Errno::INTR) => thread::sleep(Duration::from_millis(1)),
                Ok(Some(_)) | Err(_) => break,
            }
        }
    }
}
