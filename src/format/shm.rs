//! The `-shm` (wal-index).
use super::ParseError;

/// The byte order of the machine that wrote a `-shm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Little-endian.
    Little,
    /// Big-endian.
    Big,
}

/// One 48-byte copy of the wal-index header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexHeader {
    /// `iVersion`, 3007000.
    pub version: u32,
    /// `unused`.
    pub unused: u32,
    /// `iChange`.
    pub change_counter: u32,
    /// `isInit`.
    pub initialized: u8,
    /// `bigEndCksum`: checksums of the WAL are over big-endian words.
    pub big_endian_checksums: u8,
    /// `szPage`, decoded: 1 is 65536; 0 after a recovery without a commit.
    pub page_size: u32,
    /// `mxFrame`.
    pub mx_frame: u32,
    /// `nPage`.
    pub database_pages: u32,
    /// `aFrameCksum`.
    pub frame_checksum: [u32; 2],
    /// `aSalt`, as the WAL's big-endian numbers (raw bytes of the WAL header in either byte order of the `-shm`).
    pub salts: [u32; 2],
    /// `aCksum`.
    pub checksum: [u32; 2],
    /// Whether `checksum` is right over the first 40 bytes.
    pub checksum_ok: bool,
}

/// `WalCkptInfo`: offsets 96 to 136.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// `nBackfill`.
    pub backfilled: u32,
    /// `aReadMark`, `None` for 0xffffffff (unused).
    pub read_marks: [Option<u32>; 5],
    /// The 8 lock bytes; their values mean nothing.
    pub lock_bytes: [u8; 8],
    /// `nBackfillAttempted`.
    pub backfill_attempted: u32,
}

/// The first 136 bytes of a `-shm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexHead {
    /// Byte order, told by `iVersion`. Little when neither copy tells.
    pub byte_order: ByteOrder,
    /// Whether one of the copies has the version 3007000 in `byte_order`.
    pub byte_order_known: bool,
    /// Copy 0 and copy 1.
    pub headers: [IndexHeader; 2],
    /// Whether the 48 bytes of both copies are equal.
    pub headers_agree: bool,
    /// Checkpoint info.
    pub checkpoint: CheckpointInfo,
}

impl IndexHead {
    /// The header SQLite would use: both copies equal, checksum right, initialized. `None`: a reader would retry or recover.
    #[must_use]
    pub fn trusted(&self) -> Option<&IndexHeader> {
        let [first, _] = &self.headers;
        (self.headers_agree && first.checksum_ok && first.initialized != 0).then_some(first)
    }
}

/// Bytes of the head: two headers and the checkpoint info.
pub const HEAD_SIZE: usize = 136;

/// Reads the head of a `-shm`.
///
/// # Errors
/// When there are fewer than 136 bytes.
pub fn parse_head(bytes: &[u8]) -> Result<IndexHead, ParseError> {
    let _ = bytes;
    todo!()
}
