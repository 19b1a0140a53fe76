//! One pass over what every visible process has mapped.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use super::limits::BLOCK;
use crate::linux::procfs::{Proc, Process};
use crate::linux::text::LineError;
use crate::linux::text::maps::{MapsLine, parse, parse_line};
use crate::linux::unseen::{refused, vanished};

/// How far one could look.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Processes whose maps could be read.
    pub read: u32,
    /// Processes whose maps could not be read.
    pub denied: u32,
    /// Why the first of them could not be read.
    pub denied_reason: Option<String>,
}

/// Why it could not be told what a process has mapped.
#[derive(Debug, Error)]
pub(super) enum Untold {
    /// A line of its maps is of another form.
    #[error("{pid}/maps: {why}")]
    Line { pid: u32, why: LineError },
    /// On btrfs, the file behind a mapping could not be looked at.
    #[error(
        "{pid}: maps prints one device for all subvolumes of a btrfs, and the file behind a mapping could not be looked \
         at: {why}"
    )]
    Behind { pid: u32, why: io::Error },
}

/// What one process has mapped, at one moment.
pub(super) struct ProcessMaps {
    /// The process, held by a descriptor.
    pub process: Arc<Process>,
    text: Vec<u8>,
}

/// One mapping of a file that may be a wal-index.
pub(super) struct Candidate {
    /// Who has it mapped.
    pub process: Arc<Process>,
    /// Where, as map_files names it.
    pub range: String,
    /// Under which path, as `maps` prints it.
    pub path: Vec<u8>,
}

/// Looks at every visible process once, in ascending order. Processes that end meanwhile are left out; those of which
/// `look` cannot tell what they have mapped count as denied.
///
/// # Errors
/// When the processes cannot be listed.
pub(super) fn each_process(proc: &Proc, mut look: impl FnMut(&ProcessMaps) -> Result<(), Untold>) -> io::Result<Reach> {
    let mut reach = Reach::default();
    for pid in proc.pids()? {
        let why = match ProcessMaps::read(proc, pid) {
            Ok(maps) => match look(&maps) {
                Ok(()) => {
                    reach.read = reach.read.saturating_add(1);
                    continue;
                }
                Err(why) => why.to_string(),
            },
            Err(error) if vanished(&error) => continue,
            Err(error) if refused(&error) => format!("{pid}/maps: {error}"),
            Err(error) => format!("{pid}/maps could not be read: {error}"),
        };
        reach.denied = reach.denied.saturating_add(1);
        reach.denied_reason.get_or_insert(why);
    }
    Ok(reach)
}

impl ProcessMaps {
    /// Reads what a process has mapped now.
    ///
    /// # Errors
    /// What the system said: EACCES without the permission to trace the process, ENOENT or ESRCH when it has ended.
    pub(super) fn read(proc: &Proc, pid: u32) -> io::Result<Self> {
        Self::of(&Arc::new(proc.process(pid)?))
    }

    /// Reads what a process that is held already has mapped now.
    ///
    /// # Errors
    /// What the system said: ESRCH when it has ended.
    pub(super) fn of(process: &Arc<Process>) -> io::Result<Self> {
        Ok(Self { text: process.read("maps")?, process: Arc::clone(process) })
    }

    /// Every mapping.
    ///
    /// # Errors
    /// The first line that is of another form.
    pub(super) fn lines(&self) -> Result<Vec<MapsLine<'_>>, Untold> {
        parse(&self.text).map_err(|why| Untold::Line { pid: self.process.pid, why })
    }

    /// Mappings of which one could be of a wal-index: shared, of whole blocks, of a file. The other lines are not taken
    /// apart, and lines of another form are left out.
    pub(super) fn like_wal_indexes(&self) -> impl Iterator<Item = MapsLine<'_>> {
        let lines = self.text.split(|&byte| byte == b'\n').filter(|line| is_shared(line));
        lines.filter_map(parse_line).filter(|line| {
            line.inode.inode != 0
                && line.length() > 0
                && line.length().is_multiple_of(BLOCK)
                && line.offset.is_multiple_of(BLOCK)
                && (is_named_shm(line.path) || may_have_another_name(line))
        })
    }

    /// One of these mappings, to be looked into later.
    pub(super) fn candidate(&self, line: &MapsLine<'_>) -> Candidate {
        Candidate { process: Arc::clone(&self.process), range: line.range(), path: line.path.to_owned() }
    }
}

/// The `s` of `rw-s`, which stands behind the first space.
fn is_shared(line: &[u8]) -> bool {
    let space = line.iter().position(|&byte| byte == b' ');
    space.and_then(|at| line.get(at + 4)) == Some(&b's')
}

/// Whether a path is called as SQLite calls a wal-index.
pub(super) fn is_named_shm(path: &[u8]) -> bool {
    path.ends_with(b"-shm")
}

/// A `-shm` that was renamed while it was mapped goes by another name. Memory that only looks like a file, and devices,
/// are left alone.
fn may_have_another_name(line: &MapsLine<'_>) -> bool {
    let kernel = [&b"/dev/"[..], b"/SYSV", b"/memfd:", b"/anon_hugepage", b"/proc/", b"/sys/", b"/[", b"anon_inode:"];
    line.offset == 0 && line.path.starts_with(b"/") && !kernel.iter().any(|prefix| line.path.starts_with(prefix))
}
