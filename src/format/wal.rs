//! The `-wal`: header and frame headers.
use super::ParseError;
use super::checksum::ChecksumOrder;

/// Bytes of the WAL header.
pub const HEADER_SIZE: usize = 32;
/// Bytes of a frame header.
pub const FRAME_HEADER_SIZE: usize = 24;

/// The 32 bytes at the head of a `-wal`, as stored. Nothing in it has been checked but its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalHeader {
    /// 0x377f0682 or 0x377f0683.
    pub magic: u32,
    /// 3007000.
    pub format_version: u32,
    /// Bytes a page; 65536 is written plainly.
    pub page_size: u32,
    /// Counts checkpoints; not monotonic.
    pub checkpoint_sequence: u32,
    /// Salt-1.
    pub salt1: u32,
    /// Salt-2.
    pub salt2: u32,
    /// Checksum-1 of the first 24 bytes.
    pub checksum1: u32,
    /// Checksum-2 of the first 24 bytes.
    pub checksum2: u32,
    /// Whether the checksum of the first 24 bytes is right (in the order that the magic names; false under a bad magic).
    pub checksum_ok: bool,
}

impl WalHeader {
    /// The order that the magic names, if it is one of the two.
    #[must_use]
    pub fn checksum_order(&self) -> Option<ChecksumOrder> {
        match self.magic {
            0x377f_0682 => Some(ChecksumOrder::Little),
            0x377f_0683 => Some(ChecksumOrder::Big),
            _ => None,
        }
    }
}

/// Reads the header.
///
/// # Errors
/// When there are fewer than 32 bytes.
pub fn parse_header(bytes: &[u8]) -> Result<WalHeader, ParseError> {
    let _ = bytes;
    todo!()
}

/// The 24 bytes before each page, all big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Page number.
    pub page: u32,
    /// Pages of the database after this commit; 0 when the frame is no commit.
    pub commit_pages: u32,
    /// Salt-1.
    pub salt1: u32,
    /// Salt-2.
    pub salt2: u32,
    /// Checksum-1, cumulative.
    pub checksum1: u32,
    /// Checksum-2, cumulative.
    pub checksum2: u32,
}

/// Reads one frame header. `offset` is only for the error.
///
/// # Errors
/// When there are fewer than 24 bytes.
pub fn parse_frame_header(bytes: &[u8], offset: u64) -> Result<FrameHeader, ParseError> {
    let _ = (bytes, offset);
    todo!()
}
