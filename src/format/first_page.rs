//! Page 1 as the first page of a table, and the fields of its header that name other pages.
//! Source: fileformat2, sections 1.3.5, 1.3.13 and 1.6.

use nom::number::complete::{be_u16, be_u32, u8};
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
    let space = page.get(..usable).filter(|_| of_table.is_none()).and_then(|page| fills(page, usable));
    let space = (space == Some(false)).then_some(HeaderFault::FreeSpace);
    (named.chain(of_table).chain(space).collect(), of_table.is_some())
}

/// Number of rows, or of pages, that page 1 names.
#[must_use]
pub fn cells(page: &[u8]) -> u16 {
    let parsed: IResult<&[u8], _> = (u8, be_u16, be_u16).parse(page.get(HEADER_SIZE..).unwrap_or_default());
    parsed.map_or(0, |(_, (_, _, cells))| cells)
}

/// Whether page 2, as far as it says something of pages that there are, can be the first pointer map. It says of page 3 and the following ones what they are and which page leads to them.
/// A root page and a free page have no page that leads to them.
#[must_use]
pub fn is_pointer_map(page: &[u8]) -> bool {
    let entry = |bytes: &[u8; 5]| {
        let entry: IResult<&[u8], _> = (u8, be_u32).parse(bytes);
        matches!(entry, Ok((_, (1 | 2, 0) | (3..=5, 1..))))
    };
    page.as_chunks().0.iter().all(entry)
}

/// Whether the cells, the free blocks and the bytes that are too few for a block fill the page from where its content begins.
/// `None`: a size of a cell is not there to be read.
///
/// folklore: `PRAGMA integrity_check` counts the same, and SQLite calls such a page malformed when it writes to it. A cell has at
/// least 4 bytes. Held by `each_impossible_field_of_page_1_is_named_and_sqlite_agrees` and `page_1_of_healthy_databases_raises_nothing`.
fn fills(page: &[u8], usable: usize) -> Option<bool> {
    let word = |at: usize| Some(usize::from(u16::from_be_bytes([*page.get(at)?, *page.get(at + 1)?])));
    if usable < 480 {
        return None;
    }
    let leaf = page.get(HEADER_SIZE)? == &13;
    let pointers = HEADER_SIZE + if leaf { 8 } else { 12 };
    let cells = usize::from(cells(page));
    let content = match word(HEADER_SIZE + 5)? {
        0 => 65536,
        content => content,
    };
    if content < pointers + 2 * cells || content > usable {
        return Some(false);
    }
    let mut taken = usize::from(*page.get(HEADER_SIZE + 7)?);
    let mut block = word(HEADER_SIZE + 1)?;
    let mut after = content;
    while block > 0 {
        if block < after || block + 4 > usable {
            return Some(false);
        }
        let size = word(block + 2)?;
        taken += size;
        after = block + size.max(4);
        block = word(block)?;
    }
    if after > usable {
        return Some(false);
    }
    for cell in 0..cells {
        let at = word(pointers + 2 * cell)?;
        if at < content {
            return Some(false);
        }
        let size = if leaf { leaf_cell(page.get(at..)?, usable)? } else { 4 + varint(page.get(at + 4..)?)?.1 };
        taken = taken.saturating_add(size.max(4));
    }
    Some(content + taken == usable)
}

/// Bytes of a cell of a leaf of a table, without what stands on overflow pages.
fn leaf_cell(cell: &[u8], usable: usize) -> Option<usize> {
    let (payload, first) = varint(cell)?;
    let (_, second) = varint(cell.get(first..)?)?;
    let most = usable - 35;
    let least = (usable - 12) * 32 / 255 - 23;
    let payload = usize::try_from(payload).ok()?;
    let local = match payload.checked_sub(most + 1) {
        None => payload,
        Some(_) => 4 + Some(least + (payload - least) % (usable - 4)).filter(|local| *local <= most).unwrap_or(least),
    };
    Some(first + second + local)
}

/// A number of 1 to 9 bytes, and how many there are.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        if at == 8 {
            return Some((value << 8 | u64::from(*byte), 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if *byte < 0x80 {
            return Some((value, at + 1));
        }
    }
    None
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
