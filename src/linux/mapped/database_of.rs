//! Which database a process uses with a wal-index that it has mapped, and which databases are used with several wal-indexes.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::limits::DESCRIPTORS_OF_A_PROCESS;
use super::one_process::{Descriptor, OneProcess};
use super::scan::{Candidate, ProcessMaps};
use super::settle;
use crate::evidence::{InodeId, LockSlot};
use crate::number::FileId;

/// A wal-index that a process has mapped: its path as `maps` prints it, and its inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MappedName<'p> {
    pub path: &'p [u8],
    pub inode: u64,
}

/// The database that a process uses with each of these wal-indexes, which are all that it has mapped. `None`: it holds no lock
/// on one, or which one it is is not sure.
///
/// It is the one that has the same name. A file that was renamed keeps its users, so names can differ: then it is the one
/// database in use that is left over, if one wal-index in use is left over, too.
///
/// folklore: a connection in WAL mode holds SHARED on the database and the dead-man switch of the `-shm` as long as it is
/// open. Held by `a_wal_index_and_a_database_that_are_left_over_belong_together`.
pub(super) fn of(one: &OneProcess<'_>, indexes: &[MappedName<'_>]) -> Vec<Option<FileId>> {
    let descriptors = one.descriptors().unwrap_or_default();
    let whole = descriptors.len() < DESCRIPTORS_OF_A_PROCESS && descriptors.iter().all(|open| open.file.is_some());
    let locked = |open: &&Descriptor| one.holds(open, LockSlot::Database);
    let named = |index: &MappedName<'_>| -> Vec<&Descriptor> {
        let beside = index.path.strip_suffix(b"-shm");
        descriptors.iter().filter(|open| Some(open.path.as_slice()) == beside).collect()
    };
    let files = |open: &mut dyn Iterator<Item = &Descriptor>| -> BTreeSet<FileId> {
        open.filter_map(|descriptor| descriptor.file).collect()
    };
    let only = |files: BTreeSet<FileId>| files.first().filter(|_| files.len() == 1).copied();
    let by_name: Vec<Vec<&Descriptor>> = indexes.iter().map(named).collect();
    let mut found: Vec<Option<FileId>> =
        by_name.iter().map(|named| only(files(&mut named.iter().copied().filter(locked)))).collect();
    let left: Vec<usize> = (0..indexes.len()).filter(|at| by_name.get(*at).is_some_and(Vec::is_empty)).collect();
    let in_use = |index: &MappedName<'_>| {
        let is =
            |open: &&Descriptor| open.path == index.path && open.file.is_some_and(|file| file.inode == index.inode);
        descriptors.iter().filter(is).any(|open| one.holds(open, LockSlot::DeadManSwitch))
    };
    let [at] = left[..] else { return found };
    if whole && indexes.get(at).is_some_and(in_use) {
        let explained = files(&mut by_name.iter().flatten().copied());
        let mut locked = files(&mut descriptors.iter().filter(locked));
        locked.retain(|file| !explained.contains(file));
        if let Some(slot) = found.get_mut(at) {
            *slot = only(locked);
        }
    }
    found
}

/// A process, the position of a wal-index, and the database that it uses with it.
type Suspect = (u32, usize, FileId);

/// Marks the processes that use a database with one wal-index while other processes use it with another one: it has several
/// names, by a hard link, by a mount of the file alone, or because it was renamed. Only what each of several looks shows counts.
pub(super) fn settle(indexes: &mut [Index], pause: impl FnMut()) {
    let standing = settle::settle(look(indexes, None), pause, |among| look(indexes, Some(among)));
    for (at, index) in indexes.iter_mut().enumerate() {
        for process in &mut index.processes {
            let of_process = |(pid, position, _): &&Suspect| (*pid, *position) == (process.pid, at);
            process.split_database = standing.iter().find(of_process).map(|(_, _, database)| *database);
        }
    }
}

/// Looks once at all processes, or at those of these suspects. Each process is read once.
fn look(indexes: &[Index], among: Option<&BTreeSet<Suspect>>) -> BTreeSet<Suspect> {
    if indexes.len() < 2 {
        return BTreeSet::new();
    }
    let mut by_process: BTreeMap<u32, Vec<(usize, InodeId, &Candidate)>> = BTreeMap::new();
    for (at, index) in indexes.iter().enumerate() {
        for (process, candidate) in index.processes.iter().zip(&index.file.candidates) {
            if among.is_none_or(|among| among.iter().any(|(pid, ..)| *pid == process.pid)) {
                by_process.entry(process.pid).or_default().push((at, index.file.id, candidate));
            }
        }
    }
    let mut found: BTreeSet<Suspect> = BTreeSet::new();
    for mapped in by_process.into_values() {
        let Some((_, _, first)) = mapped.first() else { continue };
        let one = OneProcess::of(&first.process);
        let names: Vec<MappedName<'_>> =
            mapped.iter().map(|(_, id, candidate)| MappedName { path: &candidate.path, inode: id.inode }).collect();
        let databases = of(&one, &names);
        let mut each: Vec<_> = mapped.iter().zip(databases).collect();
        if among.is_some() {
            // A process that closes the database unmaps the -shm before it gives up its lock on the database.
            let Ok(maps) = ProcessMaps::of(&first.process) else { continue };
            let still: BTreeSet<InodeId> = maps.like_wal_indexes().map(|line| line.inode).collect();
            each.retain(|((_, id, _), _)| still.contains(id));
        }
        found.extend(each.into_iter().filter_map(|((at, ..), database)| Some((first.process.pid, *at, database?))));
    }
    several(found)
}

/// Those whose database is used with several wal-indexes.
fn several(mut found: BTreeSet<Suspect>) -> BTreeSet<Suspect> {
    let mut indexes: BTreeMap<FileId, BTreeSet<usize>> = BTreeMap::new();
    for (_, at, database) in &found {
        indexes.entry(*database).or_default().insert(*at);
    }
    found.retain(|(_, _, database)| indexes.get(database).is_some_and(|indexes| indexes.len() > 1));
    found
}
