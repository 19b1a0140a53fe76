//! A database that was renamed while a process had it open.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

/// Which file of a renamed database lies at the path that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum RenamedPart {
    /// The database: the path is its new name.
    Database,
    /// Its `-wal`: the path is its old name.
    Wal,
    /// Its `-shm`, and not its `-wal`: the path is its old name.
    Shm,
}

/// A process that goes on with a database that was renamed, and with the `-wal` of its old name.
///
/// Or with the `-journal` of its old name, in a transaction in rollback mode.
///
/// folklore: SQLite never looks at the name of an open database again, except at its close, where it copies nothing if the
/// name leads to another file or to none (`databaseIsUnmoved`, pager.c). Who opens the new name makes another `-wal` and
/// `-shm`. Held by `a_database_that_was_renamed_in_use_is_told_by_both_names`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Renamed {
    /// Process id in the PID namespace of the observer.
    pub pid: u32,
    /// Name of its command.
    pub command: Option<String>,
    /// Its container: the name, or else the short id.
    pub container: Option<String>,
    /// Start time of the process: field 22 of `/proc/PID/stat`.
    pub start_time: Option<u64>,
    /// What lies at the path that was looked at.
    pub here: RenamedPart,
    /// The new path of the database. A path that means something else on this side is `pid:N:/path`, as process N sees it.
    pub database: String,
    /// The path by which the process opened it: its `-wal` and `-shm`, or one of them, have this name.
    pub opened_as: String,
    /// The descriptors of its `-wal`, or of its `-journal`, and of its `-shm`. Null: it has no `-shm` open.
    pub descriptors: (u32, Option<u32>),
    /// Where its `-wal` is: its path, or `/proc/PID/fd/N` if no path leads to it any more. Null: not known.
    #[cfg_attr(feature = "capture", serde(default))]
    pub wal: Option<String>,
    /// Where its `-journal` is, in the same way, if it is in a transaction in rollback mode. Then there is no `-wal`.
    #[cfg_attr(feature = "capture", serde(default))]
    pub journal: Option<String>,
    /// Whether no path leads to that `-wal` or `-journal` any more: it is gone when the process ends.
    #[cfg_attr(feature = "capture", serde(default))]
    pub wal_deleted: bool,
    /// Commits in that `-wal` that are not in the database, as far as its `-shm` says what was copied. Null: not read.
    pub commits: Option<u64>,
}
