//! What a proof from captures takes for granted, and the beacons that leave nothing to be taken for granted.

use super::*;
use walscope::evidence::Contact;

const BOTH: [Assumption; 2] = [Assumption::OneMachine, Assumption::OneDisk];

/// The first side held a beacon while the second was captured.
fn met(sides: &mut [Side]) {
    sides[0].evidence.contact = Observation::seen(Contact { held: Some(7), seen: Vec::new() });
    sides[1].evidence.contact = Observation::seen(Contact { held: None, seen: vec![9, 7] });
}

fn contact(comparison: &Comparison) -> &ContactFact {
    match fact(comparison, Kind::Contact) {
        Fact::Contact(fact) => fact,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_proof_from_captures_that_did_not_meet_says_what_it_assumes() {
    let comparison = compare(&pair(), false);
    assert_eq!(comparison.verdict.sharing, Answer::Proven);
    assert_eq!(comparison.verdict.assuming, BOTH);
    let told = explained(&comparison);
    assert!(told.contains("unless these captures come from two copies of one machine or disk"), "{told}");
    assert!(told.contains("snapshot --hold"), "{told}");
    assert!(told.contains("or compare both sides live"), "{told}");
    // One folder proves on the same terms.
    let mut sides = pair();
    sides[0].evidence.paths_unchanged = false;
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.decided_by, [Kind::DirectoryIdentity]);
    assert_eq!(comparison.verdict.assuming, BOTH);
}

#[test]
fn one_process_that_looked_at_both_sides_assumes_nothing() {
    for comparison in [compare(&pair(), true), compare_two(&pair(), &live())] {
        assert_eq!(comparison.verdict.sharing, Answer::Proven);
        assert!(comparison.verdict.assuming.is_empty());
        assert!(!explained(&comparison).contains("unless"), "{}", explained(&comparison));
        assert_eq!(contact(&comparison), &ContactFact::Silent(NoContact::Live));
    }
}

#[test]
fn nothing_that_is_not_proven_assumes_anything() {
    let mut sides = pair();
    own_shm(&mut sides[1], 78);
    let refuted = compare(&sides, false);
    assert_eq!((refuted.verdict.sharing, refuted.verdict.assuming.len()), (Answer::Refuted, 0));
    let mut sides = pair();
    on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
    let undecided = compare(&sides, false);
    assert_eq!((undecided.verdict.sharing, undecided.verdict.assuming.len()), (Answer::Undecided, 0));
}

/// Within one machine: one moment, one mount, and memory of the kernel exclude another disk. Nothing that a capture sees
/// alone excludes a copy of the machine, with its processes, clocks and mounts.
#[test]
fn what_excludes_another_disk_does_not_exclude_another_machine() {
    let changes: [fn(&mut [Side; 2]); 3] = [
        |sides| sides[1].evidence.begun = clock(100 * SECOND + SECOND / 2),
        |sides| {
            for side in sides {
                with_shm(side, |shm| shm.unique_mount_id = Observation::seen(500));
            }
        },
        |sides| on(sides, &named("tmpfs", 0x0102_1994)),
    ];
    for change in changes {
        let mut sides = pair();
        change(&mut sides);
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Proven);
        assert_eq!(comparison.verdict.assuming, [Assumption::OneMachine]);
        let told = explained(&comparison);
        assert!(told.contains("two copies of one machine."), "{told}");
    }
    // One process with one start, seen on both sides.
    let mut sides = pair();
    sides[1].evidence.mappings = sides[0].evidence.mappings.clone();
    sides[1].evidence.users = sides[0].evidence.users.clone();
    assert_eq!(compare(&sides, false).verdict.assuming, BOTH);
}

#[test]
fn captures_that_met_assume_nothing_and_prove_the_locks() {
    let mut sides = pair();
    met(&mut sides);
    let comparison = compare(&sides, false);
    let verdict = &comparison.verdict;
    assert_eq!((verdict.sharing, verdict.assuming.len()), (Answer::Proven, 0));
    assert_eq!(items(&comparison, Kind::Contact), [(About::Locks, Says::Proves)]);
    assert_eq!(verdict.decided_by, [Kind::KernelIdentity, Kind::Contact]);
    assert!(!explained(&comparison).contains("unless"), "{}", explained(&comparison));
    let seen = ContactFact::Seen { holder: WRITER, seeker: READER, nonce: 7, doubt: None };
    assert_eq!(contact(&comparison), &seen);
    sides.reverse();
    assert!(compare(&sides, false).verdict.assuming.is_empty());
}

