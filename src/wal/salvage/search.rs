//! The search for the page size of frames behind a header that SQLite cannot use.
//!
//! In hostile bytes every place can look like a frame. So a checksum is computed only where the two headers fit, and the
//! bytes that are summed in vain are bounded by the bytes that were read.

use std::io;

use super::{Layout, is_possible};
use crate::bytes::ReadAt;
use crate::format::wal::{FrameHeader, HEADER_SIZE, frame_checksum};
use crate::number::{ByteOrder, FrameNumber, PAGE_SIZES, PageSize};

/// The bytes that are read at once: several of the largest frames.
pub(super) const AT_ONCE: usize = 1 << 20;
/// So many bytes may be summed in vain for each page size, however little was read: enough for two of the largest frames.
const SUMMED_ANYHOW: u64 = 1 << 18;
/// For each page size, one more byte may be summed in vain for so many bytes that were read.
const READ_FOR_ONE: u64 = 4;
/// Where the salts stand in the header of a frame.
const SALTS: std::ops::Range<usize> = 8..16;

const ORDERS: [ByteOrder; 2] = [ByteOrder::Little, ByteOrder::Big];

/// The page sizes, the most likely first.
pub(super) struct Sizes(Vec<PageSize>);

/// A page size that is tried.
struct Trial {
    size: PageSize,
    /// The frame that is compared next with the one after it.
    number: FrameNumber,
    /// Bytes that were summed in vain.
    summed: u64,
}

impl Trial {
    fn offset(&self) -> u64 {
        self.size.offset_of(self.number)
    }

    /// Where the frame after it ends.
    fn end(&self) -> u64 {
        self.size.offset_of(self.number.next().next())
    }
}

impl Sizes {
    pub(super) fn new(likely: Option<PageSize>) -> Self {
        let all = (0..u32::BITS).filter_map(|bit| PageSize::new(1 << bit)).filter(|size| Some(*size) != likely);
        Self(likely.into_iter().chain(all).collect())
    }

    /// Looks for two neighbours of which the second continues the first, in so many bytes of the file. Also returns how
    /// many bytes were summed in vain.
    pub(super) fn of_neighbours(&self, wal: &dyn ReadAt, searched: u64) -> io::Result<(Option<Layout>, u64)> {
        let len = wal.len().min(searched);
        let trial = |size: &PageSize| Trial { size: *size, number: FrameNumber::FIRST, summed: 0 };
        let mut trials: Vec<Trial> = self.0.iter().map(trial).collect();
        let mut buffer = vec![0; AT_ONCE.min(usize::try_from(len).unwrap_or(AT_ONCE))];
        let mut read = 0_u64;
        let summed = |trials: &[Trial]| trials.iter().map(|trial| trial.summed).sum();
        loop {
            let Some(at) = trials.iter().filter(|trial| trial.end() <= len).map(Trial::offset).min() else {
                return Ok((None, summed(&trials)));
            };
            let data = wal.next_data(at).min(len);
            if data.saturating_sub(at) > *PAGE_SIZES.end() as u64 * 2 + AT_ONCE as u64 {
                // Two neighbours in a hole of the file are zero bytes.
                for trial in &mut trials {
                    let before = trial.size.stride().frames_in(data).saturating_sub(1);
                    trial.number = trial.number.max(FrameNumber(before));
                }
                continue;
            }
            let got = wal.read_at(&mut buffer, at)?;
            let (bytes, end) = (buffer.get(..got).unwrap_or_default(), at.saturating_add(got as u64));
            read = read.saturating_add(got as u64);
            for trial in &mut trials {
                let stride = trial.size.stride().to_usize();
                while trial.end() <= end {
                    let from = usize::try_from(trial.offset().saturating_sub(at)).unwrap_or(usize::MAX);
                    let both = bytes.get(from..).and_then(|bytes| bytes.get(..2 * stride)).unwrap_or_default();
                    if trial.summed <= SUMMED_ANYHOW.saturating_add(read / READ_FOR_ONE) && fit(both, stride) {
                        if let Some(order) = order_of(both, stride) {
                            return Ok((Some(Layout { page_size: trial.size, order }), summed(&trials)));
                        }
                        trial.summed = trial.summed.saturating_add((stride * ORDERS.len()) as u64);
                    }
                    trial.number = trial.number.next();
                }
            }
            if got < buffer.len() {
                return Ok((None, summed(&trials)));
            }
        }
    }

    /// Looks for a page size by which frame 1 continues a header.
    pub(super) fn of_first_frame(&self, wal: &dyn ReadAt) -> io::Result<Option<Layout>> {
        for layout in self.0.iter().flat_map(|size| ORDERS.map(|order| Layout { page_size: *size, order })) {
            if layout.header_before_first(wal)?.is_some() {
                return Ok(Some(layout));
            }
        }
        Ok(None)
    }
}

