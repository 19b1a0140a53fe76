//! What each file shows by itself, and what was seen while it was read.

use super::pair::holders;
use crate::evidence::ShmLocks;
use crate::finding::journal_sign::JournalSign;
use crate::finding::kept_log;
use crate::finding::value::Unsettled;
use crate::finding::{Finding, Found, Severity};
use crate::format::db::{DatabaseHead, HeaderFault, JournalMode};
use crate::format::shm::{IndexHead, IndexHeader};
use crate::look::{BothWays, Fit, HotJournal, InDatabase, Inspection, JournalBeside, MangledDatabase, Sizes, Why};
use crate::wal::mangled::MangledWal;
use crate::wal::{EndReason, WalFacts};

pub(super) fn database(examined: &Inspection) -> Option<Finding> {
    let page_one_in_wal = examined.page_one_in_wal();
    // Not known, it may be there.
    let nowhere = page_one_in_wal == Some(false);
    // While a database is made, its first page is written last, beside a rollback journal.
    let being_made = examined.hot_journal == HotJournal::Waits;
    if matches!(examined.reasons.database, Some(Why::TooShort(_))) {
        // Nothing of a database is that short, encrypted or not.
        let severity = match (being_made, nowhere) {
            (true, _) => Severity::Notice,
            (false, true) => Severity::Error,
            (false, false) => Severity::Warning,
        };
        return Some(header_unusable(severity, vec![HeaderFault::Cut], true, page_one_in_wal, false, false));
    }
    match examined.database? {
        DatabaseHead::Opaque { zeros } => {
            if examined.first_table == Some(true) {
                // Zeros are certain, and a header that is whole but for some bytes of its beginning. Another beginning can be
                // what a program scrambles on purpose.
                let severity = match (being_made, (zeros || examined.damaged_magic) && nowhere) {
                    (true, _) => Severity::Notice,
                    (false, true) => Severity::Error,
                    (false, false) => Severity::Warning,
                };
                return Some(header_unusable(severity, vec![HeaderFault::Magic], true, page_one_in_wal, true, zeros));
            }
            let severity = if zeros && !being_made { Severity::Warning } else { Severity::Notice };
            Some(Finding::at(severity, Found::DatabaseOpaque { zeros, page_one_in_wal }))
        }
        DatabaseHead::Plain(header) if header.journal_mode() == JournalMode::Wal2 => {
            Some(Finding::new(Found::DatabaseWal2 {
                write_version: header.write_version,
                read_version: header.read_version,
            }))
        }
        DatabaseHead::Plain(header) => {
            let (mut impossible, mut refused) = header.faults();
            impossible.extend(&examined.first_page.faults);
            refused |= examined.first_page.refused;
            if impossible.is_empty() {
                return None;
            }
            let table = examined.first_table == Some(true);
            // Some encryptions leave the first 16 or 32 bytes plain: then nothing after them can be as it is.
            let encrypted = !table && impossible.len() >= ENCRYPTED;
            let severity = match (being_made || encrypted, refused && table && nowhere) {
                (true, _) => Severity::Notice,
                (false, true) => Severity::Error,
                (false, false) => Severity::Warning,
            };
            Some(header_unusable(severity, impossible, refused, page_one_in_wal, table, false))
        }
        DatabaseHead::Empty => None,
    }
}

/// folklore: SQLite writes page 1 before it makes a `-wal` or a `-shm`, and the first to read an empty database deletes the
/// `-wal`. So a `-wal` beside it was of a database that had content, and was read by nobody since. A `-shm` alone stays where
/// a database was deleted, and a new one made. Held by `an_emptied_database_is_told_from_a_new_one`.
pub(super) fn emptied(examined: &Inspection) -> Option<Finding> {
    let Sizes { wal, shm, .. } = examined.sizes;
    let committed = examined.wal.as_ref().is_some_and(|wal| wal.frames.committed > 0);
    // Committed frames beside it have a finding of their own.
    if examined.database != Some(DatabaseHead::Empty) || examined.changed || committed || (wal, shm) == (None, None) {
        return None;
    }
    let pages = examined.trusted().map(|header| header.database_pages).filter(|pages| *pages > 0);
    let in_use = examined.in_use();
    let severity = if in_use || wal.is_some() && pages.is_some() { Severity::Warning } else { Severity::Notice };
    let holders = examined.locks.as_ref().map(holders).unwrap_or_default();
    Some(Finding::at(severity, Found::DatabaseEmptied { wal, shm, wal_index_pages: pages, in_use, holders }))
}

/// So many impossible fields, and no table behind them, are rather noise than damage.
const ENCRYPTED: usize = 3;

