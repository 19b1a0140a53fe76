//! Commit frames behind the break of the chain, and what left them there.
//!
//! SQLite reads nothing behind a break. One healthy history leaves commit frames there all the same: a writer is killed
//! after its commit frame is on disk and before the wal-index names it, and a shorter transaction overwrites the
//! beginning of its frames. Each such writer leaves one commit, and nothing that continues it. A commit that something
//! continues was seen by others, and is lost.

use std::io;

use crate::bytes::ReadAt;
use crate::format::flip::{Flipped, flipped};
use crate::format::wal::{FRAME_HEADER_SIZE, FrameHeader, frame_checksum};
use crate::number::{Checksum, FrameNumber, PageSize, Salts, Stride};
use crate::wal::{Frame, WalFacts};

/// SQLite repeats a commit frame up to the end of a sector of at most 64 KiB. With the smallest page that is 122 frames.
const REPEATED: usize = 128;

/// The commit frames behind the break of the chain that have the salts of the header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BehindBreak {
    /// Their number.
    pub commits: u64,
    /// Whether another frame continues one of them: it was no commit that only its writer knew.
    pub continued: bool,
    /// Whether SQLite broke the chain itself.
    ///
    /// folklore: while frames of a transaction are rewritten in place, later frames are written with salts and checksum of
    /// zero, and get both at the commit (`iReCksum` in wal.c). Before 3.50.2 ROLLBACK TO went back behind the frame from
    /// which they were to be made, and did not forget it. So the frames between keep their zeros, and the frames after
    /// them continue a checksum of zero. Live readers see all commits, a recovery none of these. Seen with 3.40.1,
    /// 3.44.2, 3.46.1, 3.49.1, 3.50.0 and 3.50.1, and no longer with 3.50.2. Held by
    /// `a_chain_that_sqlite_broke_itself_is_a_warning`.
    pub by_rollback_to: bool,
    /// The one bit by which the frame at the break differs from the frame that was written there, if that belonged to a commit.
    pub flipped: Option<Flipped>,
}

/// What the pass over the WAL collects behind the break.
#[derive(Default)]
pub(super) struct Collected {
    found: BehindBreak,
    /// The frame before the present one.
    last: Option<Frame>,
    /// Places of commit frames that may be repetitions of the commit frame before them.
    like_the_one_before: Vec<u64>,
}

impl Collected {
    /// Takes a frame behind the break. Frames in holes are left out.
    pub(super) fn take(&mut self, frame: &Frame, salts: Salts) {
        let before = self.last.replace(*frame).filter(|before| before.number.next() == frame.number);
        if frame.header.salts != salts {
            return;
        }
        self.found.commits += u64::from(frame.header.is_commit());
        let Some(before) = before.filter(|_| frame.checksum_ok).map(|before| before.header) else { return };
        if zeroed(&before) {
            self.found.by_rollback_to = true;
        } else if before.salts == salts && before.is_commit() {
            let alike = (before.page, before.commit_pages) == (frame.header.page, frame.header.commit_pages);
            if !alike || self.like_the_one_before.len() == REPEATED {
                self.found.continued = true;
            } else {
                self.like_the_one_before.push(frame.offset);
            }
        }
    }

    /// Looks at those frames again that decide. A WAL in use grows while it is read: a frame that was not written yet
    /// breaks the chain before frames that were written later and read later. Such a frame is written by now.
    pub(super) fn finish(self, wal: &dyn ReadAt, facts: &WalFacts) -> io::Result<BehindBreak> {
        let Self { mut found, like_the_one_before, .. } = self;
        let Some(stride) = facts.page_size().map(PageSize::stride) else { return Ok(found) };
        if facts.frames.in_file <= facts.frames.valid {
            return Ok(BehindBreak::default());
        }
        match at_break(wal, facts, stride)? {
            AtBreak::Follows => return Ok(BehindBreak::default()),
            AtBreak::Flipped { flipped, counted } => {
                // It counts as what it was, not as what it is now.
                found.commits = found.commits.saturating_sub(counted.into()).saturating_add(flipped.commit.into());
                found.flipped = Some(flipped).filter(|_| found.commits > 0);
            }
            AtBreak::Other => {}
        }
        if found.commits == 0 {
            return Ok(BehindBreak::default());
        }
        for at in like_the_one_before {
            if found.continued {
                break;
            }
            found.continued = !equal(wal, at, stride)?;
        }
        found.continued &= !found.by_rollback_to;
        Ok(found)
    }
}

/// Whether only page number and commit size of a frame header were written.
fn zeroed(header: &FrameHeader) -> bool {
    header.page != 0 && header.salts == Salts::ZERO && header.checksum == Checksum::ZERO
}

/// What the first frame is that is not part of the chain.
enum AtBreak {
    /// It continues the chain by now.
    Follows,
    /// It would continue the chain but for one bit. `counted`: as it is now, it is a commit frame of this generation.
    Flipped { flipped: Flipped, counted: bool },
    /// Something else.
    Other,
}

/// Looks at that frame again.
fn at_break(wal: &dyn ReadAt, facts: &WalFacts, stride: Stride) -> io::Result<AtBreak> {
    let Some((header, order)) = facts.header.and_then(|header| Some((header, header.checksum_order()?))) else {
        return Ok(AtBreak::Other);
    };
    let mut frame = vec![0; stride.to_usize()];
    let seed = match facts.frames.valid {
        0 => Some(header.checksum),
        last => match wal.read_at(&mut frame, stride.offset_of(FrameNumber(last)))? {
            got if got == frame.len() => frame.first_chunk().map(|bytes| FrameHeader::of(bytes).checksum),
            _ => None,
        },
    };
    let got = wal.read_at(&mut frame, stride.offset_of(FrameNumber(facts.frames.valid).next()))?;
    let now = frame.first_chunk().map(FrameHeader::of).filter(|_| got == frame.len());
    let Some((seed, now)) = seed.zip(now) else { return Ok(AtBreak::Other) };
    if now.salts == header.salts && now.page != 0 && frame_checksum(order, seed, &frame) == now.checksum {
        return Ok(AtBreak::Follows);
    }
    let counted = now.salts == header.salts && now.is_commit();
    Ok(match flipped(order, seed, header.salts, &frame) {
        Some(flipped) => AtBreak::Flipped { flipped, counted },
        None => AtBreak::Other,
    })
}

/// Whether the page of the frame at this place is that of the frame before it.
fn equal(wal: &dyn ReadAt, at: u64, stride: Stride) -> io::Result<bool> {
    let mut both = vec![0; 2 * stride.to_usize()];
    let got = wal.read_at(&mut both, at.saturating_sub(stride.to_usize() as u64))?;
    let (first, second) = both.split_at(stride.to_usize());
    Ok(got == both.len() && first.get(FRAME_HEADER_SIZE..) == second.get(FRAME_HEADER_SIZE..))
}
