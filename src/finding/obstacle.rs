//! What keeps a user from opening a database, or from writing to it, as `evidence` shows it.

use super::value::Value;
use crate::evidence::{Bar, Unsure};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aim {
    /// To read. Who cannot read cannot write either.
    Read,
    /// To write.
    Write,
}

impl Aim {
    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// A folder on the way to the files may not be searched.
    Way,
    /// The file is there, and may not be opened as is needed.
    File(&'static str),
    /// The file is not there, and may not be made.
    Make(&'static str),
    /// A rollback journal waits, and may not be rolled back: this of it may not be written to or deleted.
    HotJournal(&'static str),
    /// The file system does not map files shared.
    SharedMapping,
    /// The file system has no room.
    Room,
    /// A process holds the whole database exclusively at this moment.
    Locked,
    /// The wal-index has to be recovered, and may not be written to.
    Recovery,
    /// It is not known whether SQLite would use a WAL here: the header is not one of SQLite's, or of another format.
    Format,
    /// A finding with this code says what else is wrong.
    Finding(&'static str),
    /// The process has the database open already, and goes on.
    OpenAlready,
}

impl What {
    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Way => "way",
            Self::File(_) => "file",
            Self::Make(_) => "make",
            Self::HotJournal(_) => "hot_journal",
            Self::SharedMapping => "shared_mapping",
            Self::Room => "room",
            Self::Locked => "locked",
            Self::Recovery => "recovery",
            Self::Format => "format",
            Self::Finding(_) => "finding",
            Self::OpenAlready => "open_already",
        }
    }

    /// The file that it is about, or the code of the finding.
    #[must_use]
    pub const fn subject(self) -> Option<&'static str> {
        match self {
            Self::File(name) | Self::Make(name) | Self::HotJournal(name) | Self::Finding(name) => Some(name),
            _ => None,
        }
    }
}

/// Why something may not be done, or why that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It is refused.
    Bar(Bar),
    /// It is not known.
    Unsure(Unsure),
}

impl Cause {
    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bar(Bar::ReadOnlyMount) => "read_only_mount",
            Self::Bar(Bar::Rights) => "rights",
            Self::Bar(Bar::Attribute) => "attribute",
            Self::Bar(Bar::StickyFolder) => "sticky_folder",
            Self::Unsure(Unsure::AccessList) => "access_list",
            Self::Unsure(Unsure::UserNamespace) => "user_namespace",
            Self::Unsure(Unsure::OtherKernel) => "other_kernel",
            Self::Unsure(Unsure::NotSeen) => "not_seen",
        }
    }
}

/// One thing that is, or may be, in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Obstacle {
    /// What it keeps from.
    pub aim: Aim,
    /// Whether it certainly does. Otherwise it is not known.
    pub certain: bool,
    /// What it is.
    pub what: What,
    /// Why, if it is about permissions.
    pub cause: Option<Cause>,
    /// The error that SQLite fails with. `None`: not known.
    pub error: Option<&'static str>,
}

impl From<Obstacle> for Value {
    fn from(one: Obstacle) -> Self {
        Self::Fields(vec![
            ("about", one.aim.name().into()),
            ("certain", one.certain.into()),
            ("what", one.what.name().into()),
            ("subject", one.what.subject().map_or(Self::Null, Self::from)),
            ("why", one.cause.map_or(Self::Null, |cause| cause.name().into())),
            ("sqlite", one.error.map_or(Self::Null, Self::from)),
        ])
    }
}
