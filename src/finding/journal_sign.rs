//! Signs that a rollback journal is not of the database beside it.

use super::value::Value;

/// A sign that a journal and a database do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JournalSign {
    /// The change counter of the database is neither that of the page 1 in the journal nor one more.
    ChangeCounter,
    /// The journal has another page size than the database.
    PageSize,
}

impl JournalSign {
    /// The name in documents, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChangeCounter => "change_counter",
            Self::PageSize => "page_size",
        }
    }
}

impl From<JournalSign> for Value {
    fn from(fact: JournalSign) -> Self {
        fact.name().into()
    }
}
