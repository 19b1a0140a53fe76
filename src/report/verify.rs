//! `walscope/verify/1`: what was checked, and the results.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::finding::{FindingDocument, documents};
use super::inspect::{self, Source, SourceKind};
use super::text::{self, GREEN, RED, YELLOW, entry, many, styled};
use super::{line, table};
use crate::finding::checks::{self, Check, CheckName, CheckResult, LeftOut};
use crate::finding::{Finding, Severity, findings};
use crate::look::Inspection;
use crate::say;
use crate::wal::FrameCounts;

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/verify/1";

/// The document.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct VerifyDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// What was verified.
    pub source: Source,
    /// Whether a process was seen to have the `-shm` open.
    pub in_use: bool,
    /// Whether the files were stable enough to be compared with each other.
    pub settled: bool,
    /// The verdict over all checks.
    pub verdict: Verdict,
    /// The verdict in words: what was checked, and what was not.
    pub explanation: String,
    /// What the verdict says nothing about: checks that were not made, and what no check covers.
    pub not_checked: Vec<NotCheckedDocument>,
    /// Frames of the `-wal` by class. Null: it was not looked at.
    pub frames: Option<FrameCounts>,
    /// Each check and its result.
    pub checks: Vec<CheckDocument>,
    /// Findings, the gravest first.
    pub findings: Vec<FindingDocument>,
    /// Why a value could not be looked at, under its name.
    pub reasons: BTreeMap<String, String>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "Check")]
pub struct CheckDocument {
    /// Its stable name, in snake case.
    pub check: &'static str,
    /// Its result.
    #[serde(with = "CheckResultDocument")]
    pub result: CheckResult,
    /// What was checked, in numbers, or why nothing was checked.
    pub numbers: String,
    /// Codes of its findings.
    pub codes: Vec<String>,
}

/// The result of a check.
#[derive(JsonSchema, Serialize)]
#[serde(remote = "CheckResult", rename_all = "snake_case")]
#[schemars(rename = "CheckResult")]
enum CheckResultDocument {
    /// Passed: it was checked, and there is nothing to report.
    Passed,
    /// Noted: it was checked, and there is a finding of `info` or `notice`, or a person should read the numbers.
    Noted,
    /// Failed: it was checked, and there is a finding of `warning` or `error`.
    Failed,
    /// Skipped: it was not checked, and the numbers say why.
    Skipped,
}

impl CheckDocument {
    fn new(check: &Check, inspection: &Inspection) -> Self {
        Self {
            check: check.check.name(),
            result: check.result,
            numbers: say::check::numbers(check, inspection),
            codes: check.codes.iter().map(|code| code.name().to_owned()).collect(),
        }
    }
}

/// Something that the verdict says nothing about.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "NotChecked")]
pub struct NotCheckedDocument {
    /// The name of a check; `rows_and_tables` and `one_time` (that the `-wal` and the database are of one time), which no check
    /// covers; `journal_one_time`, if a `-journal` waits and nothing tells that it and the database are of one time; or `missing_wal`, if a database in WAL mode has no `-wal` beside it.
    pub what: &'static str,
    /// Why it was not checked.
    pub reason: String,
    /// The command that checks it, to run on a copy. Null: there is none.
    pub how: Option<&'static str>,
}

impl From<&LeftOut> for NotCheckedDocument {
    fn from(left: &LeftOut) -> Self {
        Self {
            what: say::check::left_out_name(left),
            reason: say::check::left_out_why(left),
            how: matches!(left, LeftOut::Content { .. }).then_some(say::check::INTEGRITY_CHECK),
        }
    }
}

/// The result over all checks and findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictResult {
    /// Nothing wrong in what was checked: at least one check passed, no finding is graver than `info`, and no check was
    /// left out because something is in the way. It says nothing about what `not_checked` lists.
    Sound,
    /// No fault, but a person should read something: a notice, a check with unusual numbers, or a check that something
    /// was in the way of.
    Noted,
    /// There is a warning.
    Doubtful,
    /// There is an error.
    Wrong,
    /// Nothing could be checked.
    Unchecked,
}

