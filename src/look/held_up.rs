//! Who is stopped or frozen and holds a lock that holds others up: it keeps the lock until it goes on or ends.

use super::Inspection;
use super::checkpoint::Blocker;
use crate::evidence::{Holder, LockSlot, LockState, LocksView, ProcessState};
use crate::format::db::{DatabaseHead, JournalMode};

/// A process that does not run, and the locks by which it holds others up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotRunning {
    /// The process.
    pub holder: Holder,
    /// Its locks, and how it holds each.
    pub locks: Vec<(LockSlot, LockState)>,
}

impl NotRunning {
    /// A process with these locks.
    #[must_use]
    pub fn of(holder: Holder, locks: Vec<(LockSlot, LockState)>) -> Self {
        Self { holder, locks }
    }
}

/// Whether others wait for a lock: a writer, a checkpoint or a recovery for that of another, and everybody for a lock on the whole
/// database. `journal`: it is used with a rollback journal.
///
/// folklore: a commit with a rollback journal needs EXCLUSIVE, which nobody gets beside a SHARED lock. In WAL mode every connection
/// holds SHARED as long as it is open, and is in nobody's way. Held by `who_is_stopped_in_rollback_mode_fails_a_script`.
///
/// folklore: the dead-man switch is held exclusively only by who makes the wal-index anew, and everybody else gets SQLITE_BUSY
/// (`unixLockSharedMemory`). Held by `who_is_stopped_with_a_lock_that_others_need_blocks_them`.
fn holds_up(slot: LockSlot, state: LockState, journal: bool) -> bool {
    match slot {
        LockSlot::Write | LockSlot::Checkpoint | LockSlot::Recover | LockSlot::Reserved | LockSlot::Pending => {
            matches!(state, LockState::Shared | LockState::Exclusive)
        }
        LockSlot::Database if journal => matches!(state, LockState::Shared | LockState::Exclusive),
        LockSlot::DeadManSwitch | LockSlot::Database => state == LockState::Exclusive,
        _ => false,
    }
}

/// Whether who has the database locked uses it with a rollback journal. A process that holds the dead-man switch uses it in WAL mode.
fn with_journal(look: &Inspection, locks: &LocksView) -> bool {
    let mode = match &look.database {
        Some(DatabaseHead::Plain(header)) => header.journal_mode() == JournalMode::Rollback,
        // Whoever writes to it first does that with a rollback journal.
        Some(DatabaseHead::Empty) => true,
        _ => false,
    };
    mode && (look.sizes.shm.is_none() || locks.shm.dead_man_switch.state == LockState::Free)
}

/// Processes that do not run and hold others up. `in_the_way`: readers in the way of the checkpoint.
#[must_use]
pub fn not_running(look: &Inspection, in_the_way: &[Blocker]) -> Vec<NotRunning> {
    look.locks.as_ref().map(|locks| of_locks(locks, in_the_way, with_journal(look, locks))).unwrap_or_default()
}

fn of_locks(locks: &LocksView, in_the_way: &[Blocker], journal: bool) -> Vec<NotRunning> {
    let held = locks.iter().filter(|(slot, lock)| {
        let blocks = || lock.held() && in_the_way.iter().any(|blocker| blocker.lock == *slot);
        holds_up(*slot, lock.state, journal) || blocks()
    });
    let mut all: Vec<NotRunning> = Vec::new();
    for (slot, lock) in held {
        let held = (slot, lock.state);
        let kept = |holder: &&Holder| holder.process_state.and_then(ProcessState::kept_from_running).is_some();
        for holder in lock.holders.iter().filter(kept) {
            match all.iter_mut().find(|one| one.holder == *holder) {
                Some(one) => one.locks.push(held),
                None => all.push(NotRunning { holder: holder.clone(), locks: vec![held] }),
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::ByteLock;

    #[test]
    fn who_is_stopped_with_a_lock_that_others_need_blocks_them() {
        use LockSlot::{Checkpoint, Database, DeadManSwitch, Pending, Read1, Read2, Recover, Reserved, Write};
        use LockState::{Exclusive, Shared};
        for (slot, state, process, journal, expected) in [
            (Write, Exclusive, ProcessState::Stopped, false, true),
            (Checkpoint, Exclusive, ProcessState::Frozen, false, true),
            (Recover, Exclusive, ProcessState::Stopped, false, true),
            (Reserved, Exclusive, ProcessState::Stopped, false, true),
            (Pending, Exclusive, ProcessState::Stopped, false, true),
            (Database, Exclusive, ProcessState::Stopped, false, true),
            (DeadManSwitch, Exclusive, ProcessState::Stopped, false, true),
            (Read1, Shared, ProcessState::Stopped, false, true),
            (Write, Exclusive, ProcessState::Running, false, false),
            (Database, Shared, ProcessState::Stopped, false, false),
            (Database, Shared, ProcessState::Stopped, true, true),
            (Database, Shared, ProcessState::Running, true, false),
            (DeadManSwitch, Shared, ProcessState::Stopped, false, false),
            (Read2, Shared, ProcessState::Stopped, false, false),
        ] {
            let holder = Holder { pid: Some(7), process_state: Some(process), ..Holder::default() };
            let locks = LocksView::of_each(|of| match of == slot {
                true => ByteLock { state, reason: None, holders: vec![holder.clone()] },
                false => ByteLock { state: LockState::Free, reason: None, holders: Vec::new() },
            });
            let reader = Blocker { lock: Read1, mark: None, holders: vec![holder.clone()] };
            let found = of_locks(&locks, &[reader], journal);
            assert_eq!(found.iter().any(|one| one.locks == [(slot, state)]), expected, "{slot} {process:?}");
        }
    }
}
