//! The rollback journal: its header, and the pages that it keeps.
//! Source: fileformat2, section 3.

use nom::bytes::complete::{tag, take};
use nom::number::complete::be_u32;
use nom::{IResult, Parser};

use crate::number::PageSize;

/// The first 8 bytes of a journal that waits.
pub const MAGIC: &[u8; 8] = &[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// Bytes of the header. The rest of its sector is not used.
pub const HEADER_SIZE: usize = 28;
/// Bytes behind the name of a super-journal: its length, its checksum, and the magic again.
pub const SUPER_JOURNAL_END: usize = 16;
/// No name of a super-journal is longer: SQLite takes the longest path of its VFS.
pub const LONGEST_NAME: usize = 512;
/// The largest sector that SQLite accepts.
const LARGEST_SECTOR: u32 = 65536;

/// The header of a journal, or of a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalHeader {
    /// Number of pages in this part. 0 and 0xffffffff: as many as the file has.
    pub records: u32,
    /// What the checksums begin with.
    pub nonce: u32,
    /// Pages of the database before the transaction.
    pub database_pages: u32,
    /// Bytes of a sector: the pages begin at the next one.
    pub sector_size: u32,
    /// Bytes of a page.
    pub page_size: PageSize,
}

/// Reads a header. `None`: it begins otherwise, or SQLite does not accept its sizes.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<JournalHeader> {
    let parsed: IResult<&[u8], _> = (tag(MAGIC.as_slice()), be_u32, be_u32, be_u32, be_u32, be_u32).parse(bytes);
    let (_, (_, records, nonce, database_pages, sector_size, page_size)) = parsed.ok()?;
    let page_size = PageSize::new(page_size)?;
    let sector = sector_size.is_power_of_two() && (32..=LARGEST_SECTOR).contains(&sector_size);
    sector.then_some(JournalHeader { records, nonce, database_pages, sector_size, page_size })
}

/// The page in a record, which is behind the number of the page, if its checksum is right.
#[must_use]
pub fn page<'a>(bytes: &'a [u8], header: &JournalHeader) -> Option<&'a [u8]> {
    let size = header.page_size.to_usize();
    let parsed: IResult<&[u8], _> = (take(size), be_u32).parse(bytes);
    let (_, (page, stored)) = parsed.ok()?;
    // Every 200th byte from the end, but never the first.
    let summed = page.iter().rev().skip(199).step_by(200).take((size - 1) / 200);
    let sum = summed.fold(header.nonce, |sum, byte| sum.wrapping_add((*byte).into()));
    (sum == stored).then_some(page)
}

/// The name of the super-journal that a journal ends with; `None`: it ends with none that SQLite reads (`readSuperJournal` in
/// pager.c). `end` is the end of the journal.
#[must_use]
pub fn super_journal(end: &[u8]) -> Option<&[u8]> {
    let (names, end) = end.split_at_checked(end.len().checked_sub(SUPER_JOURNAL_END)?)?;
    let parsed: IResult<&[u8], _> = (be_u32, be_u32, tag(MAGIC.as_slice())).parse(end);
    let (_, (length, stored, _)) = parsed.ok()?;
    let length = usize::try_from(length).ok().filter(|length| (1..=LONGEST_NAME).contains(length))?;
    let name = names.get(names.len().checked_sub(length)?..)?;
    // SQLite sums the bytes as `char`, which is signed on most machines. A name of ASCII is the same for both.
    let unsigned = name.iter().fold(0_u32, |sum, byte| sum.wrapping_add((*byte).into()));
    let signed = name.iter().fold(0_u32, |sum, byte| sum.wrapping_add_signed(i32::from(byte.cast_signed())));
    (name.first() != Some(&0) && [unsigned, signed].contains(&stored)).then_some(name)
}
