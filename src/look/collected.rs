//! What the pass over a `-wal` collects of each frame for the comparisons after it. The memory depends on the number of
//! frames, not on the numbers in them.

use crate::number::{FrameNumber, PageNumber};
use crate::wal::Frame;
use crate::wal::latest::{Column, FrameIndex, append};

/// The page of each valid frame, and the index that is made of it as soon as a comparison needs it.
///
/// At most 4.5 bytes for each frame during the pass, and 12.5 while the index is made. Then the column is freed, and the
/// index has at most 8.
#[derive(Debug)]
pub(super) enum Pages {
    /// The pass is under way.
    Column(Column),
    /// The frames of each page, uncommitted frames at the end too.
    Index(FrameIndex),
}

impl Default for Pages {
    fn default() -> Self {
        Self::Column(Column::default())
    }
}

impl Pages {
    /// Takes the next valid frame.
    pub(super) fn take(&mut self, frame: &Frame) {
        // SQLite counts frames in 32 bits.
        if let (Self::Column(column), Some(_)) = (self, frame.number.to_u32()) {
            column.push(frame.header.page);
        }
    }

    /// The index of the frames, made only if it is `wanted`; else the index of no frames.
    pub(super) fn index_if(&mut self, wanted: bool) -> &FrameIndex {
        if wanted { self.index() } else { FrameIndex::NONE }
    }

    /// The index of the frames.
    pub(super) fn index(&mut self) -> &FrameIndex {
        if let Self::Column(column) = self {
            *self = Self::Index(std::mem::take(column).index(u64::MAX));
        }
        match self {
            Self::Index(index) => index,
            Self::Column(_) => FrameIndex::NONE,
        }
    }
}

/// How small the database was after each commit of a run of frames.
///
/// Frame and size of each commit that is smaller than all later ones are kept, so both increase: at most 9 bytes for each
/// commit.
#[derive(Debug, Default)]
pub(super) struct Sizes(Vec<(u32, u32)>);

impl Sizes {
    /// Takes the size after the commit in this frame.
    pub(super) fn take(&mut self, frame: &Frame) {
        let Some(number) = frame.number.to_u32() else { return };
        let pages = frame.header.commit_pages;
        while self.0.last().is_some_and(|(_, before)| *before >= pages) {
            self.0.pop();
        }
        append(&mut self.0, (number, pages));
    }

    /// The smallest number of pages that the database had at any commit from this frame on; 0 without such a commit.
    pub(super) fn smallest_from(&self, frame: FrameNumber) -> PageNumber {
        let at = self.0.partition_point(|(commit, _)| FrameNumber::from(*commit) < frame);
        PageNumber(self.0.get(at).map_or(0, |(_, pages)| *pages))
    }

    /// Frees the room that no commit took.
    pub(super) fn settle(&mut self) {
        self.0.shrink_to_fit();
    }
}
