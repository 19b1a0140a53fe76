//! The scenarios, a file for each kind of difference between the two sides. A new scenario is a new row of a table.

mod files;
mod mounts;
mod processes;

use walscope::report::verdict::Answer::{Proven, Refuted, Undecided};

use super::protocol::Opening;
use super::runtime::View;
use super::scenario::Act::{self, BeginRead, Checkpoint, Create, EndRead, Insert, Look, Open};
use super::scenario::Who::{Reader, Writer};
use super::scenario::{Also, Expected, Fate, Never, Scenario};
use super::volume::{Kind, Volume};

/// All scenarios, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    processes::SCENARIOS.iter().chain(&files::SCENARIOS).chain(&mounts::SCENARIOS)
}

/// The writer makes the database in its volume. It checkpoints so that the reader finds the table, whichever files it gets.
const CREATE: &[Act] = &[Open(Writer), Create(Writer), Checkpoint];
/// The steps of the published experiment, and then a reader with an old read transaction while the writer continues and
/// checkpoints.
const USUAL: &[Act] =
    &[Insert(Writer), Insert(Reader), Insert(Writer), BeginRead, Insert(Writer), Checkpoint, Look, EndRead];
/// Both sides write, without a checkpoint and without a transaction that stays open: on FUSE these would do so much
/// damage that no rows could be counted.
const IN_TURN: &[Act] = &[Insert(Writer), Insert(Reader), Look];

const A: Volume = Volume { name: "a", kind: Kind::Folder };
const B: Volume = Volume { name: "b", kind: Kind::Folder };

const fn writer(volume: &'static str) -> View {
    View::of("writer", volume)
}

const fn reader(volume: &'static str) -> View {
    View::of("reader", volume)
}

const SHARED: Expected = Expected {
    sharing: Proven,
    memory: Proven,
    locks: Proven,
    also: Also::NONE,
    never: &[Never::Refuted],
    rows: Fate::Kept,
    hex_dump_equal: Some(true),
    names_the_reader: false,
};
const APART: Expected = Expected {
    sharing: Refuted,
    memory: Refuted,
    locks: Refuted,
    also: Also::NONE,
    never: &[Never::Proven],
    rows: Fate::Lost,
    hex_dump_equal: None,
    names_the_reader: false,
};
/// A process of a side is not protected by the locks, or does not use the wal-index, whatever the paths lead to.
const UNPROTECTED: Expected = Expected {
    sharing: Undecided,
    memory: Undecided,
    locks: Undecided,
    also: Also { sharing: &[Proven, Refuted], memory: &[Proven, Refuted], locks: &[Proven, Refuted] },
    never: &[Never::ProvenOfMappings, Never::ProvenWithoutWarning],
    rows: Fate::Lost,
    hex_dump_equal: None,
    names_the_reader: false,
};
/// There is no wal-index that could be shared.
const NO_WAL_INDEX: Expected = Expected {
    sharing: Undecided,
    memory: Undecided,
    locks: Undecided,
    also: Also::NONE,
    never: &[Never::Proven, Never::Refuted],
    rows: Fate::Kept,
    hex_dump_equal: None,
    names_the_reader: false,
};
