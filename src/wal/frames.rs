//! A second pass over the frames of a WAL, after the first pass has found the last commit. It reads any range of
//! frames, from the whole file or from captured frame headers, in constant memory.
use std::io;
use std::ops::{ControlFlow, RangeInclusive};

use crate::bytes::ReadAt;
use crate::format::checksum::Kernel;
use crate::format::wal::{FRAME_HEADER_SIZE, FrameHeader, WalHeader, frame_checksum, parse_frame_header};
use crate::number::{ByteOrder, Checksum, FrameNumber, PageNumber, PageSize, Salts, Stride};

use super::blocks::{Reading, Run};
use super::latest::{Column, FrameIndex};
use super::transactions::Transactions;
use super::{Frame, FrameClass, WalFacts};

/// The number of frame headers that are read at once from a capture of headers.
const HEADERS_AT_ONCE: usize = 8192;
/// Up to this many committed frames, the newest frame of each page is determined even if nobody asked: about 8 MiB of
/// memory.
pub const INDEXED_UNASKED: usize = 1 << 20;

/// So many frames of zero bytes are handed out one by one if they follow one another. The rest of such a run is handed out at
/// once: the size of a sparse file is only a claim, and there can be more of them than anybody could list.
pub const ZEROS_ONE_BY_ONE: u64 = 64;

/// Where the bytes of frames are.
#[derive(Clone, Copy)]
pub enum FrameBytes<'a> {
    /// A `-wal` as SQLite wrote it.
    Whole(&'a dyn ReadAt),
    /// The WAL header, followed by nothing but the 24-byte frame headers.
    Headers(&'a dyn ReadAt),
}

/// What is known of the page in a frame.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Content<'a> {
    /// Its bytes.
    Page(&'a [u8]),
    /// The page was not captured. This is what it adds to the checksum. Equal pages with equal header fields add equal
    /// numbers.
    Contribution([u8; 8]),
}

impl Content<'_> {
    /// Bytes that are equal for equal pages. [`Transactions`] needs them to recognise a repeated commit frame.
    #[must_use]
    pub fn identity(&self) -> &[u8] {
        match self {
            Self::Page(bytes) => bytes,
            Self::Contribution(bytes) => bytes,
        }
    }
}

/// Whether the checksum of a frame follows from the one that is stored in the frame before it, or in the WAL header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChecksumCheck {
    /// It follows.
    Follows,
    /// It does not.
    Differs,
    /// The page was not captured, and nothing tells.
    NotKnown,
}

impl ChecksumCheck {
    /// Whether it follows; `None` where that is not known.
    #[must_use]
    pub fn follows(self) -> Option<bool> {
        match self {
            Self::Follows => Some(true),
            Self::Differs => Some(false),
            Self::NotKnown => None,
        }
    }
}

impl From<bool> for ChecksumCheck {
    fn from(follows: bool) -> Self {
        if follows { Self::Follows } else { Self::Differs }
    }
}

/// Whether a later committed frame holds the page of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Superseded {
    /// A later committed frame holds the same page.
    ByLater,
    /// It is the newest committed frame of its page.
    Newest,
    /// The frame is not committed: nobody reads it.
    NotCommitted,
    /// There were more frames than the index was allowed to hold.
    TooManyFrames,
}

impl Superseded {
    /// Whether a later one holds the page; `None` for a frame that is not committed, and where nobody looked.
    #[must_use]
    pub fn by_later(self) -> Option<bool> {
        match self {
            Self::ByLater => Some(true),
            Self::Newest => Some(false),
            Self::NotCommitted | Self::TooManyFrames => None,
        }
    }
}

/// One frame with everything that is known about it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Visited<'a> {
    /// The frame as it is in the file. In a capture of headers, `frame.checksum_ok` is what the capture found for the
    /// valid chain, and false after it.
    pub frame: Frame,
    /// Its class.
    pub class: FrameClass,
    /// Whether its checksum is right, as far as that is known.
    pub checksum: ChecksumCheck,
    /// Whether the frame before it, or the WAL header before the first, has other salts. Then it was written behind
    /// another frame than stands there now, and a checksum that does not follow says nothing about it.
    pub first_of_its_salts: bool,
    /// The page.
    pub content: Content<'a>,
    /// How many frames this stands for, from this one on: 1, or the rest of a long run of frames that are all of zero bytes.
    /// In a capture of headers these are frames whose headers are of zero bytes.
    pub alike: u64,
}

