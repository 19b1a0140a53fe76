//! What walscope must report about a wal-index that somebody has open, calculated from what the driver knows.

use std::path::Path;

use walscope::evidence::{ByteLock, LockState};
use walscope::look::checkpoint::{CheckpointState, Restart};

use crate::look::{Look, pids};
use crate::model::{Index, ended, raw};
use crate::tally::Tally;
use walscope::number::FrameNumber;

/// What the driver knows.
pub struct Known<'a> {
    pub path: &'a Path,
    pub page_size: usize,
    pub index: &'a Index,
    /// Processes that have the wal-index open.
    pub open: Vec<u32>,
    /// The process with a waiting checkpoint, which holds CKPT.
    pub checkpointing: Option<u32>,
    /// Whether commit frames were repeated up to the sector boundary.
    pub padded: bool,
    /// Whether a commit may be left that nobody was told of.
    pub unconfirmed: bool,
}

impl Known<'_> {
    /// Compares everything that one look can show.
    pub fn check(&self, look: &Look, tally: &mut Tally) {
        self.check_locks(look, tally);
        self.check_numbers(look);
        let state = self.check_state(look);
        self.check_restart(look, tally);
        self.check_blockers(look);
        look.check_findings(self.unconfirmed);
        assert!(!look.told().is_empty());
        tally.count(format!("state {state:?}"));
        tally.count("looks");
    }

    fn check_locks(&self, look: &Look, tally: &mut Tally) {
        let locks = &look.locks.as_ref().expect("a -shm with locks").shm;
        let raw = raw(self.path).expect("a -shm");
        let mut open = self.open.clone();
        open.sort_unstable();
        open.dedup();
        held(&locks.dead_man_switch, &open, LockState::Shared, "dead-man switch");
        held(&locks.recover, &[], LockState::Free, "RECOVER");
        let checkpointing: Vec<u32> = self.checkpointing.into_iter().collect();
        held(&locks.checkpoint, &checkpointing, LockState::Exclusive, "CKPT");
        held(&locks.write, &Vec::from_iter(self.writing()), LockState::Exclusive, "WRITE");
        for slot in 0..5 {
            let mut readers: Vec<u32> = self.index.readers[slot].iter().map(|reader| reader.pid).collect();
            readers.sort_unstable();
            readers.dedup();
            held(&locks.read[slot], &readers, LockState::Shared, &format!("READ{slot}"));
            assert_eq!(look.marks[slot].mark, raw.marks[slot].map(FrameNumber::from), "mark {slot} as stored");
            assert_eq!(look.marks[slot].lock, locks.read[slot].state, "lock of mark {slot}");
            assert_eq!(look.marks[slot].holders, locks.read[slot].holders, "holders of mark {slot}");
            if !readers.is_empty() {
                assert_eq!(
                    look.marks[slot].mark,
                    self.index.marks[slot].map(FrameNumber::from),
                    "the held mark {slot}"
                );
                tally.count(format!("read{slot} held"));
                if readers.len() > 1 {
                    tally.count("slots shared by processes");
                }
            } else if look.marks[slot].mark.is_some_and(|mark| slot > 0 && mark < u64::from(self.index.mx_frame)) {
                tally.count("leftover marks that block nothing");
            }
        }
    }

    fn check_numbers(&self, look: &Look) {
        let (index, facts) = (self.index, &look.facts);
        assert_eq!(facts.committed, u64::from(index.mx_frame), "committed");
        assert_eq!(facts.backfilled, u64::from(index.backfilled), "backfilled");
        assert_eq!(facts.pending, u64::from(index.mx_frame - index.backfilled), "pending");
        assert_eq!(facts.safe_to, Some(u64::from(index.safe_to())), "safe_to");
    }

    fn check_state(&self, look: &Look) -> CheckpointState {
        let index = self.index;
        let salts = raw(self.path).expect("a -shm").salts;
        let both = self.checkpointing.is_some() && self.writing() == self.checkpointing;
        let expected = if both && look.facts.blocked_by.iter().any(|by| by.lock.read_mark().is_some()) {
            CheckpointState::Blocked
        } else if self.checkpointing.is_some() {
            CheckpointState::InProgress
        } else if index.mx_frame == 0 {
            // The driver's WAL is never absent while it is open.
            match ended(self.path, self.page_size, salts, look.wal.frames.committed > 0) {
                true => CheckpointState::Restarted,
                false => CheckpointState::Empty,
            }
        } else if index.backfilled == index.mx_frame {
            CheckpointState::Complete
        } else if index.blocked() {
            CheckpointState::Blocked
        } else if index.cut {
            CheckpointState::Interrupted
        } else {
            CheckpointState::Pending
        };
        // After a recovery, or with repeated commits, a cut checkpoint can look as recovery leaves the index.
        let ambiguous = expected == CheckpointState::Interrupted && (index.recovered || self.padded);
        if !ambiguous || look.facts.state != CheckpointState::Pending {
            assert_eq!(look.facts.state, expected, "state");
        }
        look.facts.state
    }

    fn check_restart(&self, look: &Look, tally: &mut Tally) {
        let (index, facts) = (self.index, &look.facts);
        if index.mx_frame == 0 {
            assert_eq!(facts.restart, Restart::NotKnown, "can_restart of an empty WAL");
        } else if self.writers_own_slot() {
            // Locks of one process are one lock: another connection of the writer's process may share its slot.
            assert_eq!(facts.restart, Restart::NotKnown, "can_restart while the writer's process alone is in the way");
            tally.count("can_restart undecidable");
        } else {
            assert_eq!(facts.restart.possible(), Some(index.can_restart()), "can_restart");
        }
    }

    /// Checks who is named as blocking the copying or, when all is copied, the restart.
    fn check_blockers(&self, look: &Look) {
        let index = self.index;
        let end = Some(index.mx_frame);
        let mut expected: Vec<String> = self.checkpointing.map(|_| "checkpoint".to_owned()).into_iter().collect();
        if index.exclusive && index.backfilled < index.mx_frame {
            expected.push("database".to_owned());
        }
        for slot in (0..5).filter(|slot| !index.readers[*slot].is_empty()) {
            let in_the_way = if index.backfilled < index.mx_frame {
                slot == 0 || index.marks[slot] < end
            } else {
                slot > 0 && index.mx_frame > 0 && !self.writers_own(slot)
            };
            if in_the_way {
                expected.push(format!("read{slot}"));
            }
        }
        let named: Vec<&str> = look.facts.blocked_by.iter().map(|blocker| blocker.lock.name()).collect();
        assert_eq!(named, expected, "blocked_by");
        for blocker in &look.facts.blocked_by {
            let Some(slot) = blocker.lock.read_mark() else { continue };
            let mark = &look.marks[usize::from(slot)];
            assert_eq!((blocker.mark, &blocker.holders), (mark.mark, &mark.holders), "blocked_by {slot}");
            let says = look.told();
            let named = blocker.holders.iter().all(|holder| says.contains(&format!("pid {}", holder.pid.unwrap())));
            assert!(named, "{says} should name {blocker:?}");
        }
    }

    /// Who holds WRITE: all checkpoints but PASSIVE take it too, as soon as they can have it.
    fn writing(&self) -> Option<u32> {
        self.index.writer.map(|writer| writer.pid).or(self.checkpointing)
    }

    /// Whether slots 1 to 4 are held by the writer's process alone, at the end of the WAL.
    fn writers_own_slot(&self) -> bool {
        let mut held = (1..5).filter(|slot| !self.index.readers[*slot].is_empty()).peekable();
        held.peek().is_some() && held.all(|slot| self.writers_own(slot))
    }

    /// Whether a held slot may be nothing but the writer's own.
    fn writers_own(&self, slot: usize) -> bool {
        let at_the_end = self.index.marks[slot] == Some(self.index.mx_frame);
        at_the_end && self.index.readers[slot].iter().all(|reader| Some(reader.pid) == self.writing())
    }
}

fn held(lock: &ByteLock, expected: &[u32], state: LockState, what: &str) {
    assert_eq!(pids(lock), expected, "holders of {what}");
    let state = if expected.is_empty() { LockState::Free } else { state };
    assert_eq!(lock.state, state, "state of {what}");
}
