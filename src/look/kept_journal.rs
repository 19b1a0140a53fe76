//! What the bytes of a rollback journal show that a process has open.

use std::io;

use super::journal::compare;
use super::journal_records::{each_record, is_unsynced};
use crate::bytes::ReadAt;
use crate::evidence::{JournalHolds, Part};
use crate::format::journal::{HEADER_SIZE, MAGIC};

/// The largest sector, and the number of the first page behind it.
const FIRST_RECORD: usize = 65536 + 4;

/// What a journal holds, beside the database of its process.
///
/// # Errors
/// Reading failed.
pub fn journal_holds(bytes: &dyn ReadAt, database: Option<&dyn ReadAt>) -> io::Result<JournalHolds> {
    let mut head = [0; HEADER_SIZE];
    let read = bytes.read_at(&mut head, 0)?;
    // SQLite begins one with the magic, or with zeros in its place.
    if !Part::may_begin_journal(head.get(..read).unwrap_or_default()) {
        return Ok(JournalHolds::Emptied);
    }
    if read < HEADER_SIZE {
        return Ok(JournalHolds::Nothing);
    }
    if head.iter().skip(12).all(|byte| *byte == 0) {
        let emptied = is_emptied(bytes)? && is_emptied(bytes)?;
        return Ok(if emptied { JournalHolds::Emptied } else { JournalHolds::Nothing });
    }
    if is_unsynced(bytes)? {
        return Ok(JournalHolds::NotWritten);
    }
    let beside = database.map(|database| compare(bytes, database)).transpose()?.flatten();
    let counters = beside.and_then(|beside| Some((beside.change_counter?, beside.database_change_counter?)));
    let over = counters.is_some_and(|(before, now)| before != now);
    let before = !over && database.map(|database| is_as_before(bytes, database)).transpose()? == Some(true);
    Ok(match (over, before) {
        (true, _) => JournalHolds::Over,
        (false, true) => JournalHolds::Before,
        (false, false) => JournalHolds::Transaction,
    })
}

/// Whether the database has each page as the journal keeps it.
///
/// folklore: a forked child that closes the connection of its parent rolls the transaction of the parent back, and deletes the journal.
/// The parent goes on with the pages in its memory: what it commits then is mixed with the old ones. Held by
/// `a_transaction_that_a_forked_child_rolled_back_is_not_to_be_committed`.
fn is_as_before(bytes: &dyn ReadAt, database: &dyn ReadAt) -> io::Result<bool> {
    let (mut compared, mut same) = (0_u64, true);
    each_record(bytes, &mut |record| {
        let Some(page) = record.page(bytes)? else { return Ok(false) };
        let at = u64::from(record.number.saturating_sub(1)).saturating_mul(page.len() as u64);
        let mut there = vec![0; page.len()];
        same = database.read_at(&mut there, at)? == page.len() && there == page;
        compared += 1;
        Ok(same)
    })?;
    Ok(compared > 0 && same)
}

/// Whether a journal that is in use was emptied: its header and the number of its first page are zeros, and content stands behind
/// them.
///
/// folklore: a transaction that is over leaves zeros in the header (`zeroJournalHdr`) or an empty file, and never a hole: the first
/// page follows at the next sector, which begins at a power of two from 32 to 65536 (`readJournalHdr`), with its number, which is not
/// 0. Who has the file open goes on behind the pages that it wrote before. A sync writes the magic and the number of pages again, and
/// nothing else of the header. Held by `a_journal_that_was_emptied_under_its_writer_is_an_error` and
/// `writers_in_every_journal_mode_keep_their_journal`.
fn is_emptied(bytes: &dyn ReadAt) -> io::Result<bool> {
    let mut begin = vec![0; FIRST_RECORD];
    let read = bytes.read_at(&mut begin, 0)?;
    let (Some(head), Some(behind)) = (begin.get(..HEADER_SIZE), begin.get(HEADER_SIZE..read)) else { return Ok(false) };
    if head.iter().skip(12).any(|byte| *byte != 0) {
        return Ok(false);
    }
    if head.starts_with(MAGIC) {
        return Ok(true);
    }
    let first = behind.iter().position(|byte| *byte != 0).map(|at| (at + HEADER_SIZE) & !3);
    Ok(match first {
        Some(at) => !(at >= 32 && at.is_power_of_two()) && head.iter().all(|byte| *byte == 0),
        None => head.iter().all(|byte| *byte == 0) && ends_with_content(bytes)?,
    })
}

/// Whether the end of a file is not zeros all through.
fn ends_with_content(bytes: &dyn ReadAt) -> io::Result<bool> {
    let mut end = vec![0; FIRST_RECORD];
    let at = bytes.len().saturating_sub(FIRST_RECORD as u64).max(FIRST_RECORD as u64);
    let read = bytes.read_at(&mut end, at)?;
    Ok(end.iter().take(read).any(|byte| *byte != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(bytes: Vec<u8>) -> JournalHolds {
        journal_holds(&bytes, None).unwrap()
    }

    /// A header, and three records of pages of 1024 bytes behind a sector.
    fn journal(sector: usize, magic: bool) -> Vec<u8> {
        let mut bytes = vec![0; sector + 3 * 1032];
        let sizes = [7, 3, u32::try_from(sector).unwrap(), 1024];
        bytes[..8].copy_from_slice(if magic { MAGIC } else { &[0; 8] });
        for (at, number) in (12..).step_by(4).zip(sizes) {
            bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        for (record, page) in (0..3).zip([2_u32, 256, 65536]) {
            let at = sector + record * 1032;
            bytes[at..at + 4].copy_from_slice(&page.to_be_bytes());
            bytes[at + 1000..at + 1032].fill(9);
        }
        bytes
    }

    #[test]
    fn a_journal_is_told_by_its_header_and_its_first_record() {
        for sector in [32, 512, 4096, 65536] {
            for magic in [true, false] {
                let bytes = journal(sector, magic);
                let expected = if magic { JournalHolds::Transaction } else { JournalHolds::NotWritten };
                assert_eq!(holds(bytes.clone()), expected, "{sector} {magic}");
                let over = |mut bytes: Vec<u8>| {
                    bytes[..HEADER_SIZE].fill(0);
                    bytes
                };
                assert_eq!(holds(over(bytes.clone())), JournalHolds::Nothing, "{sector}");
                let mut emptied = over(bytes.clone());
                emptied[..sector + 1032].fill(0);
                assert_eq!(holds(emptied.clone()), JournalHolds::Emptied, "{sector}");
                emptied[..8].copy_from_slice(MAGIC);
                assert_eq!(holds(emptied), JournalHolds::Emptied, "a sync: {sector}");
            }
        }
        for nothing in [Vec::new(), vec![0; 27], vec![0; 28], vec![0; 4096], vec![0; 300_000]] {
            assert_eq!(holds(nothing), JournalHolds::Nothing);
        }
        let mut long = vec![0; 300_000];
        long[299_000] = 1;
        assert_eq!(holds(long), JournalHolds::Emptied);
    }
}
