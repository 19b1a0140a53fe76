//! The database as SQLite would have it after it rolled a journal back.

use std::collections::BTreeMap;
use std::io;

use super::State;
use crate::bytes::ReadAt;
use crate::number::{PageNumber, PageSize};
use crate::tree::Pages;

/// A database over which the pages of a rollback journal are laid.
pub struct RolledBack<'a> {
    file: State<'a>,
    journal: &'a dyn ReadAt,
    kept: &'a BTreeMap<PageNumber, u64>,
}

impl<'a> RolledBack<'a> {
    /// `kept`: the pages that SQLite writes back, and where each begins in the journal. `count` is how many pages the database
    /// has then.
    #[must_use]
    pub fn new(
        database: &'a dyn ReadAt,
        journal: &'a dyn ReadAt,
        kept: &'a BTreeMap<PageNumber, u64>,
        size: PageSize,
        count: u32,
    ) -> Self {
        Self { file: State::new(database, None, size, count), journal, kept }
    }
}

impl Pages for RolledBack<'_> {
    fn count(&self) -> u32 {
        self.file.count()
    }

    fn read(&mut self, page: PageNumber, into: &mut [u8]) -> io::Result<bool> {
        match self.kept.get(&page) {
            Some(at) if page.0 <= self.count() => Ok(self.journal.read_at(into, *at)? == into.len()),
            _ => self.file.read(page, into),
        }
    }
}
