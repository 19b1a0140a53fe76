//! The figures of the campaign.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Default)]
pub struct Tally {
    pub setups: u64,
    counts: BTreeMap<String, u64>,
}

impl Tally {
    pub fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    pub fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }

    pub fn add(&mut self, other: Self) {
        self.setups += other.setups;
        for (what, n) in other.counts {
            *self.counts.entry(what).or_default() += n;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} set-ups", self.setups)?;
        self.counts.iter().try_for_each(|(what, n)| writeln!(f, "{n:>9}  {what}"))
    }
}
