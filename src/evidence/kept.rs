//! The files of one database by their part, and the processes that have them open.

use std::fmt;

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

/// What of a database a file is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
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

/// The first bytes of a rollback journal. Source: fileformat2, section 3.
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

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

    /// What a file is by its name, and the name of its database.
    #[must_use]
    pub fn of_name(name: &[u8]) -> (Self, &[u8]) {
        let sidecar = [Self::Wal, Self::Shm, Self::Journal].into_iter().find_map(|part| {
            let base = name.strip_suffix(part.suffix().as_bytes())?;
            (!base.is_empty() && !base.ends_with(b"/")).then_some((part, base))
        });
        sidecar.unwrap_or((Self::Database, name))
    }

    /// The sidecar that was moved aside to this name, the name of its database, and what is behind both: `t.db-wal.old` is what `t.db` had
    /// before `t.db.old`. SQLite makes no such name.
    #[must_use]
    pub fn moved_aside(name: &[u8]) -> Option<(Self, &[u8], &[u8])> {
        let folder = name.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at.saturating_add(1));
        let of = |part: Self| {
            let suffix = part.suffix().as_bytes();
            let at = name.windows(suffix.len()).rposition(|some| some == suffix).filter(|at| *at > folder)?;
            let (base, rest) = name.split_at_checked(at)?;
            let behind = rest.strip_prefix(suffix).filter(|behind| is_aside(behind))?;
            Some((part, base, behind))
        };
        [Self::Wal, Self::Shm, Self::Journal].into_iter().filter_map(of).max_by_key(|(_, base, _)| base.len())
    }

    /// What a file is by its first bytes; `None`: they do not tell. A database may have any name, also one that ends in `-wal`.
    #[must_use]
    pub fn of_content(head: &[u8]) -> Option<Self> {
        match head {
            [b'S', b'Q', b'L', b'i', b't', b'e', b' ', b'f', b'o', b'r', b'm', b'a', b't', b' ', b'3', 0, ..] => {
                Some(Self::Database)
            }
            [0x37, 0x7f, 0x06, 0x82 | 0x83, ..] => Some(Self::Wal),
            head if head.starts_with(&JOURNAL_MAGIC) => Some(Self::Journal),
            _ => None,
        }
    }

    /// Whether a `-journal` that SQLite uses can begin so: with its magic, or with zeros in the place of it, as before the first sync and
    /// between two transactions.
    #[must_use]
    pub fn may_begin_journal(head: &[u8]) -> bool {
        head.iter().zip(&JOURNAL_MAGIC).all(|(byte, magic)| *byte == 0 || byte == magic)
    }

    /// Whether the first bytes of a database say WAL mode; `None`: they are not those of a database.
    #[must_use]
    pub fn says_wal(head: &[u8]) -> Option<bool> {
        // Bytes 18 and 19: https://sqlite.org/fileformat2.html#file_format_version_numbers
        (Self::of_content(head) == Some(Self::Database)).then_some(())?;
        Some(head.get(18..20)? == [2, 2])
    }
}

/// Whether this, behind a name, is what people and programs put there to move a file aside: `.old`, `~`, `-1`. What ends as the name of a
/// sidecar does is one of another database.
#[must_use]
pub fn is_aside(behind: &[u8]) -> bool {
    let (part, _) = Part::of_name(behind);
    matches!(behind, [b'.' | b'~' | b'_' | b'-' | b'0'..=b'9', ..])
        && !behind.contains(&b'/')
        && part == Part::Database
        && !["-wal", "-shm", "-journal"].iter().any(|suffix| behind == suffix.as_bytes())
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
    /// A transaction over several databases goes on, or was cut off: the super-journal that the `-journal` names decides, and it is
    /// not one of the copies.
    SeveralDatabases,
}

/// Why a `-wal` that was found nowhere may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize), serde(rename_all = "snake_case"))]
pub enum NoWal {
    /// A process has the database open, and its header says WAL. Or it has opened it and has not read it yet.
    Open,
    /// Processes ended during the look. A `-wal` that was deleted before is gone with them.
    Ended,
    /// What some processes have open could not be seen, and nothing shows that none of them has it.
    Unseen,
}

/// A process that has files open for others: it serves a FUSE mount.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize))]
pub struct BehindFuse {
    /// The process that serves it.
    pub pid: u32,
    /// A database of this name that processes have open on a file system that it serves: a process, and the path as the kernel prints
    /// it. Null: none was seen.
    pub open: Option<(u32, String)>,
}

/// What is known of files of one database that belong together, beside the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetFacts {
    /// Those that lie at the path that was asked for.
    pub at_path: Vec<Part>,
    /// Those that a process had open, and that were gone before they could be opened.
    pub lost: Vec<Part>,
    /// Why a `-wal` may be missing. `None`: none is, or there is one.
    pub no_wal: Option<NoWal>,
    /// Parts that lie at the path beside the database, and that are of another one, or not surely of this one. They are not in this set.
    pub of_another: Vec<Part>,
    /// Whether it is not sure which database these files belong to.
    pub pairing_unsure: bool,
    /// Whether the `-shm` is on FUSE and in use, and was not opened because that could harm its processes.
    pub shm_not_opened: bool,
    /// Processes that have files of the set open, and not the database.
    pub without_database: Vec<u32>,
    /// Processes that have them open for others, behind a FUSE mount. What those have open of it, also what is deleted there, may be
    /// elsewhere.
    pub behind_fuse: Vec<BehindFuse>,
    /// Whether a process that is not seen holds a lock on the database or the `-shm`. It may have other files open.
    pub locked_unseen: bool,
    /// Those of these processes that are known.
    pub unseen_holders: Vec<u32>,
    /// Whether the kernel says that nobody holds a lock on the database, also no process that is not seen.
    pub unlocked: bool,
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn a_file_is_known_by_its_first_bytes_or_else_by_its_name() {
        let database = |mode| [b"SQLite format 3\0\x10\0".as_slice(), &[mode, mode]].concat();
        assert_eq!((Part::of_content(&database(1)), Part::says_wal(&database(1))), (Some(Part::Database), Some(false)));
        assert_eq!(Part::says_wal(&database(2)), Some(true));
        assert_eq!(Part::of_content(&[0x37, 0x7f, 6, 0x83, 0]), Some(Part::Wal));
        assert_eq!(Part::of_content(&[0xd9, 0xd5, 5, 0xf9, 0x20, 0xa1, 0x63, 0xd7]), Some(Part::Journal));
        assert_eq!((Part::of_content(b""), Part::says_wal(b"text")), (None, None));
        assert_eq!(Part::of_name(b"/d/t.db-shm"), (Part::Shm, b"/d/t.db".as_slice()));
        for behind in [".old", "~", "-1", "_bak", "2"] {
            for part in [Part::Wal, Part::Shm, Part::Journal] {
                let name = format!("/d-wal/t.db{}{behind}", part.suffix());
                let aside = Some((part, b"/d-wal/t.db".as_slice(), behind.as_bytes()));
                assert_eq!(Part::moved_aside(name.as_bytes()), aside, "{name}");
            }
        }
        for name in
            ["/d/t.db-wal", "/d/-wal.old", "/d/t.db-wal.old-shm", "/d-wal.old/t.db", "t.db-wal-wal", "t.db-walx"]
        {
            assert_eq!(Part::moved_aside(name.as_bytes()), None, "{name}");
        }
        for name in [b"/d/-wal".as_slice(), b"-wal", b"/d/t.db"] {
            assert_eq!(Part::of_name(name), (Part::Database, name));
        }
    }
}
