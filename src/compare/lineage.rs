//! What happened between two captures.

use super::history::{self, Common, End};
use super::identity::{self, Identity};
use super::{Lineage, Pair, Relation, Side, continuity};
use crate::number::FrameNumber;

/// A restart counts salt-1 up by one; more than this many between two captures is taken for chance.
const RESTARTS: u32 = 1024;

/// Lineage of two sides.
pub(super) fn lineage(pair: &Pair<'_>) -> Lineage {
    let (a, b) = (history::end(pair.a), history::end(pair.b));
    let (Some(x), Some(y)) = (a, b) else {
        let without = [(a, pair.a), (b, pair.b)].into_iter().filter(|(end, _)| end.is_none());
        let reasons: Vec<String> = without
            .map(|(_, side)| {
                if history::lost(side) {
                    return format!(
                        "{}: the -wal does not have the frames that the wal-index in use counts, it was truncated or removed: commits are lost, and which is not known",
                        side.label
                    );
                }
                let wal = if side.wal_captured { "no usable -wal" } else { "the -wal was not captured," };
                format!("{}: {wal} and no wal-index in use, so nothing is known about its commits", side.label)
            })
            .collect();
        return told(None, reasons.join("; "));
    };
    match history::common(pair, &x, &y) {
        Common::UpTo(frame) => same_past(pair, &x, &y, frame),
        Common::DifferentAt(frame) => {
            let why = match continuity::unbroken(pair) {
                Ok(()) => "two writers went on separately".to_owned(),
                Err(_) => format!("two writers went on separately, or {}", continuity::LOST_TAIL),
            };
            let explanation = format!("the same generation, but at frame {frame} the content is different: {why}");
            told(Some(Relation::Diverged), explanation)
        }
        Common::Unknown(frame) => {
            told(None, format!("the same generation, but the checksum of frame {frame} was not captured on both sides"))
        }
        Common::OtherSalts => other_generation(pair, &x, &y),
    }
}

fn told(relation: Option<Relation>, explanation: String) -> Lineage {
    Lineage { relation, ahead: None, commits: None, frames: None, explanation }
}

/// Same generation and content as far as both go.
fn same_past(pair: &Pair<'_>, a: &End, b: &End, frame: FrameNumber) -> Lineage {
    if a.frame == b.frame {
        return same_end(pair, a, b, frame);
    }
    let (ahead, end, behind) = if a.frame > b.frame { (pair.a, a, b) } else { (pair.b, b, a) };
    let frames = end.frame.frames_after(behind.frame);
    let counted = end.commits.zip(behind.commits).and_then(|(more, less)| more.checked_sub(less));
    let commits = counted.or_else(|| history::commits_between(ahead, behind.frame, end.frame));
    let told_commits = commits.map(|n| format!("{n} {} in ", plural(n, "commit"))).unwrap_or_default();
    Lineage {
        relation: Some(Relation::Continuation),
        ahead: Some(ahead.label.clone()),
        commits,
        frames: Some(frames),
        explanation: format!(
            "{} goes on with {told_commits}{frames} {} where the other ends, at frame {frame}",
            ahead.label,
            plural(frames, "frame")
        ),
    }
}

fn same_end(pair: &Pair<'_>, a: &End, b: &End, frame: FrameNumber) -> Lineage {
    let Some((x, y)) = a.backfilled.zip(b.backfilled).filter(|(x, y)| x != y) else {
        return told(
            Some(Relation::Identical),
            format!("the same last commit of the same generation, at frame {frame}"),
        );
    };
    let ahead = if x > y { pair.a } else { pair.b };
    Lineage {
        ahead: Some(ahead.label.clone()),
        ..told(
            Some(Relation::Checkpointed),
            format!(
                "the same commits up to frame {frame}; {} of them are in the database on one side, {} on the other",
                x.min(y),
                x.max(y)
            ),
        )
    }
}

/// The generations differ: restarted in between, or of different origin.
fn other_generation(pair: &Pair<'_>, a: &End, b: &End) -> Lineage {
    let restarted = |ahead: Option<&Side>, why: &str| Lineage {
        ahead: ahead.map(|side| side.label.clone()),
        ..told(Some(Relation::Restarted), format!("a new generation of the same WAL: {why}"))
    };
    match (holds(pair.b, a), holds(pair.a, b)) {
        (true, false) => {
            return restarted(
                Some(pair.b),
                &format!("frames of {}'s generation are left in the file of {}", pair.a.label, pair.b.label),
            );
        }
        (false, true) => {
            return restarted(
                Some(pair.a),
                &format!("frames of {}'s generation are left in the file of {}", pair.b.label, pair.a.label),
            );
        }
        (true, true) => {
            return restarted(None, "either file has frames of the other's generation, so the order is open");
        }
        (false, false) => {}
    }
    if let Identity::Two(detail) = identity::judge(pair, identity::WAL) {
        return told(
            Some(Relation::Unrelated),
            format!("the generations have nothing in common, and there are two -wal files: {detail}"),
        );
    }
    for (earlier, later, ahead) in [(a, b, pair.b), (b, a, pair.a)] {
        if counts_up(earlier, later) {
            return restarted(Some(ahead), "salt-1 counts up from one to the other");
        }
    }
    if matches!(identity::judge(pair, identity::DATABASE), Identity::One(_)) {
        let sequences = a.sequence.zip(b.sequence).filter(|(x, y)| x != y);
        let ahead = sequences.map(|(x, y)| if x > y { pair.a } else { pair.b });
        return restarted(ahead, "other salts beside the same database file");
    }
    told(Some(Relation::Unrelated), "the generations have nothing in common".to_owned())
}

/// Whether a side's file still holds frames of another generation behind its own.
fn holds(side: &Side, other: &End) -> bool {
    let own = side.wal.header.map(|header| header.salts);
    own != Some(other.salts) && side.wal.generations.iter().any(|generation| generation.salts == other.salts)
}

/// A restart adds one to salt-1 and one to the checkpoint sequence. Salts can also be random: this is a strong hint.
fn counts_up(earlier: &End, later: &End) -> bool {
    let restarts = earlier.salts.restarts_until(later.salts);
    let sequence = earlier.sequence.zip(later.sequence).map(|(from, to)| to.wrapping_sub(from));
    (1..=RESTARTS).contains(&restarts) && sequence.is_none_or(|sequence| sequence == restarts)
}

fn plural(n: u64, noun: &str) -> String {
    if n == 1 { noun.to_owned() } else { format!("{noun}s") }
}
