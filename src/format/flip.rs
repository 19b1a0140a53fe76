//! One bit of a frame that differs from what was written, found by its checksum.
//!
//! Both sums are linear modulo 2^32 in every word that they cover. So what one changed bit does to them depends only on its
//! place, and what the sums differ by tells the place. Other bytes than the written ones differ by just that once in some
//! 2^44 frames.
//!
//! folklore: the weights of the words are Fibonacci numbers. Modulo a small power of two these come again after a short
//! period, so that one of the highest bits of a word has the effect of the same bit of other words: of 4096 bytes, from bit 23
//! on. A bit of the last words has the effect of one of the checksum itself. The checksum then shows that a bit changed,
//! and not which; and two of the highest bits can look like one. Held by
//! `every_flipped_bit_of_a_frame_is_found_and_two_are_not`.

use super::wal::{FRAME_HEADER_SIZE, FrameHeader, frame_checksum};
use crate::number::{ByteOrder, Checksum, Salts};

/// A bit of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bit {
    /// Byte from the start of the frame.
    pub byte: usize,
    /// Bit of that byte; 0 is the lowest.
    pub bit: u8,
}

/// One bit of a frame that was flipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Flipped {
    /// The bit; the first if there are several places that it can be at.
    pub at: Bit,
    /// The number of places that it can be at.
    pub places: usize,
    /// Whether the frame was a commit; of several places, whether it can have been one.
    pub commit: bool,
}

/// The one bit with which a frame would continue the checksum `seed`. `frame` is header and page. The time is proportional to
/// the length of the frame.
///
/// ```
/// use walscope::format::flip::{Bit, flipped};
/// use walscope::format::wal::{FrameHeader, frame_checksum};
/// use walscope::number::{ByteOrder, Checksum, PageNumber, Salts};
///
/// let (order, seed, salts) = (ByteOrder::Big, Checksum([3, 4]), Salts([1, 2]));
/// let mut frame = vec![7; 24 + 512];
/// let mut header = FrameHeader { page: PageNumber(2), commit_pages: 2, salts, checksum: Checksum::ZERO };
/// frame[..24].copy_from_slice(&header.to_bytes());
/// header.checksum = frame_checksum(order, seed, &frame);
/// frame[..24].copy_from_slice(&header.to_bytes());
/// assert_eq!(flipped(order, seed, salts, &frame), None);
/// frame[102] ^= 1 << 3;
/// let found = flipped(order, seed, salts, &frame).unwrap();
/// assert_eq!((found.at, found.places, found.commit), (Bit { byte: 102, bit: 3 }, 1, true));
/// ```
#[must_use]
pub fn flipped(order: ByteOrder, seed: Checksum, salts: Salts, frame: &[u8]) -> Option<Flipped> {
    let header = FrameHeader::of(frame.first_chunk()?);
    let computed = frame_checksum(order, seed, frame);
    let all = if header.salts != salts {
        // The checksum does not cover the salts.
        let at = only_bit(header.salts.0, salts.0).filter(|_| computed == header.checksum)?;
        vec![Bit { byte: 8 + at.byte, ..at }]
    } else if computed == header.checksum {
        return None;
    } else {
        let of_checksum = only_bit(header.checksum.0, computed.0).map(|at| Bit { byte: 16 + at.byte, ..at });
        covered(order, computed, header.checksum, frame).into_iter().chain(of_checksum).collect()
    };
    let restored = |bit: &Bit| {
        let mut head: [u8; FRAME_HEADER_SIZE] = *frame.first_chunk()?;
        if let Some(byte) = head.get_mut(bit.byte) {
            *byte ^= 1 << bit.bit;
        }
        Some(FrameHeader::of(&head)).filter(|header| header.page != 0)
    };
    let possible = || all.iter().filter_map(|bit| Some((*bit, restored(bit)?)));
    let (at, _) = possible().next()?;
    let mut once = frame.to_vec();
    *once.get_mut(at.byte)? ^= 1 << at.bit;
    let stored = FrameHeader::of(once.first_chunk()?).checksum;
    let right = frame_checksum(order, seed, &once) == stored;
    let commit = possible().any(|(_, header)| header.is_commit());
    right.then(|| Flipped { at, places: possible().count(), commit })
}

