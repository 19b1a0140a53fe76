//! Who holds a lock on files of a set without being seen to have them open.
//!
//! The kernel is asked whether there is a lock: this needs no permission, and counts processes of every PID namespace.
//! `/proc/locks` names the processes of this PID namespace, also of other users.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;

use super::set::KeptSet;
use crate::evidence::{LockSlot, LockState, Mount, Observation, Part};
use crate::linux::descriptor_locks::is_on;
use crate::linux::lock_view::{keys, listed, state_of};
use crate::linux::procfs::Proc;
use crate::linux::sys;
use crate::number::FileId;

/// Whether the database of a set is in use, as the kernel says.
pub(super) fn lock_on_database(set: &KeptSet) -> LockState {
    lock_on(set.files.get(Part::Database).map(|kept| &kept.file))
}

/// Whether a database is in use, as the kernel says.
pub(super) fn lock_on(database: Option<&Arc<File>>) -> LockState {
    database.map_or(LockState::Unknown, |file| state_of(LockSlot::Database, file))
}

/// Notes the holders of locks whose descriptors were not seen. `seen`: processes of which they were, and the files that these have
/// open.
pub(super) fn note_holders(
    proc: &Proc,
    set: &mut KeptSet,
    mounts: &Observation<Vec<Mount>>,
    (seen, open): (&BTreeSet<u32>, &BTreeSet<FileId>),
) {
    let mut holders = BTreeSet::new();
    let mut unseen = false;
    for (part, slots) in [
        (Part::Database, LockSlot::Database.bytes()),
        (Part::Shm, LockSlot::Write.bytes().start..LockSlot::DeadManSwitch.bytes().end),
    ] {
        let Some(kept) = set.files.get(part) else { continue };
        let length = slots.end.saturating_sub(slots.start);
        let Ok(Some(conflict)) = sys::first_conflict(&kept.file, slots.start, length) else { continue };
        let keys = keys(proc, &Observation::seen(Arc::clone(&kept.file)), mounts);
        let lines = listed(proc).into_iter().filter(|line| is_on(line, &keys, &slots));
        let named = lines.filter_map(|line| line.visible_pid()).chain(u32::try_from(conflict.pid));
        holders.extend(named.filter(|pid| *pid > 0 && !seen.contains(pid)));
        // A pid of 0 is a process of another PID namespace.
        unseen |= conflict.pid == 0 || !open.contains(&kept.id);
    }
    set.facts.locked_unseen = unseen || !holders.is_empty();
    set.facts.unseen_holders = holders.into_iter().collect();
}
