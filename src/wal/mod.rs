//! The WAL as a whole: the valid chain and why it ends, commits, classes of frames, generations.
//!
//! The check of each frame starts from the checksum that is *stored* in the frame before it. Up to the first break this
//! is the same as SQLite's running checksum. After the break it still shows which frames follow each other.
pub(crate) mod blocks;
mod chain;
mod dead;
pub mod frames;
pub mod latest;
pub mod mangled;
pub mod salvage;
mod scan;
pub mod transactions;

use std::io;

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use crate::bytes::ReadAt;
use crate::format::shm::{IndexHead, IndexHeader};
use crate::format::wal::{FORMAT_VERSION, FrameHeader, HEADER_SIZE, WalHeader};
use crate::number::{Checksum, FrameNumber, PageNumber, PageSize, Salts, Stride};

use blocks::Link;
pub use chain::{commits, valid_frames};
use dead::{Around, Row, Rows};
pub use dead::{STRETCHES_LISTED, Stretch};
pub use scan::Scan;

/// The number of generations that are listed. In a hostile file each frame can have its own.
pub const GENERATIONS_LISTED: usize = 64;

/// Why the valid chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum EndReason {
    /// Every frame of the file is valid.
    EndOfFile,
    /// The next frame is cut short by the end of the file.
    TornFrame,
    /// The next frame has other salts than the header.
    SaltMismatch,
    /// The next frame's checksum does not follow.
    ChecksumMismatch,
    /// The next frame's page number is 0.
    PageZero,
    /// There is no `-wal` file.
    NoFile,
    /// The `-wal` has no bytes. A file of exactly 32 bytes, in which SQLite reads nothing either, is `EndOfFile`.
    EmptyFile,
    /// The `-wal` has 1 to 31 bytes, less than a header.
    ShortHeader,
    /// The magic number is neither of the two.
    BadMagic,
    /// The page size is not a power of two from 512 to 65536.
    BadPageSize,
    /// The header's checksum is wrong.
    BadHeaderChecksum,
    /// The header is right, but of another version: SQLite cannot open the database.
    UnsupportedVersion,
}

impl EndReason {
    /// Whether SQLite takes the WAL for an empty one because of its header, and reports no error.
    #[must_use]
    pub fn is_taken_for_empty(self) -> bool {
        matches!(self, Self::BadMagic | Self::BadPageSize | Self::BadHeaderChecksum)
    }
}

/// The class of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum FrameClass {
    /// Committed: the salts of the header, an unbroken chain, and at or before the last commit.
    Committed,
    /// Uncommitted: the salts of the header and an unbroken chain, but after the last commit.
    Uncommitted,
    /// Residue: the salts of the header, but after a break of the chain.
    Residue,
    /// Stale: other salts than the header, and what a restart leaves of an older generation.
    Stale,
    /// Unwritten: salts and checksum of zero. The file grew before the frames were written.
    Unwritten,
    /// Unrelated: bytes that are no frame of any generation.
    Unrelated,
}

/// Frames by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
#[non_exhaustive]
pub struct FrameCounts {
    /// Whole frames in the file.
    pub in_file: u64,
    /// Valid frames: `committed + uncommitted`.
    pub valid: u64,
    /// Frames up to the last commit.
    pub committed: u64,
    /// Valid frames after the last commit.
    pub uncommitted: u64,
    /// Frames with the salts of the header, after a break of the chain.
    pub residue: u64,
    /// Frames of older generations.
    pub stale: u64,
    /// Frames with salts and checksum of zero.
    pub unwritten: u64,
    /// Bytes that are no frame of any generation, counted as frames.
    #[cfg_attr(feature = "capture", serde(default))]
    pub unrelated: u64,
    /// Bytes of a partial frame at the end.
    pub torn_bytes: u64,
}

/// Frames that share salts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "capture",
    derive(JsonSchema, Serialize, Deserialize),
    serde(from = "stored::Generation", into = "stored::Generation"),
    schemars(from = "stored::Generation", into = "stored::Generation")
)]
pub struct Generation {
    /// The salts that they share.
    pub salts: Salts,
    /// Frames in the file with these salts.
    pub frames: u64,
}

