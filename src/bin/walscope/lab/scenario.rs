//! The scenarios: what the two sides get, what happens, and which result is expected. A new scenario is a new row of
//! the table.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use walscope::report::verdict::Answer::{self, Proven, Refuted, Undecided};

use super::runtime::View;
use super::volume::{Kind, Volume};

/// One way to give two containers a database.
#[derive(Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// A description for the headline.
    pub summary: &'static str,
    /// The results that are expected.
    pub expected: Expected,
    /// What the writer sees.
    pub writer: View,
    /// What the reader sees.
    pub reader: View,
    /// What happens, in this order. At the end both close, and each opens the database afresh.
    pub script: &'static [&'static [Act]],
}

/// The results that are expected.
#[derive(Debug, Clone, Copy, schemars::JsonSchema, serde::Serialize)]
pub struct Expected {
    /// The verdict.
    pub sharing: Answer,
    /// The answer for the `-shm` pages.
    pub memory: Answer,
    /// The answer for the locks.
    pub locks: Answer,
    /// What happens to the rows.
    pub rows: Fate,
    /// Whether the two `-shm` are equal byte for byte; null: both are possible.
    pub hex_dump_equal: Option<bool>,
    /// Whether `inspect` of the writer has to name the reader that blocks the checkpoint.
    pub names_the_reader: bool,
}

/// What happens to committed rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Both sides see all of them, and all of them are there at the end.
    Kept,
    /// All of them are there at the end, but a side did not see them while it had the database open.
    Unseen,
    /// Some of them are gone.
    Lost,
}

