//! A log, `-wal` or `-journal`, that a process uses and that the path does not give to its database any more.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use super::Part;

/// Where a log is, seen from the path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum LogPlace {
    /// It was deleted, or has another name: who opens the database does not find it.
    #[default]
    Gone,
    /// At the path, where another database lies than its own.
    BesideAnother,
    /// At the path, beside its own database.
    InPlace,
    /// Beside another name of its database, by a hard link or a mount of the file alone.
    BesideOtherName,
}

/// What the bytes of a rollback journal show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum JournalHolds {
    /// A transaction that is not over.
    Transaction,
    /// A transaction that is not over, and the journal was not synced: nothing of it is in the database yet.
    NotWritten,
    /// A transaction that is not over, and the database has each of its pages as it was before: nothing was written to it yet, or what
    /// was written has been rolled back by another process.
    Before,
    /// Nothing to be rolled back: it is empty, or its header is zeros, as between two transactions.
    Nothing,
    /// A transaction that is over, as the change counter of the database shows: the process has inherited this journal.
    Over,
    /// Zeros where its header and its first page were, and content behind: somebody emptied it, and its process wrote on. Or bytes that
    /// begin no journal: somebody wrote something else into it.
    Emptied,
}

/// A process that has a log open that is not where its database is: of the database at the path, and gone from there; or at the
/// path, and of another database.
///
/// folklore: two SQLite libraries in one process do not see each other's locks. The one that closes first takes itself for the
/// last: it copies the WAL, deletes `-wal` and `-shm`, and its close drops all locks of the process. The other one goes on with the
/// deleted files. Seen with Python's library and a copy of it; held by
/// `who_goes_on_with_files_that_another_library_deleted_has_commits_to_save`.
///
/// folklore: SQLite closes a `-journal`, and a `-wal`, before it deletes it (`pager_end_transaction`, `sqlite3WalClose`). So a process
/// that holds the lock of a writer and has a deleted one open did not delete it. Held by
/// `writers_in_every_journal_mode_keep_their_journal`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct KeptLog {
    /// Process id in the PID namespace of the observer.
    pub pid: u32,
    /// Name of its command.
    #[cfg_attr(feature = "capture", serde(default))]
    pub command: Option<String>,
    /// Start time of the process: field 22 of `/proc/PID/stat`.
    pub start_time: Option<u64>,
    /// `wal` or `journal`.
    #[cfg_attr(feature = "capture", serde(default = "wal"))]
    pub part: Part,
    /// Where it is.
    #[cfg_attr(feature = "capture", serde(default))]
    pub place: LogPlace,
    /// Its path now, if it has another name. Null: it was deleted, or is at the path.
    #[cfg_attr(feature = "capture", serde(default))]
    pub path: Option<String>,
    /// Its database, if that is not the one at the path: where it is now, or `/proc/PID/fd/N` if it was deleted.
    #[cfg_attr(feature = "capture", serde(default))]
    pub database: Option<String>,
    /// Whether the process holds its database exclusively: in rollback mode the pages of a transaction may be there already.
    #[cfg_attr(feature = "capture", serde(default))]
    pub exclusive: bool,
    /// The descriptors of the log, and of the `-shm` of a `-wal`, which was deleted too or is the one at the path. Null: it has no
    /// such `-shm` open.
    pub descriptors: (u32, Option<u32>),
    /// Commits in a `-wal` that are not in the database, as its `-shm` says. Null: not read, or the `-shm` does not say it.
    pub commits: Option<u64>,
    /// What a `-journal` holds. Null: not read.
    #[cfg_attr(feature = "capture", serde(default))]
    pub holds: Option<JournalHolds>,
}

#[cfg(feature = "capture")]
fn wal() -> Part {
    Part::Wal
}