/// A [`Generation`] as a bundle stores it.
#[cfg(feature = "capture")]
mod stored {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use crate::number::Salts;

    /// Frames that share salts.
    #[derive(JsonSchema, Serialize, Deserialize)]
    pub(super) struct Generation {
        /// Salt-1.
        salt1: u32,
        /// Salt-2.
        salt2: u32,
        /// Frames in the file with these salts.
        frames: u64,
    }

    impl From<Generation> for super::Generation {
        fn from(Generation { salt1, salt2, frames }: Generation) -> Self {
            Self { salts: Salts([salt1, salt2]), frames }
        }
    }

    impl From<super::Generation> for Generation {
        fn from(super::Generation { salts: Salts([salt1, salt2]), frames }: super::Generation) -> Self {
            Self { salt1, salt2, frames }
        }
    }
}

/// The last commit of the valid chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct LastCommit {
    /// The number of its frame, counted from 1.
    pub frame: FrameNumber,
    /// Pages of the database after it.
    pub database_pages: u32,
    /// The cumulative checksum stored in it.
    pub checksum: Checksum,
}

/// One frame as it is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Its number.
    pub number: FrameNumber,
    /// Where the frame header begins, in bytes from the start of the file.
    pub offset: u64,
    /// The frame header as stored.
    pub header: FrameHeader,
    /// Whether the stored checksum follows from the one that is stored before it: in the frame before, or in the WAL
    /// header for frame 1.
    ///
    /// folklore: it is also true for zero bytes after zero bytes, because the checksum of zero bytes that continues
    /// zero is zero. Held by `frames_behind_the_break_still_show_which_links_hold`.
    pub checksum_ok: bool,
    /// Whether the chain from the header to this frame is unbroken. Then the frame is `committed` or `uncommitted`; the
    /// last commit decides which.
    pub valid: bool,
}

/// What one pass over a WAL found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WalFacts {
    /// Bytes in the file.
    pub file_size: u64,
    /// The header; `None` when there are fewer than 32 bytes.
    pub header: Option<WalHeader>,
    /// The number of frames of each class.
    pub frames: FrameCounts,
    /// The first frame that is not part of the valid chain: `valid + 1`.
    pub end_frame: FrameNumber,
    /// Why the chain ends.
    pub end_reason: EndReason,
    /// Number of commit frames in the valid chain.
    pub commits: u64,
    /// The last commit.
    pub last_commit: Option<LastCommit>,
    /// The generations in the order in which they appear; the current one is first. At most `GENERATIONS_LISTED`.
    pub generations: Vec<Generation>,
    /// Number of frames of generations that are not listed.
    pub unlisted_generation_frames: u64,
    /// Where frames with other salts are that belong to no generation: [`FrameClass::Unrelated`]. In ascending order, at
    /// most [`STRETCHES_LISTED`].
    pub unrelated: Vec<Stretch>,
}

/// Whether a `-wal` of this header and size does not have the frames that a wal-index in use counts: see
/// [`WalFacts::cut_short_of`].
pub(crate) fn is_cut_short(header: Option<&WalHeader>, file_size: u64, index: &IndexHeader) -> bool {
    let cut = match header {
        Some(header) if header.magic == 0 && header.salts == Salts::ZERO => true,
        Some(header) if header.salts != index.salts => false,
        _ => file_size < index.wal_bytes(),
    };
    index.mx_frame != FrameNumber::NONE && cut
}

impl WalFacts {
    /// The facts of a `-wal` that does not exist.
    #[must_use]
    pub fn absent() -> Self {
        Self {
            file_size: 0,
            header: None,
            frames: FrameCounts::default(),
            end_frame: FrameNumber::FIRST,
            end_reason: EndReason::NoFile,
            commits: 0,
            last_commit: None,
            generations: Vec::new(),
            unlisted_generation_frames: 0,
            unrelated: Vec::new(),
        }
    }

