//! What the walk over the trees of the database says.

use crate::finding::{Finding, Found};
use crate::format::db::DatabaseHead;
use crate::look::{BothWays, Fit, Inspection, LISTED};

pub(super) fn finding(examined: &Inspection) -> Option<Finding> {
    let trees = examined.trees.as_ref().ok().filter(|_| !is_told(examined))?;
    let rolled_back = examined.journal.as_ref().is_some_and(|journal| journal.both_ways.is_some());
    if trees.fault_count > 0 {
        let listed = trees.faults.iter().take(LISTED).cloned().collect();
        return Some(Finding::new(Found::TreesDamaged { faults: trees.fault_count, listed, rolled_back }));
    }
    let first = trees.first_never_used?;
    Some(Finding::new(Found::PagesNeverUsed { pages: trees.never_used, first, of: trees.pages, rolled_back }))
}

/// Whether another finding says already what is wrong: the database was cut, or bytes of it were changed, and the trees have faults
/// by that; or the `-journal` is of another time, and only once it is rolled back there are faults.
fn is_told(examined: &Inspection) -> bool {
    let cut = examined.pages.is_ok_and(|pages| pages.missing > 0);
    let header = examined.database.as_ref().is_some_and(DatabaseHead::is_doubtful);
    let page_1 = &examined.first_page;
    let both_ways = examined.journal.as_ref().and_then(|journal| journal.both_ways.as_ref());
    let of_another_time = both_ways.and_then(BothWays::fit) == Some(Fit::OfAnotherTime);
    cut || of_another_time
        || header
        || !page_1.faults.is_empty()
        || page_1.zeros_behind.is_some()
        || examined.damage.database.is_some()
}
