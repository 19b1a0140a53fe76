//! Several looks over some time: whether the same reader stands in the way of the checkpoint throughout, or readers take
//! turns.
//!
//! One look cannot tell these apart: readers that overlap hold some mark at each moment, and a checkpoint that waits a little
//! gets its turn. A process that is stopped or frozen at each look holds others up by any lock that they need; one that runs and
//! has such a lock at each look may have taken it anew each time, as a busy writer does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Inspection;
use super::checkpoint::{Blocker, in_the_way};
use super::held_up::{NotRunning, not_running};
use crate::evidence::{ByteLock, Holder, LockSlot, LockState};
use crate::format::wal::HEADER_SIZE as WAL_HEADER_SIZE;
use crate::number::FrameNumber;

/// A reader that stands in the way. While it is the same, its transaction, or a chain of transactions of one process that
/// overlap, was there all the time between two looks.
///
/// folklore: a new reader takes the last commit (walTryBeginRead), so it does not get a mark that is below `mxFrame` while
/// another slot is free, and it takes READ0 only if nothing waits to be copied. `nBackfill` does not move while READ0 is held.
/// Held by `readers_that_take_turns_are_not_one_reader` and `a_reader_that_stays_is_named`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// The salts.
    generation: [u32; 2],
    lock: LockSlot,
    /// Its mark; for READ0 `nBackfill`.
    at: FrameNumber,
    /// `None`: not visible from here.
    pid: Option<u32>,
    /// The start of that process: numbers are used again.
    start_time: Option<u64>,
    /// If it did not run and holds others up by that: how it holds the lock.
    stopped: Option<LockState>,
}

/// A reader that stood in the way at each look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The lock that it holds.
    pub lock: LockSlot,
    /// Up to this frame a checkpoint may copy.
    pub at: FrameNumber,
    /// Who it is; `None`: not visible from here.
    pub holder: Option<Holder>,
    /// If it was stopped or frozen at each look, and holds up by this lock whoever needs it: how it holds the lock.
    pub stopped: Option<LockState>,
}

impl Kept {
    /// Whether others wait for it. An application in exclusive locking mode that runs does its checkpoints itself.
    #[must_use]
    pub fn is_in_the_way(&self) -> bool {
        self.stopped.is_some() || self.lock != LockSlot::Database
    }
}

/// What several looks found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody stood in the way at any look that tells it.
    NotBlocked,
    /// At least one reader stood in the way at each look.
    Kept,
    /// Readers stood in the way at some looks or at all, and none of them throughout.
    TakeTurns,
    /// One reader stood in the way at some looks, and nobody at any other.
    OneForAWhile,
    /// At some looks the wal-index or the locks could not be judged, and at all others the same reader was there, or there
    /// are no others.
    NotKnown,
}

/// Several looks.
#[derive(Debug, Clone, Default)]
pub struct OverTime {
    /// From the first look to the last.
    pub duration: Duration,
    /// Number of looks.
    pub looks: u32,
    /// Looks at which somebody stood in the way.
    pub blocked: u32,
    /// Looks at which it could not be told.
    pub not_known: u32,
    seen: BTreeMap<Key, Seen>,
}

/// At which looks somebody stood in the way.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// How many.
    looks: u32,
    /// The number of the last one.
    last: u32,
    /// Who, at the last one.
    holder: Option<Holder>,
}

impl OverTime {
    /// Adds one look.
    pub fn add(&mut self, look: &Inspection) {
        self.looks = self.looks.saturating_add(1);
        let nothing_waits =
            || look.sizes.database.is_some() && look.sizes.shm.is_none() && look.sizes.wal.is_none_or(|size| size == 0);
        let free = |lock: &ByteLock| lock.state == LockState::Free;
        let nobody = match &look.locks {
            // Without a -shm a process can still keep the database for itself, with a -wal.
            Some(locks) if look.sizes.shm.is_none() => free(&locks.database) || nothing_waits(),
            Some(locks) => free(&locks.shm.dead_man_switch) && free(&locks.database),
            None => nothing_waits(),
        };
        let stopped = not_running(look, &[]);
        if nobody && stopped.is_empty() {
            return;
        }
        for NotRunning { holder, locks } in &stopped {
            for (lock, state) in locks {
                self.count_one([0; 2], *lock, FrameNumber::NONE, Some(holder), Some(*state));
            }
        }
        if let Some(database) = locked(look) {
            self.blocked = self.blocked.saturating_add(1);
            let blocker = Blocker { lock: LockSlot::Database, mark: None, holders: database.holders.clone() };
            self.count([0; 2], FrameNumber::NONE, blocker);
            return;
        }
        let seen = look.locks.as_ref().zip(look.shm.as_ref()).filter(|(locks, _)| locks.shm.dead_man_switch.held());
        let judged = seen.and_then(|(locks, shm)| Some((in_the_way(shm, locks)?, shm.trusted()?.salts.0, shm)));
        let Some((blockers, generation, shm)) = judged else {
            match stopped.is_empty() {
                true => self.not_known = self.not_known.saturating_add(1),
                false => self.blocked = self.blocked.saturating_add(1),
            }
            return;
        };
        self.blocked = self.blocked.saturating_add(u32::from(!blockers.is_empty() || !stopped.is_empty()));
        for blocker in blockers {
            let at = blocker.mark.filter(|_| blocker.lock != LockSlot::Read0).unwrap_or(shm.checkpoint.backfilled);
            self.count(generation, at, blocker);
        }
    }

