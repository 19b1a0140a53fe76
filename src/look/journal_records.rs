//! The parts of a rollback journal, and the pages in them.

use std::collections::BTreeMap;
use std::io;

use crate::bytes::ReadAt;
use crate::format::journal::{self, JournalHeader};
use crate::number::PageNumber;

/// A header, and the pages behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Where the header is.
    pub(super) at: u64,
    pub(super) header: JournalHeader,
}

impl Part {
    /// The part that begins there. `None`: SQLite sees no header there.
    pub(super) fn at(bytes: &dyn ReadAt, at: u64) -> io::Result<Option<Self>> {
        let mut head = [0; journal::HEADER_SIZE];
        let whole = bytes.read_at(&mut head, at)? == journal::HEADER_SIZE;
        Ok(journal::parse(&head).filter(|_| whole).map(|header| Self { at, header }))
    }

    /// Bytes of a page with its number and its checksum.
    fn record_size(&self) -> u64 {
        u64::from(self.header.page_size) + 8
    }

    fn begin(&self) -> u64 {
        self.at.saturating_add(self.header.sector_size.into())
    }

    /// Pages that the header counts. `None`: as many as the file has.
    pub(super) fn counted(&self) -> Option<u64> {
        Some(self.header.records).filter(|records| !matches!(records, 0 | &u32::MAX)).map(u64::from)
    }

    /// Whole records that a file of this length has place for.
    pub(super) fn place_for(&self, len: u64) -> u64 {
        len.saturating_sub(self.begin()) / self.record_size()
    }

    /// Where the record `n` begins, from 0.
    pub(super) fn begin_of(&self, n: u64) -> u64 {
        self.begin().saturating_add(self.record_size().saturating_mul(n))
    }

    /// The record `n`, from 0. `None`: it has no number.
    pub(super) fn record(&self, bytes: &dyn ReadAt, n: u64) -> io::Result<Option<Record>> {
        let mut number = [0; 4];
        let at = self.begin_of(n);
        let whole = bytes.read_at(&mut number, at)? == number.len();
        let number = u32::from_be_bytes(number);
        Ok((whole && number != 0).then_some(Record { number, at: at.saturating_add(4), header: self.header }))
    }

    /// Where the next part begins, behind so many records: at a sector of its own.
    pub(super) fn end(&self, records: u64) -> u64 {
        let sector = u64::from(self.header.sector_size);
        self.begin_of(records).div_ceil(sector).saturating_mul(sector)
    }
}

/// A page in a journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// The number of the page.
    pub(super) number: u32,
    /// Where the page begins.
    at: u64,
    /// The header before it.
    header: JournalHeader,
}

impl Record {
    /// The page, if its checksum is right.
    pub(super) fn page(&self, bytes: &dyn ReadAt) -> io::Result<Option<Vec<u8>>> {
        let mut kept = vec![0; self.header.page_size.to_usize() + 4];
        let got = bytes.read_at(&mut kept, self.at)?;
        Ok(journal::page(kept.get(..got).unwrap_or_default(), &self.header).map(<[u8]>::to_vec))
    }

    /// Whether the name of a super-journal stands there: SQLite goes no further.
    pub(super) fn is_of_super_journal(&self) -> bool {
        self.number == PENDING_BYTE / u32::from(self.header.page_size) + 1
    }
}

/// The first byte that SQLite locks. Its page is in no transaction.
const PENDING_BYTE: u32 = 0x4000_0000;

/// Hands out the records of a journal in order, until `each` says `false`. SQLite goes no further than a page 0. A file that
/// claims terabytes has nothing else in its holes.
pub(super) fn each_record(bytes: &dyn ReadAt, each: &mut dyn FnMut(&Record) -> io::Result<bool>) -> io::Result<()> {
    let mut at = 0;
    while let Some(part) = Part::at(bytes, at)? {
        let in_file = part.place_for(bytes.len());
        let records = part.counted().unwrap_or(u64::MAX).min(in_file);
        for n in 0..records {
            match part.record(bytes, n)? {
                Some(record) if each(&record)? => {}
                _ => return Ok(()),
            }
        }
        at = part.end(records);
    }
    Ok(())
}

/// What rolling back writes into the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Playback {
    /// The first header: sizes, and the nonce of the transaction.
    pub(super) header: JournalHeader,
    /// The pages, and where each begins in the journal.
    pub(super) pages: BTreeMap<PageNumber, u64>,
}

/// The pages that SQLite writes back from a journal that nobody has open. `None`: it has no header, and nothing is written.
///
/// folklore: the file gets the size that the first header states. A header counts its pages; 0xffffffff stands for all that the file has,
/// and 0 for none. SQLite passes by a page behind the end, and stops at a page 0, at the name of a super-journal, at a wrong checksum,
/// and where the next part has no header (`pager_playback`). Held by `sqlite_rolls_back_what_the_walk_takes`.
pub(super) fn played_back(bytes: &dyn ReadAt) -> io::Result<Option<Playback>> {
    let Some(first) = Part::at(bytes, 0)? else { return Ok(None) };
    let mut found = Playback { header: first.header, pages: BTreeMap::new() };
    let mut at = 0;
    while let Some(part) = Part::at(bytes, at)? {
        let records = match part.header.records {
            u32::MAX => part.place_for(bytes.len()),
            counted => counted.into(),
        };
        for n in 0..records {
            let Some(record) = part.record(bytes, n)?.filter(|record| !record.is_of_super_journal()) else {
                return Ok(Some(found));
            };
            if record.number > first.header.database_pages {
                continue;
            }
            if record.page(bytes)?.is_none() {
                return Ok(Some(found));
            }
            found.pages.insert(PageNumber(record.number), record.at);
        }
        at = part.end(records);
    }
    Ok(Some(found))
}

/// A journal that was not synced yet, as if it was: with the magic, and as many pages as the file has.
pub(super) struct Synced<'a>(pub(super) &'a dyn ReadAt);

/// What a sync writes, if it does not count the pages.
const SYNCED: [u8; 12] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, 0xff, 0xff, 0xff, 0xff];

impl ReadAt for Synced<'_> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let got = self.0.read_at(into, at)?;
        let behind = usize::try_from(at).ok().and_then(|at| SYNCED.get(at..)).unwrap_or_default();
        into.iter_mut().take(got).zip(behind).for_each(|(byte, synced)| *byte = *synced);
        Ok(got)
    }
}

/// Whether a journal was not synced: it has zeros for the magic and for the number of pages, and sizes behind them.
///
/// folklore: the magic is written with the first sync, and no page of the database before that, but for `synchronous=OFF`. SQLite takes
/// a journal that begins with a zero for idle, and rolls nothing back (`hasHotJournal`); an idle one has zeros in all 28 bytes
/// (`zeroJournalHdr`). Held by `a_process_in_exclusive_locking_mode_that_has_not_written_is_not_said_to_have`.
pub(super) fn is_unsynced(bytes: &dyn ReadAt) -> io::Result<bool> {
    let mut head = [1; SYNCED.len()];
    let got = bytes.read_at(&mut head, 0)?;
    Ok(got == head.len() && head.iter().all(|byte| *byte == 0) && Part::at(&Synced(bytes), 0)?.is_some())
}
