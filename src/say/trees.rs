//! The sentences about the pages of tables and indexes.

use std::borrow::Cow;

use super::words::{count, many, one_or};
use crate::format::btree::PageKind;
use crate::format::freelist::Owned;
use crate::number::PageNumber;
use crate::tree::{Fault, TreeFault};

/// How many faults a sentence tells.
const TOLD: usize = 3;

/// What to do with a database whose pages do not fit together.
pub(super) const DAMAGED: &str = "Keep the database, -wal, -shm and -journal as they are, and work on copies of all that are there (cp while nobody has the database open). Writing on makes it worse. Take a backup, or let sqlite3 save the rows that can still be read: sqlite3 COPY .recover | sqlite3 NEW.db, then compare what NEW.db has with the backup. PRAGMA integrity_check on a copy lists the faults in SQLite's words. Look for the cause before the next write: a failed disk, a program that wrote to the file itself, copies made while it was in use.";
/// What to do with pages that nothing leads to.
pub(super) const NEVER_USED: &str = "Keep the files as they are until it is known whether rows are missing: on a copy, sqlite3 COPY .recover | sqlite3 NEW.db saves the rows of these pages too (in tables named lost_and_found), and what NEW.db has more than the database was lost. If nothing is missing, VACUUM gives the room back.";

/// The faults.
pub(super) fn damaged(faults: u64, listed: &[TreeFault], rolled_back: bool) -> Cow<'static, str> {
    let told: Vec<String> = listed.iter().take(TOLD).map(one).collect();
    let more = match faults.saturating_sub(told.len() as u64) {
        0 => String::new(),
        more => format!("; and {} more", count(more)),
    };
    format!(
        "{} in the pages of the database{}: {}{more}. SQLite calls a database malformed when it meets such a page.",
        many(faults, "fault"),
        if rolled_back { ", once the -journal is rolled back into it" } else { "" },
        told.join("; ")
    )
    .into()
}

/// Pages that nothing leads to.
pub(super) fn never_used(pages: u64, first: PageNumber, of: u64, rolled_back: bool) -> Cow<'static, str> {
    format!(
        "{}{} of {} {} to no table, no index and not to the free pages (the first is page {}). Free pages may have been lost track of, or rows whose table does not lead to them any more.",
        if rolled_back { "Once the -journal is rolled back: " } else { "" },
        count(pages),
        many(of, "page"),
        one_or(pages, "belongs", "belong"),
        count(first.0)
    )
    .into()
}

/// One fault: where, and what.
fn one(fault: &TreeFault) -> String {
    let page = format!("page {}", count(fault.page.0));
    let of = fault.of.as_ref().map_or(String::new(), |name| format!(" of {name}"));
    format!("{page}{of} {}", what(fault.fault))
}

fn what(fault: Fault) -> String {
    match fault {
        Fault::OutOfRange => "is needed, and the database has no page of that number".to_owned(),
        Fault::NotThere => "is needed, and is in none of the files".to_owned(),
        Fault::UsedTwice => "is used twice".to_owned(),
        Fault::NoTreePage { found } => format!("is no page of a table or index: its first byte is {found}"),
        Fault::HeadCannotBe => "has a head with numbers that cannot be".to_owned(),
        Fault::NoCells => "is empty, and only a root may be".to_owned(),
        Fault::OfOtherKind { found } => format!("is {}, and another kind is needed there", kind(found)),
        Fault::DepthDiffers => "is not as far from the root as the pages beside it".to_owned(),
        Fault::TooDeep => "is farther from the root than any page can be".to_owned(),
        Fault::CellOutside { at } => format!("has a cell that is not within it (offset {at})"),
        Fault::Overlap { at } => format!("has two uses of byte {at}"),
        Fault::FreeSpace { at } => format!("has a broken chain of free space (offset {at})"),
        Fault::Fragments { stated, found } => {
            format!("counts {} in small pieces, and has {}", many(stated, "free byte"), count(found as u64))
        }
        Fault::RowidOrder { rowid } => format!("has rowid {rowid} out of order"),
        Fault::OverflowLength { needed, found } if found > needed => {
            format!("has a row that needs {}, and more follow", many(needed, "overflow page"))
        }
        Fault::OverflowLength { needed, found } => {
            format!("has a row that needs {}, and {} there", many(needed, "overflow page"), are(found))
        }
        Fault::Record { at } => format!("has a row whose head does not account for its bytes (offset {at})"),
        Fault::SchemaRow => "has a row of the schema that cannot be read".to_owned(),
        Fault::Trunk { stated } => format!("of the free pages names {}, more than fit", many(stated, "page")),
        Fault::FreeCount { stated, found } => {
            format!("begins a list of {}, and the header counts {}", many(found, "free page"), count(stated))
        }
        Fault::PointerMap { is, stated } => match stated {
            Some(stated) => format!("is {}, and the pointer map says: {}", owned(is), owned(stated)),
            None => format!("is {}, and the pointer map has nothing that can be", owned(is)),
        },
        Fault::LargestRoot { stated } => format!("is the largest root, and the header names page {}", count(stated)),
        Fault::Reserved => "is needed for a table, an index or the free pages, and is reserved".to_owned(),
    }
}

fn are(n: u64) -> String {
    format!("{} {}", count(n), one_or(n, "is", "are"))
}

fn kind(kind: PageKind) -> &'static str {
    if kind.of_table() { "a page of a table" } else { "a page of an index" }
}

fn owned(owned: Owned) -> String {
    match owned {
        Owned::Root => "a root".to_owned(),
        Owned::Free => "free".to_owned(),
        Owned::FirstOverflow(page) => format!("the first overflow page of a row on page {}", count(page.0)),
        Owned::LaterOverflow(page) => format!("an overflow page behind page {}", count(page.0)),
        Owned::Child(page) => format!("named by page {}", count(page.0)),
    }
}
