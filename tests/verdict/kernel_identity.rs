//! One inode in one kernel, or two.

use super::*;

#[test]
fn one_inode_with_generation_and_birth_proves_memory_and_locks() {
    let comparison = compare(&pair(), false);
    assert_eq!(comparison.verdict.sharing, Answer::Proven);
    assert_eq!(comparison.verdict.memory, Answer::Proven);
    assert_eq!(comparison.verdict.locks, Answer::Proven);
    assert_eq!(comparison.verdict.decided_by, [Kind::KernelIdentity]);
    assert_eq!(items(&comparison, Kind::KernelIdentity), [(About::Both, Says::Proves)]);
    assert!(comparison.findings.is_empty());
}

#[test]
fn without_a_boot_id_identity_is_silent() {
    let mut sides = pair();
    sides[1].evidence.host.boot_id = Observation::denied("EACCES");
    let comparison = compare(&sides, true);
    assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
}

#[test]
fn different_boot_ids_do_not_refute() {
    let mut sides = pair();
    sides[1].evidence.host.boot_id = Observation::seen("another".into());
    own_shm(&mut sides[1], 78);
    let comparison = compare(&sides, true);
    assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
}

#[test]
fn without_the_identity_that_maps_prints_it_is_silent() {
    let mut sides = pair();
    with_shm(&mut sides[0], |shm| shm.maps_identity = Observation::denied("mmap: EPERM"));
    assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Silent);
}

#[test]
fn captures_at_different_times_need_generation_and_birth_time() {
    for without in 0..2 {
        let mut sides = pair();
        with_shm(&mut sides[0], |shm| match without {
            0 => shm.generation = Observation::unsupported("ENOTTY"),
            _ => shm.birth_time = Observation::unsupported("no btime"),
        });
        let apart = compare(&sides, false);
        assert_eq!(says(&apart, Kind::KernelIdentity), Says::Supports);
        assert_eq!(apart.verdict.sharing, Answer::Undecided);
        // While both descriptors are open, one of them is enough.
        assert_eq!(compare(&sides, true).verdict.sharing, Answer::Proven);
    }
}

#[test]
fn a_birth_time_does_not_replace_a_refused_generation() {
    let mut sides = pair();
    with_shm(&mut sides[0], |shm| shm.generation = Observation::denied("EPERM"));
    assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Supports);
}

#[test]
fn equal_numbers_without_generation_and_birth_time_never_prove() {
    let mut sides = pair();
    with_shm(&mut sides[0], |shm| {
        shm.generation = Observation::unsupported("ENOTTY");
        shm.birth_time = Observation::unsupported("no btime");
    });
    for simultaneous in [false, true] {
        let comparison = compare(&sides, simultaneous);
        assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Supports);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    }
}

#[test]
fn tmpfs_proves_by_birth_time_and_fsid() {
    let mut sides = pair();
    on(&mut sides, &named("tmpfs", 0x0102_1994));
    assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Proves);
}

#[test]
fn a_zero_fsid_of_tmpfs_is_no_evidence() {
    let mut sides = pair();
    let zero = walscope::evidence::FileSystem { fsid: "0".repeat(16), ..named("tmpfs", 0x0102_1994) };
    on(&mut sides, &zero);
    assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Supports);
    assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Proves);
}

#[test]
fn on_fuse_everything_equal_supports_only() {
    let mut sides = pair();
    on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
    let comparison = compare(&sides, true);
    assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Supports);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
}

#[test]
fn on_fuse_different_numbers_refute_nothing() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
    let comparison = compare(&sides, true);
    assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
}

#[test]
fn a_listed_name_with_another_magic_is_not_on_the_list() {
    let mut sides = pair();
    on(&mut sides, &named("ext4", 0x6573_5546));
    assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Supports);
}

#[test]
fn another_generation_is_another_inode() {
    let mut sides = pair();
    with_shm(&mut sides[1], |shm| shm.generation = Observation::seen(1));
    assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Refutes);
    // Apart in time the number was reused: the first was gone before the second came.
    assert_ne!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Proves);
}

#[test]
fn two_inodes_at_one_time_refute_memory_and_locks() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    unmap(&mut sides);
    let overlapping = {
        let mut sides = sides.clone();
        sides[1].evidence.begun = clock(100 * SECOND + SECOND / 2);
        compare(&sides, false)
    };
    for comparison in [compare(&sides, true), overlapping] {
        assert_eq!(comparison.verdict.sharing, Answer::Refuted);
        assert_eq!(comparison.verdict.memory, Answer::Refuted);
        assert_eq!(comparison.verdict.locks, Answer::Refuted);
        assert_eq!(comparison.verdict.subject, Subject::Paths);
        assert_eq!(comparison.verdict.decided_by, [Kind::KernelIdentity]);
    }
}

