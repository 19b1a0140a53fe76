//! A rollback journal that waits, compared with the database that SQLite would write it into.

use std::collections::BTreeSet;
use std::io;

use super::both_ways::BothWays;
use super::journal_damage::JournalDamage;
use super::journal_records::each_record;
use crate::bytes::ReadAt;
use crate::evidence::KeptPages;
use crate::format::db::{self, DatabaseHead, DatabaseHeader};
use crate::format::journal;

/// What a journal and a database show of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalBeside {
    /// Bytes of a page, in the journal.
    pub page_size: u32,
    /// Pages of the database before the transaction, in the journal.
    pub database_pages: u32,
    /// The change counter before the transaction, if the journal keeps page 1.
    pub change_counter: Option<u32>,
    /// Whether the database has no bytes, and the journal has a page of it.
    pub database_empty: bool,
    /// Bytes of a page, in the database. `None`: it has no header that can be read.
    pub of_database: Option<u32>,
    /// The change counter of the database.
    pub database_change_counter: Option<u32>,
    /// The name of the super-journal with which the journal ends: its transaction writes to several databases.
    pub super_journal: Option<String>,
    /// Whether the database has content, is shorter than it was before the transaction, and the journal does not have all pages
    /// that it lacks. A transaction makes the file shorter only after its journal is gone.
    pub database_shorter: bool,
    /// The trees both ways. `None`: nobody asked to walk over them, or it could not be done.
    pub both_ways: Option<BothWays>,
    /// Where rolling back stops, in front of pages of the transaction.
    pub damage: Option<JournalDamage>,
    /// Whether somebody was seen to write in a transaction just before or after: who has a journal keeps RESERVED.
    pub under_way: bool,
}

/// Compares the two. `None`: one of them changed meanwhile, or the journal has no header. Damage of the journal is not looked for.
pub(super) fn compare(bytes: &dyn ReadAt, database: &dyn ReadAt) -> io::Result<Option<JournalBeside>> {
    let heads = || {
        let beginning = head::<{ db::HEADER_SIZE }>(database)?;
        Ok::<_, io::Error>((head::<{ journal::HEADER_SIZE }>(bytes)?, beginning, has_bytes(database)?))
    };
    let before = heads()?;
    let (page_one, super_journal, keeps) = (page_one(bytes)?, super_journal(bytes)?, keeps_a_page(bytes)?);
    let shorter = is_shorter(bytes, database)?;
    if heads()? != before {
        return Ok(None);
    }
    let (of_journal, of_database, has_bytes) = before;
    let Some(of_journal) = journal::parse(&of_journal) else { return Ok(None) };
    let of_database = plain(&of_database);
    Ok(Some(JournalBeside {
        page_size: of_journal.page_size.bytes(),
        database_pages: of_journal.database_pages,
        change_counter: page_one.and_then(|page| plain(&page)).map(|header| header.change_counter),
        database_empty: !has_bytes && of_journal.database_pages > 0 && keeps,
        of_database: of_database.map(|header| header.page_size),
        database_shorter: has_bytes && shorter,
        both_ways: None,
        database_change_counter: of_database.map(|header| header.change_counter),
        super_journal: super_journal.map(|name| String::from_utf8_lossy(&name).into_owned()),
        damage: None,
        under_way: false,
    }))
}

/// Whether the database lacks pages that it had before the transaction, and the journal does not have all of these.
fn is_shorter(bytes: &dyn ReadAt, database: &dyn ReadAt) -> io::Result<bool> {
    let Some(header) = journal::parse(&head::<{ journal::HEADER_SIZE }>(bytes)?) else { return Ok(false) };
    let there = database.len() / u64::from(header.page_size);
    let missing = u64::from(header.database_pages).saturating_sub(there);
    if missing == 0 {
        return Ok(false);
    }
    let mut kept = BTreeSet::new();
    each_record(bytes, &mut |record| {
        if u64::from(record.number) > there && record.number <= header.database_pages {
            kept.insert(record.number);
        }
        Ok(true)
    })?;
    Ok((kept.len() as u64) < missing)
}

