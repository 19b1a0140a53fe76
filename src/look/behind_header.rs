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
use crate::number::PageSize;
use crate::wal::WalFacts;
use crate::wal::salvage::{self, SEARCHED, Salvage};

/// Frames that follow one another behind a header that SQLite cannot use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BehindHeader {
    /// The frames.
    pub found: Salvage,
    /// Whether the database has the last state of each page that these frames commit, or why this was not compared.
    pub in_database: Result<InDatabase, NotCompared>,
}

/// How many pages of the frames are in the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InDatabase {
    /// Number of pages that were compared: the last state of each, of all runs that commit something.
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
    if !facts.end_reason.is_taken_for_empty() {
        return Ok(None);
    }
    let found = salvage::behind_header(wal, beside.page_size, threads.get(), SEARCHED)?;
    let Some(found) = found else { return Ok(None) };
    let in_database = compare(wal, &found, threads, beside)?;
    Ok(Some(BehindHeader { found, in_database }))
}

fn compare(
    wal: &dyn ReadAt,
    found: &Salvage,
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
    let Some(last) = found.last_state(wal, threads.get())? else { return Ok(Err(NotCompared::NoFrames)) };
    for newest in last.of_each_page() {
        let at = page_size.offset_in_database(newest.page);
        let beyond = !whole && at.saturating_add(size as u64) > database.len();
        if newest.page > last.database_pages || beyond {
            continue;
        }
        compared.pages += 1;
        compared.missing +=
            u64::from(!same(wal, page_size.page_offset_of(newest.frame), &mut expected, database, at, &mut seen)?);
    }
    // Frames that were not compared can be commits that the database lacks.
    let rest = found.outside > 0 || found.unlisted_runs > 0;
    Ok(match compared {
        InDatabase { pages: 0, .. } => Err(NotCompared::NoDatabase),
        InDatabase { missing: 0, .. } if rest => Err(NotCompared::FramesOutside),
        compared => Ok(compared),
    })
}
