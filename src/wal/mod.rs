//! The WAL as a whole: the valid chain and why it ends, commits, frame classes, generations.
//!
//! Each link of the chain is checked from the checksum *stored* in the frame before it. Up to the first break that is
//! the same as SQLite's running checksum, and behind the break it still tells frames that follow each other.
pub(crate) mod blocks;
mod chain;
pub mod frames;
pub mod latest;
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
use crate::number::{Checksum, FrameNumber, PageSize, Salts, Stride};

use blocks::Link;
pub use chain::{commits, valid_frames};
pub use scan::Scan;

/// Generations that are listed; a hostile file can hold one a frame.
pub const GENERATIONS_LISTED: usize = 64;

/// Why the valid chain ends where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
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
    /// There is no `-wal`.
    NoFile,
    /// The `-wal` has no bytes (or, as to SQLite, no frame can start: exactly 32 bytes are `EndOfFile`).
    EmptyFile,
    /// 1 to 31 bytes.
    ShortHeader,
    /// Neither magic.
    BadMagic,
    /// No power of two from 512 to 65536.
    BadPageSize,
    /// The header's checksum is wrong.
    BadHeaderChecksum,
    /// The header is right but of another version: SQLite cannot open it.
    UnsupportedVersion,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum FrameClass {
    /// Current salts, unbroken chain, up to the last commit.
    Committed,
    /// Current salts, unbroken chain, behind the last commit.
    Uncommitted,
    /// Current salts, behind a break of the chain.
    Residue,
    /// Other salts than the header's.
    Stale,
    /// Salts of zero: the file grew ahead of its frames.
    Unwritten,
}

/// Frames by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct FrameCounts {
    /// Whole frames in the file.
    pub in_file: u64,
    /// `committed + uncommitted`.
    pub valid: u64,
    /// Up to the last commit.
    pub committed: u64,
    /// Valid, behind the last commit.
    pub uncommitted: u64,
    /// Current salts behind a break.
    pub residue: u64,
    /// Other salts.
    pub stale: u64,
    /// Zero salts.
    pub unwritten: u64,
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
    /// What they share.
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
    /// Its frame, 1-based.
    pub frame: FrameNumber,
    /// Pages of the database after it.
    pub database_pages: u32,
    /// The cumulative checksum stored in it.
    pub checksum: Checksum,
}

/// One frame as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its number.
    pub number: FrameNumber,
    /// Of the frame header, bytes from the start of the file.
    pub offset: u64,
    /// The header as stored.
    pub header: FrameHeader,
    /// Whether the stored checksum follows from the one stored in the frame before (in the WAL header for frame 1).
    ///
    /// folklore: true as well for zero bytes behind zero bytes, since zero continued over zeros is zero; held by
    /// `frames_behind_the_break_still_show_which_links_hold`.
    pub checksum_ok: bool,
    /// Whether the chain from the header to here is unbroken: then `committed` or `uncommitted`, which the last commit tells.
    pub valid: bool,
}

/// What one pass over a WAL found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalFacts {
    /// Bytes in the file.
    pub file_size: u64,
    /// The header; `None` when there are fewer than 32 bytes.
    pub header: Option<WalHeader>,
    /// Frames by class.
    pub frames: FrameCounts,
    /// The first frame that is not part of the valid chain: `valid + 1`.
    pub end_frame: FrameNumber,
    /// Why the chain ends.
    pub end_reason: EndReason,
    /// Commit frames in the valid chain.
    pub commits: u64,
    /// The last of them.
    pub last_commit: Option<LastCommit>,
    /// Generations in order of first appearance, the current first; at most `GENERATIONS_LISTED`.
    pub generations: Vec<Generation>,
    /// Frames of generations beyond the listed ones.
    pub unlisted_generation_frames: u64,
}

