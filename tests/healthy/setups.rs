//! What a set-up is, which answers are expected in it, and why some are not the usual ones.

use crate::build::Busy;
use crate::common::docker::Shell;
use crate::means::{Answer, Means, NOT_ASKED};
use crate::side::Side;

/// Two processes of real SQLite that share one wal-index.
pub struct Setup {
    pub name: &'static str,
    pub sides: [Side; 2],
    /// Answers that are not the usual ones.
    pub others: &'static [Other],
    /// The two processes, and others beside them. They end with these.
    pub shells: Vec<Shell>,
    pub busy: Vec<Busy>,
}

/// An answer that is not the usual one.
pub struct Other {
    means: &'static [Means],
    pub cell: &'static str,
    why: &'static str,
}

pub const NO_NAME: Other =
    Other { means: &[Means::Names], cell: NOT_ASKED, why: "There is no container, so there is no name." };

pub const PAUSED: Other = Other {
    means: &[Means::RootBundles, Means::UserBundles, Means::MeetDatabase, Means::MeetFolder],
    cell: NOT_ASKED,
    why: "Nothing can be run in a container that is paused. Ask from the host.",
};

pub const ONE_PLACE: Other = Other {
    means: &[Means::Names],
    cell: "undecided",
    why: "One path in one container, given twice, is one place. `pid:N:/path` tells its processes apart.",
};

pub const ANOTHER_USER: Other = Other {
    means: &[Means::RootBundles],
    cell: "paths",
    why: "Root in a container has no CAP_SYS_PTRACE there, so it cannot look into a process of another user. Capture as \
          the user of that process, or from the host.",
};

pub const ONES_OWN: Other = Other {
    means: &[Means::UserBundles],
    cell: "mappings",
    why: "A process of one's own user can be looked at without a capability.",
};

pub const READ_ONLY: Other = Other {
    means: &[Means::MeetFolder],
    cell: NOT_ASKED,
    why: "There is no trial in a folder that cannot be written to.",
};

pub const NO_DISK: Other = Other {
    means: &[Means::UserBundles],
    cell: "undecided",
    why: "Two captures, one after the other, have to be of one mounted disk. A btrfs does not show its disk, the mounts of \
          two containers differ, and no process was seen that holds the files all the time. Capture as the user of the \
          processes.",
};

impl Setup {
    pub fn other_than_usual(&self, means: Means) -> Option<&Other> {
        self.others.iter().find(|other| other.means.contains(&means))
    }

    /// What is wrong with an answer.
    pub fn judge(&self, means: Means, answer: &Answer) -> Option<String> {
        let usual = match means {
            Means::Names | Means::Pids | Means::RootBundles => "mappings",
            Means::UserBundles | Means::MeetDatabase | Means::MeetFolder => "paths",
        };
        let expected = self.other_than_usual(means).map_or(usual, |other| other.cell);
        // What a verdict assumes is no loss, if it says so.
        let right = answer.cell.replace("\\*", "") == expected && answer.alarms.is_empty();
        let Answer { cell, alarms, said } = answer;
        (!right).then(|| format!("{}, {means:?}: {cell} {alarms:?}, expected {expected}: {said}", self.name))
    }
}

/// The reasons for answers that are not the usual ones, in the order of the table.
pub struct Reasons(Vec<&'static str>);

impl Reasons {
    pub fn of(setups: &[Setup]) -> Self {
        let mut all = Vec::new();
        for other in setups.iter().flat_map(|setup| setup.others) {
            if !all.contains(&other.why) {
                all.push(other.why);
            }
        }
        Self(all)
    }

    /// The number of a reason, as it stands behind an answer.
    pub fn note(&self, other: Option<&Other>) -> String {
        let at = other.and_then(|other| self.0.iter().position(|why| *why == other.why));
        at.map_or_else(String::new, |at| format!(" ({})", at + 1))
    }

    /// A list with the numbers.
    pub fn list(&self) -> String {
        self.0.iter().enumerate().map(|(at, why)| format!("{}. {why}\n", at + 1)).collect()
    }
}
