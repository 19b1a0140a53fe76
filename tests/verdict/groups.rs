//! More than two sides.

use super::*;

fn three() -> Vec<Side> {
    let mut sides: Vec<Side> = pair().into();
    sides.push(side("third", 13, 300));
    sides
}

#[test]
fn three_proven_sides_are_one_group() {
    let comparison = compare(&three(), false);
    assert_eq!(comparison.verdict.sharing, Answer::Proven);
    assert_eq!(comparison.verdict.subject, Subject::Mappings);
    assert_eq!(comparison.verdict.groups, [[WRITER, READER, THIRD]]);
    assert_eq!(comparison.lineage.len(), 2);
    let document = document(&three(), &comparison);
    assert!(document.verdict.because[0].detail.starts_with("writer / reader: "));
    assert_eq!(document.verdict.groups, [["writer", "reader", "third"]]);
}

#[test]
fn one_refuted_pair_refutes_all() {
    let mut sides = three();
    own_shm(&mut sides[2], 78);
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert_eq!(comparison.verdict.groups, [vec![WRITER, READER], vec![THIRD]]);
    assert!(comparison.verdict.undecided.is_empty());
}

#[test]
fn a_refuted_pair_inside_a_group_refutes() {
    let mut sides = three();
    // The middle one, where nobody is at work, proves with each; the outer two have two inodes at one time.
    sides[1].evidence.files.shm = Observation::missing("ENOENT");
    sides[1].evidence.files.wal = Observation::missing("ENOENT");
    own_shm(&mut sides[2], 78);
    for side in &mut sides {
        seen(&mut side.evidence.users).users.clear();
    }
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.pairs.iter().filter(|pair| pair.sharing == Answer::Proven).count(), 2);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert!(comparison.verdict.groups.is_empty(), "{:?}", comparison.verdict.groups);
    assert_eq!(comparison.verdict.undecided, [WRITER, READER, THIRD]);
}

#[test]
fn a_pair_that_contradicts_itself_leaves_a_chain_of_proofs_undecided() {
    let mut sides = three();
    // Apart in time each proves with the middle one, but the outer two contradict each other.
    sides[0].evidence.samples = vec![sample(100, 9)];
    sides[1].evidence.samples.clear();
    sides[2].evidence.samples = vec![sample(300, 8)];
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.pairs.iter().filter(|pair| pair.sharing == Answer::Proven).count(), 2);
    let verdict = &comparison.verdict;
    assert_eq!([verdict.sharing, verdict.memory, verdict.locks], [Answer::Undecided; 3]);
    assert!(verdict.groups.is_empty(), "{:?}", verdict.groups);
    assert_eq!(verdict.undecided, [WRITER, READER, THIRD]);
    assert_eq!(codes(&comparison), ["captures_diverged"]);
}

#[test]
fn an_undecided_pair_is_proven_through_a_third_side() {
    let mut sides = three();
    // The middle capture found nobody at work; the last found a -shm of unknown age.
    sides[1].evidence.files.shm = Observation::missing("ENOENT");
    sides[1].evidence.files.wal = Observation::missing("ENOENT");
    seen(&mut sides[0].evidence.users).users.clear();
    own_shm(&mut sides[2], 78);
    with_shm(&mut sides[2], |shm| shm.birth_time = Observation::unsupported("no btime"));
    let outer = [sides[0].clone(), sides[2].clone()];
    assert_eq!(compare(&outer, false).verdict.sharing, Answer::Undecided);
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Proven);
    assert_eq!(comparison.verdict.decided_by, [Kind::DirectoryIdentity]);
}

#[test]
fn a_side_without_a_proven_pair_leaves_all_undecided() {
    let mut sides = three();
    sides[2].evidence.host.boot_id = Observation::denied("EACCES");
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    assert_eq!(comparison.verdict.groups, [[WRITER, READER]]);
    assert_eq!(comparison.verdict.undecided, [THIRD]);
}

#[test]
fn a_side_refuted_by_one_and_undecided_with_another_is_in_no_group() {
    let mut sides = three();
    own_shm(&mut sides[2], 78);
    sides[1].evidence.host.boot_id = Observation::denied("EACCES");
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert!(comparison.verdict.groups.is_empty());
    assert_eq!(comparison.verdict.undecided, [WRITER, READER, THIRD]);
}

#[test]
fn one_and_the_same_capture_says_nothing_about_two_sides() {
    for simultaneous in [false, true] {
        let [writer, reader] = pair();
        let twice = again(&writer, "copy");
        let comparison = compare(&[writer.clone(), twice.clone()], simultaneous);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
        assert_eq!(comparison.verdict.memory, Answer::Undecided);
        assert!(explained(&comparison).contains("one and the same capture: it says nothing about two sides"));
        let comparison = compare(&[writer, twice, reader], simultaneous);
        assert!(explained(&comparison).contains("writer and copy are one and the same capture"));
    }
}

#[test]
fn fewer_than_two_sides_are_undecided() {
    assert_eq!(compare(&[], true).verdict.sharing, Answer::Undecided);
    assert_eq!(compare(&pair()[..1], true).verdict.sharing, Answer::Undecided);
}

#[test]
fn one_path_given_twice_is_not_compared_but_can_be_refuted() {
    let [writer, reader] = pair();
    let later = again(&writer, "again");
    let mut sides = [writer, later];
    sides[1].evidence.begun = clock(101 * SECOND);
    for comparison in [compare(&sides, true), compare_two(&sides, &live())] {
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
        assert!(explained(&comparison).contains("one and the same path seen from one place"));
    }
    // Two captures of one place are two looks, and pids come again.
    assert_eq!(compare(&sides, false).verdict.sharing, Answer::Proven);
    seen(&mut sides[1].evidence.mappings).mappings.push(cut_off(13, "mnt:[11]", 70));
    let comparison = compare(&sides, true);
    assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    assert!(explained(&comparison).contains("do not all use one wal-index"), "{}", explained(&comparison));
    let other = [sides[0].clone(), reader];
    assert_eq!(compare(&other, true).verdict.sharing, Answer::Proven);
}
