//! The checkpoint in documents, with its sentences.

use schemars::JsonSchema;
use serde::Serialize;

use crate::evidence::{Holder, LockSlot};
use crate::finding::Finding;
use crate::look::checkpoint::{Blocker, CheckpointFacts, CheckpointState};
use crate::number::FrameNumber;
use crate::say;
use crate::say::checkpoint::Sentence;
use crate::wal::WalFacts;

/// What the checkpoint is doing.
#[derive(JsonSchema, Serialize)]
#[serde(remote = "CheckpointState", rename_all = "snake_case")]
#[schemars(rename = "CheckpointState")]
enum StateDocument {
    /// There is no `-wal`, or it cannot be used.
    NoWal,
    /// Nothing is committed in the WAL, or nothing that the wal-index shows yet.
    Empty,
    /// Frames wait, and nothing blocks the checkpoint.
    Pending,
    /// Frames wait, and a reader blocks the checkpoint, or somebody has the whole database locked exclusively.
    Blocked,
    /// All frames are in the database.
    Complete,
    /// The next generation has begun in the wal-index, but no frame of it is committed yet.
    Restarted,
    /// A checkpoint is at work: somebody holds CKPT, or has locked the database exclusively while more was attempted
    /// than done. Its progress is not visible, because `nBackfill` is written at the end.
    InProgress,
    /// A checkpoint was interrupted: more was attempted than done, and nobody is seen to hold CKPT.
    Interrupted,
    /// This cannot be determined.
    Unknown,
}

/// A lock that blocks the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "Blocker")]
pub struct BlockerDocument {
    /// The name of the lock: `read0` to `read4`, `checkpoint`, `write`, `recover`, or `database` if the whole database
    /// file is locked exclusively.
    #[schemars(with = "String")]
    pub lock: LockSlot,
    /// The slot of the read mark.
    pub slot: Option<u8>,
    /// The read mark: a frame number.
    pub mark: Option<u32>,
    /// Who holds the lock.
    pub holders: Vec<Holder>,
}

/// What is known of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "CheckpointFacts")]
pub struct CheckpointDocument {
    /// Its state.
    #[serde(with = "StateDocument")]
    pub state: CheckpointState,
    /// Frames up to the last commit that counts. That is `mxFrame` of a `-shm` in use, and at rest the last commit of
    /// the WAL.
    pub committed: u64,
    /// `nBackfill`; 0 if no `-shm` can be trusted to say more.
    pub backfilled: u64,
    /// `committed - backfilled`.
    pub pending: u64,
    /// Up to which frame a checkpoint may copy now; null without evidence of locks.
    pub safe_to: Option<u64>,
    /// Whether the next writer could restart the WAL after everything is copied. Null without evidence of locks, if
    /// nothing is committed, and if the only slot that prevents it may be the present writer's own.
    pub can_restart: Option<bool>,
    /// What blocks copying or, if everything is copied, what prevents a restart of the WAL.
    pub blocked_by: Vec<BlockerDocument>,
    /// The kind of `explanation`: a section of docs/states.md has its name. A finding can decide it instead of the state.
    pub sentence: &'static str,
    /// One or two sentences: what is the case, and what to do.
    pub explanation: String,
    /// Whether a finding decides the sentence, so that `state` alone would say something wrong.
    #[serde(skip)]
    pub against: bool,
}

impl CheckpointDocument {
    /// Makes the document from the diagnosis, the WAL, and the findings of the same look.
    #[must_use]
    pub fn new(facts: &CheckpointFacts, wal: &WalFacts, beside: &[Finding]) -> Self {
        let kind = say::checkpoint::sentence(facts, wal, beside);
        Self {
            state: facts.state,
            committed: facts.committed,
            backfilled: facts.backfilled,
            pending: facts.pending,
            safe_to: facts.safe_to,
            can_restart: facts.restart.possible(),
            blocked_by: facts.blocked_by.iter().map(BlockerDocument::from).collect(),
            sentence: kind.name(),
            against: matches!(kind, Sentence::Against(_)),
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
