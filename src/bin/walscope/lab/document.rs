//! `walscope/lab/1`: what the experiment showed and how it is judged; as JSON and for people.

use schemars::JsonSchema;
use serde::Serialize;
use walscope::look::checkpoint::CheckpointState;
use walscope::report::verdict::Answer;
use walscope::report::{checkpoint::CheckpointDocument, compare::CompareDocument, table};

use super::experiment::{Both, Outcome, Step};
use super::look::Looked;
use super::means::{Said, words};
use super::protocol::CopiedFile;
use super::runtime::Kind;
use super::scenario::{Expected, Fate, Never, Scenario};

/// The document.
#[derive(Debug, JsonSchema, Serialize)]
pub struct LabDocument {
    /// `walscope/lab/1`.
    pub schema: &'static str,
    /// What the two sides were run in.
    pub runtime: Kind,
    /// Why this runtime was used.
    pub runtime_reason: String,
    /// What this run can show, and what it cannot show.
    pub headline: String,
    /// The scenario.
    pub scenario: &'static str,
    /// The verdict that was expected.
    pub expected: Answer,
    /// Everything that was expected.
    pub expectation: Expected,
    /// Whether everything came out as expected.
    pub as_expected: bool,
    /// What came out differently, in sentences.
    pub otherwise: Vec<String>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The files that were copied at the start. It is empty in other scenarios.
    pub copied: Vec<CopiedFile>,
    /// What happened to the rows.
    pub rows: Rows,
    /// The result of `PRAGMA integrity_check` in a new connection on each side.
    pub integrity_check: Both<String>,
    /// Whether the two captured `-shm` are equal byte for byte. Null: one is missing. It decides nothing.
    pub hex_dump_equal: Option<bool>,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The comparison of the two sides: live and from outside, or of the two snapshots.
    pub comparison: CompareDocument,
    /// What walscope said by each means that applies.
    pub said: Vec<Said>,
    /// Why the two snapshots were compared. Null: the sides were compared live.
    pub not_live: Option<String>,
}

/// What happened to the rows.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Rows {
    /// Number of rows for which SQLite reported a commit, on both sides.
    pub written: u64,
    /// Number of rows that a new connection finds at the end, on the side that finds more. Null: neither side could
    /// count them.
    pub found: Option<u64>,
    /// Number of rows of `written` that are missing even there.
    pub lost: Option<u64>,
    /// Number of rows that were not lost, but that a side did not see in a new read transaction while both had the
    /// database open. It is the greater number of the two sides. Null: a side could not count.
    pub unseen: Option<u64>,
    /// `written` for each side.
    pub written_by: Both<u64>,
    /// Number of rows that each side saw last while both had the database open.
    pub seen_by: Both<Option<u64>>,
    /// `found` for each side.
    pub found_by: Both<Option<u64>>,
}

/// The checkpoint while a reader held a read transaction.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Checkpoint {
    /// The first column of `PRAGMA wal_checkpoint(PASSIVE)`: whether it was blocked.
    pub busy: Option<i64>,
    /// The second column: frames in the WAL.
    pub log: Option<i64>,
    /// The third column: frames that are in the database.
    pub checkpointed: Option<i64>,
    /// `mxFrame` of the writer's captured `-shm`.
    pub mx_frame: Option<u32>,
    /// `nBackfill` of the writer's captured `-shm`.
    pub backfilled: Option<u32>,
    /// What `walscope inspect` of the writer's database, from outside, said about the checkpoint. Null: it could not be
    /// run.
    pub diagnosis: Option<CheckpointDocument>,
}

