//! Every wal-index that a visible process has mapped, by what is really mapped.
//!
//! One pass over `/proc/PID/maps` of every process, which looks at shared file mappings in blocks of 32 KiB only; what
//! they are is then settled once for each file.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::evidence::{InodeId, Mapped};
use crate::linux::mappings::BLOCK;
use crate::linux::maps::{MapsLine, parse_line};
use crate::linux::procfs::{Proc, Process, refused, vanished};
use crate::linux::settle::PAUSE;
use crate::linux::{lock_view, namespaces, system};

mod index;
mod names;
mod settle;
mod subvolume;

/// The initial PID namespace (`PROC_PID_INIT_INO` in the kernel's proc_ns.h): from elsewhere not every process is seen.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";
/// At most so many different mapped files are looked into. A hostile process can map 65,530.
const FILE_LIMIT: usize = 4096;
/// At most so many mappings of one process are looked into, and of all of them: each name of each file is one, and a
/// file can have 65,000 names.
const PROCESS_LIMIT: usize = 4096;
/// See [`PROCESS_LIMIT`].
const MAPPING_LIMIT: usize = 5 * PROCESS_LIMIT;

/// A mapping worth a second look.
struct Candidate {
    process: Arc<Process>,
    /// `7f2c4a000000-7f2c4a008000`: without leading zeros, as map_files has it, too.
    range: String,
    /// As `maps` prints it.
    path: Vec<u8>,
}

/// Looks at every visible process. Where one seems cut off, this looks at it several times, over a quarter of a second.
///
/// # Errors
/// When the processes cannot be listed.
pub fn mapped() -> io::Result<Mapped> {
    scan(&system(), || std::thread::sleep(Duration::from_millis(PAUSE)))
}

fn scan(proc: &Proc, pause: impl FnMut()) -> io::Result<Mapped> {
    let mut found = Mapped {
        every_process_in_sight: namespaces::own_link(proc, "ns/pid").value().map(|own| own == INITIAL_PID_NAMESPACE),
        ..Mapped::default()
    };
    let mut files: BTreeMap<InodeId, Vec<Candidate>> = BTreeMap::new();
    let (mut left_out, mut mappings) = (BTreeSet::new(), 0);
    for pid in proc.pids()? {
        let read = proc.process(pid).and_then(|process| Ok((process.read("maps")?, process)));
        let (text, process) = match read {
            Ok((text, process)) => (text, Arc::new(process)),
            Err(error) if vanished(&error) => continue,
            Err(error) => {
                found.processes_denied = found.processes_denied.saturating_add(1);
                let what = if refused(&error) { "" } else { "could not be read: " };
                found.denied_reason.get_or_insert_with(|| format!("{pid}/maps: {what}{error}"));
                continue;
            }
        };
        found.processes_read = found.processes_read.saturating_add(1);
        // Of a process and a name one is enough: a wal-index is mapped block by block.
        let mut names = BTreeSet::new();
        for line in candidates(&text) {
            if !names.insert((line.inode, line.path)) {
                continue;
            }
            if files.len() >= FILE_LIMIT && !files.contains_key(&line.inode) {
                left_out.insert(line.inode);
            } else if names.len() > PROCESS_LIMIT || mappings >= MAPPING_LIMIT {
                found.mappings_not_looked_at = found.mappings_not_looked_at.saturating_add(1);
            } else {
                mappings += 1;
                files.entry(line.inode).or_default().push(candidate(&process, &line));
            }
        }
    }
    found.files_not_looked_at = left_out.len() as u64;
    let locks = lock_view::listed(proc);
    let files = files.into_iter().flat_map(|(id, candidates)| subvolume::divide(id, candidates));
    let mut indexes: Vec<index::Index> = files.filter_map(|file| index::look(proc, file, &locks)).collect();
    found.passing = settle::settle(proc, &mut indexes, pause);
    found.indexes = indexes.into_iter().filter_map(index::Index::finish).collect();
    Ok(found)
}

/// Lines that a wal-index could have, without taking the others apart: a process may have 65,530.
fn candidates(text: &[u8]) -> impl Iterator<Item = MapsLine<'_>> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| shared(line));
    lines.filter_map(parse_line).filter(|line| {
        line.inode.inode != 0
            && line.length() > 0
            && line.length().is_multiple_of(BLOCK)
            && line.offset.is_multiple_of(BLOCK)
            && (named(line.path) || may_be_unnamed(line))
    })
}

/// The `s` of `rw-s`, which stands behind the first space.
fn shared(line: &[u8]) -> bool {
    let space = line.iter().position(|&byte| byte == b' ');
    space.and_then(|at| line.get(at + 4)) == Some(&b's')
}

fn named(path: &[u8]) -> bool {
    path.ends_with(b"-shm")
}

/// A `-shm` that was renamed while it was mapped goes by another name. Memory that only looks like a file, and devices,
/// are left alone.
fn may_be_unnamed(line: &MapsLine<'_>) -> bool {
    let kernel = [&b"/dev/"[..], b"/SYSV", b"/memfd:", b"/anon_hugepage", b"/proc/", b"/sys/", b"/[", b"anon_inode:"];
    line.offset == 0 && line.path.starts_with(b"/") && !kernel.iter().any(|prefix| line.path.starts_with(prefix))
}

fn candidate(process: &Arc<Process>, line: &MapsLine<'_>) -> Candidate {
    let range = format!("{:x}-{:x}", line.start, line.end);
    Candidate { process: Arc::clone(process), range, path: line.path.to_owned() }
}
