//! Where there is no `-shm` to compare.

use super::*;
use walscope::evidence::MountAccess;

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
fn two_directories_refute_where_the_shm_is_missing_but_not_in_rollback_mode() {
    for (mode, sharing) in [(2, Answer::Refuted), (1, Answer::Undecided)] {
        let mut sides = at_rest();
        seen(&mut sides[1].evidence.files.directory).inode = 3;
        sides.iter_mut().for_each(|side| {
            side.database = Some(database(mode, 5));
            seen(&mut side.evidence.users).users.clear();
        });
        let comparison = compare(&sides, true);
        assert_eq!(comparison.verdict.sharing, sharing, "{}", explained(&comparison));
        assert_eq!(explained(&comparison).contains("rollback journal"), mode == 1, "{}", explained(&comparison));
    }
}

/// A copy that nobody has opened, beside the database that it was copied from. A -shm that is a mount point can be the one that
/// was in the other folder before.
#[test]
fn two_directories_refute_where_one_side_has_no_shm_and_that_of_the_other_is_no_mount_point() {
    for (mounted, sharing) in [(false, Answer::Refuted), (true, Answer::Undecided)] {
        let mut sides = pair();
        let copy = at_rest()[1].clone();
        sides[1] = copy;
        seen(&mut sides[1].evidence.files.directory).inode = 3;
        seen(&mut sides[1].evidence.users).users.clear();
        if mounted {
            with_shm(&mut sides[0], |shm| shm.mount_id = Observation::seen(999));
        }
        let comparison = compare(&sides, true);
        assert_eq!(comparison.verdict.sharing, sharing, "{}", explained(&comparison));
        let decided: &[Kind] = if mounted { &[] } else { &[Kind::DirectoryIdentity] };
        assert_eq!(comparison.verdict.decided_by, decided);
    }
}

/// The -wal of a side, made anew with the -shm.
fn wal_made_anew(side: &mut Side) {
    let made = walscope::evidence::FileView { birth_time: Observation::seen(time(150 * SECOND)), ..file(79) };
    side.evidence.files.wal = Observation::seen(made);
}

/// SQLite's last close deletes both, or neither.
#[test]
fn a_shm_removed_from_beside_its_wal_decides_nothing() {
    // Made anew, missing on the later side, deleted while a side was looked at, and there again where it was missing.
    let removed: [fn(&mut [Side; 2]); 4] = [
        |sides| {
            own_shm(&mut sides[1], 78);
            with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(150 * SECOND)));
        },
        |sides| sides[1].evidence.files.shm = Observation::missing("ENOENT"),
        |sides| with_shm(&mut sides[1], |shm| shm.links = 0),
        |sides| sides[0].evidence.files.shm = Observation::missing("ENOENT"),
    ];
    for (which, remove) in removed.into_iter().enumerate() {
        let mut sides = pair();
        remove(&mut sides);
        unmap(&mut sides);
        sides.iter_mut().for_each(|side| seen(&mut side.evidence.users).users.clear());
        for simultaneous in [false, true] {
            let comparison = compare(&sides, simultaneous && which != 0);
            let DirectoryFact::Silent(NotReached::RemovedAlone) = directory(&comparison) else {
                panic!("{which}: {:?}", directory(&comparison))
            };
            assert_eq!(comparison.verdict.sharing, Answer::Undecided, "{which}");
            let explained = explained(&comparison);
            assert!(explained.contains("removed while the -wal stayed"), "{explained}");
        }
    }
    // Both gone, or both made anew, is what SQLite does.
    let mut sides = pair();
    sides[1].evidence.files.shm = Observation::missing("ENOENT");
    sides[1].evidence.files.wal = Observation::missing("ENOENT");
    sides.iter_mut().for_each(|side| seen(&mut side.evidence.users).users.clear());
    assert_eq!(compare(&sides, false).verdict.decided_by, [Kind::DirectoryIdentity]);
}

fn directory(comparison: &Comparison) -> &DirectoryFact {
    match fact(comparison, Kind::DirectoryIdentity) {
        Fact::DirectoryIdentity(fact) => fact,
        other => panic!("{other:?}"),
    }
}

