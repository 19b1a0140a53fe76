//! Read marks and locks of one moment.
//!
//! A mark limits a checkpoint only while its slot is locked, and each transaction may raise the mark of the slot that
//! it takes. So marks and locks that were read at different moments suggest readers that do not exist: a reader of the
//! last commit holds a slot, and the mark beside it is that of a reader that has ended.

use crate::evidence::{ByteLock, Holder, LockSlot, LockState, LocksView, ShmLocks};
use crate::format::shm::{CheckpointInfo, IndexHead};
use crate::number::FrameNumber;

/// How often the head and the locks are read until the head is the same before and after. Reading the locks takes
/// microseconds, and a transaction usually takes longer. Only a writer without pauses needs more attempts.
const TRIES: u32 = 100;

/// Why a lock that was asked for is unknown.
const APART: &str = "the wal-index changed each time that its locks were asked for";

/// One read mark, and its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadMark {
    /// The name of its lock.
    pub slot: LockSlot,
    /// The frame that it names; `None` if it is unused.
    pub mark: Option<FrameNumber>,
    /// The state of its lock.
    pub lock: LockState,
    /// Who holds it, as far as visible.
    pub holders: Vec<Holder>,
}

/// The read marks with their locks. Without evidence of locks, each lock is unknown.
#[must_use]
pub fn read_marks(shm: &IndexHead, locks: Option<&ShmLocks>) -> Vec<ReadMark> {
    let marks = LockSlot::READ.into_iter().zip(shm.checkpoint.read_marks);
    marks
        .enumerate()
        .map(|(at, (slot, mark))| {
            let byte = locks.and_then(|locks| locks.read.get(at));
            ReadMark {
                slot,
                mark,
                lock: byte.map_or(LockState::Unknown, |byte| byte.state),
                holders: byte.map(|byte| byte.holders.clone()).unwrap_or_default(),
            }
        })
        .collect()
}

/// Reads the head of a wal-index, then the locks, then the head again, until both heads are the `same` or there were
/// enough attempts. Returns the locks with the head before them and the head after them.
///
/// # Errors
/// The error of reading the head.
pub fn together<H, L, E>(
    mut head: impl FnMut() -> Result<H, E>,
    mut locks: impl FnMut() -> L,
    same: impl Fn(&H, &H) -> bool,
) -> Result<(H, L, H), E> {
    let mut before = head()?;
    for _ in 1..TRIES {
        let seen = locks();
        let after = head()?;
        if same(&before, &after) {
            return Ok((before, seen, after));
        }
        before = after;
    }
    let seen = locks();
    Ok((before, seen, head()?))
}

/// The locks that are of one moment with the head `before` them. The others are unknown, with the reason.
///
/// If the head changed, what did not change still fits. Within one generation a mark is only raised, and only to the
/// `mxFrame` of that moment. So a mark that is equal before and after had this value all the time. When READ0 is taken,
/// and when a checkpoint begins or ends, `nBackfill` or `nBackfillAttempted` changes.
#[must_use]
pub fn fitting(before: Option<&IndexHead>, after: Option<&IndexHead>, mut locks: LocksView) -> LocksView {
    if before == after {
        return locks;
    }
    let (then, now) = (before.map(|head| &head.checkpoint), after.map(|head| &head.checkpoint));
    let of_one_kind = of_one_kind(before, after);
    let copied = |of: Option<&CheckpointInfo>| of.map(|of| (of.backfilled, of.backfill_attempted));
    let still = of_one_kind && copied(then) == copied(now);
    let apart = || ByteLock::unknown(APART);
    // A checkpoint that was seen was at work. That no checkpoint was seen does not fit the other look.
    if !still && !locks.shm.checkpoint.held() {
        locks.shm.checkpoint = apart();
    }
    for (slot, lock) in locks.shm.read.iter_mut().enumerate() {
        let mark = |of: Option<&CheckpointInfo>| of.and_then(|of| of.read_marks.get(slot).copied());
        let fits = if slot == 0 { still } else { of_one_kind && mark(then) == mark(now) };
        if !fits {
            *lock = apart();
        }
    }
    locks
}

/// Whether both looks can be of one generation without a recovery between them. A recovery sets `iChange` to 0.
#[must_use]
pub fn of_one_kind(before: Option<&IndexHead>, after: Option<&IndexHead>) -> bool {
    let trusted = |head: Option<&IndexHead>| head.and_then(IndexHead::trusted).copied();
    trusted(before).zip(trusted(after)).is_some_and(|(before, after)| {
        before.salts == after.salts
            && before.mx_frame <= after.mx_frame
            && before.change_counter <= after.change_counter
    })
}

/// The first reason why a lock of the `-shm` is unknown.
#[must_use]
pub fn unknown_because(locks: &LocksView) -> Option<&str> {
    locks.shm.iter().filter_map(|(_, lock)| lock.reason.as_deref()).next()
}
