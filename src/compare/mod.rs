//! Two or more sides: whether they share memory and locks, and what happened between them.
//!
//! Sharing is two facts, shared memory and shared locks. It is proven only if both are. A verdict has a subject: what a
//! process reaches if it opens the database now (`paths`), or what the running processes have mapped (`mappings`).
//! Every piece of evidence is listed, including the silent ones. Missing evidence never strengthens a verdict.

mod assuming;
mod beacon;
mod contact;
mod continuity;
mod directory;
pub mod findings;
#[cfg(target_os = "linux")]
mod from_capture;
mod groups;
mod history;
mod identity;
mod judge;
mod kernel;
mod lineage;
mod lock_pairing;
mod mappings;
mod pages;
mod probe;
mod reach;
mod side;
mod temporal;
mod users;
mod verdict;
mod went_back;

use crate::evidence::live::Live;

pub use crate::sides::*;
pub use findings::findings_of_one;
pub use probe::{Met, probe};
pub use side::{FrameHeaders, Side};
pub use verdict::*;

/// Compares two or more sides. `simultaneous`: the descriptors of all sides were open at the same time, and the paths
/// were checked again after the last file was opened.
///
/// With fewer than two sides the answer is undecided.
#[must_use]
pub fn compare(sides: &[Side], simultaneous: bool) -> Comparison {
    compare_live(sides, simultaneous, &[])
}

/// What two live sides showed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePair {
    /// Positions of the two among the sides, the lower one first.
    pub at: (usize, usize),
    /// What was tried.
    pub live: Live,
}

/// Compares two or more sides, with the evidence that live sides gave together.
#[must_use]
pub fn compare_live(sides: &[Side], simultaneous: bool, live: &[LivePair]) -> Comparison {
    let pairs = groups::pairs(sides, simultaneous, live);
    let findings = findings::findings(sides, &pairs);
    let neighbours = Placed::all(sides).zip(Placed::all(sides).skip(1));
    Comparison {
        sides: sides.iter().map(SideName::of).collect(),
        verdict: groups::verdict(sides.len(), pairs.into_iter().map(|judged| judged.verdict).collect()),
        lineage: neighbours.map(|(a, b)| lineage::lineage(&Pair { a, b, simultaneous, live: None })).collect(),
        findings,
    }
}

/// A side and its position among all.
#[derive(Clone, Copy)]
struct Placed<'a> {
    index: SideIndex,
    side: &'a Side,
}

impl<'a> Placed<'a> {
    fn all(sides: &'a [Side]) -> impl Iterator<Item = Self> {
        sides.iter().enumerate().map(|(index, side)| Self { index: SideIndex(index), side })
    }
}

/// Two sides to be judged.
#[derive(Clone, Copy)]
struct Pair<'a> {
    a: Placed<'a>,
    b: Placed<'a>,
    simultaneous: bool,
    live: Option<&'a Live>,
}

impl Pair<'_> {
    /// Whether one process looked at both sides: then they are of one machine, and what one of them has was there when
    /// the other was looked at.
    fn looked_at_by_one_process(&self) -> bool {
        self.simultaneous || self.live.is_some()
    }
}
