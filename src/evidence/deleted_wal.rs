//! A `-wal` that was deleted while a process uses it.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

/// A process that still has a `-wal` open that was deleted: of the database at the path, which it uses not by its wal-index, or
/// that belongs to the wal-index at the path.
///
/// folklore: two SQLite libraries in one process do not see each other's locks. The one that closes first takes itself for the
/// last: it copies the WAL, deletes `-wal` and `-shm`, and its close drops all locks of the process. The other one goes on with the
/// deleted files. Seen with Python's library and a copy of it; held by
/// `who_goes_on_with_files_that_another_library_deleted_has_commits_to_save`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct DeletedWal {
    /// Process id in the PID namespace of the observer.
    pub pid: u32,
    /// Start time of the process: field 22 of `/proc/PID/stat`.
    pub start_time: Option<u64>,
    /// The descriptors of the `-wal` and of its `-shm`, which was deleted too or is the one at the path. Null: it has no such
    /// `-shm` open.
    pub descriptors: (u32, Option<u32>),
    /// Commits in it that are not in the database, as its `-shm` says. Null: not read, or the `-shm` does not say it.
    pub commits: Option<u64>,
}
