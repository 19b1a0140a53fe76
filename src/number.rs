//! The numbers of the two formats, each with its own type, so that a frame number is not used as a page number, nor the
//! size of a page as the size of a frame.
//!
//! Every type here wraps the integer of the file and costs as much as it. This module uses no other part of the crate.
//! [`Stride`] is the only place that knows where a frame begins.

use std::fmt;
use std::ops::RangeInclusive;

/// `WAL_HDRSIZE`: bytes of the header at the beginning of a `-wal`.
#[doc(alias = "WAL_HDRSIZE")]
pub const WAL_HEADER_SIZE: usize = 32;

/// `WAL_FRAME_HDRSIZE`: bytes of the header before each page of a `-wal`.
#[doc(alias = "WAL_FRAME_HDRSIZE")]
pub const FRAME_HEADER_SIZE: usize = 24;

/// The page sizes that SQLite accepts: the powers of two within these bounds.
pub const PAGE_SIZES: RangeInclusive<u32> = 512..=65536;

/// The number of a frame in a `-wal`, counted from 1 as SQLite does.
///
/// 0 is no frame. It is used where SQLite itself writes 0: `mxFrame` of an empty WAL, `nBackfill` before anything was
/// copied, the read mark of a reader that ignores the WAL. Everywhere else, "no frame" is `None`. Frames are counted
/// from 1, so a number is also the count of frames up to and including that frame.
///
/// folklore: SQLite counts frames in 32 bits, but a file can hold more. So this number has 64 bits, and
/// [`Self::to_u32`] says which frames a wal-index can name.
///
/// ```
/// use walscope::number::FrameNumber;
///
/// let last = FrameNumber(7);
/// assert_eq!(last.next(), FrameNumber(8));
/// assert_eq!(last.count(), 7);
/// assert!(FrameNumber::NONE < FrameNumber::FIRST);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameNumber(pub u64);

impl FrameNumber {
    /// No frame.
    pub const NONE: Self = Self(0);
    /// The first frame of a WAL.
    pub const FIRST: Self = Self(1);
    /// The largest number. A range from [`Self::FIRST`] to here means all frames.
    pub const LARGEST: Self = Self(u64::MAX);

    /// The number of frames up to and including this one.
    #[must_use]
    pub fn count(self) -> u64 {
        self.0
    }

    /// The frame after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The frame before this one; `None` for the first frame, and for no frame.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        self.0.checked_sub(1).filter(|before| *before > 0).map(Self)
    }

    /// The number of frames after `earlier`, up to and including this one; 0 if this one is not later.
    #[must_use]
    pub fn frames_after(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The number in 32 bits, as a wal-index holds it; `None` for a frame that no wal-index can name.
    #[must_use]
    pub fn to_u32(self) -> Option<u32> {
        u32::try_from(self.0).ok()
    }

    /// The number in 32 bits, for a frame that a wal-index named. A larger number becomes the largest number of 32
    /// bits.
    #[must_use]
    pub fn saturating_u32(self) -> u32 {
        self.to_u32().unwrap_or(u32::MAX)
    }
}

/// The number of a page of a database, counted from 1. In a file it is 0 only where no page was ever written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PageNumber(pub u32);

impl PageNumber {
    /// The page number of bytes that were never written.
    pub const NONE: Self = Self(0);
}

impl From<u32> for FrameNumber {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl From<FrameNumber> for u64 {
    fn from(number: FrameNumber) -> Self {
        number.0
    }
}

impl From<PageNumber> for u32 {
    fn from(number: PageNumber) -> Self {
        number.0
    }
}

impl From<PageNumber> for u64 {
    fn from(number: PageNumber) -> Self {
        number.0.into()
    }
}

impl PartialEq<u64> for FrameNumber {
    fn eq(&self, count: &u64) -> bool {
        self.0 == *count
    }
}

impl PartialOrd<u64> for FrameNumber {
    fn partial_cmp(&self, count: &u64) -> Option<std::cmp::Ordering> {
        self.0.partial_cmp(count)
    }
}

impl PartialEq<u32> for PageNumber {
    fn eq(&self, number: &u32) -> bool {
        self.0 == *number
    }
}

impl PartialOrd<u32> for PageNumber {
    fn partial_cmp(&self, number: &u32) -> Option<std::cmp::Ordering> {
        self.0.partial_cmp(number)
    }
}

impl fmt::Display for FrameNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PageNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A frame, and the page that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameOfPage {
    /// The page.
    pub page: PageNumber,
    /// The frame.
    pub frame: FrameNumber,
}

/// Bytes of a page: a power of two from 512 to 65536, the only sizes that SQLite takes.
///
/// ```
/// use walscope::number::{FrameNumber, PageSize};
///
/// let size = PageSize::new(4096).unwrap();
/// assert_eq!(size.frame_size(), 4120);
/// assert_eq!(size.offset_of(FrameNumber(2)), 32 + 4120);
/// assert_eq!(PageSize::new(1000), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u32);

impl PageSize {
    /// A size as stored in a header, if SQLite accepts it.
    #[must_use]
    pub fn new(bytes: u32) -> Option<Self> {
        (bytes.is_power_of_two() && PAGE_SIZES.contains(&bytes)).then_some(Self(bytes))
    }

