//! A pass over a WAL: with how many threads, and what is shown meanwhile.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use walscope::bytes::ReadAt;
use walscope::wal::{Scan, WalFacts};

use crate::options::Global;
use crate::output::complain;

/// Threads without being asked for more: beyond them memory is what limits.
const THREADS: usize = 8;
/// Work that is shorter shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// From one report to the next.
const PERIOD: Duration = Duration::from_millis(100);

/// Passes over a WAL in the way that `run` chooses.
pub fn pass(
    wal: &dyn ReadAt,
    global: &Global,
    run: impl FnOnce(Scan<'_>) -> io::Result<WalFacts>,
) -> io::Result<WalFacts> {
    let scan = Scan::new(wal).threads(threads(global));
    if !io::stderr().is_terminal() {
        return run(scan);
    }
    let mut progress = Progress { of: wal.len(), next: Instant::now() + PATIENCE, shown: false };
    let mut show = |bytes| progress.show(bytes);
    run(scan.progress(&mut show))
}

/// With how many threads a WAL is read.
pub fn threads(global: &Global) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS));
    global.threads.map_or_else(cores, usize::from)
}

/// One line on standard error, written over and taken away at the end.
struct Progress {
    of: u64,
    next: Instant,
    shown: bool,
}

impl Progress {
    fn show(&mut self, bytes: u64) {
        let now = Instant::now();
        if now >= self.next {
            self.next = now + PERIOD;
            self.shown = true;
            complain(&format!("\r{}", line(bytes, self.of)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            complain("\r\x1b[K");
        }
    }
}

fn line(bytes: u64, of: u64) -> String {
    let percent = u128::from(bytes) * 100 / u128::from(of.max(1));
    format!("verifying the WAL: {percent:3} % of {} MiB", of >> 20)
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn progress_says_how_much_of_how_much() {
        assert_eq!(line(1 << 20, 4 << 20), "verifying the WAL:  25 % of 4 MiB");
        assert_eq!(line(0, 0), "verifying the WAL:   0 % of 0 MiB");
        assert_eq!(line(u64::MAX, u64::MAX), "verifying the WAL: 100 % of 17592186044415 MiB");
    }
}
