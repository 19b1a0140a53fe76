//! The checkpoint: states, how far it may copy, who is in the way.
use walscope::evidence::{ByteLock, Holder, LockSlot, LockState, LocksView, ShmLocks};
use walscope::format::shm::{IndexHead, parse_head};
use walscope::look::checkpoint::{CheckpointFacts, CheckpointState, Restart, diagnose};
use walscope::look::marks_and_locks::read_marks;
use walscope::say;
use walscope::wal::{WalFacts, scan};

use crate::common::synthetic::{Shm, WalWriter};
use walscope::number::FrameNumber;

const SALTS: [u32; 2] = [1, 2];

/// A WAL of ten commits.
fn wal() -> WalFacts {
    let mut wal = WalWriter::new(512, false, SALTS);
    for n in 1..=10 {
        wal.frame(n, n, 1);
    }
    facts(&wal)
}

fn facts(wal: &WalWriter) -> WalFacts {
    scan(&wal.bytes, &mut |_| ()).unwrap()
}

/// The wal-index of `wal`, ten transactions after its recovery.
fn shm() -> Shm {
    Shm { page_size: 512, change: 10, mx_frame: 10, database_pages: 10, salts: SALTS, ..Shm::default() }
}

fn head(shm: &Shm) -> IndexHead {
    parse_head(&shm.bytes(false)).unwrap()
}

fn free() -> ByteLock {
    ByteLock { state: LockState::Free, reason: None, holders: Vec::new() }
}

fn held(state: LockState, pid: u32) -> ByteLock {
    let holder = Holder { pid: Some(pid), command: Some("sqlite3".into()), ..Holder::default() };
    ByteLock { state, reason: None, holders: vec![holder] }
}

fn at_rest() -> ShmLocks {
    ShmLocks {
        write: free(),
        checkpoint: free(),
        recover: free(),
        read: [free(), free(), free(), free(), free()],
        dead_man_switch: free(),
    }
}

fn open() -> ShmLocks {
    ShmLocks { dead_man_switch: held(LockState::Shared, 1), ..at_rest() }
}

/// Open, with `slot` held shared by process 42.
fn reading(slot: usize) -> ShmLocks {
    let mut locks = open();
    locks.read[slot] = held(LockState::Shared, 42);
    locks
}

/// With nobody at the database itself.
fn seen(locks: &ShmLocks) -> LocksView {
    LocksView::new(locks.clone(), free())
}

fn judge(shm: &Shm, locks: &ShmLocks) -> CheckpointFacts {
    diagnose(&wal(), Some(&head(shm)), Some(&seen(locks)))
}

/// What is said of the checkpoint of `wal`, with no findings beside it.
fn told_of(facts: &CheckpointFacts, wal: &WalFacts) -> String {
    say::checkpoint::checkpoint(facts, wal, &[])
}

/// What is said of the checkpoint of the ten commits.
fn told(facts: &CheckpointFacts) -> String {
    told_of(facts, &wal())
}

fn numbers(facts: &CheckpointFacts) -> (CheckpointState, u64, Option<u64>, Option<bool>) {
    (facts.state, facts.pending, facts.safe_to, facts.restart.possible())
}

fn blockers(facts: &CheckpointFacts) -> Vec<&str> {
    facts.blocked_by.iter().map(|blocker| blocker.lock.name()).collect()
}

#[test]
fn frames_wait_and_nobody_reads() {
    let facts = judge(&shm(), &open());
    assert_eq!(numbers(&facts), (CheckpointState::Pending, 10, Some(10), Some(true)));
    assert!(facts.blocked_by.is_empty());
    assert!(told(&facts).contains("no reader was seen"), "{}", told(&facts));
}

#[test]
fn a_mark_without_its_lock_is_a_leftover_and_with_it_a_limit() {
    let shm = Shm { marks: [0, 4, 7, u32::MAX, u32::MAX], ..shm() };
    assert_eq!(numbers(&judge(&shm, &open())), (CheckpointState::Pending, 10, Some(10), Some(true)));
    let facts = judge(&shm, &reading(2));
    assert_eq!(numbers(&facts), (CheckpointState::Blocked, 10, Some(7), Some(false)));
    assert_eq!(blockers(&facts), ["read2"]);
    assert_eq!((facts.blocked_by[0].lock, facts.blocked_by[0].mark), (LockSlot::Read2, Some(FrameNumber(7))));
    assert!(told(&facts).contains("read2 is held at frame 7 by pid 42 (sqlite3)"), "{}", told(&facts));
    let mut both = reading(2);
    both.read[1] = held(LockState::Shared, 43);
    assert_eq!(judge(&shm, &both).safe_to, Some(4));
}

