//! The files of one database by their part, and the processes that have them open.

use std::fmt;

#[cfg(feature = "capture")]
use {schemars::JsonSchema, serde::Serialize};

/// What of a database a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize), serde(rename_all = "snake_case"))]
pub enum Part {
    /// The database itself.
    Database,
    /// Its WAL.
    Wal,
    /// Its wal-index.
    Shm,
    /// Its rollback journal.
    Journal,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 4] = [Self::Database, Self::Wal, Self::Shm, Self::Journal];

    /// What its name has after the name of the database.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Database => "",
            Self::Wal => "-wal",
            Self::Shm => "-shm",
            Self::Journal => "-journal",
        }
    }
}

impl fmt::Display for Part {
    /// `database`, `-wal`, `-shm` or `-journal`, as in sentences.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Database { "database" } else { self.suffix() })
    }
}

/// Something for each part of a database, where there is something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<T>([Option<T>; 4]);

impl<T> Default for Parts<T> {
    fn default() -> Self {
        Self([None, None, None, None])
    }
}

impl<T> Parts<T> {
    /// Asks for each part.
    #[must_use]
    pub fn new(of: impl FnMut(Part) -> Option<T>) -> Self {
        Self(Part::ALL.map(of))
    }

    /// That of one part.
    #[must_use]
    pub fn get(&self, part: Part) -> Option<&T> {
        let [database, wal, shm, journal] = &self.0;
        match part {
            Part::Database => database,
            Part::Wal => wal,
            Part::Shm => shm,
            Part::Journal => journal,
        }
        .as_ref()
    }

    /// The place of one part.
    pub fn slot(&mut self, part: Part) -> &mut Option<T> {
        let [database, wal, shm, journal] = &mut self.0;
        match part {
            Part::Database => database,
            Part::Wal => wal,
            Part::Shm => shm,
            Part::Journal => journal,
        }
    }

    /// All that there is, in the order of [`Part::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

/// A process that has a file open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize))]
pub struct KeptBy {
    /// Process id in the PID namespace of the observer.
    pub pid: u32,
    /// Name of its command.
    pub command: Option<String>,
    /// Start of the process in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_time: Option<u64>,
}

/// Why rescued copies are not shown to be of one moment, by what helps against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize), serde(rename_all = "snake_case"))]
pub enum RescueCause {
    /// The files changed at each attempt. They stand still if the processes are held.
    Changing,
    /// The file system does not tell whether somebody writes, as FUSE does not.
    Unwatched,
    /// A transaction without a journal on a disk goes on, or may go on: it has to end first.
    HalfTransaction,
}