impl WalFacts {
    /// There is no `-wal`.
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
        }
    }

    /// Bytes a page, when the header can be used.
    #[must_use]
    pub fn page_size(&self) -> Option<PageSize> {
        self.header.filter(|header| header_fault(header).is_none())?.page_size()
    }

    /// Whether the file does not have the frames that a wal-index in use counts, because it was cut short: SQLite restarts
    /// the wal-index before it truncates the WAL. A file with a header of other salts is another generation's, which may
    /// have been read before or after the wal-index was.
    ///
    /// folklore: the next commit goes where the next frame was to be, so that the file is long again and begins with zero
    /// bytes. Held by `a_wal_truncated_under_a_live_connection_is_named`.
    #[must_use]
    pub fn cut_short_of(&self, index: &IndexHeader) -> bool {
        let cut = match self.header {
            Some(header) if header.magic == 0 && header.salts == Salts::ZERO => true,
            Some(header) if header.salts != index.salts => false,
            _ => self.file_size < index.wal_bytes(),
        };
        index.mx_frame != FrameNumber::NONE && self.end_reason != EndReason::NoFile && cut
    }

    /// Whether a wal-index in use has left the generation in this file behind: it was restarted, and no frame was written
    /// since. Then everything that is committed here is in the database. At `mxFrame` 0 other salts alone do not tell: a
    /// connection that has not checkpointed yet draws the salts of a WAL it begins at random, and the wal-index has them
    /// only with the first commit.
    ///
    /// folklore: walRestartHdr counts salt-1 up by one and leaves `aFrameCksum` as it was, of the last commit that was in
    /// the WAL. Either tells; a commit that was never shown stands behind that one where its writer died, and after two
    /// restarts without a frame salt-1 is two ahead. Held by `a_restart_leaves_the_checksum_of_the_last_commit_behind`.
    #[must_use]
    pub fn left_behind_by(&self, index: &IndexHeader) -> bool {
        let Some((header, last)) = self.header.zip(self.last_commit) else { return false };
        index.mx_frame == FrameNumber::NONE
            && header.salts != index.salts
            && (last.checksum == index.frame_checksum || header.salts.restarted_as(index.salts))
    }

    /// Whether the file was emptied when all that the wal-index counts had been copied: everything is in the database.
    ///
    /// folklore: with SQLITE_FCNTL_PERSIST_WAL and `journal_size_limit` the last connection to close copies all, cuts the
    /// WAL to no bytes, and only then lets go of the `-shm`, whose `mxFrame` stays as it was (sqlite3WalClose calls
    /// walLimitSize before walIndexClose). Held by `a_wal_that_is_emptied_at_the_last_close_is_no_loss`.
    #[must_use]
    pub fn emptied_behind(&self, index: &IndexHead) -> bool {
        let all_copied = index.trusted().is_some_and(|header| index.checkpoint.backfilled == header.mx_frame);
        self.end_reason == EndReason::EmptyFile && self.file_size == 0 && all_copied
    }

    /// The class of one frame, known once the whole file was passed over.
    #[must_use]
    pub fn class_of(&self, frame: &Frame) -> FrameClass {
        match (frame.valid, self.last_commit) {
            (true, Some(last)) if frame.number <= last.frame => FrameClass::Committed,
            (true, _) => FrameClass::Uncommitted,
            (false, _) => dead_class(self.header.as_ref(), &frame.header),
        }
    }
}

/// The class of a frame that is not part of the valid chain: its salts decide.
fn dead_class(header: Option<&WalHeader>, frame: &FrameHeader) -> FrameClass {
    if header.is_some_and(|header| header.salts == frame.salts) {
        FrameClass::Residue
    } else if frame.salts == Salts::ZERO {
        FrameClass::Unwritten
    } else {
        FrameClass::Stale
    }
}

/// What keeps SQLite from using a WAL with this header, in the order of its own checks (`walIndexRecover`): magic and
/// page size, then the header's checksum, then the version. All but the last make an empty WAL of it without an error.
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

