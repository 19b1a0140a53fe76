//! What leaves frames that count as copied and are not in the database.

use super::value::Value;

/// A cause that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotCopied {
    /// The database was overwritten or replaced by other content, which is older or of another database.
    OtherContent,
    /// The files are of different times: they were copied one after the other, or one of them was put beside the others.
    OfTwoTimes,
    /// SQLite's wal-reset bug.
    WalResetBug,
}

impl NotCopied {
    /// The name in documents, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherContent => "other_content",
            Self::OfTwoTimes => "of_two_times",
            Self::WalResetBug => "wal_reset_bug",
        }
    }
}

impl From<NotCopied> for Value {
    fn from(fact: NotCopied) -> Self {
        fact.name().into()
    }
}