/// Whether the headers of two neighbours fit each other. Two with one checksum do not: each is summed over other bytes.
fn fit(both: &[u8], stride: usize) -> bool {
    let Some((first, second)) = both.split_at_checked(stride) else { return false };
    if first.get(SALTS) != second.get(SALTS) {
        return false;
    }
    let headers = first.first_chunk().zip(second.first_chunk());
    headers.map(|(before, header)| [FrameHeader::of(before), FrameHeader::of(header)]).is_some_and(
        |[before, header]| before.checksum != header.checksum && is_possible(&before) && is_possible(&header),
    )
}

/// The byte order by which the second of two frames continues the first.
fn order_of(both: &[u8], stride: usize) -> Option<ByteOrder> {
    let (first, second) = both.split_at_checked(stride)?;
    let [before, header] = [FrameHeader::of(first.first_chunk()?), FrameHeader::of(second.first_chunk()?)];
    ORDERS.into_iter().find(|order| frame_checksum(*order, before.checksum, second) == header.checksum)
}

/// A file that begins with a frame, with 32 zero bytes in the place of the header.
pub(super) struct HeaderPut<'a>(pub(super) &'a dyn ReadAt);

impl ReadAt for HeaderPut<'_> {
    fn len(&self) -> u64 {
        self.0.len().saturating_add(HEADER_SIZE as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let zeros = usize::try_from((HEADER_SIZE as u64).saturating_sub(offset)).unwrap_or(0).min(buf.len());
        let (head, rest) = buf.split_at_mut(zeros);
        head.fill(0);
        if rest.is_empty() {
            return Ok(zeros);
        }
        Ok(zeros + self.0.read_at(rest, offset.saturating_sub(HEADER_SIZE as u64))?)
    }

    fn next_data(&self, offset: u64) -> u64 {
        let before = HEADER_SIZE as u64;
        offset.checked_sub(before).map_or(offset, |offset| self.0.next_data(offset).saturating_add(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 3 << 20;

    /// Frames of one page size with possible headers, whose checksums differ and are wrong.
    fn wrong_frames(page_size: usize) -> Vec<u8> {
        let mut bytes = vec![5; LEN];
        for (number, frame) in (1_u32..).zip(bytes[HEADER_SIZE..].chunks_mut(24 + page_size)) {
            for (at, value) in [(0, 1), (4, 0), (16, number), (20, !number)] {
                if let Some(word) = frame.get_mut(at..at + 4) {
                    word.copy_from_slice(&u32::to_be_bytes(value));
                }
            }
        }
        bytes
    }

    /// Words of 8 bytes, each one of two: at every place a frame of every size can begin, and one in four has the salts of the
    /// next one and another checksum.
    fn two_words() -> Vec<u8> {
        let mut state = 1_u64;
        let mut word = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            [0, 0, 0, 1, 0, 0, 0, 1 + (state >> 63) as u8]
        };
        (0..LEN / 8).flat_map(|_| word()).collect()
    }

    /// The most that may be summed in so many bytes: each page size may go beyond its bound by one pair of frames.
    fn bound() -> u64 {
        // Parts of the file are read twice, because frames reach over the ends of what is read at once.
        let read = LEN as u64 + LEN as u64 / 8;
        let each = SUMMED_ANYHOW + read / READ_FOR_ONE;
        (9..=16).map(|bit| each + 2 * (24 + (1 << bit))).sum()
    }

    #[test]
    fn hostile_bytes_are_summed_little() {
        let constant = (0..=255).step_by(15).map(|byte| vec![byte; LEN]);
        let patterns = [8, 16, 24, 536, 4120].map(|period| {
            (0..LEN).map(|at| if at % period < period / 2 { 1 } else { (at % period) as u8 }).collect::<Vec<u8>>()
        });
        let wrong = (9..=16).map(|bit| wrong_frames(1 << bit));
        let mut most = 0;
        for bytes in constant.chain(patterns).chain([two_words()]).chain(wrong) {
            for of in [Sizes::new(None), Sizes::new(PageSize::new(65536))] {
                let (found, summed) = of.of_neighbours(&bytes, u64::MAX).unwrap();
                assert!(found.is_none());
                assert!(summed <= bound(), "{summed} of {}: {:?}", bound(), &bytes[32..64]);
                most = summed.max(most);
            }
        }
        // One of them would cost more than the bound, so that the bound is what holds.
        assert!(most > bound() / 2, "{most}");
    }

    #[test]
    fn constant_bytes_are_not_summed_at_all() {
        for byte in 0..=255 {
            assert_eq!(Sizes::new(None).of_neighbours(&vec![byte; 300_000], u64::MAX).unwrap().1, 0, "{byte}");
        }
    }
}
