//! Whether the database holds what `nBackfill` claims was copied: the footprint of SQLite's wal-reset bug, and of a
//! database that was restored beside a `-wal` and `-shm` of another day.

use std::collections::BTreeSet;
use std::io;

use super::{LISTED, NotCompared};
use crate::bytes::ReadAt;
use crate::format::shm::IndexHeader;
use crate::format::wal::{FRAME_HEADER_SIZE, parse_frame_header};
use crate::number::{FrameNumber, FrameOfPage, PageNumber, PageSize};
use crate::wal::{Frame, WalFacts};

/// What comparing the claimed frames with the database came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// `nBackfill`: every frame up to it is claimed to be in the database.
    pub up_to: FrameNumber,
    /// Pages whose latest frame is at most that, and that were compared.
    pub pages: u64,
    /// Pages that the database holds otherwise.
    pub missing: u64,
    /// The first of them.
    pub listed: Vec<FrameOfPage>,
}

/// The latest frame of each page, and how small the database was meanwhile: 8 bytes a frame, and 8 for each commit that
/// left another size.
#[derive(Debug, Default)]
pub(super) struct Latest {
    /// Page in the upper half, frame in the lower.
    frames: Vec<u64>,
    /// Frame and pages of each commit that is smaller than all behind it, so both count up.
    sizes: Vec<(u32, u32)>,
}

impl Latest {
    pub(super) fn take(&mut self, frame: &Frame) {
        // SQLite counts frames in 32 bits.
        let Some(number) = frame.number.to_u32() else { return };
        append(&mut self.frames, u64::from(frame.header.page.0) << 32 | u64::from(number));
        if frame.header.is_commit() {
            let pages = frame.header.commit_pages;
            while self.sizes.last().is_some_and(|(_, before)| *before >= pages) {
                self.sizes.pop();
            }
            append(&mut self.sizes, (number, pages));
        }
    }

    /// Keeps the latest frame of each page.
    fn settle(&mut self) {
        self.frames.sort_unstable();
        // Of neighbours with the same page the second is the later one.
        self.frames.reverse();
        self.frames.dedup_by_key(|frame| *frame >> 32);
        self.frames.reverse();
    }

    /// The fewest pages that the database had at any commit from this frame on.
    fn smallest_from(sizes: &[(u32, u32)], frame: FrameNumber) -> u32 {
        let at = sizes.partition_point(|(commit, _)| FrameNumber::from(*commit) < frame);
        sizes.get(at).map_or(0, |(_, pages)| *pages)
    }
}

/// A long list grows by an eighth, not to twice its length: of ten million frames with a commit each, both lists would
/// reserve 256 MiB, nearly half of them never used. Held by `memory_is_enough_for_a_commit_in_every_frame` with that many.
fn append<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 8).max(1024));
    }
    list.push(item);
}

fn parts(entry: u64) -> FrameOfPage {
    FrameOfPage { page: PageNumber((entry >> 32) as u32), frame: FrameNumber(entry & u64::from(u32::MAX)) }
}

/// A claim that can be held against the database.
pub(super) struct Claim {
    up_to: FrameNumber,
    page_size: PageSize,
}

/// Whether `nBackfill` claims anything here. At rest it counts only if the `-shm` belongs to this WAL to the frame:
/// the first to open the database recovers and starts from 0 in any case.
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

/// Compares; afterwards `latest` holds the pages that differ.
///
/// A page beyond `nPage` of any commit since its latest frame says nothing: a checkpoint at that moment left it out, and
/// pages that come back from the freelist need not be written again.
pub(super) fn compare(
    claim: &Claim,
    latest: &mut Latest,
    wal: &dyn ReadAt,
    (database, whole): (&dyn ReadAt, bool),
) -> io::Result<Copied> {
    let size = claim.page_size.to_usize();
    let (mut expected, mut found) = (vec![0; size], vec![0; size]);
    let mut copied = Copied { up_to: claim.up_to, ..Copied::default() };
    let mut failed = None;
    latest.settle();
    let Latest { frames, sizes } = latest;
    frames.retain(|entry| {
        let FrameOfPage { page, frame } = parts(*entry);
        let at = claim.page_size.offset_in_database(page);
        if frame > claim.up_to || page > Latest::smallest_from(sizes, frame) || failed.is_some() {
            return false;
        }
        if !whole && at.saturating_add(size as u64) > database.len() {
            return false;
        }
        copied.pages += 1;
        match same(wal, claim.page_size.page_offset_of(frame), &mut expected, database, at, &mut found) {
            Ok(same) => !same,
            Err(error) => {
                failed = Some(error);
                false
            }
        }
    });
    copied.count(latest);
    failed.map_or(Ok(copied), Err)
}

fn same(
    wal: &dyn ReadAt,
    wal_at: u64,
    expected: &mut [u8],
    database: &dyn ReadAt,
    database_at: u64,
    found: &mut [u8],
) -> io::Result<bool> {
    // A WAL that became shorter has no say; that it did is found by looking at its header again.
    if wal.read_at(expected, wal_at)? < expected.len() {
        return Ok(true);
    }
    Ok(database.read_at(found, database_at)? == found.len() && expected == found)
}

/// Takes out what the WAL as it is now explains: a page that has a later frame may hold that one already, and a page
/// beyond a later, smaller size may have been cut off.
pub(super) fn forgive(copied: &mut Copied, latest: &mut Latest, wal: &dyn ReadAt, facts: &WalFacts) -> io::Result<()> {
    let (Some(header), Some(page_size)) = (facts.header, facts.page_size()) else { return Ok(()) };
    if latest.frames.is_empty() {
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
    latest.frames.retain(|entry| {
        let page = parts(*entry).page;
        page <= smallest && !rewritten.contains(&page)
    });
    copied.count(latest);
    Ok(())
}

impl Copied {
    fn count(&mut self, differing: &Latest) {
        self.missing = differing.frames.len() as u64;
        self.listed = differing.frames.iter().take(LISTED).map(|entry| parts(*entry)).collect();
    }
}
