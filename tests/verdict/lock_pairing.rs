//! What the processes that use the database hold.

use super::*;
use walscope::evidence::{
    Access, DatabaseLock, Observation, OtherDatabase, OtherIndex, Role, Root, SwitchLock, UnstableCause, User,
};
use walscope::finding::{Severity, users};
use walscope::format::db::DatabaseHead;
use walscope::wal::WalFacts;

/// The pair, with the reader's process changed.
fn with_reader(change: impl FnOnce(&mut User)) -> [Side; 2] {
    let mut sides = pair();
    change(&mut seen(&mut sides[1].evidence.users).users[0]);
    sides
}

fn lost(user: &mut User) {
    (user.database_lock, user.dead_man_switch) = (DatabaseLock::None, SwitchLock::NotHeld);
}

fn without_index(user: &mut User) {
    user.mapped = Access::No;
    lost(user);
}

fn other_index(user: &mut User, certain: bool) {
    (user.mapped, user.dead_man_switch) = (Access::No, SwitchLock::NotHeld);
    user.other_index = Some(OtherIndex { inode: None, path: Some("/run/sqlite-shm-4b-fe01".into()), certain });
}

/// Sharing, subject, and what the kind says.
fn judged(comparison: &Comparison) -> (Answer, Subject, Says) {
    let verdict = &comparison.verdict;
    (verdict.sharing, verdict.subject, says(comparison, Kind::LockPairing))
}

#[test]
fn processes_with_their_locks_let_mappings_be_proven_and_leave_nothing_to_do() {
    let comparison = compare(&pair(), false);
    assert_eq!(judged(&comparison), (Answer::Proven, Subject::Mappings, Says::Supports));
    assert_eq!(codes(&comparison), [""; 0]);
    assert!(explained(&comparison).contains("nothing to do"));
}

#[test]
fn a_process_without_its_locks_leaves_the_subject_at_paths_and_is_named() {
    let comparison = compare(&with_reader(lost), false);
    assert_eq!(judged(&comparison), (Answer::Proven, Subject::Paths, Says::Silent));
    assert_eq!(codes(&comparison), ["mapping_without_locks"]);
    assert_eq!(comparison.findings[0].severity, Severity::Warning);
    let explained = explained(&comparison);
    assert!(explained.contains("process 12 (sqlite3) on reader"), "{explained}");
    assert!(!explained.contains("nothing to do"), "{explained}");
}

#[test]
fn processes_of_two_jails_with_equal_paths_belong_to_the_side_whose_root_they_have() {
    let mut sides = pair();
    let own: Vec<User> = sides.iter().map(|side| side.evidence.users.value().unwrap().users[0].clone()).collect();
    for (at, side) in sides.iter_mut().enumerate() {
        side.evidence.host.namespaces.mount = Observation::seen("mnt:[9]".into());
        let of =
            |user: &User, root| User { mount_namespace: Observation::seen("mnt:[9]".into()), root, ..user.clone() };
        // Each side also sees the process of the other jail, under the path that it has there.
        seen(&mut side.evidence.users).users = vec![
            of(&own[at], Root::Same),
            User { names: vec!["/jail/data/t.db".into()], ..of(&own[1 - at], Root::Another) },
        ];
        for mapping in &mut seen(&mut side.evidence.mappings).mappings {
            mapping.mount_namespace = Observation::seen("mnt:[9]".into());
        }
    }
    assert_eq!(judged(&compare(&sides, false)), (Answer::Proven, Subject::Mappings, Says::Supports));
}

#[test]
fn a_forked_child_is_a_warning_for_two_sides_and_a_notice_for_one() {
    let sides = with_reader(|user| {
        lost(user);
        user.ancestor_holds = true;
    });
    let comparison = compare(&sides, false);
    assert_eq!(judged(&comparison), (Answer::Proven, Subject::Paths, Says::Silent));
    assert_eq!(comparison.findings[0].severity, Severity::Warning);
    let evidence = &sides[1].evidence;
    let alone = users::findings("reader", evidence, None, &users::all(evidence));
    assert_eq!(alone.iter().map(|finding| finding.code().name()).collect::<Vec<_>>(), ["mapping_without_locks"]);
    assert_eq!(alone[0].severity, Severity::Notice);
}

