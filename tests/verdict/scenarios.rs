//! The evidence recorded from the lab's scenarios (`testdata/scenarios`): the verdict on all of it, and on what is left
//! when pieces of it are taken away.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::pieces::{LIVE_PIECES, PIECES, live_piece, piece};
use super::properties::proofs;
use super::*;
use Answer::{Proven, Refuted, Undecided};
use walscope::bundle::Capture;
use walscope::evidence::live::Live;

/// A scenario, what its live sides showed together, and the verdict: sharing, memory, locks. Where the two snapshots are
/// of two times, nothing was shown together.
type Recorded = (&'static str, Option<&'static str>, [Answer; 3]);

macro_rules! recorded {
    ($name:literal, $verdict:expr) => {
        (
            $name,
            Some(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/scenarios/", $name, "/live.json"))),
            $verdict,
        )
    };
    ($name:literal, two times, $verdict:expr) => {
        ($name, None, $verdict)
    };
}

const SCENARIOS: [Recorded; 26] = [
    recorded!("shared", [Proven; 3]),
    recorded!("pinned-reader", [Proven; 3]),
    recorded!("killed-writer", [Proven; 3]),
    recorded!("lost-locks", [Proven; 3]),
    recorded!("forked-writer", [Proven; 3]),
    recorded!("shared-holder", [Proven; 3]),
    recorded!("lockless", [Proven; 3]),
    recorded!("heap-index", [Undecided; 3]),
    recorded!("rollback-mode", [Undecided; 3]),
    recorded!("shm-directory", [Undecided, Proven, Proven]),
    recorded!("lock-relay", [Refuted; 3]),
    recorded!("copied", [Refuted; 3]),
    recorded!("file-mount", [Refuted; 3]),
    recorded!("deleted-shm", [Refuted; 3]),
    recorded!("deleted-between-captures", two times, [Undecided; 3]),
    recorded!("restored-aside", [Refuted; 3]),
    recorded!("restored-in-place", two times, [Undecided; 3]),
    recorded!("overlay", [Refuted; 3]),
    recorded!("copy-up", [Refuted, Refuted, Proven]),
    recorded!("fuse", [Refuted; 3]),
    recorded!("fuse-locks", [Refuted, Refuted, Undecided]),
    recorded!("fuse-one-mount-locks", [Undecided; 3]),
    recorded!("read-only-reader", [Proven; 3]),
    recorded!("btrfs-both-open", [Proven; 3]),
    recorded!("rolled-back-disk", two times, [Undecided; 3]),
    recorded!("jail", [Proven; 3]),
];

/// Scenarios in which only a look at the processes shows what is wrong: one of them uses another `-shm`.
const ELSEWHERE: [&str; 4] = ["deleted-shm", "deleted-between-captures", "restored-aside", "shm-directory"];

/// Pieces that go missing together, on both sides and of what they showed together: names in [`PIECES`] and
/// [`LIVE_PIECES`]. Every subset of these groups is tried.
const GROUPS: [(&[&str], &[&str]); 13] = [
    (&["host.boot_id"], &[]),
    (&["host.namespaces.mount", "host.mounts"], &[]),
    (&["files.directory"], &[]),
    (&["files.database"], &[]),
    (&["files.wal"], &[]),
    (&["files.shm"], &[]),
    (&["files.shm.birth_time", "files.shm.generation"], &[]),
    (&["mappings"], &[]),
    (&["users"], &[]),
    (&["samples", "bytes of the -shm"], &[]),
    (&["bytes of the -wal"], &[]),
    (&[], &["pages"]),
    (&[], &["beacon.forth", "beacon.back"]),
];

fn recorded((name, live, _): &Recorded) -> ([Side; 2], Option<Live>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios").join(name);
    let side = |label: &str| {
        let mut capture = Capture::open(&folder.join(format!("{label}.walsnap"))).unwrap();
        capture.label = label.to_owned();
        Side::from_capture(&capture).unwrap()
    };
    ([side("writer"), side("reader")], live.map(|live| serde_json::from_str(live).unwrap()))
}

fn judge(sides: &[Side; 2], live: Option<&Live>) -> Comparison {
    let pair = live.map(|live| LivePair { at: (0, 1), live: live.clone() });
    compare_live(sides, false, pair.as_slice())
}

/// What is left says at most what all of it said.
fn weakened(scenario: &str, full: &Comparison, less: &Comparison) -> Result<(), String> {
    for aspect in [About::Memory, About::Locks] {
        let before = proofs(full, aspect);
        if let Some(kind) = proofs(less, aspect).iter().find(|kind| !before.contains(kind)) {
            return Err(format!("{scenario}: {kind:?} proves only with less evidence"));
        }
    }
    let (before, after) = (&full.verdict, &less.verdict);
    match (before.sharing, after.sharing) {
        (before, after) if before == after || after == Answer::Undecided => Ok(()),
        // Without a look at the processes nobody sees the one that is elsewhere: what is left is the proof that the paths
        // lead to one file, which stood before, too. It is about the paths and says so.
        (_, Proven) if ELSEWHERE.contains(&scenario) && after.subject == Subject::Paths => Ok(()),
        // The sides do share, and only the content of two times speaks against it.
        (Answer::Undecided, Proven) if scenario == "restored-in-place" => Ok(()),
        (before, proven) => Err(format!("{scenario}: {before:?} became {proven:?} of {:?}", after.subject)),
    }
}

#[test]
fn every_recorded_scenario_is_judged_as_it_was() {
    for scenario in &SCENARIOS {
        let (sides, live) = recorded(scenario);
        let verdict = judge(&sides, live.as_ref()).verdict;
        assert_eq!([verdict.sharing, verdict.memory, verdict.locks], scenario.2, "{}: {verdict:#?}", scenario.0);
    }
}

/// A user knows volumes and mounts: these are named before inodes and page frames, and only where they are the cause.
#[test]
fn two_volumes_and_two_mounts_are_named_first() {
    let told: BTreeMap<&str, String> = SCENARIOS
        .iter()
        .map(|scenario| {
            let (sides, live) = recorded(scenario);
            (scenario.0, walscope::say::verdict::explain(&judge(&sides, live.as_ref())))
        })
        .collect();
    let first = |scenario: &str| told[scenario].split(". ").next().unwrap().to_owned();
    assert!(first("copied").contains("have two folders, and a database in each"), "{}", told["copied"]);
    assert!(first("copied").contains("/volumes/a on writer"), "{}", told["copied"]);
    assert!(first("fuse").contains("reach the database through two mounts"), "{}", told["fuse"]);
    // One folder and one mount, another cause.
    for scenario in ["shared", "file-mount", "deleted-shm", "restored-aside", "fuse-one-mount-locks", "pinned-reader"] {
        let told = &told[scenario];
        let named = ["two folders", "two volumes", "through two mounts"].iter().any(|words| told.contains(words));
        assert!(!named, "{scenario}: {told}");
    }
}

/// Advice must lead to other evidence: where identity never decides, another capture is no advice.
#[test]
fn undecided_by_its_file_system_leads_to_a_trial_and_not_to_another_capture() {
    for name in ["fuse", "fuse-locks", "copy-up"] {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.0 == name).unwrap();
        let (sides, _) = recorded(scenario);
        let comparison = judge(&sides, None);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided, "{name}");
        let told = walscope::say::verdict::explain(&comparison);
        assert!(told.contains("walscope probe meet FOLDER, run on both sides"), "{name}: {told}");
        assert!(!told.contains("Capture on each side"), "{name}: {told}");
    }
}