#[test]
fn a_beacon_that_is_seen_where_locks_may_stop_nobody_supports_only() {
    let mut sides = pair();
    on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
    met(&mut sides);
    let comparison = compare(&sides, false);
    assert_eq!(items(&comparison, Kind::Contact), [(About::Locks, Says::Supports)]);
    // Another kernel, as far as is known: somebody may have copied the locks.
    let mut sides = pair();
    met(&mut sides);
    sides[1].evidence.host.boot_id = Observation::seen("another".into());
    let comparison = compare(&sides, false);
    assert_eq!(items(&comparison, Kind::Contact), [(About::Locks, Says::Supports)]);
    assert_eq!(comparison.verdict.locks, Answer::Undecided);
}

#[test]
fn without_a_meeting_contact_is_silent_and_says_why() {
    let held = |held, seen: &[u64]| Observation::seen(Contact { held, seen: seen.to_vec() });
    let missing = Observation::missing("did not look");
    let unseen =
        |side| NoContact::Unseen(Unseen { side, what: What::Contact, reason: Recorded("did not look".into()) });
    for (a, b, reason) in [
        (held(None, &[]), held(None, &[7]), NoContact::NotHeld),
        (held(Some(7), &[]), held(None, &[8]), NoContact::NotSeen(WRITER)),
        (held(None, &[8]), held(Some(7), &[]), NoContact::NotSeen(READER)),
        (held(Some(7), &[7]), held(None, &[]), NoContact::NotSeen(WRITER)),
        (missing.clone(), held(Some(7), &[]), unseen(WRITER)),
        (held(Some(7), &[]), missing, unseen(READER)),
    ] {
        let mut sides = pair();
        (sides[0].evidence.contact, sides[1].evidence.contact) = (a, b);
        let comparison = compare(&sides, false);
        assert_eq!(contact(&comparison), &ContactFact::Silent(reason));
        assert_eq!(items(&comparison, Kind::Contact), [(About::Locks, Says::Silent)]);
        assert_eq!(comparison.verdict.assuming, BOTH);
    }
}

/// Captures that met had one `-shm` open: content that went back was restored in place.
#[test]
fn captures_that_met_are_not_contradicted_by_content() {
    let mut sides = pair();
    met(&mut sides);
    sides[1].evidence.samples.iter_mut().for_each(|sample| sample.mx_frame = walscope::number::FrameNumber(8));
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Proven);
    assert_eq!(codes(&comparison), ["captures_diverged"]);
    assert_eq!(comparison.findings[0].severity, walscope::finding::Severity::Warning);
}

/// Without a number of the disk, without a mount and without a process that ties them, a meeting does.
#[test]
fn captures_that_met_are_of_one_mounted_file_system() {
    let mut sides = pair();
    for side in &mut sides {
        with_shm(side, |shm| shm.disk_sequence = Observation::missing("/sys is not mounted"));
    }
    started(&mut sides[1], 150);
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Undecided);
    met(&mut sides);
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Proven);
}

#[test]
fn more_than_two_sides_assume_what_the_fewest_pairs_assume_that_join_them() {
    let side = |label: &str, pid, at| side(label, pid, at);
    let mut sides = [side("writer", 11, 100), side("reader", 12, 200), side("third", 13, 300)];
    assert_eq!(compare(&sides, false).verdict.assuming, BOTH);
    met(&mut sides);
    assert_eq!(compare(&sides, false).verdict.assuming, BOTH);
    // The third meets one of them, and not the other.
    sides[2].evidence.contact = Observation::seen(Contact { held: None, seen: vec![7] });
    let comparison = compare(&sides, false);
    assert!(comparison.verdict.assuming.is_empty());
    assert_eq!(comparison.verdict.pairs[2].assuming, BOTH);
}