#[test]
fn a_process_without_this_wal_index_leaves_the_subject_at_paths_and_is_named() {
    for change in [without_index, |user: &mut User| {
        (user.dead_man_switch, user.mapped) = (SwitchLock::NotHeld, Access::NotKnown);
    }] {
        let comparison = compare(&with_reader(change), false);
        assert_eq!(judged(&comparison), (Answer::Proven, Subject::Paths, Says::Silent));
        assert_eq!(codes(&comparison), ["used_without_wal_index"]);
        assert!(explained(&comparison).contains("process 12"), "{}", explained(&comparison));
    }
}

#[test]
fn an_idle_process_is_named_and_takes_nothing_away_and_a_bystander_is_left_out() {
    let mut sides = pair();
    let mut idle = User { wal: Access::No, ..user(14, "mnt:[12]") };
    without_index(&mut idle);
    seen(&mut sides[1].evidence.users).users.push(idle.clone());
    assert_eq!(idle.role(), Role::Idle);
    let comparison = compare(&sides, false);
    assert_eq!(judged(&comparison), (Answer::Proven, Subject::Mappings, Says::Supports));
    let told = explained(&comparison);
    assert!(told.contains("process 14") && told.contains("immutable=1"), "{told}");
    assert!(!told.contains("nothing to do"), "{told}");
    seen(&mut sides[1].evidence.users).users[1].database = Access::No;
    let told = explained(&compare(&sides, false));
    assert!(!told.contains("process 14") && told.contains("nothing to do"), "{told}");
}

#[test]
fn what_did_not_stay_so_accuses_nobody() {
    let comparison = compare(
        &with_reader(|user| {
            lost(user);
            user.settled = false;
        }),
        false,
    );
    assert_eq!((comparison.verdict.sharing, comparison.verdict.subject), (Answer::Proven, Subject::Mappings));
    assert_eq!(codes(&comparison), [""; 0]);
}

#[test]
fn a_database_that_is_held_exclusively_is_undecided() {
    for switch in [SwitchLock::Held, SwitchLock::NotHeld] {
        let sides = with_reader(|user| (user.database_lock, user.dead_man_switch) = (DatabaseLock::Exclusive, switch));
        let comparison = compare(&sides, false);
        assert_eq!(judged(&comparison), (Answer::Undecided, Subject::Paths, Says::Silent));
        assert_eq!((comparison.verdict.memory, comparison.verdict.locks), (Answer::Undecided, Answer::Undecided));
        assert_eq!(codes(&comparison), ["database_held_exclusively"]);
        assert!(explained(&comparison).contains("holds the whole database exclusively"), "{}", explained(&comparison));
    }
}

#[test]
fn another_wal_index_refutes_if_it_is_known_and_else_forbids_a_proof() {
    let comparison = compare(&with_reader(|user| other_index(user, true)), false);
    assert_eq!(judged(&comparison), (Answer::Refuted, Subject::Mappings, Says::Refutes));
    assert_eq!(comparison.verdict.decided_by, [Kind::LockPairing]);
    assert!(explained(&comparison).contains("/run/sqlite-shm-4b-fe01"), "{}", explained(&comparison));
    let comparison = compare(&with_reader(|user| other_index(user, false)), false);
    assert_eq!(judged(&comparison), (Answer::Undecided, Subject::Paths, Says::Silent));
    assert_eq!(codes(&comparison), ["used_without_wal_index"]);
    assert!(explained(&comparison).contains("process 12"), "{}", explained(&comparison));
}

