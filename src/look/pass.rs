//! The one pass over a `-wal`: what it collects for the other checks.

use std::io;

use crate::bytes::ReadAt;
use crate::format::shm::IndexHead;
use crate::format::wal::{FRAME_HEADER_SIZE, FrameHeader, HEADER_SIZE, WalHeader, parse_header};
use crate::number::{FrameNumber, PageNumber};
use crate::wal::frames::{self, FrameBytes};
use crate::wal::{Frame, Scan, WalFacts};

use super::backfill::Collected;
use super::behind::{self, BehindBreak};
use super::collected::Pages;
use super::index::{Comparison, IndexCheck};
use super::page_ones::Images;
use super::stale::Stale;
use super::{Depth, EachFrame, NotCompared, Options, WalSeen};

/// What is collected while the frames go by.
#[derive(Default)]
pub(super) struct Pass {
    pub(super) header: Option<WalHeader>,
    /// `mxFrame` of a wal-index that belongs to this WAL, else 0.
    mx_frame: FrameNumber,
    index: Option<Comparison>,
    /// The page of each valid frame.
    pub(super) pages: Pages,
    /// What is to be held against the database, where frames are claimed to be copied.
    pub(super) claimed: Option<Collected>,
    behind: behind::Collected,
    /// The frames of the generation before, which are to be held against the database.
    pub(super) stale: Stale,
    pub(super) at_mx_frame: Option<FrameHeader>,
    /// Where the committed images of page 1 are, and where the latest one of a transaction without a commit is.
    pub(super) page_ones: Option<Images>,
    page_one_open: Option<u64>,
    /// Pages that the last commit before the first image counts.
    commit_before_page_one: Option<u32>,
}

impl Pass {
    /// Prepares the pass for a WAL and the wal-index that was read before it. `claimed`: `nBackfill` is not 0.
    pub(super) fn new(
        wal: &WalSeen,
        head: Option<&IndexHead>,
        index: Option<std::sync::Arc<dyn ReadAt>>,
        claimed: bool,
    ) -> io::Result<Self> {
        let header = wal_header(wal)?;
        let of_this_wal = head.filter(|head| {
            head.trusted()
                .zip(header)
                .is_some_and(|(shm, wal)| shm.salts == wal.salts && shm.mx_frame > FrameNumber::NONE)
        });
        let mx_frame = of_this_wal.and_then(IndexHead::trusted).map_or(FrameNumber::NONE, |header| header.mx_frame);
        Ok(Self {
            header,
            mx_frame,
            index: of_this_wal.zip(index).map(|(head, bytes)| Comparison::new(bytes, head, mx_frame)),
            claimed: (claimed && mx_frame > FrameNumber::NONE).then(Collected::default),
            ..Self::default()
        })
    }

    /// Reads the WAL once, as much of it as the options ask for.
    pub(super) fn run(
        &mut self,
        wal: &WalSeen,
        options: &Options<'_>,
        each: Option<EachFrame<'_>>,
    ) -> io::Result<Option<WalFacts>> {
        match (wal, options.depth, each) {
            (WalSeen::NotSeen, ..) => Ok(None),
            (WalSeen::Absent, ..) => Ok(Some(WalFacts::absent())),
            (_, Depth::Heads, _) => Ok(None),
            (WalSeen::Headers { bytes, facts }, _, Some(each)) => {
                frames::visit(
                    FrameBytes::Headers(bytes.as_ref()),
                    facts,
                    FrameNumber::FIRST..=FrameNumber::LARGEST,
                    1,
                    &mut |seen| {
                        each(&seen.frame, seen.content.identity());
                        Ok(())
                    },
                )?;
                Ok(Some((**facts).clone()))
            }
            (WalSeen::Headers { facts, .. }, _, None) => Ok(Some((**facts).clone())),
            (WalSeen::Whole(bytes), depth, each) => {
                let len = bytes.len();
                let mut progress = |done| options.progress.iter().for_each(|progress| progress(done, len));
                let scan = Scan::new(bytes.as_ref()).threads(options.threads.get());
                let scan = if options.progress.is_some() { scan.progress(&mut progress) } else { scan };
                match (each, depth) {
                    (Some(each), Depth::CrossChecked) => scan.pages_outside_of_holes(&mut |frame, page| {
                        self.take(frame);
                        each(frame, page);
                    }),
                    (Some(each), _) => scan.pages_outside_of_holes(&mut |frame, page| {
                        self.take_page_one(frame);
                        each(frame, page);
                    }),
                    (None, Depth::CrossChecked) => scan.frames_outside_of_holes(&mut |frame| self.take(frame)),
                    (None, _) => scan.frames_outside_of_holes(&mut |frame| self.take_page_one(frame)),
                }
                .map(Some)
            }
        }
    }

    fn take(&mut self, frame: &Frame) {
        if frame.number == self.mx_frame {
            self.at_mx_frame = Some(frame.header);
        }
        if !frame.valid {
            if let Some(header) = self.header {
                self.behind.take(frame, header.salts);
                self.stale.take(frame, header.salts);
            }
            return;
        }
        self.pages.take(frame);
        if let Some(index) = &mut self.index {
            index.take(frame);
        }
        if let Some(claimed) = &mut self.claimed {
            claimed.take(frame);
        }
        if frame.header.is_commit() {
            self.stale.take_commit(frame);
        }
        self.take_page_one(frame);
    }

    /// Notes the committed images of page 1.
    fn take_page_one(&mut self, frame: &Frame) {
        if !frame.valid {
            return;
        }
        if frame.header.page == PageNumber(1) {
            self.page_one_open = Some(frame.offset.saturating_add(FRAME_HEADER_SIZE as u64));
        }
        if frame.header.is_commit()
            && let Some(latest) = self.page_one_open.take()
        {
            self.page_ones =
                Some(Images::and(self.page_ones, latest, frame.header.commit_pages, self.commit_before_page_one));
        }
        if frame.header.is_commit() && self.page_ones.is_none() {
            self.commit_before_page_one = Some(frame.header.commit_pages);
        }
    }

    /// The commits behind the break of the chain.
    pub(super) fn behind_break(&mut self, wal: &WalSeen, facts: Option<&WalFacts>) -> io::Result<BehindBreak> {
        let behind = std::mem::take(&mut self.behind);
        match (wal, facts) {
            (WalSeen::Whole(bytes), Some(facts)) => behind.finish(bytes.as_ref(), facts),
            _ => Ok(BehindBreak::default()),
        }
    }

    /// The result of comparing the wal-index with the frames.
    pub(super) fn index_result(&mut self, wal: &WalSeen) -> io::Result<Result<IndexCheck, NotCompared>> {
        if !matches!(wal, WalSeen::Whole(_)) {
            return Ok(Err(NotCompared::NoFrames));
        }
        match self.index.take() {
            Some(index) => index.finish().map(Ok),
            None => Ok(Err(NotCompared::NoIndexOfThisWal)),
        }
    }
}

/// The header of the WAL, read again now.
pub(super) fn wal_header(wal: &WalSeen) -> io::Result<Option<WalHeader>> {
    match wal {
        WalSeen::Absent | WalSeen::NotSeen => Ok(None),
        WalSeen::Headers { facts, .. } => Ok(facts.header),
        WalSeen::Whole(bytes) => {
            let mut head = [0; HEADER_SIZE];
            let got = bytes.read_at(&mut head, 0)?;
            Ok(parse_header(head.get(..got).unwrap_or_default()).ok())
        }
    }
}
