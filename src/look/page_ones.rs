//! Page 1 of the database and the images of page 1 in the WAL. A WAL has no mark of its database; their counters tell.
//!
//! folklore: a writer adds 1 to the change counter of the page 1 that it has read, and writes page 1 with each
//! transaction that changes the schema or the size. So within one generation the counter of page 1 in the WAL never
//! falls, its first image has at most one more than the database had, and the database never has more than the latest.
//! In WAL mode a connection writes the same counter again and again, so equal counters show little. The schema cookie
//! never falls either, unless somebody sets it (`PRAGMA schema_version`) or writes pages (`sqlite_dbpage`). Held by
//! `random_histories_with_kills_fit_their_wal`.

use std::io;

use crate::bytes::ReadAt;
use crate::format::db::{self, DatabaseHead, DatabaseHeader};
use crate::format::schema::{begin_of_table, names_pages, schema_rows};
use crate::number::PageSize;

/// Whether two pages with one schema cookie have the same schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Schema {
    /// They have.
    Same,
    /// They have not, or page 1 of the database has no readable rows. The cookie is written with every change, so the two are
    /// not of one history, or the page is damaged.
    Differs,
    /// Not known: the cookies differ, or the rows are not all on page 1.
    NotKnown,
}

/// The images of page 1 in the WAL, compared with page 1 of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageOnes {
    /// The header in the first committed image in the WAL.
    pub first: DatabaseHead,
    /// The header in the latest committed image in the WAL.
    pub latest: DatabaseHead,
    /// The schema of the database, and that of the latest image.
    pub schema: Schema,
    /// How many pages the commit of the transaction counts that has the first image.
    pub first_commit: u32,
    /// How many pages the commit of the transaction counts that has the latest image.
    pub latest_commit: u32,
    /// How many pages the last commit before the first image counts, if the database still has the page 1 that was there
    /// before the WAL: it is none of the images.
    pub commit_before: Option<u32>,
    /// Whether the database has a change counter as only a page 1 in the WAL has it, and its header is none of those.
    pub counter_of_none: bool,
}

impl PageOnes {
    /// Whether the change counter of the database is not that of the page 1 that the first writer in the WAL read: one below
    /// the first image, or the same.
    pub(super) fn is_not_from_before(&self, of_database: &DatabaseHeader) -> bool {
        let first = self.first.plain().map(|first| first.change_counter.wrapping_sub(of_database.change_counter));
        first.is_some_and(|ahead| ahead > 1)
    }
}

/// Where the images of page 1 are in the WAL, in bytes from its start, and what the commits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Images {
    pub(super) first: u64,
    pub(super) latest: u64,
    pub(super) first_commit: u32,
    pub(super) latest_commit: u32,
    pub(super) commit_before: Option<u32>,
}

impl Images {
    /// These, and one more. `before`: pages of the commit before, if it is the first.
    pub(super) fn and(earlier: Option<Self>, latest: u64, latest_commit: u32, before: Option<u32>) -> Self {
        match earlier {
            Some(images) => Self { latest, latest_commit, ..images },
            None => Self { first: latest, latest, first_commit: latest_commit, latest_commit, commit_before: before },
        }
    }
}

/// Whether the head of the database is that of one of these images: a checkpoint copied it.
pub(super) fn is_one_of(
    head: &DatabaseHead,
    wal: &dyn ReadAt,
    mut images: impl Iterator<Item = u64>,
) -> io::Result<bool> {
    images.try_fold(false, |is, at| Ok(is || head_at(wal, at)?.as_ref() == Some(head)))
}

/// Reads the images. `database` is the file, and `head` its header when it was read before the WAL.
pub(super) fn compare(
    images: Images,
    wal: &dyn ReadAt,
    database: Option<&dyn ReadAt>,
    head: Option<&DatabaseHead>,
) -> io::Result<Option<PageOnes>> {
    let (Some(first), Some(latest)) = (head_at(wal, images.first)?, head_at(wal, images.latest)?) else {
        return Ok(None);
    };
    let schema = match (database, head, &latest) {
        (Some(database), Some(DatabaseHead::Plain(of_database)), DatabaseHead::Plain(of_wal))
            if of_database.schema_cookie == of_wal.schema_cookie && of_database.page_size == of_wal.page_size =>
        {
            let size = PageSize::new(of_wal.page_size).map_or(0, PageSize::to_usize);
            let (there, here) = (page_at(database, 0, size)?, page_at(wal, images.latest, size)?);
            // A checkpoint may have written page 1 since its header was read.
            let stayed = db::parse_head(there.get(..db::HEADER_SIZE).unwrap_or_default()).ok().as_ref() == head;
            match (
                stayed && there.len() == size && here.len() == size && !may_be_half_written(&there, &here),
                schema_rows(&there, of_database),
                schema_rows(&here, of_wal),
            ) {
                (true, Some(there), Some(here)) if there == here => Schema::Same,
                (true, Some(_), Some(_)) => Schema::Differs,
                // It has neither these rows nor the pages of more rows: it is damaged.
                (true, None, Some(_)) if !names_pages(&there) => Schema::Differs,
                _ => Schema::NotKnown,
            }
        }
        _ => Schema::NotKnown,
    };
    let Images { first_commit, latest_commit, commit_before, .. } = images;
    Ok(Some(PageOnes { first, latest, schema, first_commit, latest_commit, commit_before, counter_of_none: false }))
}

/// Whether page 1 of the database may be the image as far as it was written, and an older page behind that.
///
/// folklore: Linux copies a large page in pieces of 4096 bytes, and a process that is killed stops between two of them. So a killed
/// checkpoint leaves the beginning of the new page before the end of the old one, and the rows are at the end. The image
/// in the WAL is whole, and the next checkpoint writes it again. Seen in a history of killed writers with pages of
/// 32 KiB; held by `a_page_1_that_a_killed_checkpoint_wrote_by_half_is_not_taken_for_another_schema`.
fn may_be_half_written(there: &[u8], here: &[u8]) -> bool {
    there.len() > PIECE && begin_of_table(there).is_some_and(|begin| Some(begin) == begin_of_table(here))
}

/// Bytes that Linux writes at once, at least: a page of memory.
const PIECE: usize = 4096;

fn head_at(bytes: &dyn ReadAt, at: u64) -> io::Result<Option<DatabaseHead>> {
    Ok(db::parse_head(&page_at(bytes, at, db::HEADER_SIZE)?).ok())
}

fn page_at(bytes: &dyn ReadAt, at: u64, size: usize) -> io::Result<Vec<u8>> {
    let mut page = vec![0; size];
    let got = bytes.read_at(&mut page, at)?;
    page.truncate(got);
    Ok(page)
}
