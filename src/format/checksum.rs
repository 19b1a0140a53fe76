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
