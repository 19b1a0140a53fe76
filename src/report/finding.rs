//! Findings in documents, with their sentences, and their facts under stable names.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::finding::{Finding, Severity, value};
use crate::say;
use crate::say::finding::Told;

/// One finding: a stable code, what it means in this case, what it rests on, and what to do.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
#[schemars(rename = "Finding")]
pub struct FindingDocument {
    /// Stable code in snake case.
    pub code: String,
    /// How much it matters.
    #[serde(with = "SeverityDocument")]
    pub severity: Severity,
    /// A short title.
    pub title: String,
    /// One or two sentences about this case.
    pub detail: String,
    /// The facts that it rests on.
    pub evidence: Map<String, Value>,
    /// What to do about it.
    pub advice: String,
}

/// How much a finding matters.
#[derive(JsonSchema, Serialize)]
#[serde(remote = "Severity", rename_all = "snake_case")]
#[schemars(rename = "Severity")]
enum SeverityDocument {
    /// Worth knowing; nothing has to be done.
    Info,
    /// Unusual, harmless in most cases.
    Notice,
    /// Something will fail, or prevents something.
    Warning,
    /// Something is wrong.
    Error,
}

impl From<&Finding> for FindingDocument {
    fn from(finding: &Finding) -> Self {
        Self::told(finding, say::finding::finding(finding))
    }
}

impl FindingDocument {
    fn told(finding: &Finding, told: Told) -> Self {
        let facts = finding.found.evidence().into_iter().map(|(name, value)| (name.to_owned(), json(value)));
        let source = finding.source.iter().map(|source| ("source".to_owned(), source.clone().into()));
        Self {
            code: finding.code().name().to_owned(),
            severity: finding.severity,
            title: told.title.to_owned(),
            detail: told.detail,
            evidence: facts.chain(source).collect(),
            advice: told.advice.into_owned(),
        }
    }
}

/// The documents of all findings, in the same order.
#[must_use]
pub fn documents(findings: &[Finding]) -> Vec<FindingDocument> {
    findings.iter().zip(say::finding::findings(findings)).map(|(one, told)| FindingDocument::told(one, told)).collect()
}

fn json(fact: value::Value) -> Value {
    match fact {
        value::Value::Null => Value::Null,
        value::Value::Bool(fact) => fact.into(),
        value::Value::Number(fact) => fact.into(),
        value::Value::Text(fact) => fact.into(),
        value::Value::EndReason(fact) => serde_json::json!(fact),
        value::Value::Compared(sides, fact) => say::compared::compared(&sides, &fact).into(),
        value::Value::List(facts) => facts.into_iter().map(json).collect(),
        value::Value::Fields(facts) => {
            facts.into_iter().map(|(name, fact)| (name.to_owned(), json(fact))).collect::<Map<_, _>>().into()
        }
    }
}

/// The severity as a word.
pub(crate) const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
