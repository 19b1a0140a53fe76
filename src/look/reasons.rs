//! Why something was not seen, or was not compared with something else.

use crate::format::ParseError;

/// Why something was not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// There is no such file.
    Absent,
    /// The user gave another file of the database by itself.
    OneFileAlone,
    /// The user gave one file by itself, and nobody looked at locks.
    LocksOfOneFileAlone,
    /// A bundle was made without it.
    LeftOut,
    /// It is too short to be decoded.
    TooShort(ParseError),
    /// The copies of its header differ, or their checksum is wrong.
    NotTrusted,
    /// The reason of the system, recorded with the observation.
    Recorded(String),
}

/// Why files and locks were not seen. `None` for what was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasons {
    /// The database.
    pub database: Option<Why>,
    /// The `-wal`.
    pub wal: Option<Why>,
    /// The `-shm`.
    pub shm: Option<Why>,
    /// The locks, or some of them.
    pub locks: Option<Why>,
}

/// Why two files were not compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotCompared {
    /// The options do not ask for it.
    NotAsked,
    /// The files were replaced while they were read.
    Replaced,
    /// The files changed while they were read.
    Changed,
    /// The `-wal` was not looked at.
    WalNotSeen,
    /// The bundle has no page content of the `-wal`.
    PagesLeftOut,
    /// The frames that would be compared do not exist.
    NoFrames,
    /// Frames stand outside of those that follow one another, and may have newer pages.
    FramesOutside,
    /// There is no database to compare with.
    NoDatabase,
    /// No wal-index that a reader would trust lists frames of this WAL.
    NoIndexOfThisWal,
    /// There is no wal-index that a reader would trust.
    NoIndex,
    /// A `-journal` waits to be rolled back: only then is known what the database holds.
    JournalWaits,
    /// The source has no more of the database than its first page.
    DatabaseLeftOut,
    /// Page 1 has no header that SQLite can use.
    NoHeader,
    /// The header of the WAL cannot be used.
    WalHeaderUnusable,
    /// The WAL has another page size than the database.
    PageSizesDiffer,
    /// Nothing states how many pages the database has.
    SizeNotStated,
    /// No committed frame holds page 1.
    NoPageOne,
    /// The WAL has no committed frames of the generation before that follow one another.
    NoFramesOfGenerationBefore,
    /// Each page of the generation before was written again, or is beyond the size of the database.
    AllWrittenAgain,
    /// The wal-index belongs to another generation of the WAL.
    OtherGeneration,
    /// `nBackfill` is 0.
    NothingClaimed,
    /// The wal-index claims frames that the WAL does not have.
    FramesMissing,
    /// No process was seen to have the `-shm` open, and it does not fit the last commit of this WAL.
    LeftOver,
}
