//! Whether a rollback journal has each page that its headers count.

use std::io;

use super::journal_records::Part;
use crate::bytes::ReadAt;

/// A place in a journal where rolling back stops, in front of pages of the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalDamage {
    /// Whether the file ends there. Else the page there has a wrong checksum, or no number.
    pub cut: bool,
    /// Pages in front of it: only these are rolled back.
    pub right: u64,
    /// Pages that the headers count. `None`: they do not count them, and a page behind the place is right.
    pub counted: Option<u64>,
    /// Whether somebody wrote to the database after these pages were stored: then a loss of power is no harmless explanation.
    pub written_since: bool,
}

/// Where the place is.
struct Place {
    part: Part,
    record: u64,
    /// Right pages in front of it.
    right: u64,
    cut: bool,
}

/// At most so many pages are looked at.
const PAGES: u64 = 4096;
/// At most so many parts.
const PARTS: usize = 1 << 16;

/// Looks for such a place. `again` is the same journal with its length of later.
///
/// folklore: SQLite counts pages in the header only when they are in the file (`syncJournal` in pager.c). When they are synced, it
/// begins the next part behind them, and writes to the database. With `synchronous=NORMAL` a header can be stored before its pages:
/// after a loss of power the last part may be wrong, and the database has nothing of its transaction from there on. With
/// `synchronous=OFF` no page is counted, and older ones may stand behind the last: those have another nonce. Rolling back stops at
/// the first page that is not right (`pager_playback`). Held by `a_journal_that_was_cut_or_overwritten_is_an_error` and
/// `writers_and_their_journals_are_never_called_damaged`.
pub(super) fn look(
    bytes: &dyn ReadAt,
    database: &dyn ReadAt,
    again: impl Fn() -> io::Result<Option<std::sync::Arc<dyn ReadAt>>>,
) -> io::Result<Option<JournalDamage>> {
    let (Some(first), Some(place)) = (Part::at(bytes, 0)?, find(bytes)?) else { return Ok(None) };
    let written_since = written_since(bytes, database, &place)?;
    let counted = place.part.counted().is_some().then(|| counted(bytes)).transpose()?;
    let Some(again) = again()? else { return Ok(None) };
    let stays = is_wrong(again.as_ref(), &place)?;
    // Another transaction has another nonce. The pages of one are written once, before they are counted.
    let same = Part::at(again.as_ref(), 0)?.is_some_and(|now| now.header.nonce == first.header.nonce);
    let found = JournalDamage { cut: place.cut, right: place.right, counted, written_since };
    Ok((stays && same).then_some(found))
}

fn find(bytes: &dyn ReadAt) -> io::Result<Option<Place>> {
    let (mut at, mut right) = (0, 0);
    let mut left = PAGES;
    for _ in 0..PARTS {
        let Some(part) = Part::at(bytes, at)? else { return Ok(None) };
        let in_file = part.place_for(bytes.len());
        let Some(counted) = part.counted() else { return of_uncounted(bytes, part, in_file.min(left), right) };
        for record in 0..counted.min(in_file).min(left) {
            if !is_right(bytes, &part, record)? {
                return Ok(Some(Place { part, record, right, cut: false }));
            }
            right += 1;
        }
        if in_file < counted {
            // Those that were not looked at count as right.
            let right = right + in_file.saturating_sub(left);
            return Ok(Some(Place { part, record: in_file, right, cut: true }));
        }
        right += counted.saturating_sub(left);
        left = left.saturating_sub(counted);
        at = part.end(counted);
    }
    Ok(None)
}

/// A page that is not right, and a right one behind it.
fn of_uncounted(bytes: &dyn ReadAt, part: Part, records: u64, mut right: u64) -> io::Result<Option<Place>> {
    let mut wrong = None;
    for record in 0..records {
        if part.record(bytes, record)?.is_some_and(|record| record.is_of_super_journal()) {
            return Ok(None);
        }
        match (is_right(bytes, &part, record)?, wrong) {
            (true, Some((wrong, right))) => return Ok(Some(Place { part, record: wrong, right, cut: false })),
            (true, None) => right += 1,
            (false, None) => wrong = Some((record, right)),
            (false, Some(_)) => {}
        }
    }
    Ok(None)
}

