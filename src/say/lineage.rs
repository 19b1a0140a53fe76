//! What happened between two captures, in a sentence.

use super::compared::LOST_TAIL;
use super::identity;
use super::words::{Names, count, many};
use crate::compare::{Lineage, LineageFact, NoEnd, SideIndex};

/// One sentence without its full stop.
#[must_use]
pub fn lineage(lineage: &Lineage, names: Names<'_>) -> String {
    let restarted = |why: &str| format!("a new generation of the same WAL: {why}");
    match &lineage.fact {
        LineageFact::NoEnd(sides) => {
            sides.iter().map(|(side, why)| no_end(*side, *why, names)).collect::<Vec<_>>().join("; ")
        }
        LineageFact::ChecksumUnknown(frame) => {
            format!("the same generation, but the checksum of frame {} was not captured on both sides", count(*frame))
        }
        LineageFact::DifferentAt { frame, gap } => {
            let or = if *gap { format!(", or {}", LOST_TAIL) } else { String::new() };
            format!(
                "the same generation, but at frame {} the content is different: two writers went on separately{or}",
                count(*frame)
            )
        }
        LineageFact::GoesOn(frame) => {
            let ahead = lineage.ahead.map(|side| names.of(side)).unwrap_or_default();
            let commits = lineage.commits.map(|n| format!("{} in ", many(n, "commit"))).unwrap_or_default();
            let frames = many(lineage.frames.unwrap_or_default(), "frame");
            format!("{ahead} goes on with {commits}{frames} where the other ends, at frame {}", count(*frame))
        }
        LineageFact::SameCommit(frame) => {
            format!("the same last commit of the same generation, at frame {}", count(*frame))
        }
        LineageFact::Checkpointed { frame, less, more } => format!(
            "the same commits up to frame {}; {} of them are in the database on one side, {} on the other",
            count(*frame),
            count(*less),
            count(*more)
        ),
        LineageFact::LeftoverFrames(of, within) => restarted(&format!(
            "frames of {}'s generation are left in the file of {}",
            names.of(*of),
            names.of(*within)
        )),
        LineageFact::LeftoversOnBoth => {
            restarted("either file has frames of the other's generation, so the order is open")
        }
        LineageFact::SaltCountsUp => restarted("salt-1 counts up from one to the other"),
        LineageFact::OtherSalts => restarted("other salts beside the same database file"),
        LineageFact::TwoWals(wal) => format!(
            "the generations have nothing in common, and there are two -wal files: {}",
            identity::identity(wal, names)
        ),
        LineageFact::NothingInCommon => "the generations have nothing in common".to_owned(),
    }
}

fn no_end(side: SideIndex, why: NoEnd, names: Names<'_>) -> String {
    let label = names.of(side);
    let nothing = |wal: &str| format!("{label}: {wal} and no wal-index in use, so nothing is known about its commits");
    match why {
        NoEnd::FramesLost => format!(
            "{label}: the -wal does not have the frames that the wal-index in use counts, it was truncated, replaced or removed: commits are lost, and which is not known"
        ),
        NoEnd::NoWal => nothing("no usable -wal"),
        NoEnd::NotCaptured => nothing("the -wal was not captured,"),
    }
}