/// folklore: found by fuzzing `compare`. Two databases behind one `-shm` that only the birth time told apart became a proof
/// where one of the birth times was refused: equal as far as seen counted as nothing against it.
#[test]
fn a_birth_time_of_the_database_that_is_refused_adds_no_proof() {
    for part in ["database", "-wal"] {
        let mut sides = pair();
        let born = |side: &mut Side, at: Observation<walscope::evidence::Timestamp>| {
            let files = &mut side.evidence.files;
            let file = if part == "database" { &mut files.database } else { &mut files.wal };
            seen(file).birth_time = at;
        };
        born(&mut sides[1], Observation::seen(time(51 * SECOND)));
        let told_apart = compare(&sides, true);
        assert_ne!(says(&told_apart, Kind::KernelIdentity), Says::Proves, "{:?}", told_apart.verdict);
        born(&mut sides[0], Observation::denied("EACCES"));
        let refused = compare(&sides, true);
        assert_ne!(says(&refused, Kind::KernelIdentity), Says::Proves, "{:?}", refused.verdict);
    }
}

/// folklore: found by fuzzing `compare`. Where both captures ended at one moment, the one that was named first counted as
/// the earlier, and the verdict turned with the order of the arguments.
#[test]
fn captures_that_ended_at_one_moment_may_come_in_any_order() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    unmap(&mut sides);
    sides[1].evidence.ended = sides[0].evidence.ended;
    for begun in [clock(100 * SECOND + SECOND / 2), sides[0].evidence.begun] {
        sides[1].evidence.begun = begun;
        // Made during the first capture: whether it was there when that looked is not known.
        with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(100 * SECOND + SECOND * 7 / 10)));
        let forth = compare(&sides, false).verdict;
        sides.reverse();
        let back = compare(&sides, false).verdict;
        sides.reverse();
        assert_eq!((forth.sharing, back.sharing), (Answer::Undecided, Answer::Undecided), "{:?}", begun.boottime);
    }
}

#[test]
fn a_capture_that_ended_before_it_began_overlaps_nothing() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    let evidence = &mut sides[1].evidence;
    (evidence.begun, evidence.ended) = (evidence.ended, clock(100 * SECOND + SECOND / 2));
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided, "{:?}", comparison.verdict);
}

#[test]
fn two_inodes_at_different_times_refute_only_with_a_process_older_than_both() {
    for (at, says_then) in [(99, Says::Refutes), (100, Says::Silent), (150, Says::Silent)] {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        started(&mut sides[1], at);
        let comparison = compare(&sides, false);
        assert_eq!(says(&comparison, Kind::KernelIdentity), says_then, "{at}");
        let sharing = if says_then == Says::Refutes { Answer::Refuted } else { Answer::Undecided };
        assert_eq!(comparison.verdict.sharing, sharing);
        let moved = explained(&comparison).contains("a folder moved or a volume switched");
        assert_eq!(moved, says_then == Says::Silent, "{}", explained(&comparison));
        let gap = |fact: &Fact| match fact {
            Fact::KernelIdentity(Identity::Unknown(Unknown::MayBeMoved(_, gap))) => Some(gap.clone()),
            _ => None,
        };
        let expected = (says_then == Says::Silent).then_some(Gap::NoProcessThroughout(READER));
        assert_eq!(gap(fact(&comparison, Kind::KernelIdentity)), expected);
    }
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    unmap(&mut sides);
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Undecided);
}

#[test]
fn an_old_process_that_maps_another_inode_says_nothing_about_the_shm() {
    for change in 0..3 {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        let mapping = &mut seen(&mut sides[1].evidence.mappings).mappings[0];
        match change {
            0 => mapping.inode.inode = 79,
            1 => mapping.shared = false,
            _ => mapping.start_time = None,
        }
        assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Silent);
    }
}

/// One `-shm`, mounted or linked by itself, beside another database or `-wal` on each side.
fn one_shm_beside_two(which: usize) -> [Side; 2] {
    let mut sides = pair();
    let files = &mut sides[1].evidence.files;
    let other = Observation::seen(file(80));
    match which {
        0 => files.database = other,
        _ => files.wal = other,
    }
    sides
}

