//! A rollback journal that waits, compared with the database that SQLite would write it into.

use std::io;

use crate::bytes::ReadAt;
use crate::evidence::KeptPages;
use crate::format::db::{self, DatabaseHead};
use crate::format::journal;

/// What a journal and a database show of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// Compares the two. `None`: one of them changed meanwhile, or has no header.
pub(super) fn compare(bytes: &dyn ReadAt, database: &dyn ReadAt) -> io::Result<Option<JournalBeside>> {
    let heads =
        || Ok::<_, io::Error>((head::<{ journal::HEADER_SIZE }>(bytes)?, head::<{ db::HEADER_SIZE }>(database)?));
    let before = heads()?;
    let page_one = page_one(bytes)?;
    if heads()? != before {
        return Ok(None);
    }
    let plain = |bytes: &[u8]| match db::parse_head(bytes.get(..db::HEADER_SIZE)?) {
        Ok(DatabaseHead::Plain(header)) => Some(header),
        _ => None,
    };
    let (Some(of_journal), Some(of_database)) = (journal::parse(&before.0), plain(&before.1)) else { return Ok(None) };
    Ok(Some(JournalBeside {
        page_size: of_journal.page_size.bytes(),
        database_pages: of_journal.database_pages,
        change_counter: page_one.and_then(|page| plain(&page)).map(|header| header.change_counter),
        of_database: of_database.page_size,
        database_change_counter: of_database.change_counter,
    }))
}

/// The first bytes of page 1 before the transaction, if the journal keeps it with a right checksum.
fn page_one(bytes: &dyn ReadAt) -> io::Result<Option<Vec<u8>>> {
    let mut at = 0;
    let mut head = [0; journal::HEADER_SIZE];
    while bytes.read_at(&mut head, at)? == journal::HEADER_SIZE {
        let Some(header) = journal::parse(&head) else { return Ok(None) };
        let sector = u64::from(header.sector_size);
        let record = u64::from(header.page_size) + 8;
        let mut next = at + sector;
        let in_file = bytes.len().saturating_sub(next) / record;
        let records = match header.records {
            0 | u32::MAX => in_file,
            n => in_file.min(n.into()),
        };
        for _ in 0..records {
            let mut page = [0; 4];
            match bytes.read_at(&mut page, next)? {
                4 if page == [0, 0, 0, 1] => {
                    let mut kept = vec![0; header.page_size.to_usize() + 4];
                    let got = bytes.read_at(&mut kept, next + 4)?;
                    return Ok(journal::page(kept.get(..got).unwrap_or_default(), &header).map(<[u8]>::to_vec));
                }
                // SQLite goes no further than a page 0. A file that claims terabytes has nothing else in its holes.
                4 if page != [0; 4] => {}
                _ => return Ok(None),
            }
            next += record;
        }
        // The next part begins at a sector of its own.
        at = next.div_ceil(sector) * sector;
    }
    Ok(None)
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
    let plain = |bytes: &[u8]| match db::parse_head(bytes.get(..db::HEADER_SIZE)?) {
        Ok(DatabaseHead::Plain(header)) => Some(header),
        _ => None,
    };
    let (first, own) =
        (journal::parse(&head::<{ journal::HEADER_SIZE }>(bytes)?), plain(&head::<{ db::HEADER_SIZE }>(database)?));
    let (Some(first), Some(own)) = (first, own) else { return Ok(None) };
    if first.page_size.bytes() != own.page_size {
        return Ok(None);
    }
    let as_long = u64::from(first.database_pages).checked_mul(own.page_size.into()) == Some(database.len());
    let telling = if as_long { TELLING[1] } else { TELLING[0] };
    let mut found = KeptPages { compared: 0, same: 0, differ: 0, page_one: None };
    each_page(bytes, &mut |number, page| {
        let at = u64::from(number.saturating_sub(1)).saturating_mul(page.len() as u64);
        let mut there = vec![0; page.len()];
        let whole = database.read_at(&mut there, at)? == page.len();
        found.compared += 1;
        if number == 1 {
            let counter = plain(page).map(|kept| own.change_counter.wrapping_sub(kept.change_counter) <= 1);
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

/// Hands out the pages that a journal keeps, in order, until one has a wrong checksum or `each` says `false`.
fn each_page(bytes: &dyn ReadAt, each: &mut dyn FnMut(u32, &[u8]) -> io::Result<bool>) -> io::Result<()> {
    let mut at = 0;
    let mut head = [0; journal::HEADER_SIZE];
    while bytes.read_at(&mut head, at)? == journal::HEADER_SIZE {
        let Some(header) = journal::parse(&head) else { return Ok(()) };
        let sector = u64::from(header.sector_size);
        let record = u64::from(header.page_size) + 8;
        let mut next = at + sector;
        let in_file = bytes.len().saturating_sub(next) / record;
        let records = match header.records {
            0 | u32::MAX => in_file,
            n => in_file.min(n.into()),
        };
        for _ in 0..records {
            let (mut number, mut kept) = ([0; 4], vec![0; header.page_size.to_usize() + 4]);
            let got = bytes.read_at(&mut number, next)?;
            let read = bytes.read_at(&mut kept, next + 4)?;
            let number = u32::from_be_bytes(number);
            let Some(page) = journal::page(kept.get(..read).unwrap_or_default(), &header) else { return Ok(()) };
            if got < 4 || number == 0 || !each(number, page)? {
                return Ok(());
            }
            next += record;
        }
        at = next.div_ceil(sector) * sector;
    }
    Ok(())
}

fn head<const N: usize>(bytes: &dyn ReadAt) -> io::Result<[u8; N]> {
    let mut head = [0; N];
    bytes.read_at(&mut head, 0)?;
    Ok(head)
}
