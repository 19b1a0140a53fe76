//! The one vocabulary of findings: what was read says something. A finding is never an error.

pub mod checks;
pub mod rules;
pub mod surroundings;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
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

impl Finding {
    /// A finding without numbers.
    #[must_use]
    pub fn new(code: &str, severity: Severity, title: &str, detail: impl Into<String>, advice: &str) -> Self {
        Self {
            code: code.to_owned(),
            severity,
            title: title.to_owned(),
            detail: detail.into(),
            evidence: Map::new(),
            advice: advice.to_owned(),
        }
    }

    /// The same with one more number, text or list that it rests on.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.evidence.insert(name.to_owned(), value.into());
        self
    }
}