fn header_unusable(
    severity: Severity,
    impossible: Vec<HeaderFault>,
    refused: bool,
    page_one_in_wal: Option<bool>,
    table_behind_it: bool,
    zeros: bool,
) -> Finding {
    let found = Found::DatabaseHeaderUnusable { impossible, refused, page_one_in_wal, table_behind_it, zeros };
    Finding::at(severity, found)
}

/// Frames behind a header that cannot be used are an error, unless the database has their pages.
pub(super) fn wal(facts: &WalFacts, examined: &Inspection) -> Option<Finding> {
    let header = facts.header?;
    match facts.end_reason {
        EndReason::UnsupportedVersion => {
            Some(Finding::new(Found::WalVersionUnsupported { format_version: header.format_version }))
        }
        reason if reason.is_taken_for_empty() => {
            let behind = examined.behind_header.as_ref();
            let found = behind.map(|behind| &behind.found);
            let in_database = behind.and_then(|behind| behind.in_database.as_ref().ok());
            let severity = match (found, in_database) {
                (None, _) | (_, Some(InDatabase { missing: 0, .. })) => Severity::Warning,
                _ => Severity::Error,
            };
            let unusable = Found::WalHeaderUnusable {
                file_size: facts.file_size,
                magic: header.magic,
                page_size: header.page_size,
                checksum_ok: header.checksum_ok,
                frames_behind: found.map_or(0, |found| found.frames),
                commits_behind: found.map_or(0, |found| found.commits),
                compared: in_database.map(|in_database| in_database.pages),
                missing: in_database.map(|in_database| in_database.missing),
                end_reason: facts.end_reason,
                first_run: found.and_then(|found| found.runs.first().copied()),
                readable: found.is_some_and(|found| found.readable().is_some()),
                mangled: examined.damage.wal.is_some(),
            };
            Some(Finding::at(severity, unusable))
        }
        _ => None,
    }
}

/// Proven by what is right once the change is undone, or by what is left of a header.
pub(super) fn mangled_wal(mangled: &MangledWal) -> Finding {
    let MangledWal { change, first, valid, undone, .. } = *mangled;
    let certain = undone.is_some() || change.is_proven_by_beginning();
    let severity = if certain { Severity::Error } else { Severity::Warning };
    Finding::at(severity, Found::WalBytesMangled { change, first_frame: first, valid, undone })
}

pub(super) fn mangled_database(mangled: &MangledDatabase) -> Finding {
    let MangledDatabase { change, certain, bytes, first, .. } = *mangled;
    let severity = if certain { Severity::Error } else { Severity::Warning };
    Finding::at(severity, Found::DatabaseBytesMangled { change, bytes, page: first })
}

/// A wal-index that a reader would not trust. A writer leaves it in this state for a moment, and a writer that was
/// killed leaves it until the next connection recovers.
pub(super) fn shm(head: &IndexHead, locks: Option<&ShmLocks>) -> Option<Finding> {
    let [first, second] = &head.headers;
    let at_work = locks.is_some_and(|locks| locks.write.held() || locks.recover.held());
    let in_use = locks.is_some_and(|locks| locks.dead_man_switch.held());
    if let Some(header) = head.of_other_version() {
        return Some(shm_version(header, in_use));
    }
    let severity = match (at_work, in_use) {
        (true, _) => Severity::Info,
        (false, true) => Severity::Warning,
        (false, false) => Severity::Notice,
    };
    let mx_frame = [first.mx_frame, second.mx_frame];
    let checksum_ok = [first.checksum_ok, second.checksum_ok];
    if !head.headers_agree {
        Some(Finding::at(severity, Found::ShmHeaderCopiesDiffer { mx_frame, checksum_ok }))
    } else if !first.checksum_ok {
        Some(Finding::at(severity, Found::ShmHeaderChecksumWrong { mx_frame, checksum_ok }))
    } else {
        None
    }
}

/// folklore: a reader recovers a wal-index whose header is torn, but not one whose header is right and of another
/// version. walIndexReadHdr then returns SQLITE_CANTOPEN. Held by
/// `sqlite_cannot_open_beside_a_wal_index_of_another_version`.
fn shm_version(header: &IndexHeader, in_use: bool) -> Finding {
    let severity = if in_use { Severity::Error } else { Severity::Notice };
    Finding::at(severity, Found::ShmVersionUnsupported { version: header.version })
}