    /// Whether there is no `-wal`.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.end_reason == EndReason::NoFile
    }

    /// Bytes of a page, if the header can be used.
    #[must_use]
    pub fn page_size(&self) -> Option<PageSize> {
        self.header.filter(|header| header_fault(header).is_none())?.page_size()
    }

    /// Whether the file was cut short: it does not have the frames that a wal-index in use counts. SQLite itself
    /// restarts the wal-index before it truncates the WAL. A header with other salts belongs to another generation, and
    /// may have been read before or after the wal-index was read; then the answer is no.
    ///
    /// folklore: SQLite writes the next commit where the next frame would have been. So the file becomes long again and
    /// begins with zero bytes. Held by `a_wal_truncated_under_a_live_connection_is_named`.
    #[must_use]
    pub fn cut_short_of(&self, index: &IndexHeader) -> bool {
        self.end_reason != EndReason::NoFile && is_cut_short(self.header.as_ref(), self.file_size, index)
    }

    /// Whether a wal-index in use is already in a later generation than this file: it was restarted, and no frame was
    /// written since. Then everything that is committed in this file is in the database. At `mxFrame` 0, different
    /// salts alone do not show this: a connection that has not checkpointed yet chooses the salts of a new WAL at
    /// random, and writes them to the wal-index only with the first commit.
    ///
    /// folklore: walRestartHdr adds 1 to salt-1 and leaves `aFrameCksum` of the last commit as it was. Either sign is
    /// enough. The checksum differs if the writer died before it showed its last commit. Salt-1 is two ahead after two
    /// restarts without a frame. Held by `a_restart_leaves_the_checksum_of_the_last_commit_behind`.
    #[must_use]
    pub fn left_behind_by(&self, index: &IndexHeader) -> bool {
        let Some((header, last)) = self.header.zip(self.last_commit) else { return false };
        index.mx_frame == FrameNumber::NONE
            && header.salts != index.salts
            && (last.checksum == index.frame_checksum || header.salts.restarted_as(index.salts))
    }

    /// Whether the file was emptied after everything that the wal-index counts had been copied. Then everything is in
    /// the database.
    ///
    /// folklore: with SQLITE_FCNTL_PERSIST_WAL and `journal_size_limit`, the last connection that closes copies
    /// everything, cuts the WAL to no bytes, and only then unmaps the `-shm`, whose `mxFrame` stays as it was
    /// (sqlite3WalClose calls walLimitSize before walIndexClose). Held by
    /// `a_wal_that_is_emptied_at_the_last_close_is_no_loss`.
    #[must_use]
    pub fn emptied_behind(&self, index: &IndexHead) -> bool {
        let all_copied = index.trusted().is_some_and(|header| index.checkpoint.backfilled == header.mx_frame);
        self.end_reason == EndReason::EmptyFile && self.file_size == 0 && all_copied
    }

    /// The class of one frame. It is known after the whole file was read once.
    #[must_use]
    pub fn class_of(&self, frame: &Frame) -> FrameClass {
        match (frame.valid, self.last_commit) {
            (true, Some(last)) if frame.number <= last.frame => FrameClass::Committed,
            (true, _) => FrameClass::Uncommitted,
            (false, _) => {
                let by_header = dead::class_by_header(self.header.map(|header| header.salts), &frame.header);
                by_header.unwrap_or_else(|| match dead::is_in(&self.unrelated, frame.number) {
                    true => FrameClass::Unrelated,
                    false => FrameClass::Stale,
                })
            }
        }
    }
}

/// Why SQLite cannot use a WAL with this header, in the order of its own checks (`walIndexRecover`): magic and page
/// size, then the checksum of the header, then the version. With all but the last, SQLite treats the WAL as empty and
/// reports no error.
#[must_use]
pub fn header_fault(header: &WalHeader) -> Option<EndReason> {
    if header.checksum_order().is_none() {
        Some(EndReason::BadMagic)
    } else if header.page_size().is_none() {
        Some(EndReason::BadPageSize)
    } else if !header.checksum_ok {
        Some(EndReason::BadHeaderChecksum)
    } else if header.format_version != FORMAT_VERSION {
        Some(EndReason::UnsupportedVersion)
    } else {
        None
    }
}