#[test]
fn who_uses_the_wal_index_of_its_own_side_is_not_accused_by_another_side() {
    // The database of the third side has another name: from there, the process of each other side uses another wal-index.
    let of = |certain: bool, own: Role| {
        let mut sides: Vec<Side> = pair().into();
        sides.push(side("alias", 13, 300));
        let mut seen_from_there: Vec<User> = sides[..2].iter().map(|side| user_of(side).clone()).collect();
        seen_from_there.iter_mut().for_each(|user| other_index(user, certain));
        seen(&mut sides[2].evidence.users).users.extend(seen_from_there);
        if own != Role::Ordinary {
            sides[..2].iter_mut().for_each(|side| without_index(&mut seen(&mut side.evidence.users).users[0]));
        }
        assert!(sides[..2].iter().all(|side| user_of(side).role() == own));
        compare(&sides, true)
    };
    let comparison = of(true, Role::Ordinary);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert_eq!(codes(&comparison), [""; 0]);
    assert_eq!(codes(&of(false, Role::Ordinary)), [""; 0]);
    for certain in [true, false] {
        assert_eq!(codes(&of(certain, Role::WithoutIndex)), ["used_without_wal_index"; 2]);
    }
    // A process of no side is at home wherever it holds its locks.
    let mut sides = pair();
    let mut far = user(14, "mnt:[14]");
    seen(&mut sides[1].evidence.users).users.push(far.clone());
    other_index(&mut far, true);
    seen(&mut sides[0].evidence.users).users.push(far);
    assert_eq!(codes(&compare(&sides, true)), [""; 0]);
}

fn user_of(side: &Side) -> &User {
    &side.evidence.users.value().unwrap().users[0]
}

#[test]
fn a_worker_on_replaced_files_forbids_a_proof() {
    let comparison = compare(&with_reader(|user| user.on_replaced_files = true), false);
    assert_eq!(judged(&comparison), (Answer::Undecided, Subject::Paths, Says::Silent));
    assert_eq!(codes(&comparison), ["worker_on_replaced_files"]);
}

/// A database header with these bytes 18 and 19.
fn head(version: u8) -> Option<DatabaseHead> {
    let mut bytes = [0; 100];
    bytes[..16].copy_from_slice(b"SQLite format 3\0");
    bytes[16..20].copy_from_slice(&[16, 0, version, version]);
    Some(walscope::format::db::parse_head(&bytes).unwrap())
}

#[test]
fn in_rollback_mode_there_is_no_wal_index_and_nobody_is_accused() {
    let mut sides = with_reader(without_index);
    for side in &mut sides {
        (side.evidence.files.wal, side.evidence.files.shm) =
            (Observation::missing("ENOENT"), Observation::missing("ENOENT"));
        side.database = head(1);
    }
    let comparison = compare(&sides, false);
    assert_eq!(judged(&comparison), (Answer::Undecided, Subject::Paths, Says::Silent));
    assert_eq!(codes(&comparison), [""; 0]);
    assert!(explained(&comparison).contains("rollback journal"), "{}", explained(&comparison));
    for side in &mut sides {
        side.database = head(2);
    }
    assert_eq!(codes(&compare(&sides, false)), ["used_without_wal_index"]);
}

#[test]
fn an_shm_that_was_made_anew_under_a_process_leaves_it_open() {
    let mut sides = pair();
    with_shm(&mut sides[1], |shm| {
        *shm = walscope::evidence::FileView { birth_time: Observation::seen(time(150 * SECOND)), ..file(78) }
    });
    seen(&mut sides[1].evidence.mappings).mappings[0].inode.inode = 78;
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    assert!(explained(&comparison).contains("process 11"), "{}", explained(&comparison));
    // The -wal made anew with it, as by a last close: the folder would prove.
    sides[1].evidence.files.wal = Observation::seen(walscope::evidence::FileView {
        birth_time: Observation::seen(time(150 * SECOND)),
        ..file(79)
    });
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    assert!(explained(&comparison).contains("process 11"), "{}", explained(&comparison));
    // One walscope that looks at both sees all close, and open again.
    let live = LivePair { at: (0, 1), live: walscope::evidence::live::Live::untried("EPERM") };
    assert_eq!(compare_live(&sides, false, &[live]).verdict.sharing, Answer::Proven);
    // Nobody used the first one, or its process uses the second.
    let again = seen(&mut sides[0].evidence.users).users.remove(0);
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Proven);
    seen(&mut sides[0].evidence.users).users.push(again.clone());
    seen(&mut sides[1].evidence.users).users.push(again);
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Proven);
}

