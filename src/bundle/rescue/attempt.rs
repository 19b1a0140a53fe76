//! One attempt: the files are copied in order, and what was seen before, between and after shows whether the copies are of one
//! moment.

use std::fs::File;
use std::sync::Arc;

use super::Again;
use super::copies::Copies;
use crate::bundle::SnapshotError;
use crate::bundle::archive::unreadable;
use crate::bundle::look::{Look, Moment, is_hot_journal};
use crate::bundle::unstable::Why;
use crate::bundle::watch::{Watch, Writes};
use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{LockState, Observation, Part};
use crate::format::db::{self, DatabaseHead, JournalMode};
use crate::linux::mapped::kept::KeptSet;
use crate::linux::{self, OpenedFiles};
use crate::look::{order, super_journal};

/// What shows that copies are of one moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// The WAL has the same generation at both ends.
    Generation,
    /// The journal takes back what one transaction wrote meanwhile.
    Journal,
    /// Nobody wrote meanwhile, and no transaction had begun to.
    NoWrites,
}

/// One attempt.
pub(super) struct Attempt<'a, 'c> {
    files: &'a OpenedFiles,
    set: &'a KeptSet,
    copies: &'a mut Copies<'c>,
    database_watch: Watch,
    wal_watch: Watch,
    before: Option<Moment>,
    between: Option<Look>,
    after: Option<Moment>,
    /// Whether somebody held the database exclusively before or after, in rollback mode.
    exclusive: bool,
}

impl<'a, 'c> Attempt<'a, 'c> {
    pub(super) fn begin(files: &'a OpenedFiles, set: &'a KeptSet, copies: &'a mut Copies<'c>) -> Self {
        let watched = |part, file: &Observation<Arc<File>>| Watch::start(part, file.value().map(Arc::as_ref));
        Self {
            files,
            set,
            copies,
            database_watch: watched(Part::Database, &files.database),
            wal_watch: watched(Part::Wal, &files.wal),
            before: None,
            between: None,
            after: None,
            exclusive: false,
        }
    }

    fn moment(&mut self) -> Result<Moment, SnapshotError> {
        self.exclusive |= self.held_exclusively()?;
        Moment::take(self.files)
    }

    /// Whether somebody may write to the database in rollback mode: pages go there before the end of a transaction, and only
    /// under this lock. In WAL mode a connection with locking_mode=exclusive holds it, too.
    fn held_exclusively(&self) -> Result<bool, SnapshotError> {
        let held = linux::lock_states(self.files).database.state == LockState::Exclusive;
        let Some(database) = self.set.files.get(Part::Database).filter(|_| held) else { return Ok(false) };
        let mut head = [0; db::HEADER_SIZE];
        let read = FileBytes::whole(Arc::clone(&database.file)).and_then(|bytes| bytes.read_at(&mut head, 0));
        read.map_err(|e| unreadable(&database.path, e))?;
        Ok(match db::parse_head(&head) {
            Ok(DatabaseHead::Plain(header)) => header.journal_mode() != JournalMode::Wal,
            _ => true,
        })
    }

    pub(super) fn copy(&mut self, part: Part) -> Result<(), SnapshotError> {
        match self.set.files.get(part) {
            Some(kept) => self.copies.copy(part, kept),
            None => Ok(()),
        }
    }

    /// Whether the copies are of one moment, and what held them together.
    pub(super) fn verdict(&self, again: impl FnOnce(Again) -> Option<KeptSet>) -> Result<Held, Why> {
        let (Some(before), Some(between), Some(after)) = (&self.before, &self.between, &self.after) else {
            return Err(Why::Replaced);
        };
        if before.hot_journal || after.hot_journal {
            return self.with_journal(before, after);
        }
        let looks = [&before.look, between, &after.look];
        let sizes = looks.map(|look| look.wal.as_ref().map_or(0, |wal| wal.size));
        if !sizes.is_sorted() {
            return Err(Why::WalShorter(sizes));
        }
        match looks.map(Look::salts_of_wal) {
            [Some(a), Some(c), Some(e)] if a == c && c == e => Ok(Held::Generation),
            [None, None, None] if self.journal_came(again) => Err(Why::HotJournal),
            [None, None, None] if self.exclusive => Err(Why::ExclusiveWithoutJournal),
            [None, None, None] => self.unwritten(before, after),
            [Some(_), Some(_), Some(_)] => Err(Why::WalRestarted),
            _ => Err(Why::GenerationCameOrWent),
        }
    }