#[test]
fn frames_already_copied_stay_safe_whatever_a_mark_says() {
    let shm = Shm { marks: [0, 4, u32::MAX, u32::MAX, u32::MAX], backfilled: 6, attempted: 6, ..shm() };
    assert_eq!(numbers(&judge(&shm, &reading(1))), (CheckpointState::Blocked, 4, Some(6), Some(false)));
}

#[test]
fn a_reader_on_slot_0_prevents_copying_but_not_a_restart() {
    let shm = Shm { backfilled: 3, attempted: 3, ..shm() };
    let facts = judge(&shm, &reading(0));
    assert_eq!(numbers(&facts), (CheckpointState::Blocked, 7, Some(3), Some(true)));
    assert_eq!(blockers(&facts), ["read0"]);
    let copied = Shm { backfilled: 10, attempted: 10, ..shm };
    assert_eq!(numbers(&judge(&copied, &reading(0))), (CheckpointState::Complete, 0, Some(10), Some(true)));
}

#[test]
fn a_reader_at_the_last_frame_prevents_only_the_restart() {
    let marks = [0, 10, u32::MAX, u32::MAX, u32::MAX];
    let facts = judge(&Shm { marks, ..shm() }, &reading(1));
    assert_eq!(numbers(&facts), (CheckpointState::Pending, 10, Some(10), Some(false)));
    assert!(facts.blocked_by.is_empty());
    let facts = judge(&Shm { marks, backfilled: 10, attempted: 10, ..shm() }, &reading(1));
    assert_eq!(numbers(&facts), (CheckpointState::Complete, 0, Some(10), Some(false)));
    assert_eq!(blockers(&facts), ["read1"]);
}

#[test]
fn a_writers_own_slot_may_hide_a_reader_of_its_process() {
    let complete = Shm { marks: [0, 10, u32::MAX, u32::MAX, u32::MAX], backfilled: 10, attempted: 10, ..shm() };
    let mut locks = reading(1);
    locks.write = held(LockState::Exclusive, 42);
    let facts = judge(&complete, &locks);
    assert_eq!(numbers(&facts), (CheckpointState::Complete, 0, Some(10), None));
    assert!(facts.blocked_by.is_empty(), "a writer's own slot is no reader in the way");
    assert!(told(&facts).contains("A write is under way"), "{}", told(&facts));
    locks.read[1].holders.extend(held(LockState::Shared, 43).holders);
    assert_eq!(judge(&complete, &locks).restart, Restart::HeldUp, "another process shares the slot");
    locks.read[1] = ByteLock { holders: Vec::new(), ..held(LockState::Shared, 42) };
    assert_eq!(judge(&complete, &locks).restart, Restart::HeldUp, "a holder that is not visible may be anybody");
    let older = Shm { marks: [0, 9, u32::MAX, u32::MAX, u32::MAX], backfilled: 9, attempted: 9, ..shm() };
    let mut locks = reading(1);
    locks.write = held(LockState::Exclusive, 42);
    assert_eq!(
        judge(&older, &locks).state,
        CheckpointState::Blocked,
        "on an older mark it limits the copy all the same"
    );
}

#[test]
fn a_running_checkpoint_is_not_blocked_by_its_own_locks() {
    let shm = Shm { marks: [0, 4, u32::MAX, u32::MAX, u32::MAX], attempted: 10, ..shm() };
    let mut locks = open();
    locks.checkpoint = held(LockState::Exclusive, 7);
    locks.read[0] = held(LockState::Exclusive, 7);
    locks.read[1] = held(LockState::Exclusive, 7);
    let facts = judge(&shm, &locks);
    assert_eq!((facts.state, facts.safe_to), (CheckpointState::InProgress, Some(10)));
    assert_eq!(blockers(&facts), ["checkpoint"]);
    locks.read[1] = held(LockState::Shared, 42);
    let facts = judge(&shm, &locks);
    assert_eq!((facts.state, facts.safe_to), (CheckpointState::InProgress, Some(4)));
    assert_eq!(blockers(&facts), ["checkpoint", "read1"]);
}