/// Reads a WAL once in blocks, verifies every checksum, and hands each frame to `each` in order. To end early, use
/// [`Scan::frames_until`] or the iterator [`valid_frames`].
///
/// The memory that is needed does not depend on the file. A file that shrinks while it is read ends where a read
/// returned fewer bytes than asked. [`Scan`] does the same with several threads, or without handing out frames.
///
/// If the header cannot be used, no frame is valid. Frames are counted if at least magic and page size are right.
///
/// folklore: SQLite counts frames in 32 bits and stops at the largest number, whatever the file holds. Numbers here
/// have 64 bits, so frames after that are listed although SQLite does not read them.
///
/// # Errors
/// Only an error of reading. Bad content is part of the facts.
pub fn scan(wal: &dyn ReadAt, each: &mut dyn FnMut(&Frame)) -> io::Result<WalFacts> {
    Scan::new(wal).frames(each)
}

/// Reads a WAL once as [`scan`] does, and hands out each frame together with its page. To end early, use
/// [`Scan::pages_until`].
///
/// # Errors
/// Only an error of reading. Bad content is part of the facts.
pub fn scan_pages(wal: &dyn ReadAt, each: &mut dyn FnMut(&Frame, &[u8])) -> io::Result<WalFacts> {
    Scan::new(wal).pages(each)
}

/// The state of one pass.
struct Walk {
    header: WalHeader,
    /// The checksum that the next frame continues: the stored one, right or wrong.
    seed: Checksum,
    /// Why the chain has ended, once it has.
    broken: Option<EndReason>,
    /// The place of the last frame's generation in the list. Frames of one generation are neighbours, so most frames
    /// have the generation of the frame before.
    generation: usize,
    /// Frames with other salts than the header.
    rows: Rows,
    /// The largest page number in the valid chain.
    largest_page: PageNumber,
    stride: Stride,
    facts: WalFacts,
}

impl Walk {
    fn new(header: WalHeader, fault: Option<EndReason>) -> Self {
        let facts = WalFacts { header: Some(header), ..WalFacts::absent() };
        let stride = Stride::of_pages(header.page_size);
        let (rows, largest_page) = (Rows::default(), PageNumber::NONE);
        Self { header, seed: header.checksum, broken: fault, generation: 0, rows, largest_page, stride, facts }
    }

    /// Why the chain would end before this frame; `None` if the frame is valid.
    #[inline]
    fn fault(&self, link: &Link) -> Option<EndReason> {
        let Link { header, follows: checksum_ok } = *link;
        // The order of walDecodeFrame: salts, page number, checksum.
        if header.salts != self.header.salts {
            Some(EndReason::SaltMismatch)
        } else if header.page == 0 {
            Some(EndReason::PageZero)
        } else if !checksum_ok {
            Some(EndReason::ChecksumMismatch)
        } else {
            None
        }
    }

    /// Takes the next frames, which are not handed out. Most of them are valid, and then each one needs little work.
    fn take_all(&mut self, links: &[Link]) {
        let unbroken = |link: &&Link| self.broken.is_none() && self.fault(link).is_none();
        let (valid, rest) = links.split_at(links.iter().take_while(unbroken).count());
        if let Some(last) = valid.last() {
            self.seed = last.header.checksum;
            for (number, link) in (self.facts.frames.in_file + 1..).zip(valid) {
                self.largest_page = self.largest_page.max(link.header.page);
                if link.header.is_commit() {
                    self.count_commit(FrameNumber(number), &link.header);
                }
            }
            self.facts.frames.in_file += valid.len() as u64;
            self.facts.frames.valid += valid.len() as u64;
            self.count_generation(self.header.salts, valid.len() as u64);
        }
        for link in rest {
            self.take(link);
        }
    }

    /// Takes the next frame.
    fn take(&mut self, link: &Link) -> Frame {
        let Link { header, follows: checksum_ok } = *link;
        self.seed = header.checksum;
        self.broken = self.broken.or_else(|| self.fault(link));
        self.facts.frames.in_file += 1;
        let number = FrameNumber(self.facts.frames.in_file);
        let offset = self.stride.offset_of(number);
        let frame = Frame { number, offset, header, checksum_ok, valid: self.broken.is_none() };
        self.count(&frame);
        frame
    }

