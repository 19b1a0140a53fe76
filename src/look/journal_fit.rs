//! Whose a rollback journal is, where several databases may be meant by its name.

use std::io;

use super::journal::{self as beside, PAGES, kept_pages};
use crate::bytes::ReadAt;
use crate::format::db::{self, JournalMode};
use crate::format::journal;

/// What a journal is to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JournalFit {
    /// Of another one: something contradicts it.
    Other,
    /// The bytes do not tell.
    Unknown,
    /// All its pages are in the database as they are: to roll it back changes nothing.
    Unwritten,
    /// Its transaction was written into the database, in part or whole.
    Own,
}

/// Judges a journal with content by what it keeps.
///
/// folklore: page 1 stays in memory during a transaction, so it is written at the commit only, with the change counter that is larger by
/// one. The commit cuts off the pages that a vacuum has freed behind that, and deletes the journal last (`sqlite3PagerCommitPhaseOne`).
/// So a database that is shorter than before a transaction whose journal does not keep page 1 is another one. And a journal of a
/// database in WAL mode can only be that of the transaction that turned to WAL mode. Held by
/// `a_journal_goes_with_the_database_that_its_transaction_wrote_to`.
///
/// # Errors
/// Reading failed.
pub fn journal_fit(bytes: &dyn ReadAt, database: &dyn ReadAt) -> io::Result<JournalFit> {
    let (head, own) =
        (beside::head::<{ journal::HEADER_SIZE }>(bytes)?, beside::head::<{ db::HEADER_SIZE }>(database)?);
    let (Some(head), Some(own)) = (journal::parse(&head), beside::plain(&own)) else { return Ok(JournalFit::Unknown) };
    if head.page_size.bytes() != own.page_size {
        return Ok(JournalFit::Other);
    }
    let Some(pages) = kept_pages(bytes, database)? else { return Ok(JournalFit::Unknown) };
    let before = u64::from(head.database_pages).saturating_mul(own.page_size.into());
    let kept = beside::page_one(bytes)?;
    let counter = kept.as_ref().and_then(|kept| beside::plain(kept)).map(|kept| kept.change_counter);
    let raised = counter.map(|counter| own.change_counter.wrapping_sub(counter));
    let contradicts = raised.map_or(database.len() < before, |raised| raised > 1);
    if contradicts || own.journal_mode() == JournalMode::Wal && raised != Some(1) {
        return Ok(JournalFit::Other);
    }
    let same_one = match &kept {
        Some(kept) => {
            let mut there = vec![0; kept.len()];
            database.read_at(&mut there, 0)? == there.len() && there == *kept
        }
        None => true,
    };
    let unwritten = pages.differ == 0 && same_one && database.len() == before;
    let telling = pages.same > 0 || kept.is_some() && same_one;
    Ok(match telling {
        true if unwritten && pages.compared < PAGES => JournalFit::Unwritten,
        true if !unwritten => JournalFit::Own,
        _ => JournalFit::Unknown,
    })
}
