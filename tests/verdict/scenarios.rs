//! The evidence recorded from the lab's scenarios (`testdata/scenarios`): the verdict on all of it, and on what is left
//! when pieces of it are taken away.

use std::path::Path;

use proptest::prelude::*;

use super::pieces::{LIVE_PIECES, PIECES, live_piece, piece};
use super::properties::proofs;
use super::*;
use Answer::{Proven, Refuted, Undecided};
use walscope::bundle::Capture;
use walscope::evidence::live::Live;

/// A scenario, what its live sides showed together, and the verdict: sharing, memory, locks.
type Recorded = (&'static str, &'static str, [Answer; 3]);

macro_rules! recorded {
    ($name:literal, $verdict:expr) => {
        (
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/scenarios/", $name, "/live.json")),
            $verdict,
        )
    };
}

const SCENARIOS: [Recorded; 10] = [
    recorded!("shared", [Proven; 3]),
    recorded!("pinned-reader", [Proven; 3]),
    recorded!("killed-writer", [Proven; 3]),
    recorded!("copied", [Refuted; 3]),
    recorded!("file-mount", [Refuted; 3]),
    recorded!("deleted-shm", [Refuted; 3]),
    recorded!("overlay", [Refuted; 3]),
    recorded!("copy-up", [Refuted, Refuted, Proven]),
    recorded!("fuse", [Refuted; 3]),
    recorded!("fuse-locks", [Refuted, Refuted, Undecided]),
];

/// Pieces that go missing together, on both sides and of what they showed together: names in [`PIECES`] and
/// [`LIVE_PIECES`]. Every subset of these groups is tried.
const GROUPS: [(&[&str], &[&str]); 12] = [
    (&["host.boot_id"], &[]),
    (&["host.namespaces.mount", "host.mounts"], &[]),
    (&["files.directory"], &[]),
    (&["files.database"], &[]),
    (&["files.wal"], &[]),
    (&["files.shm"], &[]),
    (&["files.shm.birth_time", "files.shm.generation"], &[]),
    (&["mappings"], &[]),
    (&["samples", "bytes of the -shm"], &[]),
    (&["bytes of the -wal"], &[]),
    (&[], &["pages"]),
    (&[], &["beacon.forth", "beacon.back"]),
];

fn recorded((name, live, _): &Recorded) -> ([Side; 2], Live) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/scenarios").join(name);
    let side = |label: &str| {
        let mut capture = Capture::open(&folder.join(format!("{label}.walsnap"))).unwrap();
        capture.label = label.to_owned();
        Side::from_capture(&capture).unwrap()
    };
    ([side("writer"), side("reader")], serde_json::from_str(live).unwrap())
}

fn judge(sides: &[Side; 2], live: &Live) -> Comparison {
    compare_live(sides, false, &[LivePair { at: (0, 1), live: live.clone() }])
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
        // Without a look at the processes nobody sees the one that stayed on the deleted file: what is left is the
        // proof that the paths lead to one file, which stood before, too. It is about the paths and says so.
        (Refuted, Proven) if scenario == "deleted-shm" && after.subject == Subject::Paths => Ok(()),
        (before, after) => Err(format!("{scenario}: {before:?} became {after:?}: {:#?}", less.verdict.pairs)),
    }
}

#[test]
fn every_recorded_scenario_is_judged_as_it_was() {
    for scenario in &SCENARIOS {
        let (sides, live) = recorded(scenario);
        let verdict = judge(&sides, &live).verdict;
        assert_eq!([verdict.sharing, verdict.memory, verdict.locks], scenario.2, "{}: {verdict:#?}", scenario.0);
    }
}

#[test]
fn no_subset_of_a_scenario_s_evidence_says_more_than_all_of_it() {
    for scenario in &SCENARIOS {
        let (all, live) = recorded(scenario);
        let full = judge(&all, &live);
        for subset in 0..1_u32 << GROUPS.len() {
            let (mut sides, mut tried) = (all.clone(), live.clone());
            let taken = GROUPS.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1).map(|(_, group)| group);
            for (of_sides, of_live) in taken.clone() {
                for side in &mut sides {
                    of_sides.iter().for_each(|name| (piece(name).take)(side));
                }
                of_live.iter().for_each(|name| (live_piece(name).take)(&mut tried));
            }
            if let Err(stronger) = weakened(scenario.0, &full, &judge(&sides, &tried)) {
                panic!("without {:?}: {stronger}", taken.collect::<Vec<_>>());
            }
        }
    }
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
        let full = judge(&sides, &live);
        for (side, piece) in removals {
            (piece.take)(&mut sides[side]);
        }
        for piece in live_removals {
            (piece.take)(&mut live);
        }
        let kept = weakened(scenario.0, &full, &judge(&sides, &live));
        prop_assert!(kept.is_ok(), "{}", kept.unwrap_err());
    }
}
