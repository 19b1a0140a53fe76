//! The files of one database that can be looked at, wherever they are.

use std::io;
use std::sync::Arc;

use crate::bytes::ReadAt;
use crate::evidence::{Evidence, LocksView, OtherNames, RightsView};
use crate::format::shm::IndexHead;
use crate::number::FrameNumber;
use crate::wal::WalFacts;

use super::inspection::{HotJournal, Origin, Sizes};
use super::reasons::Reasons;

/// The database file, as far as it was seen.
#[derive(Clone)]
pub enum DatabaseSeen {
    /// It does not exist.
    Absent,
    /// It was not looked at.
    NotSeen,
    /// The first page, or a part of it.
    FirstPage(Arc<dyn ReadAt>),
    /// The whole file.
    Whole(Arc<dyn ReadAt>),
}

impl DatabaseSeen {
    /// The bytes that were seen, and whether they are the whole file.
    pub(super) fn bytes(&self) -> Option<(&dyn ReadAt, bool)> {
        match self {
            Self::FirstPage(bytes) => Some((bytes.as_ref(), false)),
            Self::Whole(bytes) => Some((bytes.as_ref(), true)),
            Self::Absent | Self::NotSeen => None,
        }
    }
}

/// The `-wal`, as far as it was seen.
#[derive(Clone)]
pub enum WalSeen {
    /// It does not exist.
    Absent,
    /// It was not looked at.
    NotSeen,
    /// The WAL header and the 24-byte frame headers. Page content was left out of the bundle.
    Headers {
        /// 32 bytes, then 24 bytes for each frame.
        bytes: Arc<dyn ReadAt>,
        /// The facts that a pass over the whole file found when it was captured.
        facts: Box<WalFacts>,
    },
    /// The whole file.
    Whole(Arc<dyn ReadAt>),
}

/// The files of one database, as a source shows them. Each call returns a file in its state at that moment.
///
/// Live files, a bundle and bytes in memory implement this. [`super::inspect`] calls it, in the order of
/// [`super::order`].
pub trait Seen: Sync {
    /// The name of the source, and what else is known about it.
    fn origin(&self) -> Origin {
        Origin::memory()
    }

    /// The database.
    ///
    /// # Errors
    /// Reading failed.
    fn database(&self) -> io::Result<DatabaseSeen>;

    /// The `-wal`.
    ///
    /// # Errors
    /// Reading failed.
    fn wal(&self) -> io::Result<WalSeen>;

    /// The `-shm`. `None`: it does not exist or was not looked at.
    ///
    /// # Errors
    /// Reading failed.
    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>>;

    /// The state of the locks, read as fast as possible. `None` without evidence of locks.
    fn locks(&self) -> Option<LocksView>;

    /// Adds every visible holder to the locks. This may take long, so another thread does it while the WAL is read.
    fn name_holders(&self, locks: LocksView) -> LocksView {
        locks
    }

    /// Whether the names of the files still lead to the files that are seen here. The last connection that closes a
    /// database deletes `-wal` and `-shm`, so a file that is open here may have lost its name.
    fn in_place(&self) -> bool {
        true
    }

    /// `nBackfill`, read before the database. `head` is the first look at the wal-index. A bundle has its database read
    /// before its `-shm`, so an earlier sample has the number there.
    fn backfilled_before_database(&self, head: &IndexHead) -> Option<FrameNumber> {
        Some(head.checkpoint.backfilled)
    }

    /// Whether the bytes can be of one moment at all. Those of an unstable bundle are not.
    fn may_be_settled(&self) -> bool {
        true
    }

    /// Sizes of the files, if they are known from elsewhere. A bundle has a part of a file and its full size.
    fn sizes(&self) -> Option<Sizes> {
        None
    }

    /// Why a file or the locks were not seen.
    fn reasons(&self) -> Reasons {
        Reasons::default()
    }

    /// Whether there is a `-journal` with content beside the database.
    fn hot_journal(&self) -> HotJournal {
        HotJournal::NotLookedFor
    }

    /// The `-journal` beside the database. `None`: there is none, or it was not looked at.
    ///
    /// # Errors
    /// Reading failed.
    fn journal(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        Ok(None)
    }

    /// Mounts, links, owners and processes of the files. `None` without such evidence. [`inspect`](super::inspect) does not
    /// ask for them: see [`Inspection::surroundings`](super::Inspection::surroundings).
    fn surroundings(&self) -> Option<Evidence> {
        None
    }

    /// Sidecars in the folder that may be those of this database by an old name of it. [`inspect`](super::inspect) does not ask
    /// for them.
    fn other_names(&self) -> OtherNames {
        OtherNames::default()
    }

    /// What the user who asks may do with the files. `None` where nobody asks to open them by a path.
    fn rights(&self) -> Option<RightsView> {
        None
    }
}

/// The files of one database in memory. A file that is not given counts as absent.
///
/// ```
/// use walscope::look::{Bytes, Options, inspect};
///
/// let inspection = inspect(&Bytes { wal: Some(Vec::new()), ..Bytes::default() }, &Options::default())?;
/// assert!(inspection.wal.is_some_and(|wal| wal.frames.committed == 0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Bytes {
    /// The database.
    pub database: Option<Vec<u8>>,
    /// The `-wal`.
    pub wal: Option<Vec<u8>>,
    /// The `-shm`.
    pub shm: Option<Vec<u8>>,
    /// The locks, if they are known.
    pub locks: Option<LocksView>,
}

fn shared(bytes: &[u8]) -> Arc<dyn ReadAt> {
    Arc::new(bytes.to_vec())
}

impl Seen for Bytes {
    fn database(&self) -> io::Result<DatabaseSeen> {
        Ok(self.database.as_deref().map_or(DatabaseSeen::Absent, |bytes| DatabaseSeen::Whole(shared(bytes))))
    }

    fn wal(&self) -> io::Result<WalSeen> {
        Ok(self.wal.as_deref().map_or(WalSeen::Absent, |bytes| WalSeen::Whole(shared(bytes))))
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        Ok(self.shm.as_deref().map(shared))
    }

    fn locks(&self) -> Option<LocksView> {
        self.locks.clone()
    }
}
