//! Read marks and locks of one moment.
//!
//! A mark limits a checkpoint only while its slot is locked, and each transaction may raise the mark of a slot that it
//! takes. So marks of one moment beside locks of another show readers that never were: a slot that a reader of the last
//! commit holds, at the mark of a reader who is long gone.

use crate::evidence::{ByteLock, Holder, LockSlot, LockState, LocksView, ShmLocks};
use crate::format::shm::{CheckpointInfo, IndexHead};
use crate::number::FrameNumber;

/// How often head and locks are looked at until the head is the same before and after. Asking for the locks takes
/// microseconds, a transaction mostly longer; a writer that leaves no such gap is the exception.
const TRIES: u32 = 100;

/// Why a lock is unknown that was asked for.
const APART: &str = "the wal-index changed each time that its locks were asked for";

/// One read mark and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMark {
    /// Its lock's name.
    pub slot: LockSlot,
    /// Frame; `None` is unused.
    pub mark: Option<FrameNumber>,
    /// The state of its lock.
    pub lock: LockState,
    /// Who holds it, as far as visible.
    pub holders: Vec<Holder>,
}

/// The read marks with their locks. Without lock evidence every lock is unknown.
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

/// Looks at the head of a wal-index, asks for the locks, and looks again, until both heads are the `same` or it has been
/// tried often enough. The locks are given with the head before them and the one after them.
///
/// # Errors
/// What looking at the head reported.
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

/// The locks as far as they are of one moment with the head `before` them; the others are unknown, with the reason.
///
/// Where the head moved on, what did not move still fits. In one generation a mark is only ever raised to the `mxFrame`
/// of that moment, so one that is the same on both sides was so throughout. READ0 is taken, and a checkpoint begins and
/// ends, with `nBackfill` or `nBackfillAttempted` moving.
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
    // A checkpoint that was seen was at work; that none was does not fit what another look says of it.
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

/// Whether both looks can be of one generation, with no recovery between them: recovery sets `iChange` back to 0.
#[must_use]
pub fn of_one_kind(before: Option<&IndexHead>, after: Option<&IndexHead>) -> bool {
    let trusted = |head: Option<&IndexHead>| head.and_then(IndexHead::trusted).copied();
    trusted(before).zip(trusted(after)).is_some_and(|(before, after)| {
        before.salts == after.salts
            && before.mx_frame <= after.mx_frame
            && before.change_counter <= after.change_counter
    })
}

/// The first reason for which a lock of the `-shm` is not known.
#[must_use]
pub fn unknown_because(locks: &LocksView) -> Option<&str> {
    locks.shm.iter().filter_map(|(_, lock)| lock.reason.as_deref()).next()
}
