//! Where there is no `-shm` to compare.

use super::*;

/// Nobody has the database open any more: no -shm, no -wal.
fn at_rest() -> [Side; 2] {
    let mut sides = pair();
    for side in &mut sides {
        side.evidence.files.shm = Observation::missing("ENOENT");
        side.evidence.files.wal = Observation::missing("ENOENT");
        side.evidence.mappings = Observation::seen(Default::default());
        side.shm = None;
        side.wal = walscope::wal::WalFacts::absent();
        side.evidence.samples.clear();
    }
    sides
}

#[test]
fn one_directory_proves_paths_where_the_shm_is_missing() {
    let comparison = compare(&at_rest(), false);
    assert_eq!(comparison.verdict.sharing, Answer::Proven);
    assert_eq!(comparison.verdict.subject, Subject::Paths);
    assert_eq!(comparison.verdict.decided_by, [Kind::DirectoryIdentity]);
}

#[test]
fn a_denied_shm_is_not_a_missing_one() {
    let mut sides = at_rest();
    for side in &mut sides {
        side.evidence.files.shm = Observation::denied("EACCES");
    }
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Undecided);
}

#[test]
fn a_recreated_shm_lets_the_directory_decide() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(150 * SECOND)));
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.decided_by, [Kind::DirectoryIdentity]);
    assert_eq!(comparison.verdict.subject, Subject::Paths);
    // Without the birth time nobody knows that it was made anew.
    with_shm(&mut sides[1], |shm| shm.birth_time = Observation::denied("no statx"));
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Undecided);
}

#[test]
fn a_shm_born_while_the_other_side_was_captured_decides_nothing() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(100 * SECOND + SECOND / 2)));
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Undecided);
}

#[test]
fn files_replaced_during_a_capture_let_an_unchanged_directory_decide() {
    let mut sides = pair();
    sides[0].evidence.paths_unchanged = false;
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.decided_by, [Kind::DirectoryIdentity]);
    assert_eq!(comparison.verdict.subject, Subject::Paths);
    sides[0].evidence.folder_unchanged = false;
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Undecided);
}

#[test]
fn a_file_with_a_mount_of_its_own_silences_the_directory() {
    let mut sides = at_rest();
    seen(&mut sides[0].evidence.files.database).mount_id = Observation::seen(6);
    let comparison = compare(&sides, false);
    assert_eq!(says(&comparison, Kind::DirectoryIdentity), Says::Silent);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
}

#[test]
fn a_mount_id_that_was_not_seen_silences_the_directory() {
    let mut sides = at_rest();
    seen(&mut sides[1].evidence.files.directory).mount_id = Observation::unsupported("old kernel");
    assert_eq!(says(&compare(&sides, false), Kind::DirectoryIdentity), Says::Silent);
}

#[test]
fn another_file_name_silences_the_directory() {
    let mut sides = at_rest();
    sides[1].evidence.files.database_path = "/data/u.db".into();
    assert_eq!(says(&compare(&sides, false), Kind::DirectoryIdentity), Says::Silent);
}

#[test]
fn btrfs_directories_by_st_dev_support_only() {
    let mut sides = at_rest();
    for side in &mut sides {
        seen(&mut side.evidence.files.directory).file_system = Observation::seen(named("btrfs", 0x9123_683e));
    }
    assert_eq!(says(&compare(&sides, true), Kind::DirectoryIdentity), Says::Supports);
}

#[test]
fn two_directories_without_a_shm_refute() {
    let mut sides = at_rest();
    sides[1].evidence.files.directory = Observation::seen(file(3));
    let comparison = compare(&sides, true);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert_eq!(comparison.verdict.decided_by, [Kind::DirectoryIdentity]);
}

#[test]
fn where_the_shm_decides_the_directory_only_supports() {
    assert_eq!(says(&compare(&pair(), false), Kind::DirectoryIdentity), Says::Supports);
}
