//! The committed transactions of a WAL, in order.
use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow;

use crate::bytes::ReadAt;
use crate::number::{FrameNumber, PageNumber};

use super::{Frame, Scan, WalFacts};

/// One committed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transaction {
    /// Its number, counted from 1 in this WAL.
    pub number: u64,
    /// Its first frame.
    pub first_frame: FrameNumber,
    /// The frame that commits it. SQLite recovers up to this frame, or up to any frame of the padding.
    pub commit_frame: FrameNumber,
    /// Its last frame. It comes after `commit_frame` if the commit frame was repeated up to the sector boundary.
    pub last_frame: FrameNumber,
    /// Pages of the database after this transaction.
    pub database_pages: u32,
    /// The page of each frame up to `commit_frame`, in order, at most as many as the limit allows. A page can occur
    /// twice.
    pub pages: Vec<PageNumber>,
}

impl Transaction {
    /// The number of frames that commit it: 1, and one more for each frame of padding.
    #[must_use]
    pub fn commit_points(&self) -> u64 {
        self.last_frame.frames_after(self.commit_frame) + 1
    }

    /// Number of frames whose pages are not in `pages` because of the limit.
    #[must_use]
    pub fn pages_left_out(&self) -> u64 {
        (self.commit_frame.frames_after(self.first_frame) + 1).saturating_sub(self.pages.len() as u64)
    }
}

/// Groups the frames of one pass over a WAL into transactions.
///
/// folklore: with `psow=0` and full synchronisation SQLite repeats the commit frame up to the next sector boundary
/// (walFrames, `padToSectorBoundary`), and each repetition is a commit for the process that recovers the file. So
/// neighbouring commit frames with the same page, size and bytes are one transaction here. A transaction that only
/// writes the same bytes to the same single page again looks exactly the same. Seen in SQLite 3.54; held by
/// `repeated_commit_frames_are_one_transaction`.
#[derive(Debug, Clone)]
pub struct Transactions {
    pages_limit: usize,
    /// The transaction that is being collected. `commit_frame` is no frame until its commit was seen.
    open: Option<Transaction>,
    number: u64,
    /// Page number and bytes of the last commit frame. The buffer is reused.
    commit_page_number: PageNumber,
    commit_page: Vec<u8>,
}

impl Transactions {
    /// Begins before the first frame. Each transaction lists at most `pages_limit` pages.
    #[must_use]
    pub fn new(pages_limit: usize) -> Self {
        Self { pages_limit, open: None, number: 0, commit_page_number: PageNumber::NONE, commit_page: Vec::new() }
    }

    /// Takes the next frame and its page. Returns a transaction if one is complete now. Frames that are not part of the
    /// valid chain are ignored.
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

    /// The number of the transaction to which the last valid frame belongs. For an open transaction it is the number
    /// that it gets if it commits.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Ends the pass. Returns the last transaction, if it was committed.
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

/// Reads a WAL once and hands each committed transaction to `each`. Each transaction lists at most `pages_limit` pages,
/// so the memory is limited whatever the file holds. [`transactions_until`] can end early.
///
/// # Errors
/// An error of reading.
pub fn transactions(wal: &dyn ReadAt, pages_limit: usize, each: &mut dyn FnMut(&Transaction)) -> io::Result<WalFacts> {
    let mut each = |transaction: &Transaction| {
        each(transaction);
        ControlFlow::<Infallible>::Continue(())
    };
    let ControlFlow::Continue(facts) = transactions_until(wal, pages_limit, &mut each)?;
    Ok(facts)
}

/// Hands each committed transaction to `each`, as [`transactions`] does, until it breaks off. Then no more of the WAL is
/// handed out, and what it broke off with is returned instead of the facts. The last transaction is handed out when the
/// whole WAL was read.
///
/// # Errors
/// An error of reading.
pub fn transactions_until<B>(
    wal: &dyn ReadAt,
    pages_limit: usize,
    each: &mut dyn FnMut(&Transaction) -> ControlFlow<B>,
) -> io::Result<ControlFlow<B, WalFacts>> {
    let mut grouping = Transactions::new(pages_limit);
    let read = Scan::new(wal).pages_until(&mut |frame, page| match grouping.push(frame, page) {
        Some(complete) => each(&complete),
        None => ControlFlow::Continue(()),
    })?;
    let last = grouping.finish();
    Ok(match (read, last) {
        (ControlFlow::Continue(facts), Some(last)) => each(&last).map_continue(|()| facts),
        (read, _) => read,
    })
}
