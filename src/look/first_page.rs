//! Whether page 1 of a database can be, and whether anything stands behind it.

use std::io;

use crate::bytes::ReadAt;
use crate::format::db::{DatabaseHeader, HeaderFault};
use crate::format::first_page::{cells, faults, is_pointer_map};
use crate::number::PageSize;

/// What page 1 shows, if SQLite reads it from the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirstPage {
    /// What cannot be as it is, besides the fields that the header alone shows.
    pub faults: Vec<HeaderFault>,
    /// Whether SQLite does not read the database because of one of them.
    pub refused: bool,
    /// All pages behind page 1 are zeros, though not all of them are free, and nothing is committed in a WAL.
    pub zeros_behind: Option<ZerosBehind>,
}

/// Pages of zeros where other pages must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZerosBehind {
    /// Their number.
    pub pages: u64,
    /// Whether page 1 has rows of `sqlite_schema`, or names pages that have them: then there are tables.
    pub tables: bool,
}

/// So many entries of the pointer map show whether it is one.
const ENTRIES: usize = 20;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// Looks at page 1. `committed`: how many pages the last commit of a WAL counts. SQLite reads page 1 from the database, and no
/// frame changes it.
pub(super) fn look(bytes: &dyn ReadAt, header: &DatabaseHeader, committed: Option<u32>) -> io::Result<FirstPage> {
    let Some(size) = PageSize::new(header.page_size) else { return Ok(FirstPage::default()) };
    // Of a damaged header nothing else is to be believed, and releases before 3.7.0 leave other numbers.
    let Some(stated) = header.believed_pages().filter(|_| header.faults().0.is_empty()) else {
        return Ok(FirstPage::default());
    };
    let mut page = vec![0; size.to_usize()];
    let got = bytes.read_at(&mut page, 0)?;
    page.truncate(got);
    let in_file = bytes.len().div_ceil(size.into());
    let pages = in_file.max(stated.into()).max(committed.unwrap_or(0).into());
    let (mut faults, refused) = faults(&page, header, pages);
    if header.largest_root > 0 && faults.is_empty() && committed.is_none() && stated > 2 && in_file > 2 {
        let mut second = [0; 5 * ENTRIES];
        let got = bytes.read_at(&mut second, size.into())?;
        let entries = usize::try_from(in_file.min(stated.into()) - 2).unwrap_or(ENTRIES).min(ENTRIES);
        if second.get(..5 * entries).is_some_and(|second| got >= second.len() && !is_pointer_map(second)) {
            faults.push(HeaderFault::PointerMap);
        }
    }
    let stated = in_file.min(stated.into());
    let zeros = committed.is_none()
        && stated > u64::from(header.freelist_pages) + 1
        && only_zeros(bytes, size.into(), stated.saturating_mul(size.into()))?;
    let zeros_behind = zeros.then(|| ZerosBehind { pages: stated - 1, tables: cells(&page) > 0 });
    Ok(FirstPage { faults, refused, zeros_behind })
}

/// Whether there is no other byte in this range. Holes are not read, and the first other byte ends the search.
fn only_zeros(bytes: &dyn ReadAt, from: u64, to: u64) -> io::Result<bool> {
    let mut buffer = vec![0; CHUNK];
    let mut at = bytes.next_data(from);
    // Most often the first page shows it.
    let mut length = 512;
    while at < to {
        let wanted = usize::try_from(to - at).unwrap_or(length).min(length);
        let Some(part) = buffer.get_mut(..wanted) else { return Ok(false) };
        let got = bytes.read_at(part, at)?;
        if got == 0 {
            break;
        }
        if part.iter().take(got).any(|byte| *byte != 0) {
            return Ok(false);
        }
        at = bytes.next_data(at + got as u64);
        length = CHUNK;
    }
    Ok(true)
}
