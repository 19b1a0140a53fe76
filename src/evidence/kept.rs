//! What processes have open of one database, as plain data.

/// What of a database a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The database itself.
    Database,
    /// Its WAL.
    Wal,
    /// Its wal-index.
    Shm,
    /// Its rollback journal.
    Journal,
}

impl Part {
    /// Every part, in the order of a set.
    pub const ALL: [Self; 4] = [Self::Database, Self::Wal, Self::Shm, Self::Journal];

    /// What its name has after the name of the database.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Database => "",
            Self::Wal => "-wal",
            Self::Shm => "-shm",
            Self::Journal => "-journal",
        }
    }
}

/// A process that has a file open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBy {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub command: Option<String>,
    /// Its start in clock ticks since boot.
    pub start_time: Option<u64>,
}
