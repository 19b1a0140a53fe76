//! A database file that ends where no whole database ends.

use crate::format::db::DatabaseHead;
use crate::look::Inspection;

/// Where a database file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// Within a page.
    WithinPage {
        /// Bytes of the file.
        size: u64,
        /// Bytes of a page, as the header of the database states it.
        page_size: u32,
    },
    /// Before the last page that its own header states.
    BeforeStated {
        /// Whole pages of the file.
        pages: u64,
        /// Pages that the header states.
        stated: u32,
    },
}

/// What the size of the file and its own header show. An older backup is as long as its header says.
pub(super) fn of(examined: &Inspection) -> Option<Cut> {
    let Some(DatabaseHead::Plain(header)) = &examined.database else { return None };
    let (size, page_size) = (examined.database_size?, header.page_size);
    let (pages, rest) = (size.checked_div(page_size.into())?, size.checked_rem(page_size.into())?);
    if rest > 0 {
        return Some(Cut::WithinPage { size, page_size });
    }
    let stated = header.believed_pages().filter(|stated| u64::from(*stated) > pages)?;
    Some(Cut::BeforeStated { pages, stated })
}
