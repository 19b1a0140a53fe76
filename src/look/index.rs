//! The wal-index compared with the WAL: which page each frame holds, and whether a search finds the frame.

use std::io;
use std::sync::Arc;

use super::LISTED;
use crate::bytes::ReadAt;
use crate::format::shm::{IndexBlock, IndexHead, block_of};
use crate::number::{FrameNumber, FrameOfPage, PageNumber};
use crate::shm::{BlockFacts, IndexError, WalIndex};
use crate::wal::Frame;

/// A frame whose entry in the wal-index names another page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrongPage {
    /// The frame.
    pub frame: FrameNumber,
    /// Its page according to the wal-index.
    pub in_index: PageNumber,
    /// Its page according to the header of the frame.
    pub in_wal: PageNumber,
}

/// The result of comparing the wal-index with the frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexCheck {
    /// Number of frames up to `mxFrame` that are in the WAL and were compared with their entry.
    pub compared: u64,
    /// Number of blocks that were read.
    pub blocks: u64,
    /// Number of frames whose entry names another page.
    pub wrong_pages: u64,
    /// The first of these frames.
    pub wrong_listed: Vec<WrongPage>,
    /// Number of frames up to `mxFrame` for which the file has no block: it is too short.
    pub unindexed: u64,
    /// Number of frames with an entry that a search for their page does not meet.
    pub unreachable: u64,
    /// The first of these frames.
    pub unreachable_listed: Vec<FrameNumber>,
    /// Number of blocks with entries in which no slot is empty. Every search there fails.
    pub full_blocks: u64,
    /// Number of slots that point to an entry to which another slot already points.
    pub duplicate_slots: u64,
    /// Number of slots that a search meets after the slot of a newer frame of the same page.
    pub misordered_slots: u64,
    /// The first of these frames.
    pub misordered_listed: Vec<FrameOfPage>,
}

/// Compares the wal-index with the frames while the WAL is read. It holds one block at a time, however long the WAL is.
pub(super) struct Comparison {
    bytes: Arc<dyn ReadAt>,
    head: IndexHead,
    mx_frame: FrameNumber,
    block: Option<IndexBlock>,
    /// The block that was used last, whether it exists or not.
    asked: Option<u32>,
    found: IndexCheck,
    failed: Option<io::Error>,
}

impl Comparison {
    pub(super) fn new(bytes: Arc<dyn ReadAt>, head: &IndexHead, mx_frame: FrameNumber) -> Self {
        Self { bytes, head: *head, mx_frame, block: None, asked: None, found: IndexCheck::default(), failed: None }
    }

    pub(super) fn take(&mut self, frame: &Frame) {
        if frame.number > self.mx_frame {
            return;
        }
        self.turn_to(block_of(frame.number));
        match self.block.as_ref().and_then(|block| block.page_of(frame.number)) {
            None => self.found.unindexed += 1,
            Some(page) => {
                self.found.compared += 1;
                if page != frame.header.page {
                    self.found.wrong_pages += 1;
                    if self.found.wrong_listed.len() < LISTED {
                        let (frame, in_wal) = (frame.number, frame.header.page);
                        self.found.wrong_listed.push(WrongPage { frame, in_index: page, in_wal });
                    }
                }
            }
        }
    }

    fn turn_to(&mut self, number: u32) {
        if self.asked.replace(number) == Some(number) {
            return;
        }
        self.block = match WalIndex::with_head(self.bytes.as_ref(), self.head).block(number) {
            Ok(block) => Some(block),
            Err(IndexError::Parse(_)) => None,
            Err(IndexError::Io(error)) => {
                self.failed.get_or_insert(error);
                None
            }
        };
        let Some(block) = &self.block else { return };
        let facts = BlockFacts::of(block, self.mx_frame);
        self.found.blocks += 1;
        self.found.unreachable += facts.unreachable_frames as u64;
        self.found.full_blocks += u64::from(facts.full && facts.indexed > 0);
        self.found.duplicate_slots += facts.duplicate_slots as u64;
        self.found.misordered_slots += facts.misordered_slots as u64;
        let room = LISTED - self.found.misordered_listed.len();
        self.found.misordered_listed.extend(facts.misordered.into_iter().take(room));
        let room = LISTED - self.found.unreachable_listed.len();
        self.found.unreachable_listed.extend(facts.unreachable.into_iter().take(room));
    }

    pub(super) fn finish(self) -> io::Result<IndexCheck> {
        self.failed.map_or(Ok(self.found), Err)
    }
}
