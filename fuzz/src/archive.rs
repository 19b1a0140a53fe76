//! A bundle whose tar headers are right again after a change, in a file that has no name.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::bits::Bits;

const BLOCK: usize = 512;

/// Bytes as a file in memory.
pub fn file(bytes: &[u8]) -> Arc<File> {
    let file: OwnedFd = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(file);
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

/// Walks from header to header as the sizes lead, and sets each checksum right, but for one of 64.
pub fn repair(tar: &mut [u8], bits: &mut Bits) {
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            return;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        if !bits.one_in(64) {
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let digits = header[124..136].iter().filter(|byte| (b'0'..=b'7').contains(byte));
        let size = digits.fold(0_usize, |size, digit| (size << 3 | usize::from(digit - b'0')) & 0xffff_ffff);
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
}
