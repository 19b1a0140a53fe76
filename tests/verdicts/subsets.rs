//! Evidence of real set-ups with pieces taken away: what is left says at most what all of it said.

use std::path::{Path, PathBuf};

use walscope::bundle::Capture;
use walscope::compare::{About, Answer, Comparison, HeldBack, Kind, Says, Side, Subject, compare};

use crate::common::random::Random;
use crate::pieces::PIECES;

/// Subsets that are tried of each set-up.
const SUBSETS: u64 = 40;

fn side(bundle: &Path) -> Option<Side> {
    Side::from_capture(&Capture::open(bundle).ok()?).ok()
}

fn proofs(comparison: &Comparison, aspect: About) -> Vec<Kind> {
    let proves = comparison.verdict.because().filter(|item| item.says == Says::Proves && item.about.covers(aspect));
    proves.map(|item| item.kind).collect()
}

/// Whether it is running processes that go on with something else than the paths lead to, and nothing of what is left tells it.
/// `taken`: the pieces that were taken away.
fn of_processes(why: &HeldBack, taken: &[&str]) -> bool {
    let [users, mappings] = ["users", "mappings"].map(|name| taken.iter().any(|taken| taken.starts_with(name)));
    match why {
        HeldBack::OnReplacedFiles(..)
        | HeldBack::OnOneOther(..)
        | HeldBack::OtherWal(..)
        | HeldBack::MayBeElsewhere(..) => users || mappings,
        // Both show it.
        HeldBack::OtherDatabase(..) => users && mappings,
        _ => false,
    }
}

/// What some subsets of two bundles say more than all of it.
pub fn stronger(bundles: &[PathBuf; 2], random: &mut Random) -> Vec<String> {
    let [Some(a), Some(b)] = bundles.each_ref().map(|bundle| side(bundle)) else { return Vec::new() };
    let all = [a, b];
    let full = compare(&all, false);
    let mut wrong = Vec::new();
    for _ in 0..SUBSETS {
        let mut sides = all.clone();
        let mut taken = Vec::new();
        let mut names = Vec::new();
        for _ in 0..=random.below(6) {
            let piece = PIECES[random.below(PIECES.len() as u64) as usize];
            let of = random.pick(&[&[0][..], &[1], &[0, 1]]);
            names.push(piece.name);
            of.iter().for_each(|side| (piece.take)(&mut sides[*side]));
            taken.push(format!("{} of {of:?}", piece.name));
        }
        let less = compare(&sides, false);
        for aspect in [About::Memory, About::Locks] {
            let before = proofs(&full, aspect);
            if let Some(kind) = proofs(&less, aspect).iter().find(|kind| !before.contains(kind)) {
                wrong.push(format!("subset: {kind:?} proves only without {taken:?}"));
            }
        }
        let (before, after) = (full.verdict.sharing, less.verdict.sharing);
        // Without a look at the processes nobody sees those that do not use what the paths lead to. What is left is the proof
        // that stood before, too: it is about the paths, and says so.
        let of_paths_only = (full.verdict.subject, less.verdict.subject) == (Subject::Mappings, Subject::Paths);
        let fewer_refute = (before, after) == (Answer::Refuted, Answer::Proven) && of_paths_only;
        let one = (full.verdict.memory, full.verdict.locks) == (Answer::Proven, Answer::Proven);
        let told_by_processes = |why: &HeldBack| of_processes(why, &names);
        let by_processes = full.verdict.pairs.iter().any(|pair| pair.held_back.as_ref().is_some_and(told_by_processes));
        let fewer_hold_back = one && by_processes && (after, less.verdict.subject) == (Answer::Proven, Subject::Paths);
        if after != before && after != Answer::Undecided && !fewer_refute && !fewer_hold_back {
            let held_back = full.verdict.pairs.iter().find_map(|pair| pair.held_back.as_ref());
            let held_back = held_back.map_or(String::new(), |why| format!(", held back by {why:?},"));
            wrong.push(format!(
                "subset: {before:?}{held_back} became {after:?} of {:?} without {taken:?}; before: {}; after: {}",
                less.verdict.subject,
                walscope::say::verdict::explain(&full),
                walscope::say::verdict::explain(&less)
            ));
        }
    }
    wrong
}