impl LabDocument {
    /// Makes the document from what was seen.
    pub fn new(
        (runtime, runtime_reason): (Kind, String),
        scenario: &Scenario,
        outcome: Outcome,
        looked: Looked,
    ) -> Self {
        let comparison = looked.comparison;
        let position = comparison.sides.first().and_then(|side| side.position);
        let answer = outcome.checkpoint;
        let mut said = looked.said;
        said.extend(outcome.meetings);
        let mut document = Self {
            schema: "walscope/lab/1",
            runtime,
            runtime_reason,
            headline: headline(runtime, scenario),
            scenario: scenario.name,
            expected: scenario.expected.sharing,
            expectation: scenario.expected,
            as_expected: true,
            otherwise: Vec::new(),
            steps: outcome.steps,
            copied: outcome.copied,
            rows: Rows::new(outcome.written, outcome.seen, outcome.found),
            integrity_check: outcome.integrity,
            hex_dump_equal: looked.hex_dump_equal,
            checkpoint: Checkpoint {
                busy: answer.map(|answer| answer.busy),
                log: answer.map(|answer| answer.log),
                checkpointed: answer.map(|answer| answer.checkpointed),
                mx_frame: position.map(|position| position.mx_frame),
                backfilled: position.map(|position| position.backfilled),
                diagnosis: looked.checkpoint,
            },
            comparison,
            said,
            not_live: looked.reason,
        };
        document.otherwise = document.deviations();
        document.as_expected = document.otherwise.is_empty();
        document
    }

    /// What differs from the expectation, in sentences.
    fn deviations(&self) -> Vec<String> {
        let (wanted, verdict) = (&self.expectation, &self.comparison.verdict);
        let mut out = Vec::new();
        let also = wanted.also;
        for (what, wanted, also, found) in [
            ("sharing", wanted.sharing, also.sharing, verdict.sharing),
            ("memory", wanted.memory, also.memory, verdict.memory),
            ("locks", wanted.locks, also.locks, verdict.locks),
        ] {
            if wanted != found && !also.contains(&found) {
                out.push(format!("{what} is expected to come out as {}, not as {}", words(wanted), words(found)));
            }
        }
        for said in &self.said {
            for never in wanted.never.iter().filter(|never| said.is(**never)) {
                out.push(format!("{} must not say {}: {}", said.means.words(), never.words(), said.explanation));
            }
        }
        if self.rows.fate() != wanted.rows {
            out.push(format!("the rows are expected to be {}: {}", wanted.rows.word(), self.rows.sentence()));
        }
        if wanted.hex_dump_equal.is_some() && wanted.hex_dump_equal != self.hex_dump_equal {
            out.push(format!("of equal hex dumps another answer is expected: {}", hex_dumps(self.hex_dump_equal)));
        }
        if wanted.names_the_reader && !self.checkpoint.names("lab-reader", self.runtime == Kind::Docker) {
            out.push("inspect is expected to name the reader that pins the checkpoint".to_owned());
        }
        out
    }

    /// The part of the page below the steps.
    pub fn draw(&self, width: usize) -> String {
        let mut rows = vec![
            ("rows", self.rows.sentence()),
            ("integrity_check", integrity(&self.integrity_check)),
            ("checkpoint", self.checkpoint.sentence()),
            ("hex dumps", hex_dumps(self.hex_dump_equal).to_owned()),
        ];
        rows.extend(self.checkpoint.diagnosis.as_ref().map(|found| ("inspect", found.explanation.clone())));
        rows.extend(self.otherwise.iter().map(|deviation| ("unexpected", deviation.clone())));
        let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, text)| vec![name.to_owned(), text]).collect();
        format!("\n{}\n{}", self.comparison.draw(width), table::draw(&["afterwards", ""], &rows, width))
    }
}

