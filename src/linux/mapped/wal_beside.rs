//! Which processes use a wal-index with another `-wal` than lies beside it, and whether that stays so.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::index::{self, Index};
use super::limits::DESCRIPTORS_OF_A_PROCESS;
use super::one_process::{Descriptor, OneProcess};
use super::open_files::at_work;
use super::scan::{Candidate, ProcessMaps};
use super::{names, settle};
use crate::evidence::{InodeId, Leads, MappingProcess};
use crate::linux::file_id::id_of;
use crate::linux::open;
use crate::linux::procfs::Proc;
use crate::number::FileId;

/// A process, a file that it has mapped, and its place.
type Suspect = (u32, InodeId, String);

/// Marks the processes whose wal-index lies at its path and is in use, while the `-wal` beside it is missing or another one
/// than they have open, at each of several looks.
///
/// folklore: each connection opens the `-wal`, and makes it if there is none, before it opens the `-shm` (sqlite3WalOpen); the
/// last one to close removes the `-shm` before the `-wal` (sqlite3WalClose). So the `-wal` is looked up before the `-shm` is.
/// Held by `a_wal_removed_from_beside_a_wal_index_without_frames_is_named`.
pub(super) fn settle(proc: &Proc, indexes: &mut [Index], pause: impl FnMut()) {
    let standing = settle::settle(look(proc, indexes, None), pause, |among| look(proc, indexes, Some(among)));
    if standing.is_empty() {
        return;
    }
    for index in indexes {
        for process in &mut index.processes {
            process.other_wal = standing.contains(&(process.pid, index.file.id, process.place.clone()));
        }
    }
}

/// Looks once at all processes, or at these suspects. Each process is read once, however many wal-indexes it has mapped.
fn look(proc: &Proc, indexes: &[Index], among: Option<&BTreeSet<Suspect>>) -> BTreeSet<Suspect> {
    let mut by_process: BTreeMap<u32, Vec<(&Index, &MappingProcess, &Candidate)>> = BTreeMap::new();
    for index in indexes.iter().filter(|index| index.is_in_use()) {
        for (process, candidate) in index.processes.iter().zip(&index.file.candidates) {
            let wanted = match among {
                Some(among) => among.contains(&suspect(index, process)),
                None => process.path_leads_to == Leads::Here && !process.without_locks,
            };
            if wanted {
                by_process.entry(process.pid).or_default().push((index, process, candidate));
            }
        }
    }
    let mut suspects = BTreeSet::new();
    for mapped in by_process.into_values() {
        let Some((_, _, first)) = mapped.first() else { continue };
        let one = OneProcess::of(&first.process);
        let mut other: Vec<_> = mapped.into_iter().filter(|(_, _, candidate)| uses_another(&one, candidate)).collect();
        other.retain(|(index, _, candidate)| index::leads(proc, &index.file, candidate) == Leads::Here);
        let Some((_, _, first)) = other.first() else { continue };
        // A process that closes the database unmaps the -shm before the -wal goes.
        let Ok(maps) = ProcessMaps::of(&first.process) else { continue };
        let still: BTreeSet<InodeId> = maps.like_wal_indexes().map(|line| line.inode).collect();
        let stands = other.into_iter().filter(|(index, ..)| still.contains(&index.file.id));
        suspects.extend(stands.map(|(index, process, _)| suspect(index, process)));
    }
    suspects
}

fn suspect(index: &Index, process: &MappingProcess) -> Suspect {
    (process.pid, index.file.id, process.place.clone())
}

/// Whether the process has a `-wal` open, and not the one beside the `-shm` that it has mapped. What was not seen whole does
/// not count.
fn uses_another(one: &OneProcess<'_>, candidate: &Candidate) -> bool {
    let Some(descriptors) = one.descriptors() else { return false };
    let whole = descriptors.len() < DESCRIPTORS_OF_A_PROCESS && descriptors.iter().all(|open| open.file.is_some());
    let of_index = |open: &Descriptor| open.path == candidate.path;
    let has = |file: FileId| descriptors.iter().any(|open| open.file == Some(file));
    // The descriptors are read before the name is looked up: who has just opened the database made the -wal before.
    whole && at_work(one, of_index) && beside(candidate).is_some_and(|beside| !beside.is_some_and(has))
}

/// The `-wal` beside a mapped `-shm`: `Some(None)` if there is none, and `None` if that was not seen.
fn beside(candidate: &Candidate) -> Option<Option<FileId>> {
    let (target, name) = names::target(candidate).ok().filter(|(_, name)| name.certain)?;
    let target = target.at(wal_of(&name.path)?);
    match open::open_regular_by(|flags| target.open(flags | OFlags::NOFOLLOW)) {
        Ok(opened) => id_of(&opened.file).ok().map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(None),
        Err(_) => None,
    }
}

fn wal_of(shm: &Path) -> Option<PathBuf> {
    let database = shm.as_os_str().as_bytes().strip_suffix(b"-shm")?;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(&[database, b"-wal"].concat())))
}
