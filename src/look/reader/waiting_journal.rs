//! The walk over the trees, and what is looked at where a journal waits.

use std::io;

use super::Looking;
use crate::look::both_ways::{self, BothWays, Walked};
use crate::look::journal::{self, JournalBeside};
use crate::look::{DatabaseSeen, HotJournal, NotCompared, journal_damage, trees};

impl Looking<'_, '_, '_> {
    /// Walks over all trees.
    pub(super) fn walk_over_trees(&mut self) -> io::Result<()> {
        let head = self.database_head.as_ref().ok().and_then(Option::as_ref);
        let (wal, pages) = ((&self.wal, self.facts.as_ref()), &mut self.pass.pages);
        self.trees = trees::look(&self.database, head, wal, pages, self.seen.hot_journal())?;
        if self.trees == Err(NotCompared::JournalWaits) {
            self.both_ways = self.look_both_ways()?;
            let rolled_back = self.both_ways.as_ref().map(|both| &both.rolled_back);
            self.trees = match rolled_back {
                Some(Walked::Trees(trees)) => Ok(trees.as_ref().clone()),
                Some(Walked::NoHeader) => Err(NotCompared::NoHeader),
                None => Err(NotCompared::JournalWaits),
            };
        }
        Ok(())
    }

    /// Walks over the trees of the database beside which a journal waits. Frames over it are in no such walk, and a transaction over
    /// several databases is rolled back only with its super-journal.
    fn look_both_ways(&self) -> io::Result<Option<BothWays>> {
        let committed = self.facts.as_ref().is_none_or(|facts| facts.last_commit.is_some());
        let (Some((database, true)), false) = (self.database.bytes(), committed) else { return Ok(None) };
        let journal = || match self.seen.journal()? {
            Some(journal) if self.seen.hot_journal() == HotJournal::Waits => {
                Ok(journal::super_journal(journal.as_ref())?.is_none().then_some(journal))
            }
            _ => Ok(None),
        };
        if database.is_empty() {
            return Ok(None);
        }
        let whole = || match self.seen.database()? {
            DatabaseSeen::Whole(bytes) => Ok(Some(bytes)),
            _ => Ok(None),
        };
        both_ways::look(whole, journal, || self.seen.locks().is_some_and(|locks| locks.writes_to_database()))
    }

    /// Compares a journal that waits, before and after, with the database.
    pub(super) fn journal(&self) -> io::Result<Option<JournalBeside>> {
        let Some(journal) = self.seen.journal()? else { return Ok(None) };
        // After the journal, so that it is not too short for what the journal says of its size.
        let database = self.seen.database()?;
        let Some((database, _)) = database.bytes() else { return Ok(None) };
        let writes = || self.seen.locks().is_some_and(|locks| locks.writes_to_database());
        let before = writes();
        let compared = journal::compare(journal.as_ref(), database)?;
        let damage = journal_damage::look(journal.as_ref(), database, || self.seen.journal())?;
        let under_way = before || writes();
        let waits = |_: &JournalBeside| self.seen.hot_journal() == HotJournal::Waits;
        Ok(compared.filter(waits).map(|beside| JournalBeside { under_way, damage, ..beside }))
    }
}
