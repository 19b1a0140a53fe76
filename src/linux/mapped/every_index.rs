//! Every wal-index that a visible process has mapped, found by the mappings.
//!
//! One pass over `/proc/PID/maps` of every process, only for shared file mappings in blocks of 32 KiB. Then each mapped
//! file is examined once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::limits::{FILES_LOOKED_INTO, NAMES_OF_A_PROCESS, NAMES_OF_ALL_PROCESSES};
use super::scan::{Candidate, each_process};
use super::{closing, database_of, index, locked, settle, subvolume, unlocked, wal_beside};
use crate::evidence::{InodeId, Mapped};
use crate::linux::descriptor_locks::HeldLocks;
use crate::linux::procfs::Proc;
use crate::linux::{lock_view, namespaces};

/// Finds every wal-index that a visible process has mapped. When a mapping seems cut off, this looks several times
/// within a quarter of a second.
///
/// `is_wal_index` says whether the first bytes of a file are those of a wal-index, as
/// [`begins_wal_index`](fn@crate::format::shm::begins_wal_index) does.
///
/// # Errors
/// When the processes cannot be listed.
pub fn every_wal_index(is_wal_index: &dyn Fn(&[u8]) -> bool) -> io::Result<Mapped> {
    find(&Proc::system(), is_wal_index, settle::pause)
}

pub(super) fn find(proc: &Proc, is_wal_index: &dyn Fn(&[u8]) -> bool, mut pause: impl FnMut()) -> io::Result<Mapped> {
    let mut found = Mapped { in_sight: namespaces::in_sight(proc), ..Mapped::default() };
    let mut files: BTreeMap<InodeId, Vec<Candidate>> = BTreeMap::new();
    let (mut left_out, mut looked_at) = (BTreeSet::new(), 0);
    let reach = each_process(proc, |maps| {
        // One mapping for each process and name is enough: a wal-index is mapped block by block.
        let mut names = BTreeSet::new();
        for line in maps.like_wal_indexes() {
            if !names.insert((line.inode, line.path)) {
                continue;
            }
            if files.len() >= FILES_LOOKED_INTO && !files.contains_key(&line.inode) {
                left_out.insert(line.inode);
            } else if names.len() > NAMES_OF_A_PROCESS || looked_at >= NAMES_OF_ALL_PROCESSES {
                found.mappings_not_looked_at = found.mappings_not_looked_at.saturating_add(1);
            } else {
                looked_at += 1;
                files.entry(line.inode).or_default().push(maps.candidate(&line));
            }
        }
    })?;
    found.processes_read = reach.read;
    found.processes_denied = reach.denied;
    found.denied_reason = reach.denied_reason;
    found.files_not_looked_at = left_out.len() as u64;
    let locks = lock_view::listed(proc);
    let held = HeldLocks::of(files.keys().map(|id| id.inode).collect());
    let files = files.into_iter().flat_map(|(id, candidates)| subvolume::divide(id, candidates));
    let mut indexes: Vec<index::Index> =
        files.filter_map(|file| index::look(proc, file, is_wal_index, (&locks, &held))).collect();
    found.passing = closing::settle(proc, &mut indexes, &mut pause);
    unlocked::settle(proc, &mut indexes, &mut pause);
    wal_beside::settle(proc, &mut indexes, &mut pause);
    database_of::settle(&mut indexes, &mut pause);
    found.indexes = indexes.into_iter().filter_map(index::Index::finish).collect();
    let locked = locked::find(proc, &locks, &found.indexes);
    (found.databases, found.databases_unseen) = (locked.databases, locked.unseen);
    Ok(found)
}
