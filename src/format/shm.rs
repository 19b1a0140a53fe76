//! The `-shm` (wal-index).
//!
//! A `-shm` is written in the native byte order of its machine, so the order is an argument of every parser here
//! ([`nom::number::Endianness`]). The exception is `aSalt`: raw bytes of the WAL header, big-endian always.
//! Offsets: the tables `INDEX_HEADER`, `CHECKPOINT_INFO`, `FIRST_BLOCK` and `LATER_BLOCK` in [`super::layout`]; the
//! sources are walformat and the comments at the head of wal.c.

use nom::bytes::complete::take;
use nom::number::Endianness;
use nom::number::complete::{be_u32, u8, u16, u32};
use nom::sequence::preceded;
use nom::{IResult, Parser};

use super::checksum::checksum;
use super::wal::FORMAT_VERSION;
use super::{ParseError, fixed};
use crate::number::{ByteOrder, Checksum, FrameNumber, PageNumber, Salts, Stride};

/// Bytes of one copy of the header.
pub const HEADER_SIZE: usize = 48;
/// Bytes of the head: two headers and the checkpoint info.
#[doc(alias = "WALINDEX_HDR_SIZE")]
pub const HEAD_SIZE: usize = 136;
/// Bytes of a block.
#[doc(alias = "WALINDEX_PGSZ")]
pub const BLOCK_SIZE: usize = 32768;
/// Frames that have an entry in block 0: the head takes the room of 34 entries.
#[doc(alias = "HASHTABLE_NPAGE_ONE")]
pub const FIRST_BLOCK_FRAMES: usize = 4062;
/// Frames that have an entry in every later block.
#[doc(alias = "HASHTABLE_NPAGE")]
pub const BLOCK_FRAMES: usize = 4096;
/// Hash slots of a block.
#[doc(alias = "HASHTABLE_NSLOT")]
pub const HASH_SLOTS: usize = 8192;
/// Bytes of a header that its checksum covers: all before `aCksum`.
pub const HEADER_CHECKSUMMED: usize = 40;
/// Number of slots for readers, and of read marks.
#[doc(alias = "WAL_NREADER")]
pub const READ_MARKS: usize = 5;
/// The value of a read mark that no reader has set since the wal-index was created.
pub const READMARK_NOT_USED: u32 = 0xffff_ffff;

fn endianness(order: ByteOrder) -> Endianness {
    match order {
        ByteOrder::Little => Endianness::Little,
        ByteOrder::Big => Endianness::Big,
    }
}

/// One 48-byte copy of the wal-index header, as stored.
///
/// `mx_frame` and `database_pages` may be any number until something else agrees with them.
#[doc(alias = "WalIndexHdr")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexHeader {
    /// `iVersion`, 3007000.
    #[doc(alias = "iVersion")]
    pub version: u32,
    /// `unused`.
    pub unused: u32,
    /// `iChange`.
    #[doc(alias = "iChange")]
    pub change_counter: u32,
    /// `isInit`.
    #[doc(alias = "isInit")]
    pub initialized: u8,
    /// `bigEndCksum`: checksums of the WAL are over big-endian words.
    #[doc(alias = "bigEndCksum")]
    pub big_endian_checksums: u8,
    /// `szPage`, decoded: 1 is 65536; 0 after a recovery without a commit.
    #[doc(alias = "szPage")]
    pub page_size: u32,
    /// `mxFrame`.
    #[doc(alias = "mxFrame")]
    pub mx_frame: FrameNumber,
    /// `nPage`.
    #[doc(alias = "nPage")]
    pub database_pages: u32,
    /// `aFrameCksum`: the checksum stored in the last commit frame. At `mx_frame` 0 it is left over from before.
    #[doc(alias = "aFrameCksum")]
    pub frame_checksum: Checksum,
    /// `aSalt`, as the big-endian numbers of the WAL. In a `-shm` of either byte order they are raw bytes of the WAL
    /// header.
    #[doc(alias = "aSalt")]
    pub salts: Salts,
    /// `aCksum`.
    #[doc(alias = "aCksum")]
    pub checksum: Checksum,
    /// Whether `checksum` is right over the first 40 bytes.
    pub checksum_ok: bool,
}

impl IndexHeader {
    /// The size in bytes of a `-wal` that has the frames it counts.
    #[must_use]
    pub fn wal_bytes(&self) -> u64 {
        Stride::of_pages(self.page_size).length_with(self.mx_frame.count())
    }
}