    /// Bytes of a page.
    #[must_use]
    pub fn bytes(self) -> u32 {
        self.0
    }

    /// Bytes of a page, for a buffer.
    #[must_use]
    pub fn to_usize(self) -> usize {
        self.0 as usize
    }

    /// The distance between the frames of a `-wal` with pages of this size.
    #[must_use]
    pub fn stride(self) -> Stride {
        Stride::of_pages(self.0)
    }

    /// Bytes of a frame in a `-wal`: its header and its page.
    #[must_use]
    pub fn frame_size(self) -> u64 {
        self.stride().bytes()
    }

    /// Where a frame begins in a `-wal`, as [`Stride::offset_of`] computes it.
    #[must_use]
    pub fn offset_of(self, frame: FrameNumber) -> u64 {
        self.stride().offset_of(frame)
    }

    /// Where a frame's page begins in a `-wal`.
    #[must_use]
    pub fn page_offset_of(self, frame: FrameNumber) -> u64 {
        self.offset_of(frame).saturating_add(FRAME_HEADER_SIZE as u64)
    }

    /// Where a page begins in the database file. Page 0, which does not exist, is treated as page 1.
    #[must_use]
    pub fn offset_in_database(self, page: PageNumber) -> u64 {
        u64::from(page).saturating_sub(1).saturating_mul(self.0.into())
    }
}

impl From<PageSize> for u32 {
    fn from(size: PageSize) -> Self {
        size.0
    }
}

impl From<PageSize> for u64 {
    fn from(size: PageSize) -> Self {
        size.0.into()
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The distance in bytes from the beginning of one frame to the beginning of the next, after the header of a WAL.
///
/// A `-wal` has frames with pages; a capture of frame headers has frames without pages. The two have different strides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stride(u64);

impl Stride {
    /// Frame headers without pages, one directly after the other.
    pub const HEADERS: Self = Self::of_pages(0);

    /// Frames with pages of this many bytes. SQLite may not accept the number: a wal-index can name any.
    /// [`PageSize::stride`] is for a size that was checked.
    #[must_use]
    pub const fn of_pages(bytes: u32) -> Self {
        Self(FRAME_HEADER_SIZE as u64 + bytes as u64)
    }

    /// Bytes from one frame to the next.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Bytes from one frame to the next, for a buffer.
    #[must_use]
    pub fn to_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Where a frame begins, in bytes from the start of the file. Frame 0, which does not exist, is treated as frame 1.
    /// An offset that does not fit into 64 bits becomes the largest number, at which no file has a byte.
    #[must_use]
    pub fn offset_of(self, frame: FrameNumber) -> u64 {
        self.length_with(frame.0.saturating_sub(1))
    }

    /// Bytes of a file that holds the WAL header and this many whole frames.
    #[must_use]
    pub fn length_with(self, frames: u64) -> u64 {
        frames.saturating_mul(self.0).saturating_add(WAL_HEADER_SIZE as u64)
    }

    /// How many whole frames a file of this many bytes holds.
    #[must_use]
    pub fn frames_in(self, file_size: u64) -> u64 {
        file_size.saturating_sub(WAL_HEADER_SIZE as u64) / self.0
    }

    /// How many bytes a file of this length holds after its last whole frame.
    #[must_use]
    pub fn torn_bytes_in(self, file_size: u64) -> u64 {
        file_size.saturating_sub(WAL_HEADER_SIZE as u64) % self.0
    }
}

/// Salt-1 and salt-2. Together they name one generation of a WAL: the frames from one restart to the next.
///
/// ```
/// use walscope::number::Salts;
///
/// let salts = Salts([0x51a7_0001, 7]);
/// assert_eq!(salts.to_string(), "51a70001 00000007");
/// assert!(salts.restarted_as(Salts([0x51a7_0002, 0xdead_beef])));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Salts(pub [u32; 2]);

impl Salts {
    /// The salts of bytes that were never written.
    pub const ZERO: Self = Self([0, 0]);

    /// How far salt-1 of `later` is ahead of this salt-1, modulo 2^32. If only restarts are between the two, it is the
    /// number of restarts.
    #[must_use]
    pub fn restarts_until(self, later: Self) -> u32 {
        let (Self([from, _]), Self([to, _])) = (self, later);
        to.wrapping_sub(from)
    }

    /// Whether at least one of the two is the same. Generations have salts that differ in both, but for chance.
    #[must_use]
    pub fn agree_by_half(self, other: Self) -> bool {
        self.0.iter().zip(other.0).any(|(one, other)| *one == other)
    }

    /// Whether `later` can be the next generation: a restart adds 1 to salt-1 and chooses salt-2 at random.
    #[must_use]
    pub fn restarted_as(self, later: Self) -> bool {
        self.restarts_until(later) == 1
    }
}

impl fmt::Display for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([salt1, salt2]) = self;
        write!(f, "{salt1:08x} {salt2:08x}")
    }
}

/// The two sums of the WAL's checksum. Each frame continues the sums of the frame before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Checksum(pub [u32; 2]);

impl Checksum {
    /// The checksum before the first byte of a header. Zero bytes do not change it.
    pub const ZERO: Self = Self([0, 0]);
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([s0, s1]) = self;
        write!(f, "{s0:08x} {s1:08x}")
    }
}

