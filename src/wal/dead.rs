//! Frames that are not part of the valid chain: what they are, by their salts and by their neighbours.
//!
//! A frame of an older generation has other salts than the header. But any bytes that once were written over a frame
//! have other salts too. Frames of a generation come in a row, have one pair of salts, and each follows from the
//! checksum that is stored in the frame before it. So the class of a row of frames with equal salts is decided when the
//! row ends. One row is open at a time, and the stretches that belong to no generation are kept in a list with a limit:
//! memory does not depend on the file.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use super::{Frame, FrameClass};
use crate::format::wal::FrameHeader;
use crate::number::{Checksum, FrameNumber, PageNumber, Salts};

/// The number of stretches of unrelated frames that are told apart from older generations. From the last of them on,
/// every frame with other salts counts as unrelated. In a hostile file frames of both kinds can alternate.
pub const STRETCHES_LISTED: usize = 1024;

/// Salt-1 of an older generation differs from that of the header by at most this many restarts; else it is compared
/// with nothing. A salt of other bytes is that near in one of 32,768 cases.
const RESTARTS: u32 = 1 << 16;

/// A page number up to this one is usual, whatever the size of the database: 64 GiB in pages of 4 KiB.
const USUAL_PAGES: u32 = 1 << 24;

/// Frames in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Stretch {
    /// The first of them.
    pub first: FrameNumber,
    /// The last of them.
    pub last: FrameNumber,
}

/// Whether a frame is in one of these stretches, which are in ascending order.
pub(super) fn is_in(stretches: &[Stretch], frame: FrameNumber) -> bool {
    let before = stretches.partition_point(|stretch| stretch.last < frame);
    stretches.get(before).is_some_and(|stretch| stretch.first <= frame)
}

/// What the header of a frame that is not part of the valid chain shows by itself; `None`: its neighbours decide between
/// an older generation and unrelated bytes.
///
/// folklore: where a transaction wrote a frame a second time, the frames after it have zero bytes as salts and checksum
/// until the commit (walEncodeFrame with `iReCksum`). Page and commit field are there. Held by
/// `salts_of_zero_with_a_checksum_are_no_unwritten_frame`.
#[inline]
pub(super) fn class_by_header(current: Option<Salts>, frame: &FrameHeader) -> Option<FrameClass> {
    if current == Some(frame.salts) {
        Some(FrameClass::Residue)
    } else if frame.salts == Salts::ZERO && frame.checksum == Checksum::ZERO {
        Some(FrameClass::Unwritten)
    } else {
        None
    }
}

/// Frames with equal salts, other than those of the header. Frames of zero bytes may be between them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) salts: Salts,
    first: FrameNumber,
    last: FrameNumber,
    pub(super) frames: u64,
    /// Whether one of them follows from the checksum that is stored in the one before it.
    follows: bool,
    /// Whether each of them can be a frame, by its page and its commit field.
    possible: bool,
    /// The largest page number or database size in them.
    largest: u32,
}

/// What is known besides the row itself.
pub(super) struct Around<'a> {
    pub(super) current: Salts,
    /// Whether a generation with these salts was found before.
    pub(super) known: &'a dyn Fn(Salts) -> bool,
    /// The largest page number and database size in the valid chain.
    pub(super) largest: u32,
}

impl Row {
    fn begin(frame: &Frame) -> Self {
        let (salts, number) = (frame.header.salts, frame.number);
        let mut row =
            Self { salts, first: number, last: number, frames: 0, follows: false, possible: true, largest: 0 };
        row.take(frame);
        row
    }

    fn take(&mut self, frame: &Frame) {
        let FrameHeader { page, commit_pages, .. } = frame.header;
        let neighbours = self.frames > 0 && self.last.next() == frame.number;
        self.follows |= neighbours && frame.checksum_ok && page != PageNumber::NONE;
        // folklore: a commit never holds a page after the end of the database: SQLite takes such pages out of the list
        // before it writes the frames (pager_wal_frames). Held by `a_lone_frame_of_an_older_generation_stays_stale`.
        self.possible &= page != PageNumber::NONE && (commit_pages == 0 || page <= commit_pages);
        self.largest = self.largest.max(page.0).max(commit_pages);
        self.frames += 1;
        self.last = frame.number;
    }

    /// Whether these can be frames of an older generation. A generation of which one frame is left has no neighbour that
    /// proves it. So what can innocently be left of a generation is not called unrelated.
    fn of_a_generation(&self, around: &Around<'_>, after_unrelated: bool) -> bool {
        if self.follows || (around.known)(self.salts) {
            return true;
        }
        let apart = self.salts.restarts_until(around.current);
        let near = self.salts != Salts::ZERO && apart.min(apart.wrapping_neg()) <= RESTARTS;
        // A connection that neither recovered nor restarted the WAL chooses both salts at random, so an older
        // generation can have any. But it does not begin among other bytes.
        let usual = self.largest <= around.largest.saturating_mul(4).max(USUAL_PAGES)
            && self.salts != Salts::ZERO
            && (self.frames > 1 || !after_unrelated);
        self.possible && (near || usual)
    }
}

/// Where frames of no generation are, and the row that is not decided yet.
#[derive(Debug, Default)]
pub(super) struct Rows {
    open: Option<Row>,
    pub(super) unrelated: Vec<Stretch>,
    /// Whether the last complete row was unrelated.
    in_stretch: bool,
}

impl Rows {
    /// Takes the next frame with other salts. Returns the row before it if that is complete now.
    #[inline]
    pub(super) fn take(&mut self, frame: &Frame) -> Option<Row> {
        if let Some(open) = &mut self.open
            && open.salts == frame.header.salts
        {
            open.take(frame);
            return None;
        }
        self.open.replace(Row::begin(frame))
    }

    /// The last row.
    pub(super) fn end(&mut self) -> Option<Row> {
        self.open.take()
    }

    /// Decides about a complete row: whether it is of an older generation. If not, it is listed here.
    pub(super) fn decide(&mut self, row: &Row, around: &Around<'_>) -> bool {
        let full = self.unrelated.len() >= STRETCHES_LISTED;
        if !full && row.of_a_generation(around, self.in_stretch) {
            self.in_stretch = false;
            return true;
        }
        // Frames between the rows of a stretch have classes that their headers show.
        match self.unrelated.last_mut() {
            Some(last) if self.in_stretch || full => last.last = row.last,
            _ => self.unrelated.push(Stretch { first: row.first, last: row.last }),
        }
        self.in_stretch = true;
        false
    }
}