/// What each subset of a scenario's evidence says more than all of it, and what was taken away.
fn stronger_subsets(scenario: &Recorded) -> BTreeMap<String, Vec<&'static str>> {
    let (all, live) = recorded(scenario);
    let full = judge(&all, live.as_ref());
    let mut stronger = BTreeMap::new();
    for subset in 0..1_u32 << GROUPS.len() {
        let (mut sides, mut tried) = (all.clone(), live.clone());
        let taken = GROUPS.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1).map(|(_, group)| group);
        for (of_sides, of_live) in taken.clone() {
            for side in &mut sides {
                of_sides.iter().for_each(|name| (piece(name).take)(side));
            }
            if let Some(tried) = &mut tried {
                of_live.iter().for_each(|name| (live_piece(name).take)(tried));
            }
        }
        if let Err(says) = weakened(scenario.0, &full, &judge(&sides, tried.as_ref())) {
            let without = taken.flat_map(|(of_sides, of_live)| of_sides.iter().chain(*of_live)).copied().collect();
            stronger.entry(says).or_insert(without);
        }
    }
    stronger
}

#[test]
fn no_subset_of_a_scenario_s_evidence_says_more_than_all_of_it() {
    std::thread::scope(|scope| {
        let running: Vec<_> = SCENARIOS.iter().map(|scenario| scope.spawn(|| stronger_subsets(scenario))).collect();
        let stronger: Vec<_> = running.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert!(stronger.is_empty(), "{stronger:#?}");
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same piece by piece, and of one side alone.
    #[test]
    fn no_piece_taken_from_either_side_makes_a_verdict_stronger(
        at in 0..SCENARIOS.len(),
        removals in prop::collection::vec((0..2usize, prop::sample::select(PIECES)), 0..8),
        live_removals in prop::collection::vec(prop::sample::select(LIVE_PIECES), 0..4),
    ) {
        let scenario = &SCENARIOS[at];
        let (mut sides, mut live) = recorded(scenario);
        let full = judge(&sides, live.as_ref());
        for (side, piece) in removals {
            (piece.take)(&mut sides[side]);
        }
        for piece in live_removals {
            live.iter_mut().for_each(piece.take);
        }
        let kept = weakened(scenario.0, &full, &judge(&sides, live.as_ref()));
        prop_assert!(kept.is_ok(), "{}", kept.unwrap_err());
    }
}