#[test]
fn without_evidence_of_locks_nothing_is_called_safe_or_blocked() {
    let shm = Shm { marks: [0, 4, u32::MAX, u32::MAX, u32::MAX], ..shm() };
    for locks in [None, Some(ShmLocks::unknown("EACCES"))] {
        let facts = diagnose(&wal(), Some(&head(&shm)), locks.as_ref().map(seen).as_ref());
        assert_eq!(numbers(&facts), (CheckpointState::Pending, 10, None, None));
        assert!(facts.blocked_by.is_empty());
    }
    let mut one_unseen = open();
    one_unseen.read[1] = ByteLock::unknown("EACCES");
    assert_eq!(numbers(&judge(&shm, &one_unseen)), (CheckpointState::Pending, 10, None, None));
    one_unseen.read[1] = free();
    one_unseen.read[2] = ByteLock::unknown("EACCES");
    assert_eq!(judge(&shm, &one_unseen).safe_to, Some(10), "an unused mark limits nothing");
}

#[test]
fn the_wal_index_in_use_decides_what_is_committed_and_at_rest_the_wal() {
    let lagging = Shm { mx_frame: 8, change: 8, backfilled: 8, attempted: 8, ..shm() };
    let live = judge(&lagging, &open());
    assert_eq!((live.state, live.committed, live.backfilled), (CheckpointState::Complete, 8, 8));
    let rest = judge(&lagging, &at_rest());
    assert_eq!(
        (rest.state, rest.committed, rest.backfilled, rest.safe_to),
        (CheckpointState::Pending, 10, 0, Some(10))
    );
}

#[test]
fn a_leftover_shm_counts_only_if_it_fits_the_last_commit() {
    let copied = Shm { backfilled: 10, attempted: 10, ..shm() };
    for locks in [Some(at_rest()), None] {
        let judged = |shm: &Shm| diagnose(&wal(), Some(&head(shm)), locks.as_ref().map(seen).as_ref());
        let facts = judged(&copied);
        assert_eq!((facts.state, facts.backfilled), (CheckpointState::Complete, 10));
        assert!(told(&facts).contains("-shm says"), "{}", told(&facts));
        assert_eq!(judged(&Shm { salts: [1, 3], ..copied.clone() }).state, CheckpointState::Pending);
        assert_eq!(judged(&Shm { mx_frame: 11, ..copied.clone() }).backfilled, 0);
        assert_eq!(judged(&Shm { backfilled: 11, ..copied.clone() }).backfilled, 0);
    }
}

#[test]
fn the_shm_says_nothing_if_the_database_is_open_without_it() {
    let copied = Shm { backfilled: 10, attempted: 10, ..shm() };
    let locks = LocksView { database: held(LockState::Exclusive, 77), ..seen(&at_rest()) };
    let facts = diagnose(&wal(), Some(&head(&copied)), Some(&locks));
    assert_eq!(numbers(&facts), (CheckpointState::Blocked, 10, None, None));
    assert_eq!(blockers(&facts), ["database"]);
    assert_eq!(facts.blocked_by[0].holders[0].pid, Some(77));
    // One look is one moment: the last connection that closes has the database locked as well.
    let told_once = told(&facts);
    assert!(
        told_once.contains("pid 77") && told_once.contains("closing") && told_once.contains("Look again"),
        "{told_once}"
    );
    let shared = LocksView { database: held(LockState::Shared, 77), ..seen(&at_rest()) };
    let opened = diagnose(&wal(), Some(&head(&copied)), Some(&shared));
    assert_eq!(numbers(&opened), (CheckpointState::Pending, 10, None, None));
    assert!(!told(&opened).contains("exclusive"), "{}", told(&opened));
    // There need not be a -shm.
    let without_shm = LocksView { shm: ShmLocks::unknown("-shm: absent"), ..locks.clone() };
    let facts = diagnose(&wal(), None, Some(&without_shm));
    assert_eq!((facts.state, blockers(&facts)), (CheckpointState::Blocked, vec!["database"]));
    let beside = LocksView { shm: open(), ..locks };
    assert_eq!(diagnose(&wal(), Some(&head(&copied)), Some(&beside)).state, CheckpointState::Complete);
}

#[test]
fn a_killed_checkpoint_is_interrupted() {
    let shm = Shm { backfilled: 3, attempted: 9, ..shm() };
    assert_eq!(judge(&shm, &open()).state, CheckpointState::Interrupted);
    assert_eq!(judge(&shm, &at_rest()).state, CheckpointState::Interrupted);
    let from_the_start = Shm { backfilled: 0, attempted: 10, ..shm };
    assert_eq!(judge(&from_the_start, &open()).state, CheckpointState::Interrupted);
}

