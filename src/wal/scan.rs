//! One pass over a WAL: what the caller wants from it, and the number of threads.

use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow;

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
    /// Whether frames in holes of the file are handed out too.
    holes: bool,
}

/// Who receives the frames, until it breaks off.
enum Each<'a, B> {
    Nobody,
    Frames(&'a mut dyn FnMut(&Frame) -> ControlFlow<B>),
    Pages(&'a mut dyn FnMut(&Frame, &[u8]) -> ControlFlow<B>),
}

impl<'a> Scan<'a> {
    /// A pass by the calling thread alone.
    #[must_use]
    pub fn new(wal: &'a dyn ReadAt) -> Self {
        Self { wal, threads: 1, kernel: Kernel::best(), progress: None, holes: true }
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

    /// Without handing out frames of zero bytes in a hole of a sparse file. They are counted, but none of them is valid,
    /// and there can be more of them than the disk could hold.
    #[must_use]
    pub fn outside_of_holes(self) -> Self {
        Self { holes: false, ..self }
    }

    /// Calls `progress` after each block, with the number of bytes that have been read. [`ReadAt::len`] is the total. The
    /// last number can be lower than that, because neither the header nor a torn frame at the end is counted.
    /// It cannot end the pass: use [`Scan::frames_until`] for that.
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
        let ControlFlow::Continue(facts) = self.run::<Infallible>(Each::Nobody)?;
        Ok(facts)
    }

    /// Hands each frame to `each`, in order, on the calling thread. All of them: [`Scan::frames_until`] can end early.
    ///
    /// # Errors
    /// Only an error of reading. Bad content is part of the facts.
    pub fn frames(self, each: &mut dyn FnMut(&Frame)) -> io::Result<WalFacts> {
        let mut each = |frame: &Frame| {
            each(frame);
            ControlFlow::<Infallible>::Continue(())
        };
        let ControlFlow::Continue(facts) = self.frames_until(&mut each)?;
        Ok(facts)
    }

    /// Hands each frame to `each`, in order, on the calling thread, until it breaks off: then no further frame is handed
    /// out, and what it broke off with is returned instead of the facts, which are known only at the end.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use walscope::wal::Scan;
    ///
    /// let wal = std::fs::read("testdata/cases/wal-repeated-commit/t.db-wal")?;
    /// let first_commit = Scan::new(&wal).frames_until(&mut |frame| match frame.header.is_commit() {
    ///     true => ControlFlow::Break(frame.number),
    ///     false => ControlFlow::Continue(()),
    /// })?;
    /// assert!(first_commit.is_break());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Only an error of reading. Bad content is part of the facts.
    pub fn frames_until<B>(
        self,
        each: &mut dyn FnMut(&Frame) -> ControlFlow<B>,
    ) -> io::Result<ControlFlow<B, WalFacts>> {
        self.run(Each::Frames(each))
    }

    /// Hands each frame to `each`, as [`Scan::frames`] does, except those in holes: [`Scan::outside_of_holes`].
    ///
    /// # Errors
    /// Only an error of reading. Bad content is part of the facts.
    pub fn frames_outside_of_holes(self, each: &mut dyn FnMut(&Frame)) -> io::Result<WalFacts> {
        self.outside_of_holes().frames(each)
    }

    /// Hands each frame and its page to `each`, in order, on the calling thread. All of them: [`Scan::pages_until`] can
    /// end early.
    ///
    /// # Errors
    /// Only an error of reading. Bad content is part of the facts.
    pub fn pages(self, each: &mut dyn FnMut(&Frame, &[u8])) -> io::Result<WalFacts> {
        let mut each = |frame: &Frame, page: &[u8]| {
            each(frame, page);
            ControlFlow::<Infallible>::Continue(())
        };
        let ControlFlow::Continue(facts) = self.pages_until(&mut each)?;
        Ok(facts)
    }

    /// Hands each frame and its page to `each`, in order, on the calling thread, until it breaks off, as
    /// [`Scan::frames_until`] does.
    ///
    /// # Errors
    /// Only an error of reading. Bad content is part of the facts.
    pub fn pages_until<B>(
        self,
        each: &mut dyn FnMut(&Frame, &[u8]) -> ControlFlow<B>,
    ) -> io::Result<ControlFlow<B, WalFacts>> {
        self.run(Each::Pages(each))
    }

    /// Hands each frame and its page to `each`, as [`Scan::pages`] does, except those in holes:
    /// [`Scan::outside_of_holes`].
    ///
    /// # Errors
    /// Only an error of reading. Bad content is part of the facts.
    pub fn pages_outside_of_holes(self, each: &mut dyn FnMut(&Frame, &[u8])) -> io::Result<WalFacts> {
        self.outside_of_holes().pages(each)
    }

    fn run<B>(self, mut each: Each<'_, B>) -> io::Result<ControlFlow<B, WalFacts>> {
        let mut head = [0; HEADER_SIZE];
        let got = self.wal.read_at(&mut head, 0)?;
        let Ok(header) = parse_header(head.get(..got).unwrap_or_default()) else {
            let end_reason = if got == 0 { EndReason::EmptyFile } else { EndReason::ShortHeader };
            return Ok(ControlFlow::Continue(WalFacts { file_size: got as u64, end_reason, ..WalFacts::absent() }));
        };
        let mut walk = Walk::new(header, header_fault(&header));
        let Some((order, page_size)) = header.checksum_order().zip(header.page_size()) else {
            return Ok(ControlFlow::Continue(walk.finish(self.wal.len())));
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
            pages: matches!(each, Each::Pages(_)),
        };
        let zero_page = if reading.pages { vec![0; page_size.to_usize()] } else { Vec::new() };
        let (holes, mut progress, mut broken_off) = (self.holes, self.progress, None);
        let end = reading.run(&mut |run| {
            if let ControlFlow::Break(with) = each.take(&mut walk, &run, page_size, holes.then_some(&zero_page)) {
                broken_off = Some(with);
                // Any error ends the reading; nobody sees this one.
                return Err(io::ErrorKind::Interrupted.into());
            }
            if let Some(progress) = &mut progress {
                progress(walk.facts.frames.in_file.saturating_mul(page_size.frame_size()));
            }
            Ok(())
        });
        if let Some(with) = broken_off {
            return Ok(ControlFlow::Break(with));
        }
        let end = end?;
        walk.facts.frames.torn_bytes = page_size.stride().torn_bytes_in(end);
        Ok(ControlFlow::Continue(walk.finish(end)))
    }
}

impl<B> Each<'_, B> {
    /// Takes a run of frames into the walk, and hands on those that are wanted. Without a `zero_page`, those in holes are
    /// only counted.
    fn take(
        &mut self,
        walk: &mut Walk,
        run: &Run<'_>,
        page_size: PageSize,
        zero_page: Option<&Vec<u8>>,
    ) -> ControlFlow<B> {
        match (self, run) {
            (Self::Nobody, Run::Frames { links, .. }) => {
                walk.take_all(links);
                ControlFlow::Continue(())
            }
            (Self::Frames(each), Run::Frames { links, .. }) => links.iter().try_for_each(|link| each(&walk.take(link))),
            (Self::Pages(each), Run::Frames { links, bytes }) => {
                let mut frames = links.iter().zip(bytes.chunks_exact(page_size.stride().to_usize()));
                frames.try_for_each(|(link, frame)| {
                    each(&walk.take(link), frame.get(FRAME_HEADER_SIZE..).unwrap_or_default())
                })
            }
            (each, Run::Hole { frames }) => match (each, zero_page) {
                (Self::Frames(each), Some(_)) => (0..*frames).try_for_each(|_| each(&walk.take_zero())),
                (Self::Pages(each), Some(page)) => (0..*frames).try_for_each(|_| each(&walk.take_zero(), page)),
                (Self::Nobody, _) | (_, None) => {
                    walk.take_zeros(*frames);
                    ControlFlow::Continue(())
                }
            },
        }
    }
}
