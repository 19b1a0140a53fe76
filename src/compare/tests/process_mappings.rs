//! What running processes have mapped.

use super::*;

#[test]
fn a_process_seen_on_each_side_makes_mappings_the_subject() {
    let comparison = compare(&pair(), false);
    assert_eq!(comparison.verdict.subject, Subject::Mappings);
    assert_eq!(says(&comparison, Kind::ProcessMappings), Says::Supports);
    assert!(comparison.explanation.contains("processes seen on writer and reader"));
}

#[test]
fn denied_maps_leave_the_subject_at_paths() {
    let mut sides = pair();
    unmap(&mut sides[1..]);
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Proven);
    assert_eq!(comparison.verdict.subject, Subject::Paths);
    assert_eq!(says(&comparison, Kind::ProcessMappings), Says::Silent);
    assert!(comparison.explanation.contains("running processes have mapped is not judged"));
    assert!(comparison.explanation.contains("EACCES"));
}

#[test]
fn private_mappings_and_other_mount_namespaces_do_not_count() {
    for change in 0..2 {
        let mut sides = pair();
        let mapping = &mut seen(&mut sides[0].evidence.mappings).mappings[0];
        match change {
            0 => mapping.shared = false,
            _ => mapping.mount_namespace = Observation::seen("mnt:[99]".into()),
        }
        assert_eq!(compare(&sides, false).verdict.subject, Subject::Paths);
    }
}

#[test]
fn a_process_on_another_inode_under_the_same_path_refutes_as_split_brain() {
    let mut sides = pair();
    seen(&mut sides[0].evidence.mappings).mappings.push(mapping(13, "mnt:[11]", 70));
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert_eq!(comparison.verdict.memory, Answer::Refuted);
    assert_eq!(comparison.verdict.locks, Answer::Refuted);
    assert_eq!(comparison.verdict.subject, Subject::Mappings);
    assert_eq!(comparison.verdict.decided_by, [Kind::ProcessMappings]);
    assert_eq!(codes(&comparison), ["split_brain"]);
    assert_eq!(comparison.findings[0].evidence["pids"], serde_json::json!([13]));
    assert_eq!(comparison.findings[0].evidence["mapped"], serde_json::json!(["254:1 inode 70"]));
    assert!(comparison.explanation.contains("paths lead to one wal-index"), "{}", comparison.explanation);
}

#[test]
fn another_path_or_another_namespace_is_no_split_brain() {
    for change in 0..3 {
        let mut sides = pair();
        let mut other = mapping(13, "mnt:[11]", 70);
        match change {
            0 => other.path = "/elsewhere/t.db-shm".into(),
            1 => other.mount_namespace = Observation::seen("mnt:[99]".into()),
            _ => other.shared = false,
        }
        seen(&mut sides[0].evidence.mappings).mappings.push(other);
        assert_eq!(compare(&sides, false).verdict.sharing, Answer::Proven);
    }
}

#[test]
fn a_process_that_maps_a_deleted_shm_refutes() {
    for how in 0..2 {
        let mut sides = pair();
        match how {
            0 => with_shm(&mut sides[0], |shm| shm.links = 0),
            _ => sides[0].evidence.paths_unchanged = false,
        }
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Refuted);
        assert_eq!(comparison.verdict.subject, Subject::Mappings);
        assert_eq!(codes(&comparison), ["split_brain", "shm_deleted"]);
    }
}

#[test]
fn a_process_that_keeps_a_shm_which_is_no_longer_there_refutes() {
    let mut sides = pair();
    sides[0].evidence.files.shm = Observation::missing("ENOENT");
    seen(&mut sides[0].evidence.mappings).mappings[0].deleted_suffix = true;
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert_eq!(codes(&comparison), ["split_brain"]);
}

#[test]
fn the_successor_of_a_shm_that_was_deleted_during_the_capture_is_no_split_brain() {
    let mut sides = pair();
    with_shm(&mut sides[0], |shm| shm.links = 0);
    seen(&mut sides[0].evidence.mappings).mappings[0].inode.inode = 78;
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    assert_eq!(codes(&comparison), ["shm_deleted"]);
}

#[test]
fn processes_of_two_sides_on_two_inodes_refute() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    let comparison = compare(&sides, false);
    assert_eq!(says(&comparison, Kind::ProcessMappings), Says::Refutes);
    assert_eq!(comparison.verdict.subject, Subject::Mappings);
    assert_eq!(comparison.verdict.decided_by, [Kind::KernelIdentity, Kind::ProcessMappings]);
}

#[test]
fn processes_that_could_not_be_looked_at_are_counted() {
    let mut sides = pair();
    seen(&mut sides[0].evidence.mappings).processes_denied = 4;
    let comparison = compare(&sides, false);
    let item = comparison.verdict.because.iter().find(|item| item.kind == Kind::ProcessMappings).unwrap();
    assert!(item.detail.contains("4 more processes"), "{}", item.detail);
}
