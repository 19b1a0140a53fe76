//! What frames and bytes say.

use super::*;

#[test]
fn equal_checksums_support_and_never_prove() {
    let mut sides = pair();
    on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
    let comparison = compare(&sides, false);
    assert_eq!(says(&comparison, Kind::ContentLineage), Says::Supports);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
}

#[test]
fn another_checksum_at_the_common_frame_refutes_both() {
    let mut sides = pair();
    sides[1].wal.last_commit.as_mut().unwrap().checksum = [1, 1];
    let comparison = compare(&sides, false);
    assert_eq!(items(&comparison, Kind::ContentLineage), [(About::Both, Says::Refutes)]);
    assert_eq!(comparison.verdict.locks, Answer::Refuted);
    assert_eq!(comparison.lineage[0].relation, Some(Relation::Diverged));
}

#[test]
fn other_generations_are_silent() {
    let mut sides = pair();
    sides[1].wal = wal(9, [101, 3], 1);
    sides[1].shm = Some(index(9, [101, 3]));
    assert_eq!(says(&compare(&sides, false), Kind::ContentLineage), Says::Silent);
}

#[test]
fn equal_bytes_are_always_listed_and_always_silent() {
    let comparison = compare(&pair(), true);
    let item = comparison.verdict.because.iter().find(|item| item.kind == Kind::EqualBytes).unwrap();
    assert_eq!(item.says, Says::Silent);
    assert!(item.reason.as_deref().unwrap().contains("prove nothing"));
}
