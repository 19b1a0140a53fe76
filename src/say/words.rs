//! Helpers for every sentence: names of sides, numbers, plurals, lists, times.

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
        named.push(format!("{} more", count((all.len() - LISTED) as u64)));
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

/// An amount, with separated thousands: of frames, pages, bytes, commits. Every sentence, table and picture writes amounts
/// so. What is a name or a setting has no separators: a process, an inode, a version, the page size as its PRAGMA has it,
/// an offset that other tools are given.
#[must_use]
pub fn count(n: impl Into<u64>) -> String {
    let digits = n.into().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A noun after a number: `1 frame`, `2 frames`.
pub(crate) fn plural(n: u64, noun: &str) -> String {
    let several = if noun.ends_with('s') { "es" } else { "s" };
    format!("{noun}{}", if n == 1 { "" } else { several })
}

/// An amount of things: `1 frame`, `2,000 frames`.
#[must_use]
pub fn many(n: impl Into<u64>, thing: &str) -> String {
    let n = n.into();
    format!("{} {}", count(n), plural(n, thing))
}

/// The form of a verb, or a pronoun, after an amount.
pub(super) fn one_or<'a>(n: u64, one: &'a str, several: &'a str) -> &'a str {
    if n == 1 { one } else { several }
}

/// All of them, and a verb in the form for one and for several: `All 7 frames are`, `The only frame is`.
pub(super) fn all(n: u64, thing: &str, one: &str, several: &str) -> String {
    if n == 1 { format!("The only {thing} {one}") } else { format!("All {} {several}", many(n, thing)) }
}

/// Some of them, and a verb: `3 of 7 frames wait`, `1 of 7 frames waits`; if it is all of them, as [`all`] says it.
pub(super) fn part(n: u64, of: u64, thing: &str, one: &str, several: &str) -> String {
    if n == of {
        return all(n, thing, one, several);
    }
    format!("{} of {} {}", count(n), many(of, thing), if n == 1 { one } else { several })
}

/// A SQLITE_VERSION_NUMBER in the usual form: `3.40.1`.
pub(super) fn release(version: u32) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(count(0_u32), "0");
        assert_eq!(count(999_u32), "999");
        assert_eq!(count(1_204_u32), "1,204");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn verbs_and_nouns_agree_with_their_number() {
        let waiting = |n, of| part(n, of, "frame", "waits", "wait");
        assert_eq!(waiting(1, 1), "The only frame waits");
        assert_eq!(waiting(7, 7), "All 7 frames wait");
        assert_eq!(waiting(1, 7_000), "1 of 7,000 frames waits");
        assert_eq!(waiting(3_000, 7_000), "3,000 of 7,000 frames wait");
        assert_eq!((many(1_u32, "byte"), many(0_u32, "byte")), ("1 byte".to_owned(), "0 bytes".to_owned()));
    }
}
