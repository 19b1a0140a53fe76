//! What one look at the files of a database found, as data.

use crate::evidence::{Evidence, LocksView, OtherNames, RightsView};
use crate::format::db::{DatabaseHead, JournalMode};
use crate::format::shm::{IndexHead, IndexHeader};
use crate::format::wal::FrameHeader;
use crate::number::FrameNumber;
use crate::tree::Trees;
use crate::wal::{EndReason, WalFacts};

use super::all_copied::AllCopied;
use super::backfill::Copied;
use super::behind::BehindBreak;
use super::behind_header::BehindHeader;
use super::checkpoint::CheckpointFacts;
use super::damage::Damage;
use super::first_page::FirstPage;
use super::index::IndexCheck;
use super::journal::JournalBeside;
use super::page_ones::PageOnes;
use super::pages_there::PagesThere;
use super::reasons::{NotCompared, Reasons, Why};
use super::stale::StaleInDatabase;

/// How much is read and compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Only the heads of the files and the locks. The `-wal` is not read, because it can be long.
    Heads,
    /// The whole `-wal` is read as well.
    Frames,
    /// The files are also compared with each other.
    #[default]
    CrossChecked,
}

/// Where the facts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The name that the user gave for it.
    pub label: String,
    /// Whether it is files, a bundle or memory.
    pub kind: OriginKind,
    /// The path of the database with links resolved; for a bundle, as the capturing process saw it.
    pub path: String,
    /// For a bundle, whether it is of one moment, and the reason if it is not.
    pub unstable: Option<String>,
    /// Whether users other than its owner can read the file of a bundle.
    pub readable_by_others: bool,
    /// Files whose access time may have changed by the reading.
    pub access_time_moved: Vec<String>,
    /// Whether the files are seen as another process sees them, for example those of a container.
    pub of_other_process: bool,
}

/// What kind of source the bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginKind {
    /// Files on this machine, read one after the other.
    Files,
    /// A bundle.
    Bundle,
    /// Bytes that the caller gave.
    Memory,
}

impl Origin {
    /// An origin of which only the name and the kind are known.
    #[must_use]
    pub fn new(kind: OriginKind, label: &str, path: &str) -> Self {
        Self {
            label: label.to_owned(),
            kind,
            path: path.to_owned(),
            unstable: None,
            readable_by_others: false,
            access_time_moved: Vec::new(),
            of_other_process: false,
        }
    }

    /// The origin of bytes that the caller gave.
    #[must_use]
    pub fn memory() -> Self {
        Self::new(OriginKind::Memory, "bytes in memory", "")
    }

    /// For a bundle, whether it is of one moment. `None` for other sources.
    #[must_use]
    pub fn stable(&self) -> Option<bool> {
        (self.kind == OriginKind::Bundle).then_some(self.unstable.is_none())
    }
}

/// Sizes of the files in bytes. `None`: the file is absent or was not looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The database.
    pub database: Option<u64>,
    /// The `-wal`.
    pub wal: Option<u64>,
    /// The `-shm`.
    pub shm: Option<u64>,
}

/// Whether a rollback journal waits beside a database: a `-journal` with content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HotJournal {
    /// One waits to be rolled back.
    Waits,
    /// There is none with content.
    None,
    /// Nobody looked for one, or it could not be seen.
    #[default]
    NotLookedFor,
}

impl From<Option<bool>> for HotJournal {
    fn from(waits: Option<bool>) -> Self {
        match waits {
            Some(true) => Self::Waits,
            Some(false) => Self::None,
            None => Self::NotLookedFor,
        }
    }
}

