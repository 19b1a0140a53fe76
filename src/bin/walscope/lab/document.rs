//! `walscope/lab/1`: what the experiment showed and how it is judged; as JSON and for people.

use schemars::JsonSchema;
use serde::Serialize;
use walscope::compare::Answer;
use walscope::report::{compare::CompareDocument, table};

use super::experiment::{Both, Outcome, Step};
use super::protocol::CopiedFile;
use super::runtime::Kind;
use super::scenario::Scenario;

/// The document.
#[derive(Debug, JsonSchema, Serialize)]
pub struct LabDocument {
    /// `walscope/lab/1`.
    pub schema: &'static str,
    /// Where the sides ran.
    pub runtime: Kind,
    /// Why there.
    pub runtime_reason: String,
    /// What this run can show and what not.
    pub headline: String,
    /// What the sides were given.
    pub scenario: &'static str,
    /// The verdict that was to be expected.
    pub expected: Answer,
    /// Whether the verdict is that.
    pub as_expected: bool,
    /// The steps.
    pub steps: Vec<Step>,
    /// The files that were copied at the start; empty in other scenarios.
    pub copied: Vec<CopiedFile>,
    /// What became of the rows.
    pub rows: Rows,
    /// The integrity check of a fresh open on each side.
    pub integrity_check: Both<String>,
    /// Whether the two captured `-shm` are byte for byte equal; null when one is missing. It decides nothing.
    pub hex_dump_equal: Option<bool>,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The comparison of the two snapshots.
    pub comparison: CompareDocument,
}

/// What became of the rows.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Rows {
    /// Rows that SQLite said were committed, of both sides.
    pub written: u64,
    /// Rows that a fresh open found afterwards, on the side that finds more; null when neither could count.
    pub found: Option<u64>,
    /// What is missing of `written` even there.
    pub lost: Option<u64>,
    /// `written`, by side.
    pub written_by: Both<u64>,
    /// `found`, by side.
    pub found_by: Both<Option<u64>>,
}

/// The checkpoint while a reader held a read transaction.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Checkpoint {
    /// First column of `PRAGMA wal_checkpoint(PASSIVE)`.
    pub busy: Option<i64>,
    /// Second: frames in the WAL.
    pub log: Option<i64>,
    /// Third: frames of it in the database.
    pub checkpointed: Option<i64>,
    /// `mxFrame` of the writer's captured `-shm`.
    pub mx_frame: Option<u32>,
    /// Its `nBackfill`.
    pub backfilled: Option<u32>,
}

impl LabDocument {
    /// From what was seen.
    pub fn new(
        (runtime, runtime_reason): (Kind, String),
        scenario: &Scenario,
        outcome: Outcome,
        comparison: CompareDocument,
        hex_dump_equal: Option<bool>,
    ) -> Self {
        let position = comparison.sides.first().and_then(|side| side.position);
        let answer = outcome.checkpoint;
        Self {
            schema: "walscope/lab/1",
            runtime,
            runtime_reason,
            headline: headline(runtime, scenario),
            scenario: scenario.name,
            expected: scenario.expected,
            as_expected: comparison.verdict.sharing == scenario.expected,
            steps: outcome.steps,
            copied: outcome.copied,
            rows: Rows::new(outcome.written, outcome.found),
            integrity_check: outcome.integrity,
            hex_dump_equal,
            checkpoint: Checkpoint {
                busy: answer.map(|answer| answer.busy),
                log: answer.map(|answer| answer.log),
                checkpointed: answer.map(|answer| answer.checkpointed),
                mx_frame: position.map(|position| position.mx_frame),
                backfilled: position.map(|position| position.backfilled),
            },
            comparison,
        }
    }

    /// What comes below the steps.
    pub fn draw(&self, width: usize) -> String {
        let mut rows = vec![
            ("rows", self.rows.sentence()),
            ("integrity_check", integrity(&self.integrity_check)),
            ("checkpoint", self.checkpoint.sentence()),
            ("hex dumps", hex_dumps(self.hex_dump_equal).to_owned()),
        ];
        if !self.as_expected {
            let (expected, found) = (words(self.expected), words(self.comparison.verdict.sharing));
            rows.push(("unexpected", format!("this scenario is expected to come out as {expected}, not as {found}")));
        }
        let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, text)| vec![name.to_owned(), text]).collect();
        format!("\n{}\n{}", self.comparison.draw(width), table::draw(&["afterwards", ""], &rows, width))
    }
}

