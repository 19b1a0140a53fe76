//! The `-wal`: header and frame headers.
//!
//! Every field is big-endian on every machine. The offsets are in [`super::layout::WAL_HEADER`] and
//! [`super::layout::FRAME_HEADER`]; the source is fileformat2, sections 4.1 and 4.2.

use nom::number::complete::be_u32;
use nom::{IResult, Parser};

use super::checksum::{Kernel, checksum};
use super::{ParseError, fixed};
use crate::number::{ByteOrder, Checksum, PageNumber, PageSize, Salts};
pub use crate::number::{FRAME_HEADER_SIZE, WAL_HEADER_SIZE as HEADER_SIZE};

/// `WAL_MAX_VERSION`: the only format version that exists.
#[doc(alias = "WAL_MAX_VERSION")]
pub const FORMAT_VERSION: u32 = 3_007_000;

/// The magic of a WAL whose checksums are over little-endian words.
pub const MAGIC_LITTLE: u32 = 0x377f_0682;

/// The magic of a WAL whose checksums are over big-endian words.
pub const MAGIC_BIG: u32 = 0x377f_0683;

/// The bytes of the WAL header that its checksum covers.
pub const HEADER_CHECKSUMMED: usize = 24;
/// Bytes of a frame header under the frame's checksum: page number and commit field.
pub(crate) const FRAME_CHECKSUMMED: usize = 8;

/// The first 32 bytes of a `-wal`, as stored. Nothing but the length was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalHeader {
    /// 0x377f0682 or 0x377f0683.
    pub magic: u32,
    /// 3007000.
    pub format_version: u32,
    /// Bytes of a page as stored. SQLite may not accept the number. 65536 is stored as it is.
    pub page_size: u32,
    /// Counts checkpoints; not monotonic.
    #[doc(alias = "nCkpt")]
    pub checkpoint_sequence: u32,
    /// Salt-1 and salt-2.
    pub salts: Salts,
    /// The checksum of the first 24 bytes, as stored. The first frame continues it.
    pub checksum: Checksum,
    /// Whether the checksum of the first 24 bytes is right, in the byte order that the magic names. False if the magic
    /// is wrong.
    pub checksum_ok: bool,
}

impl WalHeader {
    /// The byte order that the magic names, if it is one of the two.
    #[must_use]
    pub fn checksum_order(&self) -> Option<ByteOrder> {
        match self.magic {
            MAGIC_LITTLE => Some(ByteOrder::Little),
            MAGIC_BIG => Some(ByteOrder::Big),
            _ => None,
        }
    }

    /// The 32 bytes as they stand in the file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_SIZE] {
        let (Salts([salt1, salt2]), Checksum([checksum1, checksum2])) = (self.salts, self.checksum);
        let start = [self.magic, self.format_version, self.page_size, self.checkpoint_sequence];
        let mut bytes = [0; HEADER_SIZE];
        let (words, _) = bytes.as_chunks_mut::<4>();
        for (to, word) in words.iter_mut().zip(start.into_iter().chain([salt1, salt2, checksum1, checksum2])) {
            *to = word.to_be_bytes();
        }
        bytes
    }

    /// The page size, if SQLite accepts it. With it and [`Self::checksum_order`] the frames can be found.
    #[must_use]
    pub fn page_size(&self) -> Option<PageSize> {
        PageSize::new(self.page_size)
    }
}

/// Reads the header. Offsets: [`super::layout::WAL_HEADER`].
///
/// # Errors
/// There are fewer than 32 bytes.
pub fn parse_header(bytes: &[u8]) -> Result<WalHeader, ParseError> {
    let mut header = fixed("WAL header", 0, HEADER_SIZE, bytes, header)?;
    if let (Some(order), Some(covered)) = (header.checksum_order(), bytes.get(..HEADER_CHECKSUMMED)) {
        header.checksum_ok = checksum(order, Checksum::ZERO, covered) == header.checksum;
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
            salts: Salts([salt1, salt2]),
            checksum: Checksum([checksum1, checksum2]),
            checksum_ok: false,
        })
        .parse(input)
}

/// The 24 bytes before each page, all big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Page number.
    pub page: PageNumber,
    /// Pages of the database after this commit; 0 if the frame is no commit.
    #[doc(alias = "nTruncate")]
    pub commit_pages: u32,
    /// Salt-1 and salt-2, copied from the WAL header.
    pub salts: Salts,
    /// The cumulative checksum, as stored. The next frame continues it.
    pub checksum: Checksum,
}

