//! Rules about the files of one capture. Each finding has a stable code.
//!
//! Normal things raise nothing. Some things look wrong and are not: a `-shm` of three bytes, read marks that were left
//! over, other salts at `mxFrame` 0, frames of an older generation, noise after `mxFrame`. They raise nothing either.

use crate::finding::{Code, Finding, kept_log};
use crate::look::{Depth, HotJournal, Inspection, Origin};

mod database;
mod index;
mod lone;
mod overwritten;
mod pair;
mod trees;
mod versions;

/// Findings about the files, each by itself and compared with each other, and about what happened while they were read.
#[must_use]
pub fn of_files(inspection: &Inspection) -> Vec<Finding> {
    let locks = &inspection.locks;
    let locks = locks.as_ref().map(|locks| &locks.shm);
    let emptied = inspection.surroundings.as_ref().is_some_and(kept_log::is_emptied);
    let alone = [
        lone::database(inspection),
        inspection.wal.as_ref().and_then(|wal| lone::wal(wal, inspection)),
        inspection.shm.as_ref().and_then(|shm| lone::shm(shm, locks)),
        inspection.damage.wal.as_ref().map(lone::mangled_wal),
        inspection.damage.database.as_ref().map(lone::mangled_database),
        (inspection.hot_journal == HotJournal::Waits && !emptied).then(|| lone::hot_journal(inspection)),
        inspection.replaced.then(lone::files_replaced),
    ];
    let mut found: Vec<Finding> = alone.into_iter().flatten().chain(of_origin(&inspection.origin)).collect();
    if inspection.depth == Depth::CrossChecked {
        let overwritten = overwritten::finding(inspection);
        found.extend(overwritten.is_none().then(|| lone::emptied(inspection)).flatten());
        found.extend(overwritten);
        found.extend(index::findings(inspection));
        found.extend(database::findings(inspection));
        found.extend(pair::findings(inspection));
        found.extend(trees::finding(inspection));
    }
    if inspection.damage.wal.is_some_and(|wal| wal.undone.is_some()) {
        // The break is known, and what stands behind it.
        found.retain(|finding| finding.code() != Code::WalCommitsBehindBreak);
    }
    found
}

/// Findings about the capture itself, whatever is in the files.
#[must_use]
pub fn of_origin(origin: &Origin) -> Vec<Finding> {
    let moved = &origin.access_time_moved;
    let found = [
        origin.unstable.as_deref().map(lone::bundle_unstable),
        origin.readable_by_others.then(lone::bundle_readable_by_others),
        (!moved.is_empty()).then(|| lone::access_time_moved(moved)),
    ];
    found.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
