//! What the walk over the trees of the database says.

use crate::finding::{Finding, Found};
use crate::look::{Inspection, LISTED};
use crate::tree::Fault;

pub(super) fn finding(examined: &Inspection) -> Option<Finding> {
    let trees = examined.trees.as_ref().ok()?;
    let rolled_back = examined.journal.as_ref().is_some_and(|journal| journal.both_ways.is_some());
    // A database that was cut says so itself. Pages that are not there are no other fault then.
    let cut = examined.pages.is_ok_and(|pages| pages.missing > 0);
    let there = |fault: &Fault| !matches!(fault, Fault::NotThere);
    if trees.fault_count > 0 {
        let only_missing =
            trees.fault_count == trees.faults.len() as u64 && !trees.faults.iter().any(|one| there(&one.fault));
        let listed = trees.faults.iter().take(LISTED).cloned().collect();
        return (!(cut && only_missing))
            .then(|| Finding::new(Found::TreesDamaged { faults: trees.fault_count, listed, rolled_back }));
    }
    let first = trees.first_never_used.filter(|_| !cut)?;
    Some(Finding::new(Found::PagesNeverUsed { pages: trees.never_used, first, of: trees.pages, rolled_back }))
}