#[test]
fn the_last_checkpoint_of_a_connection_that_closes_is_at_work() {
    // It has the database for itself, and takes no lock of the wal-index.
    let closing = LocksView::new(open(), held(LockState::Exclusive, 77));
    let judged = |shm: &Shm| diagnose(&wal(), Some(&head(shm)), Some(&closing));
    let facts = judged(&Shm { backfilled: 3, attempted: 10, ..shm() });
    assert_eq!((facts.state, facts.pending), (CheckpointState::InProgress, 7));
    assert_eq!(blockers(&facts), ["database"]);
    assert_eq!(facts.blocked_by[0].holders[0].pid, Some(77));
    assert!(told(&facts).contains("A connection that closes, or one in exclusive mode, is checkpointing"));
    assert!(told(&facts).contains("pid 77"), "{}", told(&facts));
    // Before it has begun to copy, and when it has ended.
    let before = judged(&shm());
    assert_eq!((before.state, blockers(&before)), (CheckpointState::Blocked, vec!["database"]));
    assert_eq!(judged(&Shm { backfilled: 10, attempted: 10, ..shm() }).state, CheckpointState::Complete);
    // Whether somebody holds CKPT has to be known before one is called interrupted.
    let mut unseen = open();
    unseen.checkpoint = ByteLock::unknown("EACCES");
    assert_eq!(judge(&Shm { backfilled: 3, attempted: 9, ..shm() }, &unseen).state, CheckpointState::Pending);
}

#[test]
fn a_recovery_is_not_an_interrupted_checkpoint() {
    let recovered = Shm { change: 0, attempted: 10, ..shm() };
    assert_eq!(judge(&recovered, &open()).state, CheckpointState::Pending);
    let three_commits_later = Shm { change: 3, attempted: 7, ..shm() };
    assert_eq!(judge(&three_commits_later, &open()).state, CheckpointState::Pending);
    let more_commits_than_frames = Shm { change: 4, attempted: 7, ..shm() };
    assert_eq!(judge(&more_commits_than_frames, &open()).state, CheckpointState::Interrupted);
}

#[test]
fn a_restarted_wal_has_nothing_committed_and_nothing_to_do() {
    let restarted = Shm { mx_frame: 0, salts: [2, 9], ..shm() };
    let judged = judge(&restarted, &open());
    assert_eq!((judged.state, judged.committed, judged.restart), (CheckpointState::Restarted, 0, Restart::NotKnown));
    // The first frame of the new generation is in the file, without a commit.
    let mut wal = WalWriter::new(512, false, SALTS);
    wal.frame(1, 1, 1).frame(2, 2, 1).set_salts([2, 9]);
    wal.frame_at(1, 5, 0, 3);
    let first_frame = diagnose(&facts(&wal), Some(&head(&restarted)), Some(&seen(&open())));
    assert_eq!(first_frame.state, CheckpointState::Restarted);
    assert_eq!(diagnose(&facts(&wal), None, None).state, CheckpointState::Restarted);
}

#[test]
fn a_missing_an_empty_and_an_unusable_wal_have_different_states() {
    let none = Shm { mx_frame: 0, ..shm() };
    // Every connection opens the -wal before the -shm: where that is in use, somebody took the -wal away.
    let taken_away = CheckpointState::Unknown;
    for (locks, absent) in
        [(None, CheckpointState::NoWal), (Some(open()), taken_away), (Some(at_rest()), CheckpointState::NoWal)]
    {
        let judged = |wal: &WalFacts| diagnose(wal, Some(&head(&none)), locks.as_ref().map(seen).as_ref());
        assert_eq!(judged(&WalFacts::absent()).state, absent);
        assert_eq!(judged(&scan(&Vec::new(), &mut |_| ()).unwrap()).state, CheckpointState::Empty);
        assert_eq!(judged(&facts(&WalWriter::new(512, false, SALTS))).state, CheckpointState::Empty);
        let mut uncommitted = WalWriter::new(512, false, SALTS);
        let wal = facts(uncommitted.frame(1, 0, 1));
        let judgement = judged(&wal);
        assert_eq!((judgement.state, judgement.pending), (CheckpointState::Empty, 0));
        assert!(told_of(&judgement, &wal).contains("1 frame without a commit"), "{}", told_of(&judgement, &wal));
        uncommitted.bytes[0] = 0;
        let wal = facts(&uncommitted);
        let judgement = judged(&wal);
        assert_eq!(judgement.state, CheckpointState::NoWal);
        assert!(told_of(&judgement, &wal).contains("no WAL magic"), "{}", told_of(&judgement, &wal));
    }
}

