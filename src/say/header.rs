//! The sentences about a database whose header is damaged or missing.

use std::borrow::Cow;

use super::words::{many, one_or};
use crate::finding::{Finding, Found, Severity};
use crate::format::db::HeaderFault;

/// What to do about a damaged header that SQLite does not accept.
const KEEP: &str = "Copy all files before anything opens them, and work on copies. The pages behind the header may be whole: page 1 of an earlier copy of this database, or its first 100 bytes, can give it back; sqlite3's .recover finds rows.";
/// What to do where the WAL has page 1.
const FROM_WAL: &str = "Copy the database, -wal and -shm before anything opens the database. Without this -wal SQLite does not open it. With it, a checkpoint puts the page 1 of the -wal over the damaged one.";
/// What to do about a field that SQLite does not look at.
const LOOK_CLOSER: &str =
    "Copy the file, and run PRAGMA integrity_check on the copy: bytes that were damaged here may not be the only ones.";

/// Detail and advice.
type Said = (Cow<'static, str>, &'static str);

/// A header that cannot be.
pub(super) fn unusable(finding: &Finding) -> Said {
    let Found::DatabaseHeaderUnusable { impossible, refused, page_one_in_wal, table_behind_it, zeros } = &finding.found
    else {
        return Said::default();
    };
    let detail = match impossible.as_slice() {
        [HeaderFault::Magic] if *zeros => {
            "The first 100 bytes of the database are zeros, and behind them page 1 goes on as that of a plain database: the header was lost.".to_owned()
        }
        [HeaderFault::Magic] => {
            "The database does not begin with \"SQLite format 3\", and behind its first 100 bytes page 1 goes on as that of a plain database: it is not encrypted, and the header was damaged.".to_owned()
        }
        [HeaderFault::Cut] => "The database ends within its header of 100 bytes: it was cut off, or only its beginning was copied.".to_owned(),
        all => {
            let told: Vec<&str> = all.iter().map(|fault| field(*fault)).collect();
            let in_table = all.iter().any(|fault| matches!(fault, HeaderFault::FirstTable | HeaderFault::CellPointers | HeaderFault::FreeSpace));
            let what = if in_table { "Page 1" } else { "The header" };
            format!("{what} of the database has what SQLite never writes: {}.", told.join(", "))
        }
    };
    let names_pages = impossible.iter().any(|fault| {
        matches!(
            fault,
            HeaderFault::FreelistTrunk
                | HeaderFault::FreelistPages
                | HeaderFault::LargestRoot
                | HeaderFault::FreeSpace
                | HeaderFault::PointerMap
        )
    });
    let so = match (refused, page_one_in_wal) {
        (false, _) if names_pages => {
            " SQLite opens it, and calls it malformed when it takes a free page or makes a table."
        }
        (false, _) => " SQLite opens it all the same.",
        (true, Some(true)) => {
            " SQLite reads page 1 from the -wal first, and so it can open the database as long as the -wal is there."
        }
        (true, None) => {
            " SQLite opens the database only if a commit of the -wal has page 1, and whether one has was not looked at."
        }
        (true, Some(false)) => {
            " No commit of a -wal has page 1: SQLite does not open the database (\"file is not a database\", \"unsupported file format\", or \"database disk image is malformed\")."
        }
    };
    let innocent = match (finding.severity, impossible.as_slice(), table_behind_it) {
        (Severity::Error, ..) => "",
        (Severity::Notice, ..) => {
            " Nothing is wrong if the database is encrypted behind a plain beginning, or if it is being made at this moment."
        }
        (_, [HeaderFault::Cut], _) => "",
        (_, [HeaderFault::Magic], _) if !zeros => {
            " Nothing is wrong if a program changes the beginning on purpose and reads it by a VFS of its own."
        }
        (_, _, false) => " Nothing is wrong if it is encrypted behind a plain beginning.",
        (_, _, true) if !refused && !names_pages => {
            " Nothing is wrong if another program than SQLite uses these bytes."
        }
        _ => "",
    };
    let advice = match (refused, page_one_in_wal) {
        (false, _) => LOOK_CLOSER,
        (true, Some(true)) => FROM_WAL,
        (true, Some(false) | None) => KEEP,
    };
    (format!("{detail}{so}{innocent}").into(), advice)
}

