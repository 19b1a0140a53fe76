//! What the driver and the two actors say to each other: one JSON object a line, a reply to every request.
//!
//! Paths are `OsString`: as JSON these may be any bytes.
//!
//! The replies are the only synchronisation of the experiment: a step is over when its reply has arrived.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

/// What an actor is asked to do.
#[derive(Debug, schemars::JsonSchema, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Open the database through SQLite.
    Open {
        /// Its path, as the actor sees it.
        path: OsString,
        /// To write neither it nor its `-shm`.
        read_only: bool,
    },
    /// Remove a file, without opening it.
    Remove {
        /// Its path, as the actor sees it.
        path: OsString,
    },
    /// Begin a write transaction, fill it until frames of it are in the `-wal`, and leave it open.
    Spill,
    /// Switch the open database to WAL mode and create the table.
    Create,
    /// Insert rows, one transaction each.
    Insert {
        /// How many.
        rows: u32,
    },
    /// Count the rows.
    Count,
    /// Begin a read transaction and count the rows in it.
    BeginRead,
    /// End the read transaction.
    EndRead,
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
}

/// What an actor replies.
#[derive(Debug, schemars::JsonSchema, Serialize, Deserialize)]
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
