//! The facts that a comparison found: those behind each piece of evidence and behind findings about two sides, and why a
//! piece is silent.
//!
//! Nothing is judged here: `compare` does that. There are no sentences here: `say` makes them. If a side could not be
//! looked at, the reason of the capture is kept as [`Recorded`] text.

mod history;
mod identity;
mod processes;

pub use history::*;
pub use identity::*;
pub use processes::*;

use crate::evidence::{FileView, FilesView, Observation};

/// Position of a side in the list of sides that were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SideIndex(pub usize);

/// Why something was not seen, as the capture recorded it: a text of the system or of walscope. No decision depends on
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded(pub String);

impl Recorded {
    /// The reason of an observation; empty if it was seen.
    #[must_use]
    pub fn of<T>(observation: &Observation<T>) -> Self {
        Self(observation.reason().unwrap_or_default().to_owned())
    }
}

/// A file of a database, or its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The folder that holds the files.
    Directory,
    /// The database.
    Database,
    /// The `-wal`.
    Wal,
    /// The `-shm`.
    Shm,
}

impl Part {
    /// Its name in documents and sentences.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Database => "database",
            Self::Wal => "-wal",
            Self::Shm => "-shm",
        }
    }

    /// What was seen of it.
    #[must_use]
    pub fn of(self, files: &FilesView) -> &Observation<FileView> {
        match self {
            Self::Directory => &files.directory,
            Self::Database => &files.database,
            Self::Wal => &files.wal,
            Self::Shm => &files.shm,
        }
    }

    /// Whether device and inode are those that the kernel prints for a mapping. Those of the other files are from
    /// stat(2).
    #[must_use]
    pub fn is_known_as_mapped(self) -> bool {
        self == Self::Shm
    }
}

/// Something that was not seen on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// The side.
    pub side: SideIndex,
    /// What was not seen.
    pub what: What,
    /// The reason.
    pub reason: Recorded,
}

/// What can be looked at on a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// The boot id of the kernel.
    BootId,
    /// A file.
    File(Part),
    /// A file that is not there.
    Absent(Part),
    /// Device and inode of a file as the kernel prints them for a mapping.
    MappedIdentity(Part),
    /// The file system of a file.
    FileSystem(Part),
    /// When a file was created.
    BirthTime(Part),
    /// The inode generation of a file.
    Generation(Part),
    /// The mount through which a file was reached.
    Mount(Part),
    /// Whether the mount through which a file was reached lets it be written to.
    MountAccess(Part),
    /// The journal mode in the header of the database.
    JournalMode,
    /// The lock on the database.
    DatabaseLock,
    /// The beacons by which captures meet.
    Contact,
    /// The processes that map the `-shm`.
    Mappings,
    /// The mount namespace.
    MountNamespace,
}

impl What {
    /// A file that was not seen, or is not there.
    #[must_use]
    pub const fn unseen_file(part: Part, observed: &Observation<FileView>) -> Self {
        match observed {
            Observation::Missing { .. } => Self::Absent(part),
            _ => Self::File(part),
        }
    }
}

/// How the heads of the two `-shm` compare, byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EqualBytesFact {
    /// They are equal.
    Equal,
    /// They differ.
    Different,
    /// At least one head is missing.
    NotTwo,
}

/// How both sides are one, so that nothing is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OneSide {
    /// One capture was given twice.
    Capture,
    /// One live path was given twice, as seen from one process.
    Path,
}