#[test]
fn one_shm_beside_two_databases_or_two_wals_is_no_sharing() {
    for (which, code) in [(0, "wal_index_shared_database_not"), (1, "wal_index_shared_wal_not")] {
        for simultaneous in [false, true] {
            let comparison = compare(&one_shm_beside_two(which), simultaneous);
            assert_eq!(comparison.verdict.sharing, Answer::Undecided);
            assert_eq!(comparison.verdict.subject, Subject::Paths);
            assert_eq!(items(&comparison, Kind::KernelIdentity), [(About::Both, Says::Supports)]);
            assert_eq!(codes(&comparison), [code]);
            assert!(explained(&comparison).contains("Then stop the processes"), "{}", explained(&comparison));
            assert!(!explained(&comparison).contains("nothing to do"));
        }
    }
}

#[test]
fn a_database_that_may_have_been_replaced_or_was_not_seen_leaves_one_shm_without_a_proof() {
    for change in 0..2 {
        let mut sides = one_shm_beside_two(0);
        match change {
            0 => started(&mut sides[1], 150),
            _ => sides[1].evidence.files.database = Observation::denied("EACCES"),
        }
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
        assert!(!codes(&comparison).contains(&"wal_index_shared_database_not"));
    }
}

#[test]
fn one_shm_with_no_wal_on_either_side_is_proven_unless_somebody_uses_it() {
    for (switch, sharing) in [(LockState::Free, Answer::Proven), (LockState::Shared, Answer::Undecided)] {
        let mut sides = pair();
        for side in &mut sides {
            side.evidence.files.wal = Observation::missing("ENOENT");
            side.evidence.locks = Observation::seen(locks(switch));
        }
        assert_eq!(compare(&sides, false).verdict.sharing, sharing);
    }
}

#[test]
fn a_shm_born_after_the_earlier_capture_refutes_nothing() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(150 * SECOND)));
    let comparison = compare(&sides, false);
    assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
    assert!(!items(&comparison, Kind::ProcessMappings).contains(&(About::Both, Says::Refutes)));
}

#[test]
fn a_birth_within_a_tick_of_the_look_refutes_nothing() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(100 * SECOND - 5_000_000)));
    assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Silent);
    with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(100 * SECOND - 50_000_000)));
    assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Refutes);
}

#[test]
fn a_wall_clock_that_was_set_between_captures_is_not_comparable() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    for clock in [&mut sides[1].evidence.begun, &mut sides[1].evidence.ended] {
        clock.realtime.seconds += 2;
    }
    assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Silent);
    assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Refutes);
}

#[test]
fn a_clock_offset_that_was_not_seen_is_not_comparable() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    sides[0].evidence.ended.boottime_offset = None;
    assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Silent);
}

#[test]
fn a_file_system_mounted_anew_refutes_nothing() {
    let mut sides = pair();
    with_shm(&mut sides[1], |shm| seen(&mut shm.maps_identity).device.minor = 9);
    assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Silent);
    assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Refutes);
}

#[test]
fn a_deleted_shm_neither_proves_nor_refutes_by_identity() {
    for inode in [SHM_INODE, 78] {
        let mut sides = pair();
        unmap(&mut sides);
        own_shm_file(&mut sides[1], inode);
        with_shm(&mut sides[1], |shm| shm.links = 0);
        let comparison = compare(&sides, true);
        assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
        // It was removed and the -wal stayed: a process that had it goes on with it.
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
        assert_eq!(codes(&comparison), ["shm_deleted"]);
    }
}

fn own_shm_file(side: &mut Side, inode: u64) {
    with_shm(side, |shm| *shm = file(inode));
}

/// Both on overlays; the second with another device.
fn two_overlays() -> [Side; 2] {
    let mut sides = pair();
    unmap(&mut sides);
    on(&mut sides, &named("overlay", 0x794c_7630));
    with_shm(&mut sides[1], |shm| {
        shm.device.minor = 9;
        seen(&mut shm.maps_identity).device.minor = 9;
    });
    sides
}

#[test]
fn two_overlays_refute_locks_and_leave_memory_open() {
    let mut sides = two_overlays();
    sides[1].evidence.host.mounts = Observation::seen(vec![mount(5, 6)]);
    let comparison = compare(&sides, true);
    assert_eq!(
        items(&comparison, Kind::KernelIdentity),
        [(About::Locks, Says::Refutes), (About::Memory, Says::Silent)]
    );
    assert_eq!(comparison.verdict.memory, Answer::Undecided);
    assert_eq!(comparison.verdict.locks, Answer::Refuted);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
}

#[test]
fn one_overlay_with_other_devices_around_a_copy_up_refutes_nothing() {
    let comparison = compare(&two_overlays(), true);
    assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
}

#[test]
fn two_files_of_one_overlay_refute_locks() {
    let mut sides = pair();
    unmap(&mut sides);
    own_shm_file(&mut sides[1], 78);
    on(&mut sides, &named("overlay", 0x794c_7630));
    assert_eq!(compare(&sides, true).verdict.locks, Answer::Refuted);
}

