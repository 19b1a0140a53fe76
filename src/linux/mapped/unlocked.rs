//! Which processes map a wal-index and hold no lock on it, and whether that stays so.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::scan::{Candidate, ProcessMaps};
use super::settle;
use crate::evidence::{InodeId, LockSlot};
use crate::linux::descriptor_locks;
use crate::linux::text::process::parent;

/// A process, and a file that it has mapped.
type Suspect = (u32, InodeId);

/// Marks the processes that have a wal-index mapped for writing and hold no lock on it at any of several looks.
pub(super) fn settle(indexes: &mut [Index], pause: impl FnMut()) {
    let look = |indexes: &[Index], among: Option<&BTreeSet<Suspect>>| -> BTreeSet<Suspect> {
        let all = indexes.iter().flat_map(|index| index.file.candidates.iter().map(move |one| (index, one)));
        let all = all.map(|(index, one)| ((one.process.pid, index.file.id), index, one));
        let wanted = all.filter(|(suspect, ..)| among.is_none_or(|among| among.contains(suspect)));
        wanted.filter(|(_, index, one)| is_unlocked(index, one)).map(|(suspect, ..)| suspect).collect()
    };
    let standing = settle::settle(look(indexes, None), pause, |suspects| look(indexes, Some(suspects)));
    if standing.is_empty() {
        return;
    }
    for index in indexes {
        let suspect = |pid: u32| standing.contains(&(pid, index.file.id));
        let parents: BTreeMap<u32, Option<u32>> = index.file.candidates.iter().map(parent_of).collect();
        for process in &mut index.processes {
            process.without_locks = suspect(process.pid);
            let parent = parents.get(&process.pid).copied().flatten();
            process.inherited =
                process.without_locks && parent.is_some_and(|pid| parents.contains_key(&pid) && !suspect(pid));
        }
    }
}

fn parent_of(candidate: &Candidate) -> (u32, Option<u32>) {
    (candidate.process.pid, candidate.process.read("stat").ok().and_then(|stat| parent(&stat)))
}

/// Whether a process has the file mapped for writing and holds no lock on it now. A child that closed what it inherited does
/// not use the mapping.
fn is_unlocked(index: &Index, candidate: &Candidate) -> bool {
    let bytes = LockSlot::Write.bytes().start..LockSlot::DeadManSwitch.bytes().end;
    let has_open = || {
        let names = candidate.process.names("fd").unwrap_or_default();
        let behind = |name: &String| candidate.process.file_behind(&format!("fd/{name}"));
        names.iter().filter_map(|name| behind(name).ok()).any(|file| file.inode == index.file.id.inode)
    };
    let still_mapped = || {
        let text = candidate.process.read("maps").unwrap_or_default();
        ProcessMaps::shared_lines(&text).any(|line| line.inode == index.file.id && line.writable)
    };
    candidate.writable
        && !index.lock_names.is_empty()
        && still_mapped()
        && descriptor_locks::holds(&candidate.process, &index.lock_names, &bytes).is_ok_and(|holds| !holds)
        && has_open()
}
