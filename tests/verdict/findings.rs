//! What is named, with a code.

use super::*;
use walscope::say::finding::finding;

#[test]
fn a_database_mounted_as_a_single_file_is_named() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    sides[1].evidence.files.directory = Observation::seen(file(3));
    let comparison = compare(&sides, true);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert_eq!(codes(&comparison), ["database_shared_wal_index_not"]);
    assert!(finding(&comparison.findings[0]).advice.contains("Mount the folder"));
}

#[test]
fn a_copy_is_named() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    sides[1].evidence.files.database = Observation::seen(file(79));
    assert_eq!(codes(&compare(&sides, true)), ["different_databases"]);
}

#[test]
fn an_unstable_bundle_is_named() {
    let mut sides = pair();
    sides[0].stable = false;
    let comparison = compare(&sides, true);
    assert_eq!(codes(&comparison), ["bundle_unstable"]);
    assert_eq!(comparison.verdict.sharing, Answer::Proven);
    assert!(!explained(&comparison).contains("nothing to do"), "{}", explained(&comparison));
    sides[1].stable = true;
    sides[0].stable = true;
    assert!(explained(&compare(&sides, true)).contains("nothing to do"));
}
