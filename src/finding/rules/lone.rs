//! What each file shows by itself, and what was seen while it was read.

use crate::evidence::ShmLocks;
use crate::finding::value::Unsettled;
use crate::finding::{Finding, Found, Severity};
use crate::format::db::{DatabaseHead, JournalMode};
use crate::format::shm::{IndexHead, IndexHeader};
use crate::look::HotJournal;
use crate::wal::{EndReason, WalFacts};

pub(super) fn database(head: &DatabaseHead, journal: HotJournal) -> Option<Finding> {
    match *head {
        DatabaseHead::Opaque { zeros } => {
            // While a database is made, its first page is written last, beside a rollback journal.
            let damaged = zeros && journal != HotJournal::Waits;
            let severity = if damaged { Severity::Warning } else { Severity::Notice };
            Some(Finding::at(severity, Found::DatabaseOpaque { zeros }))
        }
        DatabaseHead::Plain(header) if header.journal_mode() == JournalMode::Wal2 => {
            Some(Finding::new(Found::DatabaseWal2 {
                write_version: header.write_version,
                read_version: header.read_version,
            }))
        }
        DatabaseHead::Plain(_) | DatabaseHead::Empty => None,
    }
}

pub(super) fn wal(facts: &WalFacts) -> Option<Finding> {
    let header = facts.header?;
    match facts.end_reason {
        EndReason::UnsupportedVersion => {
            Some(Finding::new(Found::WalVersionUnsupported { format_version: header.format_version }))
        }
        EndReason::BadMagic | EndReason::BadPageSize | EndReason::BadHeaderChecksum => {
            Some(Finding::new(Found::WalHeaderUnusable {
                file_size: facts.file_size,
                magic: header.magic,
                page_size: header.page_size,
                checksum_ok: header.checksum_ok,
                end_reason: facts.end_reason,
            }))
        }
        _ => None,
    }
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

pub(super) fn hot_journal(database: Option<&DatabaseHead>) -> Finding {
    let wal_mode = matches!(database, Some(DatabaseHead::Plain(header)) if header.journal_mode() == JournalMode::Wal);
    // In rollback mode every transaction has such a journal while it runs.
    let severity = if wal_mode { Severity::Warning } else { Severity::Notice };
    Finding::at(severity, Found::HotJournal {})
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