/// folklore: a transaction writes page 1 with a change counter that is one more, and journals page 1 before. So the database
/// has the counter of the journal's page 1, or one more. VACUUM can change the page size in a transaction of its own. Beside a
/// database of 0 bytes `hasHotJournal` deletes the journal. Held by `a_journal_of_another_database_is_an_error` and
/// `an_emptied_database_beside_a_journal_of_its_pages_is_an_error`.
pub(super) fn hot_journal(examined: &Inspection) -> Finding {
    let wal_mode =
        matches!(&examined.database, Some(DatabaseHead::Plain(header)) if header.journal_mode() == JournalMode::Wal);
    let beside = examined.journal.as_ref();
    let other = |beside: &JournalBeside| {
        let counter = beside.change_counter;
        counter.zip(beside.database_change_counter).is_some_and(|(kept, now)| now.wrapping_sub(kept) > 1)
    };
    let other_counter = beside.is_some_and(other);
    // VACUUM changes the page size, and the page 1 that is kept then shows that the two belong together.
    let fits = |beside: &JournalBeside| beside.change_counter.is_some() && !other_counter;
    let other_size = |beside: &JournalBeside| {
        beside.of_database.is_some_and(|of_database| beside.page_size != of_database) && !fits(beside)
    };
    // Nobody deletes the super-journal of a transaction under way but its process.
    let of_several = |beside: &JournalBeside| beside.super_journal.is_some() && !beside.under_way;
    let used_by = examined.surroundings.as_ref().map(kept_log::of_another_database).unwrap_or_default();
    let damage = beside.and_then(|beside| beside.damage.as_ref());
    let under_way = beside.is_some_and(|beside| beside.under_way);
    let walked = beside.and_then(|beside| beside.both_ways.as_ref()).and_then(BothWays::fit);
    // Who is in a transaction had no loss of power since it began.
    let certain = damage.is_some_and(|damage| damage.written_since || under_way);
    let all = [
        (JournalSign::OfProcess, !used_by.is_empty()),
        (JournalSign::ChangeCounter, other_counter),
        (JournalSign::DatabaseEmpty, beside.is_some_and(|beside| beside.database_empty)),
        (JournalSign::NoDatabase, examined.database_absent && examined.database.is_none()),
        (JournalSign::RolledBackDamaged, walked == Some(Fit::OfAnotherTime)),
        (JournalSign::Cut, damage.is_some_and(|damage| damage.cut)),
        (JournalSign::Damaged, damage.is_some_and(|damage| !damage.cut)),
        (JournalSign::DatabaseShorter, beside.is_some_and(|beside| beside.database_shorter)),
        (JournalSign::PageSize, beside.is_some_and(other_size)),
        (JournalSign::SuperJournal, beside.is_some_and(of_several)),
    ];
    let mut signs: Vec<JournalSign> = all.into_iter().filter(|(_, is)| *is).map(|(sign, _)| sign).collect();
    if signs.is_empty() && walked == Some(Fit::BothDamaged) {
        signs.push(JournalSign::BothDamaged);
    }
    let severity = match signs.first() {
        Some(
            JournalSign::OfProcess
            | JournalSign::ChangeCounter
            | JournalSign::DatabaseEmpty
            | JournalSign::RolledBackDamaged
            | JournalSign::BothDamaged,
        ) => Severity::Error,
        Some(JournalSign::Cut | JournalSign::Damaged) if certain => Severity::Error,
        Some(_) => Severity::Warning,
        // In rollback mode every transaction has such a journal while it runs.
        None if wal_mode => Severity::Warning,
        None => Severity::Notice,
    };
    let found = Found::HotJournal {
        signs,
        database_change_counter: beside.and_then(|beside| beside.database_change_counter),
        journal_change_counter: beside.and_then(|beside| beside.change_counter),
        database_page_size: beside.and_then(|beside| beside.of_database),
        journal_page_size: beside.map(|beside| beside.page_size),
        super_journal: beside.and_then(|beside| beside.super_journal.clone()),
        database_pages_before: beside.map(|beside| beside.database_pages),
        pages_right: damage.map(|damage| damage.right),
        pages_counted: damage.and_then(|damage| damage.counted),
        under_way,
        walked,
        used_by,
    };
    Finding::at(severity, found)
}

pub(super) fn files_replaced() -> Finding {
    Finding::new(Found::FilesReplaced {})
}

pub(super) fn bundle_unstable(reason: &str) -> Finding {
    Finding::new(Found::BundleUnstable { unsettled: Unsettled::This { reason: reason.to_owned() } })
}

pub(super) fn bundle_readable_by_others() -> Finding {
    Finding::new(Found::BundleReadableByOthers {})
}

pub(super) fn access_time_moved(files: &[String]) -> Finding {
    Finding::new(Found::AccessTimeMoved { files: files.to_vec() })
}
