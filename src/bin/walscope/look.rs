//! How a command looks at a SOURCE: the number of threads, and the progress display.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use walscope::bundle::SnapshotError;
use walscope::linux::mapped::kept::{self, Among};
use walscope::linux::{Care, OpenError};
use walscope::look::{Depth, Inspection, Options};
use walscope::source::{self, Found, Source, SourceError};
use walscope::wal::Frame;

use crate::kept_open;
use crate::options::Global;
use crate::output::complain;

/// The default has at most so many threads: with more, memory speed is the limit.
const THREADS: usize = 8;
/// Work that takes less time shows no progress.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two progress reports.
const PERIOD: Duration = Duration::from_millis(100);

/// Opens a SOURCE and looks at it until it stands still.
pub fn inspect(argument: &OsStr, depth: Depth, global: &Global) -> anyhow::Result<(Source, Inspection)> {
    let progress = Progress::new();
    let show = |bytes, of| progress.show(bytes, of);
    source::inspect(argument, global.care(), &options(depth, global, &show))
        .map_err(|error| still_open(argument, error))
}

/// Opens a SOURCE and checks everything; `trees`: also the pages of all tables and indexes.
pub fn verify(argument: &OsStr, trees: bool, global: &Global) -> anyhow::Result<Inspection> {
    let progress = Progress::new();
    let show = |bytes, of| progress.show(bytes, of);
    let options = Options { trees, ..options(Depth::CrossChecked, global, &show) };
    let looked = source::inspect(argument, global.care(), &options).map_err(|error| still_open(argument, error));
    looked.map(|(_, inspection)| inspection)
}

/// Opens a database that was found below a folder, and checks everything.
pub fn verify_found(found: &Found, trees: bool, global: &Global) -> anyhow::Result<Inspection> {
    let progress = Progress::new();
    let show = |bytes, of| progress.show(bytes, of);
    let options = Options { trees, ..options(Depth::CrossChecked, global, &show) };
    let (_, inspection) = source::inspect_found(found, global.care(), &options)?;
    Ok(inspection)
}

/// Opens a SOURCE and looks at it until it stands still; each look hands the frames of the `-wal` to a new `T`.
pub fn inspect_frames<T>(
    argument: &OsStr,
    global: &Global,
    begin: impl FnMut(&Source) -> T,
    each: impl FnMut(&mut T, &Frame, &[u8]),
) -> anyhow::Result<(Source, Inspection, T)> {
    let progress = Progress::new();
    let show = |bytes, of| progress.show(bytes, of);
    source::inspect_frames(argument, global.care(), &options(Depth::Frames, global, &show), begin, each)
        .map_err(|error| still_open(argument, error))
}

/// Adds to the error that a file is missing who still has it open, if anybody does: then it can be saved.
fn still_open(argument: &OsStr, error: SourceError) -> anyhow::Error {
    let gone = |open: &OpenError| open.why.kind() == io::ErrorKind::NotFound;
    let SourceError::Open(SnapshotError::Open(open)) = &error else { return error.into() };
    let Some(target) = source::target(argument).ok().filter(|_| gone(open)) else { return error.into() };
    let view = kept::kept_files(&target, Care { strict_atime: true, look_anyway: false }, Among::All);
    let sets = view.map(|view| view.sets).unwrap_or_default();
    if sets.is_empty() {
        // A folder that was deleted with its databases.
        let mut beneath = kept::open_beneath(&target).into_iter();
        return match beneath.find(|open| open.gone && open.relative.is_some()) {
            Some(open) => {
                anyhow::anyhow!("{error}; {}: {}", open.source.to_string_lossy(), kept_open::rescue_it(&open))
            }
            None => error.into(),
        };
    }
    match sets.iter().flat_map(|set| &set.by).next() {
        Some(by) => anyhow::anyhow!("{error}; {}", kept_open::still_open("", by.pid, argument)),
        None => error.into(),
    }
}

fn options<'a>(depth: Depth, global: &Global, show: &'a dyn Fn(u64, u64)) -> Options<'a> {
    let progress = io::stderr().is_terminal().then_some(show);
    Options { depth, threads: threads(global), progress, ..Options::default() }
}

/// The number of threads that read a WAL.
pub fn threads(global: &Global) -> NonZeroUsize {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS));
    NonZeroUsize::new(global.threads.map_or_else(cores, usize::from)).unwrap_or(NonZeroUsize::MIN)
}

/// A progress line on standard error, which is overwritten, and removed at the end.
struct Progress {
    next: Cell<Instant>,
    shown: Cell<bool>,
}

impl Progress {
    fn new() -> Self {
        Self { next: Cell::new(Instant::now() + PATIENCE), shown: Cell::new(false) }
    }

    fn show(&self, bytes: u64, of: u64) {
        let now = Instant::now();
        if now >= self.next.get() {
            self.next.set(now + PERIOD);
            self.shown.set(true);
            complain(&format!("\r{}", line(bytes, of)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.get() {
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
