//! Frames behind a header that SQLite cannot use, and whether the database has their pages.
//!
//! folklore: frames behind such a header may be of a generation that was copied: the machine went down while the header was
//! written anew after a restart. Then each of their last images is in the database. Held by
//! `frames_behind_a_broken_header_that_are_all_in_the_database_are_a_warning`.

use std::io;
use std::num::NonZeroUsize;

use super::NotCompared;
use super::one_page::same;
use crate::bytes::ReadAt;
use crate::number::{FrameNumber, PageSize};
use crate::wal::salvage::{self, ChainedRun, SEARCHED, Salvage};
use crate::wal::{EndReason, WalFacts};

/// Frames that follow one another behind a header that SQLite cannot use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BehindHeader {
    /// The frames.
    pub found: Salvage,
    /// Whether the database has the pages of the first run with a commit, or why they were not compared.
    pub in_database: Result<InDatabase, NotCompared>,
}

/// How many pages of a run are in the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InDatabase {
    /// Number of pages that were compared: the last image of each, up to the last commit.
    pub pages: u64,
    /// Number of pages that are different in the database.
    pub missing: u64,
}

/// The database as far as it was seen.
pub(super) struct Beside<'a> {
    /// Its bytes, and whether they are all of them.
    pub(super) bytes: Option<(&'a dyn ReadAt, bool)>,
    /// Its page size, if its header tells it.
    pub(super) page_size: Option<PageSize>,
}

/// Looks for frames, if the header cannot be used.
pub(super) fn look(
    wal: &dyn ReadAt,
    facts: &WalFacts,
    threads: NonZeroUsize,
    beside: &Beside<'_>,
) -> io::Result<Option<BehindHeader>> {
    let broken =
        matches!(facts.end_reason, EndReason::BadMagic | EndReason::BadPageSize | EndReason::BadHeaderChecksum);
    if !broken {
        return Ok(None);
    }
    let found = salvage::behind_header(wal, beside.page_size, threads.get(), SEARCHED)?;
    let Some(found) = found else { return Ok(None) };
    let in_database = match found.runs.iter().find(|run| run.last_commit.is_some()) {
        Some(run) => compare(wal, &found, run, threads, beside)?,
        None => Err(NotCompared::NoFrames),
    };
    Ok(Some(BehindHeader { found, in_database }))
}

fn compare(
    wal: &dyn ReadAt,
    found: &Salvage,
    run: &ChainedRun,
    threads: NonZeroUsize,
    beside: &Beside<'_>,
) -> io::Result<Result<InDatabase, NotCompared>> {
    let page_size = found.page_size;
    let Some((database, whole)) = beside.bytes.filter(|(bytes, _)| !bytes.is_empty()) else {
        return Ok(Err(NotCompared::NoDatabase));
    };
    if beside.page_size.is_some_and(|size| size != page_size) {
        return Ok(Err(NotCompared::PageSizesDiffer));
    }
    let size = page_size.to_usize();
    let (mut expected, mut seen) = (vec![0; size], vec![0; size]);
    let mut compared = InDatabase::default();
    let last = run.last_commit.map_or(0, |commit| commit.database_pages);
    for newest in found.pages_of(run, wal, threads.get())?.index(u64::MAX).newest_of_each() {
        let at = page_size.offset_in_database(newest.page);
        let beyond = !whole && at.saturating_add(size as u64) > database.len();
        if newest.page > last || beyond {
            continue;
        }
        let frame = FrameNumber(run.first.count().saturating_add(newest.frame.count()).saturating_sub(1));
        compared.pages += 1;
        compared.missing +=
            u64::from(!same(wal, page_size.page_offset_of(frame), &mut expected, database, at, &mut seen)?);
    }
    Ok(if compared.pages > 0 { Ok(compared) } else { Err(NotCompared::NoDatabase) })
}
