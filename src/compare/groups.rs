//! More than two sides: every pair is judged, and proven pairs form groups.

use super::judge::{self, Judged};
use super::{Answer, HeldBack, Kind, LivePair, Pair, PairVerdict, Placed, Side, Subject, Verdict, assuming};
use crate::sides::SideIndex;

/// Judges every pair.
pub(super) fn pairs<'a>(sides: &'a [Side], simultaneous: bool, live: &'a [LivePair]) -> Vec<Judged<'a>> {
    let mut pairs = Vec::new();
    for (i, a) in Placed::all(sides).enumerate() {
        for b in Placed::all(sides).skip(i + 1) {
            let live = live.iter().find(|live| live.at == (a.index.0, b.index.0)).map(|found| &found.live);
            let pair = Pair { a, b, simultaneous, live };
            pairs.push(Judged { verdict: judge::judge(&pair), pair });
        }
    }
    pairs
}

/// The verdict over all sides.
pub(super) fn verdict(sides: usize, pairs: Vec<PairVerdict>) -> Verdict {
    // What holds one pair back is not undone by a chain of other pairs.
    let held = pairs.iter().any(|pair| pair.held_back.is_some());
    let contradicted = pairs.iter().any(|pair| matches!(pair.held_back, Some(HeldBack::Contradicted(_))));
    let unless = |doubt: bool, answer| if doubt && answer == Answer::Proven { Answer::Undecided } else { answer };
    let memory = unless(contradicted, over_all(sides, &pairs, |pair| pair.memory));
    let locks = unless(contradicted, over_all(sides, &pairs, |pair| pair.locks));
    // Memory and locks can each be connected through different pairs. Sharing has to be connected by itself.
    let sharing = unless(held, over_all(sides, &pairs, |pair| pair.sharing));
    let deciding: Vec<&PairVerdict> = pairs.iter().filter(|pair| pair.sharing == sharing).collect();
    let mappings = sharing != Answer::Undecided && deciding.iter().all(|pair| pair.subject == Subject::Mappings);
    let assuming = match sharing {
        Answer::Proven => {
            let of_pair = |pair: &&PairVerdict| (pair.sides.map(|side| side.0), pair.assuming.clone());
            assuming::of_all(sides, deciding.iter().map(of_pair).collect())
        }
        Answer::Refuted | Answer::Undecided => Vec::new(),
    };
    let (groups, undecided) = if sides > 2 { grouped(sides, &pairs) } else { Default::default() };
    Verdict {
        sharing,
        memory,
        locks,
        subject: if mappings { Subject::Mappings } else { Subject::Paths },
        decided_by: kinds(&deciding),
        assuming,
        groups,
        undecided,
        pairs,
    }
}

/// One refuted pair refutes. One group of all sides proves.
fn over_all(sides: usize, pairs: &[PairVerdict], of: impl Fn(&PairVerdict) -> Answer) -> Answer {
    if pairs.iter().any(|pair| of(pair) == Answer::Refuted) {
        Answer::Refuted
    } else if sides > 1 && partition(sides, pairs, of).iter().all(|group| *group == 0) {
        Answer::Proven
    } else {
        Answer::Undecided
    }
}

/// For each side: the position of the first side in its group.
fn partition(sides: usize, pairs: &[PairVerdict], of: impl Fn(&PairVerdict) -> Answer) -> Vec<usize> {
    let mut group: Vec<usize> = (0..sides).collect();
    for pair in pairs.iter().filter(|pair| of(pair) == Answer::Proven) {
        let [SideIndex(i), SideIndex(j)] = pair.sides;
        if let (Some(&x), Some(&y)) = (group.get(i), group.get(j)) {
            for member in &mut group {
                if *member == x.max(y) {
                    *member = x.min(y);
                }
            }
        }
    }
    group
}

/// The sides by proven group, and the sides that are in no group. A side by itself is a group only if it was refuted
/// with every other side. A chain of proven pairs that contains a refuted pair, or one that is held back, is no group,
/// because not all of it can be true.
fn grouped(sides: usize, pairs: &[PairVerdict]) -> (Vec<Vec<SideIndex>>, Vec<SideIndex>) {
    let partition = partition(sides, pairs, |pair| pair.sharing);
    let open = |side: usize| {
        let mut of_side = pairs.iter().filter(|pair| pair.sides.contains(&SideIndex(side)));
        of_side.any(|pair| pair.sharing == Answer::Undecided)
    };
    let denied_within = |group: usize| {
        let within = |side: SideIndex| partition.get(side.0) == Some(&group);
        let against = |pair: &&PairVerdict| pair.sharing == Answer::Refuted || pair.held_back.is_some();
        pairs.iter().filter(against).any(|pair| pair.sides.iter().all(|side| within(*side)))
    };
    let (mut groups, mut undecided) = (Vec::new(), Vec::new());
    for group in 0..sides {
        let members = partition.iter().enumerate().filter(|(_, of)| **of == group);
        let members: Vec<SideIndex> = members.map(|(side, _)| SideIndex(side)).collect();
        match members.len() {
            0 => {}
            1 if open(group) => undecided.extend(members),
            _ if denied_within(group) => undecided.extend(members),
            _ => groups.push(members),
        }
    }
    (groups, undecided)
}

fn kinds(deciding: &[&PairVerdict]) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for kind in deciding.iter().flat_map(|pair| &pair.decided_by) {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    kinds
}
