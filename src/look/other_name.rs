//! A WAL that lies beside a database under another name, compared with that database.

use std::collections::BTreeMap;
use std::io;

use crate::bytes::ReadAt;
use crate::evidence::WalElsewhere;
use crate::format::db::{self, DatabaseHead};
use crate::number::PageNumber;
use crate::wal::scan_pages;

/// At most so many pages of the WAL are compared.
const PAGES: usize = 4096;
/// A page is akin to another state of it if at least so many of its bytes that are not zero are the same, and these are at least
/// a half of those that are not zero in either.
///
/// folklore: a row more or less moves some bytes of a page: SQLite fills it from its end, and leaves other cells where they are.
const TELLING: usize = 64;

/// What the WAL would add to the database. `None`: it has no commits, pages of another size, or the database has no header.
///
/// # Errors
/// Reading failed.
pub fn wal_elsewhere(wal: &dyn ReadAt, database: &dyn ReadAt) -> io::Result<Option<WalElsewhere>> {
    let mut head = [0; db::HEADER_SIZE];
    database.read_at(&mut head, 0)?;
    let Ok(DatabaseHead::Plain(header)) = db::parse_head(&head) else { return Ok(None) };
    let (mut committed, mut of_transaction) = (BTreeMap::new(), BTreeMap::new());
    let mut failed = None;
    let facts = scan_pages(wal, &mut |frame, page| {
        if !frame.valid || failed.is_some() {
            return;
        }
        let number = frame.header.page;
        let known = of_transaction.contains_key(&number) || committed.contains_key(&number);
        if known || committed.len() + of_transaction.len() < PAGES {
            match compared(database, number, page) {
                Ok(Some(now)) => {
                    // The first image is the nearest to the database, and the last one is what it would become.
                    let first = of_transaction.get(&number).or_else(|| committed.get(&number));
                    let akin = first.map_or(now.akin, |first: &Compared| first.akin);
                    of_transaction.insert(number, Compared { akin, ..now });
                }
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        if frame.header.is_commit() {
            committed.append(&mut of_transaction);
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let same_size = facts.page_size().is_some_and(|size| size.bytes() == header.page_size);
    let count = |is: fn(&Compared) -> bool| committed.values().filter(|page| is(page)).count() as u64;
    Ok((facts.commits > 0 && same_size).then(|| WalElsewhere {
        commits: facts.commits,
        compared: committed.len() as u64,
        akin: count(|page| page.akin),
        differ: count(|page| !page.same),
    }))
}

/// A page of the WAL, compared with that of the database.
struct Compared {
    akin: bool,
    same: bool,
}

/// `None`: the database ends before this page.
fn compared(database: &dyn ReadAt, number: PageNumber, page: &[u8]) -> io::Result<Option<Compared>> {
    let mut there = vec![0; page.len()];
    let at = u64::from(number.0.saturating_sub(1)).saturating_mul(page.len() as u64);
    if database.read_at(&mut there, at)? < there.len() {
        return Ok(None);
    }
    let both = page.iter().zip(&there);
    let equal = both.clone().filter(|(a, b)| a == b && **a != 0).count();
    let filled = both.filter(|(a, b)| **a != 0 || **b != 0).count();
    Ok(Some(Compared { akin: equal >= TELLING && equal.saturating_mul(2) >= filled, same: there == page }))
}
