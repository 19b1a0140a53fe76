//! What happened between two captures.

use super::history::{self, Common, End};
use super::{Lineage, Pair, Placed, Relation, Side, continuity, identity};
use crate::number::FrameNumber;
use crate::sides::{Identity, LineageFact, NoEnd, Part};

/// A restart adds 1 to salt-1. A greater difference than this between two captures is treated as chance.
const RESTARTS: u32 = 1024;

/// Lineage of two sides.
pub(super) fn lineage(pair: &Pair<'_>) -> Lineage {
    let (a, b) = (history::end(pair.a.side), history::end(pair.b.side));
    let (Some(x), Some(y)) = (a, b) else {
        let without = [(a, pair.a), (b, pair.b)].into_iter().filter(|(end, _)| end.is_none());
        let reasons = without.map(|(_, of)| {
            let why = match of.side {
                side if history::lost(side) => NoEnd::FramesLost,
                side if side.wal_captured => NoEnd::NoWal,
                _ => NoEnd::NotCaptured,
            };
            (of.index, why)
        });
        return told(pair, None, LineageFact::NoEnd(reasons.collect()));
    };
    match history::common(pair, &x, &y) {
        Common::UpTo(frame) => same_past(pair, &x, &y, frame),
        Common::DifferentAt(frame) => {
            // Page frames and the folder are not asked: this is about what else can be the reason.
            let shm = identity::judge(pair, Part::Shm);
            let one = matches!(shm, Identity::OneInode(_));
            let gap = continuity::refutable(pair, &shm, one).is_err();
            told(pair, Some(Relation::Diverged), LineageFact::DifferentAt { frame, gap })
        }
        Common::Unknown(frame) => told(pair, None, LineageFact::ChecksumUnknown(frame)),
        Common::OtherSalts => other_generation(pair, &x, &y),
    }
}

fn told(pair: &Pair<'_>, relation: Option<Relation>, fact: LineageFact) -> Lineage {
    Lineage { sides: [pair.a.index, pair.b.index], relation, ahead: None, commits: None, frames: None, fact }
}

/// One generation, with equal content as far as both go.
fn same_past(pair: &Pair<'_>, a: &End, b: &End, frame: FrameNumber) -> Lineage {
    if a.frame == b.frame {
        return same_end(pair, a, b, frame);
    }
    let (ahead, end, behind) = if a.frame > b.frame { (pair.a, a, b) } else { (pair.b, b, a) };
    let counted = end.commits.zip(behind.commits).and_then(|(more, less)| more.checked_sub(less));
    Lineage {
        ahead: Some(ahead.index),
        commits: counted.or_else(|| history::commits_between(ahead.side, behind.frame, end.frame)),
        frames: Some(end.frame.frames_after(behind.frame)),
        ..told(pair, Some(Relation::Continuation), LineageFact::GoesOn(frame))
    }
}

fn same_end(pair: &Pair<'_>, a: &End, b: &End, frame: FrameNumber) -> Lineage {
    let Some((x, y)) = a.backfilled.zip(b.backfilled).filter(|(x, y)| x != y) else {
        return told(pair, Some(Relation::Identical), LineageFact::SameCommit(frame));
    };
    let fact = LineageFact::Checkpointed { frame, less: x.min(y), more: x.max(y) };
    let ahead = if x > y { pair.a } else { pair.b };
    Lineage { ahead: Some(ahead.index), ..told(pair, Some(Relation::Checkpointed), fact) }
}

/// Two generations: the WAL was restarted in between, or the two have different origins.
fn other_generation(pair: &Pair<'_>, a: &End, b: &End) -> Lineage {
    let restarted = |ahead: Option<Placed<'_>>, fact| Lineage {
        ahead: ahead.map(|of| of.index),
        ..told(pair, Some(Relation::Restarted), fact)
    };
    let leftovers = |of: Placed<'_>, within: Placed<'_>| LineageFact::LeftoverFrames(of.index, within.index);
    match (holds(pair.b.side, a), holds(pair.a.side, b)) {
        (true, false) => return restarted(Some(pair.b), leftovers(pair.a, pair.b)),
        (false, true) => return restarted(Some(pair.a), leftovers(pair.b, pair.a)),
        (true, true) => return restarted(None, LineageFact::LeftoversOnBoth),
        (false, false) => {}
    }
    let wal = identity::judge(pair, Part::Wal);
    if matches!(wal, Identity::TwoInodes(_)) {
        return told(pair, Some(Relation::Unrelated), LineageFact::TwoWals(wal));
    }
    for (earlier, later, ahead) in [(a, b, pair.b), (b, a, pair.a)] {
        if counts_up(earlier, later) {
            return restarted(Some(ahead), LineageFact::SaltCountsUp);
        }
    }
    if matches!(identity::judge(pair, Part::Database), Identity::OneInode(_)) {
        let sequences = a.sequence.zip(b.sequence).filter(|(x, y)| x != y);
        let ahead = sequences.map(|(x, y)| if x > y { pair.a } else { pair.b });
        return restarted(ahead, LineageFact::OtherSalts);
    }
    told(pair, Some(Relation::Unrelated), LineageFact::NothingInCommon)
}

/// Whether a side's file still holds frames of another generation after its own.
fn holds(side: &Side, other: &End) -> bool {
    let own = side.wal.header.map(|header| header.salts);
    own != Some(other.salts) && side.wal.generations.iter().any(|generation| generation.salts == other.salts)
}

/// A restart adds 1 to salt-1 and 1 to the checkpoint sequence. Salts can also be random, so this is a strong hint and
/// no proof.
fn counts_up(earlier: &End, later: &End) -> bool {
    let restarts = earlier.salts.restarts_until(later.salts);
    let sequence = earlier.sequence.zip(later.sequence).map(|(from, to)| to.wrapping_sub(from));
    (1..=RESTARTS).contains(&restarts) && sequence.is_none_or(|sequence| sequence == restarts)
}
