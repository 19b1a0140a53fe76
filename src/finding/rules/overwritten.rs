//! Whether a database in use is as the last commit of its wal-index left it.
//!
//! Only where no frame waits: then the header of the wal-index says how many pages the file has to have, and of which size.

use super::pair::holders;
use crate::finding::overwritten_sign::OverwrittenSign as Sign;
use crate::finding::{Finding, Found, Severity};
use crate::format::db::{DatabaseHead, DatabaseHeader, JournalMode};
use crate::look::{AllCopied, Inspection};
use crate::number::PageSize;

/// A database that was overwritten in place, or written to by somebody who does not use this wal-index.
pub(super) fn finding(examined: &Inspection) -> Option<Finding> {
    let (of_index, size) = examined.all_copied.zip(examined.database_size)?;
    let header = examined.database.as_ref().and_then(DatabaseHead::plain);
    let signs: Vec<Sign> = of_sizes(of_index, header, size)
        .into_iter()
        .filter(|sign| *sign != Sign::Shorter || !cut_off(examined))
        .chain(header.filter(|header| header.journal_mode() == JournalMode::Rollback).map(|_| Sign::RollbackMode))
        .collect();
    // A database in rollback mode can be used through a WAL, if a -wal with content lay beside it.
    let severity = match signs.as_slice() {
        [] => return None,
        [Sign::RollbackMode] => Severity::Warning,
        _ => Severity::Error,
    };
    let found = Found::DatabaseOverwritten {
        signs,
        wal_index_pages: of_index.database_pages,
        wal_index_page_size: of_index.page_size,
        database_pages: header.and_then(DatabaseHeader::believed_pages),
        database_page_size: header.map(|header| header.page_size),
        size,
        holders: examined.locks.as_ref().map(holders).unwrap_or_default(),
    };
    Some(Finding::at(severity, found))
}

/// Whether the file is shorter than its own header says, which has a finding of its own.
fn cut_off(examined: &Inspection) -> bool {
    examined.pages.is_ok_and(|pages| pages.missing > 0)
}

fn of_sizes(of_index: AllCopied, header: Option<&DatabaseHeader>, size: u64) -> Vec<Sign> {
    let AllCopied { database_pages: left, page_size } = of_index;
    let Some(page_size) = PageSize::new(page_size).filter(|_| left > 0) else { return Vec::new() };
    // An impossible page size is damage of the header, which has a finding of its own.
    let of_header = header.and_then(|header| PageSize::new(header.page_size));
    let shorter = size < u64::from(left).saturating_mul(u64::from(page_size));
    if of_header.is_some_and(|of_header| of_header != page_size) {
        return vec![Sign::PageSize];
    }
    let stated = header.and_then(DatabaseHeader::believed_pages);
    let all = [
        (Sign::MorePages, stated.is_some_and(|stated| stated > left)),
        (Sign::FewerPages, shorter && stated.is_some_and(|stated| stated < left)),
        (Sign::Shorter, shorter && stated.is_none_or(|stated| stated == left)),
    ];
    all.into_iter().filter(|(_, is)| *is).map(|(sign, _)| sign).collect()
}
