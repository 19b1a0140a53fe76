//! What one look at the files of a database found, as data.

use crate::evidence::{Evidence, LocksView};
use crate::format::db::DatabaseHead;
use crate::format::shm::{IndexHead, IndexHeader};
use crate::format::wal::FrameHeader;
use crate::number::FrameNumber;
use crate::wal::WalFacts;

use super::backfill::Copied;
use super::checkpoint::CheckpointFacts;
use super::index::IndexCheck;
use super::reasons::{NotCompared, Reasons, Why};

/// How much is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The heads of the files and the locks. The `-wal` is left out: it can be long.
    Heads,
    /// One pass over the `-wal` too.
    Frames,
    /// The files are held against each other too.
    #[default]
    CrossChecked,
}

/// Where the facts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The name that the user gave.
    pub label: String,
    /// Files, a bundle or memory.
    pub kind: OriginKind,
    /// The path of the database with links resolved; for a bundle, as the capturing process saw it.
    pub path: String,
    /// For a bundle, whether it is of one moment and why not.
    pub unstable: Option<String>,
    /// Whether the file of a bundle can be read by others than its owner.
    pub readable_by_others: bool,
    /// Files whose access time the reading may have moved.
    pub access_time_moved: Vec<String>,
    /// Whether the files are seen as another process sees them, as those of a container are.
    pub of_other_process: bool,
}

/// Where the bytes were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginKind {
    /// Files on this machine, read one after the other.
    Files,
    /// A bundle.
    Bundle,
    /// Bytes that the caller had.
    Memory,
}

impl Origin {
    /// An origin of which nothing more is known.
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

    /// Bytes that the caller had.
    #[must_use]
    pub fn memory() -> Self {
        Self::new(OriginKind::Memory, "bytes in memory", "")
    }

    /// For a bundle, whether it is of one moment; `None` for anything else.
    #[must_use]
    pub fn stable(&self) -> Option<bool> {
        (self.kind == OriginKind::Bundle).then_some(self.unstable.is_none())
    }
}

/// Sizes of the files in bytes; `None` is absent or not looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The database.
    pub database: Option<u64>,
    /// The `-wal`.
    pub wal: Option<u64>,
    /// The `-shm`.
    pub shm: Option<u64>,
}

/// What one look found.
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
    /// The head of the database; `None` when there is none, or too little of one.
    pub database: Option<DatabaseHead>,
    /// Bytes of the database, when all of it was seen.
    pub database_size: Option<u64>,
    /// Whether the database was looked for and there was none.
    pub database_absent: bool,
    /// The `-wal`; `None` when it was not looked at.
    pub wal: Option<WalFacts>,
    /// The head of the latest committed image of page 1 in the WAL.
    pub wal_page_one: Option<DatabaseHead>,
    /// Commit frames of the current salts behind the break of the chain.
    pub commits_behind_break: u64,
    /// The head of the `-shm`; `None` when there is none, or too little of one.
    pub shm: Option<IndexHead>,
    /// The locks, as far as seen.
    pub locks: Option<LocksView>,
    /// Whether the files stood still: the `-shm` could be trusted and spoke of one generation without a recovery, before
    /// and after the rest was read; the header of the WAL, the use of the `-shm` and the files stayed.
    pub settled: bool,
    /// Whether something changed so that what was read is not of one state. Another look may find it still.
    pub changed: bool,
    /// Whether the files were replaced by others while they were read.
    pub replaced: bool,
    /// `mxFrame` after everything was read.
    pub mx_frame_after: Option<FrameNumber>,
    /// The header of frame `mxFrame`, whether the valid chain reaches it or not.
    pub at_mx_frame: Option<FrameHeader>,
    /// The wal-index against the frames, or why it was not compared.
    pub index: Result<IndexCheck, NotCompared>,
    /// The frames that `nBackfill` claims against the database, or why they were not compared.
    pub backfill: Result<Copied, NotCompared>,
    /// What the checkpoint is doing; `None` when the `-wal` was not looked at.
    pub checkpoint: Option<CheckpointFacts>,
    /// Whether a `-journal` with content lies beside the database; `None` when nobody looked.
    pub hot_journal: Option<bool>,
    /// Mounts, links, owners and processes around the files; `None` when nobody looked.
    pub surroundings: Option<Evidence>,
}

impl Inspection {
    /// The wal-index header that a reader would use.
    #[must_use]
    pub fn trusted(&self) -> Option<&IndexHeader> {
        self.shm.as_ref().and_then(IndexHead::trusted)
    }

    /// Whether somebody was seen to have the `-shm` open: the dead-man switch is held.
    #[must_use]
    pub fn in_use(&self) -> bool {
        self.locks.as_ref().is_some_and(|locks| locks.shm.dead_man_switch.held())
    }

    /// Whether the wal-index must be right: somebody uses it, and it stood still enough to be judged.
    #[must_use]
    pub fn must_hold(&self) -> bool {
        self.settled && self.in_use()
    }

    /// Whether to look again: the files changed meanwhile, or the `-shm` is in use and could not be judged.
    #[must_use]
    pub fn look_again(&self) -> bool {
        self.changed || (self.depth == Depth::CrossChecked && self.in_use() && !self.settled)
    }

    /// Why there is nothing to say: no file of the database was there, or only too little of the database itself.
    #[must_use]
    pub fn nothing_there(&self) -> Option<&Why> {
        let siblings = self.sizes.wal.or(self.sizes.shm).is_some();
        self.reasons.database.as_ref().filter(|_| self.database.is_none() && !siblings)
    }

    /// Whether the files can be held against each other.
    ///
    /// # Errors
    /// They were replaced while they were read.
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
