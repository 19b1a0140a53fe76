//! More than two sides: every pair is judged, proven pairs make groups.

use super::verdict::{self, Judged};
use super::{Answer, Because, Kind, LivePair, Pair, Side, Subject, Verdict};

/// Judges every pair.
pub(super) fn pairs<'a>(sides: &'a [Side], simultaneous: bool, live: &'a [LivePair]) -> Vec<Judged<'a>> {
    let mut pairs = Vec::new();
    for (i, a) in sides.iter().enumerate() {
        for (j, b) in sides.iter().enumerate().skip(i + 1) {
            let live = live.iter().find(|live| live.at == (i, j)).map(|found| &found.live);
            pairs.push(verdict::judge(Pair { a, b, simultaneous, live }, (i, j)));
        }
    }
    pairs
}

/// The verdict over all sides.
pub(super) fn verdict(sides: &[Side], pairs: &[Judged<'_>]) -> Verdict {
    let several = sides.len() > 2;
    let memory = over_all(sides.len(), pairs, |pair| pair.memory);
    let locks = over_all(sides.len(), pairs, |pair| pair.locks);
    // Two aspects can hang together over different pairs; sharing has to hang together by itself.
    let sharing = over_all(sides.len(), pairs, |pair| pair.sharing);
    let deciding: Vec<&Judged<'_>> = pairs.iter().filter(|pair| pair.sharing == sharing).collect();
    let mappings = sharing != Answer::Undecided && deciding.iter().all(|pair| pair.subject == Subject::Mappings);
    let (groups, undecided) = if several { grouped(sides, pairs) } else { Default::default() };
    Verdict {
        sharing,
        memory,
        locks,
        subject: if mappings { Subject::Mappings } else { Subject::Paths },
        decided_by: kinds(&deciding),
        groups,
        undecided,
        because: pairs.iter().flat_map(|pair| listed(pair, several)).collect(),
    }
}

/// Any refuted pair refutes; one group of all proves.
fn over_all(sides: usize, pairs: &[Judged<'_>], of: impl Fn(&Judged<'_>) -> Answer) -> Answer {
    if pairs.iter().any(|pair| of(pair) == Answer::Refuted) {
        Answer::Refuted
    } else if sides > 1 && partition(sides, pairs, of).iter().all(|group| *group == 0) {
        Answer::Proven
    } else {
        Answer::Undecided
    }
}

/// For each side the position of the first side of its group.
fn partition(sides: usize, pairs: &[Judged<'_>], of: impl Fn(&Judged<'_>) -> Answer) -> Vec<usize> {
    let mut group: Vec<usize> = (0..sides).collect();
    for pair in pairs.iter().filter(|pair| of(pair) == Answer::Proven) {
        let (i, j) = pair.at;
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

/// Labels by proven group, and of the sides that belong to none. A side alone is a group of its own only if every other
/// was refuted. Where a chain of proofs has a refuted pair within, it is no group: not all of it can be so.
fn grouped(sides: &[Side], pairs: &[Judged<'_>]) -> (Vec<Vec<String>>, Vec<String>) {
    let partition = partition(sides.len(), pairs, |pair| pair.sharing);
    let open = |side: usize| {
        let mut of_side = pairs.iter().filter(|pair| pair.at.0 == side || pair.at.1 == side);
        of_side.any(|pair| pair.sharing == Answer::Undecided)
    };
    let refuted_within = |group: usize| {
        let within = |side: usize| partition.get(side) == Some(&group);
        pairs.iter().any(|pair| pair.sharing == Answer::Refuted && within(pair.at.0) && within(pair.at.1))
    };
    let (mut groups, mut undecided) = (Vec::new(), Vec::new());
    for group in 0..sides.len() {
        let members = sides.iter().zip(&partition).filter(|(_, of)| **of == group);
        let labels: Vec<String> = members.map(|(side, _)| side.label.clone()).collect();
        match labels.len() {
            0 => {}
            1 if open(group) => undecided.extend(labels),
            _ if refuted_within(group) => undecided.extend(labels),
            _ => groups.push(labels),
        }
    }
    (groups, undecided)
}

fn kinds(deciding: &[&Judged<'_>]) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for kind in deciding.iter().flat_map(|pair| &pair.decided_by) {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    kinds
}

fn listed(pair: &Judged<'_>, several: bool) -> Vec<Because> {
    let named = |item: &Because| Because {
        detail: format!("{} / {}: {}", pair.pair.a.label, pair.pair.b.label, item.detail),
        ..item.clone()
    };
    pair.because.iter().map(|item| if several { named(item) } else { item.clone() }).collect()
}
