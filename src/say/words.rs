//! What every sentence needs: names of sides, plurals, lists, times.

use crate::compare::{Comparison, Part, Process, SideIndex};
use crate::evidence::Timestamp;

/// What the sides are called, by their position.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a>(&'a [&'a str]);

impl<'a> Names<'a> {
    /// The sides of a probe.
    pub const PROBE: Names<'static> = Names(&["this side", "the other side"]);

    /// Names in the order of the sides.
    #[must_use]
    pub fn new(names: &'a [&'a str]) -> Self {
        Self(names)
    }

    /// Borrows the names of a comparison's sides, for [`Names::new`].
    #[must_use]
    pub fn labels(comparison: &Comparison) -> Vec<&str> {
        comparison.sides.iter().map(|side| side.label.as_str()).collect()
    }

    /// The name of a side.
    #[must_use]
    pub fn of(&self, side: SideIndex) -> &'a str {
        self.0.get(side.0).copied().unwrap_or_default()
    }

    /// All names: `a, b and c`.
    pub(super) fn all(&self) -> String {
        match self.0.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => self.0.concat(),
        }
    }

    /// Whether there are more than two sides, so that what is said about a pair has to name it.
    pub(super) fn are_several(&self) -> bool {
        self.0.len() > 2
    }
}

/// A file of a database.
pub(super) fn part(part: Part) -> &'static str {
    match part {
        Part::Directory => "directory",
        Part::Database => "database",
        Part::Wal => "-wal",
        Part::Shm => "-shm",
    }
}

/// Processes named in one sentence.
pub(super) const LISTED: usize = 5;

/// A process and what it runs.
pub(super) fn process(process: &Process) -> String {
    let command = process.command.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("process {}{command}", process.pid)
}

/// Some processes; the first few by name.
#[must_use]
pub fn processes(all: &[Process]) -> String {
    let mut named: Vec<String> = all.iter().take(LISTED).map(process).collect();
    if all.len() > LISTED {
        named.push(format!("{} more", all.len() - LISTED));
    }
    named.join(", ")
}

/// In UTC, to the nanosecond; as a number where no calendar reaches.
pub(super) fn time(time: Timestamp) -> String {
    let nanoseconds = i32::try_from(time.nanoseconds).ok();
    let moment = nanoseconds.and_then(|nanoseconds| jiff::Timestamp::new(time.seconds, nanoseconds).ok());
    moment.map_or_else(|| format!("{}.{:09}", time.seconds, time.nanoseconds), |moment| moment.to_string())
}
