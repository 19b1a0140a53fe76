//! The WAL checksum.
mod dot;

use byteorder::{BigEndian, ByteOrder as _, LittleEndian};

use crate::number::{ByteOrder, Checksum};

/// How the checksum is computed. Every way gives the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// Word by word, as the file format describes it. It is the reference, and the faster way on a processor without
    /// vector multiplication.
    Recurrence,
    /// As two dot products with constant weights, several words at once. `format/checksum/dot.rs` explains it.
    DotProduct,
    /// As two dot products, in vectors of 128 bits: for a processor without AVX2.
    DotProduct128,
}

impl Kernel {
    /// The fastest way on this machine.
    #[must_use]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        let (wide, narrow) =
            (std::arch::is_x86_feature_detected!("avx2"), std::arch::is_x86_feature_detected!("sse4.1"));
        #[cfg(not(target_arch = "x86_64"))]
        let (wide, narrow) = (false, cfg!(target_arch = "aarch64"));
        match (wide, narrow) {
            (true, _) => Self::DotProduct,
            (false, true) => Self::DotProduct128,
            (false, false) => Self::Recurrence,
        }
    }

    /// Continues the checksum `seed` over `bytes` in this way. A tail shorter than 8 bytes is not covered.
    #[must_use]
    pub fn checksum(self, order: ByteOrder, seed: Checksum, bytes: &[u8]) -> Checksum {
        let mut sums = [seed];
        self.continue_each(order, bytes, bytes.len(), 0, &mut sums);
        let [sum] = sums;
        sum
    }

    /// Continues each of `sums` over one record. Records of one size follow each other in `bytes`, and the first bytes
    /// of each are skipped. A tail of a record that is shorter than 8 bytes is not covered.
    pub(super) fn continue_each(
        self,
        order: ByteOrder,
        bytes: &[u8],
        size: usize,
        skipped: usize,
        sums: &mut [Checksum],
    ) {
        let width = match self {
            Self::DotProduct => dot::Width::Widest,
            Self::DotProduct128 => dot::Width::Bits128,
            Self::Recurrence => {
                for (sum, record) in sums.iter_mut().zip(bytes.chunks(size.max(1))) {
                    *sum = checksum(order, *sum, record.get(skipped..).unwrap_or_default());
                }
                return;
            }
        };
        dot::continued(order, dot::Records { bytes, size, skipped }, sums, width);
    }
}

/// Continues the checksum `seed` over `bytes`. A tail shorter than 8 bytes is not covered.
///
/// It goes word by word, as the format defines it. Every faster way ([`Kernel`]) is tested against it.
#[must_use]
pub fn checksum(order: ByteOrder, seed: Checksum, bytes: &[u8]) -> Checksum {
    match order {
        ByteOrder::Little => recurrence(seed, bytes, LittleEndian::read_u32),
        ByteOrder::Big => recurrence(seed, bytes, BigEndian::read_u32),
    }
}

/// One instance for each byte order, so that reading a word needs no call.
#[inline(always)]
fn recurrence(Checksum([mut s0, mut s1]): Checksum, bytes: &[u8], read: impl Fn(&[u8]) -> u32) -> Checksum {
    for pair in bytes.chunks_exact(8) {
        let (x0, x1) = pair.split_at(4);
        s0 = s0.wrapping_add(read(x0)).wrapping_add(s1);
        s1 = s1.wrapping_add(read(x1)).wrapping_add(s0);
    }
    Checksum([s0, s1])
}

