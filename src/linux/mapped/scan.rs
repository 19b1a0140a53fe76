//! One pass over what every visible process has mapped.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use super::limits::BLOCK;
use crate::linux::procfs::{Proc, Process};
use crate::linux::text::LineError;
use crate::linux::text::maps::{MapsLine, each, parse_line};
use crate::linux::unseen::{refused, vanished};

/// How many processes could be read.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Processes whose maps could be read.
    pub read: u32,
    /// Processes whose maps could not be read.
    pub denied: u32,
    /// Why the first of them could not be read.
    pub denied_reason: Option<String>,
}

/// Why it is not known what a mapping of a process is.
#[derive(Debug, Error)]
pub(super) enum UnknownMappings {
    /// A line of its maps has an unknown form.
    #[error("{pid}/maps: {why}")]
    Line { pid: u32, why: LineError },
    /// On btrfs, the file of a mapping could not be looked at.
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
    /// Whether it can write through the mapping.
    pub writable: bool,
    /// Its address range, as the name in map_files.
    pub range: String,
    /// The path, as `maps` prints it.
    pub path: Vec<u8>,
}

/// Looks at every visible process once, in ascending order. Processes that end meanwhile are left out.
///
/// # Errors
/// When the processes cannot be listed.
pub(super) fn each_process(proc: &Proc, mut look: impl FnMut(&ProcessMaps)) -> io::Result<Reach> {
    let mut reach = Reach::default();
    for pid in proc.pids()? {
        let why = match ProcessMaps::read(proc, pid) {
            Ok(maps) => {
                look(&maps);
                reach.read = reach.read.saturating_add(1);
                continue;
            }
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

    /// Reads what a process, already held by a descriptor, has mapped now.
    ///
    /// # Errors
    /// What the system said: ESRCH when it has ended.
    pub(super) fn of(process: &Arc<Process>) -> io::Result<Self> {
        Ok(Self { text: process.read("maps")?, process: Arc::clone(process) })
    }

    /// Every mapping; for a line of an unknown form, why.
    pub(super) fn lines(&self) -> impl Iterator<Item = Result<MapsLine<'_>, UnknownMappings>> {
        each(&self.text).map(|line| line.map_err(|why| UnknownMappings::Line { pid: self.process.pid, why }))
    }

    /// The shared mappings in a text of `maps`. Lines of an unknown form are left out.
    pub(super) fn shared_lines(text: &[u8]) -> impl Iterator<Item = MapsLine<'_>> {
        text.split(|&byte| byte == b'\n').filter(|line| is_shared(line)).filter_map(parse_line)
    }

    /// Mappings that could be of a wal-index: shared, in whole blocks, of a file. Other lines are not parsed, and lines
    /// of an unknown form are left out.
    pub(super) fn like_wal_indexes(&self) -> impl Iterator<Item = MapsLine<'_>> {
        Self::shared_lines(&self.text).filter(|line| {
            line.inode.inode != 0
                && line.length() > 0
                && line.length().is_multiple_of(BLOCK)
                && line.offset.is_multiple_of(BLOCK)
                && (is_named_shm(line.path) || may_have_another_name(line))
        })
    }

    /// Makes a candidate from one of these mappings; it is examined later.
    pub(super) fn candidate(&self, line: &MapsLine<'_>) -> Candidate {
        Candidate {
            process: Arc::clone(&self.process),
            writable: line.writable,
            range: line.range(),
            path: line.path.to_owned(),
        }
    }
}

/// Whether the mapping is shared: the `s` of `rw-s`, after the first space.
fn is_shared(line: &[u8]) -> bool {
    let space = line.iter().position(|&byte| byte == b' ');
    space.and_then(|at| line.get(at + 4)) == Some(&b's')
}

/// Whether a path has a name that SQLite gives to a wal-index.
pub(super) fn is_named_shm(path: &[u8]) -> bool {
    path.ends_with(b"-shm")
}

/// Whether a mapping without the name of a wal-index can still be one: a `-shm` that was renamed while it was mapped.
/// Memory that only looks like a file, and devices, are excluded.
fn may_have_another_name(line: &MapsLine<'_>) -> bool {
    let kernel = [&b"/dev/"[..], b"/SYSV", b"/memfd:", b"/anon_hugepage", b"/proc/", b"/sys/", b"/[", b"anon_inode:"];
    line.offset == 0 && line.path.starts_with(b"/") && !kernel.iter().any(|prefix| line.path.starts_with(prefix))
}