fn field(fault: HeaderFault) -> &'static str {
    match fault {
        HeaderFault::Cut => "an end within it",
        HeaderFault::Magic => "another beginning",
        HeaderFault::PageSize => "a page size that is no power of two from 512 to 65536",
        HeaderFault::WriteVersion => "a write version other than 1 and 2",
        HeaderFault::ReadVersion => "a read version other than 1 and 2",
        HeaderFault::ReservedBytes => "more reserved bytes than a page can spare",
        HeaderFault::PayloadFractions => "payload fractions other than 64, 32 and 32",
        HeaderFault::SchemaFormat => "a schema format above 4",
        HeaderFault::TextEncoding => "a text encoding above 3",
        HeaderFault::FreelistTrunk => "a freelist that begins behind the last page",
        HeaderFault::FreelistPages => "more free pages than pages",
        HeaderFault::LargestRoot => "a largest root page behind the last page",
        HeaderFault::FirstTable => "a page 1 that is no page of a table (byte 100)",
        HeaderFault::CellPointers => "cells that do not lie within page 1",
        HeaderFault::FreeSpace => "cells and free blocks that do not fill page 1",
        HeaderFault::IncrementalVacuum => "incremental vacuum without auto-vacuum",
        HeaderFault::PointerMap => "auto-vacuum, and a page 2 that is no pointer map",
        HeaderFault::Expansion => "bytes in the part that is reserved for expansion",
    }
}

/// A database that does not begin as one.
pub(super) fn opaque(zeros: bool) -> Said {
    if zeros {
        return (
            "The first 100 bytes of the database are zeros, where its header must be. An encrypted database has no zeros there. SQLite opens it only if page 1 is in the WAL.".into(),
            "Copy all files before anything opens them. If a program is still writing this file, look again when it is done. Otherwise look for a backup; the pages behind the first one may be whole.",
        );
    }
    (
        "The database does not begin with \"SQLite format 3\": it is encrypted, or no SQLite database. Its WAL frames can be valid all the same.".into(),
        "If it is encrypted, nothing is wrong; page content cannot be shown.",
    )
}

/// Whether SQLite does not open the database because of its header.
pub(super) fn refused(finding: &Finding) -> bool {
    match &finding.found {
        Found::DatabaseHeaderUnusable { refused, page_one_in_wal, .. } => *refused && *page_one_in_wal == Some(false),
        Found::DatabaseOpaque { zeros, page_one_in_wal } => *zeros && *page_one_in_wal == Some(false),
        _ => false,
    }
}

/// The checkpoint of a database that SQLite does not open.
///
/// folklore: a connection that failed because of page 1 has the WAL open, and checkpoints it when it closes if
/// the page size that it took for the database is that of the WAL. Held by
/// `each_impossible_field_is_named_and_sqlite_refuses_what_is_said_to_be_refused`.
pub(super) fn checkpoint(finding: &Finding, committed: u64, first: &str) -> String {
    // Of an error nothing else can be.
    let perhaps = match &finding.found {
        Found::DatabaseHeaderUnusable { .. } if finding.severity < Severity::Error => " or encrypted",
        _ => "",
    };
    let damaged = format!("The header of the database is damaged{perhaps}, so SQLite does not open it.");
    if committed == 0 {
        return format!("{damaged} Nothing is committed in the -wal. {first}");
    }
    format!(
        "{damaged} {} committed in the -wal, and page 1 is in none of them. A program that fails to open the database may still \
         copy {} into it when it closes, and delete the -wal. {first}",
        many(committed, "frame") + one_or(committed, " is", " are"),
        one_or(committed, "it", "them")
    )
}