/// One folder is not enough where nobody could make or use a wal-index in it.
#[test]
fn one_directory_proves_only_what_both_sides_can_reach() {
    type Change = fn(&mut Side);
    let cases: [(Change, NotReached); 7] = [
        (|side| side.database = Some(database(1, 5)), NotReached::NotWal(READER)),
        (|side| side.database = Some(walscope::format::db::parse_head(&[]).unwrap()), NotReached::NotWal(READER)),
        (|side| seen(&mut side.evidence.locks).database.state = LockState::Exclusive, NotReached::Exclusive(READER)),
        (
            |side| seen(&mut side.evidence.files.directory).mount_access = Observation::seen(MountAccess::ReadOnly),
            NotReached::ReadOnly(READER),
        ),
        (
            |side| {
                (side.evidence.host.uid, side.evidence.host.gid) = (Some(1000), Some(1000));
                seen(&mut side.evidence.files.directory).mode = 0o40_755;
            },
            NotReached::FolderClosed(READER, 1000),
        ),
        (
            |side| side.database = None,
            NotReached::Unseen(Unseen {
                side: READER,
                what: What::JournalMode,
                reason: Recorded("the header of the database was not read".into()),
            }),
        ),
        (
            |side| side.evidence.locks = Observation::denied("EACCES"),
            NotReached::Unseen(Unseen { side: READER, what: What::DatabaseLock, reason: Recorded("EACCES".into()) }),
        ),
    ];
    for (change, reason) in cases {
        for simultaneous in [false, true] {
            let mut sides = at_rest();
            change(&mut sides[1]);
            let comparison = compare(&sides, simultaneous);
            assert_eq!(directory(&comparison), &DirectoryFact::Silent(reason.clone()));
            assert_eq!(comparison.verdict.sharing, Answer::Undecided, "{reason:?}");
        }
    }
    // An earlier walscope did not look at the mount.
    let mut sides = at_rest();
    seen(&mut sides[1].evidence.files.directory).mount_access = Observation::missing("did not look");
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Proven);
}

#[test]
fn a_read_only_side_needs_somebody_who_keeps_the_shm_alive() {
    let read_only = |switch| {
        let mut sides = pair();
        let [writer, reader] = &mut sides;
        with_shm(reader, |shm| shm.mount_access = Observation::seen(MountAccess::ReadOnly));
        for side in [&mut *writer, &mut *reader] {
            seen(&mut side.evidence.users).users.clear();
            seen(&mut side.evidence.mappings).mappings.clear();
            seen(&mut side.evidence.locks).shm.dead_man_switch.state = switch;
        }
        sides
    };
    for (switch, expected) in [
        (LockState::Shared, Answer::Proven),
        (LockState::Free, Answer::Undecided),
        (LockState::Unknown, Answer::Undecided),
    ] {
        for simultaneous in [false, true] {
            let comparison = compare(&read_only(switch), simultaneous);
            let verdict = &comparison.verdict;
            assert_eq!([verdict.sharing, verdict.memory, verdict.locks], [expected; 3], "{switch:?}");
            let held = (expected == Answer::Undecided).then_some(HeldBack::ReadOnly(READER));
            assert_eq!(verdict.pairs[0].held_back, held);
        }
    }
    // A -shm whose mode keeps the user out, as captured by that user.
    let mut sides = read_only(LockState::Free);
    with_shm(&mut sides[1], |shm| shm.mount_access = Observation::seen(MountAccess::ReadWrite));
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Proven);
    (sides[1].evidence.host.uid, sides[1].evidence.host.gid) = (Some(1000), Some(1000));
    assert_eq!(compare(&sides, false).verdict.pairs[0].held_back, Some(HeldBack::ReadOnly(READER)));
    // What was seen of the switch before the read-only side was looked at does not count; what was seen later does.
    let mut sides = read_only(LockState::Free);
    seen(&mut sides[0].evidence.locks).shm.dead_man_switch.state = LockState::Shared;
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Undecided);
    assert_eq!(compare(&sides, true).verdict.sharing, Answer::Proven);
    let mut sides = read_only(LockState::Shared);
    seen(&mut sides[1].evidence.files.shm).mount_access = Observation::missing("did not look");
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Proven);
}

/// Where nobody looked at the processes, only the lock shows.
#[test]
fn a_database_held_exclusively_by_nobody_that_was_seen_is_undecided() {
    let mut sides = pair();
    sides.iter_mut().for_each(|side| side.evidence.users = Observation::missing("did not look"));
    seen(&mut sides[0].evidence.locks).database.state = LockState::Exclusive;
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.pairs[0].held_back, Some(HeldBack::Exclusive(WRITER, Vec::new())));
    assert!(explained(&comparison).contains("Somebody who is not visible"), "{}", explained(&comparison));
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
    wal_made_anew(&mut sides[1]);
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

/// A meeting shows that the file is one. Whether this side can use it is another question.
#[test]
fn a_probe_of_a_side_that_can_only_read_the_shm_needs_somebody_who_keeps_it_alive() {
    for (switch, expected) in [(LockState::Shared, Answer::Proven), (LockState::Free, Answer::Undecided)] {
        let [_, mut here] = pair();
        with_shm(&mut here, |shm| shm.mount_access = Observation::seen(MountAccess::ReadOnly));
        seen(&mut here.evidence.locks).shm.dead_man_switch.state = switch;
        let verdict = probe(Met::SameIdentity(&here), &live());
        assert_eq!(verdict.sharing, expected, "{switch:?}");
        let told = walscope::say::verdict::explain_probe(&verdict, false);
        assert_eq!(told.contains("can only be read"), expected == Answer::Undecided, "{told}");
    }
}