/// The verdict, and the number of checks by their result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Verdict {
    /// The result in one word.
    pub result: VerdictResult,
    /// Number of checks that passed.
    pub passed: usize,
    /// Number of checks that a person should read.
    pub noted: usize,
    /// Number of checks with a warning or an error.
    pub failed: usize,
    /// Number of checks that could not be made.
    pub skipped: usize,
}

impl Verdict {
    fn of(checks: &[Check], findings: &[Finding], hindered: bool) -> Self {
        let ended = |result| checks.iter().filter(|check| check.result == result).count();
        let (passed, noted) = (ended(CheckResult::Passed), ended(CheckResult::Noted));
        let (failed, skipped) = (ended(CheckResult::Failed), ended(CheckResult::Skipped));
        let odd = checks.iter().any(|check| check.result == CheckResult::Noted && check.codes.is_empty());
        let result = match findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Error) => VerdictResult::Wrong,
            Some(Severity::Warning) => VerdictResult::Doubtful,
            _ if passed + noted + failed == 0 => VerdictResult::Unchecked,
            Some(Severity::Notice) => VerdictResult::Noted,
            Some(Severity::Info) | None if odd || hindered || passed == 0 => VerdictResult::Noted,
            Some(Severity::Info) | None => VerdictResult::Sound,
        };
        Self { result, passed, noted, failed, skipped }
    }
}

impl VerifyDocument {
    /// Makes the document of one look.
    #[must_use]
    pub fn new(inspection: &Inspection) -> Self {
        let findings = findings(inspection);
        let checks = checks::checks(inspection, &findings);
        let verdict = Verdict::of(&checks, &findings, checks::hindered(inspection, &checks));
        Self {
            schema: SCHEMA,
            source: Source::from(&inspection.origin),
            in_use: inspection.in_use(),
            settled: inspection.settled,
            verdict,
            explanation: explanation(verdict, &findings, &checks, inspection),
            not_checked: checks::left_out(inspection, &checks).iter().map(NotCheckedDocument::from).collect(),
            frames: inspection.wal.as_ref().map(|wal| wal.frames),
            checks: checks.iter().map(|check| CheckDocument::new(check, inspection)).collect(),
            findings: documents(&findings),
            reasons: inspect::reasons(inspection),
        }
    }

    /// The page, at most `width` columns wide, with colour.
    #[must_use]
    pub fn draw(&self, width: usize) -> String {
        let label = line(&self.source.label);
        let of = match self.source.kind {
            SourceKind::Files => label,
            SourceKind::Bundle => format!("{label}, of {}", line(&self.source.path)),
        };
        let unseen = self.reasons.get("shm.locks");
        let use_ = match (self.in_use, self.source.kind, unseen) {
            (true, SourceKind::Files, _) => "in use".to_owned(),
            (true, SourceKind::Bundle, _) => "in use when captured".to_owned(),
            (false, _, None) => "nobody seen to have the -shm open".to_owned(),
            (false, _, Some(reason)) => line(reason),
        };
        let mut out = entry("Source", &format!("{of}; {use_}"), width);
        out.push('\n');
        let rows: Vec<Vec<String>> = self.checks.iter().map(row).collect();
        out.push_str(&table::draw(&["check", "result", "numbers"], &rows, width));
        if let Some(reason) = unseen.filter(|_| self.in_use) {
            out.push_str(&format!("\n{}", entry("shm locks", &line(reason), width)));
        }
        out.push('\n');
        out.push_str(&text::findings(&self.findings, width));
        out.push_str(&entry("Verdict", &self.verdict(), width));
        out
    }