/// `WalCkptInfo`, offsets 96 to 136. No checksum covers it.
#[doc(alias = "WalCkptInfo")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// `nBackfill`.
    #[doc(alias = "nBackfill")]
    pub backfilled: FrameNumber,
    /// `aReadMark`, `None` for 0xffffffff (unused).
    #[doc(alias = "aReadMark")]
    pub read_marks: [Option<FrameNumber>; READ_MARKS],
    /// The 8 lock bytes; their values mean nothing.
    pub lock_bytes: [u8; 8],
    /// `nBackfillAttempted`.
    #[doc(alias = "nBackfillAttempted")]
    pub backfill_attempted: FrameNumber,
    /// `notUsed0`.
    #[doc(alias = "notUsed0")]
    pub unused: u32,
}

/// The first 136 bytes of a `-shm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexHead {
    /// The byte order, recognised by `iVersion`. Little-endian if neither copy shows it.
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
    /// The header that SQLite would use: both copies are equal, the checksum is right, it is initialized, and it has
    /// the only version that exists. `None`: a reader would retry, recover, or give up.
    #[must_use]
    pub fn trusted(&self) -> Option<&IndexHeader> {
        self.intact().filter(|header| header.version == FORMAT_VERSION)
    }

    /// A header that is right except that it has another version. Then no connection can read, and none recovers it.
    #[must_use]
    pub fn of_other_version(&self) -> Option<&IndexHeader> {
        self.intact().filter(|header| header.version != FORMAT_VERSION)
    }

    fn intact(&self) -> Option<&IndexHeader> {
        let [first, _] = &self.headers;
        (self.headers_agree && first.checksum_ok && first.initialized != 0).then_some(first)
    }
}

/// Reads the head of a `-shm`.
///
/// The byte order is the one in which `iVersion` of copy 0 is 3007000, otherwise the one in which that of copy 1 is.
/// The lock bytes only have names; their values mean nothing. Byte 128 (`nBackfillAttempted`) is also the byte of the
/// dead-man switch lock.
///
/// # Errors
/// There are fewer than 136 bytes.
pub fn parse_head(bytes: &[u8]) -> Result<IndexHead, ParseError> {
    let told = byte_order(bytes);
    let order = told.unwrap_or(ByteOrder::Little);
    let (mut headers, checkpoint) = fixed("wal-index head", 0, HEAD_SIZE, bytes, |input| head(input, order))?;
    let copies = bytes.get(..2 * HEADER_SIZE).unwrap_or_default();
    for (header, copy) in headers.iter_mut().zip(copies.chunks_exact(HEADER_SIZE)) {
        let covered = copy.get(..HEADER_CHECKSUMMED).unwrap_or_default();
        // The header's own checksum covers words in the byte order of the file, whatever byte order the WAL's checksums
        // have.
        header.checksum_ok = checksum(order, Checksum::ZERO, covered) == header.checksum;
    }
    let (first, second) = copies.split_at(copies.len() / 2);
    Ok(IndexHead {
        byte_order: order,
        byte_order_known: told.is_some(),
        headers,
        headers_agree: first == second,
        checkpoint,
    })
}

fn byte_order(bytes: &[u8]) -> Option<ByteOrder> {
    [bytes.get(..4)?, bytes.get(HEADER_SIZE..HEADER_SIZE + 4)?]
        .into_iter()
        .filter_map(|version| <[u8; 4]>::try_from(version).ok())
        .find_map(|version| match version {
            v if u32::from_le_bytes(v) == FORMAT_VERSION => Some(ByteOrder::Little),
            v if u32::from_be_bytes(v) == FORMAT_VERSION => Some(ByteOrder::Big),
            _ => None,
        })
}

fn head(input: &[u8], order: ByteOrder) -> IResult<&[u8], ([IndexHeader; 2], CheckpointInfo)> {
    let (input, first) = header(input, order)?;
    let (input, second) = header(input, order)?;
    let (input, checkpoint) = checkpoint_info(input, order)?;
    Ok((input, ([first, second], checkpoint)))
}

fn header(input: &[u8], order: ByteOrder) -> IResult<&[u8], IndexHeader> {
    let word = || u32(endianness(order));
    let (input, (version, unused, change_counter)) = (word(), word(), word()).parse(input)?;
    let (input, (initialized, big_endian_checksums, page_size)) = (u8, u8, u16(endianness(order))).parse(input)?;
    let (input, (mx_frame, database_pages, c1, c2)) = (word(), word(), word(), word()).parse(input)?;
    let (input, (salt1, salt2)) = (be_u32, be_u32).parse(input)?;
    let (input, (checksum1, checksum2)) = (word(), word()).parse(input)?;
    let header = IndexHeader {
        version,
        unused,
        change_counter,
        initialized,
        big_endian_checksums,
        page_size: if page_size == 1 { 65536 } else { page_size.into() },
        mx_frame: mx_frame.into(),
        database_pages,
        frame_checksum: Checksum([c1, c2]),
        salts: Salts([salt1, salt2]),
        checksum: Checksum([checksum1, checksum2]),
        checksum_ok: false,
    };
    Ok((input, header))
}

