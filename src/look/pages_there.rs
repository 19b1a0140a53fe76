//! Whether each page that the database must have is in one of its two files.
//!
//! A transaction that makes the database larger writes each new page into the WAL, and only a checkpoint lets the file
//! grow. So each page up to the size of the last commit is in the file or has a committed frame. A page that is in
//! neither is lost, or the two files are not of one time.

use super::NotCompared;
use super::collected::Pages;
use crate::format::db::{DatabaseHead, DatabaseHeader, JournalMode};
use crate::format::freelist::lock_byte_page;
use crate::number::{FrameNumber, FrameOfPage, PageNumber, PageSize};
use crate::wal::WalFacts;
use crate::wal::latest::FrameIndex;

/// What states the size of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SizeStated {
    /// The last commit of the WAL.
    ByCommit {
        /// Its frame.
        frame: FrameNumber,
    },
    /// The header of the database, because nothing is committed in the WAL.
    ByHeader,
}

/// The pages that a database must have, and those that are nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PagesThere {
    /// What states the size.
    pub stated: SizeStated,
    /// The size, in pages.
    pub database_pages: u32,
    /// Bytes that a file of this size has.
    pub expected: u64,
    /// Bytes of the database file.
    pub size: u64,
    /// Number of pages that are neither in the file nor in a committed frame.
    pub missing: u64,
    /// The first of them.
    pub first_missing: Option<PageNumber>,
}

impl PagesThere {
    /// Whether the file ends within the last page, and no other page is missing.
    #[must_use]
    pub fn only_a_part_is_missing(&self) -> bool {
        let page = self.expected.checked_div(self.database_pages.into()).unwrap_or(0);
        self.missing == 1 && self.size > self.expected.saturating_sub(page)
    }
}

/// The file that is compared with the stated size.
pub(super) struct File<'a> {
    /// Its header.
    pub(super) head: Option<&'a DatabaseHead>,
    /// Its bytes, if all of it was seen.
    pub(super) size: Option<u64>,
    /// Whether a rollback journal waits.
    pub(super) journal_waits: bool,
    /// Whether it is known that no rollback journal waits, the header was the same after the size was asked for, and nobody
    /// was seen to have the database locked exclusively.
    pub(super) stood_still: bool,
}

impl File<'_> {
    fn plain(&self) -> Option<&DatabaseHeader> {
        self.head.and_then(DatabaseHead::plain)
    }

    /// The size that the header states, and the page size. SQLite believes the size only if it was written together with
    /// the change counter.
    ///
    /// A database in rollback mode is written in place. Its header counts where no journal waits, and where it was the same
    /// before and after the size of the file was asked for.
    fn stated(&self) -> Option<(u32, PageSize)> {
        let header = self.plain()?;
        let at_rest = match header.journal_mode() {
            JournalMode::Wal => !self.journal_waits,
            JournalMode::Rollback => self.stood_still,
            JournalMode::Wal2 | JournalMode::Other => false,
        };
        header.believed_pages().zip(PageSize::new(header.page_size)).filter(|_| at_rest)
    }
}

/// Looks for each page.
pub(super) fn look(wal: &WalFacts, pages: &mut Pages, file: &File<'_>) -> Result<PagesThere, NotCompared> {
    let size = file.size.filter(|size| *size > 0).ok_or(NotCompared::NoDatabase)?;
    match wal.last_commit {
        // folklore: SQLite counts frames in 32 bits and reads none of the frames after that.
        Some(commit) if commit.frame.to_u32().is_none() => Err(NotCompared::SizeNotStated),
        Some(commit) => {
            let page_size = wal.page_size().ok_or(NotCompared::WalHeaderUnusable)?;
            if file.plain().is_some_and(|header| header.page_size != page_size.bytes()) {
                return Err(NotCompared::PageSizesDiffer);
            }
            let stated = SizeStated::ByCommit { frame: commit.frame };
            let looked = Looked::new(stated, commit.database_pages, page_size, size);
            Ok(if looked.is_whole() { looked.found() } else { looked.with(pages.index(), commit.frame) })
        }
        None => {
            let (database_pages, page_size) = file.stated().ok_or(NotCompared::SizeNotStated)?;
            let looked = Looked::new(SizeStated::ByHeader, database_pages, page_size, size);
            Ok(if looked.is_whole() { looked.found() } else { looked.with(FrameIndex::NONE, FrameNumber::NONE) })
        }
    }
}

/// The pages behind the end of the file.
struct Looked {
    found: PagesThere,
    /// The last page that is wholly in the file.
    in_file: u64,
    /// folklore: SQLite never writes the page at offset 2^30, which has the bytes that it locks. It is no page of any
    /// table, and the next page can be the first one behind the end of a file. Held by `the_page_of_the_lock_bytes_is_not_missing`.
    locked: u64,
}

impl Looked {
    fn new(stated: SizeStated, database_pages: u32, page_size: PageSize, size: u64) -> Self {
        let bytes = u64::from(page_size);
        let expected = u64::from(database_pages).saturating_mul(bytes);
        let found = PagesThere { stated, database_pages, expected, size, missing: 0, first_missing: None };
        Self { found, in_file: size / bytes, locked: lock_byte_page(page_size).into() }
    }

    fn found(self) -> PagesThere {
        self.found
    }

    /// Whether the file has all pages.
    fn is_whole(&self) -> bool {
        self.in_file >= u64::from(self.found.database_pages)
    }

    /// Counts the pages that have no frame up to the last commit.
    fn with(self, index: &FrameIndex, committed: FrameNumber) -> PagesThere {
        let Self { mut found, in_file, locked } = self;
        let last = u64::from(found.database_pages);
        // The first page that is not there, if none of the pages from here on is.
        let mut next = in_file + 1;
        let mut there = 0;
        let mut first = None;
        for FrameOfPage { page, .. } in index.newest_of_each() {
            let number = u64::from(page);
            let of_commit = index.frames(page).next().is_some_and(|frame| frame <= committed);
            if number <= in_file || number > last || number == locked || !of_commit {
                continue;
            }
            if next == locked {
                next += 1;
            }
            if number != next {
                first = first.or(Some(next));
            }
            next = number + 1;
            there += 1;
        }
        if next == locked {
            next += 1;
        }
        first = first.or((next <= last).then_some(next));
        let never_written = u64::from((in_file + 1..=last).contains(&locked));
        found.missing = (last - in_file).saturating_sub(there + never_written);
        found.first_missing =
            first.filter(|_| found.missing > 0).and_then(|page| u32::try_from(page).ok()).map(PageNumber);
        found
    }
}
