//! Who is stopped or frozen and holds a lock that holds others up: it keeps the lock until it goes on or ends.

use super::checkpoint::Blocker;
use crate::evidence::{Holder, LockSlot, LockState, LocksView, ProcessState};

/// A process that does not run, and the locks by which it holds others up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotRunning {
    /// The process.
    pub holder: Holder,
    /// Its locks.
    pub locks: Vec<LockSlot>,
}

impl NotRunning {
    /// A process with these locks.
    #[must_use]
    pub fn of(holder: Holder, locks: Vec<LockSlot>) -> Self {
        Self { holder, locks }
    }
}

/// Whether others wait for a lock: a writer, a checkpoint or a recovery for that of another, and everybody for a lock on the whole
/// database.
///
/// folklore: the dead-man switch is held exclusively only by who makes the wal-index anew, and everybody else gets SQLITE_BUSY
/// (`unixLockSharedMemory`). Held by `who_is_stopped_with_a_lock_that_others_need_blocks_them`.
fn holds_up(slot: LockSlot, state: LockState) -> bool {
    match slot {
        LockSlot::Write | LockSlot::Checkpoint | LockSlot::Recover | LockSlot::Reserved | LockSlot::Pending => {
            matches!(state, LockState::Shared | LockState::Exclusive)
        }
        LockSlot::DeadManSwitch | LockSlot::Database => state == LockState::Exclusive,
        _ => false,
    }
}

/// Processes that do not run and hold others up. `in_the_way`: readers in the way of the checkpoint.
#[must_use]
pub fn not_running(locks: &LocksView, in_the_way: &[Blocker]) -> Vec<NotRunning> {
    let held = locks.iter().filter(|(slot, lock)| {
        let blocks = || lock.held() && in_the_way.iter().any(|blocker| blocker.lock == *slot);
        holds_up(*slot, lock.state) || blocks()
    });
    let mut all: Vec<NotRunning> = Vec::new();
    for (slot, lock) in held {
        let kept = |holder: &&Holder| holder.process_state.and_then(ProcessState::kept_from_running).is_some();
        for holder in lock.holders.iter().filter(kept) {
            match all.iter_mut().find(|one| one.holder == *holder) {
                Some(one) => one.locks.push(slot),
                None => all.push(NotRunning { holder: holder.clone(), locks: vec![slot] }),
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
        for (slot, state, process, expected) in [
            (Write, Exclusive, ProcessState::Stopped, true),
            (Checkpoint, Exclusive, ProcessState::Frozen, true),
            (Recover, Exclusive, ProcessState::Stopped, true),
            (Reserved, Exclusive, ProcessState::Stopped, true),
            (Pending, Exclusive, ProcessState::Stopped, true),
            (Database, Exclusive, ProcessState::Stopped, true),
            (DeadManSwitch, Exclusive, ProcessState::Stopped, true),
            (Read1, Shared, ProcessState::Stopped, true),
            (Write, Exclusive, ProcessState::Running, false),
            (Database, Shared, ProcessState::Stopped, false),
            (DeadManSwitch, Shared, ProcessState::Stopped, false),
            (Read2, Shared, ProcessState::Stopped, false),
        ] {
            let holder = Holder { pid: Some(7), process_state: Some(process), ..Holder::default() };
            let locks = LocksView::of_each(|of| match of == slot {
                true => ByteLock { state, reason: None, holders: vec![holder.clone()] },
                false => ByteLock { state: LockState::Free, reason: None, holders: Vec::new() },
            });
            let reader = Blocker { lock: Read1, mark: None, holders: vec![holder.clone()] };
            let found = not_running(&locks, &[reader]);
            assert_eq!(found.iter().any(|one| one.locks == [slot]), expected, "{slot} {process:?}");
        }
    }
}
