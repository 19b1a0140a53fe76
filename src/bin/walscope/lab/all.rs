//! `lab --all`: runs every scenario and shows the results as a table.

use schemars::JsonSchema;
use serde::Serialize;
use walscope::report::verdict::Answer;
use walscope::report::{safe, table};

use super::document::{self, LabDocument};
use super::experiment::Both;
use super::means::{Means, Said, words};
use super::progress::Progress;
use super::runtime::Unavailable;
use super::scenario::{Expected, Need, Scenario};
use super::{LabArgs, experiment, scenarios, volume};
use crate::exit::Exit;
use crate::options::Global;
use crate::output;
use crate::stop::Stop;

/// The document.
#[derive(Debug, JsonSchema, Serialize)]
pub struct LabAllDocument {
    /// `walscope/lab-all/1`.
    pub schema: &'static str,
    /// Every scenario, in the order of the table.
    pub scenarios: Vec<Ran>,
    /// Number of scenarios that came out as expected.
    pub as_expected: usize,
    /// Number of scenarios that came out differently, or failed.
    pub otherwise: usize,
    /// Number of scenarios that were skipped.
    pub skipped: usize,
}

/// One scenario.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Ran {
    /// Its name on the command line.
    pub scenario: &'static str,
    /// Its description.
    pub summary: &'static str,
    /// What it needs of the machine, besides a runtime.
    pub needs: Vec<Need>,
    /// Its outcome.
    pub state: State,
    /// Why it was skipped or failed, or what came out differently.
    pub reason: Option<String>,
    /// What was expected.
    pub expected: Expected,
    /// What came out. Null: the scenario was skipped or failed.
    pub run: Option<LabDocument>,
}

/// The outcome of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Everything came out as expected.
    AsExpected,
    /// Something came out differently.
    Otherwise,
    /// It could not be run to its end.
    Failed,
    /// This machine, or this user, cannot provide what it needs.
    Skipped,
}

/// Runs all.
pub fn run(args: &LabArgs, global: &Global, stop: &Stop) -> anyhow::Result<Exit> {
    let progress = Progress::aside(global);
    // Once for all scenarios, while there is only one thread.
    let mounts = volume::private_mounts().map_err(|error| format!("{error:#}"));
    let mut scenarios = Vec::new();
    for scenario in scenarios::all() {
        stop.check()?;
        let possible = match &mounts {
            Err(reason) if scenario.needs_mounts() => Err(Unavailable(reason.clone()).into()),
            _ => Ok(()),
        };
        let keep = args.keep.as_ref().map(|keep| keep.join(scenario.name));
        let run = possible.and_then(|()| experiment(args, scenario, keep.as_deref(), &progress, stop));
        stop.check()?;
        scenarios.push(Ran::new(scenario, run));
    }
    let document = LabAllDocument::new(scenarios);
    output::document(global, &document, |width| document.draw(width))?;
    Ok(document.exit(args.require_all))
}

impl Ran {
    fn new(scenario: &Scenario, run: anyhow::Result<LabDocument>) -> Self {
        let (state, reason, run) = match run {
            Ok(run) if run.as_expected => (State::AsExpected, None, Some(run)),
            Ok(run) => (State::Otherwise, Some(run.otherwise.join("; ")), Some(run)),
            Err(error) if error.is::<Unavailable>() => (State::Skipped, Some(format!("{error:#}")), None),
            Err(error) => (State::Failed, Some(format!("{error:#}")), None),
        };
        let (name, summary, expected) = (scenario.name, scenario.summary, scenario.expected);
        Self { scenario: name, summary, needs: scenario.needs(), state, reason, expected, run }
    }

    /// What was expected, and what walscope said by each means.
    fn verdicts(&self) -> Vec<String> {
        let mut row = vec![self.scenario.to_owned(), document::expected(&self.expected)];
        match &self.run {
            None => row.push(if self.state == State::Skipped { "skipped" } else { "failed" }.to_owned()),
            Some(run) => {
                row.extend([&[Means::Live][..], &[Means::Bundles], &[Means::MeetDatabase, Means::MeetFolder]].map(
                    |means| {
                        let mut cells: Vec<String> =
                            run.said.iter().filter(|said| means.contains(&said.means)).map(Said::cell).collect();
                        cells.dedup();
                        cells.join(", ")
                    },
                ));
            }
        }
        row
    }

