//! What a wal-index in use says of the database, while no frame of it waits to be copied.
//!
//! folklore: `nPage` of the wal-index is the size of the database at the last commit, also after the WAL was restarted or
//! emptied (walRestartHdr leaves it as it was); a wal-index that was made anew from a WAL without a commit has 0. A
//! checkpoint that copied everything cuts the database off to this size before it writes `nBackfill`, and nothing writes
//! to the database until there is another commit, which changes the header. So for as long as the header stays, the
//! database is as that commit left it. Its own page 1 states the same size, or a smaller one if the file is longer than it
//! says (`SQLITE_FCNTL_CHUNK_SIZE`): then a commit counts the pages of the file. Held by
//! `a_database_that_nothing_waits_for_is_as_its_wal_index_says`.

use crate::evidence::{LockState, LocksView};
use crate::format::shm::IndexHead;
use crate::number::FrameNumber;

/// What the header of the wal-index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllCopied {
    /// Pages of the database at the last commit; 0: there was none since the wal-index was made.
    pub database_pages: u32,
    /// Bytes of a page; 0: there was no commit.
    pub page_size: u32,
}

/// What the wal-index says, if nothing waited before the database was read, and nothing was committed until after it.
/// `backfilled`: `nBackfill`, read before the database. Who holds the dead-man switch exclusively has just opened a `-shm`
/// that was left over, and makes it anew.
pub(super) fn look(
    before: Option<&IndexHead>,
    after: Option<&IndexHead>,
    backfilled: FrameNumber,
    locks: Option<&LocksView>,
) -> Option<AllCopied> {
    let (before, after) = (before?.trusted()?, after?.trusted()?);
    let in_use = locks.is_some_and(|locks| locks.shm.dead_man_switch.state == LockState::Shared);
    let copied = before.mx_frame == FrameNumber::NONE || backfilled == before.mx_frame;
    let said = AllCopied { database_pages: before.database_pages, page_size: before.page_size };
    (in_use && copied && before == after).then_some(said)
}