impl FrameHeader {
    /// The frame header of bytes that were never written.
    pub const ZERO: Self =
        Self { page: PageNumber::NONE, commit_pages: 0, salts: Salts::ZERO, checksum: Checksum::ZERO };

    /// Reads the six words at their fixed places. It is [`parse_frame_header`] for a pass over millions of headers.
    #[must_use]
    pub fn of(bytes: &[u8; FRAME_HEADER_SIZE]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_be_bytes(*word));
        let mut word = || words.next().unwrap_or_default();
        Self {
            page: PageNumber(word()),
            commit_pages: word(),
            salts: Salts([word(), word()]),
            checksum: Checksum([word(), word()]),
        }
    }

    /// The 24 bytes as they stand in the file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; FRAME_HEADER_SIZE] {
        let (Salts([salt1, salt2]), Checksum([checksum1, checksum2])) = (self.salts, self.checksum);
        let mut bytes = [0; FRAME_HEADER_SIZE];
        let (words, _) = bytes.as_chunks_mut::<4>();
        for (to, word) in words.iter_mut().zip([self.page.0, self.commit_pages, salt1, salt2, checksum1, checksum2]) {
            *to = word.to_be_bytes();
        }
        bytes
    }

    /// Whether this frame ends a transaction.
    #[must_use]
    pub fn is_commit(&self) -> bool {
        self.commit_pages != 0
    }
}

/// Reads one frame header. `offset` is only for the error.
///
/// # Errors
/// There are fewer than 24 bytes.
pub fn parse_frame_header(bytes: &[u8], offset: u64) -> Result<FrameHeader, ParseError> {
    fixed("frame header", offset, FRAME_HEADER_SIZE, bytes, frame_header)
}

fn frame_header(input: &[u8]) -> IResult<&[u8], FrameHeader> {
    (be_u32, be_u32, be_u32, be_u32, be_u32, be_u32)
        .map(|(page, commit_pages, salt1, salt2, checksum1, checksum2)| FrameHeader {
            page: PageNumber(page),
            commit_pages,
            salts: Salts([salt1, salt2]),
            checksum: Checksum([checksum1, checksum2]),
        })
        .parse(input)
}

/// The checksum that a frame should store: `seed`, continued over the first 8 bytes of the frame header and over the
/// page. `seed` is the checksum of the frame before it, or of the WAL header. `frame` is header and page.
#[must_use]
pub fn frame_checksum(order: ByteOrder, seed: Checksum, frame: &[u8]) -> Checksum {
    frame_checksum_by(Kernel::best(), order, seed, frame)
}

/// The checksum that a frame should store, computed in a chosen way. [`frame_checksum`] describes the arguments.
#[must_use]
pub fn frame_checksum_by(kernel: Kernel, order: ByteOrder, seed: Checksum, frame: &[u8]) -> Checksum {
    let seed = checksum(order, seed, frame.get(..FRAME_CHECKSUMMED).unwrap_or_default());
    kernel.checksum(order, seed, frame.get(FRAME_HEADER_SIZE..).unwrap_or_default())
}

/// The checksums that neighbouring frames should store, one for each of `sums`. Each continues the checksum that is
/// *stored* in the frame before it; `seed` is the one stored before the first frame. To compute all of them at once
/// costs less than to compute each by itself.
pub(crate) fn frame_checksums_by(
    kernel: Kernel,
    order: ByteOrder,
    mut seed: Checksum,
    frames: &[u8],
    frame_size: usize,
    sums: &mut [Checksum],
) {
    for (frame, sum) in frames.chunks_exact(frame_size).zip(sums.iter_mut()) {
        *sum = checksum(order, seed, frame.get(..FRAME_CHECKSUMMED).unwrap_or_default());
        seed = frame.first_chunk().map_or(Checksum::ZERO, |header| FrameHeader::of(header).checksum);
    }
    kernel.continue_each(order, frames, frame_size, FRAME_HEADER_SIZE, sums);
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_frame_header_at_fixed_places_is_the_parsed_one(bytes: [u8; FRAME_HEADER_SIZE]) {
            let header = FrameHeader::of(&bytes);
            proptest::prop_assert_eq!(header, parse_frame_header(&bytes, 0).unwrap());
            proptest::prop_assert_eq!(header.to_bytes(), bytes);
        }
    }
}