    /// Takes the next frame, which is of zero bytes.
    fn take_zero(&mut self) -> Frame {
        // The checksum of zero bytes that continues zero is zero. No other checksum stays zero.
        self.take(&Link { header: FrameHeader::ZERO, follows: self.seed == Checksum::ZERO })
    }

    /// Takes frames of zero bytes, which nobody is handed. The first of them may end the chain. The others are equal.
    fn take_zeros(&mut self, frames: u64) {
        let Some(rest) = frames.checked_sub(1) else { return };
        self.take_zero();
        self.facts.frames.in_file += rest;
        if self.header.salts != Salts::ZERO {
            self.facts.frames.unwritten += rest;
            return;
        }
        self.facts.frames.residue += rest;
        if let Some(current) = self.facts.generations.first_mut() {
            current.frames += rest;
        }
    }

    fn count(&mut self, frame: &Frame) {
        let frames = &mut self.facts.frames;
        if frame.valid {
            frames.valid += 1;
            self.largest_page = self.largest_page.max(frame.header.page);
            if frame.header.is_commit() {
                self.count_commit(frame.number, &frame.header);
            }
        } else {
            match dead::class_by_header(Some(self.header.salts), &frame.header) {
                Some(FrameClass::Residue) => frames.residue += 1,
                Some(_) => {
                    frames.unwritten += 1;
                    return;
                }
                None => {
                    if let Some(row) = self.rows.take(frame) {
                        self.count_row(&row);
                    }
                    return;
                }
            }
        }
        self.count_generation(frame.header.salts, 1);
    }

    /// Counts frames with equal salts, other than those of the header, now that all of them are known.
    fn count_row(&mut self, row: &Row) {
        let largest = self.facts.last_commit.map_or(0, |last| last.database_pages).max(self.largest_page.0);
        let listed = &self.facts.generations;
        let known = |salts| listed.iter().any(|generation| generation.salts == salts);
        if self.rows.decide(row, &Around { current: self.header.salts, known: &known, largest }) {
            self.facts.frames.stale += row.frames;
            self.count_generation(row.salts, row.frames);
        } else {
            self.facts.frames.unrelated += row.frames;
        }
    }

    fn count_commit(&mut self, frame: FrameNumber, header: &FrameHeader) {
        self.facts.commits += 1;
        let (database_pages, checksum) = (header.commit_pages, header.checksum);
        self.facts.last_commit = Some(LastCommit { frame, database_pages, checksum });
    }

    fn count_generation(&mut self, salts: Salts, frames: u64) {
        let same = |generation: &Generation| generation.salts == salts;
        let listed = &mut self.facts.generations;
        if !listed.get(self.generation).is_some_and(same) {
            match listed.iter().position(same) {
                Some(at) => self.generation = at,
                None if listed.len() < GENERATIONS_LISTED => {
                    self.generation = listed.len();
                    listed.push(Generation { salts, frames: 0 });
                }
                None => {
                    self.facts.unlisted_generation_frames += frames;
                    return;
                }
            }
        }
        if let Some(generation) = listed.get_mut(self.generation) {
            generation.frames += frames;
        }
    }

    fn finish(mut self, file_size: u64) -> WalFacts {
        if let Some(row) = self.rows.end() {
            self.count_row(&row);
        }
        let mut facts = self.facts;
        facts.unrelated = self.rows.unrelated;
        facts.file_size = file_size;
        facts.frames.committed = facts.last_commit.map_or(0, |last| last.frame.count());
        facts.frames.uncommitted = facts.frames.valid - facts.frames.committed;
        facts.end_frame = FrameNumber(facts.frames.valid).next();
        facts.end_reason = match self.broken {
            // folklore: SQLite reads nothing of a file of exactly 32 bytes, not even a bad version
            // (walIndexRecover's `nSize>WAL_HDRSIZE`). Held by `a_file_of_32_bytes_is_never_read`.
            _ if file_size <= HEADER_SIZE as u64 => EndReason::EndOfFile,
            Some(reason) => reason,
            None if facts.frames.torn_bytes > 0 => EndReason::TornFrame,
            None => EndReason::EndOfFile,
        };
        facts
    }
}