/// The one bit in which two big-endian words differ from two others.
fn only_bit([a, b]: [u32; 2], [c, d]: [u32; 2]) -> Option<Bit> {
    let differ = u64::from(a ^ c) << 32 | u64::from(b ^ d);
    let at = differ.is_power_of_two().then(|| differ.trailing_zeros())?;
    Some(Bit { byte: 7 - usize::try_from(at / 8).ok()?, bit: (at % 8) as u8 })
}

/// Every bit among those that the checksum covers.
fn covered(order: ByteOrder, computed: Checksum, stored: Checksum, frame: &[u8]) -> Vec<Bit> {
    let mut found = Vec::new();
    let wanted = [0, 1].map(|at| {
        let of = |sum: Checksum| if at == 0 { sum.0[0] } else { sum.0[1] };
        of(stored).wrapping_sub(of(computed))
    });
    let page = frame.get(FRAME_HEADER_SIZE..).unwrap_or_default().chunks_exact(8).enumerate();
    let page = page.map(|(at, pair)| (FRAME_HEADER_SIZE + at * 8, pair));
    // What adding 1 to the first and to the second word of a pair adds to the sums at the end, from the last pair on.
    let (mut first, mut second) = ([1_u32, 1], [0_u32, 1]);
    let back = |[a, b]: [u32; 2]| [a.wrapping_add(b), a.wrapping_add(b).wrapping_add(b)];
    for (at, pair) in page.rev().chain([(0, frame.get(..8).unwrap_or_default())]) {
        for (word, adds) in [(0, first), (4, second)] {
            for bit in 0..32_u32 {
                let is = adds.map(|one| one << bit) == wanted || adds.map(|one| (one << bit).wrapping_neg()) == wanted;
                let place = match order {
                    ByteOrder::Little => bit / 8,
                    ByteOrder::Big => 3 - bit / 8,
                };
                let place = word + place as usize;
                // A bit that was set takes its weight away, another one adds it.
                let set = pair.get(place).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
                let added = adds.map(|one| one << bit) == wanted;
                if is && (set != added || bit == 31) {
                    found.push(Bit { byte: at + place, bit: (bit % 8) as u8 });
                }
            }
        }
        (first, second) = (back(first), back(second));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::PageNumber;

    #[test]
    fn every_flipped_bit_of_a_frame_is_found_and_two_are_not() {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let (seed, salts) = (Checksum([0x1234_5678, 0x9abc_def0]), Salts([0x0f0f_0f0f, 0x1111_1111]));
            let mut frame: Vec<u8> = (0..24 + 512_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            let mut header = FrameHeader { page: PageNumber(5), commit_pages: 9, salts, checksum: Checksum::ZERO };
            frame[..24].copy_from_slice(&header.to_bytes());
            header.checksum = frame_checksum(order, seed, &frame);
            frame[..24].copy_from_slice(&header.to_bytes());
            for byte in 0..frame.len() {
                for bit in 0..8 {
                    let mut damaged = frame.clone();
                    damaged[byte] ^= 1 << bit;
                    let found = flipped(order, seed, salts, &damaged).unwrap();
                    let certain = found.places == 1;
                    assert!(found.commit && (!certain || found.at == Bit { byte, bit }), "{order:?}: {byte}, {bit}");
                    // The highest bits of a word have the effect of the same bits of other words.
                    let in_word = |byte: usize, bit: u8| match order {
                        ByteOrder::Little => byte % 4 * 8 + usize::from(bit),
                        ByteOrder::Big => (3 - byte % 4) * 8 + usize::from(bit),
                    };
                    let at_end = (16..24).contains(&byte) || byte >= 24 + 512 - 8;
                    assert!(certain || in_word(byte, bit) >= 23 || at_end, "{order:?}: {byte}, {bit}: {found:?}");
                    let (other, second) = ((byte + 97) % (24 + 512), (bit + 3) % 8);
                    damaged[other] ^= 1 << second;
                    if in_word(byte, bit) < 20 && in_word(other, second) < 20 {
                        assert_eq!(flipped(order, seed, salts, &damaged), None, "{order:?}: {byte}, {bit}");
                    }
                }
            }
        }
    }

    #[test]
    fn noise_and_zeros_are_no_frame_with_one_wrong_bit() {
        for fill in [0, 0x5a, 0xff] {
            assert_eq!(flipped(ByteOrder::Little, Checksum([1, 2]), Salts([3, 4]), &[fill; 24 + 4096]), None);
        }
        assert_eq!(flipped(ByteOrder::Big, Checksum([1, 2]), Salts([3, 4]), &[]), None);
    }
}
