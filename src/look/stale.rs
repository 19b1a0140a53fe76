//! Whether the database holds the frames of the generation before the current one. A WAL is restarted only after all of
//! its frames were copied. So the last committed images of that generation are in the database, unless the current
//! generation or a smaller size explains another content.
//!
//! folklore: a writer that was killed after its commit frame and before the wal-index showed it leaves such frames too,
//! if other connections lived on: the next, shorter transaction overwrites only the first of them, and they are never
//! copied. Held by `a_writer_killed_before_the_index_showed_its_commit_leaves_a_warning_and_no_error`.

use std::io;

use super::collected::{Pages, Sizes};
use super::later::Later;
use super::one_page::{InPlace, in_place};
use super::{LISTED, NotCompared};
use crate::bytes::ReadAt;
use crate::format::db::{self, DatabaseHead, DatabaseHeader};
use crate::number::{FrameNumber, FrameOfPage, PageNumber, PageSize, Salts};
use crate::wal::Frame;
use crate::wal::latest::{Column, FrameIndex, append};

/// The result of comparing the frames of the generation before with the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StaleInDatabase {
    /// The salts of that generation.
    pub salts: Salts,
    /// Number of its committed frames that follow one another, and were looked at.
    pub frames: u64,
    /// Number of pages that were compared.
    pub pages: u64,
    /// Number of pages that are different in the database.
    pub missing: u64,
    /// The first of these pages.
    pub listed: Vec<FrameOfPage>,
    /// Those of the listed pages that are all zeros in the database.
    pub zeros: Vec<PageNumber>,
    /// The header in the last of these frames that holds page 1.
    pub page_one: Option<DatabaseHeader>,
}

/// The frames after the valid chain, as the pass collects them.
///
/// At most 21.5 bytes for each frame: 12.5 while the index is made, and 9 for each commit that changed the size.
/// Afterwards the column is freed, and a page that differs takes at most 4.5. For other frames it is less.
#[derive(Debug, Default)]
pub(super) struct Stale {
    run: Option<Run>,
    /// Whether the run has ended, or there is none.
    ended: bool,
    /// Pages of frames that may have been copied later than the run: frames of the current generation after the break,
    /// and frames of the generation before that do not follow the run. Sorted after the pass.
    elsewhere: Vec<PageNumber>,
    /// The smallest size of the database that one of those commits, or of the valid commits of the current generation,
    /// has stated.
    smallest: Option<u32>,
}

/// Frames of the generation before that follow one another.
#[derive(Debug)]
struct Run {
    salts: Salts,
    /// The frame that begins the run. Nothing vouches for it: the frame before it was overwritten.
    begins: u32,
    /// The pages of the frames after that one.
    pages: Column,
    sizes: Sizes,
    /// How many of these frames there are up to the last commit.
    committed: u64,
    /// More frames of this generation follow the run. A damaged frame may have ended it: then frames after the last commit
    /// can be of a transaction that was committed, and copied.
    goes_on: bool,
    /// The index of the frames up to the last commit, made from the pages after the pass. Its frame 1 is the frame after
    /// the one that begins the run.
    index: FrameIndex,
    /// Pages that are different in the database, in ascending order.
    differing: Vec<PageNumber>,
    /// The first of these that are all zeros there.
    zeros: Vec<PageNumber>,
}

impl Stale {
    /// Takes the next valid commit frame.
    pub(super) fn take_commit(&mut self, frame: &Frame) {
        let pages = frame.header.commit_pages;
        self.smallest = Some(self.smallest.map_or(pages, |smallest| smallest.min(pages)));
    }

    /// Takes the next frame after the valid chain. `current`: the salts of the header.
    pub(super) fn take(&mut self, frame: &Frame, current: Salts) {
        let Some(number) = frame.number.to_u32() else { return };
        let of_current = frame.header.salts == current;
        match &mut self.run {
            _ if of_current => self.take_elsewhere(frame),
            Some(run) if !self.ended && run.continued_by(frame, number) => run.take(frame),
            Some(run) => {
                self.ended = true;
                // A frame of the generation whose salts were damaged also says what was written later.
                if run.salts.agree_by_half(frame.header.salts) {
                    run.goes_on = true;
                    self.take_elsewhere(frame);
                }
            }
            None if !self.ended && frame.header.salts.restarted_as(current) => {
                self.run = Some(Run {
                    salts: frame.header.salts,
                    begins: number,
                    pages: Column::default(),
                    sizes: Sizes::default(),
                    committed: 0,
                    goes_on: false,
                    index: FrameIndex::default(),
                    differing: Vec::new(),
                    zeros: Vec::new(),
                });
            }
            None => self.ended = true,
        }
    }

