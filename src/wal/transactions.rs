//! The committed transactions of a WAL, one after the other.
use std::io;

use crate::bytes::ReadAt;
use crate::number::{FrameNumber, PageNumber};

use super::{Frame, WalFacts, scan_pages};

/// One committed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// 1 for the first in the WAL.
    pub number: u64,
    /// Its first frame.
    pub first_frame: FrameNumber,
    /// The frame that commits it. SQLite recovers to here, and to each frame of the padding.
    pub commit_frame: FrameNumber,
    /// Its last frame: beyond `commit_frame` when the commit frame was repeated up to the sector boundary.
    pub last_frame: FrameNumber,
    /// Pages of the database after it.
    pub database_pages: u32,
    /// The page of each frame up to `commit_frame`, in order, as many as the limit allows. A page can stand twice.
    pub pages: Vec<PageNumber>,
}

impl Transaction {
    /// Commit points: 1 and one for each frame of padding.
    #[must_use]
    pub fn commit_points(&self) -> u64 {
        self.last_frame.frames_after(self.commit_frame) + 1
    }

    /// Frames whose pages the limit left out of `pages`.
    #[must_use]
    pub fn pages_left_out(&self) -> u64 {
        (self.commit_frame.frames_after(self.first_frame) + 1).saturating_sub(self.pages.len() as u64)
    }
}

/// Groups the frames of one pass into transactions.
///
/// folklore: with `psow=0` and full synchronisation SQLite repeats the commit frame up to the next sector boundary
/// (walFrames, `padToSectorBoundary`), and each repetition is a commit to whoever recovers the file. So neighbouring
/// commit frames of the same page, size and bytes are one transaction here. A transaction that writes nothing but the
/// same bytes of the same single page again looks exactly alike. Seen in SQLite 3.54; held by
/// `repeated_commit_frames_are_one_transaction`.
#[derive(Debug, Clone)]
pub struct Transactions {
    pages_limit: usize,
    /// The transaction being collected, `commit_frame` none until its commit is seen.
    open: Option<Transaction>,
    number: u64,
    /// Number and bytes of the page that the last commit frame holds; one buffer, reused.
    commit_page_number: PageNumber,
    commit_page: Vec<u8>,
}

impl Transactions {
    /// Begins before the first frame. Each transaction lists at most `pages_limit` pages.
    #[must_use]
    pub fn new(pages_limit: usize) -> Self {
        Self { pages_limit, open: None, number: 0, commit_page_number: PageNumber::NONE, commit_page: Vec::new() }
    }

    /// Takes the next frame and its page; returns the transaction that is complete now, if one is.
    /// Frames that are not part of the valid chain are passed over.
    pub fn push(&mut self, frame: &Frame, page: &[u8]) -> Option<Transaction> {
        if !frame.valid {
            return None;
        }
        if self.repeats_commit(frame, page) {
            if let Some(open) = &mut self.open {
                open.last_frame = frame.number;
            }
            return None;
        }
        let complete = self.open.take_if(|open| open.commit_frame != FrameNumber::NONE);
        let (number, limit) = (&mut self.number, self.pages_limit);
        let open = self.open.get_or_insert_with(|| {
            *number += 1;
            Transaction {
                number: *number,
                first_frame: frame.number,
                commit_frame: FrameNumber::NONE,
                last_frame: frame.number,
                database_pages: 0,
                pages: Vec::new(),
            }
        });
        open.last_frame = frame.number;
        if open.pages.len() < limit {
            open.pages.push(frame.header.page);
        }
        if frame.header.is_commit() {
            open.commit_frame = frame.number;
            open.database_pages = frame.header.commit_pages;
            self.commit_page_number = frame.header.page;
            self.commit_page.clear();
            self.commit_page.extend_from_slice(page);
        }
        complete
    }

    /// The number of the transaction that the last valid frame belongs to; of the open one, should it never commit.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Ends: the last transaction, if it was committed.
    #[must_use]
    pub fn finish(self) -> Option<Transaction> {
        self.open.filter(|open| open.commit_frame != FrameNumber::NONE)
    }

    fn repeats_commit(&self, frame: &Frame, page: &[u8]) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.commit_frame != FrameNumber::NONE
                && open.database_pages == frame.header.commit_pages
                && self.commit_page_number == frame.header.page
                && self.commit_page == page
        })
    }
}

/// Hands each committed transaction to `each` in one pass over the WAL, each with at most `pages_limit` pages, so that
/// memory stays bounded whatever the file holds.
///
/// # Errors
/// Only what reading reported.
pub fn transactions(wal: &dyn ReadAt, pages_limit: usize, each: &mut dyn FnMut(&Transaction)) -> io::Result<WalFacts> {
    let mut grouping = Transactions::new(pages_limit);
    let facts = scan_pages(wal, &mut |frame, page| {
        if let Some(complete) = grouping.push(frame, page) {
            each(&complete);
        }
    })?;
    if let Some(last) = grouping.finish() {
        each(&last);
    }
    Ok(facts)
}
