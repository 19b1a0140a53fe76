//! Whether the database holds the frames that `nBackfill` counts as copied. If not, this is what SQLite's wal-reset bug
//! leaves, or a database was restored beside a `-wal` and a `-shm` of another time.

use std::collections::BTreeSet;
use std::io;

use super::{LISTED, NotCompared};
use crate::bytes::ReadAt;
use crate::format::shm::IndexHeader;
use crate::format::wal::{FRAME_HEADER_SIZE, parse_frame_header};
use crate::number::{FrameNumber, FrameOfPage, PageNumber, PageSize};
use crate::wal::latest::{Column, FrameIndex, append};
use crate::wal::{Frame, WalFacts};

/// The result of comparing the frames up to `nBackfill` with the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// `nBackfill`: every frame up to it is claimed to be in the database.
    pub up_to: FrameNumber,
    /// Number of pages that were compared: those whose latest frame is at most `nBackfill`.
    pub pages: u64,
    /// Number of pages that are different in the database.
    pub missing: u64,
    /// The first of these pages.
    pub listed: Vec<FrameOfPage>,
}

/// What the pass over the WAL collects for this comparison: the page of each frame, and how small the database was
/// meanwhile.
///
/// At most 20.5 bytes for each frame: 12.5 while the index is made from the column, and 8 for each commit that changed
/// the size. Afterwards the column is freed, and a page that differs takes at most 4.5.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pages: Column,
    /// Frame and size of each commit that is smaller than all later ones, so both increase.
    sizes: Vec<(u32, u32)>,
    /// The index, made from the column after the pass.
    latest: FrameIndex,
    /// Pages that are different in the database, in ascending order.
    differing: Vec<PageNumber>,
}

impl Collected {
    pub(super) fn take(&mut self, frame: &Frame) {
        // SQLite counts frames in 32 bits.
        let Some(number) = frame.number.to_u32() else { return };
        self.pages.push(frame.header.page);
        if frame.header.is_commit() {
            let pages = frame.header.commit_pages;
            while self.sizes.last().is_some_and(|(_, before)| *before >= pages) {
                self.sizes.pop();
            }
            append(&mut self.sizes, (number, pages));
        }
    }

    /// Makes the index from the column.
    fn settle(&mut self) {
        self.sizes.shrink_to_fit();
        self.latest = std::mem::take(&mut self.pages).index(u64::MAX);
    }

    /// The smallest number of pages that the database had at any commit from this frame on.
    fn smallest_from(sizes: &[(u32, u32)], frame: FrameNumber) -> u32 {
        let at = sizes.partition_point(|(commit, _)| FrameNumber::from(*commit) < frame);
        sizes.get(at).map_or(0, |(_, pages)| *pages)
    }
}

/// An `nBackfill` that can be compared with the database.
pub(super) struct Claim {
    up_to: FrameNumber,
    page_size: PageSize,
}

/// The `nBackfill` that counts, if there is one. At rest it counts only if the `-shm` belongs to exactly the last
/// commit of this WAL: the first connection recovers and starts from 0 in any case.
pub(super) fn claim(
    header: Option<&IndexHeader>,
    wal: &WalFacts,
    backfilled: FrameNumber,
    in_use: bool,
) -> Result<Claim, NotCompared> {
    let header = header.ok_or(NotCompared::NoIndex)?;
    let page_size = wal.page_size().ok_or(NotCompared::WalHeaderUnusable)?;
    if wal.header.map(|wal| wal.salts) != Some(header.salts) {
        return Err(NotCompared::OtherGeneration);
    }
    if backfilled == FrameNumber::NONE {
        return Err(NotCompared::NothingClaimed);
    }
    let committed = wal.frames.committed;
    if backfilled > header.mx_frame || header.mx_frame > committed {
        return Err(NotCompared::FramesMissing);
    }
    let last = wal.last_commit.map(|last| last.checksum);
    let to_the_frame = header.mx_frame == committed && last == Some(header.frame_checksum);
    if !in_use && !to_the_frame {
        return Err(NotCompared::LeftOver);
    }
    Ok(Claim { up_to: backfilled, page_size })
}

/// Compares. Afterwards `collected` holds the pages that differ.
///
/// A page after `nPage` of any commit since its latest frame is not compared: a checkpoint at that moment left it out,
/// and pages that come back from the freelist need not be written again.
pub(super) fn compare(
    claim: &Claim,
    collected: &mut Collected,
    wal: &dyn ReadAt,
    (database, whole): (&dyn ReadAt, bool),
) -> io::Result<Copied> {
    let size = claim.page_size.to_usize();
    let (mut expected, mut found) = (vec![0; size], vec![0; size]);
    let mut copied = Copied { up_to: claim.up_to, ..Copied::default() };
    collected.settle();
    let Collected { sizes, latest, differing, .. } = collected;
    for FrameOfPage { page, frame } in latest.newest_of_each() {
        let at = claim.page_size.offset_in_database(page);
        if frame > claim.up_to || page > Collected::smallest_from(sizes, frame) {
            continue;
        }
        if !whole && at.saturating_add(size as u64) > database.len() {
            continue;
        }
        copied.pages += 1;
        if !same(wal, claim.page_size.page_offset_of(frame), &mut expected, database, at, &mut found)? {
            append(differing, page);
        }
    }
    copied.count(collected);
    Ok(copied)
}

fn same(
    wal: &dyn ReadAt,
    wal_at: u64,
    expected: &mut [u8],
    database: &dyn ReadAt,
    database_at: u64,
    found: &mut [u8],
) -> io::Result<bool> {
    // A WAL that became shorter is not used. Its header is read again later, which shows the change.
    if wal.read_at(expected, wal_at)? < expected.len() {
        return Ok(true);
    }
    Ok(database.read_at(found, database_at)? == found.len() && expected == found)
}

/// Removes what the present WAL explains: a page with a later frame may already have the content of that frame, and a
/// page after a later, smaller size may have been cut off.
pub(super) fn forgive(
    copied: &mut Copied,
    collected: &mut Collected,
    wal: &dyn ReadAt,
    facts: &WalFacts,
) -> io::Result<()> {
    let (Some(header), Some(page_size)) = (facts.header, facts.page_size()) else { return Ok(()) };
    if collected.differing.is_empty() {
        return Ok(());
    }
    let mut rewritten = BTreeSet::new();
    let mut smallest = u32::MAX;
    let mut number = FrameNumber(facts.frames.committed).next();
    let mut bytes = [0; FRAME_HEADER_SIZE];
    while wal.read_at(&mut bytes, page_size.offset_of(number))? == bytes.len() {
        let Some(frame) = parse_frame_header(&bytes, page_size.offset_of(number)).ok() else { break };
        if frame.salts != header.salts {
            break;
        }
        rewritten.insert(frame.page);
        if frame.is_commit() {
            smallest = smallest.min(frame.commit_pages);
        }
        number = number.next();
    }
    collected.differing.retain(|page| *page <= smallest && !rewritten.contains(page));
    copied.count(collected);
    Ok(())
}

impl Copied {
    fn count(&mut self, Collected { latest, differing, .. }: &Collected) {
        self.missing = differing.len() as u64;
        let latest = |page| latest.newest(page, FrameNumber::LARGEST).map(|frame| FrameOfPage { page, frame });
        self.listed = differing.iter().take(LISTED).filter_map(|page| latest(*page)).collect();
    }
}
