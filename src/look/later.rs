//! What was added to the WAL after it was read: it explains pages of the database that no earlier frame explains.

use std::collections::BTreeSet;
use std::io;

use crate::bytes::ReadAt;
use crate::format::wal::{FRAME_HEADER_SIZE, parse_frame_header};
use crate::number::{FrameNumber, PageNumber};
use crate::wal::WalFacts;

/// The frames after the last commit of the pass up to the last commit of now, in the present WAL. What is not committed yet
/// was not copied.
#[derive(Debug)]
pub(super) struct Later {
    rewritten: BTreeSet<PageNumber>,
    /// The smallest size that one of their commits gives the database.
    smallest: PageNumber,
    /// The last frame that is of the present generation by now, committed or not.
    written_up_to: FrameNumber,
}

impl Later {
    /// Reads the headers of these frames. `facts`: what the pass found.
    pub(super) fn read(wal: &dyn ReadAt, facts: &WalFacts) -> io::Result<Self> {
        let (smallest, written_up_to) = (PageNumber(u32::MAX), FrameNumber(facts.frames.committed));
        let mut later = Self { rewritten: BTreeSet::new(), smallest, written_up_to };
        let (Some(header), Some(page_size)) = (facts.header, facts.page_size()) else { return Ok(later) };
        let mut number = FrameNumber(facts.frames.committed).next();
        let mut bytes = [0; FRAME_HEADER_SIZE];
        let mut open = Vec::new();
        while wal.read_at(&mut bytes, page_size.offset_of(number))? == bytes.len() {
            let Some(frame) = parse_frame_header(&bytes, page_size.offset_of(number)).ok() else { break };
            if frame.salts != header.salts {
                break;
            }
            later.written_up_to = number;
            open.push(frame.page);
            if frame.is_commit() {
                later.rewritten.extend(open.drain(..));
                later.smallest = later.smallest.min(PageNumber(frame.commit_pages));
            }
            number = number.next();
        }
        Ok(later)
    }

    /// Whether something was committed since.
    pub(super) fn has_commits(&self) -> bool {
        !self.rewritten.is_empty()
    }

    /// Whether a frame of the generation before may have been overwritten when its page was read. SQLite writes the header of
    /// a frame before its page.
    pub(super) fn overwrote(&self, frame: FrameNumber) -> bool {
        frame <= self.written_up_to
    }

    /// Whether a later frame can be the reason that a page differs: the page may already have the content of that frame,
    /// and a page after a later, smaller size may have been cut off.
    pub(super) fn explains(&self, page: PageNumber) -> bool {
        let Self { rewritten, smallest, .. } = self;
        page > *smallest || rewritten.contains(&page)
    }
}
