//! What each file says by itself, and what was seen while it was read.

use crate::evidence::ShmLocks;
use crate::finding::{Finding, Severity};
use crate::format::db::{DatabaseHead, JournalMode};
use crate::format::shm::{IndexHead, IndexHeader};

use crate::wal::{EndReason, WalFacts};

pub(super) fn database(head: &DatabaseHead) -> Option<Finding> {
    match head {
        DatabaseHead::Opaque => Some(Finding::new(
            "database_opaque",
            Severity::Notice,
            "No SQLite header",
            "The database does not begin with \"SQLite format 3\": it is encrypted, or no SQLite database. Its WAL frames can be valid all the same.",
            "If it is encrypted, nothing is wrong; page content cannot be shown.",
        )),
        DatabaseHead::Plain(header) if header.journal_mode() == JournalMode::Wal2 => Some(
            Finding::new(
                "database_wal2",
                Severity::Error,
                "A wal2 database",
                "Bytes 18 and 19 of the database say 3: wal2, a format of its own with two WAL files. What is said here about the WAL does not hold for it.",
                "Use the tools of the SQLite branch that wrote it.",
            )
            .with("write_version", header.write_version)
            .with("read_version", header.read_version),
        ),
        DatabaseHead::Plain(_) | DatabaseHead::Empty => None,
    }
}

pub(super) fn wal(facts: &WalFacts) -> Option<Finding> {
    let header = facts.header?;
    let because = match facts.end_reason {
        EndReason::UnsupportedVersion => {
            return Some(
                Finding::new(
                    "wal_version_unsupported",
                    Severity::Error,
                    "A WAL of another version",
                    format!(
                        "The WAL header is intact and says version {}; 3007000 is the only one there is. SQLite refuses to open the database.",
                        header.format_version
                    ),
                    "Find out what wrote this file; do not delete it before, it may hold commits.",
                )
                .with("format_version", header.format_version),
            );
        }
        EndReason::BadMagic => format!("its magic is {:#010x}", header.magic),
        EndReason::BadPageSize => format!("its page size is {}", header.page_size),
        EndReason::BadHeaderChecksum => "the checksum of its header is wrong".to_owned(),
        _ => return None,
    };
    Some(
        Finding::new(
            "wal_header_unusable",
            Severity::Warning,
            "The WAL header cannot be used",
            format!("SQLite takes this WAL of {} bytes for an empty one: {because}.", facts.file_size),
            "Keep a copy before anything opens the database: the next writer begins the WAL anew.",
        )
        .with("file_size", facts.file_size)
        .with("magic", header.magic)
        .with("page_size", header.page_size)
        .with("checksum_ok", header.checksum_ok),
    )
}

/// A wal-index that a reader would not trust. A writer at work makes both for a moment, a killed one leaves them until
/// the next connection recovers.
pub(super) fn shm(head: &IndexHead, locks: Option<&ShmLocks>) -> Option<Finding> {
    let [first, second] = &head.headers;
    let at_work = locks.is_some_and(|locks| locks.write.held() || locks.recover.held());
    let in_use = locks.is_some_and(|locks| locks.dead_man_switch.held());
    if let Some(header) = head.of_other_version() {
        return Some(shm_version(header, in_use));
    }
    let (severity, advice) = if at_work {
        (Severity::Info, "A writer is at work: look again.")
    } else if in_use {
        (Severity::Warning, "The next connection that reads recovers the wal-index; if this lasts, no connection can.")
    } else {
        (Severity::Notice, "Nothing to do: the first connection to open the database recovers the wal-index.")
    };
    let (code, title, detail) = if !head.headers_agree {
        (
            "shm_header_copies_differ",
            "The two wal-index headers differ",
            format!(
                "Copy 0 says mxFrame {} and copy 1 says {}: a reader waits or recovers.",
                first.mx_frame, second.mx_frame
            ),
        )
    } else if !first.checksum_ok {
        (
            "shm_header_checksum_wrong",
            "The wal-index header has a wrong checksum",
            "Both copies agree and their checksum is wrong: a reader recovers the wal-index from the WAL.".to_owned(),
        )
    } else {
        return None;
    };
    Some(
        Finding::new(code, severity, title, detail, advice)
            .with("mx_frame", vec![first.mx_frame, second.mx_frame])
            .with("checksum_ok", vec![first.checksum_ok, second.checksum_ok]),
    )
}

/// folklore: a reader recovers a wal-index whose header is torn, and not one whose header is right and of another version:
/// walIndexReadHdr then returns SQLITE_CANTOPEN. Held by `sqlite_cannot_open_beside_a_wal_index_of_another_version`.
fn shm_version(header: &IndexHeader, in_use: bool) -> Finding {
    let (severity, advice) = if in_use {
        (
            Severity::Error,
            "Copy the database, -wal and -shm, then stop every process that has it open: the next to open it makes the wal-index anew. Find out what wrote this one.",
        )
    } else {
        (
            Severity::Notice,
            "Nothing to do if nobody has the database open: the next to open it rebuilds the wal-index from the WAL.",
        )
    };
    Finding::new(
        "shm_version_unsupported",
        severity,
        "A wal-index of another version",
        format!("Both copies of its header are intact and say version {}; 3007000 is the only one there is. As long as somebody has it open, SQLite cannot open the database.", header.version),
        advice,
    )
    .with("version", header.version)
}

pub(super) fn hot_journal(database: Option<&DatabaseHead>) -> Finding {
    let wal_mode = matches!(database, Some(DatabaseHead::Plain(header)) if header.journal_mode() == JournalMode::Wal);
    // In rollback mode a journal is how every transaction looks from outside.
    let severity = if wal_mode { Severity::Warning } else { Severity::Notice };
    Finding::new(
        "hot_journal",
        severity,
        "A rollback journal with content",
        "A -journal with content lies beside the database: a transaction in rollback mode is under way, or one was cut off and the next opener rolls it back.",
        "Keep the journal together with the database; deleting it can corrupt the database.",
    )
}

pub(super) fn files_replaced() -> Finding {
    Finding::new(
        "files_replaced",
        Severity::Notice,
        "Replaced while they were read",
        "The database, its -wal or its -shm was created, deleted or replaced by another file during each look: what was read is not of one time, and was not held against each other.",
        "Usual beside connections that open and close in quick succession: the last one deletes -wal and -shm. Look again, or while a connection stays open.",
    )
}

pub(super) fn bundle_unstable(reason: &str) -> Finding {
    Finding::new(
        "bundle_unstable",
        Severity::Warning,
        "Not of one moment",
        format!("The files could not be shown to be of one moment: {reason}."),
        "Numbers of this capture may belong to different moments. If the files were changing, capture again, with more --attempts.",
    )
}

pub(super) fn bundle_readable_by_others() -> Finding {
    Finding::new(
        "bundle_readable_by_others",
        Severity::Notice,
        "Others can read this bundle",
        "The bundle holds content of a database, and its mode lets others than its owner read it.",
        "chmod 600 the bundle; set umask 077 before redirecting output into one.",
    )
}

pub(super) fn access_time_moved(files: &[String]) -> Finding {
    Finding::new(
        "access_time_moved",
        Severity::Notice,
        "Access times may have moved",
        format!("Not owned by this user, so that reading may have moved their access time: {}.", files.join(", ")),
        "Look as the files' owner or with CAP_FOWNER, or refuse with --strict-atime.",
    )
    .with("files", files.to_vec())
}