fn has_bytes(database: &dyn ReadAt) -> io::Result<bool> {
    Ok(database.read_at(&mut [0], 0)? > 0)
}

/// Whether the first page of a journal is right.
fn keeps_a_page(bytes: &dyn ReadAt) -> io::Result<bool> {
    let mut keeps = false;
    each_record(bytes, &mut |record| {
        keeps = record.page(bytes)?.is_some();
        Ok(false)
    })?;
    Ok(keeps)
}

/// The name of the super-journal that a journal ends with.
///
/// # Errors
/// Reading failed.
pub fn super_journal(bytes: &dyn ReadAt) -> io::Result<Option<Vec<u8>>> {
    let longest = (journal::LONGEST_NAME + journal::SUPER_JOURNAL_END) as u64;
    let size = bytes.len().min(longest);
    let mut end = vec![0; usize::try_from(size).unwrap_or_default()];
    let got = bytes.read_at(&mut end, bytes.len() - size)?;
    Ok(journal::super_journal(end.get(..got).unwrap_or_default()).map(<[u8]>::to_vec))
}

/// Page 1 before the transaction, if the journal keeps it with a right checksum.
pub(super) fn page_one(bytes: &dyn ReadAt) -> io::Result<Option<Vec<u8>>> {
    let mut found = None;
    each_record(bytes, &mut |record| {
        if record.number != 1 {
            return Ok(true);
        }
        found = record.page(bytes)?;
        Ok(false)
    })?;
    Ok(found)
}

/// At most so many pages of a journal are compared.
pub(super) const PAGES: u64 = 4096;
/// A page with fewer bytes that are not zero says nothing: pages of many databases are like it. Fewer are enough where the database
/// still has as many pages as the journal says.
const TELLING: [usize; 2] = [64, 12];

/// Compares the pages that a journal keeps, as far as their checksums are right, with those of a database. `None`: it has no
/// header, or pages of another size.
///
/// # Errors
/// Reading failed.
pub fn kept_pages(bytes: &dyn ReadAt, database: &dyn ReadAt) -> io::Result<Option<KeptPages>> {
    let (first, own) =
        (journal::parse(&head::<{ journal::HEADER_SIZE }>(bytes)?), plain(&head::<{ db::HEADER_SIZE }>(database)?));
    let (Some(first), Some(own)) = (first, own) else { return Ok(None) };
    if first.page_size.bytes() != own.page_size {
        return Ok(None);
    }
    let as_long = u64::from(first.database_pages).checked_mul(own.page_size.into()) == Some(database.len());
    let telling = if as_long { TELLING[1] } else { TELLING[0] };
    let mut found = KeptPages { compared: 0, same: 0, differ: 0, page_one: None };
    each_record(bytes, &mut |record| {
        let Some(page) = record.page(bytes)? else { return Ok(false) };
        let at = u64::from(record.number.saturating_sub(1)).saturating_mul(page.len() as u64);
        let mut there = vec![0; page.len()];
        let whole = database.read_at(&mut there, at)? == page.len();
        found.compared += 1;
        if record.number == 1 {
            let counter = plain(&page).map(|kept| own.change_counter.wrapping_sub(kept.change_counter) <= 1);
            found.page_one = Some(counter == Some(true));
        } else if !whole || there != page {
            found.differ += 1;
        } else if page.iter().filter(|byte| **byte != 0).count() >= telling {
            found.same += 1;
        }
        Ok(found.compared < PAGES)
    })?;
    Ok(Some(found))
}

/// The header of a database that is not encrypted.
pub(super) fn plain(bytes: &[u8]) -> Option<DatabaseHeader> {
    match db::parse_head(bytes.get(..db::HEADER_SIZE)?) {
        Ok(DatabaseHead::Plain(header)) => Some(header),
        _ => None,
    }
}

pub(super) fn head<const N: usize>(bytes: &dyn ReadAt) -> io::Result<[u8; N]> {
    let mut head = [0; N];
    bytes.read_at(&mut head, 0)?;
    Ok(head)
}
