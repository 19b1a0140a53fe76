//! Frames behind a header that SQLite cannot use: how they lie, which of them follow one another, and the header that
//! makes the first of them right again.
//!
//! The check of a frame starts from the checksum that is stored in the frame before it. So neighbours prove each other
//! without the header: by 64 bits, for one page size and one byte order. The first frame of a run is not proven so. For
//! frame 1 the header can be computed: the checksum is a sum that can be taken back over the bytes of the frame. What it
//! started from is the checksum of a header of which only the checkpoint sequence is not known. That is one number for
//! two equations, so the other 32 bits prove the frame.
//!
//! Nothing here is committed: SQLite reads no frame behind such a header.

mod search;

use std::io;

use crate::bytes::ReadAt;
use crate::format::checksum::{Kernel, checksum, taken_back};
use crate::format::wal::{
    FORMAT_VERSION, FRAME_CHECKSUMMED, FRAME_HEADER_SIZE, FrameHeader, HEADER_SIZE, MAGIC_BIG, MAGIC_LITTLE, WalHeader,
    parse_header,
};
use crate::number::{ByteOrder, Checksum, FrameNumber, FrameOfPage, PageNumber, PageSize, Salts};

use super::blocks::{Link, Reading, Run};
use super::latest::{Column, FrameIndex};
use super::{LastCommit, header_fault};
use search::{AT_ONCE, HeaderPut, Sizes};

/// The number of runs that are listed. In a hostile file there can be one for every two frames.
pub const RUNS_LISTED: usize = 256;
/// The number of frames of a run whose pages are listed.
pub const PAGES_LISTED: usize = 8;
/// The bytes of a file in which `inspect` and `verify` look for the page size of frames behind a broken header.
pub const SEARCHED: u64 = 64 << 20;

/// Frames that were found without the header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvage {
    /// The page size by which the frames follow one another.
    pub page_size: PageSize,
    /// The byte order by which they do.
    pub order: ByteOrder,
    /// The header that frame 1 continues. `None`: there is none, so a header cannot make frame 1 right.
    pub header: Option<WalHeader>,
    /// Whether the file begins with a frame: the 32 bytes of the header are not zeroed or broken, but missing.
    pub header_missing: bool,
    /// Whole frames of this size in the file.
    pub in_file: u64,
    /// Frames in all runs.
    pub frames: u64,
    /// Commit frames in all runs.
    pub commits: u64,
    /// Frames of zero bytes in their headers.
    pub zeros: u64,
    /// Bytes of a partial frame at the end of the file.
    pub torn_bytes: u64,
    /// Frames that follow one another, in the order of the file; at most [`RUNS_LISTED`].
    pub runs: Vec<ChainedRun>,
    /// Runs that are not listed.
    pub unlisted_runs: u64,
    /// Frames outside of the runs that have the salts of the run before them: the frames beside them are damaged.
    pub outside: u64,
}

/// Neighbouring frames of one generation, each of which continues the checksum that is stored in the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChainedRun {
    /// The first frame.
    pub first: FrameNumber,
    /// The last frame.
    pub last: FrameNumber,
    /// The salts of each of them.
    pub salts: Salts,
    /// How many of them end a transaction.
    pub commits: u64,
    /// The last that does.
    pub last_commit: Option<LastCommit>,
    /// Whether the first frame is proven too: it continues a header that can be made anew. Otherwise nothing shows whether
    /// the page in it is as it was written.
    pub first_proven: bool,
    pages: [PageNumber; PAGES_LISTED],
}

impl ChainedRun {
    fn begin(number: FrameNumber, header: &FrameHeader, first_proven: bool) -> Self {
        let mut run = Self {
            first: number,
            last: number,
            salts: header.salts,
            commits: 0,
            last_commit: None,
            first_proven,
            pages: [PageNumber::NONE; PAGES_LISTED],
        };
        run.take(number, header);
        run
    }

    fn take(&mut self, number: FrameNumber, header: &FrameHeader) {
        self.last = number;
        let at = usize::try_from(self.frames() - 1).unwrap_or(usize::MAX);
        if let Some(page) = self.pages.get_mut(at) {
            *page = header.page;
        }
        if header.is_commit() {
            self.commits += 1;
            let (database_pages, checksum) = (header.commit_pages, header.checksum);
            self.last_commit = Some(LastCommit { frame: number, database_pages, checksum });
        }
    }