    /// What the verdict is made of, and what became of the rows.
    fn results(&self) -> Option<Vec<String>> {
        let run = self.run.as_ref()?;
        let verdict = &run.comparison.verdict;
        let answer = |answer: Answer| words(answer).to_owned();
        let hex_dumps = match run.hex_dump_equal {
            Some(true) => "equal",
            Some(false) => "differ",
            None => "",
        };
        let mut row = vec![self.scenario.to_owned(), answer(verdict.memory), answer(verdict.locks)];
        row.extend([hex_dumps.to_owned(), run.rows.cell(), integrity(&run.integrity_check)]);
        Some(row)
    }

    /// Why the two sides were not compared live.
    fn not_live(&self) -> Option<&str> {
        self.run.as_ref()?.not_live.as_deref()
    }

    /// The remark below the table about this scenario.
    fn remark(&self) -> Option<String> {
        let diagnosis = || self.run.as_ref()?.checkpoint.diagnosis.as_ref().map(|found| found.explanation.clone());
        let text = match self.state {
            State::AsExpected if self.expected.names_the_reader => format!("inspect says: {}", diagnosis()?),
            State::AsExpected => self.not_live()?.to_owned(),
            State::Otherwise => format!("not as expected: {}", self.reason.as_deref()?),
            State::Failed => format!("failed: {}", self.reason.as_deref()?),
            State::Skipped => format!("skipped: {}", self.reason.as_deref()?),
        };
        Some(format!("{}: {text}", self.scenario))
    }
}

impl LabAllDocument {
    fn new(scenarios: Vec<Ran>) -> Self {
        let count = |states: &[State]| scenarios.iter().filter(|ran| states.contains(&ran.state)).count();
        Self {
            schema: "walscope/lab-all/1",
            as_expected: count(&[State::AsExpected]),
            otherwise: count(&[State::Otherwise, State::Failed]),
            skipped: count(&[State::Skipped]),
            scenarios,
        }
    }

    fn exit(&self, require_all: bool) -> Exit {
        let not_live = self.scenarios.iter().any(|ran| ran.not_live().is_some());
        match (self.otherwise, self.skipped > 0 || not_live) {
            (0, true) if require_all => Exit::NoAnswer,
            (0, _) => Exit::Good,
            _ => Exit::Bad,
        }
    }

    fn draw(&self, width: usize) -> String {
        let heads = ["scenario", "expected", "compare", "snapshots", "probe meet"];
        let verdicts: Vec<Vec<String>> = self.scenarios.iter().map(Ran::verdicts).collect();
        let mut out = table::draw(&heads, &verdicts, width);
        let heads = ["scenario", "memory", "locks", "hex dumps", "rows lost", "integrity_check"];
        let results: Vec<Vec<String>> = self.scenarios.iter().filter_map(Ran::results).collect();
        out.push('\n');
        out.push_str(&table::draw(&heads, &results, width));
        let counts = [(self.as_expected, "as expected"), (self.otherwise, "otherwise"), (self.skipped, "skipped")];
        let counts: Vec<String> =
            counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let remarks = self.scenarios.iter().filter_map(Ran::remark);
        for text in std::iter::once(counts.join(", ")).chain(remarks) {
            out.push_str(&format!("\n{}\n", textwrap::fill(&safe(&text), width)));
        }
        out
    }
}

/// The integrity check in a word; the document has SQLite's answer.
fn integrity(check: &Both<String>) -> String {
    match (check.writer == "ok", check.reader == "ok") {
        (true, true) => "ok",
        (false, false) => "not ok",
        (true, false) => "reader: not ok",
        (false, true) => "writer: not ok",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(state: State) -> Ran {
        let scenario = scenarios::all().next().unwrap();
        Ran { state, ..Ran::new(scenario, Err(Unavailable("no root".to_owned()).into())) }
    }

    #[test]
    fn what_is_otherwise_fails_and_what_is_skipped_fails_where_all_is_required() {
        let exit = |states: &[State], require_all| {
            LabAllDocument::new(states.iter().map(|state| ended(*state)).collect()).exit(require_all)
        };
        let (good, skipped) = (State::AsExpected, State::Skipped);
        assert_eq!(exit(&[good, good], true), Exit::Good);
        assert_eq!(exit(&[good, skipped], false), Exit::Good);
        assert_eq!(exit(&[good, skipped], true), Exit::NoAnswer);
        for bad in [State::Otherwise, State::Failed] {
            assert_eq!(exit(&[good, skipped, bad], false), Exit::Bad);
            assert_eq!(exit(&[good, bad], true), Exit::Bad);
        }
    }

    #[test]
    fn a_skipped_scenario_is_said_to_be_skipped_with_the_reason() {
        let text = LabAllDocument::new(vec![ended(State::Skipped)]).draw(100);
        assert!(text.contains("1 skipped") && text.contains("shared: skipped: no root"), "{text}");
    }
}
