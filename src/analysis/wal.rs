//! The WAL as a whole: the valid chain and why it ends, commits, frame classes, generations.
use std::io;

use serde::{Deserialize, Serialize};

use crate::bytes::ReadAt;
use crate::format::wal::{FrameHeader, WalHeader};

/// Why the valid chain ends where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Every frame of the file is valid.
    EndOfFile,
    /// The next frame is cut short by the end of the file.
    TornFrame,
    /// The next frame has other salts than the header.
    SaltMismatch,
    /// The next frame's checksum does not follow.
    ChecksumMismatch,
    /// The next frame's page number is 0.
    PageZero,
    /// There is no `-wal`.
    NoFile,
    /// The `-wal` has no bytes (or, as to SQLite, no frame can start: exactly 32 bytes are `EndOfFile`).
    EmptyFile,
    /// 1 to 31 bytes.
    ShortHeader,
    /// Neither magic.
    BadMagic,
    /// No power of two from 512 to 65536.
    BadPageSize,
    /// The header's checksum is wrong.
    BadHeaderChecksum,
    /// The header is right but of another version: SQLite cannot open it.
    UnsupportedVersion,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameClass {
    /// Current salts, unbroken chain, up to the last commit.
    Committed,
    /// Current salts, unbroken chain, behind the last commit.
    Uncommitted,
    /// Current salts, behind a break of the chain.
    Residue,
    /// Other salts than the header's.
    Stale,
    /// Salts of zero: the file grew ahead of its frames.
    Unwritten,
}

/// Frames by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameCounts {
    /// Whole frames in the file.
    pub in_file: u64,
    /// `committed + uncommitted`.
    pub valid: u64,
    /// Up to the last commit.
    pub committed: u64,
    /// Valid, behind the last commit.
    pub uncommitted: u64,
    /// Current salts behind a break.
    pub residue: u64,
    /// Other salts.
    pub stale: u64,
    /// Zero salts.
    pub unwritten: u64,
    /// Bytes of a partial frame at the end.
    pub torn_bytes: u64,
}

/// Frames that share salts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Salt-1.
    pub salt1: u32,
    /// Salt-2.
    pub salt2: u32,
    /// Frames in the file with these salts.
    pub frames: u64,
}

/// The last commit of the valid chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCommit {
    /// Its frame, 1-based.
    pub frame: u64,
    /// Pages of the database after it.
    pub database_pages: u32,
    /// The cumulative checksum stored in it.
    pub checksum: [u32; 2],
}

/// One frame as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// 1-based, as SQLite counts.
    pub number: u64,
    /// Of the frame header, bytes from the start of the file.
    pub offset: u64,
    /// The header as stored.
    pub header: FrameHeader,
    /// Whether the stored checksum follows from the one stored in the frame before (in the WAL header for frame 1).
    pub checksum_ok: bool,
    /// Whether the chain from the header to here is unbroken: then `committed` or `uncommitted`, which the last commit tells.
    pub valid: bool,
}

/// What one pass over a WAL found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalFacts {
    /// Bytes in the file.
    pub file_size: u64,
    /// The header; `None` when there are fewer than 32 bytes.
    pub header: Option<WalHeader>,
    /// Frames by class.
    pub frames: FrameCounts,
    /// The first frame that is not part of the valid chain: `valid + 1`.
    pub end_frame: u64,
    /// Why the chain ends.
    pub end_reason: EndReason,
    /// Commit frames in the valid chain.
    pub commits: u64,
    /// The last of them.
    pub last_commit: Option<LastCommit>,
    /// Generations in order of first appearance, the current first; at most `GENERATIONS_LISTED`.
    pub generations: Vec<Generation>,
    /// Frames of generations beyond the listed ones.
    pub unlisted_generation_frames: u64,
}

impl WalFacts {
    /// There is no `-wal`.
    #[must_use]
    pub fn absent() -> Self {
        Self {
            file_size: 0,
            header: None,
            frames: FrameCounts::default(),
            end_frame: 1,
            end_reason: EndReason::NoFile,
            commits: 0,
            last_commit: None,
            generations: Vec::new(),
            unlisted_generation_frames: 0,
        }
    }

    /// Bytes a page, when the header can be used.
    #[must_use]
    pub fn page_size(&self) -> Option<u32> {
        let usable = !matches!(
            self.end_reason,
            EndReason::BadMagic | EndReason::BadPageSize | EndReason::BadHeaderChecksum | EndReason::UnsupportedVersion
        );
        self.header.filter(|_| usable).map(|header| header.page_size)
    }

    /// The class of one frame, known once the whole file was passed over.
    #[must_use]
    pub fn class_of(&self, frame: &Frame) -> FrameClass {
        let _ = frame;
        todo!()
    }
}

/// Passes once over a WAL in blocks, verifies every link, and hands each frame to `each` in order.
///
/// # Errors
/// Only what reading reported; bad content is part of the facts.
pub fn scan(wal: &dyn ReadAt, each: &mut dyn FnMut(&Frame)) -> io::Result<WalFacts> {
    let _ = (wal, each);
    todo!()
}