    /// How many frames it has.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.last.frames_after(self.first) + 1
    }

    /// The pages of its first frames.
    pub fn pages(&self) -> impl Iterator<Item = PageNumber> + '_ {
        self.pages.iter().copied().take_while(|page| *page != PageNumber::NONE)
    }
}

impl Salvage {
    /// The run that SQLite would read up to its last commit if the header were made anew.
    #[must_use]
    pub fn readable(&self) -> Option<&ChainedRun> {
        self.runs.first().filter(|run| run.first_proven)
    }

    /// The last state of each page that the listed runs commit. `None`: they commit nothing.
    pub(crate) fn last_state(&self, wal: &dyn ReadAt, threads: usize) -> io::Result<Option<LastState>> {
        let generations = self.generations();
        let Some(last) = generations.iter().find_map(|generation| generation.last_commit) else { return Ok(None) };
        let (mut column, mut parts) = (Column::default(), Vec::new());
        let layout = Layout { page_size: self.page_size, order: self.order };
        // The oldest first, so that the newest frame of a page is the last one of the column.
        for Generation { salts, last_commit } in generations.iter().rev() {
            let Some(end) = last_commit.map(|commit| commit.frame) else { continue };
            for run in self.runs.iter().filter(|run| run.salts == *salts && run.first <= end) {
                let (before, until) = (column.len() as u64, run.last.min(end));
                let mut left = until.frames_after(run.first) + 1;
                layout.frames(wal, threads, (run.first, until), &mut |link| {
                    if left > 0 {
                        left -= 1;
                        column.push(link.header.page);
                    }
                })?;
                parts.push((before, run.first));
            }
        }
        Ok(Some(LastState { database_pages: last.database_pages, index: column.index(u64::MAX), parts }))
    }

    /// The generations of the runs, the newest first: each is written over the beginning of the one before it.
    fn generations(&self) -> Vec<Generation> {
        let mut all: Vec<Generation> = Vec::new();
        for ChainedRun { salts, last_commit, .. } in &self.runs {
            match all.iter_mut().find(|generation| generation.salts == *salts) {
                Some(generation) => generation.last_commit = last_commit.or(generation.last_commit),
                None => all.push(Generation { salts: *salts, last_commit: *last_commit }),
            }
        }
        all
    }
}

/// The runs with the same salts.
struct Generation {
    salts: Salts,
    last_commit: Option<LastCommit>,
}

/// The last state of each page that the runs of a WAL commit.
pub(crate) struct LastState {
    /// Pages of the database after the last commit.
    pub(crate) database_pages: u32,
    /// The frames of all runs, numbered through in the order in which they were written.
    index: FrameIndex,
    /// For each run: how many frames were counted before it, and its first frame in the file.
    parts: Vec<(u64, FrameNumber)>,
}

impl LastState {
    /// The frame with the last state of each page.
    pub(crate) fn of_each_page(&self) -> impl Iterator<Item = FrameOfPage> + '_ {
        self.index.newest_of_each().filter_map(|FrameOfPage { page, frame }| {
            let part = self.parts.partition_point(|(before, _)| *before < frame.count()).checked_sub(1)?;
            let (before, first) = *self.parts.get(part)?;
            let behind_first = frame.count().saturating_sub(before).saturating_sub(1);
            Some(FrameOfPage { page, frame: FrameNumber(first.count().saturating_add(behind_first)) })
        })
    }
}

/// Looks for frames that follow one another, whatever the header says: from byte 32 on, and if there are none, from byte 0
/// on. `None`: no two frames do, for no page size, and frame 1 continues no header.
///
/// The file is read once or twice until the page size is known, and once more for the runs. The memory does not depend on
/// it. Where many places look like frames and are none, only some of them are tried.
///
/// # Errors
/// Only an error of reading.
pub fn salvage(wal: &dyn ReadAt, likely: Option<PageSize>, threads: usize) -> io::Result<Option<Salvage>> {
    if let Some(found) = behind_header(wal, likely, threads, u64::MAX)? {
        return Ok(Some(found));
    }
    let found = behind_header(&HeaderPut(wal), likely, threads, u64::MAX)?;
    Ok(found.map(|found| Salvage { header_missing: true, ..found }))
}