#[test]
fn a_bundle_that_does_not_say_what_processes_hold_keeps_what_it_was_worth() {
    let mut sides = pair();
    for side in &mut sides {
        side.evidence.users = Observation::missing("the walscope that made this capture did not look");
    }
    let comparison = compare(&sides, false);
    assert_eq!(judged(&comparison), (Answer::Proven, Subject::Mappings, Says::Silent));
    let told = explained(&comparison);
    assert!(told.contains("if each of them holds its locks, which was not looked at"), "{told}");
    // One side that looked says what it saw.
    sides[1] = with_reader(lost)[1].clone();
    assert_eq!(codes(&compare(&sides, false)), ["mapping_without_locks"]);
}

#[test]
fn a_process_counts_for_the_side_under_whose_path_it_has_the_files() {
    let mut sides = pair();
    let namespace = || Observation::seen("mnt:[11]".to_owned());
    for side in &mut sides {
        side.evidence.host.namespaces.mount = namespace();
        seen(&mut side.evidence.mappings).mappings =
            vec![mapping(11, "mnt:[11]", SHM_INODE), mapping(12, "mnt:[11]", SHM_INODE)];
        seen(&mut side.evidence.users).users = vec![user(11, "mnt:[11]"), user(12, "mnt:[11]")];
    }
    // Both under one name, and the second side has another.
    sides[1].evidence.files.database_path = "/again/t.db".into();
    let comparison = compare(&sides, true);
    assert_eq!(judged(&comparison), (Answer::Proven, Subject::Paths, Says::Silent));
    assert!(explained(&comparison).contains("no process of reader was seen"), "{}", explained(&comparison));
    for side in &mut sides {
        seen(&mut side.evidence.mappings).mappings[1].path = "/again/t.db-shm".into();
        seen(&mut side.evidence.users).users[1].names = vec!["/again/t.db".into()];
    }
    assert_eq!(judged(&compare(&sides, true)), (Answer::Proven, Subject::Mappings, Says::Supports));
    // The process is named once, on its side.
    for side in &mut sides {
        lost(&mut seen(&mut side.evidence.users).users[1]);
    }
    let comparison = compare(&sides, true);
    assert_eq!(codes(&comparison), ["mapping_without_locks"]);
    assert!(explained(&comparison).contains("process 12 (sqlite3) on reader"), "{}", explained(&comparison));
}

#[test]
fn who_uses_the_wal_index_with_another_database_forbids_a_proof_and_has_lost_no_locks() {
    let renamed = |user: &mut User| {
        (user.database, user.database_lock) = (Access::No, DatabaseLock::None);
        user.other_database = Some(OtherDatabase { inode: None, path: Some("/data/old.db".into()) });
    };
    for live in [false, true] {
        let comparison = compare(&with_reader(renamed), live);
        assert_eq!(judged(&comparison), (Answer::Undecided, Subject::Paths, Says::Silent));
        assert_eq!(codes(&comparison), ["wal_index_shared_database_not"]);
        let told = explained(&comparison);
        assert!(told.contains("process 12") && told.contains("/data/old.db"), "{told}");
    }
    // Named once, also if its mapping says so.
    let mut sides = with_reader(renamed);
    seen(&mut sides[1].evidence.mappings).mappings[0].database_open = walscope::evidence::FileOpen::NotOpen;
    assert_eq!(codes(&compare(&sides, false)), ["wal_index_shared_database_not"]);
}

#[test]
fn several_libraries_leave_the_subject_at_paths_and_are_a_warning() {
    let comparison = compare(&with_reader(|user| user.shm_opened = 2), false);
    assert_eq!(judged(&comparison), (Answer::Proven, Subject::Paths, Says::Silent));
    assert_eq!(codes(&comparison), ["several_sqlite_libraries"]);
    assert_eq!(comparison.findings[0].severity, Severity::Warning);
}

#[test]
fn a_stopped_process_is_named_and_not_accused() {
    let comparison = compare(
        &with_reader(|user| {
            without_index(user);
            user.database_lock = DatabaseLock::Shared;
            user.stopped = true;
        }),
        false,
    );
    assert_eq!(judged(&comparison), (Answer::Proven, Subject::Paths, Says::Silent));
    assert_eq!(codes(&comparison), [""; 0]);
    let told = explained(&comparison);
    assert!(told.contains("process 12 (sqlite3) on reader is stopped") && !told.contains("nothing to do"), "{told}");
}