#[test]
fn at_rest_the_sentence_warns_what_opening_would_destroy() {
    let mut wal = WalWriter::new(512, false, SALTS);
    wal.frame(1, 1, 1).frame(2, 0, 1).frame(3, 0, 1).frame(4, 0, 1);
    let at = wal.offset(4) + 100;
    wal.bytes[at] ^= 1;
    let said = "3 frames are in no commit: opening this with sqlite3 destroys them; work on copies.";
    for locks in [None, Some(at_rest())] {
        let told = |wal: &WalWriter| {
            let wal = facts(wal);
            told_of(&diagnose(&wal, None, locks.as_ref().map(seen).as_ref()), &wal)
        };
        assert!(told(&wal).ends_with(said), "{}", told(&wal));
        let mut clean = WalWriter::new(512, false, SALTS);
        assert!(!told(clean.frame(1, 1, 1)).contains("destroys"));
        let mut open_alone = WalWriter::new(512, false, SALTS);
        let told = told(open_alone.frame(1, 0, 1));
        assert!(told.contains("1 frame is in no commit: opening this with sqlite3 destroys it"), "{told}");
    }
    let header = Shm { mx_frame: 1, frame_checksum: [0, 0], pages: vec![1], ..shm() };
    let live = diagnose(&facts(&wal), Some(&head(&header)), Some(&seen(&open())));
    let live = told_of(&live, &facts(&wal));
    assert!(!live.contains("destroys"), "whoever has it open may commit them: {live}");
}

#[test]
fn a_live_wal_index_that_cannot_be_trusted_leaves_the_state_unknown() {
    let unknown = |shm: Option<&IndexHead>, locks: &ShmLocks| {
        let facts = diagnose(&wal(), shm, Some(&seen(locks)));
        assert_eq!((facts.state, facts.safe_to, facts.restart), (CheckpointState::Unknown, None, Restart::NotKnown));
        facts
    };
    unknown(None, &open());
    unknown(Some(&head(&Shm { salts: [1, 3], ..shm() })), &open());
    unknown(Some(&head(&Shm { backfilled: 11, ..shm() })), &open());
    // A WAL that is too short is cut only if it is of this generation: else it may have been read before a restart.
    let longer = Shm { mx_frame: 1000, ..shm() };
    assert!(told(&unknown(Some(&head(&longer)), &open())).contains("was cut short"));
    let restarted = Shm { mx_frame: 1000, salts: [1, 3], ..shm() };
    assert!(told(&unknown(Some(&head(&restarted)), &open())).contains("another generation"));
    let mut torn = shm().bytes(false);
    torn[20] ^= 1;
    unknown(Some(&parse_head(&torn).unwrap()), &open());
    let mut recovering = open();
    recovering.recover = held(LockState::Exclusive, 9);
    let facts = unknown(Some(&head(&shm())), &recovering);
    assert_eq!(blockers(&facts), ["recover"]);
    recovering.recover = held(LockState::Shared, 9);
    assert_eq!(judge(&shm(), &recovering).state, CheckpointState::Pending, "a look at RECOVER is no recovery");
}

#[test]
fn read_marks_carry_their_locks() {
    let shm = head(&Shm { marks: [0, 4, u32::MAX, 6, 7], ..shm() });
    let marks = read_marks(&shm, Some(&reading(3)));
    let brief: Vec<_> = marks.iter().map(|mark| (mark.slot, mark.mark.map(u64::from), mark.lock)).collect();
    assert_eq!(
        brief,
        [
            (LockSlot::Read0, Some(0), LockState::Free),
            (LockSlot::Read1, Some(4), LockState::Free),
            (LockSlot::Read2, None, LockState::Free),
            (LockSlot::Read3, Some(6), LockState::Shared),
            (LockSlot::Read4, Some(7), LockState::Free),
        ]
    );
    assert_eq!(marks[3].holders[0].pid, Some(42));
    assert!(read_marks(&shm, None).iter().all(|mark| mark.lock == LockState::Unknown && mark.holders.is_empty()));
}