/// A side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Creates the table.
    Writer,
    /// Usually opens the database after the writer.
    Reader,
}

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// A volume is made.
    Volume(&'static Volume),
    /// A process makes the database in this volume and is killed, so that `-wal` and `-shm` stay beside it.
    Seed(&'static str),
    /// A side starts if it is not running, and opens the database.
    Open(Who),
    /// A side starts if it is not running, and opens the database so that it writes neither the database nor the `-shm`.
    OpenReadOnly(Who),
    /// A side makes the table and inserts a batch.
    Create(Who),
    /// A side inserts a batch.
    Insert(Who),
    /// The writer checkpoints, passively.
    Checkpoint,
    /// The three files are copied from the writer's volume to the reader's, while nobody writes.
    CopyFiles,
    /// The reader's side deletes the `-shm`.
    DeleteShm,
    /// The reader begins a read transaction.
    BeginRead,
    /// The writer is killed within a write transaction that already has frames in the `-wal`.
    KillWriter,
    /// walscope looks at both sides.
    Look,
    /// The reader ends its read transaction.
    EndRead,
}

use Act::{
    BeginRead, Checkpoint, CopyFiles, Create, DeleteShm, EndRead, Insert, KillWriter, Look, Open, OpenReadOnly, Seed,
};
use Who::{Reader, Writer};

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
const OVERLAY_1: Volume = Volume { name: "o1", kind: Kind::Overlay { lower: "a" } };
const OVERLAY_2: Volume = Volume { name: "o2", kind: Kind::Overlay { lower: "a" } };
const FUSE_1: Volume = Volume { name: "m1", kind: Kind::Fuse { of: "a", forwards_locks: false } };
const FUSE_2: Volume = Volume { name: "m2", kind: Kind::Fuse { of: "a", forwards_locks: false } };
const LOCKING_FUSE_1: Volume = Volume { name: "m1", kind: Kind::Fuse { of: "a", forwards_locks: true } };
const LOCKING_FUSE_2: Volume = Volume { name: "m2", kind: Kind::Fuse { of: "a", forwards_locks: true } };

const fn writer(volume: &'static str) -> View {
    View { name: "writer", volume, database_of: None }
}

const fn reader(volume: &'static str) -> View {
    View { name: "reader", volume, database_of: None }
}

const SHARED: Expected = Expected {
    sharing: Proven,
    memory: Proven,
    locks: Proven,
    rows: Fate::Kept,
    hex_dump_equal: Some(true),
    names_the_reader: false,
};
const APART: Expected = Expected {
    sharing: Refuted,
    memory: Refuted,
    locks: Refuted,
    rows: Fate::Lost,
    hex_dump_equal: None,
    names_the_reader: false,
};

/// All scenarios.
pub static SCENARIOS: [Scenario; 10] = [
    Scenario {
        name: "shared",
        summary: "one volume, mounted as a folder on both sides",
        expected: SHARED,
        writer: writer("a"),
        reader: reader("a"),
        script: &[&[Act::Volume(&A)], CREATE, &[Open(Reader)], USUAL],
    },
    Scenario {
        name: "pinned-reader",
        summary: "one volume; a reader keeps a read transaction open while the writer goes on and checkpoints",
        expected: Expected { names_the_reader: true, ..SHARED },
        writer: writer("a"),
        reader: reader("a"),
        script: &[
            &[Act::Volume(&A)],
            CREATE,
            &[
                Open(Reader),
                Insert(Writer),
                BeginRead,
                Insert(Writer),
                Checkpoint,
                Insert(Writer),
                Checkpoint,
                Look,
                EndRead,
            ],
        ],
    },
    Scenario {
        name: "killed-writer",
        summary: "one volume; the writer is killed in the middle of a transaction and another takes over",
        expected: SHARED,
        writer: writer("a"),
        reader: reader("a"),
        script: &[
            &[Act::Volume(&A)],
            CREATE,
            &[Open(Reader), Insert(Writer), KillWriter, Insert(Reader), Open(Writer)],
            USUAL,
        ],
    },
    Scenario {
        name: "copied",
        summary: "each side has its own copy of the database, its -wal and its -shm, equal at the start",
        expected: APART,
        writer: writer("a"),
        reader: reader("b"),
        script: &[&[Act::Volume(&A), Act::Volume(&B)], CREATE, &[CopyFiles, Open(Reader)], USUAL],
    },
    Scenario {
        name: "file-mount",
        summary: "only the database file is shared; each side's -wal and -shm are its own",
        expected: APART,
        writer: writer("a"),
        reader: View { name: "reader", volume: "b", database_of: Some("a") },
        script: &[&[Act::Volume(&A), Act::Volume(&B)], CREATE, &[Open(Reader)], USUAL],
    },
    Scenario {
        name: "deleted-shm",
        summary: "one volume; the -shm is deleted under the writer before the reader comes",
        expected: APART,
        writer: writer("a"),
        reader: reader("a"),
        script: &[&[Act::Volume(&A)], CREATE, &[DeleteShm, Open(Reader)], USUAL],
    },
    Scenario {
        name: "overlay",
        summary: "two overlay mounts over one lower folder that holds the database",
        expected: APART,
        writer: writer("o1"),
        reader: reader("o2"),
        script: &[
            &[Act::Volume(&A), Seed("a"), Act::Volume(&OVERLAY_1), Act::Volume(&OVERLAY_2), Open(Writer), Open(Reader)],
            USUAL,
        ],
    },
    Scenario {
        name: "copy-up",
        summary: "one overlay; the reader opened the files read-only before the writer's open copied them up",
        expected: Expected { locks: Proven, rows: Fate::Unseen, ..APART },
        writer: writer("o1"),
        reader: reader("o1"),
        script: &[
            &[Act::Volume(&A), Seed("a"), Act::Volume(&OVERLAY_1), OpenReadOnly(Reader), Open(Writer), Insert(Writer)],
            &[BeginRead, Insert(Writer), Checkpoint, Look, EndRead],
        ],
    },
    Scenario {
        name: "fuse",
        summary: "one folder behind two FUSE mounts (bindfs)",
        expected: Expected { hex_dump_equal: Some(true), ..APART },
        writer: writer("m1"),
        reader: reader("m2"),
        script: &[&[Act::Volume(&A), Act::Volume(&FUSE_1), Act::Volume(&FUSE_2)], CREATE, &[Open(Reader)], IN_TURN],
    },
    Scenario {
        name: "fuse-locks",
        summary: "one folder behind two FUSE mounts that hand locks on to it (bindfs --enable-lock-forwarding)",
        expected: Expected { locks: Undecided, hex_dump_equal: Some(true), ..APART },
        writer: writer("m1"),
        reader: reader("m2"),
        script: &[
            &[Act::Volume(&A), Act::Volume(&LOCKING_FUSE_1), Act::Volume(&LOCKING_FUSE_2)],
            CREATE,
            &[Open(Reader)],
            IN_TURN,
        ],
    },
];

impl Scenario {
    /// What a side sees.
    pub fn view(&self, who: Who) -> &View {
        match who {
            Writer => &self.writer,
            Reader => &self.reader,
        }
    }

    /// Everything that happens, in order.
    pub fn acts(&self) -> impl Iterator<Item = Act> + use<> {
        self.script.iter().flat_map(|part| part.iter().copied())
    }

    /// The volumes that need a mount.
    pub fn mounts(&self) -> impl Iterator<Item = &'static Volume> + use<> {
        self.acts().filter_map(|act| match act {
            Act::Volume(volume) if volume.is_mount() => Some(volume),
            _ => None,
        })
    }
}

/// A scenario as an argument.
#[derive(Debug, Clone, Copy)]
pub struct Chosen(pub &'static Scenario);

impl ValueEnum for Chosen {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: std::sync::LazyLock<Vec<Chosen>> =
            std::sync::LazyLock::new(|| SCENARIOS.iter().map(Chosen).collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name).help(self.0.summary))
    }
}
