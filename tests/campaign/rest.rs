//! Nobody has the wal-index open: all connections closed, all processes killed, or exclusive locking mode.

use walscope::evidence::{LockSlot, LockState};
use walscope::look::checkpoint::{CheckpointState, Restart};

use crate::child::{AtLimit, Child};
use crate::history::{CONNECTIONS, Doing, History};
use crate::look::Look;
use crate::model::{Index, raw};

impl History<'_> {
    /// `left`: the wal-index as the last process left it, when all were killed.
    pub fn look_at_rest(&mut self, left: Option<&Index>) -> Look {
        self.offer(true);
        let look = Look::at(&self.path);
        let facts = &look.facts;
        look.check_findings(self.left_unconfirmed());
        // Without a -shm there are only the locks of the database.
        if let (Some(locks), Some(_)) = (&look.locks, left) {
            assert_eq!(locks.shm.dead_man_switch.state, LockState::Free);
        }
        let committed = look.wal.frames.committed;
        assert_eq!((facts.committed, facts.pending), (committed, committed - facts.backfilled));
        assert!(facts.blocked_by.is_empty());
        match left {
            None => assert_eq!(facts.state, CheckpointState::NoWal, "the last to close removes the WAL"),
            Some(left) => {
                assert_eq!(facts.safe_to, Some(committed));
                assert_eq!(facts.restart.possible(), (committed > 0).then_some(true));
                // A commit that the wal-index never heard of makes what it says worthless.
                let known = committed == u64::from(left.mx_frame) && committed > 0;
                let backfilled = if known { u64::from(left.backfilled) } else { 0 };
                assert_eq!(facts.backfilled, backfilled, "what the left-over -shm says");
                let cut = known && left.cut;
                let expected: &[CheckpointState] = match committed {
                    0 => &[CheckpointState::Empty, CheckpointState::Restarted],
                    n if n == backfilled => &[CheckpointState::Complete],
                    _ if cut && (left.recovered || self.padded) => {
                        &[CheckpointState::Interrupted, CheckpointState::Pending]
                    }
                    _ if cut => &[CheckpointState::Interrupted],
                    _ => &[CheckpointState::Pending],
                };
                assert!(expected.contains(&facts.state), "{:?} at rest, expected {expected:?}", facts.state);
            }
        }
        self.tally.count(format!("at rest {:?}", facts.state));
        self.tally.count("looks");
        look
    }

    /// SIGKILL for everybody: what is found at rest is what SQLite then recovers.
    pub fn kill_all(&mut self) {
        self.note("all are killed");
        for child in &mut self.crew.children {
            child.kill();
            *child = Child::start(AtLimit::Fails);
        }
        self.doing.fill(Doing::Closed);
        let left = self.index.take().expect("an open wal-index");
        let look = self.look_at_rest(Some(&left));
        if self.random.one_in(3) {
            return self.exclusive_without_shm(look.wal.frames.committed);
        }
        let connection = self.open().expect("a closed connection");
        self.tally.count("all killed, recovered");
        if self.random.one_in(2) {
            let report = self.ask(connection / CONNECTIONS, &format!("checkpoint {connection}"), "PASSIVE");
            assert_eq!(report, self.index().checkpoint("PASSIVE"));
            let foretold = look.facts.safe_to.unwrap();
            assert_eq!(report, format!("0|{foretold}|{foretold}"), "the checkpoint after a recovery");
        }
    }

    /// Exclusive locking mode.
    pub fn exclusive(&mut self) {
        self.close_all();
        if self.random.one_in(2) {
            return self.exclusive_without_shm(0);
        }
        // Entered with the wal-index open: it stays mapped, and no lock of it but the dead-man switch is used.
        let connection = self.open().expect("a closed connection");
        let child = connection / CONNECTIONS;
        let sql = format!("PRAGMA locking_mode=EXCLUSIVE; {}", self.some_rows());
        let frames: u32 = self.ask(child, &format!("sql {connection}"), &sql).parse().unwrap();
        let left = raw(&self.path).unwrap();
        self.index().adopt(&left);
        assert_eq!(self.index().mx_frame, frames);
        self.index().exclusive = true;
        let foretold = self.look(None);
        let report = self.ask(child, &format!("checkpoint {connection}"), "PASSIVE");
        self.check_report("PASSIVE", &report, &foretold);
        self.look(None);
        self.ask(child, &format!("sql {connection}"), "PRAGMA locking_mode=NORMAL; SELECT count(*) FROM t");
        self.index().exclusive = false;
        self.tally.count("exclusive mode with -shm");
    }

    /// Entered before the database was read: the wal-index is in the process's own memory, a left-over -shm is ignored.
    fn exclusive_without_shm(&mut self, before: u64) {
        let uri = self.uri();
        self.ask(0, "open 0", &uri);
        let rows = self.some_rows();
        let sql = format!("PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=OFF; {rows}");
        let frames: u64 = self.ask(0, "sql 0", &sql).parse().unwrap();
        assert!(frames > before, "{frames} frames after {before}");
        let look = Look::at(&self.path);
        look.check_findings(self.left_unconfirmed());
        let facts = &look.facts;
        assert_eq!((facts.committed, facts.state), (frames, CheckpointState::Blocked), "in exclusive mode");
        let by = facts.blocked_by.iter().map(|blocker| blocker.lock).collect::<Vec<_>>();
        assert_eq!(by, [LockSlot::Database]);
        assert_eq!(facts.backfilled, 0, "a left-over -shm that does not belong to this WAL to the frame");
        assert_eq!((facts.safe_to, facts.restart), (None, Restart::NotKnown), "only that process knows: {facts:?}");
        assert!(look.told().contains("exclusive locking mode"), "{facts:?}");
        if look.locks.is_some_and(|locks| locks.shm.dead_man_switch.state != LockState::Unknown) {
            self.tally.count("exclusive mode beside a left-over -shm");
        }
        assert_eq!(self.ask(0, "checkpoint 0", "PASSIVE"), format!("0|{frames}|{frames}"));
        self.ask(0, "close 0", "");
        self.tally.count("exclusive mode without -shm");
        self.look_at_rest(None);
    }
}
