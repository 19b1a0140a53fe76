//! A rollback journal that waits, compared with the database that SQLite would write it into.

use std::io;

use crate::bytes::ReadAt;
use crate::evidence::KeptPages;
use crate::format::db::{self, DatabaseHead, DatabaseHeader};
use crate::format::journal::{self, JournalHeader};

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
    /// Bytes of a page, in the database.
    pub of_database: u32,
    /// The change counter of the database.
    pub database_change_counter: u32,
    /// The name of the super-journal with which the journal ends: its transaction writes to several databases.
    pub super_journal: Option<String>,
    /// Whether somebody was seen to write in a transaction just before or after: who has a journal keeps RESERVED.
    pub under_way: bool,
}

/// Compares the two. `None`: one of them changed meanwhile, or has no header.
pub(super) fn compare(bytes: &dyn ReadAt, database: &dyn ReadAt) -> io::Result<Option<JournalBeside>> {
    let heads =
        || Ok::<_, io::Error>((head::<{ journal::HEADER_SIZE }>(bytes)?, head::<{ db::HEADER_SIZE }>(database)?));
    let before = heads()?;
    let (page_one, super_journal) = (page_one(bytes)?, super_journal(bytes)?);
    if heads()? != before {
        return Ok(None);
    }
    let (Some(of_journal), Some(of_database)) = (journal::parse(&before.0), plain(&before.1)) else { return Ok(None) };
    Ok(Some(JournalBeside {
        page_size: of_journal.page_size.bytes(),
        database_pages: of_journal.database_pages,
        change_counter: page_one.and_then(|page| plain(&page)).map(|header| header.change_counter),
        of_database: of_database.page_size,
        database_change_counter: of_database.change_counter,
        super_journal: super_journal.map(|name| String::from_utf8_lossy(&name).into_owned()),
        under_way: false,
    }))
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

/// The first bytes of page 1 before the transaction, if the journal keeps it with a right checksum.
fn page_one(bytes: &dyn ReadAt) -> io::Result<Option<Vec<u8>>> {
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
const PAGES: u64 = 4096;
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

/// A page in a journal.
struct Record {
    /// The number of the page.
    number: u32,
    /// Where the page begins.
    at: u64,
    /// The header before it.
    header: JournalHeader,
}

impl Record {
    /// The page, if its checksum is right.
    fn page(&self, bytes: &dyn ReadAt) -> io::Result<Option<Vec<u8>>> {
        let mut kept = vec![0; self.header.page_size.to_usize() + 4];
        let got = bytes.read_at(&mut kept, self.at)?;
        Ok(journal::page(kept.get(..got).unwrap_or_default(), &self.header).map(<[u8]>::to_vec))
    }
}

/// Hands out the records of a journal in order, until `each` says `false`. SQLite goes no further than a page 0. A file that
/// claims terabytes has nothing else in its holes.
fn each_record(bytes: &dyn ReadAt, each: &mut dyn FnMut(&Record) -> io::Result<bool>) -> io::Result<()> {
    let mut at = 0;
    let mut head = [0; journal::HEADER_SIZE];
    while bytes.read_at(&mut head, at)? == journal::HEADER_SIZE {
        let Some(header) = journal::parse(&head) else { return Ok(()) };
        let sector = u64::from(header.sector_size);
        let size = u64::from(header.page_size) + 8;
        let mut next = at + sector;
        let in_file = bytes.len().saturating_sub(next) / size;
        let records = match header.records {
            0 | u32::MAX => in_file,
            n => in_file.min(n.into()),
        };
        for _ in 0..records {
            let mut number = [0; 4];
            let got = bytes.read_at(&mut number, next)?;
            let record = Record { number: u32::from_be_bytes(number), at: next + 4, header };
            if got < number.len() || record.number == 0 || !each(&record)? {
                return Ok(());
            }
            next += size;
        }
        // The next part begins at a sector of its own.
        at = next.div_ceil(sector) * sector;
    }
    Ok(())
}

/// The header of a database that is not encrypted.
fn plain(bytes: &[u8]) -> Option<DatabaseHeader> {
    match db::parse_head(bytes.get(..db::HEADER_SIZE)?) {
        Ok(DatabaseHead::Plain(header)) => Some(header),
        _ => None,
    }
}

fn head<const N: usize>(bytes: &dyn ReadAt) -> io::Result<[u8; N]> {
    let mut head = [0; N];
    bytes.read_at(&mut head, 0)?;
    Ok(head)
}
