//! A `-wal` whose checksums are right again after a change. With a sum of its own, from fileformat2 section 4.2: the
//! library's must not vouch for itself.

use crate::bits::Bits;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The smallest page size: as many frames as possible in few bytes.
const PAGE: usize = 512;

fn sum(big: bool, (mut a, mut b): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let word = |four: &[u8]| {
        let four = [four[0], four[1], four[2], four[3]];
        if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    for eight in bytes.chunks_exact(8) {
        a = a.wrapping_add(word(&eight[..4])).wrapping_add(b);
        b = b.wrapping_add(word(&eight[4..])).wrapping_add(a);
    }
    (a, b)
}

fn put(to: &mut [u8], (a, b): (u32, u32)) {
    to[..4].copy_from_slice(&a.to_be_bytes());
    to[4..8].copy_from_slice(&b.to_be_bytes());
}

/// Makes the header, and a number of frames from the first on, what SQLite accepts: in three of four cases the header,
/// then in most the chain up to some frame. Page numbers and commit marks stay as the change left them, but for zeros.
pub fn repair(wal: &mut [u8], bits: &mut Bits) {
    if wal.len() < HEADER || bits.one_in(4) {
        return;
    }
    if !bits.one_in(8) {
        let order = wal[3] & 1;
        wal[..4].copy_from_slice(&[0x37, 0x7f, 0x06, 0x82 | order]);
        wal[4..8].copy_from_slice(&3_007_000_u32.to_be_bytes());
        wal[8..12].copy_from_slice(&(PAGE as u32).to_be_bytes());
    }
    let big = wal[3] & 1 == 1;
    let mut running = sum(big, (0, 0), &wal[..24]);
    put(&mut wal[24..32], running);
    let (head, frames) = wal.split_at_mut(HEADER);
    let salts = &head[16..24];
    let all = frames.len() / (FRAME_HEADER + PAGE);
    let mended = if bits.one_in(3) { bits.below(all + 1) } else { all };
    for frame in frames.chunks_exact_mut(FRAME_HEADER + PAGE).take(mended) {
        if !bits.one_in(16) {
            frame[8..16].copy_from_slice(salts);
        }
        if frame[..4] == [0; 4] && !bits.one_in(16) {
            frame[3] = 1 + bits.below(9) as u8;
        }
        running = sum(big, sum(big, running, &frame[..8]), &frame[FRAME_HEADER..]);
        if !bits.one_in(64) {
            put(&mut frame[16..24], running);
        }
    }
}

/// Moves whole frames about, which no change of single bytes does: one is doubled, left out, exchanged or made a commit.
pub fn shuffle(wal: &mut [u8], size: usize, bits: &mut Bits) -> usize {
    const FRAME: usize = FRAME_HEADER + PAGE;
    let frames = size.saturating_sub(HEADER) / FRAME;
    if frames == 0 {
        return size;
    }
    let at = HEADER + bits.below(frames) * FRAME;
    let other = HEADER + bits.below(frames) * FRAME;
    match bits.below(4) {
        0 if size + FRAME <= wal.len() => {
            wal.copy_within(at..size, at + FRAME);
            return size + FRAME;
        }
        1 => {
            wal.copy_within(at + FRAME..size, at);
            return size - FRAME;
        }
        2 => {
            for n in 0..FRAME {
                wal.swap(at + n, other + n);
            }
        }
        _ => wal[at + 4..at + 8].copy_from_slice(&(bits.below(20) as u32).to_be_bytes()),
    }
    size
}
