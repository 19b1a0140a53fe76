//! One pass over a WAL: what the caller wants from it, and the number of threads.

use std::io;

use crate::bytes::ReadAt;
use crate::format::checksum::Kernel;
use crate::format::wal::{FRAME_HEADER_SIZE, HEADER_SIZE, parse_header};
use crate::number::PageSize;

use super::blocks::{Reading, Run};
use super::{EndReason, Frame, Generation, WalFacts, Walk, header_fault};

/// One pass over a WAL that verifies every checksum. The answers do not depend on the number of threads or on the
/// kernel.
///
/// ```
/// use walscope::wal::{EndReason, Scan};
///
/// let facts = Scan::new(&Vec::<u8>::new()).threads(2).facts()?;
/// assert_eq!(facts.end_reason, EndReason::EmptyFile);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Scan<'a> {
    wal: &'a dyn ReadAt,
    threads: usize,
    kernel: Kernel,
    progress: Option<&'a mut dyn FnMut(u64)>,
}

/// Who receives the frames.
enum Each<'a> {
    Nobody,
    /// Frames that were read; frames in holes of the file are only counted.
    OutsideOfHoles(&'a mut dyn FnMut(&Frame)),
    All(&'a mut dyn FnMut(&Frame)),
    Pages(&'a mut dyn FnMut(&Frame, &[u8])),
    PagesOutsideOfHoles(&'a mut dyn FnMut(&Frame, &[u8])),
}

impl<'a> Scan<'a> {
    /// A pass by the calling thread alone.
    #[must_use]
    pub fn new(wal: &'a dyn ReadAt) -> Self {
        Self { wal, threads: 1, kernel: Kernel::best(), progress: None }
    }

    /// With at most this many threads, the calling thread included. Fewer are used where the file is too small to gain
    /// from more.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// With checksums computed in a chosen way, not in the fastest way.
    #[must_use]
    pub fn kernel(self, kernel: Kernel) -> Self {
        Self { kernel, ..self }
    }

    /// Calls `progress` after each block, with the number of bytes that have been read. [`ReadAt::len`] is the total.
    #[must_use]
    pub fn progress(self, progress: &'a mut dyn FnMut(u64)) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// Returns the facts about the whole WAL and hands out no frame. This is the fastest way; holes of a sparse file
    /// cost nothing.
    ///
    /// # Errors
    /// Only an error of reading. Bad content is part of the facts.
    pub fn facts(self) -> io::Result<WalFacts> {
        self.run(Each::Nobody)
    }

    /// Hands each frame to `each`, in order, on the calling thread.
    ///
    /// # Errors
    /// Only an error of reading. Bad content is part of the facts.
    pub fn frames(self, each: &mut dyn FnMut(&Frame)) -> io::Result<WalFacts> {
        self.run(Each::All(each))
    }

    /// Hands each frame to `each`, in order, on the calling thread. Frames of zero bytes in a hole of a sparse file are
    /// counted, but not handed out: none of them is valid, and there can be more of them than the disk could hold.
    ///
    /// # Errors
    /// Only an error of reading. Bad content is part of the facts.
    pub fn frames_outside_of_holes(self, each: &mut dyn FnMut(&Frame)) -> io::Result<WalFacts> {
        self.run(Each::OutsideOfHoles(each))
    }

    /// Hands each frame and its page to `each`, in order, on the calling thread.
    ///
    /// # Errors
    /// Only an error of reading. Bad content is part of the facts.
    pub fn pages(self, each: &mut dyn FnMut(&Frame, &[u8])) -> io::Result<WalFacts> {
        self.run(Each::Pages(each))
    }

    /// Hands each frame and its page to `each`, in order, on the calling thread. Frames in holes are counted, but not
    /// handed out, as in [`Scan::frames_outside_of_holes`].
    ///
    /// # Errors
    /// Only an error of reading. Bad content is part of the facts.
    pub fn pages_outside_of_holes(self, each: &mut dyn FnMut(&Frame, &[u8])) -> io::Result<WalFacts> {
        self.run(Each::PagesOutsideOfHoles(each))
    }

    fn run(self, mut each: Each<'_>) -> io::Result<WalFacts> {
        let mut head = [0; HEADER_SIZE];
        let got = self.wal.read_at(&mut head, 0)?;
        let Ok(header) = parse_header(head.get(..got).unwrap_or_default()) else {
            let end_reason = if got == 0 { EndReason::EmptyFile } else { EndReason::ShortHeader };
            return Ok(WalFacts { file_size: got as u64, end_reason, ..WalFacts::absent() });
        };
        let mut walk = Walk::new(header, header_fault(&header));
        let Some((order, page_size)) = header.checksum_order().zip(header.page_size()) else {
            return Ok(walk.finish(self.wal.len()));
        };
        walk.facts.generations.push(Generation { salts: header.salts, frames: 0 });
        let reading = Reading {
            wal: self.wal,
            order,
            kernel: self.kernel,
            page_size,
            from: HEADER_SIZE as u64,
            seed: header.checksum,
            until: u64::MAX,
            threads: self.threads,
            pages: matches!(each, Each::Pages(_) | Each::PagesOutsideOfHoles(_)),
        };
        let zero_page = if reading.pages { vec![0; page_size.to_usize()] } else { Vec::new() };
        let mut progress = self.progress;
        let end = reading.run(&mut |run| {
            each.take(&mut walk, &run, page_size, &zero_page);
            if let Some(progress) = &mut progress {
                progress(walk.facts.frames.in_file.saturating_mul(page_size.frame_size()));
            }
            Ok(())
        })?;
        walk.facts.frames.torn_bytes = page_size.stride().torn_bytes_in(end);
        Ok(walk.finish(end))
    }
}

impl Each<'_> {
    /// Takes a run of frames into the walk, and hands on those that are wanted.
    fn take(&mut self, walk: &mut Walk, run: &Run<'_>, page_size: PageSize, zero_page: &[u8]) {
        match (self, run) {
            (Self::Nobody, Run::Frames { links, .. }) => walk.take_all(links),
            (Self::OutsideOfHoles(each) | Self::All(each), Run::Frames { links, .. }) => {
                links.iter().for_each(|link| each(&walk.take(link)));
            }
            (Self::Pages(each) | Self::PagesOutsideOfHoles(each), Run::Frames { links, bytes }) => {
                for (link, frame) in links.iter().zip(bytes.chunks_exact(page_size.stride().to_usize())) {
                    each(&walk.take(link), frame.get(FRAME_HEADER_SIZE..).unwrap_or_default());
                }
            }
            (Self::Nobody | Self::OutsideOfHoles(_) | Self::PagesOutsideOfHoles(_), Run::Hole { frames }) => {
                walk.take_zeros(*frames, None);
            }
            (Self::All(each), Run::Hole { frames }) => walk.take_zeros(*frames, Some(each)),
            (Self::Pages(each), Run::Hole { frames }) => {
                walk.take_zeros(*frames, Some(&mut |frame| each(frame, zero_page)));
            }
        }
    }
}
