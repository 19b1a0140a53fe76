//! What several looks found of the readers in the way of the checkpoint.

use schemars::JsonSchema;
use serde::Serialize;

use crate::evidence::{Holder, LockSlot};
use crate::look::over_time::{self, OverTime};
use crate::say;

/// Several looks, for `--for` and `--fail-if-blocked`.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
#[schemars(rename = "OverTime")]
pub struct OverTimeDocument {
    /// Seconds from the first look to the last.
    pub seconds: f64,
    /// Number of looks.
    pub looks: u32,
    /// Looks at which a reader was in the way of the checkpoint, or a stopped process held others up.
    pub blocked: u32,
    /// Looks at which that could not be told.
    pub not_known: u32,
    /// What that means.
    #[serde(with = "OutcomeDocument")]
    pub outcome: over_time::Outcome,
    /// The readers that were in the way at each look, and who was stopped at each look with a lock that others need.
    pub kept: Vec<KeptDocument>,
    /// The same in words.
    pub explanation: String,
}

/// What several looks mean.
#[derive(JsonSchema, Serialize)]
#[serde(remote = "over_time::Outcome", rename_all = "snake_case")]
#[schemars(rename = "OverTimeOutcome")]
enum OutcomeDocument {
    /// Nobody was in the way at any look that tells it.
    NotBlocked,
    /// At least one reader was in the way at each look.
    Kept,
    /// Readers were in the way, and none of them at each look.
    TakeTurns,
    /// One reader was in the way at some looks, and nobody at any other.
    OneForAWhile,
    /// At some looks it could not be told, and at all others the same reader was in the way, or there are no others.
    NotKnown,
}

/// A reader that was in the way at each look.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "KeptReader")]
pub struct KeptDocument {
    /// Its lock: `read0` to `read4`, or `database`; of a stopped process also another one that others need, such as `write`.
    #[schemars(with = "String")]
    pub lock: LockSlot,
    /// Up to this frame a checkpoint may copy.
    pub frame: u32,
    /// Who it is, as the last look saw it. Null: not visible from here.
    pub holder: Option<Holder>,
    /// Whether it was stopped or frozen at each look.
    pub stopped: bool,
}

impl From<&OverTime> for OverTimeDocument {
    fn from(over: &OverTime) -> Self {
        let kept = over.kept().into_iter();
        Self {
            seconds: over.duration.as_secs_f64(),
            looks: over.looks,
            blocked: over.blocked,
            not_known: over.not_known,
            outcome: over.outcome(),
            kept: kept
                .map(|kept| KeptDocument {
                    lock: kept.lock,
                    frame: kept.at.saturating_u32(),
                    holder: kept.holder,
                    stopped: kept.stopped.is_some(),
                })
                .collect(),
            explanation: say::over_time::over_time(over),
        }
    }
}