/// The facts that one look found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inspection {
    /// Where the facts come from.
    pub origin: Origin,
    /// How much was read.
    pub depth: Depth,
    /// Sizes of the files.
    pub sizes: Sizes,
    /// Why files and locks were not seen.
    pub reasons: Reasons,
    /// The header of the database. `None`: there is no database, or it is too short.
    pub database: Option<DatabaseHead>,
    /// Whether the bytes behind the header of the database are the beginning of a table, as on page 1. `None`: nobody looked,
    /// because nothing is wrong with the header.
    pub first_table: Option<bool>,
    /// Whether the magic string of the database was damaged, and the rest of its header was not.
    pub damaged_magic: bool,
    /// What page 1 of the database shows, if SQLite reads it there, and it stood still.
    pub first_page: FirstPage,
    /// Bytes of the database, if all of it was seen.
    pub database_size: Option<u64>,
    /// Whether a database was looked for and does not exist.
    pub database_absent: bool,
    /// The `-wal`. `None`: it was not looked at.
    pub wal: Option<WalFacts>,
    /// The header in the latest committed image of page 1 in the WAL.
    pub wal_page_one: Option<DatabaseHead>,
    /// Frames behind a header that SQLite cannot use. `None`: it can use it, or no frames follow one another behind it.
    pub behind_header: Option<BehindHeader>,
    /// Bytes that a transfer changed.
    pub damage: Damage,
    /// Commit frames with the current salts after the break of the chain.
    pub behind_break: BehindBreak,
    /// The images of page 1 in the WAL compared with page 1 of the database, or why they were not compared.
    pub page_ones: Result<PageOnes, NotCompared>,
    /// Whether each page of the database is in one of the two files, or why nobody looked.
    pub pages: Result<PagesThere, NotCompared>,
    /// What a walk over the trees of the database found, as SQLite would open it; or why nobody walked.
    pub trees: Result<Trees, NotCompared>,
    /// The head of the `-shm`. `None`: there is no `-shm`, or it is too short.
    pub shm: Option<IndexHead>,
    /// The locks, as far as seen.
    pub locks: Option<LocksView>,
    /// Whether the files did not change: the `-shm` could be trusted and showed one generation without a recovery
    /// before and after the rest was read, and the header of the WAL, the use of the `-shm` and the files stayed the
    /// same.
    pub settled: bool,
    /// Whether something changed so that the bytes are not of one state. Another look may find the files unchanged.
    pub changed: bool,
    /// Whether the files were replaced by others while they were read.
    pub replaced: bool,
    /// `mxFrame` after everything else was read.
    pub mx_frame_after: Option<FrameNumber>,
    /// The header of frame `mxFrame`, whether it is part of the valid chain or not.
    pub at_mx_frame: Option<FrameHeader>,
    /// The wal-index compared with the frames, or why it was not compared.
    pub index: Result<IndexCheck, NotCompared>,
    /// The frames up to `nBackfill` compared with the database, or why they were not compared.
    pub backfill: Result<Copied, NotCompared>,
    /// What a wal-index in use says of the database. `None`: frames wait, nobody was seen to have the `-shm` open, or something
    /// changed meanwhile.
    pub all_copied: Option<AllCopied>,
    /// The frames of the generation before the current one compared with the database, or why they were not compared.
    pub stale: Result<StaleInDatabase, NotCompared>,
    /// What the checkpoint is doing. `None`: the `-wal` was not looked at.
    pub checkpoint: Option<CheckpointFacts>,
    /// Whether there is a `-journal` with content beside the database.
    pub hot_journal: HotJournal,
    /// The `-journal` that waits, compared with the database. `None`: none waits, or the two were not compared.
    pub journal: Option<JournalBeside>,
    /// Mounts, links, owners and processes of the files. `None`: nobody looked for them. [`inspect`](super::inspect) never
    /// looks, because a look at all processes takes longer than a look at the files. `source::inspect` does. Otherwise set
    /// it from [`Seen::surroundings`](super::Seen::surroundings).
    pub surroundings: Option<Evidence>,
    /// Sidecars in the folder that may be those of this database by an old name of it. `source::inspect` looks for them, together
    /// with the surroundings.
    pub other_names: OtherNames,
    /// What the user who asks may do with the files. `None`: nobody looked, or the source is none that is opened by a path.
    /// `source::inspect` looks, together with the surroundings.
    pub rights: Option<RightsView>,
}

impl Inspection {
    /// The wal-index header that a reader would use.
    #[must_use]
    pub fn trusted(&self) -> Option<&IndexHeader> {
        self.shm.as_ref().and_then(IndexHead::trusted)
    }

    /// Whether a process was seen to have the `-shm` open: the dead-man switch is held.
    #[must_use]
    pub fn in_use(&self) -> bool {
        self.locks.as_ref().is_some_and(|locks| locks.shm.dead_man_switch.held())
    }

    /// Whether a commit of the WAL has page 1, with a header of SQLite's. `None`: not known, because the frames were not
    /// looked at.
    #[must_use]
    pub fn page_one_in_wal(&self) -> Option<bool> {
        let wal = self.wal.as_ref()?;
        match (&self.wal_page_one, &self.page_ones) {
            _ if wal.frames.committed == 0 => Some(false),
            (Some(head), _) => Some(matches!(head, DatabaseHead::Plain(_))),
            (None, Err(NotCompared::NoPageOne)) => Some(false),
            (None, _) => None,
        }
    }

