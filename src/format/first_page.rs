//! Page 1 as the first page of a table, and the fields of its header that name other pages.
//! Source: fileformat2, sections 1.3.5, 1.3.13 and 1.6.

use nom::number::complete::{be_u16, u8};
use nom::{IResult, Parser};

use super::db::{DatabaseHeader, HEADER_SIZE, HeaderFault};

/// What cannot be in page 1 of a database of so many pages, and whether SQLite refuses to read the database because of it.
///
/// folklore: SQLite looks at the freelist and the largest root page only when it takes a page or makes a table, and then calls
/// the database malformed. Held by `each_impossible_field_of_page_1_is_named_and_sqlite_agrees`.
#[must_use]
pub fn faults(page: &[u8], header: &DatabaseHeader, pages: u64) -> (Vec<HeaderFault>, bool) {
    let named = [
        (HeaderFault::FreelistTrunk, u64::from(header.freelist_trunk) > pages),
        (HeaderFault::FreelistPages, u64::from(header.freelist_pages) >= pages),
        (HeaderFault::LargestRoot, u64::from(header.largest_root) > pages),
    ];
    let usable = usize::try_from(header.page_size.saturating_sub(header.reserved.into())).unwrap_or(0);
    let of_table = page.get(..usable).and_then(table_fault);
    let named = named.into_iter().filter(|(_, is)| *is).map(|(fault, _)| fault);
    (named.chain(of_table).collect(), of_table.is_some())
}

/// Number of rows, or of pages, that page 1 names.
#[must_use]
pub fn cells(page: &[u8]) -> u16 {
    let parsed: IResult<&[u8], _> = (u8, be_u16, be_u16).parse(page.get(HEADER_SIZE..).unwrap_or_default());
    parsed.map_or(0, |(_, (_, _, cells))| cells)
}

/// `sqlite_schema` is a table, whose cells lie within the page and behind the pointers to them.
fn table_fault(page: &[u8]) -> Option<HeaderFault> {
    let rest = page.get(HEADER_SIZE..)?;
    let header = match rest.first()? {
        5 => 12,
        13 => 8,
        _ => return Some(HeaderFault::FirstTable),
    };
    let end = HEADER_SIZE + header + 2 * usize::from(cells(page));
    let Some(pointers) = page.get(HEADER_SIZE + header..end) else { return Some(HeaderFault::CellPointers) };
    let (pointers, _) = pointers.as_chunks();
    let within = |at: &[u8; 2]| (end..page.len()).contains(&usize::from(u16::from_be_bytes(*at)));
    (!pointers.iter().all(within)).then_some(HeaderFault::CellPointers)
}