/// How a visit ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Visit {
    /// The frames are not those of the first pass any more: a live WAL was restarted or cut in between.
    pub changed: bool,
}

/// Hands the frames of `range` to `each`, in order, on this thread. `facts` are the facts of a first pass over the same
/// bytes: they give the class of each frame and the number of frames. Only the frames of the range are read, and the
/// header of the frame before it. At most `threads` threads are used; the others read and check ahead.
///
/// Of more than [`ZEROS_ONE_BY_ONE`] frames of zero bytes in a row, the rest is handed out at once: [`Visited::alike`]. Those in
/// a hole of the file cost nothing.
///
/// # Errors
/// The error of a read, or the error that `each` returned; either ends the visit. [`visit_until`] ends early without an
/// error.
pub fn visit(
    bytes: FrameBytes<'_>,
    facts: &WalFacts,
    range: RangeInclusive<FrameNumber>,
    threads: usize,
    each: &mut dyn FnMut(&Visited<'_>) -> io::Result<()>,
) -> io::Result<Visit> {
    let in_file = FrameNumber(facts.frames.in_file);
    let (first, last) = ((*range.start()).max(FrameNumber::FIRST), (*range.end()).min(in_file));
    let usable = usable(facts).filter(|_| first <= last);
    let Some((header, order, page_size)) = usable else { return Ok(Visit::default()) };
    let (seed, salts) = (header.checksum, header.salts);
    let pages = if matches!(bytes, FrameBytes::Whole(_)) { page_size.to_usize() } else { 0 };
    let zero_page = vec![0; pages];
    let mut walk =
        Walk { facts, header, order, page_size, number: first, last, seed, salts, changed: false, zeros: 0, zero_page };
    match bytes {
        FrameBytes::Whole(bytes) => walk.whole(bytes, threads, each)?,
        FrameBytes::Headers(bytes) => walk.headers(bytes, each)?,
    }
    walk.end_run(each)?;
    // A file that shrank ends early.
    Ok(Visit { changed: walk.changed || walk.number <= last })
}

/// Hands frames of `range` to `each`, as [`visit`] does, until it breaks off. Then no further frame is handed out, and
/// what it broke off with is returned.
///
/// # Errors
/// An error of reading.
pub fn visit_until<B>(
    bytes: FrameBytes<'_>,
    facts: &WalFacts,
    range: RangeInclusive<FrameNumber>,
    threads: usize,
    each: &mut dyn FnMut(&Visited<'_>) -> ControlFlow<B>,
) -> io::Result<ControlFlow<B, Visit>> {
    let mut broken_off = None;
    let visited = visit(bytes, facts, range, threads, &mut |visited| match each(visited) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(with) => {
            broken_off = Some(with);
            // Any error ends the visit; nobody sees this one.
            Err(io::ErrorKind::Interrupted.into())
        }
    });
    broken_off.map_or_else(|| visited.map(ControlFlow::Continue), |with| Ok(ControlFlow::Break(with)))
}

/// The header, if its magic and page size let frames be found at all.
fn usable(facts: &WalFacts) -> Option<(WalHeader, ByteOrder, PageSize)> {
    let header = facts.header?;
    Some((header, header.checksum_order()?, header.page_size()?))
}

struct Walk<'a> {
    facts: &'a WalFacts,
    header: WalHeader,
    order: ByteOrder,
    page_size: PageSize,
    /// The number of the next frame, and of the last wanted frame.
    number: FrameNumber,
    last: FrameNumber,
    /// The checksum stored in the frame before the next, and its salts.
    seed: Checksum,
    salts: Salts,
    changed: bool,
    /// How many frames of zero bytes stand right before the next frame.
    zeros: u64,
    /// A page of zero bytes; empty where pages were not captured.
    zero_page: Vec<u8>,
}