fn is_right(bytes: &dyn ReadAt, part: &Part, record: u64) -> io::Result<bool> {
    Ok(match part.record(bytes, record)? {
        Some(record) => record.page(bytes)?.is_some(),
        None => false,
    })
}

/// Whether the place is there still, in the same part.
fn is_wrong(bytes: &dyn ReadAt, place: &Place) -> io::Result<bool> {
    let same = Part::at(bytes, place.part.at)?.is_some_and(|now| now.header.nonce == place.part.header.nonce);
    let wrong = if place.cut {
        place.part.place_for(bytes.len()) <= place.record
    } else {
        !is_right(bytes, &place.part, place.record)?
    };
    Ok(same && wrong)
}

/// Pages that the headers count.
fn counted(bytes: &dyn ReadAt) -> io::Result<u64> {
    let (mut at, mut sum) = (0, 0_u64);
    for _ in 0..PARTS {
        let Some((part, counted)) = Part::at(bytes, at)?.and_then(|part| Some((part, part.counted()?))) else { break };
        sum = sum.saturating_add(counted);
        at = part.end(counted);
    }
    Ok(sum)
}

/// Whether a next part follows, or the database does not have a page any more as this part keeps it.
fn written_since(bytes: &dyn ReadAt, database: &dyn ReadAt, place: &Place) -> io::Result<bool> {
    let counted = place.part.counted();
    if let Some(records) = counted
        && let Some(next) = Part::at(bytes, place.part.end(records))?
        && is_right(bytes, &next, 0)?
    {
        return Ok(true);
    }
    let in_file = place.part.place_for(bytes.len());
    for n in 0..counted.unwrap_or(u64::MAX).min(in_file).min(PAGES) {
        let Some(record) = place.part.record(bytes, n)? else { continue };
        let Some(page) = record.page(bytes)? else { continue };
        let mut there = vec![0; page.len()];
        let at = u64::from(record.number.saturating_sub(1)).saturating_mul(page.len() as u64);
        // One that is cut off here was not rolled back yet.
        if database.read_at(&mut there, at)? == page.len() && there != page {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::look;
    use crate::bytes::ReadAt;
    use crate::format::journal::MAGIC;

    /// A journal that counts two pages of zeros.
    fn journal(nonce: u32) -> Vec<u8> {
        let numbers = [2, nonce, 9, 512, 512_u32].map(u32::to_be_bytes).concat();
        let mut bytes = [MAGIC.as_slice(), &numbers].concat();
        bytes.resize(512, 0);
        for number in [1_u32, 2] {
            bytes.extend([&number.to_be_bytes()[..], &[0; 512], &nonce.to_be_bytes()].concat());
        }
        bytes
    }

    #[test]
    fn a_journal_that_grew_meanwhile_or_is_of_the_next_transaction_is_not_damaged() {
        let whole = journal(7);
        let short = whole[..whole.len() - 9].to_vec();
        let mut wrong = whole.clone();
        wrong[512 + 4 + 512] ^= 1;
        let found = |bytes: &[u8], again: &[u8]| {
            let again: Arc<dyn ReadAt> = Arc::new(again.to_vec());
            look(&bytes.to_vec(), &Vec::new(), || Ok(Some(Arc::clone(&again)))).unwrap().map(|one| (one.cut, one.right))
        };
        assert_eq!(found(&whole, &whole), None);
        assert_eq!(found(&short, &short), Some((true, 1)));
        assert_eq!(found(&wrong, &wrong), Some((false, 0)));
        assert_eq!(found(&short, &whole), None);
        assert_eq!(found(&wrong, &whole), None);
        assert_eq!(found(&short, &journal(8)[..600]), None);
        let other = journal(8);
        assert_eq!(found(&wrong, &other[..600]), None);
    }
}
