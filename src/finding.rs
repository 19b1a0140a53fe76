//! The one vocabulary of findings: what was read says something. A finding is never an error.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing, needs nothing.
    Info,
    /// Unusual, harmless in most cases.
    Notice,
    /// Something will go wrong, or stands in the way.
    Warning,
    /// Something is wrong.
    Error,
}

/// One finding: a stable code, what it means here, what it rests on, what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code in snake case.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// A few words.
    pub title: String,
    /// One or two sentences about this case.
    pub detail: String,
    /// The numbers it rests on.
    pub evidence: Map<String, Value>,
    /// What to do about it.
    pub advice: String,
}
