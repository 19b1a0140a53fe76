//! Every wal-index that visible processes have mapped.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use super::{ByteLock, Device, InodeId, LockSlot, Observation, ShmLocks};
use crate::number::FileId;

/// The mapped wal-indexes that were found, and how far the search could look.
#[derive(Debug, Clone, Default)]
pub struct Mapped {
    /// The wal-indexes, ordered by identity.
    pub indexes: Vec<MappedIndex>,
    /// Databases that processes have locked without a wal-index that is listed.
    pub databases: Vec<LockedDatabase>,
    /// Files that are locked as databases are, by processes of which the descriptors could not be read.
    pub databases_unseen: u64,
    /// Processes whose maps could be read.
    pub processes_read: u32,
    /// Processes whose maps could not be read.
    pub processes_denied: u32,
    /// Why the first of them could not be read.
    pub denied_reason: Option<String>,
    /// Which processes are in sight, as far as PID namespaces go.
    pub in_sight: InSight,
    /// Files that were not examined, because there were too many: they may be wal-indexes.
    pub files_not_looked_at: u64,
    /// Mappings (by process, file and name) that were not examined, because there were too many: they may be of
    /// wal-indexes.
    pub mappings_not_looked_at: u64,
    /// Mappings that seemed cut off from their path and were gone at a later look. They are left out.
    pub passing: u32,
}

/// Which processes of the machine can be listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InSight {
    /// All: this is the first PID namespace.
    Every,
    /// Those of this PID namespace, and of the ones inside it.
    OfThisNamespace,
    /// Not known.
    #[default]
    NotKnown,
}

impl InSight {
    /// Whether all can be listed; `None` where that is not known.
    #[must_use]
    pub fn every(self) -> Option<bool> {
        match self {
            Self::Every => Some(true),
            Self::OfThisNamespace => Some(false),
            Self::NotKnown => None,
        }
    }
}

/// One wal-index, by what is really mapped.
#[derive(Debug, Clone)]
pub struct MappedIndex {
    /// Device and inode as the kernel prints them for the mappings.
    pub identity: InodeId,
    /// `st_dev` on btrfs, where the device of `identity` stands for all subvolumes, and a snapshot keeps the inode numbers.
    pub subvolume: Option<Device>,
    /// Who maps it: one entry for each process and path.
    pub processes: Vec<MappingProcess>,
    /// Processes left out of `processes`: there were too many.
    pub processes_not_listed: u64,
    /// Its first 136 bytes, or why they could not be read. A file named `-shm` that could not be read is kept.
    pub head: Observation<Vec<u8>>,
    /// Bytes of the file.
    pub size: Option<u64>,
    /// Locks by name.
    pub locks: ShmLocks,
}

/// A process that maps a wal-index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingProcess {
    /// Process, in the PID namespace of the observer.
    pub pid: u32,
    /// `/proc/PID/comm`.
    pub command: Option<String>,
    /// The container's name, or its short id.
    pub container: Option<String>,
    /// The process's mount namespace.
    pub mount_namespace: Observation<String>,
    /// The path as the process sees it, without ` (deleted)`.
    pub path: String,
    /// The path with the process's own root before it. Together with the mount namespace it names one place. `path`
    /// alone does not: two processes with roots of their own (chroot) can see different files under one `path`.
    pub place: String,
    /// What is under that path now.
    pub path_leads_to: Leads,
    /// Whether it has the wal-index mapped for writing and holds no lock on it, as several looks within a quarter of a second
    /// showed.
    pub without_locks: bool,
    /// Whether it has the wal-index mapped and holds no lock on it, at each of several looks, whatever it has open.
    pub unlocked: bool,
    /// Whether its memory shows that it was forked from its parent and has started no program since. `false`: that was not seen.
    pub forked: bool,
    /// Whether its parent maps the wal-index too and holds the dead-man switch.
    pub inherited: bool,
    /// Whether it has another `-wal` open than the path leads to, or the path leads to none, as several looks within a quarter
    /// of a second showed.
    pub other_wal: bool,
    /// The database that it uses with this wal-index, if processes use that one with another wal-index, too, as several looks
    /// within a quarter of a second showed.
    pub split_database: Option<FileId>,
}

impl MappingProcess {
    /// Whether all that is seen of it is what a forked child has of a connection that its parent closed: a wal-index to which no path
    /// leads, and no lock.
    #[must_use]
    pub fn is_left_over(&self) -> bool {
        let gone = matches!(self.path_leads_to, Leads::Nowhere | Leads::Elsewhere);
        self.without_locks && !self.inherited && self.forked && gone
    }
}

/// What is now under the path that a wal-index was mapped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum Leads {
    /// The file that is mapped.
    Here,
    /// Another file: whoever opens the database next has another wal-index.
    Elsewhere,
    /// Nothing: the file was deleted, and the next opener makes another.
    Nowhere,
    /// Could not be looked at.
    Unknown,
}

/// A database that processes have locked, and of which no wal-index is listed that they have mapped.
#[derive(Debug, Clone)]
pub struct LockedDatabase {
    /// Device and inode as the kernel prints them in the lock table.
    pub identity: InodeId,
    /// What its header says.
    pub content: DatabaseContent,
    /// Its locks, in the order of [`LockSlot::DATABASE`](super::LockSlot::DATABASE).
    pub locks: Vec<(LockSlot, ByteLock)>,
    /// Who has it locked.
    pub processes: Vec<LockingProcess>,
}

/// What the header of a locked database says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatabaseContent {
    /// It is in WAL mode: a process in exclusive locking mode keeps the wal-index in its own memory.
    WalMode,
    /// It is in rollback mode.
    RollbackMode,
    /// The file is empty: a new database.
    Empty,
    /// It was not read, because the kernel does not serve the file itself, or this user may not. The file is locked as a
    /// database is.
    NotRead,
}

/// A process that has a database locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockingProcess {
    /// Process, in the PID namespace of the observer.
    pub pid: u32,
    /// `/proc/PID/comm`.
    pub command: Option<String>,
    /// The container's name, or its short id.
    pub container: Option<String>,
    /// The path of the database as the process sees it, without ` (deleted)`.
    pub path: String,
    /// The path with the process's own root before it.
    pub place: String,
    /// Whether no path leads to the file any more.
    pub deleted: bool,
}