fn checkpoint_info(input: &[u8], order: ByteOrder) -> IResult<&[u8], CheckpointInfo> {
    let word = || u32(endianness(order));
    let mark = || word().map(|mark| (mark != READMARK_NOT_USED).then_some(mark.into()));
    let (input, backfilled) = word().parse(input)?;
    let (input, (m0, m1, m2, m3, m4)) = (mark(), mark(), mark(), mark(), mark()).parse(input)?;
    let (input, (b0, b1, b2, b3, b4, b5, b6, b7)) = (u8, u8, u8, u8, u8, u8, u8, u8).parse(input)?;
    let (input, (backfill_attempted, unused)) = (word(), word()).parse(input)?;
    let info = CheckpointInfo {
        backfilled: backfilled.into(),
        read_marks: [m0, m1, m2, m3, m4],
        lock_bytes: [b0, b1, b2, b3, b4, b5, b6, b7],
        backfill_attempted: backfill_attempted.into(),
        unused,
    };
    Ok((input, info))
}

/// One block of 32 KiB: the page of each frame, and the hash table from page to frame.
///
/// Entries and slots of frames after `mxFrame` are noise: uncommitted, left over, or even uninitialised memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexBlock {
    /// The number of the block, counted from 0.
    pub number: u32,
    /// The frame of entry 0.
    #[doc(alias = "iZero")]
    pub first_frame: FrameNumber,
    /// `aPgno`: the page of each frame, 4062 entries in block 0 and 4096 in others. 0: no frame was ever entered there.
    #[doc(alias = "aPgno")]
    pub page_numbers: Vec<PageNumber>,
    /// `aHash`: 8192 slots. Each holds the position of an entry in this block, counted from 1, or 0 if it is empty.
    #[doc(alias = "aHash")]
    pub hash_slots: Vec<u16>,
}

impl IndexBlock {
    /// The frame after the last one that this block has room for.
    #[must_use]
    pub fn end_frame(&self) -> FrameNumber {
        FrameNumber(self.first_frame.0.saturating_add(self.page_numbers.len() as u64))
    }

    /// The entry of a frame in [`Self::page_numbers`], if this block has room for it.
    #[must_use]
    pub fn entry_of(&self, frame: FrameNumber) -> Option<usize> {
        let entry = usize::try_from(frame.0.checked_sub(self.first_frame.0)?).ok()?;
        (entry < self.page_numbers.len()).then_some(entry)
    }

    /// The page that the entry of a frame names.
    #[must_use]
    pub fn page_of(&self, frame: FrameNumber) -> Option<PageNumber> {
        self.page_numbers.get(self.entry_of(frame)?).copied()
    }

    /// The frame of the entry at a position, counted from 1 as in a hash slot. Position 0 is treated as 1.
    #[must_use]
    pub fn frame_at(&self, position: u16) -> FrameNumber {
        FrameNumber(self.first_frame.0.saturating_add(u64::from(position).saturating_sub(1)))
    }
}

/// Reads block `number` from its 32 KiB.
///
/// # Errors
/// There are fewer than 32768 bytes: the file ends within the block.
pub fn parse_block(bytes: &[u8], number: u32, order: ByteOrder) -> Result<IndexBlock, ParseError> {
    let offset = u64::from(number).saturating_mul(BLOCK_SIZE as u64);
    let frames = if number == 0 { FIRST_BLOCK_FRAMES } else { BLOCK_FRAMES };
    let head = BLOCK_SIZE - HASH_SLOTS * size_of::<u16>() - frames * size_of::<u32>();
    let (pages, slots) = (take(frames * size_of::<u32>()), take(HASH_SLOTS * size_of::<u16>()));
    let block = preceded(take(head), (pages, slots));
    let (page_numbers, hash_slots) = fixed("wal-index block", offset, BLOCK_SIZE, bytes, block)?;
    // These are thousands of equal numbers. To read each of them with nom would cost more than everything that is done
    // with them afterwards.
    let (page_numbers, hash_slots) = match order {
        ByteOrder::Little => (
            numbers(page_numbers, |bytes| PageNumber(u32::from_le_bytes(bytes))),
            numbers(hash_slots, u16::from_le_bytes),
        ),
        ByteOrder::Big => (
            numbers(page_numbers, |bytes| PageNumber(u32::from_be_bytes(bytes))),
            numbers(hash_slots, u16::from_be_bytes),
        ),
    };
    Ok(IndexBlock { number, first_frame: first_frame_of(number), page_numbers, hash_slots })
}

