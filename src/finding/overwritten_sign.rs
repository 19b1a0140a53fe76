//! Signs that a database is not as the last commit of its wal-index left it.

use super::value::Value;

/// A sign that a database in use was overwritten, or written to past its wal-index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OverwrittenSign {
    /// The header of the database states another page size than the wal-index has.
    PageSize,
    /// The header of the database states more pages than the last commit left.
    MorePages,
    /// The header of the database states fewer pages than the last commit left, and the file does not have those either.
    FewerPages,
    /// The file is shorter than the last commit left it.
    Shorter,
    /// The header of the database says rollback mode.
    RollbackMode,
}

impl OverwrittenSign {
    /// The name in documents, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PageSize => "page_size",
            Self::MorePages => "more_pages",
            Self::FewerPages => "fewer_pages",
            Self::Shorter => "shorter",
            Self::RollbackMode => "rollback_mode",
        }
    }
}

impl From<OverwrittenSign> for Value {
    fn from(fact: OverwrittenSign) -> Self {
        fact.name().into()
    }
}
