//! What running processes have mapped.

use super::*;
use walscope::evidence::live::Mapper;
use walscope::evidence::{Access, CutOff, DatabaseLock, FileOpen, Mapping, Root, SwitchLock};
use walscope::report::finding::FindingDocument;

#[test]
fn a_process_seen_on_each_side_makes_mappings_the_subject() {
    let comparison = compare(&pair(), false);
    assert_eq!(comparison.verdict.subject, Subject::Mappings);
    assert_eq!(says(&comparison, Kind::ProcessMappings), Says::Supports);
    assert!(explained(&comparison).contains("processes seen on writer and reader"));
}

#[test]
fn denied_maps_leave_the_subject_at_paths() {
    let mut sides = pair();
    unmap(&mut sides[1..]);
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Proven);
    assert_eq!(comparison.verdict.subject, Subject::Paths);
    assert_eq!(says(&comparison, Kind::ProcessMappings), Says::Silent);
    assert!(explained(&comparison).contains("running processes have mapped is not judged"));
    assert!(explained(&comparison).contains("EACCES"));
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
    seen(&mut sides[0].evidence.mappings).mappings.push(cut_off(13, "mnt:[11]", 70));
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert_eq!(comparison.verdict.memory, Answer::Refuted);
    assert_eq!(comparison.verdict.locks, Answer::Refuted);
    assert_eq!(comparison.verdict.subject, Subject::Mappings);
    assert_eq!(comparison.verdict.decided_by, [Kind::ProcessMappings]);
    assert_eq!(codes(&comparison), ["split_brain"]);
    let finding = FindingDocument::from(&comparison.findings[0]);
    assert_eq!(finding.evidence["pids"], serde_json::json!([13]));
    assert_eq!(finding.evidence["mapped"], serde_json::json!(["254:1 inode 70"]));
    assert!(explained(&comparison).contains("paths lead to one wal-index"), "{}", explained(&comparison));
}

#[test]
fn a_mapping_under_the_same_path_that_was_seen_once_neither_refutes_nor_lets_mappings_be_proven() {
    let mut sides = pair();
    seen(&mut sides[0].evidence.mappings).mappings.push(mapping(13, "mnt:[11]", 70));
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Proven);
    assert_eq!(comparison.verdict.subject, Subject::Paths);
    let seen_once = Fact::ProcessMappings(MappingFact::Unseen(vec![NotMapped::SeenOnce(WRITER)]));
    assert_eq!(*fact(&comparison, Kind::ProcessMappings), seen_once);
    assert!(explained(&comparison).contains("was not seen to use it"), "{}", explained(&comparison));
}

#[test]
fn a_newline_in_the_path_is_compared_as_maps_prints_it() {
    let mut sides = pair();
    sides[0].evidence.files.database_path = "/da\nta/t.db".into();
    let other = walscope::evidence::Mapping { path: "/da\\012ta/t.db-shm".into(), ..mapping(13, "mnt:[11]", 70) };
    seen(&mut sides[0].evidence.mappings).mappings.push(other);
    assert_eq!(compare(&sides, false).verdict.subject, Subject::Paths);
}

#[test]
fn a_process_that_uses_another_wal_index_for_the_same_database_refutes_from_any_mount_namespace() {
    let mut sides = pair();
    let other = walscope::evidence::Mapping {
        path: "/alias/u.db-shm".into(),
        cut_off: Some(CutOff::Database),
        ..mapping(13, "mnt:[99]", 70)
    };
    seen(&mut sides[0].evidence.mappings).mappings.push(other);
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert_eq!(comparison.verdict.decided_by, [Kind::ProcessMappings]);
    assert_eq!(codes(&comparison), ["split_brain"]);
    let finding = FindingDocument::from(&comparison.findings[0]);
    assert!(finding.detail.contains("has the database of writer open, and maps 254:1 inode 70 (/alias/u.db-shm)"));
    assert!(finding.advice.contains("by one name"), "{}", finding.advice);
}