#[test]
fn an_exclusive_lock_of_somebody_who_is_not_visible_leaves_it_open() {
    let mut sides = pair();
    seen(&mut sides[1].evidence.users).exclusive_unseen = true;
    let comparison = compare(&sides, false);
    assert_eq!(judged(&comparison), (Answer::Undecided, Subject::Paths, Says::Silent));
    assert_eq!(codes(&comparison), ["database_held_exclusively"]);
    assert!(explained(&comparison).contains("omebody who is not visible"), "{}", explained(&comparison));
}

/// What one process does is no reason to overlook that nobody else can open the database.
#[test]
fn an_exclusive_lock_counts_beside_any_other_reason() {
    for change in 0..3 {
        let mut sides = with_reader(|user| match change {
            0 => (user.database, user.database_lock) = (Access::No, DatabaseLock::None),
            1 => user.on_replaced_files = true,
            _ => other_index(user, false),
        });
        assert_eq!(compare(&sides, true).verdict.memory, Answer::Proven, "{change}");
        seen(&mut sides[1].evidence.users).exclusive_unseen = true;
        let comparison = compare(&sides, true);
        let verdict = &comparison.verdict;
        assert_eq!((verdict.memory, verdict.locks), (Answer::Undecided, Answer::Undecided), "{change}");
        assert!(explained(&comparison).contains("omebody who is not visible"), "{}", explained(&comparison));
        // A probe knows the processes of this side alone.
        let probed = walscope::compare::probe(walscope::compare::Met::SameIdentity(&sides[1]), &live());
        assert_eq!(probed.sharing, Answer::Undecided, "{change}");
    }
}

#[test]
fn processes_that_all_keep_one_deleted_wal_index_share_it_and_leave_the_paths_open() {
    let deleted = |sides: &mut [Side; 2]| {
        for (side, pid) in sides.iter_mut().zip([11, 12]) {
            side.evidence.locks = Observation::seen(locks(LockState::Free));
            let namespace = format!("mnt:[{pid}]");
            seen(&mut side.evidence.mappings).mappings = vec![cut_off(pid, &namespace, 70)];
            let inode = Some(cut_off(pid, &namespace, 70).inode);
            let user = &mut seen(&mut side.evidence.users).users[0];
            other_index(user, true);
            user.other_index = Some(OtherIndex { inode, path: Some("/data/t.db-shm".into()), certain: true });
        }
    };
    let mut sides = pair();
    deleted(&mut sides);
    for missing in [false, true] {
        if missing {
            for side in &mut sides {
                side.evidence.files.shm = Observation::missing("ENOENT");
            }
        }
        for live in [false, true] {
            let comparison = compare(&sides, live);
            assert_eq!(judged(&comparison), (Answer::Undecided, Subject::Paths, Says::Silent));
            assert_eq!(codes(&comparison), ["split_brain", "split_brain"]);
            let told = explained(&comparison);
            assert!(
                told.contains("share its memory and its locks") && told.contains("no path of these sides leads to it"),
                "{told}"
            );
        }
    }
    // One more process, on what the path leads to, or on a third one.
    for inode in [SHM_INODE, 71] {
        let mut sides = pair();
        deleted(&mut sides);
        let third = if inode == SHM_INODE { mapping(13, "mnt:[11]", inode) } else { cut_off(13, "mnt:[11]", inode) };
        seen(&mut sides[0].evidence.mappings).mappings.push(third);
        assert_eq!(compare(&sides, true).verdict.sharing, Answer::Refuted, "{inode}");
    }
}

#[test]
fn what_was_not_seen_of_processes_is_said() {
    let mut sides = pair();
    let view = seen(&mut sides[1].evidence.users);
    view.users.clear();
    (view.processes_denied, view.denied_reason) = (3, Some("7/fd: EACCES".into()));
    (view.passing, view.not_listed) = (4, 5);
    let document = document(&sides, &compare(&sides, false));
    let mut items = document.verdict.because.iter();
    let item = items.find(|item| item.kind == Kind::LockPairing.into()).unwrap();
    for words in ["3 could not be looked at (7/fd: EACCES)", "4 came and went", "5 more are not listed"] {
        assert!(item.detail.contains(words), "{words}: {}", item.detail);
    }
}