    /// The explanation, with its first words in the colour of the verdict.
    fn verdict(&self) -> String {
        let style = match self.verdict.result {
            VerdictResult::Sound => GREEN,
            VerdictResult::Wrong => RED,
            VerdictResult::Noted | VerdictResult::Doubtful | VerdictResult::Unchecked => YELLOW,
        };
        let head = self.explanation.find([':', ',', '.']).unwrap_or(self.explanation.len());
        let (head, rest) = self.explanation.split_at(head);
        format!("{}{rest}", styled(style, head))
    }
}

/// The verdict in words.
fn explanation(verdict: Verdict, findings: &[Finding], checks: &[Check], inspection: &Inspection) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    let (errors, warnings, notices) = (count(Severity::Error), count(Severity::Warning), count(Severity::Notice));
    let Verdict { result, noted, skipped, .. } = verdict;
    let left = match skipped {
        0 => String::new(),
        n => format!(" {n} of {} skipped.", many(checks.len() as u64, "check")),
    };
    let said = match (result, errors, warnings) {
        (VerdictResult::Sound, ..) => sound(checks, inspection),
        (VerdictResult::Noted, ..) if notices == 0 && inspection.is_empty() => say::check::EMPTY.to_owned(),
        (VerdictResult::Noted, ..) => {
            let (n, what) = if notices > 0 { (notices, "notice") } else { (noted as u64, "noted check") };
            match n {
                0 => format!("no fault found, but not everything could be checked.{left}"),
                1 => format!("no fault found, 1 {what}: read it.{left}"),
                n => format!("no fault found, {}: read them.{left}", many(n, what)),
            }
        }
        (VerdictResult::Doubtful, _, n) => format!("doubtful: {}.{left}", many(n, "warning")),
        (VerdictResult::Wrong, n, 0) => format!("wrong: {}.{left}", many(n, "error")),
        (VerdictResult::Wrong, n, m) => format!("wrong: {}, {}.{left}", many(n, "error"), many(m, "warning")),
        (VerdictResult::Unchecked, ..) => format!("nothing could be checked.{left}"),
    };
    said + &outside(inspection)
}

/// Nothing wrong was found: in what, and where nobody looked. Without frames it is not called sound in words, because it
/// is only about headers.
fn sound(checks: &[Check], inspection: &Inspection) -> String {
    let left = checks::left_out(inspection, checks);
    let frames = checks.iter().any(|check| check.check == CheckName::WalFrames && check.result != CheckResult::Skipped);
    format!(
        "{}: {}. Not checked: {}.{}{}",
        if frames { "sound as far as it was checked" } else { "nothing wrong was found in what was checked" },
        say::check::covered(checks, inspection),
        say::check::left_out(&left),
        if left.contains(&LeftOut::OneTime) { format!(" {}", say::check::OF_TWO_TIMES) } else { String::new() },
        if left.contains(&LeftOut::NoWalBeside) { format!(" {}", say::check::WITHOUT_WAL) } else { String::new() }
    )
}

/// A sentence about the frames that SQLite does not read, and how to list them.
fn outside(inspection: &Inspection) -> String {
    let frames = inspection.wal.as_ref().map(|wal| wal.frames).filter(|frames| frames.in_file > frames.valid);
    let Some(frames) = frames else { return String::new() };
    let outside = frames.in_file - frames.valid;
    let (are, them) = if outside == 1 { ("is", "it") } else { ("are", "them") };
    format!(
        " {} of {} {are} not part of the WAL's chain: `walscope wal SOURCE` lists {them}.",
        text::count(outside),
        many(frames.in_file, "frame")
    )
}

fn row(check: &CheckDocument) -> Vec<String> {
    let result = match check.result {
        CheckResult::Passed => "passed",
        CheckResult::Noted => "noted",
        CheckResult::Failed => "failed",
        CheckResult::Skipped => "skipped",
    };
    vec![check.check.replace('_', " "), result.to_owned(), check.numbers.clone()]
}
