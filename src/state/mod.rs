//! The database as of one commit: each page is its latest frame up to that commit, or else the page of the database file.
//!
//! Where that is true, and where a checkpoint has overwritten what the database file had, is for who asks to judge: see
//! [`State`].

use std::io;

use crate::bytes::ReadAt;
use crate::number::{FrameNumber, PageNumber, PageSize};
use crate::tree::Pages;
use crate::wal::latest::FrameIndex;

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
}

/// A database as of a commit, put together from its files.
///
/// It is that of the last commit if no frame behind that commit has been copied into the database. An earlier state is only
/// right if no later frame of any page was copied, either.
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
