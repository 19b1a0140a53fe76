//! Signs that a rollback journal is not rolled back into the database beside it, or is not of it.

use super::value::Value;
use crate::look::Fit;

/// A sign that a journal and a database do not belong together, or that the journal alone does not decide what SQLite does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JournalSign {
    /// A process is in the transaction of the journal, and has another database open for it.
    OfProcess,
    /// The change counter of the database is neither that of the page 1 in the journal nor one more.
    ChangeCounter,
    /// The journal has another page size than the database.
    PageSize,
    /// The journal names a super-journal: without that file, SQLite deletes the journal and rolls nothing back.
    SuperJournal,
    /// The database has 0 bytes, and the journal has pages of it: SQLite deletes the journal, and rolls nothing back.
    DatabaseEmpty,
    /// There is no database beside it.
    NoDatabase,
    /// All tables and indexes fit together as they are, and no more once the journal is rolled back: it is of another time.
    RolledBackDamaged,
    /// The tables and indexes do not fit together, neither as they are nor once the journal is rolled back.
    BothDamaged,
    /// The database is shorter than before the transaction, and the journal does not have all pages that it lacks.
    DatabaseShorter,
    /// The journal ends before the pages that its headers count.
    Cut,
    /// A page in the journal is not right, and pages of the transaction are behind it.
    Damaged,
}

impl JournalSign {
    /// The name in documents, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OfProcess => "of_process",
            Self::ChangeCounter => "change_counter",
            Self::PageSize => "page_size",
            Self::SuperJournal => "super_journal",
            Self::DatabaseEmpty => "database_empty",
            Self::NoDatabase => "no_database",
            Self::RolledBackDamaged => "rolled_back_damaged",
            Self::BothDamaged => "both_damaged",
            Self::DatabaseShorter => "database_shorter",
            Self::Cut => "cut",
            Self::Damaged => "damaged",
        }
    }
}

impl From<JournalSign> for Value {
    fn from(fact: JournalSign) -> Self {
        fact.name().into()
    }
}

impl From<Fit> for Value {
    fn from(fact: Fit) -> Self {
        fact.name().into()
    }
}
