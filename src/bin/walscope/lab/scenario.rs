//! What a scenario is: what the two sides get, what happens, and which results are right. The scenarios themselves are in
//! [`super::scenarios`].

use clap::ValueEnum;
use clap::builder::PossibleValue;
use walscope::report::verdict::Answer;

use super::protocol::{FileJob, Opening};
use super::runtime::View;
use super::scenarios;
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
    /// Answers that are right as well.
    pub also: Also,
    /// What must not be said by any means.
    pub never: &'static [Never],
    /// What happens to the rows.
    pub rows: Fate,
    /// Whether the two `-shm` are equal byte for byte; null: both are possible.
    pub hex_dump_equal: Option<bool>,
    /// Whether `inspect` of the writer has to name the reader that blocks the checkpoint.
    pub names_the_reader: bool,
}

/// Answers that are right as well, because more than one is.
#[derive(Debug, Clone, Copy, schemars::JsonSchema, serde::Serialize)]
pub struct Also {
    /// For the verdict.
    pub sharing: &'static [Answer],
    /// For the `-shm` pages.
    pub memory: &'static [Answer],
    /// For the locks.
    pub locks: &'static [Answer],
}

impl Also {
    /// No others.
    pub const NONE: Self = Self { sharing: &[], memory: &[], locks: &[] };
}

/// What must not be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Never {
    /// That sharing is proven.
    Proven,
    /// That sharing is refuted.
    Refuted,
    /// That sharing is proven of the mappings of the running processes.
    ProvenOfMappings,
    /// That sharing is proven, without a finding that is a warning or an error.
    ProvenWithoutWarning,
    /// That the locks are shared.
    LocksProven,
}

/// What a scenario needs of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Root, to mount something.
    Root,
    /// bindfs and `/dev/fuse`.
    Fuse,
    /// A loop device.
    Loop,
    /// mkfs.btrfs and btrfs.
    Btrfs,
}

/// What happens to committed rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Both sides see all of them, and all of them are there at the end.
    Kept,
    /// All of them are there at the end, but a side did not see them while it had the database open.
    Unseen,
    /// All of them are there at the end, but a side could not read the database while the other had it open.
    Refused,
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

/// Where the two sides meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// At the database.
    Database,
    /// In its folder.
    Folder,
}

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// A volume is made.
    Volume(&'static Volume),
    /// A process makes the database in this volume and is killed, so that `-wal` and `-shm` stay beside it.
    Seed(&'static str),
    /// A process of no side makes a database in this volume and keeps it open.
    Outsider(&'static str),
    /// A side starts if it is not running, and opens the database.
    Open(Who),
    /// A side starts if it is not running, and opens the database in this way.
    OpenAs(Who, Opening),
    /// A side also opens the database at this path of its second volume, and inserts a row there.
    OpenAlso(Who, &'static str),
    /// A side starts; its SQLite keeps the wal-index in its second volume.
    WalIndexElsewhere(Who),
    /// A side makes the table in WAL mode and inserts a batch.
    Create(Who),
    /// A side makes the table in rollback journal mode and inserts a batch.
    CreateRollback(Who),
    /// A side inserts a batch.
    Insert(Who),
    /// The writer checkpoints, passively.
    Checkpoint,
    /// The three files are copied from the writer's volume to the reader's, while nobody writes.
    CopyFiles,
    /// Another process on this side does something with the files of the database.
    Files(Who, FileJob),
    /// A side reads its files as any program reads files.
    ReadFiles(Who),
    /// The reader begins a read transaction.
    BeginRead,
    /// A side begins a write transaction.
    BeginWrite(Who),
    /// A side ends its transaction.
    Commit(Who),
    /// A side forks, and the child goes on with the connection.
    Fork(Who),
    /// A side starts and forks; the child goes on and shares its descriptors with the parent.
    ForkShared(Who),
    /// The child of a side is killed, and the parent goes on.
    KillChild(Who),
    /// The writer is killed within a write transaction that already has frames in the `-wal`.
    KillWriter,
    /// A side is killed.
    Kill(Who),
    /// The content of a disk is kept.
    KeepContent(&'static str),
    /// The kept content is put back on the device, which is then mounted at the second place. The disk as it was goes on
    /// in the first.
    PutBack(&'static str, &'static str),
    /// The snapshot `s` of a btrfs disk is made.
    SnapshotSubvolume(&'static str),
    /// Something copies locks between the two databases, from now on.
    Relay,
    /// walscope takes the snapshot of a side that is compared later.
    Snapshot(Who),
    /// walscope meets walscope, one on each side.
    Meet(Meeting),
    /// walscope looks at both sides.
    Look,
    /// The reader ends its read transaction.
    EndRead,
}

impl Scenario {
    /// What a side sees.
    pub fn view(&self, who: Who) -> &View {
        match who {
            Who::Writer => &self.writer,
            Who::Reader => &self.reader,
        }
    }

    /// Everything that happens, in order.
    pub fn acts(&self) -> impl Iterator<Item = Act> + use<> {
        self.script.iter().flat_map(|part| part.iter().copied())
    }

    /// What it needs of the machine.
    pub fn needs(&self) -> Vec<Need> {
        let volumes = self.acts().filter_map(|act| match act {
            Act::Volume(volume) => Some(volume.kind),
            _ => None,
        });
        let jailed = [&self.writer, &self.reader].iter().any(|view| view.jailed_at.is_some());
        let mut needs = if jailed { vec![Need::Root] } else { Vec::new() };
        for need in volumes.flat_map(Kind::needs) {
            if !needs.contains(need) {
                needs.push(*need);
            }
        }
        needs
    }

    /// Whether its mounts need root.
    pub fn needs_mounts(&self) -> bool {
        self.needs().contains(&Need::Root)
    }

    /// Whether its volumes have to be folders that this process sees.
    pub fn only_here(&self) -> bool {
        self.needs_mounts() || self.acts().any(|act| matches!(act, Act::Relay))
    }
}

/// A scenario as an argument.
#[derive(Debug, Clone, Copy)]
pub struct Chosen(pub &'static Scenario);

impl ValueEnum for Chosen {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: std::sync::LazyLock<Vec<Chosen>> =
            std::sync::LazyLock::new(|| scenarios::all().map(Chosen).collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name).help(self.0.summary))
    }
}