#[test]
fn an_overlay_against_its_own_upper_folder_refutes_locks_though_maps_prints_one_inode() {
    let mut sides = pair();
    on(&mut sides[..1], &named("overlay", 0x794c_7630));
    let comparison = compare(&sides, true);
    assert_eq!(comparison.verdict.locks, Answer::Refuted);
    assert_eq!(comparison.verdict.memory, Answer::Undecided);
}

#[test]
fn everything_equal_on_one_overlay_supports_only() {
    let mut sides = pair();
    on(&mut sides, &named("overlay", 0x794c_7630));
    assert_eq!(items(&compare(&sides, true), Kind::KernelIdentity), [(About::Both, Says::Supports)]);
}

/// What ties the `-shm` of both sides to one mounted file system.
fn tied_by(change: impl Fn(&mut [Side; 2])) -> Comparison {
    let mut sides = pair();
    for side in &mut sides {
        with_shm(side, |shm| shm.disk_sequence = Observation::missing("/sys is not mounted"));
    }
    started(&mut sides[1], 150);
    change(&mut sides);
    compare(&sides, false)
}

#[test]
fn a_clone_mounted_later_under_the_same_number_proves_nothing() {
    let nothing = tied_by(|_| {});
    assert_eq!(says(&nothing, Kind::KernelIdentity), Says::Supports);
    assert_eq!(nothing.verdict.sharing, Answer::Undecided);
    let not_one = |comparison: &Comparison| match fact(comparison, Kind::KernelIdentity) {
        Fact::KernelIdentity(Identity::Alike(_, NoProof::NotOneFileSystem(why))) => why.clone(),
        other => panic!("{other:?}"),
    };
    let NotOneFileSystem::NothingShowsIt { disk, mount } = not_one(&nothing) else { panic!("{nothing:?}") };
    assert_eq!(disk, Recorded("/sys is not mounted".to_owned()));
    assert!(mount.is_some());
    assert!(explained(&nothing).contains("clones of a disk") && explained(&nothing).contains("/sys is not mounted"));
    // The very evidence of a clone: another disk under the number.
    let other = tied_by(|sides| {
        for (side, sequence) in sides.iter_mut().zip([9, 10]) {
            with_shm(side, |shm| shm.disk_sequence = Observation::seen(sequence));
        }
    });
    assert_eq!(other.verdict.sharing, Answer::Undecided);
    assert_eq!(not_one(&other), NotOneFileSystem::OtherDisk([(WRITER, 9), (READER, 10)]));
    assert!(explained(&other).contains("another disk was attached under this device number"));
}

#[test]
fn one_mount_one_disk_one_process_or_one_moment_tie_two_captures_together() {
    let mount = |ids: [u64; 2]| {
        tied_by(|sides| {
            for (side, id) in sides.iter_mut().zip(ids) {
                with_shm(side, |shm| shm.unique_mount_id = Observation::seen(id));
            }
        })
    };
    assert_eq!(mount([500, 500]).verdict.sharing, Answer::Proven);
    assert_eq!(mount([500, 501]).verdict.sharing, Answer::Undecided);
    // A process of the later side that was there before the earlier capture.
    let process = |at| tied_by(|sides| started(&mut sides[1], at));
    assert_eq!(process(99).verdict.sharing, Answer::Proven);
    assert_eq!(process(101).verdict.sharing, Answer::Undecided);
    let moment = tied_by(|sides| sides[1].evidence.begun = clock(100 * SECOND + SECOND / 2));
    assert_eq!(moment.verdict.sharing, Answer::Proven);
}

#[test]
fn a_database_or_wal_that_was_replaced_under_its_wal_index_leaves_it_undecided() {
    let parts: [fn(&mut Side) -> &mut Observation<walscope::evidence::FileView>; 2] =
        [|side| &mut side.evidence.files.database, |side| &mut side.evidence.files.wal];
    for part in parts {
        let mut sides = pair();
        let replaced = file(79);
        *part(&mut sides[1]) = Observation::seen(walscope::evidence::FileView {
            birth_time: Observation::seen(time(150 * SECOND)),
            ..replaced
        });
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
        assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Supports);
        assert!(explained(&comparison).contains("was made anew between the captures"), "{}", explained(&comparison));
        // Short-lived writers make all of them anew.
        own_shm(&mut sides[1], 78);
        with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(150 * SECOND)));
        sides[1].evidence.files.wal = Observation::seen(walscope::evidence::FileView {
            birth_time: Observation::seen(time(150 * SECOND)),
            ..file(80)
        });
        assert_eq!(compare(&sides, false).verdict.decided_by, [Kind::DirectoryIdentity]);
    }
}