#[test]
fn a_wal_index_in_use_without_its_wal_is_shared_and_proves_nothing_of_who_opens_next() {
    let cut = |mx_frame: u32, switch: LockState, frames: u64| {
        let mut sides = pair();
        for side in &mut sides {
            side.shm = Some(index(mx_frame, [7, 8]));
            (side.wal, side.wal_captured) = (wal(frames, [7, 8], 0), true);
            side.evidence.locks = Observation::seen(locks(switch));
        }
        sides
    };
    let said = |sides: &[Side; 2]| {
        let verdict = compare(sides, true).verdict;
        (verdict.sharing, verdict.memory, verdict.locks)
    };
    let without = (Answer::Undecided, Answer::Proven, Answer::Proven);
    let whole = (Answer::Proven, Answer::Proven, Answer::Proven);
    assert_eq!(said(&cut(3, LockState::Shared, 3)), whole);
    assert_eq!(said(&cut(5, LockState::Shared, 3)), without);
    assert_eq!(said(&cut(5, LockState::Free, 3)), whole, "a leftover -shm counts for nobody");
    let mut moving = cut(5, LockState::Shared, 3);
    moving.iter_mut().for_each(|side| side.stable = false);
    assert_eq!(said(&moving), whole, "the -shm and the -wal were not seen at one moment");
    for (cause, answer) in [(UnstableCause::Other, whole), (UnstableCause::WalCutOff, without)] {
        moving.iter_mut().for_each(|side| side.unstable = Some(cause));
        assert_eq!(said(&moving), answer, "{cause:?}");
    }
    let comparison = compare(&moving, true);
    assert_eq!(codes(&comparison), [""; 0], "another capture would show the same");
    let told = explained(&comparison);
    assert!(told.contains("frames that the -wal there does not have") && !told.contains("capture again"), "{told}");
    let mut removed = moving;
    removed.iter_mut().for_each(|side| side.evidence.files.wal = Observation::missing("ENOENT"));
    assert_eq!(said(&removed), without);
    // It need not count anything.
    for (switch, answer, words) in [
        (LockState::Shared, without, "it is in use, and there is no -wal beside it"),
        (LockState::Unknown, without, "there is no -wal beside it, and whether it is in use was not seen"),
        (LockState::Free, whole, ""),
    ] {
        let mut removed = cut(0, switch, 0);
        for side in &mut removed {
            (side.wal, side.evidence.files.wal) = (WalFacts::absent(), Observation::missing("ENOENT"));
        }
        assert_eq!(said(&removed), answer, "{switch:?}");
        let told = explained(&compare(&removed, true));
        assert!(told.contains(words) && !told.contains("counts frames"), "{told}");
    }
}

#[test]
fn a_wal_of_another_generation_or_of_an_older_state_is_not_that_of_the_wal_index_in_use() {
    let with = |salts: [u32; 2], frames: u64| {
        let mut sides = pair();
        for side in &mut sides {
            side.shm = Some(index(5, [7, 8]));
            (side.wal, side.wal_captured) = (wal(frames, salts, 0), true);
            side.evidence.locks = Observation::seen(locks(LockState::Shared));
        }
        sides
    };
    let sharing = |sides: &[Side; 2]| compare(sides, true).verdict.sharing;
    // Moving files may be of two generations. At each look of a capture they cannot be.
    let mut other = with([6, 9], 8);
    other.iter_mut().for_each(|side| (side.stable, side.unstable) = (false, Some(UnstableCause::Other)));
    assert_eq!(sharing(&other), Answer::Proven);
    other.iter_mut().for_each(|side| side.unstable = Some(UnstableCause::WalCutOff));
    assert_eq!(sharing(&other), Answer::Undecided);
    let lineage = compare(&other, true).lineage;
    assert!(format!("{lineage:?}").contains("FramesLost"), "{lineage:?}");
    // As long as it has to be, with a hole after the third frame.
    let mut older = with([7, 8], 3);
    older.iter_mut().for_each(|side| side.wal.file_size = 1 << 20);
    assert_eq!(sharing(&older), Answer::Undecided);
    older.iter_mut().for_each(|side| side.stable = false);
    assert_eq!(sharing(&older), Answer::Proven, "the frames may have come after the -wal was read");
}