/// What a checksum was before it was continued over `bytes`: [`checksum`], taken back. A tail shorter than 8 bytes is not
/// covered.
#[must_use]
pub(crate) fn taken_back(order: ByteOrder, Checksum([mut s0, mut s1]): Checksum, bytes: &[u8]) -> Checksum {
    let read = match order {
        ByteOrder::Little => LittleEndian::read_u32,
        ByteOrder::Big => BigEndian::read_u32,
    };
    for pair in bytes.chunks_exact(8).rev() {
        let (x0, x1) = pair.split_at(4);
        s1 = s1.wrapping_sub(read(x1)).wrapping_sub(s0);
        s0 = s0.wrapping_sub(read(x0)).wrapping_sub(s1);
    }
    Checksum([s0, s1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_orders_differ_only_in_how_words_are_read() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        let swapped = [4, 3, 2, 1, 8, 7, 6, 5];
        assert_eq!(
            checksum(ByteOrder::Big, Checksum([9, 9]), &bytes),
            checksum(ByteOrder::Little, Checksum([9, 9]), &swapped)
        );
        assert_ne!(
            checksum(ByteOrder::Big, Checksum([9, 9]), &bytes),
            checksum(ByteOrder::Little, Checksum([9, 9]), &bytes)
        );
    }

    #[test]
    fn the_step_is_the_one_of_the_file_format() {
        // s0 += x0 + s1; s1 += x1 + s0, worked by hand for x = (1, 2), seed (3, 4), and wrapping for the largest word.
        assert_eq!(checksum(ByteOrder::Big, Checksum([3, 4]), &[0, 0, 0, 1, 0, 0, 0, 2]), Checksum([8, 14]));
        assert_eq!(checksum(ByteOrder::Big, Checksum([1, 0]), &[0xff; 8]), Checksum([0, 0xffff_ffff]));
    }

    #[test]
    fn a_checksum_is_taken_back_to_where_it_began() {
        let bytes: Vec<u8> = (0..=255).map(|byte: u8| byte.wrapping_mul(83)).collect();
        for order in [ByteOrder::Little, ByteOrder::Big] {
            for seed in [[0, 0], [7, 9], [u32::MAX, 1 << 31]].map(Checksum) {
                assert_eq!(taken_back(order, checksum(order, seed, &bytes), &bytes), seed);
            }
        }
    }

    #[test]
    fn a_checksum_continues_over_a_split() {
        let bytes: Vec<u8> = (0..64).collect();
        let half = checksum(ByteOrder::Little, Checksum([0, 0]), &bytes[..24]);
        let whole = checksum(ByteOrder::Little, Checksum([0, 0]), &bytes);
        assert_eq!(checksum(ByteOrder::Little, half, &bytes[24..]), whole);
    }

    /// Every way at once: all must agree with the recurrence.
    fn agree(order: ByteOrder, seed: [u32; 2], bytes: &[u8]) {
        let seed = Checksum(seed);
        let expected = checksum(order, seed, bytes);
        for kernel in [Kernel::DotProduct, Kernel::DotProduct128] {
            let found = kernel.checksum(order, seed, bytes);
            assert_eq!(found, expected, "{kernel:?}, {order:?}, seed {seed:?}, {} bytes", bytes.len());
        }
    }

    #[test]
    fn records_are_continued_over_each_by_itself() {
        let bytes: Vec<u8> = (0..40_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        for (size, skipped) in
            [(24, 24), (32, 24), (536, 24), (1048, 24), (1052, 20), (2072, 24), (4120, 24), (8192, 0)]
        {
            for (count, order) in (0..5).flat_map(|count| ORDERS.map(|order| (count, order))) {
                let sums: Vec<Checksum> = (0..count).map(|i| Checksum([i, !i])).collect();
                // Half a record after the last one is ignored.
                let bytes = &bytes[..size * count as usize + size / 2];
                let records = sums.iter().zip(bytes.chunks(size));
                let expected: Vec<_> = records.map(|(sum, one)| checksum(order, *sum, &one[skipped..])).collect();
                for kernel in [Kernel::Recurrence, Kernel::DotProduct, Kernel::DotProduct128] {
                    let mut found = sums.clone();
                    kernel.continue_each(order, bytes, size, skipped, &mut found);
                    assert_eq!(found, expected, "{kernel:?}, {order:?}, {count} of {size} bytes");
                    // A sum without a record is not changed.
                    found = sums.iter().copied().chain([Checksum::ZERO; 3]).collect();
                    kernel.continue_each(order, &bytes[..size * count as usize], size, skipped, &mut found);
                    assert_eq!(found[..count as usize], expected, "{kernel:?}, {order:?}, {count} of {size} bytes");
                }
            }
        }
    }

    const ORDERS: [ByteOrder; 2] = [ByteOrder::Little, ByteOrder::Big];
    const SEEDS: [[u32; 2]; 5] = [[0, 0], [1, 0], [0, 1], [u32::MAX, u32::MAX], [0x8000_0000, 0x7fff_ffff]];

    #[test]
    fn the_dot_product_is_the_recurrence_at_every_length_and_alignment() {
        let bytes: Vec<u8> = (0..9000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let lengths = (0..300).chain(4000..4200).chain([8184, 8192, 8200, 8990]);
        for (length, order) in lengths.flat_map(|length| ORDERS.map(|order| (length, order))) {
            let at = length % 9;
            agree(order, [length as u32, 7], &bytes[at..at + length]);
        }
    }

    #[test]
    fn the_dot_product_is_the_recurrence_for_adversarial_words() {
        for (seed, order) in SEEDS.into_iter().flat_map(|seed| ORDERS.map(|order| (seed, order))) {
            for fill in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                for length in [8, 512, 1024, 4096, 4104, 65536] {
                    agree(order, seed, &vec![fill; length]);
                }
            }
            // Only one word is not zero, once at each place of a page: so its weight is tested.
            for place in (0..4096).step_by(4) {
                let mut page = vec![0; 4096];
                page[place..place + 4].copy_from_slice(&[0xff, 0, 0, 1]);
                agree(order, seed, &page);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn the_dot_product_is_the_recurrence_for_any_bytes(
            seed: [u32; 2],
            big: bool,
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..9000),
        ) {
            agree(if big { ByteOrder::Big } else { ByteOrder::Little }, seed, &bytes);
        }
    }
}
