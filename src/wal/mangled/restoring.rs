//! Frames in which carriage returns are missing before line feeds, restored one by one.

use std::io;

use super::change::Undoing;
use crate::bytes::ReadAt;
use crate::format::wal::{FRAME_HEADER_SIZE, FrameHeader, frame_checksum};
use crate::number::{ByteOrder, Checksum, FrameNumber, Salts};
use crate::wal::WalFacts;

/// At most so many bytes are missing in a frame that is restored.
const MISSING: usize = 64;
/// Bytes that may be summed in any case for restoring frames.
const RESTORING: u64 = 1 << 26;
/// For each byte of a frame that came out right, so many more.
const FOR_EACH_RIGHT: u64 = 4;
/// At most so many ways to restore a frame are tried.
const WAYS: usize = 2_000;

/// Goes on behind the break of a WAL and puts carriage returns before line feeds where the next frame begins too early.
/// Each frame that is restored has its checksum again.
pub(super) fn removed(wal: &dyn ReadAt, facts: &WalFacts, at: u64) -> io::Result<Option<Undoing>> {
    let Some((header, order)) = facts.header.and_then(|header| Some((header, header.checksum_order()?))) else {
        return Ok(None);
    };
    let Some(page_size) = facts.page_size() else { return Ok(None) };
    let stride = page_size.stride().to_usize();
    let seed = match FrameNumber(facts.frames.valid) {
        FrameNumber::NONE => header.checksum,
        last => {
            let mut before = [0; FRAME_HEADER_SIZE];
            if wal.read_at(&mut before, page_size.offset_of(last))? < before.len() {
                return Ok(None);
            }
            FrameHeader::of(&before).checksum
        }
    };
    let mut walk = Restoring { wal, order, salts: header.salts, stride, at, seed, budget: RESTORING, summed: 0 };
    let mut undone = Undoing { frames: facts.frames.valid, commits: facts.commits };
    let mut restored = 0_u64;
    while let Some((header, missing)) = walk.next()? {
        undone.frames += 1;
        undone.commits += u64::from(header.is_commit());
        restored += u64::from(missing > 0);
    }
    Ok((restored > 0).then_some(undone))
}

/// The frames of a WAL in which carriage returns may be missing.
struct Restoring<'a> {
    wal: &'a dyn ReadAt,
    order: ByteOrder,
    salts: Salts,
    stride: usize,
    /// Where the next frame begins.
    at: u64,
    seed: Checksum,
    /// Bytes that may be summed. The work is bounded by the frames that came out right, not by the size that a sparse file
    /// claims.
    budget: u64,
    /// Bytes that were summed for restoring.
    summed: u64,
}

impl Restoring<'_> {
    /// The header of the next frame, and how many bytes were missing in it.
    fn next(&mut self) -> io::Result<Option<(FrameHeader, usize)>> {
        // The next frame, and the header of the one after it.
        let mut bytes = vec![0; self.stride + FRAME_HEADER_SIZE];
        let got = self.wal.read_at(&mut bytes, self.at)?;
        bytes.truncate(got);
        if let Some(frame) = bytes.get(..self.stride)
            && let Some(header) = self.right(frame)
        {
            self.go_on(header, self.stride);
            return Ok(Some((header, 0)));
        }
        let salts = {
            let Salts([salt1, salt2]) = self.salts;
            [salt1.to_be_bytes(), salt2.to_be_bytes()].concat()
        };
        for missing in 1..=MISSING.min(self.stride / 2) {
            let length = self.stride - missing;
            let next = bytes.get(length + 8..length + 16);
            let last = got == length;
            if !last && next != Some(salts.as_slice()) {
                continue;
            }
            let Some(short) = bytes.get(..length) else { continue };
            let feeds: Vec<usize> = (0..length).filter(|i| short.get(*i) == Some(&b'\n')).collect();
            if let Some(header) = self.restored(short, &feeds, missing) {
                self.go_on(header, length);
                return Ok(Some((header, missing)));
            }
        }
        Ok(None)
    }

    fn go_on(&mut self, header: FrameHeader, length: usize) {
        self.seed = header.checksum;
        self.at = self.at.saturating_add(length as u64);
        self.budget = self.budget.saturating_add(FOR_EACH_RIGHT * length as u64);
    }

    /// The header of a frame that is right.
    fn right(&self, frame: &[u8]) -> Option<FrameHeader> {
        let header = FrameHeader::of(frame.first_chunk()?);
        let right = header.salts == self.salts
            && header.page.0 != 0
            && frame_checksum(self.order, self.seed, frame) == header.checksum;
        right.then_some(header)
    }

    /// Tries to put so many carriage returns before some of these line feeds.
    fn restored(&mut self, short: &[u8], feeds: &[usize], missing: usize) -> Option<FrameHeader> {
        if missing > feeds.len() {
            return None;
        }
        let mut chosen: Vec<usize> = (0..missing).collect();
        for _ in 0..WAYS {
            if self.summed >= self.budget {
                return None;
            }
            self.summed = self.summed.saturating_add(self.stride as u64);
            let mut frame = Vec::with_capacity(self.stride);
            let mut from = 0;
            for feed in chosen.iter().filter_map(|at| feeds.get(*at)) {
                frame.extend_from_slice(short.get(from..*feed)?);
                frame.push(b'\r');
                from = *feed;
            }
            frame.extend_from_slice(short.get(from..)?);
            if let Some(header) = self.right(&frame) {
                return Some(header);
            }
            if !next_choice(&mut chosen, feeds.len()) {
                return None;
            }
        }
        None
    }
}

/// The next choice of places out of so many, in ascending order. False: there is none.
fn next_choice(chosen: &mut [usize], of: usize) -> bool {
    let count = chosen.len();
    for i in (0..count).rev() {
        let Some(one) = chosen.get(i).copied() else { return false };
        if one + (count - i) < of {
            for (step, later) in chosen.iter_mut().skip(i).enumerate() {
                *later = one + 1 + step;
            }
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of line feeds only, which claims to be longer than it is.
    struct Claims(u64);

    impl ReadAt for Claims {
        fn len(&self) -> u64 {
            self.0
        }

        fn read_at(&self, buf: &mut [u8], _: u64) -> io::Result<usize> {
            buf.fill(b'\n');
            Ok(buf.len())
        }
    }

    #[test]
    fn what_is_summed_does_not_depend_on_the_size_that_a_file_claims() {
        let stride = 24 + 4096;
        let salts = Salts([0x0a0a_0a0a; 2]);
        let order = ByteOrder::Little;
        for claimed in [1 << 20, 1 << 50] {
            let mut walk = Restoring {
                wal: &Claims(claimed),
                order,
                salts,
                stride,
                at: 32,
                seed: Checksum::ZERO,
                budget: RESTORING,
                summed: 0,
            };
            assert!(walk.next().unwrap().is_none());
            // More would be tried: 64 lengths in 2000 ways.
            assert!((RESTORING..RESTORING + stride as u64).contains(&walk.summed), "{claimed}: {}", walk.summed);
        }
    }
}
