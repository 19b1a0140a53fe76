//! Helpers for every sentence: names of sides, plurals, lists, times.

#[cfg(feature = "capture")]
use crate::compare::Comparison;
use crate::evidence::Timestamp;
use crate::sides::{Process, SideIndex};

/// The names of the sides.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    names: &'a [&'a str],
    /// Whose names these are; `None`: those of all sides in their order.
    at: Option<&'a [SideIndex]>,
}

impl<'a> Names<'a> {
    /// The sides of a probe.
    pub const PROBE: Names<'static> = Names { names: &["this side", "the other side"], at: None };

    /// Names in the order of the sides.
    #[must_use]
    pub fn new(names: &'a [&'a str]) -> Self {
        Self { names, at: None }
    }

    /// Names of some of the sides: the first name is that of the first position.
    #[must_use]
    pub fn of_some(at: &'a [SideIndex], names: &'a [&'a str]) -> Self {
        Self { names, at: Some(at) }
    }

    /// Borrows the names of a comparison's sides, for [`Names::new`].
    #[cfg(feature = "capture")]
    #[must_use]
    pub fn labels(comparison: &Comparison) -> Vec<&str> {
        comparison.sides.iter().map(|side| side.label.as_str()).collect()
    }

    /// The name of a side.
    #[must_use]
    pub fn of(&self, side: SideIndex) -> &'a str {
        let at = match self.at {
            None => Some(side.0),
            Some(at) => at.iter().position(|known| *known == side),
        };
        at.and_then(|at| self.names.get(at)).copied().unwrap_or_default()
    }

    /// All names: `a, b and c`.
    #[cfg(feature = "capture")]
    pub(super) fn all(&self) -> String {
        match self.names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => self.names.concat(),
        }
    }

    /// Whether there are more than two sides, so that a sentence about a pair has to name the two.
    #[cfg(feature = "capture")]
    pub(super) fn are_several(&self) -> bool {
        self.names.len() > 2
    }
}

/// The number of processes that one sentence names.
pub(super) const LISTED: usize = 5;

/// A process and the name of its command.
pub(super) fn process(process: &Process) -> String {
    let command = process.command.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("process {}{command}", process.pid)
}

/// Some processes; the first few are named.
pub(super) fn processes(all: &[Process]) -> String {
    let mut named: Vec<String> = all.iter().take(LISTED).map(process).collect();
    if all.len() > LISTED {
        named.push(format!("{} more", all.len() - LISTED));
    }
    named.join(", ")
}

/// After the names of several, so that what follows may speak of one.
pub(super) fn each(names: usize) -> &'static str {
    if names > 1 { ": each" } else { "" }
}

/// The form of a verb, or a pronoun with it, for one process or for several.
pub(super) fn verb<T>(all: &[T], one: &'static str, several: &'static str) -> &'static str {
    if all.len() == 1 { one } else { several }
}

/// A time in UTC, to the nanosecond, or as a number if the calendar does not reach it.
pub(super) fn time(time: Timestamp) -> String {
    in_calendar(time).unwrap_or_else(|| format!("{}.{:09}", time.seconds, time.nanoseconds))
}

#[cfg(feature = "capture")]
fn in_calendar(time: Timestamp) -> Option<String> {
    let nanoseconds = i32::try_from(time.nanoseconds).ok()?;
    jiff::Timestamp::new(time.seconds, nanoseconds).ok().map(|moment| moment.to_string())
}

/// Sides are compared with the feature `capture` only, and it brings the calendar.
#[cfg(not(feature = "capture"))]
fn in_calendar(_: Timestamp) -> Option<String> {
    None
}