/// The byte order of 32-bit numbers: of the words that a WAL's checksum covers, or of a `-shm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The lowest byte first. For checksums this is magic 0x377f0682.
    Little,
    /// The highest byte first. For checksums this is magic 0x377f0683.
    Big,
}

impl ByteOrder {
    /// Its name in documents: `little` or `big`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Little => "little",
            Self::Big => "big",
        }
    }
}

/// A device number, written `major:minor` as in `/proc/PID/maps` (there in hexadecimal) and mountinfo (decimal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A file as `stat` names it: `st_dev` and `st_ino`.
///
/// [`InodeId`](crate::evidence::InodeId) is a file as `/proc/PID/maps` names it. On btrfs the two devices differ, so
/// the two types must not be compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// `st_dev`.
    pub device: Device,
    /// `st_ino`.
    pub inode: u64,
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} inode {}", self.device, self.inode)
    }
}

/// Documents and bundles hold plain integers, so schemas do not show these types.
#[cfg(feature = "capture")]
mod documents {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Checksum, FrameNumber, PageNumber, Salts};

    macro_rules! as_the_integer {
        ($($number:ident: $integer:ty),*) => {$(
            impl Serialize for $number {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    self.0.serialize(serializer)
                }
            }

            impl<'de> Deserialize<'de> for $number {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    <$integer>::deserialize(deserializer).map(Self)
                }
            }

            impl JsonSchema for $number {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    <$integer>::schema_name()
                }

                fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                    <$integer>::json_schema(generator)
                }
            }
        )*};
    }

    as_the_integer!(FrameNumber: u64, PageNumber: u32, Salts: [u32; 2], Checksum: [u32; 2]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_offset_is_plain_arithmetic(power in 9_u32..=16, frame in 1_u64..1 << 40, torn in 0_u64..536) {
            let bytes = 1_u32 << power;
            let size = PageSize::new(bytes).unwrap();
            let frame_size = 24 + u64::from(bytes);
            let begin = 32 + (frame - 1) * frame_size;
            prop_assert_eq!(size.frame_size(), frame_size);
            prop_assert_eq!(size.offset_of(FrameNumber(frame)), begin);
            prop_assert_eq!(size.page_offset_of(FrameNumber(frame)), begin + 24);
            prop_assert_eq!(Stride::HEADERS.offset_of(FrameNumber(frame)), 32 + (frame - 1) * 24);
            let end = size.stride().length_with(frame);
            prop_assert_eq!(end, begin + frame_size);
            prop_assert_eq!((size.stride().frames_in(end + torn), size.stride().torn_bytes_in(end + torn)), (frame, torn));
        }

        #[test]
        fn no_number_overflows(frame: u64, bytes: u32, page: u32, file_size: u64) {
            let (frame, stride) = (FrameNumber(frame), Stride::of_pages(bytes));
            let begin = stride.offset_of(frame);
            prop_assert!(begin <= stride.offset_of(frame.next()) && stride.offset_of(FrameNumber::NONE) == 32);
            prop_assert!(stride.frames_in(file_size).saturating_mul(stride.bytes()) <= file_size);
            prop_assert!(stride.torn_bytes_in(file_size) < stride.bytes());
            prop_assert!(frame.previous().is_none_or(|before| before.next() == frame && before != FrameNumber::NONE));
            prop_assert_eq!(FrameNumber::NONE.frames_after(frame), 0);
            for size in PageSize::new(bytes).into_iter().chain([PageSize(65536)]) {
                prop_assert!(size.page_offset_of(frame) >= size.offset_of(frame));
                let _ = size.offset_in_database(PageNumber(page));
            }
        }

        #[test]
        fn only_powers_of_two_from_512_to_65536_are_page_sizes(bytes: u32, power in 0_u32..32) {
            for bytes in [bytes, 1 << power] {
                let taken = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536].contains(&bytes);
                prop_assert_eq!(PageSize::new(bytes).map(PageSize::bytes), taken.then_some(bytes));
            }
        }

        #[test]
        fn salt_1_counts_restarts_round_the_end(salt1: u32, salt2: u32, other: u32) {
            let salts = Salts([salt1, salt2]);
            prop_assert!(salts.restarted_as(Salts([salt1.wrapping_add(1), other])));
            prop_assert!(!salts.restarted_as(Salts([salt1, other])) && !salts.restarted_as(Salts([salt1.wrapping_sub(1), other])));
            prop_assert_eq!(salts.restarts_until(Salts([salt1.wrapping_add(other), salt2])), other);
        }
    }

    #[cfg(feature = "capture")]
    #[test]
    fn documents_show_bare_numbers() {
        let text = serde_json::to_string(&(FrameNumber(7), PageNumber(3), Salts([1, 2]), Checksum([8, 9]))).unwrap();
        assert_eq!(text, "[7,3,[1,2],[8,9]]");
    }
}
