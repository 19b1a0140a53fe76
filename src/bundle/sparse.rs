//! What is left out of a member: long holes of a sparse file, and blocks of a wal-index that no frame needs. The size of
//! a file is a claim. Work and room follow from what is stored in it.

use std::collections::VecDeque;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;

use crate::bytes::ReadAt;
use crate::format::wal::HEADER_SIZE;
use crate::number::{PageSize, Stride};

use super::SnapshotError;
use super::archive::{Sink, unreadable};
use super::manifest::{LeftOut, LeftOutReason};

/// A hole is left out from this length on, so that a usual file is in a bundle byte for byte.
const LONG: u64 = 64 << 20;
/// Bounds of [`super::Options::chunk_size`].
const CHUNK: RangeInclusive<usize> = 512..=16 << 20;
/// More long holes than this are refused: the manifest names each of them.
const HOLES_AT_MOST: usize = 65_536;

/// The long holes of a file between two offsets, in order.
///
/// # Errors
/// There are too many of them.
pub(super) fn long_holes(bytes: &dyn ReadAt, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let mut holes = Vec::new();
    let mut at = range.start;
    // A short range has no long hole, and then nobody has to look.
    while range.end.saturating_sub(at) >= LONG {
        let hole = bytes.next_hole(at).min(range.end);
        let data = bytes.next_data(hole).min(range.end);
        if data.saturating_sub(hole) >= LONG {
            if holes.len() >= HOLES_AT_MOST {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 65536 long holes in a sparse file"));
            }
            holes.push(hole..data);
        }
        // A file system that gives no progress, or that reports no holes.
        if data <= at {
            break;
        }
        at = data;
    }
    Ok(holes)
}

/// Ranges of a file as what a member that begins at `from` leaves out.
pub(super) fn left_out(ranges: &[Range<u64>], from: u64, reason: LeftOutReason) -> Vec<LeftOut> {
    let each = ranges.iter().map(|range| LeftOut {
        offset: range.start.saturating_sub(from),
        length: range.end.saturating_sub(range.start),
        reason,
    });
    each.collect()
}

/// What a member of frame headers alone leaves out: those of frames that lie in holes of the `-wal`.
pub(super) fn headers_in(holes: &[Range<u64>], page_size: PageSize, frames: u64) -> Vec<LeftOut> {
    let stride = page_size.stride();
    let behind_header = |at: u64| at.saturating_sub(HEADER_SIZE as u64);
    let of_frames = holes.iter().map(|hole| {
        let first = behind_header(hole.start).div_ceil(page_size.frame_size()).min(frames);
        let end = stride.frames_in(hole.end).min(frames).max(first);
        Stride::HEADERS.length_with(first)..Stride::HEADERS.length_with(end)
    });
    let of_frames: Vec<_> = of_frames.filter(|range| range.start < range.end).collect();
    left_out(&of_frames, 0, LeftOutReason::Hole)
}

/// Writes pieces to their places in a member of which something is left out, with zeros where no piece is.
pub(super) struct Placed {
    kept: VecDeque<Range<u64>>,
}

impl Placed {
    pub(super) fn new(kept: Vec<Range<u64>>) -> Self {
        Self { kept: kept.into() }
    }

    /// Writes the next piece, which is in order. A piece of what is left out is dropped.
    pub(super) fn write(&mut self, sink: &mut Sink<'_>, offset: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        while let Some(part) = self.kept.front_mut() {
            if part.end <= offset {
                sink.zeros(part.end.saturating_sub(part.start))?;
                self.kept.pop_front();
                continue;
            }
            if let Some(gap) = offset.checked_sub(part.start) {
                sink.zeros(gap)?;
                sink.write(bytes)?;
                part.start = offset.saturating_add(bytes.len() as u64).min(part.end);
            }
            break;
        }
        Ok(())
    }
}

/// The ranges of `0..len` that are kept, in order.
pub(super) fn kept(left_out: &[LeftOut], len: u64) -> Vec<Range<u64>> {
    let mut kept = Vec::new();
    let mut at = 0;
    for out in left_out {
        kept.push(at..out.offset.min(len));
        at = out.offset.saturating_add(out.length);
    }
    kept.push(at..len);
    kept.retain(|range| range.start < range.end);
    kept
}

/// The parts of a file that are copied.
pub(super) struct Pieces {
    pub(super) bytes: Arc<dyn ReadAt>,
    pub(super) path: PathBuf,
    pub(super) from: u64,
    /// What is copied, counted from `from`.
    pub(super) kept: Vec<Range<u64>>,
}

