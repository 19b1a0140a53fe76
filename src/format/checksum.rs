//! The WAL checksum.
use byteorder::{BigEndian, ByteOrder, LittleEndian};

/// The order in which the 32-bit words under a checksum are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChecksumOrder {
    /// Magic 0x377f0682.
    Little,
    /// Magic 0x377f0683.
    Big,
}

/// Continues the checksum `seed` over `bytes`; a tail shorter than 8 bytes is not covered.
#[must_use]
pub fn checksum(order: ChecksumOrder, seed: [u32; 2], bytes: &[u8]) -> [u32; 2] {
    let read = match order {
        ChecksumOrder::Little => LittleEndian::read_u32,
        ChecksumOrder::Big => BigEndian::read_u32,
    };
    let [mut s0, mut s1] = seed;
    for pair in bytes.chunks_exact(8) {
        let (x0, x1) = pair.split_at(4);
        s0 = s0.wrapping_add(read(x0)).wrapping_add(s1);
        s1 = s1.wrapping_add(read(x1)).wrapping_add(s0);
    }
    [s0, s1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_orders_differ_only_in_how_words_are_read() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        let swapped = [4, 3, 2, 1, 8, 7, 6, 5];
        assert_eq!(checksum(ChecksumOrder::Big, [9, 9], &bytes), checksum(ChecksumOrder::Little, [9, 9], &swapped));
        assert_ne!(checksum(ChecksumOrder::Big, [9, 9], &bytes), checksum(ChecksumOrder::Little, [9, 9], &bytes));
    }

    #[test]
    fn the_step_is_the_one_of_the_file_format() {
        // s0 += x0 + s1; s1 += x1 + s0, worked by hand for x = (1, 2), seed (3, 4), and wrapping for the largest word.
        assert_eq!(checksum(ChecksumOrder::Big, [3, 4], &[0, 0, 0, 1, 0, 0, 0, 2]), [8, 14]);
        assert_eq!(checksum(ChecksumOrder::Big, [1, 0], &[0xff; 8]), [0, 0xffff_ffff]);
    }

    #[test]
    fn a_checksum_continues_over_a_split() {
        let bytes: Vec<u8> = (0..64).collect();
        let half = checksum(ChecksumOrder::Little, [0, 0], &bytes[..24]);
        let whole = checksum(ChecksumOrder::Little, [0, 0], &bytes);
        assert_eq!(checksum(ChecksumOrder::Little, half, &bytes[24..]), whole);
    }
}