#[test]
fn processes_that_were_never_at_work_together_leave_the_subject_at_paths() {
    for (at, subject) in
        [(90, Subject::Mappings), (100, Subject::Mappings), (101, Subject::Paths), (150, Subject::Paths)]
    {
        let mut sides = pair();
        started(&mut sides[1], at);
        let comparison = compare(&sides, false);
        assert_eq!((comparison.verdict.sharing, comparison.verdict.subject), (Answer::Proven, subject), "{at}");
        assert_eq!(compare(&sides, true).verdict.subject, Subject::Mappings);
        // Whenever they started: the earlier capture was still under way when the later one had its files open.
        sides[1].evidence.begun = clock(100 * SECOND + SECOND / 2);
        assert_eq!(compare(&sides, false).verdict.subject, Subject::Mappings);
    }
}

#[test]
fn a_process_without_a_start_on_a_comparable_clock_leaves_the_subject_at_paths() {
    let mut sides = pair();
    seen(&mut sides[1].evidence.mappings).mappings[0].start_time = None;
    assert_eq!(compare(&sides, false).verdict.subject, Subject::Paths);
    let mut sides = pair();
    started(&mut sides[1], 99);
    // On the clock of its time namespace; in truth it started at 149.
    for clock in [&mut sides[1].evidence.begun, &mut sides[1].evidence.ended] {
        clock.boottime -= 50 * SECOND;
        clock.boottime_offset = Some(-50 * i64::try_from(SECOND).unwrap());
    }
    assert_eq!(compare(&sides, false).verdict.subject, Subject::Paths);
    sides[1].evidence.begun.boottime_offset = None;
    assert_eq!(compare(&sides, false).verdict.subject, Subject::Paths);
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
fn a_process_that_stays_on_a_deleted_shm_refutes() {
    for how in 0..2 {
        for (inode, sharing, subject) in
            [(70, Answer::Refuted, Subject::Mappings), (SHM_INODE, Answer::Undecided, Subject::Paths)]
        {
            let mut sides = pair();
            let own = seen(&mut sides[0].evidence.mappings);
            (own.mappings[0].inode.inode, own.mappings[0].cut_off) = (inode, Some(CutOff::Path));
            match how {
                0 => with_shm(&mut sides[0], |shm| shm.links = 0),
                _ => sides[0].evidence.paths_unchanged = false,
            }
            let comparison = compare(&sides, false);
            assert_eq!(comparison.verdict.sharing, sharing, "the other side's process uses {SHM_INODE}");
            assert_eq!(comparison.verdict.subject, subject);
            assert_eq!(codes(&comparison), ["split_brain", "shm_deleted"]);
        }
    }
}

#[test]
fn a_process_that_had_a_shm_mapped_while_it_was_deleted_refutes_nothing() {
    for how in 0..2 {
        let mut sides = pair();
        match how {
            0 => with_shm(&mut sides[0], |shm| shm.links = 0),
            _ => sides[0].evidence.paths_unchanged = false,
        }
        let comparison = compare(&sides, false);
        assert_eq!(says(&comparison, Kind::ProcessMappings), Says::Silent);
        assert_ne!(comparison.verdict.sharing, Answer::Refuted);
        assert_eq!(comparison.verdict.subject, Subject::Paths);
        assert_eq!(codes(&comparison), ["shm_deleted"]);
    }
}

#[test]
fn a_process_that_keeps_a_shm_which_is_no_longer_there_refutes() {
    let mut sides = pair();
    sides[0].evidence.files.shm = Observation::missing("ENOENT");
    let own = seen(&mut sides[0].evidence.mappings);
    (own.mappings[0].inode.inode, own.mappings[0].cut_off) = (70, Some(CutOff::Path));
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert_eq!(codes(&comparison), ["split_brain"]);
}

#[test]
fn a_process_that_is_cut_off_alone_has_nobody_with_whom_it_does_not_share() {
    let mut sides = pair();
    let own = seen(&mut sides[0].evidence.mappings);
    (own.mappings[0].inode.inode, own.mappings[0].cut_off) = (70, Some(CutOff::Path));
    for side in &mut sides {
        side.evidence.locks = Observation::seen(locks(LockState::Free));
        seen(&mut side.evidence.users).users.clear();
    }
    assert_eq!(compare(&sides, true).verdict.sharing, Answer::Refuted, "the other process uses the -shm of the path");
    seen(&mut sides[1].evidence.mappings).mappings.clear();
    let comparison = compare(&sides, true);
    assert_eq!((comparison.verdict.sharing, comparison.verdict.memory), (Answer::Undecided, Answer::Proven));
    assert_eq!(codes(&comparison), ["split_brain"]);
    // Nothing else needs to be known for that.
    let mut unknown = sides.clone();
    for side in &mut unknown {
        side.evidence.host.namespaces.mount = Observation::denied("EACCES");
        with_shm(side, |shm| shm.maps_identity = Observation::denied("EACCES"));
    }
    assert_eq!(codes(&compare(&unknown, true)), ["split_brain"]);
    sides[1].evidence.locks = Observation::seen(locks(LockState::Shared));
    assert_eq!(compare(&sides, true).verdict.sharing, Answer::Refuted, "somebody uses the -shm of the path");
}

#[test]
fn programs_that_only_look_at_the_files_of_a_side_are_no_processes_at_work() {
    let mut sides = pair();
    let user = &mut seen(&mut sides[1].evidence.users).users[0];
    (user.database, user.wal, user.mapped) = (Access::ReadOnly, Access::ReadOnly, Access::ReadOnly);
    (user.database_lock, user.dead_man_switch) = (DatabaseLock::None, SwitchLock::NotHeld);
    let comparison = compare(&sides, true);
    assert_eq!((comparison.verdict.sharing, comparison.verdict.subject), (Answer::Proven, Subject::Paths));
    assert_eq!(codes(&comparison), [""; 0]);
}

#[test]
fn a_process_that_uses_the_wal_index_with_another_wal_leaves_it_undecided() {
    let mut sides = pair();
    seen(&mut sides[1].evidence.mappings).mappings[0].wal_open = FileOpen::NotOpen;
    let comparison = compare(&sides, true);
    assert_eq!((comparison.verdict.sharing, comparison.verdict.memory), (Answer::Undecided, Answer::Proven));
    assert_eq!(codes(&comparison), ["wal_index_shared_wal_not"]);
}

#[test]
fn what_both_sides_find_of_one_process_is_said_once_by_its_own_side() {
    let mut sides = pair();
    let mut there = mapping(12, "mnt:[12]", 77);
    there.inode = seen(&mut sides[1].evidence.mappings).mappings[0].inode;
    there.wal_open = FileOpen::NotOpen;
    seen(&mut sides[1].evidence.mappings).mappings = vec![there.clone()];
    seen(&mut sides[0].evidence.mappings).mappings.push(there);
    let comparison = compare(&sides, true);
    assert_eq!(codes(&comparison), ["wal_index_shared_wal_not"]);
    let told = &comparison.findings[0].found;
    assert!(format!("{told:?}").contains("reader"), "{told:?}");
    // Two captures may count processes in two ways.
    assert_eq!(codes(&compare(&sides, false)), ["wal_index_shared_wal_not"; 2]);
}

#[test]
fn the_successor_of_a_shm_that_was_deleted_during_the_capture_is_no_split_brain() {
    let mut sides = pair();
    with_shm(&mut sides[0], |shm| shm.links = 0);
    seen(&mut sides[0].evidence.mappings).mappings[0].inode.inode = 78;
    let comparison = compare(&sides, false);
    assert_eq!(says(&comparison, Kind::ProcessMappings), Says::Silent);
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
    seen(&mut sides[0].evidence.mappings).mappings_not_listed = 5;
    seen(&mut sides[0].evidence.mappings).mappings_unknown = 6;
    let comparison = compare(&sides, false);
    let Fact::ProcessMappings(MappingFact::Mapped([writer, _], _)) = fact(&comparison, Kind::ProcessMappings) else {
        panic!("{comparison:?}");
    };
    assert_eq!((writer.processes_denied, writer.mappings_not_listed, writer.mappings_unknown), (4, 5, 6));
    let document = document(&sides, &comparison);
    let mut items = document.verdict.because.iter();
    let item = items.find(|item| item.kind == Kind::ProcessMappings.into()).unwrap();
    assert!(item.detail.contains("4 more processes"), "{}", item.detail);
    assert!(item.detail.contains("5 more mappings are not listed"), "{}", item.detail);
    assert!(item.detail.contains("6 more mappings could not be looked at"), "{}", item.detail);
}

#[test]
fn a_process_beneath_another_root_is_not_of_the_side_although_its_path_is_equal() {
    for (root, subject) in [
        (Root::Same, Subject::Mappings),
        (Root::Beneath, Subject::Mappings),
        (Root::NotRecorded, Subject::Mappings),
        (Root::NotKnown, Subject::Paths),
        (Root::Another, Subject::Paths),
    ] {
        let mut sides = pair();
        seen(&mut sides[0].evidence.mappings).mappings[0].root = root;
        assert_eq!(compare(&sides, false).verdict.subject, subject, "{root:?}");
    }
    // Another file under an equal path: of another place nothing, of a place that is not known no accusation.
    for (root, subject) in [(Root::Another, Subject::Mappings), (Root::NotKnown, Subject::Paths)] {
        let mut sides = pair();
        let namespace = sides[0].evidence.host.namespaces.mount.value().unwrap().clone();
        seen(&mut sides[0].evidence.mappings).mappings.push(Mapping { root, ..mapping(99, &namespace, 88) });
        let verdict = compare(&sides, false).verdict;
        assert_eq!((verdict.sharing, verdict.subject), (Answer::Proven, subject), "{root:?}");
    }
}

#[test]
fn a_process_that_has_another_database_or_wal_open_leaves_the_subject_at_paths_and_is_an_error() {
    type Change = fn(&mut walscope::evidence::Mapping, FileOpen);
    let lack: [(Change, &str); 2] = [
        (|mapping, open| mapping.database_open = open, "wal_index_shared_database_not"),
        (|mapping, open| mapping.wal_open = open, "wal_index_shared_wal_not"),
    ];
    for (change, code) in lack {
        for (open, codes_expected) in [(FileOpen::NotOpen, vec![code]), (FileOpen::NotKnown, vec![])] {
            let mut sides = pair();
            change(&mut seen(&mut sides[1].evidence.mappings).mappings[0], open);
            let comparison = compare(&sides, true);
            assert_eq!(comparison.verdict.subject, Subject::Paths);
            assert_eq!(says(&comparison, Kind::ProcessMappings), Says::Silent);
            assert_eq!(codes(&comparison), codes_expected);
            assert!(!explained(&comparison).contains("nothing to do"), "{}", explained(&comparison));
            // Page frames do not make up for it.
            assert_eq!(compare_two(&sides, &live()).verdict.subject, Subject::Paths);
        }
    }
}

#[test]
fn one_process_of_one_mount_namespace_is_not_two() {
    let mut sides = pair();
    for side in &mut sides {
        side.evidence.host.namespaces.mount = Observation::seen("mnt:[11]".into());
        seen(&mut side.evidence.mappings).mappings = vec![mapping(11, "mnt:[11]", SHM_INODE)];
    }
    let mut tried = live();
    seen(&mut tried.pages).b[1] = by_process(11, &[70, 71]);
    let comparison = compare_two(&sides, &tried);
    assert_eq!((comparison.verdict.sharing, comparison.verdict.subject), (Answer::Proven, Subject::Paths));
    let Fact::PhysicalPages(PageFact::OneFrame { by, .. }) = fact(&comparison, Kind::PhysicalPages) else {
        panic!("{comparison:?}");
    };
    let of_process = |by: &MappedBy| by.side == READER && matches!(by.mapper, Mapper::Process { .. });
    assert!(!by.iter().any(of_process), "{by:?}");
    for side in &mut sides {
        seen(&mut side.evidence.mappings).mappings.push(mapping(12, "mnt:[11]", SHM_INODE));
    }
    assert_eq!(compare(&sides, true).verdict.subject, Subject::Mappings);
}

#[test]
fn a_process_named_by_the_user_has_to_map_the_wal_index_itself() {
    let mut sides = pair();
    for (pid, subject) in [(12, Subject::Mappings), (99, Subject::Paths)] {
        sides[1].process = Some(pid);
        assert_eq!(compare(&sides, true).verdict.subject, subject);
    }
    let comparison = compare(&sides, true);
    assert!(
        explained(&comparison).contains("process 99 of reader does not map the -shm"),
        "{}",
        explained(&comparison)
    );
}