impl Pieces {
    /// Copies by `pread`. Ends early at the end of the file; the rest of the member is then padding. `between` is
    /// called before every chunk but the first, with its number.
    pub(super) fn copy(
        &self,
        chunk: usize,
        sink: &mut Sink<'_>,
        between: &mut dyn FnMut(u64),
    ) -> Result<(), SnapshotError> {
        let mut buffer = vec![0; chunk.clamp(*CHUNK.start(), *CHUNK.end())];
        let mut number = 0;
        for range in &self.kept {
            let [mut at, end] = [range.start, range.end].map(|at| self.from.saturating_add(at));
            while at < end {
                if number > 0 {
                    between(number);
                }
                number += 1;
                let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
                let buffer = buffer.get_mut(..most).unwrap_or_default();
                let n = self.bytes.read_at(buffer, at).map_err(|e| unreadable(&self.path, e))?;
                sink.write(buffer.get(..n).unwrap_or_default())?;
                at = at.saturating_add(n as u64);
                if n < buffer.len() && at < end {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Bytes of a member with zeros in the place of what was left out.
#[derive(Clone)]
pub(super) struct Sparse {
    bytes: Arc<dyn ReadAt>,
    /// What is kept: the offset in the file, the offset in the member, and the length.
    parts: Vec<(u64, u64, u64)>,
    len: u64,
}

impl Sparse {
    /// `None`: what the manifest says is left out is in no order, overlaps, or does not fit.
    pub(super) fn new(bytes: Arc<dyn ReadAt>, left_out: &[LeftOut]) -> Option<Self> {
        let mut end = 0_u64;
        let mut len = bytes.len();
        for out in left_out {
            if out.offset < end {
                return None;
            }
            end = out.offset.checked_add(out.length)?;
            len = len.checked_add(out.length)?;
        }
        if end > len {
            return None;
        }
        let mut stored = 0;
        let part = |range: Range<u64>| {
            let part = (range.start, stored, range.end - range.start);
            stored += part.2;
            part
        };
        Some(Self { parts: kept(left_out, len).into_iter().map(part).collect(), bytes, len })
    }

    /// The first part that ends after `offset`.
    fn part_from(&self, offset: u64) -> Option<(u64, u64, u64)> {
        let at = self.parts.partition_point(|(start, _, length)| start.saturating_add(*length) <= offset);
        self.parts.get(at).copied()
    }
}

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let want = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let Some(buf) = buf.get_mut(..want) else { return Ok(0) };
        buf.fill(0);
        let end = offset.saturating_add(want as u64);
        let mut at = offset;
        while let Some((start, stored, length)) = self.part_from(at).filter(|(start, ..)| at < end && *start < end) {
            let from = at.max(start);
            let to = start.saturating_add(length).min(end);
            let place = (from - offset) as usize..(to - offset) as usize;
            let Some(place) = buf.get_mut(place) else { break };
            let n = self.bytes.read_at(place, stored.saturating_add(from - start))?;
            if n < place.len() {
                return Ok((from - offset) as usize + n);
            }
            at = to;
        }
        Ok(want)
    }

    fn next_data(&self, offset: u64) -> u64 {
        self.part_from(offset).map_or(self.len.max(offset), |(start, ..)| start.max(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::FileBytes;

    fn out(ranges: &[(u64, u64)]) -> Vec<LeftOut> {
        let ranges: Vec<_> = ranges.iter().map(|(start, end)| *start..*end).collect();
        left_out(&ranges, 0, LeftOutReason::Hole)
    }

    #[test]
    fn what_was_left_out_reads_as_zeros_in_its_place() {
        let sparse = Sparse::new(Arc::new(vec![1_u8, 2, 3, 4]), &out(&[(1, 4), (6, 8)])).unwrap();
        let mut buf = [9; 16];
        assert_eq!(sparse.read_at(&mut buf, 0).unwrap(), 9);
        assert_eq!(buf[..9], [1, 0, 0, 0, 2, 3, 0, 0, 4]);
        assert_eq!(sparse.read_at(&mut buf[..3], 5).unwrap(), 3);
        assert_eq!(buf[..3], [3, 0, 0]);
        assert_eq!(sparse.read_at(&mut buf, 9).unwrap(), 0);
        assert_eq!([0, 1, 4, 7, 9].map(|at| sparse.next_data(at)), [0, 4, 4, 8, 9]);
    }

    #[test]
    fn a_hole_at_the_end_has_its_length() {
        let sparse = Sparse::new(Arc::new(vec![1_u8, 2]), &out(&[(2, 8 << 40)])).unwrap();
        assert_eq!((sparse.len(), sparse.next_data(2)), (8 << 40, 8 << 40));
        let mut buf = [9; 2];
        assert_eq!(sparse.read_at(&mut buf, (8 << 40) - 1).unwrap(), 1);
        assert_eq!(buf, [0, 9]);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let long = LeftOut { offset: 1, length: u64::MAX, reason: LeftOutReason::Hole };
        for wrong in [out(&[(4, 6), (1, 2)]), out(&[(0, 3), (2, 5)]), out(&[(9, 12)]), vec![long]] {
            assert!(Sparse::new(Arc::new(vec![0_u8; 4]), &wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn only_long_holes_of_a_file_are_found_and_data_between_them_is_kept() {
        use std::os::unix::fs::FileExt;
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"head", 0).unwrap();
        file.write_all_at(b"data", 1 << 30).unwrap();
        file.write_all_at(b"near", (1 << 30) + (1 << 20)).unwrap();
        file.set_len(8 << 40).unwrap();
        let bytes = FileBytes::whole(Arc::new(file)).unwrap();
        let holes = long_holes(&bytes, 0..bytes.len()).unwrap();
        let kept = kept(&left_out(&holes, 0, LeftOutReason::Hole), bytes.len());
        if holes.is_empty() {
            println!("SKIPPED: the file system of the temporary folder reports no holes");
            return;
        }
        assert_eq!((kept.len(), kept[0].start, holes.len()), (2, 0, 2), "{kept:?}");
        assert!(kept[1].start <= 1 << 30 && kept[1].end >= (1 << 30) + (1 << 20) + 4, "{kept:?}");
        assert!(kept.iter().map(|range| range.end - range.start).sum::<u64>() < 4 << 20, "{kept:?}");
    }
}
