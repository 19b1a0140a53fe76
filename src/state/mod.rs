//! The database as of one commit: each page is its latest frame up to that commit, or else the page of the database file.
//!
//! Where that is true, and where a checkpoint has overwritten what the database file had, is for who asks to judge: see
//! [`State`].

mod rolled_back;

use std::io;

use crate::bytes::ReadAt;
use crate::format::freelist::lock_byte_page;
use crate::number::{FrameNumber, PageNumber, PageSize};
use crate::tree::Pages;
use crate::wal::latest::FrameIndex;

pub use rolled_back::RolledBack;

/// The most that is read of the database at once.
const AT_ONCE: usize = 1 << 16;

/// The frames of a `-wal` up to a commit.
#[derive(Clone, Copy)]
pub struct Frames<'a> {
    /// The `-wal`.
    pub bytes: &'a dyn ReadAt,
    /// The frames of each page.
    pub index: &'a FrameIndex,
    /// The frame of the commit.
    pub commit: FrameNumber,
    /// The last commit of the `-wal`. Up to there frames may have been copied into the database.
    pub last: FrameNumber,
}

/// Where a page of a state is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In this frame of the `-wal`.
    Frame(FrameNumber),
    /// In the database file.
    Database,
}

/// Why a page of a state is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The database has the image of this later frame: a checkpoint put it there, or the page was the same before.
    Overwritten(FrameNumber),
    /// The database file ends before it, and no frame up to the commit holds it: a checkpoint cut it off, or it is missing.
    CutOff,
    /// The state has no such page.
    OutOfRange,
}

/// A database as of a commit, put together from its files.
///
/// [`Pages::read`] gives the state that SQLite would open: that of the last commit. [`State::page`] gives that of any commit, and
/// says where it cannot be known.
///
/// ```
/// use walscope::number::{PageNumber, PageSize};
/// use walscope::state::State;
/// use walscope::tree::Pages;
///
/// let database = std::fs::read("testdata/cases/six-classes-wal/t.db")?;
/// let size = PageSize::new(4096).ok_or(std::io::ErrorKind::InvalidData)?;
/// let mut state = State::new(&database, None, size, 1);
/// let mut head = [0; 16];
/// assert!(state.read(PageNumber(1), &mut head)?);
/// assert_eq!(&head, b"SQLite format 3\0");
/// assert!(!state.read(PageNumber(2), &mut head)?, "the state has one page");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct State<'a> {
    database: &'a dyn ReadAt,
    frames: Option<Frames<'a>>,
    size: PageSize,
    count: u32,
    /// The page of the database that was read last.
    last: PageNumber,
    /// Bytes that were read ahead, and where they begin.
    ahead: (u64, Vec<u8>),
}

impl<'a> State<'a> {
    /// `frames`: `None` if nothing is committed in a `-wal`. `count` is how many pages the database has.
    #[must_use]
    pub fn new(database: &'a dyn ReadAt, frames: Option<Frames<'a>>, size: PageSize, count: u32) -> Self {
        Self { database, frames, size, count, last: PageNumber::NONE, ahead: (0, Vec::new()) }
    }

    /// Reads from the database file. Pages that follow each other are read ahead.
    fn of_database(&mut self, page: PageNumber, into: &mut [u8]) -> io::Result<bool> {
        let Some(before) = page.0.checked_sub(1) else { return Ok(false) };
        let at = u64::from(before) * u64::from(self.size);
        let follows = self.last.0.checked_add(1) == Some(page.0);
        self.last = page;
        if follows && self.ahead(at, into.len()).is_none() {
            let (start, bytes) = &mut self.ahead;
            bytes.resize(AT_ONCE, 0);
            let got = self.database.read_at(bytes, at)?;
            bytes.truncate(got);
            *start = at;
        }
        match self.ahead(at, into.len()) {
            Some(ahead) => {
                into.copy_from_slice(ahead);
                Ok(true)
            }
            None => Ok(self.database.read_at(into, at)? == into.len()),
        }
    }

    /// Bytes that were read ahead.
    fn ahead(&self, at: u64, bytes: usize) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.ahead.0)?).ok()?;
        self.ahead.1.get(from..from.checked_add(bytes)?)
    }
}

impl State<'_> {
    /// Reads a whole page of the state, with the proof that it is of this state: it is in a frame up to the commit; or in the
    /// database, and differs from each later frame of the page, so that no checkpoint has put one of them there.
    ///
    /// folklore: `nBackfill` is no bound for what was copied: it is 0 while a checkpoint is at work, after one that was killed, and
    /// after each recovery. So the bytes are asked, and every later frame counts. Held by
    /// `a_page_of_any_commit_is_that_of_sqlite_or_is_said_not_to_be_known`.
    ///
    /// # Errors
    /// Reading failed.
    pub fn page(&mut self, page: PageNumber, into: &mut Vec<u8>) -> io::Result<Result<Place, Lost>> {
        into.resize(self.size.to_usize(), 0);
        if page == PageNumber::NONE || page.0 > self.count {
            return Ok(Err(Lost::OutOfRange));
        }
        if let Some(frame) = self.frame_of(page) {
            return Ok(if self.read(page, into)? { Ok(Place::Frame(frame)) } else { Err(Lost::CutOff) });
        }
        if !self.of_database(page, into)? {
            if page == lock_byte_page(self.size) {
                into.fill(0);
                return Ok(Ok(Place::Database));
            }
            return Ok(Err(Lost::CutOff));
        }
        let Some(frames) = self.frames else { return Ok(Ok(Place::Database)) };
        let mut later = vec![0; into.len()];
        for frame in frames.index.frames(page).filter(|frame| *frame > frames.commit && *frame <= frames.last) {
            let got = frames.bytes.read_at(&mut later, self.size.page_offset_of(frame))?;
            if got == later.len() && later == *into {
                return Ok(Err(Lost::Overwritten(frame)));
            }
        }
        Ok(Ok(Place::Database))
    }

    /// The latest frame of a page up to the commit.
    fn frame_of(&self, page: PageNumber) -> Option<FrameNumber> {
        self.frames.and_then(|frames| frames.index.newest(page, frames.commit))
    }
}

impl Pages for State<'_> {
    fn count(&self) -> u32 {
        self.count
    }

    fn read(&mut self, page: PageNumber, into: &mut [u8]) -> io::Result<bool> {
        if page.0 > self.count {
            return Ok(false);
        }
        let frame =
            self.frames.and_then(|frames| frames.index.newest(page, frames.commit).map(|frame| (frames, frame)));
        match frame {
            Some((frames, frame)) => {
                let at = self.size.page_offset_of(frame);
                Ok(frames.bytes.read_at(into, at)? == into.len())
            }
            None => self.of_database(page, into),
        }
    }
}
