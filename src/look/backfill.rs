//! Whether the database holds the frames that `nBackfill` counts as copied. If not, this is what SQLite's wal-reset bug
//! leaves, or a database was restored beside a `-wal` and a `-shm` of another time.

use std::io;

use super::collected::Sizes;
use super::later::Later;
use super::one_page::{InPlace, in_place};
use super::{LISTED, NotCompared};
use crate::bytes::ReadAt;
use crate::format::shm::IndexHeader;
use crate::number::{FrameNumber, FrameOfPage, PageNumber, PageSize};
use crate::wal::latest::{FrameIndex, append};
use crate::wal::{Frame, WalFacts};

/// The result of comparing the frames up to `nBackfill` with the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// `nBackfill`: every frame up to it is claimed to be in the database.
    pub up_to: FrameNumber,
    /// Number of pages that were compared: those whose latest committed frame is at most `nBackfill`.
    pub pages: u64,
    /// Number of pages that are different in the database.
    pub missing: u64,
    /// The first of these pages.
    pub listed: Vec<FrameOfPage>,
    /// Those of the listed pages that are all zeros in the database.
    pub zeros: Vec<PageNumber>,
}

/// What is collected for this comparison, besides the page of each frame.
///
/// At most 9 bytes for each commit that changed the size. Afterwards a page that differs takes at most 4.5.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// How small the database was meanwhile.
    sizes: Sizes,
    /// The last committed frame: what follows was never copied.
    committed: FrameNumber,
    /// Pages that are different in the database, in ascending order.
    differing: Vec<PageNumber>,
    /// The first of these that are all zeros there.
    zeros: Vec<PageNumber>,
}

impl Collected {
    pub(super) fn take(&mut self, frame: &Frame) {
        if frame.header.is_commit() {
            self.sizes.take(frame);
        }
    }
}

/// An `nBackfill` that can be compared with the database.
pub(super) struct Claim {
    up_to: FrameNumber,
    committed: FrameNumber,
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
    Ok(Claim { up_to: backfilled, committed: FrameNumber(committed), page_size })
}

/// Compares. Afterwards `collected` holds the pages that differ.
///
/// A page after `nPage` of any commit since its latest frame is not compared: a checkpoint at that moment left it out,
/// and pages that come back from the freelist need not be written again.
pub(super) fn compare(
    claim: &Claim,
    collected: &mut Collected,
    latest: &FrameIndex,
    wal: &dyn ReadAt,
    (database, whole): (&dyn ReadAt, bool),
) -> io::Result<Copied> {
    let size = claim.page_size.to_usize();
    let (mut expected, mut found) = (vec![0; size], vec![0; size]);
    let mut copied = Copied { up_to: claim.up_to, ..Copied::default() };
    collected.sizes.settle();
    collected.committed = claim.committed;
    let Collected { sizes, differing, zeros, .. } = collected;
    for FrameOfPage { page, .. } in latest.newest_of_each() {
        let Some(frame) = latest.newest(page, claim.committed) else { continue };
        let at = claim.page_size.offset_in_database(page);
        if frame > claim.up_to || page > sizes.smallest_from(frame) {
            continue;
        }
        if !whole && at.saturating_add(size as u64) > database.len() {
            continue;
        }
        copied.pages += 1;
        let is = in_place(wal, claim.page_size.page_offset_of(frame), &mut expected, database, at, &mut found)?;
        if is != InPlace::Same {
            append(differing, page);
        }
        if is == InPlace::Zeros && zeros.len() < LISTED {
            zeros.push(page);
        }
    }
    copied.count(collected, latest);
    Ok(copied)
}

/// Removes what was added to the WAL since: [`Later::explains`].
pub(super) fn forgive(copied: &mut Copied, collected: &mut Collected, latest: &FrameIndex, later: &Later) {
    collected.differing.retain(|page| !later.explains(*page));
    copied.count(collected, latest);
}

impl Copied {
    fn count(&mut self, Collected { differing, committed, zeros, .. }: &Collected, latest: &FrameIndex) {
        self.missing = differing.len() as u64;
        let latest = |page| latest.newest(page, *committed).map(|frame| FrameOfPage { page, frame });
        self.listed = differing.iter().take(LISTED).filter_map(|page| latest(*page)).collect();
        let listed = |page: &&PageNumber| self.listed.iter().any(|one| one.page == **page);
        self.zeros = zeros.iter().filter(listed).copied().collect();
    }
}