/// Passes once over a WAL in blocks, verifies every link, and hands each frame to `each` in order.
///
/// Memory does not depend on the file. A file that shrinks while it is read ends where the reading came short. [`Scan`]
/// does the same with several threads, or without handing frames out.
///
/// With an unusable header no frame is valid; frames are counted if at least magic and page size can be believed.
///
/// folklore: SQLite counts frames in 32 bits and stops there, whatever the file holds; here numbers are 64 bits wide,
/// so frames beyond the 2^32nd are listed though no SQLite will read them.
///
/// # Errors
/// Only what reading reported; bad content is part of the facts.
pub fn scan(wal: &dyn ReadAt, each: &mut dyn FnMut(&Frame)) -> io::Result<WalFacts> {
    Scan::new(wal).frames(each)
}

/// Passes once over a WAL as [`scan`] does, and hands out each frame's page with the frame.
///
/// # Errors
/// Only what reading reported; bad content is part of the facts.
pub fn scan_pages(wal: &dyn ReadAt, each: &mut dyn FnMut(&Frame, &[u8])) -> io::Result<WalFacts> {
    Scan::new(wal).pages(each)
}

/// The state of one pass.
struct Walk {
    header: WalHeader,
    /// What the next frame's checksum continues: as stored, right or wrong.
    seed: Checksum,
    /// Why the chain has ended, once it has.
    broken: Option<EndReason>,
    /// Where the last frame's generation is listed: frames of one generation stand together.
    generation: usize,
    stride: Stride,
    facts: WalFacts,
}

impl Walk {
    fn new(header: WalHeader, fault: Option<EndReason>) -> Self {
        let facts = WalFacts { header: Some(header), ..WalFacts::absent() };
        let stride = Stride::of_pages(header.page_size);
        Self { header, seed: header.checksum, broken: fault, generation: 0, stride, facts }
    }

    /// Why the chain would end before this frame.
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

    /// Takes the next frames, which nobody is handed. Most of them are valid, and then little has to be done for each.
    fn take_all(&mut self, links: &[Link]) {
        let unbroken = |link: &&Link| self.broken.is_none() && self.fault(link).is_none();
        let (valid, rest) = links.split_at(links.iter().take_while(unbroken).count());
        if let Some(last) = valid.last() {
            self.seed = last.header.checksum;
            for (number, link) in (self.facts.frames.in_file + 1..).zip(valid) {
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

    /// Takes frames of zero bytes. The first may end the chain; the others are all alike, and need not be looked at
    /// unless `each` wants them.
    fn take_zeros(&mut self, frames: u64, mut each: Option<&mut dyn FnMut(&Frame)>) {
        for _ in 0..if each.is_some() { frames } else { frames.min(1) } {
            // Zero continued over zeros is zero, and nothing else is.
            let frame = self.take(&Link { header: FrameHeader::ZERO, follows: self.seed == Checksum::ZERO });
            if let Some(each) = &mut each {
                each(&frame);
            }
        }
        if each.is_none() {
            let rest = frames.saturating_sub(1);
            self.facts.frames.in_file += rest;
            match dead_class(Some(&self.header), &FrameHeader::ZERO) {
                FrameClass::Unwritten => self.facts.frames.unwritten += rest,
                _ => {
                    self.facts.frames.residue += rest;
                    if let Some(current) = self.facts.generations.first_mut() {
                        current.frames += rest;
                    }
                }
            }
        }
    }

    fn count(&mut self, frame: &Frame) {
        let frames = &mut self.facts.frames;
        if frame.valid {
            frames.valid += 1;
            if frame.header.is_commit() {
                self.count_commit(frame.number, &frame.header);
            }
        } else {
            match dead_class(Some(&self.header), &frame.header) {
                FrameClass::Residue => frames.residue += 1,
                FrameClass::Unwritten => {
                    frames.unwritten += 1;
                    return;
                }
                _ => frames.stale += 1,
            }
        }
        self.count_generation(frame.header.salts, 1);
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

    fn finish(self, file_size: u64) -> WalFacts {
        let mut facts = self.facts;
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