/// A sentence about what a run on this runtime is, and what it cannot show.
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
    fn new(written_by: Both<u64>, seen_by: Both<Option<u64>>, found_by: Both<Option<u64>>) -> Self {
        let written = written_by.writer + written_by.reader;
        let found = found_by.writer.max(found_by.reader);
        let seen = seen_by.writer.zip(seen_by.reader).map(|(writer, reader)| writer.min(reader));
        let unseen = seen.zip(found).map(|(seen, found)| found.min(written).saturating_sub(seen));
        let lost = found.map(|found| written.saturating_sub(found));
        Self { written, found, lost, unseen, written_by, seen_by, found_by }
    }

    /// What became of the rows.
    fn fate(&self) -> Fate {
        match (self.lost, self.unseen) {
            (Some(0), Some(0)) => Fate::Kept,
            (Some(0), Some(_)) => Fate::Unseen,
            (Some(0), None) => Fate::Refused,
            // A database that cannot be read any more is a loss, too.
            _ => Fate::Lost,
        }
    }

    /// What became of the rows, for a cell of the table.
    pub fn cell(&self) -> String {
        match (self.fate(), self.lost) {
            (Fate::Unseen, _) => format!("0, {} not seen", self.unseen.unwrap_or_default()),
            (Fate::Refused, _) => "0, a side cannot read".to_owned(),
            (_, Some(lost)) => format!("{lost} of {}", self.written),
            (_, None) => "all".to_owned(),
        }
    }

    fn sentence(&self) -> String {
        let Both { writer, reader } = &self.found_by;
        let count = |count: &Option<u64>| count.map_or_else(|| "none readable".to_owned(), |count| count.to_string());
        let lost = match self.lost {
            Some(0) => match self.unseen {
                Some(0) => "none lost".to_owned(),
                Some(unseen) => format!("none lost, but a side did not see {unseen} while it had the database open"),
                None => "none lost, but a side could not count while it had the database open".to_owned(),
            },
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

impl Fate {
    fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Unseen => "kept, but not seen by a side",
            Self::Refused => "kept, but a side could not read them",
            Self::Lost => "lost in part",
        }
    }
}

impl Checkpoint {
    /// Whether the diagnosis says that a read transaction blocks the checkpoint, with its frame, its slot and its
    /// process.
    fn names(&self, command: &str, in_a_container: bool) -> bool {
        self.diagnosis.as_ref().is_some_and(|found| {
            let blockers = found.blocked_by.iter().filter(|blocker| blocker.slot.is_some() && blocker.mark.is_some());
            let mut holders = blockers.flat_map(|blocker| &blocker.holders);
            found.state == CheckpointState::Blocked
                && holders.any(|holder| {
                    let named = holder.pid.is_some() && holder.command.as_deref() == Some(command);
                    named && (holder.container.is_some() || !in_a_container)
                })
        })
    }

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

/// The expected verdict in a cell: a word, or what it must not be where more than one is right.
pub fn expected(expected: &Expected) -> String {
    let all = [Answer::Proven, Answer::Refuted, Answer::Undecided];
    let right = |answer: &Answer| expected.sharing == *answer || expected.also.sharing.contains(answer);
    let wrong: Vec<&str> = all.iter().filter(|answer| !right(answer)).map(|answer| words(*answer)).collect();
    match wrong.as_slice() {
        [] if expected.never.contains(&Never::ProvenOfMappings) => "not of mappings".to_owned(),
        [] => "any".to_owned(),
        [only] => format!("not {only}"),
        _ => words(expected.sharing).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lost_that_neither_side_finds() {
        let both = |writer, reader| Both { writer: Some(writer), reader: Some(reader) };
        let rows = Rows::new(Both { writer: 100, reader: 25 }, both(100, 50), both(100, 50));
        assert_eq!((rows.written, rows.found, rows.lost, rows.fate()), (125, Some(100), Some(25), Fate::Lost));
        let stale = Rows::new(Both { writer: 100, reader: 0 }, both(100, 40), both(100, 100));
        assert_eq!((stale.lost, stale.unseen, stale.fate()), (Some(0), Some(60), Fate::Unseen));
        let kept = Rows::new(Both { writer: 9, reader: 1 }, both(10, 10), both(10, 10));
        assert_eq!(kept.fate(), Fate::Kept);
        let nobody = Both { writer: None, reader: None };
        let none = Rows::new(Both { writer: 1, reader: 0 }, nobody.clone(), nobody);
        assert_eq!((none.found, none.lost, none.fate()), (None, None, Fate::Lost));
    }

    #[test]
    fn without_containers_the_headline_says_so() {
        for scenario in super::super::scenarios::all() {
            assert!(headline(Kind::Processes, scenario).contains("not that containers share"));
            assert!(!headline(Kind::Docker, scenario).contains("no containers"));
        }
    }
}