/// Looks for frames that follow one another from byte 32 on. The page size is looked for in so many bytes.
pub(crate) fn behind_header(
    wal: &dyn ReadAt,
    likely: Option<PageSize>,
    threads: usize,
    searched: u64,
) -> io::Result<Option<Salvage>> {
    let mut head = [0; HEADER_SIZE];
    let got = wal.read_at(&mut head, 0)?;
    let stored = parse_header(head.get(..got).unwrap_or_default()).ok();
    let usable = stored.filter(|header| header_fault(header).is_none());
    let sizes = Sizes::new(likely.or(stored.and_then(|header| header.page_size())));
    let by_header = usable
        .and_then(|header| Some(Layout { page_size: header.page_size()?, order: header.checksum_order()? }))
        .filter(|_| wal.len() > HEADER_SIZE as u64);
    let layout = match by_header {
        Some(layout) => layout,
        None => match sizes.of_neighbours(wal, searched)?.0 {
            Some(layout) => layout,
            None => match sizes.of_first_frame(wal)? {
                Some(layout) => layout,
                None => return Ok(None),
            },
        },
    };
    let found = layout.runs(wal, threads, layout.header_before_first(wal)?)?;
    Ok((found.frames > 0).then_some(found))
}

/// Whether frames follow one another at the beginning of a file, after 32 bytes of any content or from the first byte on.
/// At most a MiB is read.
///
/// # Errors
/// Only an error of reading.
pub fn begins_with_frames(wal: &dyn ReadAt) -> io::Result<bool> {
    let mut begin = vec![0; AT_ONCE.min(usize::try_from(wal.len()).unwrap_or(AT_ONCE))];
    let got = wal.read_at(&mut begin, 0)?;
    begin.truncate(got);
    let sizes = Sizes::new(None);
    Ok(sizes.of_neighbours(&begin, u64::MAX)?.0.is_some()
        || sizes.of_neighbours(&HeaderPut(&begin), u64::MAX)?.0.is_some())
}

/// How frames lie in a file, and how their checksums are computed.
#[derive(Debug, Clone, Copy)]
struct Layout {
    page_size: PageSize,
    order: ByteOrder,
}

/// Whether these bytes can be the header of a frame.
fn is_possible(header: &FrameHeader) -> bool {
    let FrameHeader { page, commit_pages, salts, .. } = *header;
    page != PageNumber::NONE && salts != Salts::ZERO && (commit_pages == 0 || page <= commit_pages)
}

impl Layout {
    /// The header that frame 1 continues, if there is one.
    fn header_before_first(&self, wal: &dyn ReadAt) -> io::Result<Option<WalHeader>> {
        let mut frame = vec![0; self.page_size.stride().to_usize()];
        let got = wal.read_at(&mut frame, HEADER_SIZE as u64)?;
        Ok(if got == frame.len() { self.header_before(&frame) } else { None })
    }

    /// The header that this frame continues, if there is one: with the salts of the frame.
    fn header_before(&self, frame: &[u8]) -> Option<WalHeader> {
        let first = FrameHeader::of(frame.first_chunk()?);
        if !is_possible(&first) {
            return None;
        }
        let after = taken_back(self.order, first.checksum, frame.get(FRAME_HEADER_SIZE..)?);
        let seed = taken_back(self.order, after, frame.get(..FRAME_CHECKSUMMED)?);
        let magic = if self.order == ByteOrder::Big { MAGIC_BIG } else { MAGIC_LITTLE };
        let mut header = WalHeader {
            magic,
            format_version: FORMAT_VERSION,
            page_size: self.page_size.bytes(),
            checkpoint_sequence: 0,
            salts: first.salts,
            checksum: seed,
            checksum_ok: false,
        };
        let bytes = header.to_bytes();
        // The sums behind the words of page size and checkpoint sequence, and what they are if the sequence is 0.
        let Checksum([_, behind]) = taken_back(self.order, seed, bytes.get(16..24)?);
        let Checksum([_, without]) = checksum(self.order, Checksum::ZERO, bytes.get(..16)?);
        let sequence = behind.wrapping_sub(without);
        header.checkpoint_sequence = if self.order == ByteOrder::Big { sequence } else { sequence.swap_bytes() };
        // The first of the two sums was not used: it proves the frame.
        parse_header(&header.to_bytes()).ok().filter(|header| header.checksum_ok)
    }

