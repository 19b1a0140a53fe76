//! The figures of a campaign. A campaign that never met a blocked checkpoint says nothing about blocked checkpoints.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Default)]
pub struct Tally {
    pub histories: u64,
    counts: BTreeMap<String, u64>,
}

impl Tally {
    pub fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    pub fn add(&mut self, other: Self) {
        self.histories += other.histories;
        for (what, n) in other.counts {
            *self.counts.entry(what).or_default() += n;
        }
    }

    /// All that begins with this.
    pub fn sum(&self, with: &str) -> u64 {
        self.counts.iter().filter(|(what, _)| what.starts_with(with)).map(|(_, n)| n).sum()
    }

    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} histories", self.histories)?;
        self.counts.iter().try_for_each(|(what, n)| writeln!(f, "{n:>9}  {what}"))
    }
}