fn numbers<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (numbers, _) = bytes.as_chunks();
    numbers.iter().copied().map(number).collect()
}

/// The first frame that has an entry in a block.
#[must_use]
pub fn first_frame_of(block: u32) -> FrameNumber {
    match u64::from(block).checked_sub(1) {
        None => FrameNumber::FIRST,
        Some(later) => FrameNumber(later * BLOCK_FRAMES as u64 + FIRST_BLOCK_FRAMES as u64 + 1),
    }
}

/// The last frame that a block has room for.
#[must_use]
pub fn last_frame_of(block: u32) -> FrameNumber {
    FrameNumber(u64::from(block) * BLOCK_FRAMES as u64 + FIRST_BLOCK_FRAMES as u64)
}

/// The block that has the entry of a frame. Frame 0, which does not exist, is in block 0. A frame that no wal-index can
/// name is in a block that no file has.
#[must_use]
#[doc(alias = "walFramePage")]
pub fn block_of(frame: FrameNumber) -> u32 {
    let later = frame.0.saturating_add((BLOCK_FRAMES - FIRST_BLOCK_FRAMES) as u64);
    u32::try_from(later.saturating_sub(1) / BLOCK_FRAMES as u64).unwrap_or(u32::MAX)
}

/// The slot at which the search for a page begins.
#[must_use]
#[doc(alias = "walHash")]
pub fn hash(page: PageNumber) -> usize {
    page.0.wrapping_mul(383) as usize & (HASH_SLOTS - 1)
}

/// Whether a file that begins with these bytes is a wal-index: `iVersion` of one of the header copies shows it, in the
/// byte order of any machine. One of the copies may be torn.
#[must_use]
pub fn begins_wal_index(head: &[u8]) -> bool {
    [0, HEADER_SIZE]
        .into_iter()
        .filter_map(|at| head.get(at..)?.first_chunk())
        .any(|word| [u32::from_le_bytes(*word), u32::from_be_bytes(*word)].contains(&FORMAT_VERSION))
}

#[cfg(test)]
mod tests {
    use nom::multi::count;

    use super::*;

    #[test]
    fn frames_fall_into_blocks_as_in_wal_c() {
        for (frame, block) in [(0, 0), (1, 0), (4062, 0), (4063, 1), (8158, 1), (8159, 2), (u32::MAX.into(), 1_048_576)]
        {
            assert_eq!(block_of(FrameNumber(frame)), block, "frame {frame}");
        }
        assert_eq!([0, 1, 2].map(first_frame_of), [1, 4063, 8159].map(FrameNumber));
        assert_eq!([0, 1, 2].map(last_frame_of), [4062, 8158, 12254].map(FrameNumber));
    }

    #[test]
    fn a_block_cut_short_says_what_is_missing() {
        let error = parse_block(&[0; 32767], 2, ByteOrder::Little).unwrap_err();
        assert_eq!(error.to_string(), "wal-index block at offset 65536: needed 32768 bytes, found 32767 bytes");
        let error = parse_head(&[0; 135]).unwrap_err();
        assert_eq!(error.to_string(), "wal-index head at offset 0: needed 136 bytes, found 135 bytes");
    }

    #[test]
    fn numbers_taken_at_once_are_those_taken_one_at_a_time() {
        let bytes: Vec<u8> = (0..BLOCK_SIZE as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for (number, frames) in [(0, FIRST_BLOCK_FRAMES), (1, BLOCK_FRAMES)] {
            for order in [ByteOrder::Little, ByteOrder::Big] {
                let (pages, slots) = (u32(endianness(order)).map(PageNumber), u16(endianness(order)));
                let from = BLOCK_SIZE - frames * 4 - HASH_SLOTS * 2;
                let parsed: IResult<&[u8], _> = (count(pages, frames), count(slots, HASH_SLOTS)).parse(&bytes[from..]);
                let (rest, (page_numbers, hash_slots)) = parsed.unwrap();
                assert!(rest.is_empty());
                let block = parse_block(&bytes, number, order).unwrap();
                assert_eq!((block.page_numbers, block.hash_slots), (page_numbers, hash_slots));
            }
        }
    }

    #[test]
    fn the_first_copy_that_has_the_version_tells_the_byte_order() {
        let mut bytes = [0; HEAD_SIZE];
        assert!(!parse_head(&bytes).unwrap().byte_order_known);
        bytes[48..52].copy_from_slice(&3_007_000u32.to_be_bytes());
        assert_eq!(parse_head(&bytes).unwrap().byte_order, ByteOrder::Big);
        bytes[..4].copy_from_slice(&3_007_000u32.to_le_bytes());
        assert_eq!(parse_head(&bytes).unwrap().byte_order, ByteOrder::Little);
    }
}
