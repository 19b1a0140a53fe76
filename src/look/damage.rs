//! Bytes of the files that a transfer changed: line ends that were translated, text instead of bytes.
//!
//! A database is looked through only if its size is no whole number of pages, if it has no header, or if page 1 cannot be as it
//! is. Of other databases only page 1 and the first bytes of the indexes are read.

use std::io;

use crate::bytes::ReadAt;
use crate::format::btree::{PageHead, PageKind};
use crate::format::db::{DatabaseHead, DatabaseHeader, HEADER_SIZE, MAGIC, parse_head};
use crate::format::schema::{index_roots, schema_rows};
use crate::number::{PageNumber, PageSize};
use crate::wal::mangled::{
    Change, LINE_ENDS_ENOUGH, MangledWal, Undone, all_pairs, by_beginning, is_throughout, no_pairs, replaced,
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

/// How a database begins.
const BEGINS: &[&[u8]] = &[MAGIC];
/// Bytes of the beginning that are decoded.
const BEGINNING: usize = 256;

/// Whether a file with this head begins as another form of a database does: text, swapped bytes, a compressed file.
#[cfg(all(feature = "capture", target_os = "linux"))]
pub(crate) fn is_another_form(head: &[u8]) -> bool {
    by_beginning(head, BEGINS).is_some()
}

/// Looks for a change of the bytes of a database.
pub(super) fn of_database(database: &dyn ReadAt, head: Option<&DatabaseHead>) -> io::Result<Option<MangledDatabase>> {
    match head {
        Some(DatabaseHead::Opaque { .. }) => as_text(database),
        Some(head @ DatabaseHead::Plain(header)) => match head.page_size() {
            Some(size) if database.len().is_multiple_of(size.into()) => by_page_one(database, header, size),
            Some(size) => within(database, header, size),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

/// A file without the header of a database: whether it is one in another form.
fn as_text(database: &dyn ReadAt) -> io::Result<Option<MangledDatabase>> {
    let mut begin = [0; BEGINNING];
    let got = database.read_at(&mut begin, 0)?;
    let Some(change) = by_beginning(begin.get(..got).unwrap_or_default(), BEGINS) else { return Ok(None) };
    let certain = change.is_proven_by_beginning()
        || change != Change::Packed && is_database(Undone::new(database, change)?.as_ref())?;
    let seen = certain || change == Change::Packed;
    Ok(seen.then_some(MangledDatabase { change, certain, bytes: None, first: Some(PageNumber(1)) }))
}

fn is_database(undone: Option<&Undone<'_>>) -> io::Result<bool> {
    let Some(undone) = undone else { return Ok(false) };
    let mut head = [0; HEADER_SIZE];
    let got = undone.read_at(&mut head, 0)?;
    let head = parse_head(head.get(..got).unwrap_or_default()).ok();
    Ok(head.and_then(|head| head.page_size()).is_some_and(|size| undone.len().is_multiple_of(size.into())))
}

/// A database of whole pages: whether page 1 shows that bytes were replaced, and the whole file that they were everywhere.
/// Only if page 1 shows it, more is read.
fn by_page_one(database: &dyn ReadAt, header: &DatabaseHeader, size: PageSize) -> io::Result<Option<MangledDatabase>> {
    let mut page = vec![0; size.to_usize()];
    if database.read_at(&mut page, 0)? < page.len() {
        return Ok(None);
    }
    let Some(change) = suspected(database, &page, header, size)? else { return Ok(None) };
    let first = Some(PageNumber(1));
    Ok(is_throughout(database, change)?.then_some(MangledDatabase { change, certain: false, bytes: None, first }))
}

/// What page 1 shows: it is that of an index, its rows cannot be read, or an index begins with a page of a table.
fn suspected(
    database: &dyn ReadAt,
    page: &[u8],
    header: &DatabaseHeader,
    size: PageSize,
) -> io::Result<Option<Change>> {
    match page.get(HEADER_SIZE).and_then(|byte| PageKind::new(*byte)) {
        // 0x0d became 0x0a.
        Some(PageKind::IndexLeaf) => return Ok(Some(Change::ReturnsReplaced)),
        // Page 1 says where the rows begin.
        Some(PageKind::TableLeaf) if schema_rows(page, header).is_none() => return Ok(Some(Change::TopBitRemoved)),
        Some(PageKind::TableLeaf) => {}
        _ => return Ok(None),
    }
    for root in index_roots(page, header) {
        let mut kind = [0];
        let got = database.read_at(&mut kind, size.offset_in_database(root))?;
        if got == kind.len() && PageKind::new(kind[0]) == Some(PageKind::TableLeaf) {
            return Ok(Some(Change::FeedsReplaced));
        }
    }
    Ok(None)
}

/// A database whose size is no whole number of pages.
fn within(database: &dyn ReadAt, header: &DatabaseHeader, size: PageSize) -> io::Result<Option<MangledDatabase>> {
    let (len, page) = (database.len(), u64::from(size));
    let stated = header.believed_pages().map(|pages| u64::from(pages).saturating_mul(page));
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
    if let Some(stated) = stated.filter(|stated| len > *stated)
        && none_begins_in_place(database, stated, size)?
        && is_throughout(database, Change::TabsExpanded)?
    {
        let bytes = Some(len - stated);
        return Ok(Some(MangledDatabase { change: Change::TabsExpanded, certain: false, bytes, first: None }));
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

/// Whether of the last pages of a database of this size none begins where it should.
fn none_begins_in_place(database: &dyn ReadAt, stated: u64, size: PageSize) -> io::Result<bool> {
    let pages = stated / u64::from(size);
    for before in pages.saturating_sub(LAST_PAGES.min(pages / 2)).max(1)..pages {
        if begins_page(database, before.saturating_mul(size.into()), size)? {
            return Ok(false);
        }
    }
    Ok(pages > 1)
}

/// Whether a page of a b-tree can begin here: its type, and numbers that fit each other.
fn begins_page(database: &dyn ReadAt, at: u64, size: PageSize) -> io::Result<bool> {
    let mut head = [0; PageHead::SIZE];
    let got = database.read_at(&mut head, at)?;
    Ok(PageHead::parse(head.get(..got).unwrap_or_default()).is_some_and(|head| head.fits_page(size)))
}
