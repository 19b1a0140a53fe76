//! What the two sides are given. A new scenario is a new row of the table.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use walscope::compare::Answer;

use super::runtime::View;

/// One way to give two containers a database.
#[derive(Debug)]
pub struct Scenario {
    /// As on the command line.
    pub name: &'static str,
    /// What it is, for the headline.
    pub summary: &'static str,
    /// The verdict that is to be expected.
    pub expected: Answer,
    /// Volumes to make.
    pub volumes: &'static [&'static str],
    /// What the writer sees.
    pub writer: View,
    /// What the reader sees.
    pub reader: View,
    /// Whether the reader's volume is filled with a copy of the writer's before the reader starts.
    pub copied: bool,
}

const WRITER: View = View { name: "writer", volume: "a", database_of: None };

/// All of them.
pub const SCENARIOS: [Scenario; 3] = [
    Scenario {
        name: "shared",
        summary: "one volume, mounted as a folder on both sides",
        expected: Answer::Proven,
        volumes: &["a"],
        writer: WRITER,
        reader: View { name: "reader", volume: "a", database_of: None },
        copied: false,
    },
    Scenario {
        name: "copied",
        summary: "each side has its own copy of the database, its -wal and its -shm, equal at the start",
        expected: Answer::Refuted,
        volumes: &["a", "b"],
        writer: WRITER,
        reader: View { name: "reader", volume: "b", database_of: None },
        copied: true,
    },
    Scenario {
        name: "file-mount",
        summary: "only the database file is shared; each side's -wal and -shm are its own",
        expected: Answer::Refuted,
        volumes: &["a", "b"],
        writer: WRITER,
        reader: View { name: "reader", volume: "b", database_of: Some("a") },
        copied: false,
    },
];

/// A scenario as an argument.
#[derive(Debug, Clone, Copy)]
pub struct Chosen(pub &'static Scenario);

impl ValueEnum for Chosen {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: [Chosen; 3] = {
            let [shared, copied, file_mount] = &SCENARIOS;
            [Chosen(shared), Chosen(copied), Chosen(file_mount)]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name).help(self.0.summary))
    }
}