    /// Whether the wal-index has to be right: a process uses it, and it was stable enough to be judged.
    #[must_use]
    pub fn must_hold(&self) -> bool {
        self.settled && self.in_use()
    }

    /// Whether to look again: the files changed while they were read, or the `-shm` is in use and could not be judged.
    #[must_use]
    pub fn look_again(&self) -> bool {
        let walked_in_vain = self.trees == Err(NotCompared::Changed);
        self.changed || walked_in_vain || (self.depth == Depth::CrossChecked && self.in_use() && !self.settled)
    }

    /// Why there is nothing to report: no file of the database exists, or only a database that is too short.
    #[must_use]
    pub fn nothing_there(&self) -> Option<&Why> {
        let siblings = self.sizes.wal.or(self.sizes.shm).is_some() || self.hot_journal == HotJournal::Waits;
        self.reasons.database.as_ref().filter(|_| self.database.is_none() && !siblings)
    }

    /// Whether there is nothing but a database of no bytes: it was never written to, or it was emptied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let nothing = |size: Option<u64>| size.unwrap_or(0) == 0;
        self.database == Some(DatabaseHead::Empty) && nothing(self.sizes.wal) && nothing(self.sizes.shm)
    }

    /// Whether a database in WAL mode lies there without a `-wal`, nobody was seen to have it open, and no `-shm` counts frames
    /// that are gone. It was closed properly, or it is a copy without the commits since the last checkpoint.
    #[must_use]
    pub fn without_wal(&self) -> bool {
        let wal_mode = |head: &DatabaseHead| match head {
            DatabaseHead::Plain(header) => header.journal_mode() == JournalMode::Wal,
            DatabaseHead::Opaque { .. } | DatabaseHead::Empty => false,
        };
        let absent = self.wal.as_ref().is_some_and(|wal| wal.end_reason == EndReason::NoFile);
        absent && !self.in_use() && self.frames_gone().is_none() && self.database.as_ref().is_some_and(wal_mode)
    }

    /// How many frames a `-shm` that nobody was seen to have open counts beyond those that were copied and those that the
    /// `-wal` has: they are in no file here. The `-wal` is missing, empty, cut short, or of another generation. A database in
    /// rollback mode needs none.
    ///
    /// folklore: no close and no checkpoint through a wal-index leaves this. The last one to close copies everything,
    /// and removes the -shm before the -wal; a checkpoint that cuts the -wal off sets `mxFrame` to 0 first. But a connection
    /// that is in locking_mode=EXCLUSIVE from its start has no -shm: it copies the frames that a killed process left,
    /// deletes the -wal or begins it anew, and leaves the -shm as it is. So this is no proof of a loss, but for a -wal of
    /// the same generation, in which no connection leaves fewer frames. Held by
    /// `an_index_that_an_exclusive_connection_left_is_a_notice`, `a_wal_removed_or_emptied_at_rest_is_a_warning` and
    /// `a_wal_that_was_cut_or_replaced_at_rest_is_no_reason_to_do_nothing`.
    #[must_use]
    pub fn frames_gone(&self) -> Option<u64> {
        let wal = self.wal.as_ref()?;
        let kept = if wal.is_absent() || wal.file_size == 0 {
            0
        } else if wal.page_size().is_none() {
            // Frames can stand behind a header that cannot be used.
            return None;
        } else if self.same_generation() {
            wal.frames.committed
        } else {
            0
        };
        let rollback = match self.database {
            Some(DatabaseHead::Plain(ref header)) => header.journal_mode() == JournalMode::Rollback,
            _ => false,
        };
        // Who has the database open without the -shm keeps the wal-index in memory, and may have begun the -wal anew.
        let open = self.locks.as_ref().is_some_and(|locks| locks.database.held());
        if !self.settled || self.in_use() || open || rollback {
            return None;
        }
        let (header, shm) = self.trusted().zip(self.shm.as_ref())?;
        let there = shm.checkpoint.backfilled.max(FrameNumber(kept));
        (header.mx_frame > there).then(|| header.mx_frame.frames_after(there))
    }

    /// Whether the files can be compared with each other.
    ///
    /// # Errors
    /// The files were replaced while they were read.
    pub fn of_one_time(&self) -> Result<(), NotCompared> {
        if self.replaced { Err(NotCompared::Replaced) } else { Ok(()) }
    }

    /// Whether the wal-index has the salts of the WAL.
    #[must_use]
    pub fn same_generation(&self) -> bool {
        let wal = self.wal.as_ref().and_then(|wal| wal.header);
        self.trusted().zip(wal).is_some_and(|(shm, wal)| shm.salts == wal.salts)
    }
}
