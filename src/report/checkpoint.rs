//! The checkpoint in documents, with its sentences.

use schemars::JsonSchema;
use serde::Serialize;

use crate::evidence::{Holder, LockSlot};
use crate::finding::Finding;
use crate::look::checkpoint::{Blocker, CheckpointFacts, CheckpointState};
use crate::number::FrameNumber;
use crate::say;
use crate::wal::WalFacts;

/// What the checkpoint is doing.
#[derive(JsonSchema, Serialize)]
#[serde(remote = "CheckpointState", rename_all = "snake_case")]
#[schemars(rename = "CheckpointState")]
enum StateDocument {
    /// No `-wal`, or not a usable one.
    NoWal,
    /// Nothing committed in it, or nothing that the wal-index shows yet.
    Empty,
    /// Frames wait and nothing stands in the way.
    Pending,
    /// Frames wait and a reader stands in the way.
    Blocked,
    /// All frames are in the database.
    Complete,
    /// The next generation has begun in the wal-index, no frame of it is committed yet.
    Restarted,
    /// Somebody holds CKPT, or has the database for himself while more was attempted than done. How far it is cannot be
    /// seen: `nBackfill` moves when it ends.
    InProgress,
    /// More was attempted than done, and nobody is seen to hold CKPT.
    Interrupted,
    /// Cannot be told.
    Unknown,
}

/// A lock that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "Blocker")]
pub struct BlockerDocument {
    /// `read0` .. `read4`, `checkpoint`, `write`, `recover`; `database`: the whole of it is locked exclusively.
    #[schemars(with = "String")]
    pub lock: LockSlot,
    /// Slot of the read mark.
    pub slot: Option<u8>,
    /// The mark.
    pub mark: Option<u32>,
    /// Who.
    pub holders: Vec<Holder>,
}

/// The checkpoint, diagnosed.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "CheckpointFacts")]
pub struct CheckpointDocument {
    /// State.
    #[serde(with = "StateDocument")]
    pub state: CheckpointState,
    /// Frames up to the last commit that counts: live the `-shm`'s `mxFrame`, at rest the WAL's last commit.
    pub committed: u64,
    /// `nBackfill`; 0 where no trustworthy `-shm` says more.
    pub backfilled: u64,
    /// `committed - backfilled`.
    pub pending: u64,
    /// How far a checkpoint may copy now; `None` without lock evidence.
    pub safe_to: Option<u64>,
    /// Whether the next writer could restart the WAL once all is copied; `None` without lock evidence, when nothing is
    /// committed, and while the only slot in the way may be the present writer's own.
    pub can_restart: Option<bool>,
    /// What stands in the way of copying, or, when all is copied, of restarting the WAL.
    pub blocked_by: Vec<BlockerDocument>,
    /// One or two plain sentences: what is so, and what to do.
    pub explanation: String,
}

impl CheckpointDocument {
    /// Makes the document from the diagnosis, the WAL, and the findings of the same look.
    #[must_use]
    pub fn new(facts: &CheckpointFacts, wal: &WalFacts, beside: &[Finding]) -> Self {
        Self {
            state: facts.state,
            committed: facts.committed,
            backfilled: facts.backfilled,
            pending: facts.pending,
            safe_to: facts.safe_to,
            can_restart: facts.can_restart,
            blocked_by: facts.blocked_by.iter().map(BlockerDocument::from).collect(),
            explanation: say::checkpoint::checkpoint(facts, wal, beside),
        }
    }
}

impl From<&Blocker> for BlockerDocument {
    fn from(blocker: &Blocker) -> Self {
        Self {
            lock: blocker.lock,
            slot: blocker.lock.read_mark(),
            mark: blocker.mark.map(FrameNumber::saturating_u32),
            holders: blocker.holders.clone(),
        }
    }
}

/// The state in words.
pub(super) const fn words(state: CheckpointState) -> &'static str {
    match state {
        CheckpointState::NoWal => "no wal",
        CheckpointState::Empty => "empty",
        CheckpointState::Pending => "pending",
        CheckpointState::Blocked => "blocked",
        CheckpointState::Complete => "complete",
        CheckpointState::Restarted => "restarted",
        CheckpointState::InProgress => "in progress",
        CheckpointState::Interrupted => "interrupted",
        CheckpointState::Unknown => "unknown",
    }
}
