//! Rules about the files of one capture. Each finding has a stable code.
//!
//! Normal things raise nothing. Some things look wrong and are not: a `-shm` of three bytes, read marks that were left
//! over, other salts at `mxFrame` 0, frames of an older generation, noise after `mxFrame`. They raise nothing either.

use crate::evidence::LocksView;
use crate::finding::Finding;
use crate::format::db::DatabaseHead;
use crate::format::shm::IndexHead;
use crate::look::checkpoint::CheckpointFacts;
use crate::look::{Depth, HotJournal, Inspection};
use crate::wal::WalFacts;

mod database;
mod index;
mod lone;
mod versions;

/// What was decoded from one capture. `None`: it does not exist, was not captured, or is too short to be decoded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The head of the database.
    pub database: Option<&'a DatabaseHead>,
    /// The `-wal`; `None` when it was left out of the capture.
    pub wal: Option<&'a WalFacts>,
    /// The head of the `-shm`.
    pub shm: Option<&'a IndexHead>,
    /// Locks, as far as seen.
    pub locks: Option<&'a LocksView>,
    /// The files compared with each other.
    pub examined: Option<&'a Inspection>,
    /// What is known of the checkpoint.
    pub checkpoint: Option<&'a CheckpointFacts>,
    /// Whether the files were replaced by others while they were read.
    pub replaced: bool,
    /// Whether a `-journal` with content lies beside the database.
    pub hot_journal: HotJournal,
    /// Files whose access time may have changed by the reading.
    pub access_time_moved: &'a [String],
    /// For a bundle, why it is not of one moment.
    pub unstable: Option<&'a str>,
    /// Whether the bundle's file can be read by others than its owner.
    pub readable_by_others: bool,
    /// Findings about mounts, links, owners and processes of the files.
    pub around: &'a [Finding],
}

impl<'a> Facts<'a> {
    /// The facts of one look.
    #[must_use]
    pub fn of(inspection: &'a Inspection) -> Self {
        let origin = &inspection.origin;
        Self {
            database: inspection.database.as_ref(),
            wal: inspection.wal.as_ref(),
            shm: inspection.shm.as_ref(),
            locks: inspection.locks.as_ref(),
            examined: (inspection.depth == Depth::CrossChecked).then_some(inspection),
            checkpoint: inspection.checkpoint.as_ref(),
            replaced: inspection.replaced,
            hot_journal: inspection.hot_journal,
            access_time_moved: &origin.access_time_moved,
            unstable: origin.unstable.as_deref(),
            readable_by_others: origin.readable_by_others,
            around: &[],
        }
    }
}

/// All findings about one capture, the gravest first.
#[must_use]
pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = [
        facts.database.and_then(lone::database),
        facts.wal.and_then(lone::wal),
        facts.shm.and_then(|shm| lone::shm(shm, facts.locks.map(|locks| &locks.shm))),
        (facts.hot_journal == HotJournal::Waits).then(|| lone::hot_journal(facts.database)),
        facts.replaced.then(lone::files_replaced),
        facts.unstable.map(lone::bundle_unstable),
        facts.readable_by_others.then(lone::bundle_readable_by_others),
        (!facts.access_time_moved.is_empty()).then(|| lone::access_time_moved(facts.access_time_moved)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let Some(examined) = facts.examined {
        found.extend(index::findings(examined));
        found.extend(database::findings(examined, facts.checkpoint));
    }
    found.extend(facts.around.iter().cloned());
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

#[cfg(test)]
mod tests;
