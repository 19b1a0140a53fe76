//! What can be looked at: the files of one database, wherever they are.

use std::io;
use std::sync::Arc;

use crate::bytes::ReadAt;
use crate::evidence::{Evidence, LocksView};
use crate::format::shm::IndexHead;
use crate::number::FrameNumber;
use crate::wal::WalFacts;

use super::inspection::{Origin, Sizes};
use super::reasons::Reasons;

/// The database file, as far as it can be seen.
#[derive(Clone)]
pub enum DatabaseSeen {
    /// There is none.
    Absent,
    /// It was not looked at.
    NotSeen,
    /// The first page, or what there is of it.
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

/// The `-wal`, as far as it can be seen.
#[derive(Clone)]
pub enum WalSeen {
    /// There is none.
    Absent,
    /// It was not looked at.
    NotSeen,
    /// The WAL header and the 24-byte frame headers; page content was left out of the bundle.
    Headers {
        /// 32 bytes, then 24 bytes a frame.
        bytes: Arc<dyn ReadAt>,
        /// What one pass over the whole file found when it was captured.
        facts: Box<WalFacts>,
    },
    /// The whole file.
    Whole(Arc<dyn ReadAt>),
}

/// The files of one database, as a source shows them. Each call gives a file as it is at that moment.
///
/// Live files, a bundle and bytes in memory implement it; [`super::inspect`] is the one that calls it, in the order of
/// [`super::order`].
pub trait Seen: Sync {
    /// What this is called, and what is known of it besides the bytes.
    fn origin(&self) -> Origin {
        Origin::memory()
    }

    /// The database.
    ///
    /// # Errors
    /// When reading failed.
    fn database(&self) -> io::Result<DatabaseSeen>;

    /// The `-wal`.
    ///
    /// # Errors
    /// When reading failed.
    fn wal(&self) -> io::Result<WalSeen>;

    /// The `-shm`; `None` when there is none or it was not looked at.
    ///
    /// # Errors
    /// When reading failed.
    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>>;

    /// The state of the locks, asked for in as short a time as possible; `None` without lock evidence.
    fn locks(&self) -> Option<LocksView>;

    /// Adds every visible holder to the locks. This may take long: another thread does it while the WAL is read.
    fn name_holders(&self, locks: LocksView) -> LocksView {
        locks
    }

    /// Whether the names of the files still lead to the files that are seen here. The last connection that closes a
    /// database deletes `-wal` and `-shm`: the files that are open here can be gone.
    fn in_place(&self) -> bool {
        true
    }

    /// `nBackfill` from before the database was read; `head` is the first look at the wal-index. A bundle reads its
    /// database before its `-shm`: there an earlier sample has the number.
    fn backfilled_before_database(&self, head: &IndexHead) -> Option<FrameNumber> {
        Some(head.checkpoint.backfilled)
    }

    /// Whether what is seen can be of one moment at all. An unstable bundle is not.
    fn may_be_settled(&self) -> bool {
        true
    }

    /// Sizes of the files where they are known from elsewhere: a bundle has a part of a file and its full size.
    fn sizes(&self) -> Option<Sizes> {
        None
    }

    /// Why a file or the locks were not seen.
    fn reasons(&self) -> Reasons {
        Reasons::default()
    }

    /// Whether a `-journal` with content lies beside the database; `None` when nobody looked.
    fn hot_journal(&self) -> Option<bool> {
        None
    }

    /// Mounts, links, owners and processes around the files; `None` without such evidence.
    fn surroundings(&self) -> Option<Evidence> {
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