    /// Hands out the frames from one to another, in order. More frames may come after the last.
    fn frames(
        &self,
        wal: &dyn ReadAt,
        threads: usize,
        (first, last): (FrameNumber, FrameNumber),
        each: &mut dyn FnMut(&Link),
    ) -> io::Result<()> {
        let (from, until) = (self.page_size.offset_of(first), self.page_size.offset_of(last.next()));
        self.reading(wal, threads, Checksum::ZERO, from, until).run(&mut |run| {
            if let Run::Frames { links, .. } = run {
                links.iter().for_each(&mut *each);
            }
            Ok(())
        })?;
        Ok(())
    }

    fn reading<'a>(&self, wal: &'a dyn ReadAt, threads: usize, seed: Checksum, from: u64, until: u64) -> Reading<'a> {
        let (order, page_size, kernel) = (self.order, self.page_size, Kernel::best());
        Reading { wal, order, kernel, page_size, from, seed, until, threads, pages: false }
    }

    /// Every run of the file.
    fn runs(&self, wal: &dyn ReadAt, threads: usize, header: Option<WalHeader>) -> io::Result<Salvage> {
        let seed = header.map_or(Checksum::ZERO, |header| header.checksum);
        let mut walk = Walk {
            open: None,
            found: Salvage {
                page_size: self.page_size,
                order: self.order,
                header,
                header_missing: false,
                in_file: 0,
                frames: 0,
                commits: 0,
                zeros: 0,
                torn_bytes: 0,
                runs: Vec::new(),
                unlisted_runs: 0,
                outside: 0,
            },
        };
        let end = self.reading(wal, threads, seed, HEADER_SIZE as u64, u64::MAX).run(&mut |run| {
            match run {
                Run::Frames { links, .. } => links.iter().for_each(|link| walk.take(link)),
                Run::Hole { frames } => walk.take_zeros(frames),
            }
            Ok(())
        })?;
        walk.close();
        walk.found.torn_bytes = self.page_size.stride().torn_bytes_in(end);
        Ok(walk.found)
    }
}

struct Walk {
    open: Option<ChainedRun>,
    found: Salvage,
}

impl Walk {
    fn take(&mut self, link: &Link) {
        let Link { header, follows } = *link;
        self.found.in_file += 1;
        let number = FrameNumber(self.found.in_file);
        let possible = is_possible(&header);
        if let Some(open) = &mut self.open {
            if possible && follows && open.salts == header.salts {
                open.take(number, &header);
                return;
            }
            self.close();
        }
        if possible {
            let proven = number == FrameNumber::FIRST
                && follows
                && self.found.header.is_some_and(|before| before.salts == header.salts);
            self.open = Some(ChainedRun::begin(number, &header, proven));
        } else if header == FrameHeader::ZERO {
            self.found.zeros += 1;
        }
    }

    fn take_zeros(&mut self, frames: u64) {
        self.close();
        self.found.in_file = self.found.in_file.saturating_add(frames);
        self.found.zeros = self.found.zeros.saturating_add(frames);
    }

    /// Ends the open run. One frame alone is no run unless the header proves it.
    fn close(&mut self) {
        let Some(run) = self.open.take() else { return };
        if !run.first_proven && run.frames() == 1 {
            let beside_run = self.found.runs.last().is_some_and(|before| before.salts == run.salts);
            self.found.outside += u64::from(beside_run);
            return;
        }
        self.found.frames += run.frames();
        self.found.commits += run.commits;
        if self.found.runs.len() < RUNS_LISTED {
            self.found.runs.push(run);
        } else {
            self.found.unlisted_runs += 1;
        }
    }
}
