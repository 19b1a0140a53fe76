//! What the driver and the two actors say to each other: one JSON object a line, a reply to every request.
//!
//! Paths are `OsString`: as JSON these may be any bytes.
//!
//! The replies are the only synchronisation of the experiment: a step is over when its reply has arrived.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

/// What an actor is asked to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Open the database through SQLite.
    Open {
        /// Its path, as the actor sees it.
        path: OsString,
        /// In which way.
        how: Opening,
    },
    /// Open another database too, insert a row there, and keep it open until the end.
    OpenAlso {
        /// Its path, as the actor sees it.
        path: OsString,
    },
    /// From now on keep the wal-index at this path, as a SQLite does that was built with SQLITE_SHM_DIRECTORY.
    KeepWalIndexAt {
        /// The path.
        path: OsString,
    },
    /// Read the files of the database as any program reads files: opened here, and closed again.
    ReadFiles {
        /// The database.
        database: OsString,
    },
    /// Run another process here that does something with the files of the database.
    Files {
        /// The executable, as the actor sees it.
        program: OsString,
        /// What it does.
        job: FileJob,
        /// The database.
        database: OsString,
    },
    /// Fork: from now on the child answers. When the child ends, the parent answers again.
    Fork {
        /// Whether the two share their descriptors.
        shared: bool,
    },
    /// A child kills itself, so that nothing is closed in order.
    Die,
    /// Begin a write transaction, fill it until frames of it are in the `-wal`, and leave it open.
    Spill,
    /// Create the table.
    Create {
        /// Whether to switch the open database to WAL mode first.
        wal: bool,
    },
    /// Insert rows, one transaction each.
    Insert {
        /// How many.
        rows: u32,
    },
    /// Count the rows.
    Count,
    /// Begin a read transaction and count the rows in it.
    BeginRead,
    /// Begin a write transaction.
    BeginWrite,
    /// End the transaction.
    Commit,
    /// `PRAGMA wal_checkpoint(PASSIVE)`.
    Checkpoint,
    /// `PRAGMA integrity_check`.
    Integrity,
    /// Close the database.
    Close,
    /// Run another walscope process here that takes a snapshot.
    Snapshot {
        /// The executable, as the actor sees it.
        program: OsString,
        /// The database.
        database: OsString,
        /// Where the bundle goes; must not exist.
        bundle: OsString,
    },
    /// Run another walscope process here that meets the other side.
    Meet {
        /// The executable, as the actor sees it.
        program: OsString,
        /// A database, or a folder.
        place: OsString,
        /// How long to wait for the other side.
        seconds: u32,
    },
}

/// In which way a database is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// As usual.
    Usual,
    /// As usual, without waiting for the other side's locks.
    Impatient,
    /// To write neither the database nor its `-shm`.
    ReadOnly,
    /// With a VFS that takes no locks (`vfs=unix-none`), and so with a wal-index on the heap.
    Lockless,
    /// In exclusive locking mode from the start: the wal-index is on the heap.
    Exclusive,
}

/// What is done with the files of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileJob {
    /// The `-shm` is removed.
    RemoveShm,
    /// All three files are copied beside themselves.
    Backup,
    /// The backup is moved to the place of the database, and the old `-shm` is removed.
    RestoreAside,
    /// The backup is copied over the files that are there.
    RestoreInPlace,
}

/// What an actor replies.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The first line: the actor runs and listens.
    Ready {
        /// Its number, as the driver sees it; in a container of an engine, as it sees it itself.
        pid: u32,
    },
    /// Instead of the first line: namespaces cannot be had here.
    Unavailable {
        /// Which call, and what the kernel said.
        reason: String,
    },
    /// Done.
    Done,
    /// A count of rows.
    Rows {
        /// Rows.
        count: u64,
    },
    /// Rows that were inserted.
    Inserted {
        /// How many were committed.
        rows: u64,
        /// What stopped the rest.
        error: Option<String>,
    },
    /// A write transaction is open.
    Spilled {
        /// Bytes by which the `-wal` has grown through it.
        wal_grew: u64,
    },
    /// What `PRAGMA wal_checkpoint` answered.
    Checkpoint(CheckpointAnswer),
    /// What `PRAGMA integrity_check` answered.
    Integrity {
        /// Its first line: `ok`, or what is wrong.
        text: String,
    },
    /// What a program printed.
    Said {
        /// Its standard output.
        text: String,
    },
    /// SQLite, or the system, refused.
    Failed {
        /// Why.
        error: String,
    },
}

/// The row that `PRAGMA wal_checkpoint` answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema, Serialize, Deserialize)]
pub struct CheckpointAnswer {
    /// 1 when it was blocked.
    pub busy: i64,
    /// Frames in the WAL; -1 when it could not be told.
    pub log: i64,
    /// Frames of it that are in the database; -1 when it could not be told.
    pub checkpointed: i64,
}

/// One file of a database copied into another volume.
#[derive(Debug, Clone, PartialEq, Eq, schemars::JsonSchema, Serialize, Deserialize)]
pub struct CopiedFile {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Whether the copy, read back, equals the original.
    pub equal: bool,
}
