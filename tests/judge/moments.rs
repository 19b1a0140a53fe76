//! Read marks and locks that change while they are looked at: nobody blocks who was not there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use walscope::bytes::ReadAt;
use walscope::evidence::{LockState, LocksView};
use walscope::look::checkpoint::{CheckpointFacts, CheckpointState, Restart, diagnose};
use walscope::look::marks_and_locks;
use walscope::look::{DatabaseSeen, Inspection, Options, Seen, WalSeen, inspect};

use crate::world::{World, byte, healthy, index, open};

/// A writer that commits whenever somebody asks for the locks, `left` more times: it raises the mark of slot 1 to the last
/// commit and holds the slot, as a connection does in each of its transactions.
struct Writer {
    world: World,
    left: AtomicU32,
    frames: AtomicU32,
    standing: bool,
}

impl Seen for Writer {
    fn database(&self) -> io::Result<DatabaseSeen> {
        Seen::database(&self.world)
    }

    fn wal(&self) -> io::Result<WalSeen> {
        let mut world = healthy();
        let wal = world.wal.as_mut().unwrap();
        for _ in 4..=self.frames.load(Ordering::Relaxed) {
            wal.frame(3, 4, 1);
        }
        Ok(WalSeen::Whole(Arc::new(std::mem::take(&mut wal.bytes))))
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        let mut shm = index(self.world.wal.as_ref().unwrap());
        let own = self.frames.load(Ordering::Relaxed);
        // Behind the marks of all commits but the last: it is published while the slot is still at the one before.
        shm.mx_frame = own + 1;
        shm.change = own;
        shm.marks[1] = if self.left.load(Ordering::Relaxed) > 0 { own } else { own + 1 };
        shm.marks[2] = 2;
        Ok(Some(Arc::new(shm.bytes(false))))
    }

    fn locks(&self) -> Option<LocksView> {
        if let Some(left) = self.left.load(Ordering::Relaxed).checked_sub(1) {
            self.left.store(left, Ordering::Relaxed);
            self.frames.fetch_add(1, Ordering::Relaxed);
        }
        let mut locks = open();
        locks.read[1] = byte(LockState::Shared);
        if self.standing {
            locks.read[2] = byte(LockState::Shared);
        }
        Some(LocksView::new(locks, byte(LockState::Shared)))
    }
}

fn beside(left: u32, standing: bool) -> (CheckpointFacts, Inspection) {
    let examined = inspect(
        &Writer { world: healthy(), left: AtomicU32::new(left), frames: AtomicU32::new(4), standing },
        &Options::default(),
    )
    .unwrap();
    let locks = examined.locks.as_ref();
    (diagnose(examined.wal.as_ref().unwrap(), examined.shm.as_ref(), locks), examined)
}

#[test]
fn marks_and_locks_of_two_moments_show_no_blocking_reader() {
    // It pauses after some commits: head and locks are of one moment then.
    let (checkpoint, _) = beside(7, false);
    assert_eq!((checkpoint.state, checkpoint.safe_to), (CheckpointState::Pending, Some(12)));
    // It never does: what stands in the way is not known, and nobody is accused.
    let (checkpoint, examined) = beside(u32::MAX, false);
    assert_eq!(
        (checkpoint.state, checkpoint.safe_to, checkpoint.restart),
        (CheckpointState::Pending, None, Restart::NotKnown)
    );
    assert!(checkpoint.blocked_by.is_empty());
    let reason = marks_and_locks::unknown_because(examined.locks.as_ref().unwrap()).unwrap();
    assert!(reason.contains("changed each time"), "{reason}");
    // A reader whose mark stands still beside it does block.
    let (checkpoint, _) = beside(u32::MAX, true);
    let blockers: Vec<_> = checkpoint.blocked_by.iter().map(|blocker| blocker.lock.name()).collect();
    assert_eq!((checkpoint.state, blockers), (CheckpointState::Blocked, vec!["read2"]));
}

/// A wal-index whose change counter is another one at each look at it.
struct Counting {
    world: World,
    counters: Vec<u32>,
    looks: AtomicU32,
}

impl Seen for Counting {
    fn database(&self) -> io::Result<DatabaseSeen> {
        Seen::database(&self.world)
    }

    fn wal(&self) -> io::Result<WalSeen> {
        Seen::wal(&self.world)
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        let look = self.looks.fetch_add(1, Ordering::Relaxed) as usize;
        let mut shm = index(self.world.wal.as_ref().unwrap());
        shm.change = *self.counters.get(look).or(self.counters.last()).unwrap();
        Ok(Some(Arc::new(shm.bytes(false))))
    }

    fn locks(&self) -> Option<LocksView> {
        Some(LocksView::new(open(), byte(LockState::Shared)))
    }
}

#[test]
fn a_recovery_between_two_looks_is_seen_although_the_counter_passed_the_first_look_again() {
    let settled = |counters: &[u32]| {
        let seen = Counting { world: healthy(), counters: counters.to_vec(), looks: AtomicU32::new(0) };
        let inspection = inspect(&seen, &Options::default()).unwrap();
        assert_eq!(inspection.settled, !inspection.changed, "{counters:?}");
        inspection.settled
    };
    // The looks: before the database, before and after the locks, the whole wal-index, after everything.
    assert!(settled(&[5, 5, 5, 5, 5]));
    assert!(settled(&[5, 9, 9, 9, 12]));
    assert!(!settled(&[5, 9, 9, 9, 7]), "it was recovered after the locks were read");
    assert!(!settled(&[5, 2, 2, 2, 7]), "it was recovered before the locks were read");
}
