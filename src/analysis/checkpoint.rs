//! What the checkpoint is doing and who holds it up, by wal.c's rules. Locks are an argument.
use serde::Serialize;

use crate::evidence::{Holder, LockState, ShmLocks};
use crate::format::shm::IndexHead;

use super::wal::WalFacts;

/// What the checkpoint is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointState {
    /// No `-wal`, or not a usable one.
    NoWal,
    /// Nothing committed in it.
    Empty,
    /// Frames wait and nothing stands in the way.
    Pending,
    /// Frames wait and a reader stands in the way.
    Blocked,
    /// All frames are in the database.
    Complete,
    /// The next generation has begun in the wal-index, no frame of it is committed yet.
    Restarted,
    /// Somebody holds CKPT.
    InProgress,
    /// More was attempted than done, and nobody holds CKPT.
    Interrupted,
    /// Cannot be told.
    Unknown,
}

/// A lock that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// `read0` .. `read4`, `checkpoint`, `write`, `recover`.
    pub lock: String,
    /// Slot of the read mark.
    pub slot: Option<u8>,
    /// The mark.
    pub mark: Option<u32>,
    /// Who.
    pub holders: Vec<Holder>,
}

/// One read mark and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadMark {
    /// 0 to 4.
    pub slot: u8,
    /// Frame; `None` is unused.
    pub mark: Option<u32>,
    /// The slot's lock.
    pub lock: LockState,
    /// Who holds it, as far as visible.
    pub holders: Vec<Holder>,
}

/// The checkpoint, diagnosed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckpointFacts {
    /// State.
    pub state: CheckpointState,
    /// Frames up to the last commit that counts: live the `-shm`'s `mxFrame`, at rest the WAL's last commit.
    pub committed: u64,
    /// `nBackfill`; 0 where no trustworthy `-shm` says more.
    pub backfilled: u64,
    /// `committed - backfilled`.
    pub pending: u64,
    /// How far a checkpoint may copy now; `None` without lock evidence.
    pub safe_to: Option<u64>,
    /// Whether the next writer could restart the WAL once all is copied; `None` without lock evidence.
    pub can_restart: Option<bool>,
    /// What stands in the way.
    pub blocked_by: Vec<Blocker>,
    /// One or two plain sentences: what is so, and what to do.
    pub explanation: String,
}

/// Diagnoses. `shm` is `None` without a readable `-shm`; `locks` is `None` for files at rest or without evidence.
#[must_use]
pub fn diagnose(wal: &WalFacts, shm: Option<&IndexHead>, locks: Option<&ShmLocks>) -> CheckpointFacts {
    let _ = (wal, shm, locks);
    todo!()
}
