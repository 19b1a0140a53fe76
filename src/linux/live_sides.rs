//! Trials with two sides that are live at the same time.

use crate::evidence::{Observation, live};
use crate::linux::challenge::beacon;
use crate::linux::pagemap::{self, LiveSide};
use crate::linux::procfs::Proc;

/// Tries two live sides against each other: page frames read in turn, and a lock beacon in both directions. Nothing is
/// written, and no byte that SQLite uses is locked.
#[must_use]
pub fn live(a: &LiveSide<'_>, b: &LiveSide<'_>) -> live::Live {
    live::Live {
        pages: pagemap::in_turn(&Proc::system(), a, b),
        beacon: beacon::challenge(a.files, b.files),
        coherence: None,
        tried: None,
    }
}

/// The page tables of one side's mappings, read once.
#[must_use]
pub fn page_tables(side: &LiveSide<'_>) -> Observation<Vec<live::PageTable>> {
    pagemap::once(&Proc::system(), side)
}