    fn count(&mut self, generation: [u32; 2], at: FrameNumber, blocker: Blocker) {
        if blocker.holders.is_empty() {
            self.count_one(generation, blocker.lock, at, None, None);
        }
        for holder in &blocker.holders {
            self.count_one(generation, blocker.lock, at, Some(holder), None);
        }
    }

    fn count_one(
        &mut self,
        generation: [u32; 2],
        lock: LockSlot,
        at: FrameNumber,
        holder: Option<&Holder>,
        stopped: Option<LockState>,
    ) {
        let pid = holder.and_then(|holder| holder.pid);
        let start_time = holder.and_then(|holder| holder.start_time);
        let key = Key { generation, lock, at, pid, start_time, stopped };
        let seen = self.seen.entry(key).or_default();
        *seen = Seen { looks: seen.looks.saturating_add(1), last: self.looks, holder: holder.cloned() };
    }

    /// The readers that stood in the way at each look.
    #[must_use]
    pub fn kept(&self) -> Vec<Kept> {
        let throughout = self.seen.iter().filter(|(_, seen)| self.looks > 1 && seen.looks >= self.looks);
        throughout.map(|(key, seen)| kept(key, seen)).collect()
    }

    /// The only one that stood in the way at any look, and whether it was there at the last one. `None`: there were others, or at some
    /// look it could not be told.
    #[must_use]
    pub fn only(&self) -> Option<(Kept, bool)> {
        let mut all = self.seen.iter();
        let (key, seen) = all.next().filter(|_| all.next().is_none() && self.not_known == 0)?;
        let is_reader = key.stopped.is_none() && self.looks > 1;
        is_reader.then(|| (kept(key, seen), seen.last == self.looks))
    }

    /// Whether a reader was in the way at some look.
    #[must_use]
    pub fn by_readers(&self) -> bool {
        self.seen.keys().any(|key| key.stopped.is_none())
    }

    /// What that means.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        // At the looks that tell nothing, a reader that was there at all others may have been there too.
        let most = self.seen.values().map(|seen| seen.looks).max().unwrap_or(0);
        let throughout = self.not_known > 0 && most.saturating_add(self.not_known) >= self.looks;
        if !self.kept().is_empty() {
            Outcome::Kept
        } else if throughout {
            Outcome::NotKnown
        } else if self.only().is_some() {
            Outcome::OneForAWhile
        } else if self.blocked > 0 {
            Outcome::TakeTurns
        } else {
            Outcome::NotBlocked
        }
    }
}

fn kept(key: &Key, seen: &Seen) -> Kept {
    Kept { lock: key.lock, at: key.at, holder: seen.holder.clone(), stopped: key.stopped }
}

/// The lock of somebody who has the whole database locked while frames wait.
fn locked(look: &Inspection) -> Option<&ByteLock> {
    let locks = look.locks.as_ref().filter(|locks| locks.database.state == LockState::Exclusive)?;
    let waits = match look.trusted().zip(look.shm.as_ref()).filter(|_| locks.shm.dead_man_switch.held()) {
        Some((header, shm)) => shm.checkpoint.backfilled < header.mx_frame,
        None => look.sizes.wal.is_some_and(|size| size > WAL_HEADER_SIZE as u64),
    };
    waits.then_some(&locks.database)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn over(looks: u32, blocked: u32, not_known: u32, seen: &[(u32, u32)]) -> OverTime {
        let each = seen.iter().map(|(pid, times)| {
            let key = Key {
                generation: [1, 2],
                lock: LockSlot::Read1,
                at: FrameNumber::NONE,
                pid: Some(*pid),
                start_time: None,
                stopped: None,
            };
            (key, Seen { looks: *times, last: *times, holder: None })
        });
        OverTime { duration: Duration::from_secs(5), looks, blocked, not_known, seen: each.collect() }
    }

    #[test]
    fn one_reader_has_to_be_there_at_each_look() {
        assert_eq!(over(10, 10, 0, &[(7, 10)]).outcome(), Outcome::Kept);
        assert_eq!(over(10, 10, 0, &[(7, 9), (8, 9)]).outcome(), Outcome::TakeTurns);
        assert_eq!(over(10, 3, 0, &[(7, 3)]).outcome(), Outcome::OneForAWhile);
        assert_eq!(over(10, 6, 0, &[(7, 3), (8, 3)]).outcome(), Outcome::TakeTurns);
        assert_eq!(over(10, 3, 1, &[(7, 3)]).outcome(), Outcome::TakeTurns, "at one look it could not be told");
        assert_eq!(over(10, 0, 0, &[]).outcome(), Outcome::NotBlocked);
        assert_eq!(over(10, 4, 6, &[(7, 4)]).outcome(), Outcome::NotKnown);
        assert_eq!(
            over(10, 4, 6, &[(7, 3), (8, 3)]).outcome(),
            Outcome::TakeTurns,
            "each was away at a look that tells it"
        );
        assert_eq!(over(10, 0, 9, &[]).outcome(), Outcome::NotBlocked, "nobody was there at one look");
        assert_eq!(over(10, 0, 10, &[]).outcome(), Outcome::NotKnown);
        assert_eq!(over(1, 1, 0, &[(7, 1)]).outcome(), Outcome::TakeTurns, "one look is no time");
    }
}
