//! Holding the beacon of a capture until somebody says that it is enough.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use walscope::evidence::Observation;
use walscope::linux::OpenedFiles;
use walscope::linux::challenge::contact::Held;

use crate::output;
use crate::stop::Stop;

/// Time between two checks whether a signal arrived: one can arrive just before the wait begins.
const GLANCE: Duration = Duration::from_millis(500);

/// Holds a beacon on the `-shm` of opened files.
pub fn hold(files: &OpenedFiles) -> anyhow::Result<Arc<Held>> {
    let name = files.database_path.display();
    let shm: &Arc<File> = match files.shm_to_lock() {
        Observation::Seen { value } => value,
        absent => bail!(
            "{name}: --hold needs a -shm, which is there while a connection is open: {}",
            absent.reason().unwrap_or_default()
        ),
    };
    let held = Held::on(shm).with_context(|| format!("{name}: locks of open file descriptions on the -shm"))?;
    Ok(Arc::new(held))
}

/// Waits for the given time, or else until standard input ends or a signal arrives. Standard input counts only where
/// somebody can close it, that is a pipe or a socket: that of a command in the background is /dev/null or a terminal.
pub fn wait(time: Option<Duration>) -> anyhow::Result<()> {
    let stop = Stop::listen()?;
    let begun = Instant::now();
    let input = io::stdin();
    let mut ends = time.is_none() && can_be_closed(input.as_fd());
    let until = match (time, ends) {
        (Some(time), _) => format!("for {} seconds, or until a signal", time.as_secs()),
        (None, true) => "until standard input ends, or a signal".to_owned(),
        (None, false) => "until a signal".to_owned(),
    };
    output::complain(&format!("walscope: the bundle is whole; its beacon is held {until}\n"));
    while !stop.asked() && time.is_none_or(|time| begun.elapsed() < time) {
        let left = time.map_or(GLANCE, |time| time.saturating_sub(begun.elapsed()).min(GLANCE));
        let limit = Timespec::try_from(left)?;
        let mut watched = [PollFd::new(&input, PollFlags::IN)];
        let watched = if ends { &mut watched[..] } else { &mut [] };
        match poll(watched, Some(&limit)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => match input.lock().read(&mut [0; 4096]) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => ends = false,
            },
            Err(error) => return Err(io::Error::from(error)).context("waiting for the end of standard input"),
        }
    }
    Ok(())
}

fn can_be_closed(input: BorrowedFd<'_>) -> bool {
    fstat(input).is_ok_and(|stat| matches!(FileType::from_raw_mode(stat.st_mode), FileType::Fifo | FileType::Socket))
}
