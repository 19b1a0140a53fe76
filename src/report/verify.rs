//! `walscope/verify/1`: what was checked, and what came out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::inspect::{Source, SourceKind};
use super::text::{self, GREEN, RED, YELLOW, entry, many, styled, words};
use super::{line, table};
use crate::analysis::checks::{self, Check, CheckResult};
use crate::analysis::findings::{self, Facts};
use crate::finding::{Finding, Severity};

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/verify/1";

/// The document.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct VerifyDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What was verified.
    pub source: Source,
    /// Whether somebody was seen to have the `-shm` open.
    pub in_use: bool,
    /// Whether the files stood still enough to be held against each other.
    pub settled: bool,
    /// Each check and its result.
    pub checks: Vec<Check>,
    /// Findings, the gravest first.
    pub findings: Vec<Finding>,
    /// Why something could not be looked at, by its name.
    pub reasons: BTreeMap<String, String>,
}

/// Makes the document from the facts of one look.
#[must_use]
pub fn build(source: Source, facts: &Facts<'_>, reasons: BTreeMap<String, String>) -> VerifyDocument {
    let findings = findings::findings(facts);
    VerifyDocument {
        schema: SCHEMA,
        source,
        in_use: facts.examined.is_some_and(|examined| examined.in_use()),
        settled: facts.examined.is_some_and(|examined| examined.settled),
        checks: checks::checks(facts, &findings),
        findings,
        reasons,
    }
}

impl VerifyDocument {
    /// The page, at most `width` columns wide, with colour.
    #[must_use]
    pub fn draw(&self, width: usize) -> String {
        let label = line(&self.source.label);
        let of = match self.source.kind {
            SourceKind::Files => label,
            SourceKind::Bundle => format!("{label}, of {}", line(&self.source.path)),
        };
        let use_ = match (self.in_use, self.source.kind) {
            (true, SourceKind::Files) => "in use",
            (true, SourceKind::Bundle) => "in use when captured",
            (false, _) => "nobody seen to have the -shm open",
        };
        let mut out = entry("Source", &format!("{of}; {use_}"), width);
        out.push('\n');
        let rows: Vec<Vec<String>> = self.checks.iter().map(row).collect();
        out.push_str(&table::draw(&["check", "result", "numbers"], &rows, width));
        for (name, reason) in self.reasons.iter().filter(|(name, _)| *name == "shm.locks") {
            out.push_str(&format!("\n{}", entry(&words(name), &line(reason), width)));
        }
        out.push('\n');
        out.push_str(&text::findings(&self.findings, width));
        out.push_str(&entry("Verdict", &self.verdict(), width));
        out
    }

    fn verdict(&self) -> String {
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count() as u64;
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let skipped = self.checks.iter().filter(|check| check.result == CheckResult::Skipped).count() as u64;
        let left = if skipped > 0 { format!(" {} skipped.", many(skipped, "check")) } else { String::new() };
        match (errors, warnings) {
            (0, 0) => format!("{}: nothing wrong was found.{left}", styled(GREEN, "sound")),
            (0, n) => format!("{}: {}.{left}", styled(YELLOW, "doubtful"), many(n, "warning")),
            (n, 0) => format!("{}: {}.{left}", styled(RED, "wrong"), many(n, "error")),
            (n, m) => format!("{}: {}, {}.{left}", styled(RED, "wrong"), many(n, "error"), many(m, "warning")),
        }
    }
}

fn row(check: &Check) -> Vec<String> {
    vec![check.check.replace('_', " "), words(&check.result), check.numbers.clone()]
}