impl Walk<'_> {
    fn whole(
        &mut self,
        wal: &dyn ReadAt,
        threads: usize,
        each: &mut dyn FnMut(&Visited<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let (page_size, stride) = (self.page_size, self.page_size.stride());
        self.begin(wal, stride)?;
        let (from, until) = (stride.offset_of(self.number), stride.offset_of(self.last.next()));
        let (order, kernel) = (self.order, Kernel::best());
        let reading = Reading { wal, order, kernel, page_size, from, seed: self.seed, until, threads, pages: true };
        let zero_page = vec![0; page_size.to_usize()];
        reading.run(&mut |run| match run {
            Run::Frames { links, bytes } => {
                for (link, frame) in links.iter().zip(bytes.chunks_exact(stride.to_usize())) {
                    let page = frame.get(FRAME_HEADER_SIZE..).unwrap_or_default();
                    let (checksum, content) = (link.follows.into(), Content::Page(page));
                    if link.header == FrameHeader::ZERO && page.iter().all(|byte| *byte == 0) {
                        self.zeros(1, checksum, content, each)?;
                    } else {
                        self.frame(link.header, checksum, content, each)?;
                    }
                }
                Ok(())
            }
            Run::Hole { frames } => {
                // The checksum of zero bytes that continues zero is zero. No other checksum stays zero.
                let first = (self.seed == Checksum::ZERO).into();
                self.zeros(frames.min(1), first, Content::Page(&zero_page), each)?;
                self.zeros(frames.saturating_sub(1), ChecksumCheck::Follows, Content::Page(&zero_page), each)
            }
        })?;
        Ok(())
    }

    fn headers(
        &mut self,
        headers: &dyn ReadAt,
        each: &mut dyn FnMut(&Visited<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.begin(headers, Stride::HEADERS)?;
        // A frame of zero bytes: its checksum depends on the seed alone.
        let zeros = vec![0; self.page_size.stride().to_usize()];
        let mut block = vec![0; HEADERS_AT_ONCE * FRAME_HEADER_SIZE];
        while self.number <= self.last {
            let skipped = self.hole(headers);
            if skipped > 0 {
                let content = self.contribution(&zeros, &FrameHeader::ZERO);
                self.zeros(skipped, ChecksumCheck::NotKnown, content, each)?;
                continue;
            }
            let got = read(headers, &mut block, self.number, Stride::HEADERS)?;
            let (stored, _) = block.get(..got).unwrap_or_default().as_chunks();
            for header in stored.iter().map(FrameHeader::of) {
                let valid = self.number <= self.facts.frames.valid;
                let content = self.contribution(&zeros, &header);
                let checksum = if valid { ChecksumCheck::Follows } else { ChecksumCheck::NotKnown };
                if header == FrameHeader::ZERO && !valid {
                    self.zeros(1, checksum, content, each)?;
                } else {
                    self.frame(header, checksum, content, each)?;
                }
            }
            if got < block.len() {
                break;
            }
        }
        Ok(())
    }

    /// How many whole frame headers from the next one on are in a hole.
    fn hole(&self, headers: &dyn ReadAt) -> u64 {
        let (at, end) = (Stride::HEADERS.offset_of(self.number), headers.len());
        let hole = headers.next_data(at).min(end).saturating_sub(at) / FRAME_HEADER_SIZE as u64;
        let last = at.saturating_add(hole.saturating_mul(FRAME_HEADER_SIZE as u64)).saturating_sub(1);
        // After the end of a file that shrank there is no data either, but that is not a hole.
        if hole > 0 && headers.read_at(&mut [0], last).ok() == Some(1) { hole } else { 0 }
    }

    /// The checksum that the first frame of the range continues.
    fn begin(&mut self, bytes: &dyn ReadAt, stride: Stride) -> io::Result<()> {
        if let Some(number) = self.number.previous() {
            let mut before = [0; FRAME_HEADER_SIZE];
            let got = read(bytes, &mut before, number, stride)?;
            match parse_frame_header(before.get(..got).unwrap_or_default(), 0) {
                Ok(before) => (self.seed, self.salts) = (before.checksum, before.salts),
                Err(_) => self.changed = true,
            }
        }
        Ok(())
    }

    /// Takes the next frames, which are of zero bytes and alike. Of a long run most are only counted: see [`Self::end_run`].
    fn zeros(
        &mut self,
        frames: u64,
        checksum: ChecksumCheck,
        content: Content<'_>,
        each: &mut dyn FnMut(&Visited<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let frames = frames.min(self.last.next().frames_after(self.number));
        let one_by_one = frames.min(ZEROS_ONE_BY_ONE.saturating_sub(self.zeros));
        for _ in 0..one_by_one {
            self.hand_on(FrameHeader::ZERO, checksum, content, 1, each)?;
        }
        self.zeros = self.zeros.saturating_add(frames);
        self.number = FrameNumber(self.number.count().saturating_add(frames - one_by_one));
        Ok(())
    }

    /// Hands on the rest of a long run of frames of zero bytes, once something else follows.
    fn end_run(&mut self, each: &mut dyn FnMut(&Visited<'_>) -> io::Result<()>) -> io::Result<()> {
        let Some(rest @ 1..) = std::mem::take(&mut self.zeros).checked_sub(ZEROS_ONE_BY_ONE) else { return Ok(()) };
        self.number = FrameNumber(self.number.count().saturating_sub(rest));
        // All of them follow a frame of zero bytes.
        let zero_page = std::mem::take(&mut self.zero_page);
        let (checksum, content) = match zero_page.as_slice() {
            [] => (ChecksumCheck::NotKnown, Content::Contribution([0; 8])),
            page => (ChecksumCheck::Follows, Content::Page(page)),
        };
        self.hand_on(FrameHeader::ZERO, checksum, content, rest, each)?;
        self.zero_page = zero_page;
        Ok(())
    }

    /// Takes the next frame, which is not of zero bytes, and hands it on if it is wanted.
    fn frame(
        &mut self,
        header: FrameHeader,
        checksum: ChecksumCheck,
        content: Content<'_>,
        each: &mut dyn FnMut(&Visited<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.number > self.last {
            return Ok(());
        }
        self.end_run(each)?;
        self.hand_on(header, checksum, content, 1, each)
    }

    fn hand_on(
        &mut self,
        header: FrameHeader,
        checksum: ChecksumCheck,
        content: Content<'_>,
        alike: u64,
        each: &mut dyn FnMut(&Visited<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let number = self.number;
        self.number = FrameNumber(number.count().saturating_add(alike));
        self.seed = header.checksum;
        let first_of_its_salts = header.salts != self.salts;
        self.salts = header.salts;
        let valid = number <= self.facts.frames.valid;
        let checksum_ok = checksum == ChecksumCheck::Follows;
        if valid && (!checksum_ok || header.salts != self.header.salts) {
            self.changed = true;
        }
        let offset = self.page_size.offset_of(number);
        let frame = Frame { number, offset, header, checksum_ok, valid };
        let class = self.facts.class_of(&frame);
        each(&Visited { frame, class, checksum, first_of_its_salts, content, alike })
    }

    /// The checksum is linear. What a frame adds to it is the stored checksum minus what the seed alone gives.
    fn contribution(&self, zeros: &[u8], header: &FrameHeader) -> Content<'static> {
        let Checksum([alone1, alone2]) = frame_checksum(self.order, self.seed, zeros);
        let Checksum([stored1, stored2]) = header.checksum;
        let [c1, c2] = [stored1.wrapping_sub(alone1), stored2.wrapping_sub(alone2)];
        Content::Contribution((u64::from(c1) << 32 | u64::from(c2)).to_be_bytes())
    }
}

fn read(bytes: &dyn ReadAt, buffer: &mut [u8], number: FrameNumber, stride: Stride) -> io::Result<usize> {
    let offset = stride.offset_of(number);
    bytes
        .read_at(buffer, offset)
        .map_err(|e| io::Error::new(e.kind(), format!("frame {number} at offset {offset}: {e}")))
}

/// What the first pass keeps for a list of frames that begins at a later frame: the state of the grouping into
/// transactions at that frame, and the newest committed frame of each page.
#[derive(Debug)]
pub struct Prologue {
    first: FrameNumber,
    grouping: Transactions,
    at_first: Option<Transactions>,
    newest: NewestFrames,
    transactions: u64,
    largest_page: PageNumber,
    largest_commit_pages: u32,
}

/// What is needed to begin a list of frames.
#[derive(Debug)]
#[non_exhaustive]
pub struct Start {
    /// The grouping into transactions, in its state before the first frame of the list.
    pub grouping: Transactions,
    /// The newest committed frame of each page.
    pub newest: NewestFrames,
    /// Committed transactions in the whole WAL. There are fewer of them than commits where commit frames are repeated
    /// as padding.
    pub transactions: u64,
    /// The largest page number in any frame header.
    pub largest_page: PageNumber,
    /// The largest commit field in any frame header.
    pub largest_commit_pages: u32,
}

impl Prologue {
    /// For a list that begins with frame `first`. The index of newest frames holds at most `indexed` frames.
    #[must_use]
    pub fn new(first: FrameNumber, indexed: usize) -> Self {
        let newest = NewestFrames::new(indexed);
        let grouping = Transactions::new(0);
        Self {
            first,
            grouping,
            at_first: None,
            newest,
            transactions: 0,
            largest_page: PageNumber::NONE,
            largest_commit_pages: 0,
        }
    }

    /// Takes the next frame of the first pass, and bytes that are equal for equal pages. Frames in holes may be left
    /// out.
    pub fn push(&mut self, frame: &Frame, identity: &[u8]) {
        if frame.number == self.first {
            self.at_first = Some(self.grouping.clone());
        }
        self.transactions += u64::from(self.grouping.push(frame, identity).is_some());
        self.largest_page = self.largest_page.max(frame.header.page);
        self.largest_commit_pages = self.largest_commit_pages.max(frame.header.commit_pages);
        if frame.valid {
            self.newest.push(frame);
        }
    }

    /// Ends the pass.
    #[must_use]
    pub fn finish(self, facts: &WalFacts) -> Start {
        let last = u64::from(self.grouping.clone().finish().is_some());
        Start {
            grouping: self.at_first.unwrap_or(self.grouping),
            transactions: self.transactions + last,
            newest: self.newest.finish(facts.frames.committed),
            largest_page: self.largest_page,
            largest_commit_pages: self.largest_commit_pages,
        }
    }
}

/// The newest committed frame of each page, by a [`FrameIndex`].
///
/// folklore: SQLite counts frames in 32 bits. Frames after number 2^32 - 1 supersede nothing.
#[derive(Debug)]
pub struct NewestFrames {
    /// The pages of the valid frames.
    pages: Column,
    limit: usize,
    overflown: bool,
    index: FrameIndex,
}

impl NewestFrames {
    fn new(limit: usize) -> Self {
        Self { pages: Column::default(), limit, overflown: false, index: FrameIndex::default() }
    }

    fn push(&mut self, frame: &Frame) {
        if self.pages.len() < self.limit {
            self.pages.push(frame.header.page);
        } else if !self.overflown {
            self.overflown = true;
            self.pages = Column::default();
            self.limit = 0;
        }
    }

    fn finish(mut self, committed: u64) -> Self {
        self.index = self.pages.index(committed);
        self.pages = Column::default();
        self
    }

    /// Whether there were more frames than the index may hold. Then nothing is known.
    #[must_use]
    pub fn too_many(&self) -> bool {
        self.overflown
    }

    /// Whether a later committed frame holds the same page.
    #[must_use]
    pub fn superseded(&self, visited: &Visited<'_>) -> Superseded {
        if self.overflown {
            return Superseded::TooManyFrames;
        }
        if visited.class != FrameClass::Committed {
            return Superseded::NotCommitted;
        }
        match self.index.frames(visited.frame.header.page).next_back() {
            Some(newest) if visited.frame.number < newest => Superseded::ByLater,
            Some(_) => Superseded::Newest,
            // The frames have changed since the first pass.
            None => Superseded::NotCommitted,
        }
    }
}