/// What a run on this runtime is, and what it cannot show.
pub fn headline(runtime: Kind, scenario: &Scenario) -> String {
    let (what, how) = match runtime {
        Kind::Docker => ("two Docker containers", scenario.summary),
        Kind::Namespaces => ("two containers made of user, mount and PID namespaces", scenario.summary),
        Kind::Processes if scenario.reader.database_of.is_some() => {
            ("two processes, no containers", "the database file is hard-linked into two folders, in place of a mount")
        }
        Kind::Processes => ("two processes, no containers", scenario.summary),
    };
    let limit = match runtime {
        Kind::Processes => "\nno containers: this shows that walscope works, not that containers share",
        _ => "",
    };
    format!("lab {}: {what}; {how}{limit}", scenario.name)
}

impl Rows {
    fn new(written_by: Both<u64>, found_by: Both<Option<u64>>) -> Self {
        let written = written_by.writer + written_by.reader;
        let found = found_by.writer.max(found_by.reader);
        Self { written, found, lost: found.map(|found| written.saturating_sub(found)), written_by, found_by }
    }

    fn sentence(&self) -> String {
        let Both { writer, reader } = &self.found_by;
        let count = |count: &Option<u64>| count.map_or_else(|| "none readable".to_owned(), |count| count.to_string());
        let lost = match self.lost {
            Some(0) => "none lost".to_owned(),
            Some(lost) => format!("{lost} lost, even on the side that finds more"),
            None => "no side can be read".to_owned(),
        };
        format!(
            "{} committed ({} by the writer, {} by the reader); found afresh: writer {}, reader {}: {lost}",
            self.written,
            self.written_by.writer,
            self.written_by.reader,
            count(writer),
            count(reader),
        )
    }
}

impl Checkpoint {
    fn sentence(&self) -> String {
        let pragma = match (self.busy, self.log, self.checkpointed) {
            (Some(busy), Some(log), Some(done)) => {
                format!("PRAGMA wal_checkpoint(PASSIVE) while the reader read: {busy}|{log}|{done}")
            }
            _ => "PRAGMA wal_checkpoint(PASSIVE) did not answer".to_owned(),
        };
        match (self.mx_frame, self.backfilled) {
            (Some(frames), Some(done)) => format!("{pragma}; the captured -shm: mxFrame {frames}, nBackfill {done}"),
            _ => format!("{pragma}; no -shm was captured that can be trusted"),
        }
    }
}

fn integrity(check: &Both<String>) -> String {
    if check.writer == check.reader {
        format!("{} on both sides", check.writer)
    } else {
        format!("writer: {}; reader: {}", check.writer, check.reader)
    }
}

fn hex_dumps(equal: Option<bool>) -> &'static str {
    match equal {
        Some(true) => "the two -shm are byte for byte equal, which proves nothing: so are those of a copy",
        Some(false) => "the two -shm differ, which proves nothing: they were not read at the same time",
        None => "not both -shm could be captured",
    }
}

fn words(answer: Answer) -> &'static str {
    match answer {
        Answer::Proven => "proven",
        Answer::Refuted => "refuted",
        Answer::Undecided => "undecided",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lost_that_neither_side_finds() {
        let rows = Rows::new(Both { writer: 100, reader: 25 }, Both { writer: Some(100), reader: Some(50) });
        assert_eq!((rows.written, rows.found, rows.lost), (125, Some(100), Some(25)));
        let none = Rows::new(Both { writer: 1, reader: 0 }, Both { writer: None, reader: None });
        assert_eq!((none.found, none.lost), (None, None));
    }

    #[test]
    fn without_containers_the_headline_says_so() {
        for scenario in &super::super::scenario::SCENARIOS {
            assert!(headline(Kind::Processes, scenario).contains("not that containers share"));
            assert!(!headline(Kind::Docker, scenario).contains("no containers"));
        }
    }
}
