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
fn a_different_checksum_at_the_common_frame_refutes_memory_and_locks() {
    let mut sides = apart();
    sides[1].wal.last_commit.as_mut().unwrap().checksum = walscope::number::Checksum([1, 1]);
    let comparison = compare(&sides, false);
    assert_eq!(items(&comparison, Kind::ContentLineage), [(About::Both, Says::Refutes)]);
    assert_eq!(comparison.verdict.locks, Answer::Refuted);
    assert_eq!(comparison.lineage[0].relation, Some(Relation::Diverged));
}

#[test]
fn different_generations_are_silent() {
    let mut sides = pair();
    sides[1].wal = wal(9, [101, 3], 1);
    sides[1].shm = Some(index(9, [101, 3]));
    assert_eq!(says(&compare(&sides, false), Kind::ContentLineage), Says::Silent);
}

#[test]
fn equal_bytes_are_always_listed_and_always_silent() {
    let comparison = compare(&pair(), true);
    let item = comparison.verdict.because().find(|item| item.kind == Kind::EqualBytes).unwrap();
    assert_eq!(item.says, Says::Silent);
    assert_eq!(item.fact, Fact::EqualBytes(EqualBytesFact::Equal));
    let names = walscope::say::Names::new(&["writer", "reader"]);
    assert!(walscope::say::evidence::reason(item, names).unwrap().contains("prove nothing"));
}

#[test]
fn different_content_at_different_times_refutes_only_with_a_process_older_than_both() {
    let different = || {
        let mut sides = apart();
        sides[1].wal.last_commit.as_mut().unwrap().checksum = walscope::number::Checksum([1, 1]);
        sides
    };
    for (at, refuted) in [(99, true), (100, false), (150, false)] {
        let mut sides = different();
        started(&mut sides[1], at);
        let comparison = compare(&sides, false);
        assert_eq!(says(&comparison, Kind::ContentLineage) == Says::Refutes, refuted, "{at}");
        assert_eq!(comparison.verdict.sharing == Answer::Refuted, refuted);
        assert_eq!(comparison.lineage[0].relation, Some(Relation::Diverged));
        let expected: &[&str] = if refuted { &[] } else { &["captures_diverged"] };
        assert_eq!(codes(&comparison), expected);
        assert_eq!(compare(&sides, true).verdict.sharing, Answer::Refuted);
    }
    // A -shm made since: the process was there all along, its connection was not.
    let mut sides = different();
    with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(150 * SECOND)));
    let comparison = compare(&sides, false);
    assert_eq!(says(&comparison, Kind::ContentLineage), Says::Silent);
    assert_eq!(codes(&comparison), ["captures_diverged"]);
    // Another kernel, or one that cannot be told.
    let mut sides = different();
    sides[1].evidence.host.boot_id = Observation::seen("another".into());
    assert_eq!(says(&compare(&sides, false), Kind::ContentLineage), Says::Silent);
}