    fn take_elsewhere(&mut self, frame: &Frame) {
        append(&mut self.elsewhere, frame.header.page);
        if frame.header.is_commit() {
            self.take_commit(frame);
        }
    }

    /// Compares. `pages`: the valid frames of the current generation.
    pub(super) fn compare(
        &mut self,
        page_size: PageSize,
        pages: &mut Pages,
        wal: &dyn ReadAt,
        (database, whole): (&dyn ReadAt, bool),
    ) -> io::Result<Result<StaleInDatabase, NotCompared>> {
        let Some(run) = self.run.as_mut().filter(|run| run.committed > 0) else {
            return Ok(Err(NotCompared::NoFramesOfGenerationBefore));
        };
        let current = pages.index();
        if run.goes_on {
            run.pages.after(run.committed).iter().for_each(|page| append(&mut self.elsewhere, *page));
        }
        self.elsewhere.sort_unstable();
        let size = page_size.to_usize();
        let (mut expected, mut found) = (vec![0; size], vec![0; size]);
        let mut compared = StaleInDatabase { salts: run.salts, frames: run.committed, ..StaleInDatabase::default() };
        run.sizes.settle();
        run.index = std::mem::take(&mut run.pages).index(run.committed);
        for FrameOfPage { page, frame } in run.index.newest_of_each() {
            let frame = run.number_of(frame);
            let at = page_size.offset_in_database(page);
            let kept =
                page <= run.sizes.smallest_from(frame) && self.smallest.is_none_or(|smallest| page.0 <= smallest);
            let elsewhere = current.frames(page).len() > 0 || self.elsewhere.binary_search(&page).is_ok();
            if !kept || elsewhere {
                continue;
            }
            if !whole && at.saturating_add(size as u64) > database.len() {
                continue;
            }
            compared.pages += 1;
            let is = in_place(wal, page_size.page_offset_of(frame), &mut expected, database, at, &mut found)?;
            if is != InPlace::Same {
                append(&mut run.differing, page);
            }
            if is == InPlace::Zeros && run.zeros.len() < LISTED {
                run.zeros.push(page);
            }
        }
        compared.count(run);
        if let Some(one) = run.newest(PageNumber(1)) {
            let mut head = [0; db::HEADER_SIZE];
            let got = wal.read_at(&mut head, page_size.page_offset_of(one.frame))?;
            let head = db::parse_head(head.get(..got).unwrap_or_default()).ok();
            compared.page_one = head.as_ref().and_then(DatabaseHead::plain).copied();
        }
        Ok(if compared.pages > 0 { Ok(compared) } else { Err(NotCompared::AllWrittenAgain) })
    }

    /// Removes what was added to the WAL since: [`Later::explains`], and what that has overwritten.
    pub(super) fn forgive(&mut self, compared: &mut StaleInDatabase, later: &Later) {
        if let Some(run) = &mut self.run {
            let mut differing = std::mem::take(&mut run.differing);
            let overwritten = |page| run.newest(page).is_some_and(|newest| later.overwrote(newest.frame));
            differing.retain(|page| !later.explains(*page) && !overwritten(*page));
            run.differing = differing;
            compared.count(run);
        }
    }
}

impl Run {
    /// Whether a frame follows the last one of the run.
    fn continued_by(&self, frame: &Frame, number: u32) -> bool {
        let next = u64::from(self.begins) + self.pages.len() as u64 + 1;
        u64::from(number) == next && frame.header.salts == self.salts && frame.checksum_ok && frame.header.page != 0
    }

    /// The number in the file of a frame of the index.
    fn number_of(&self, frame: FrameNumber) -> FrameNumber {
        FrameNumber(frame.count().saturating_add(self.begins.into()))
    }

    /// The last frame of a page, by its number in the file.
    fn newest(&self, page: PageNumber) -> Option<FrameOfPage> {
        let frame = self.index.newest(page, FrameNumber::LARGEST)?;
        Some(FrameOfPage { page, frame: self.number_of(frame) })
    }

    fn take(&mut self, frame: &Frame) {
        self.pages.push(frame.header.page);
        if frame.header.is_commit() {
            self.sizes.take(frame);
            self.committed = self.pages.len() as u64;
        }
    }
}

impl StaleInDatabase {
    fn count(&mut self, run: &Run) {
        self.missing = run.differing.len() as u64;
        self.listed = run.differing.iter().take(LISTED).filter_map(|page| run.newest(*page)).collect();
        let listed = |page: &&PageNumber| self.listed.iter().any(|one| one.page == **page);
        self.zeros = run.zeros.iter().filter(listed).copied().collect();
    }
}
