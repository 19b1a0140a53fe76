//! A database beside which a journal waits: its trees as they are, and as they are once SQLite has rolled the journal back.

use std::io;
use std::sync::Arc;

use crate::bytes::ReadAt;
use crate::format::db::{self, DatabaseHead, HEADER_SIZE};
use crate::number::{PageNumber, PageSize};
use crate::state::{RolledBack, State};
use crate::tree::{self, Pages, Trees};

use super::journal_records::{Playback, played_back};

/// What a walk over one state found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Walked {
    /// The trees.
    Trees(Box<Trees>),
    /// Page 1 is none that SQLite opens a database with.
    NoHeader,
}

impl Walked {
    /// Whether everything fits together.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Trees(trees) => trees.fault_count == 0 && trees.never_used == 0,
            Self::NoHeader => false,
        }
    }
}

/// The trees both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BothWays {
    /// The database as it is. `None`: a process writes to it, so that it is of no one moment.
    pub alone: Option<Walked>,
    /// The database as it is once the journal is rolled back.
    pub rolled_back: Walked,
}

/// What the two walks say of the journal and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fit {
    /// Only once the journal is rolled back, everything fits together: the database needs it.
    Needed,
    /// Everything fits together as it is, and no more once the journal is rolled back: it is of another time.
    OfAnotherTime,
    /// Everything fits together both ways: that tells nothing.
    BothWhole,
    /// Neither way.
    BothDamaged,
}

impl Fit {
    /// The name in documents, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Needed => "needed",
            Self::OfAnotherTime => "of_another_time",
            Self::BothWhole => "both_whole",
            Self::BothDamaged => "both_damaged",
        }
    }
}

impl BothWays {
    /// What the two walks say. `None`: a process writes to the database, and there is only one.
    #[must_use]
    pub fn fit(&self) -> Option<Fit> {
        Some(match (self.alone.as_ref()?.is_whole(), self.rolled_back.is_whole()) {
            (false, true) => Fit::Needed,
            (true, false) => Fit::OfAnotherTime,
            (true, true) => Fit::BothWhole,
            (false, false) => Fit::BothDamaged,
        })
    }
}

/// Walks both ways. `database` and `again` are the database and the journal that waits, as they are now. `None`: the journal has no header or did not stand still, or no state has
/// a page 1 that can be read, as in an encrypted database.
///
/// folklore: SQLite stores a page in the journal, and counts it, before it writes to that page in the database. So a database under
/// a journal that stays as it is, is after the rollback of one moment, whoever writes to it. Held by
/// `writers_and_their_journals_are_never_called_damaged`.
pub(super) fn look(
    database: impl Fn() -> io::Result<Option<Arc<dyn ReadAt>>>,
    again: impl Fn() -> io::Result<Option<Arc<dyn ReadAt>>>,
    written: impl Fn() -> bool,
) -> io::Result<Option<BothWays>> {
    let written_before = written();
    let Some(journal) = again()? else { return Ok(None) };
    let Some(back) = played_back(journal.as_ref())? else { return Ok(None) };
    // A file keeps the length that it had when it was opened, and the database grows: its length is asked for after the journal.
    let Some(database) = database()? else { return Ok(None) };
    let database = database.as_ref();
    let rolled_back = rolled_back(database, journal.as_ref(), &back)?;
    let alone = if written_before { None } else { Some(alone(database)?) };
    let stayed = match again()? {
        Some(journal) => played_back(journal.as_ref())?.as_ref() == Some(&back),
        None => false,
    };
    let neither = rolled_back == Walked::NoHeader && alone.as_ref().is_none_or(|alone| *alone == Walked::NoHeader);
    let alone = alone.filter(|_| !written());
    Ok((stayed && !neither).then_some(BothWays { alone, rolled_back }))
}

fn rolled_back(database: &dyn ReadAt, journal: &dyn ReadAt, back: &Playback) -> io::Result<Walked> {
    let (size, pages) = (back.header.page_size, back.header.database_pages);
    if pages == 0 {
        // The transaction made the database.
        return Ok(Walked::Trees(Box::default()));
    }
    walk(size, pages, |count| RolledBack::new(database, journal, &back.pages, size, count))
}

fn alone(database: &dyn ReadAt) -> io::Result<Walked> {
    let mut first = [0; HEADER_SIZE];
    let whole = database.read_at(&mut first, 0)? == first.len();
    let head = db::parse_head(&first).ok().filter(|_| whole);
    let Some(size) = head.as_ref().and_then(DatabaseHead::page_size) else { return Ok(Walked::NoHeader) };
    let in_file = u32::try_from(database.len() / u64::from(size)).unwrap_or(u32::MAX);
    walk(size, in_file, |count| State::new(database, None, size, count))
}

/// Walks over a state that has so many pages, unless its page 1 says otherwise.
fn walk<P: Pages>(size: PageSize, in_file: u32, state: impl Fn(u32) -> P) -> io::Result<Walked> {
    let mut first = [0; HEADER_SIZE];
    let there = state(1).read(PageNumber(1), &mut first)?;
    let head = db::parse_head(&first).ok().filter(|_| there);
    let header = head.as_ref().and_then(DatabaseHead::plain).filter(|header| header.page_size == size.bytes());
    let Some(header) = header else { return Ok(Walked::NoHeader) };
    let trees = tree::walk(&mut state(header.believed_pages().unwrap_or(in_file)), header)?;
    Ok(trees.map_or(Walked::NoHeader, |trees| Walked::Trees(Box::new(trees))))
}