    /// A transaction that goes on, or was cut off.
    fn with_journal(&self, before: &Moment, after: &Moment) -> Result<Held, Why> {
        if !self.journal_stays() {
            return Err(Why::HotJournal);
        }
        if self.names_super_journal() {
            return Err(Why::SuperJournal);
        }
        // Nobody wrote: the database and the journal go together as they are.
        if before.journal == after.journal
            && let Ok(held) = self.unwritten(before, after)
        {
            return Ok(held);
        }
        // In one transaction each page is in the journal before it is written to the database, so a journal that is copied after
        // the database takes back all that was written meanwhile. Reads by another mount may be old ones, though.
        let one = after.hot_journal && before.transaction.is_some() && before.transaction == after.transaction;
        match self.database_watch.writes() {
            Writes::Unknown(reason) => Err(reason.into()),
            _ if one => Ok(Held::Journal),
            _ => Err(Why::HotJournal),
        }
    }

    /// Whether the copy of the journal names a super-journal: its transaction writes to several databases.
    fn names_super_journal(&self) -> bool {
        let copy = self.copies.files.get(Part::Journal).map(|copy| copy.try_clone().map(Arc::new));
        let named = |file: std::io::Result<Arc<File>>| super_journal(&FileBytes::whole(file?)?);
        copy.is_some_and(|copy| named(copy).map_or(true, |name| name.is_some()))
    }

    /// Whether the `-journal` is still the one of the transaction that goes on: it has a name, or the process still has it
    /// open.
    fn journal_stays(&self) -> bool {
        self.set.files.get(Part::Journal).is_some_and(|journal| !journal.deleted() || journal.still_open())
    }

    /// Whether a `-journal` came after the files were looked for. A page is in the journal before it is written to the
    /// database. So without one at the end, what was written before is committed.
    fn journal_came(&self, again: impl FnOnce(Again) -> Option<KeptSet>) -> bool {
        let now = again(Again::Known);
        let journal = now.as_ref().and_then(|now| now.files.get(Part::Journal));
        journal.is_some_and(|journal| is_hot_journal(&journal.file))
    }

    fn unwritten(&self, before: &Moment, after: &Moment) -> Result<Held, Why> {
        for (part, same, watch) in [
            (Part::Database, before.database == after.database, &self.database_watch),
            (Part::Wal, before.wal == after.wal, &self.wal_watch),
        ] {
            if !same {
                return Err(Why::Changed(part));
            }
            match watch.writes() {
                Writes::None => {}
                Writes::Seen(part) => return Err(Why::Written(part)),
                Writes::Unknown(reason) => return Err(reason.into()),
            }
        }
        Ok(Held::NoWrites)
    }
}

impl order::Steps for Attempt<'_, '_> {
    type Error = SnapshotError;

    fn before(&mut self) -> Result<(), SnapshotError> {
        self.before = Some(self.moment()?);
        Ok(())
    }

    fn database(&mut self) -> Result<(), SnapshotError> {
        self.copy(Part::Database)?;
        // Each page that is written to the database is in the journal before.
        self.copy(Part::Journal)
    }

    fn index_with_locks(&mut self) -> Result<(), SnapshotError> {
        self.between = Some(Look::take(self.files)?);
        self.copy(Part::Shm)
    }

    fn wal(&mut self) -> Result<(), SnapshotError> {
        self.copy(Part::Wal)
    }

    fn after(&mut self) -> Result<(), SnapshotError> {
        self.after = Some(self.moment()?);
        Ok(())
    }

    fn names(&mut self) -> Result<(), SnapshotError> {
        Ok(())
    }
}
