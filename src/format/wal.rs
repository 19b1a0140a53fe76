//! The `-wal`: header and frame headers.
//!
//! Every field is big-endian on every machine. The offsets are in [`super::layout::WAL_HEADER`] and
//! [`super::layout::FRAME_HEADER`]; the source is fileformat2, sections 4.1 and 4.2.

use std::ops::RangeInclusive;

use nom::number::complete::be_u32;
use nom::{IResult, Parser};

use super::checksum::{ChecksumOrder, Kernel, checksum};
use super::{ParseError, fixed};

/// `WAL_HDRSIZE`: bytes of the WAL header.
#[doc(alias = "WAL_HDRSIZE")]
pub const HEADER_SIZE: usize = 32;
/// `WAL_FRAME_HDRSIZE`: bytes of a frame header.
#[doc(alias = "WAL_FRAME_HDRSIZE")]
pub const FRAME_HEADER_SIZE: usize = 24;
/// `WAL_MAX_VERSION`: the only format version there has ever been.
#[doc(alias = "WAL_MAX_VERSION")]
pub const FORMAT_VERSION: u32 = 3_007_000;

/// The magic of a WAL whose checksums are over little-endian words.
pub const MAGIC_LITTLE: u32 = 0x377f_0682;

/// The magic of a WAL whose checksums are over big-endian words.
pub const MAGIC_BIG: u32 = 0x377f_0683;

/// The page sizes that SQLite takes: of these bounds, the powers of two.
pub const PAGE_SIZES: RangeInclusive<u32> = 512..=65536;
/// Bytes of the header, and of a frame header, that a checksum covers; the salts of a frame are not among them.
pub const HEADER_CHECKSUMMED: usize = 24;
/// Bytes of a frame header under the frame's checksum: page number and commit field.
const FRAME_CHECKSUMMED: usize = 8;

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
    #[doc(alias = "nCkpt")]
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
            MAGIC_LITTLE => Some(ChecksumOrder::Little),
            MAGIC_BIG => Some(ChecksumOrder::Big),
            _ => None,
        }
    }

    /// Whether the page size is a power of two from 512 to 65536, the only ones that SQLite takes.
    #[must_use]
    pub fn page_size_ok(&self) -> bool {
        self.page_size.is_power_of_two() && PAGE_SIZES.contains(&self.page_size)
    }

    /// Both salts.
    #[must_use]
    pub fn salts(&self) -> [u32; 2] {
        [self.salt1, self.salt2]
    }

    /// Both halves of the checksum: what the first frame continues.
    #[must_use]
    pub fn checksums(&self) -> [u32; 2] {
        [self.checksum1, self.checksum2]
    }
}

/// Reads the header. Offsets: [`super::layout::WAL_HEADER`].
///
/// # Errors
/// When there are fewer than 32 bytes.
pub fn parse_header(bytes: &[u8]) -> Result<WalHeader, ParseError> {
    let mut header = fixed("WAL header", 0, HEADER_SIZE, bytes, header)?;
    if let (Some(order), Some(covered)) = (header.checksum_order(), bytes.get(..HEADER_CHECKSUMMED)) {
        header.checksum_ok = checksum(order, [0, 0], covered) == header.checksums();
    }
    Ok(header)
}

fn header(input: &[u8]) -> IResult<&[u8], WalHeader> {
    let fields = (be_u32, be_u32, be_u32, be_u32, be_u32, be_u32, be_u32, be_u32);
    fields
        .map(|(magic, format_version, page_size, checkpoint_sequence, salt1, salt2, checksum1, checksum2)| WalHeader {
            magic,
            format_version,
            page_size,
            checkpoint_sequence,
            salt1,
            salt2,
            checksum1,
            checksum2,
            checksum_ok: false,
        })
        .parse(input)
}

/// The 24 bytes before each page, all big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Page number.
    pub page: u32,
    /// Pages of the database after this commit; 0 when the frame is no commit.
    #[doc(alias = "nTruncate")]
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

impl FrameHeader {
    /// What stands where nothing was written.
    pub const ZERO: Self = Self { page: 0, commit_pages: 0, salt1: 0, salt2: 0, checksum1: 0, checksum2: 0 };

    /// As [`parse_frame_header`], for a pass over millions of them: six words at fixed places.
    #[must_use]
    pub fn of(bytes: &[u8; FRAME_HEADER_SIZE]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_be_bytes(*word));
        let mut word = || words.next().unwrap_or_default();
        Self { page: word(), commit_pages: word(), salt1: word(), salt2: word(), checksum1: word(), checksum2: word() }
    }

    /// Whether a transaction ends with this frame.
    #[must_use]
    pub fn is_commit(&self) -> bool {
        self.commit_pages != 0
    }

    /// Both salts.
    #[must_use]
    pub fn salts(&self) -> [u32; 2] {
        [self.salt1, self.salt2]
    }

    /// Both halves of the checksum: what the next frame continues.
    #[must_use]
    pub fn checksums(&self) -> [u32; 2] {
        [self.checksum1, self.checksum2]
    }
}

/// Reads one frame header. `offset` is only for the error.
///
/// # Errors
/// When there are fewer than 24 bytes.
pub fn parse_frame_header(bytes: &[u8], offset: u64) -> Result<FrameHeader, ParseError> {
    fixed("frame header", offset, FRAME_HEADER_SIZE, bytes, frame_header)
}

fn frame_header(input: &[u8]) -> IResult<&[u8], FrameHeader> {
    (be_u32, be_u32, be_u32, be_u32, be_u32, be_u32)
        .map(|(page, commit_pages, salt1, salt2, checksum1, checksum2)| FrameHeader {
            page,
            commit_pages,
            salt1,
            salt2,
            checksum1,
            checksum2,
        })
        .parse(input)
}

/// The checksum that a frame should store: `seed` (of the frame before, or of the WAL header) continued over the first
/// 8 bytes of the frame header and the page. `frame` is header and page.
#[must_use]
pub fn frame_checksum(order: ChecksumOrder, seed: [u32; 2], frame: &[u8]) -> [u32; 2] {
    frame_checksum_by(Kernel::best(), order, seed, frame)
}

/// As [`frame_checksum`], computed in a chosen way.
#[must_use]
pub fn frame_checksum_by(kernel: Kernel, order: ChecksumOrder, seed: [u32; 2], frame: &[u8]) -> [u32; 2] {
    let seed = checksum(order, seed, frame.get(..FRAME_CHECKSUMMED).unwrap_or_default());
    kernel.checksum(order, seed, frame.get(FRAME_HEADER_SIZE..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_frame_header_at_fixed_places_is_the_parsed_one(bytes: [u8; FRAME_HEADER_SIZE]) {
            proptest::prop_assert_eq!(FrameHeader::of(&bytes), parse_frame_header(&bytes, 0).unwrap());
        }
    }
}
