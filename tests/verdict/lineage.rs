//! What happened between two captures.

use super::*;
use walscope::number::{FrameNumber, Salts};

fn told(sides: &[Side]) -> Lineage {
    compare(sides, false).lineage.remove(0)
}

/// Gives a side `frames` commits in a generation.
fn at(side: &mut Side, frames: u64, salts: [u32; 2], sequence: u32) {
    side.wal = wal(frames, salts, sequence);
    side.shm = Some(index(u32::try_from(frames).unwrap(), salts));
    side.frame_headers = Some(headers(frames, salts));
    side.evidence.samples.clear();
}

#[test]
fn the_same_last_commit_is_identical() {
    let lineage = told(&pair());
    assert_eq!((lineage.relation, lineage.ahead), (Some(Relation::Identical), None));
}

#[test]
fn more_commits_are_a_continuation() {
    let mut sides = pair();
    at(&mut sides[1], 12, SALTS, 0);
    let lineage = told(&sides);
    assert_eq!(lineage.relation, Some(Relation::Continuation));
    assert_eq!(lineage.ahead, Some(READER));
    assert_eq!((lineage.commits, lineage.frames), (Some(3), Some(3)));
}

#[test]
fn a_live_wal_index_bounds_what_counts() {
    let mut sides = pair();
    sides[0].shm = Some(index(7, SALTS));
    let lineage = told(&sides);
    assert_eq!(lineage.ahead, Some(READER));
    assert_eq!((lineage.commits, lineage.frames), (Some(2), Some(2)));
    // Nobody has it open: the -shm is a leftover, and the WAL's last commit counts.
    sides[0].evidence.locks = Observation::seen(locks(LockState::Free));
    assert_eq!(told(&sides).relation, Some(Relation::Identical));
}

#[test]
fn a_wal_index_that_counts_more_than_the_wal_leaves_the_end_of_history_open() {
    let mut sides = pair();
    sides[1].shm = Some(index(u32::MAX / 20, SALTS));
    let lineage = told(&sides);
    assert_eq!(lineage.relation, None);
    assert_eq!(lineage.fact, LineageFact::NoEnd(vec![(READER, NoEnd::FramesLost)]));
    // A leftover counts no further than the WAL.
    sides[1].evidence.locks = Observation::seen(locks(LockState::Free));
    assert_eq!(told(&sides).relation, Some(Relation::Identical));
}

#[test]
fn without_frame_headers_a_common_frame_may_stay_unknown() {
    let mut sides = pair();
    at(&mut sides[1], 12, SALTS, 0);
    sides[1].frame_headers = None;
    assert_eq!(told(&sides).relation, None);
}

#[test]
fn a_wal_that_was_not_captured_is_known_from_the_wal_index() {
    let mut sides = pair();
    sides[0].wal = walscope::wal::WalFacts::absent();
    sides[0].frame_headers = None;
    sides[0].wal_captured = false;
    assert_eq!(told(&sides).relation, Some(Relation::Identical));
    // It was looked for, and is gone while the wal-index is in use.
    sides[0].wal_captured = true;
    assert_eq!(told(&sides).relation, None);
}

#[test]
fn more_in_the_database_is_checkpointed() {
    let mut sides = pair();
    sides[1].shm.as_mut().unwrap().checkpoint.backfilled = FrameNumber(9);
    let lineage = told(&sides);
    assert_eq!(lineage.relation, Some(Relation::Checkpointed));
    assert_eq!(lineage.ahead, Some(READER));
}

#[test]
fn salt1_counted_up_with_the_sequence_is_restarted() {
    let mut sides = pair();
    at(&mut sides[1], 2, [102, 999], 2);
    let lineage = told(&sides);
    assert_eq!(lineage.relation, Some(Relation::Restarted));
    assert_eq!(lineage.ahead, Some(READER));
}

#[test]
fn frames_of_the_older_generation_left_in_the_file_are_a_restart() {
    let mut sides = pair();
    at(&mut sides[0], 2, [0xdead, 999], 0);
    sides[0].wal.generations.push(walscope::wal::Generation { salts: Salts(SALTS), frames: 7 });
    let lineage = told(&sides);
    assert_eq!(lineage.relation, Some(Relation::Restarted));
    assert_eq!(lineage.ahead, Some(WRITER));
}

#[test]
fn other_salts_beside_the_same_database_are_a_restart() {
    let mut sides = pair();
    at(&mut sides[1], 2, [0xdead, 999], 0);
    assert_eq!(told(&sides).relation, Some(Relation::Restarted));
    sides[1].evidence.files.database = Observation::denied("EACCES");
    assert_eq!(told(&sides).relation, Some(Relation::Unrelated));
}

#[test]
fn two_wal_files_over_one_database_are_unrelated() {
    let mut sides = pair();
    at(&mut sides[1], 2, [0xdead, 999], 0);
    sides[1].evidence.files.wal = Observation::seen(file(79));
    assert_eq!(told(&sides).relation, Some(Relation::Unrelated));
}

#[test]
fn a_restart_known_to_the_wal_index_only_is_restarted() {
    let mut sides = pair();
    sides[1].shm = Some(index(0, [101, 3]));
    let lineage = told(&sides);
    assert_eq!(lineage.relation, Some(Relation::Restarted));
    assert_eq!(lineage.ahead, Some(READER));
}

#[test]
fn without_a_wal_on_a_side_nothing_is_claimed() {
    let mut sides = pair();
    sides[1].wal = walscope::wal::WalFacts::absent();
    sides[1].shm = None;
    let lineage = told(&sides);
    assert_eq!(lineage.relation, None);
    assert_eq!(lineage.fact, LineageFact::NoEnd(vec![(READER, NoEnd::NoWal)]));
}

#[test]
fn a_wal_that_was_not_captured_is_not_called_absent() {
    let mut sides = pair();
    sides[1].wal = walscope::wal::WalFacts::absent();
    sides[1].wal_captured = false;
    sides[1].shm = None;
    let lineage = told(&sides);
    assert_eq!(lineage.relation, None);
    assert_eq!(lineage.fact, LineageFact::NoEnd(vec![(READER, NoEnd::NotCaptured)]));
}
