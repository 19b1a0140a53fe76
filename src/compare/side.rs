//! One side of a comparison, and how a capture becomes one.

use std::sync::Arc;

use crate::bytes::ReadAt;
use crate::evidence::{Evidence, UnstableCause};
use crate::format::db::DatabaseHead;
use crate::format::shm::IndexHead;
use crate::number::Stride;
use crate::wal::WalFacts;

/// One side of a comparison: what was seen of one database from one place.
#[derive(Clone)]
#[non_exhaustive]
pub struct Side {
    /// The name of the side in sentences.
    pub label: String,
    /// The process whose view was requested by its number. `None`: any process of a container, or this process.
    pub process: Option<u32>,
    /// Whether what was read is of one moment.
    pub stable: bool,
    /// Why it is not, where that was recorded.
    pub unstable: Option<UnstableCause>,
    /// What was seen besides the bytes.
    pub evidence: Evidence,
    /// The head of the database. `None`: it was not read.
    pub database: Option<DatabaseHead>,
    /// The head of the `-shm`. `None`: there is no `-shm`, it is shorter than a head, or it was not read.
    pub shm: Option<IndexHead>,
    /// The `-wal`. If there is none or it was not read, these are the facts of an absent one.
    pub wal: WalFacts,
    /// Whether `wal` describes the file. `false`: the `-wal` was not read.
    pub wal_captured: bool,
    /// The frame headers, by number. `None`: they were not read.
    pub frame_headers: Option<FrameHeaders>,
}

/// Where frame headers are.
#[derive(Clone)]
pub struct FrameHeaders {
    /// The bytes of the `-wal`, or of its headers only.
    pub bytes: Arc<dyn ReadAt>,
    /// The distance between frames: headers alone, or headers with their pages.
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
            unstable: None,
            evidence,
            database: None,
            shm: None,
            wal: WalFacts::absent(),
            wal_captured: false,
            frame_headers: None,
        }
    }
}
