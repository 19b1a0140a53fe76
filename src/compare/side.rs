//! One side of a comparison, and how a capture becomes one.

use std::sync::Arc;

use crate::bytes::ReadAt;
use crate::evidence::Evidence;
use crate::format::shm::IndexHead;
use crate::number::Stride;
use crate::wal::WalFacts;

/// One side of a comparison: what was seen of one database from one place.
#[derive(Clone)]
#[non_exhaustive]
pub struct Side {
    /// What sentences call the side.
    pub label: String,
    /// The process whose view was asked for by its number; `None` for any process of a container, or this one.
    pub process: Option<u32>,
    /// Whether what was read is of one moment.
    pub stable: bool,
    /// What was seen besides the bytes.
    pub evidence: Evidence,
    /// The head of the `-shm`; `None`: there is no `-shm`, it is shorter than a head, or it was not read.
    pub shm: Option<IndexHead>,
    /// The `-wal`; the facts of an absent one where there is none or it was not read.
    pub wal: WalFacts,
    /// Whether `wal` tells what there was: `false` where the `-wal` was not read.
    pub wal_captured: bool,
    /// Frame headers to look up by number; `None` where they were not read.
    pub frame_headers: Option<FrameHeaders>,
}

/// Where frame headers are.
#[derive(Clone)]
pub struct FrameHeaders {
    /// The `-wal`, or its headers only.
    pub bytes: Arc<dyn ReadAt>,
    /// How far apart: headers alone, or headers with their pages.
    pub stride: Stride,
}

impl Side {
    /// A stable side of which no bytes were read.
    #[must_use]
    pub fn new(label: impl Into<String>, evidence: Evidence) -> Self {
        Self {
            label: label.into(),
            process: None,
            stable: true,
            evidence,
            shm: None,
            wal: WalFacts::absent(),
            wal_captured: false,
            frame_headers: None,
        }
    }
}
