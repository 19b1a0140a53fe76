//! The names of the checks of `verify`. The table of findings says which check raises what.

/// The checks of `verify`, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckName {
    /// The header of the `-wal` by itself.
    WalHeader,
    /// The frames of the `-wal` by themselves.
    WalFrames,
    /// Both copies of the wal-index header by themselves.
    ShmHeaders,
    /// What the wal-index header says about the `-wal`.
    ShmHeaderAgainstWal,
    /// The page that each entry of the wal-index names, and the page that the frame holds.
    ShmPagesAgainstWal,
    /// Whether a search in the wal-index finds each frame.
    ShmHash,
    /// The header of the database by itself.
    DatabaseHeader,
    /// Whether the `-wal` belongs to the database.
    WalAgainstDatabase,
    /// Whether the frames that count as copied are in the database.
    BackfilledInDatabase,
    /// Whether the frames of the generation before are in the database.
    StaleInDatabase,
    /// Every page of every table and index, and the freelist.
    Trees,
    /// The `-journal` beside the database.
    Journal,
}

impl CheckName {
    /// The name in documents, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WalHeader => "wal_header",
            Self::WalFrames => "wal_frames",
            Self::ShmHeaders => "shm_headers",
            Self::ShmHeaderAgainstWal => "shm_header_against_wal",
            Self::ShmPagesAgainstWal => "shm_pages_against_wal",
            Self::ShmHash => "shm_hash",
            Self::DatabaseHeader => "database_header",
            Self::WalAgainstDatabase => "wal_against_database",
            Self::BackfilledInDatabase => "backfilled_in_database",
            Self::StaleInDatabase => "stale_frames_in_database",
            Self::Trees => "trees",
            Self::Journal => "journal",
        }
    }
}
