//! Frames in which carriage returns are missing before line feeds, restored one by one.

use std::io;

use super::change::Undoing;
use crate::bytes::ReadAt;
use crate::format::wal::{FRAME_HEADER_SIZE, FrameHeader, HEADER_SIZE, WalHeader, frame_checksum, parse_header};
use crate::number::{ByteOrder, Checksum, FrameNumber, Salts};
use crate::wal::{WalFacts, header_fault};

/// At most so many bytes are missing in a header that is restored.
const MISSING_IN_HEADER: usize = 4;
/// At most so many bytes are missing in a frame that is restored.
const MISSING: usize = 64;
/// Bytes that may be summed in any case for restoring frames.
const RESTORING: u64 = 1 << 26;
/// For each byte of a frame that came out right, so many more.
const FOR_EACH_RIGHT: u64 = 4;
/// At most so many ways to restore a frame are tried.
const WAYS: usize = 2_000;

/// Goes on behind the break of a WAL and puts carriage returns before line feeds where the next frame begins too early, also
/// in the header. The header and each frame that is restored have their checksums again.
pub(super) fn removed(wal: &dyn ReadAt, facts: &WalFacts) -> io::Result<Option<Undoing>> {
    let Some(begin) = Begin::of(wal, facts)? else { return Ok(None) };
    let Some((order, page_size)) = begin.header.checksum_order().zip(begin.header.page_size()) else { return Ok(None) };
    let stride = page_size.stride().to_usize();
    let Begin { header, at, seed, .. } = begin;
    let mut walk = Restoring { wal, order, salts: header.salts, stride, at, seed, budget: RESTORING, summed: 0 };
    let mut undone = Undoing { frames: facts.frames.valid, commits: facts.commits };
    let mut restored = begin.missing as u64;
    while let Some((header, missing)) = walk.next()? {
        undone.frames += 1;
        undone.commits += u64::from(header.is_commit());
        restored += missing as u64;
    }
    Ok((restored > 0).then_some(undone))
}

/// Where the restoring begins: at the break of the chain, or behind a header that was restored.
struct Begin {
    header: WalHeader,
    /// How many bytes were missing in the header.
    missing: usize,
    /// Where the first frame begins that is not right as it is.
    at: u64,
    /// The checksum that it continues.
    seed: Checksum,
}

impl Begin {
    fn of(wal: &dyn ReadAt, facts: &WalFacts) -> io::Result<Option<Self>> {
        let Some((page_size, header)) = facts.page_size().zip(facts.header) else {
            return Self::with_header_restored(wal);
        };
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
        Ok(Some(Self { header, missing: 0, at: page_size.offset_of(facts.end_frame), seed }))
    }

    fn with_header_restored(wal: &dyn ReadAt) -> io::Result<Option<Self>> {
        let mut head = [0; HEADER_SIZE];
        let got = wal.read_at(&mut head, 0)?;
        for missing in 1..=MISSING_IN_HEADER {
            let length = HEADER_SIZE - missing;
            let short = head.get(..length.min(got)).unwrap_or_default();
            let right = |bytes: &[u8]| parse_header(bytes).ok().filter(|header| header_fault(header).is_none());
            let header = Ways::new(short, missing).find_map(|bytes| right(&bytes));
            if let Some(header) = header {
                return Ok(Some(Self { header, missing, at: length as u64, seed: header.checksum }));
            }
        }
        Ok(None)
    }
}

/// The ways to put so many carriage returns before some of the line feeds; at most [`WAYS`].
struct Ways<'a> {
    short: &'a [u8],
    feeds: Vec<usize>,
    /// Which of the line feeds come next. `None`: there are no more.
    chosen: Option<Vec<usize>>,
    tried: usize,
}

impl<'a> Ways<'a> {
    fn new(short: &'a [u8], missing: usize) -> Self {
        let feeds: Vec<usize> =
            short.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        let chosen = (missing <= feeds.len()).then(|| (0..missing).collect());
        Self { short, feeds, chosen, tried: 0 }
    }
}

impl Iterator for Ways<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let chosen = self.chosen.as_mut().filter(|_| self.tried < WAYS)?;
        self.tried += 1;
        let mut whole = Vec::with_capacity(self.short.len() + chosen.len());
        let mut from = 0;
        for feed in chosen.iter().filter_map(|at| self.feeds.get(*at)) {
            whole.extend_from_slice(self.short.get(from..*feed)?);
            whole.push(b'\r');
            from = *feed;
        }
        whole.extend_from_slice(self.short.get(from..)?);
        if !next_choice(chosen, self.feeds.len()) {
            self.chosen = None;
        }
        Some(whole)
    }
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
        let salts = self.salts_without_returns();
        for missing in 1..=MISSING.min(self.stride / 2) {
            let length = self.stride - missing;
            let next = bytes.get(length + 8..).unwrap_or_default();
            let last = got == length;
            if !last && !next.starts_with(&salts) {
                continue;
            }
            let Some(short) = bytes.get(..length) else { continue };
            if let Some(header) = self.restored(short, missing) {
                self.go_on(header, length);
                return Ok(Some((header, missing)));
            }
        }
        Ok(None)
    }

    /// The salts as they stand in the file: carriage returns before line feeds are missing in them, too.
    fn salts_without_returns(&self) -> Vec<u8> {
        let Salts([salt1, salt2]) = self.salts;
        let salts = [salt1.to_be_bytes(), salt2.to_be_bytes()].concat();
        let after = salts.iter().copied().skip(1).chain([0]);
        salts.iter().zip(after).filter(|pair| *pair != (&b'\r', b'\n')).map(|(byte, _)| *byte).collect()
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

    /// Tries to put so many carriage returns before some of the line feeds.
    fn restored(&mut self, short: &[u8], missing: usize) -> Option<FrameHeader> {
        for frame in Ways::new(short, missing) {
            if self.summed >= self.budget {
                return None;
            }
            self.summed = self.summed.saturating_add(self.stride as u64);
            if let Some(header) = self.right(&frame) {
                return Some(header);
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
