//! Bytes of the files that a transfer changed: line ends that were translated, text instead of bytes.
//!
//! A database is looked at only if its size is no whole number of pages, or if it has no header. Other databases cost
//! nothing here, whatever is in them.

use std::io;

use crate::bytes::ReadAt;
use crate::format::db::{DatabaseHead, DatabaseHeader};
use crate::number::{PageNumber, PageSize};
use crate::wal::mangled::{
    Change, DATABASE_BEGINS, LINE_ENDS_ENOUGH, MangledWal, Undone, all_pairs, by_beginning, no_pairs, replaced,
};

/// What a transfer changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The `-wal`.
    pub wal: Option<MangledWal>,
    /// The database.
    pub database: Option<MangledDatabase>,
}

/// A database whose bytes were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MangledDatabase {
    /// What was done.
    pub change: Change,
    /// Whether nothing else explains it.
    pub certain: bool,
    /// Bytes by which the file is longer or shorter than it was, as far as that is known.
    pub bytes: Option<u64>,
    /// The first page that is not as it was written, as far as that is known.
    pub first: Option<PageNumber>,
}

/// Pages at the end of the file that are looked at for the beginning of a b-tree page.
const LAST_PAGES: u64 = 1024;

/// Looks for a change of the bytes of a database.
pub(super) fn of_database(database: &dyn ReadAt, head: Option<&DatabaseHead>) -> io::Result<Option<MangledDatabase>> {
    match head {
        Some(DatabaseHead::Opaque { .. }) => as_text(database),
        Some(DatabaseHead::Plain(header)) => match PageSize::new(header.page_size) {
            Some(size) if !database.len().is_multiple_of(size.into()) => within(database, header, size),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// A file without the header of a database: whether it is one in another form.
fn as_text(database: &dyn ReadAt) -> io::Result<Option<MangledDatabase>> {
    let mut begin = [0; 64];
    let got = database.read_at(&mut begin, 0)?;
    let Some(change) = by_beginning(begin.get(..got).unwrap_or_default(), DATABASE_BEGINS) else { return Ok(None) };
    let certain = change != Change::Packed && is_database(Undone::new(database, change)?.as_ref())?;
    let seen = certain || change == Change::Packed;
    Ok(seen.then_some(MangledDatabase { change, certain, bytes: None, first: Some(PageNumber(1)) }))
}

fn is_database(undone: Option<&Undone<'_>>) -> io::Result<bool> {
    let Some(undone) = undone else { return Ok(false) };
    let mut head = [0; crate::format::db::HEADER_SIZE];
    let got = undone.read_at(&mut head, 0)?;
    Ok(match crate::format::db::parse_head(head.get(..got).unwrap_or_default()) {
        Ok(DatabaseHead::Plain(header)) => undone.len().is_multiple_of(header.page_size.max(1).into()),
        _ => false,
    })
}

/// A database whose size is no whole number of pages.
fn within(database: &dyn ReadAt, header: &DatabaseHeader, size: PageSize) -> io::Result<Option<MangledDatabase>> {
    let (len, page) = (database.len(), u64::from(size));
    let believed = header.database_pages > 0 && header.version_valid_for == header.change_counter;
    let stated = believed.then(|| u64::from(header.database_pages).saturating_mul(page));
    // Chance explains neither many changes nor exactly the size that the header states.
    let fits = |before: u64, changes: u64| {
        before.is_multiple_of(page) && (changes >= LINE_ENDS_ENOUGH || (changes > 1 && stated == Some(before)))
    };
    if let Some(pairs) = all_pairs(database)?
        && fits(len.saturating_sub(pairs.count), pairs.count)
    {
        let first = u32::try_from(pairs.first / page + 1).ok().map(PageNumber);
        let bytes = Some(pairs.count);
        return Ok(Some(MangledDatabase { change: Change::LineEndsAdded, certain: true, bytes, first }));
    }
    if let Some(undone) = Undone::new(database, Change::Utf8)?
        && fits(undone.len(), len.saturating_sub(undone.len()))
    {
        let bytes = Some(len.saturating_sub(undone.len()));
        return Ok(Some(MangledDatabase { change: Change::Utf8, certain: true, bytes, first: None }));
    }
    if replaced(database)?.is_some_and(|count| count >= LINE_ENDS_ENOUGH) {
        return Ok(Some(MangledDatabase { change: Change::Utf8Replaced, certain: true, bytes: None, first: None }));
    }
    let missing = page - len % page;
    let moved = moved_by(database, size, missing)?;
    if moved && no_pairs(database, missing)? {
        let bytes = Some(missing);
        return Ok(Some(MangledDatabase { change: Change::LineEndsRemoved, certain: false, bytes, first: None }));
    }
    Ok(None)
}

/// Whether pages at the end of the file begin so many bytes before the place at which they belong.
fn moved_by(database: &dyn ReadAt, size: PageSize, missing: u64) -> io::Result<bool> {
    let page = u64::from(size);
    let pages = database.len().saturating_add(missing) / page;
    let last = LAST_PAGES.min((pages / 4).max(1));
    let (mut moved, mut in_place) = (0_u64, 0_u64);
    for before in pages.saturating_sub(last).max(1)..pages {
        let at = before.saturating_mul(page);
        let begins_moved = at.checked_sub(missing).map(|at| begins_page(database, at, size)).transpose()?;
        moved += u64::from(begins_moved == Some(true));
        in_place += u64::from(begins_page(database, at, size)?);
    }
    Ok(moved > 0 && moved > 4 * in_place && moved.saturating_mul(8) >= last)
}

/// Whether a page of a b-tree can begin here: its type, and numbers that fit each other.
fn begins_page(database: &dyn ReadAt, at: u64, size: PageSize) -> io::Result<bool> {
    let mut head = [0; 8];
    if database.read_at(&mut head, at)? < head.len() {
        return Ok(false);
    }
    let [kind, free1, free2, cells1, cells2, content1, content2, fragments] = head;
    let word = |high: u8, low: u8| u32::from(high) << 8 | u32::from(low);
    let (free, cells, content) = (word(free1, free2), word(cells1, cells2), word(content1, content2));
    let content = if content == 0 { 65536 } else { content };
    let begin = if matches!(kind, 2 | 5) { 12 } else { 8 };
    Ok(matches!(kind, 2 | 5 | 10 | 13)
        && content <= size.bytes()
        && begin + 2 * cells <= content
        && (free == 0 || (content..size.bytes()).contains(&free))
        && fragments <= 60)
}
