//! Frames that are in no file, as `evidence` shows them.

use super::value::Value;

/// Frames that a left-over wal-index counts, and that are neither in the `-wal` nor marked as copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramesGone {
    /// Their number.
    pub frames: u64,
    /// By how many pages the database is shorter than they leave it.
    pub missing_pages: u64,
}

impl From<FramesGone> for Value {
    fn from(FramesGone { frames, missing_pages }: FramesGone) -> Self {
        Self::Fields(vec![("frames", frames.into()), ("missing_pages", missing_pages.into())])
    }
}
