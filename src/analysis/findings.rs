//! What the files of one capture say beyond their numbers: findings with stable codes.
//!
//! Normal things stay silent. FORMAT traps that look wrong and are not (a `-shm` of three bytes, leftover read marks,
//! other salts at `mxFrame` 0, frames of an older generation) raise nothing here.

use crate::evidence::ShmLocks;
use crate::finding::{Finding, Severity};
use crate::format::db::{DatabaseHead, JournalMode};
use crate::format::shm::IndexHead;

use super::wal::{EndReason, WalFacts};

/// Every code that this room raises.
pub const CODES: &[&str] = &[
    "access_time_moved",
    "bundle_readable_by_others",
    "bundle_unstable",
    "database_opaque",
    "database_wal2",
    "hot_journal",
    "shm_header_checksum_wrong",
    "shm_header_copies_differ",
    "wal_header_unusable",
    "wal_version_unsupported",
];

/// What was decoded of one capture. `None` is absent, not captured, or too short to decode.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The head of the database.
    pub database: Option<&'a DatabaseHead>,
    /// The `-wal`; `None` when it was left out of the capture.
    pub wal: Option<&'a WalFacts>,
    /// The head of the `-shm`.
    pub shm: Option<&'a IndexHead>,
    /// Locks, as far as seen.
    pub locks: Option<&'a ShmLocks>,
    /// Whether a `-journal` with content lies beside the database.
    pub hot_journal: bool,
    /// Files whose access time the reading may have moved.
    pub access_time_moved: &'a [String],
    /// For a bundle, why it is not of one moment.
    pub unstable: Option<&'a str>,
    /// Whether the bundle's file can be read by others than its owner.
    pub readable_by_others: bool,
}

/// All findings about one capture, the gravest first.
#[must_use]
pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = [
        facts.database.and_then(database),
        facts.wal.and_then(wal),
        facts.shm.and_then(|shm| self::shm(shm, facts.locks)),
        facts.hot_journal.then(|| hot_journal(facts.database)),
        facts.unstable.map(bundle_unstable),
        facts.readable_by_others.then(bundle_readable_by_others),
        (!facts.access_time_moved.is_empty()).then(|| access_time_moved(facts.access_time_moved)),
    ]
    .into_iter()
    .flatten()
    .collect();
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

fn database(head: &DatabaseHead) -> Option<Finding> {
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

fn wal(facts: &WalFacts) -> Option<Finding> {
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
fn shm(head: &IndexHead, locks: Option<&ShmLocks>) -> Option<Finding> {
    let [first, second] = &head.headers;
    let at_work = locks.is_some_and(|locks| locks.write.held() || locks.recover.held());
    let in_use = locks.is_some_and(|locks| locks.dead_man_switch.held());
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

fn hot_journal(database: Option<&DatabaseHead>) -> Finding {
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

fn bundle_unstable(reason: &str) -> Finding {
    Finding::new(
        "bundle_unstable",
        Severity::Warning,
        "Not of one moment",
        format!("The files changed while they were captured, in every attempt: {reason}."),
        "Numbers of this capture may belong to different moments. Capture again, with more --attempts.",
    )
}

fn bundle_readable_by_others() -> Finding {
    Finding::new(
        "bundle_readable_by_others",
        Severity::Notice,
        "Others can read this bundle",
        "The bundle holds content of a database, and its mode lets others than its owner read it.",
        "chmod 600 the bundle; set umask 077 before redirecting output into one.",
    )
}

fn access_time_moved(files: &[String]) -> Finding {
    Finding::new(
        "access_time_moved",
        Severity::Notice,
        "Access times may have moved",
        format!("Not owned by this user, so that reading may have moved their access time: {}.", files.join(", ")),
        "Look as the files' owner or with CAP_FOWNER, or refuse with --strict-atime.",
    )
    .with("files", files.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::wal::scan;
    use crate::evidence::{ByteLock, LockState};
    use crate::format::shm;

    fn codes(facts: &Facts<'_>) -> Vec<(String, Severity)> {
        findings(facts).into_iter().map(|finding| (finding.code, finding.severity)).collect()
    }

    fn database(version: u8) -> DatabaseHead {
        let mut bytes = b"SQLite format 3\0".to_vec();
        bytes.resize(100, 0);
        bytes[16..20].copy_from_slice(&[0x10, 0, version, version]);
        crate::format::db::parse_head(&bytes).unwrap()
    }

    fn wal(magic: u32, page_size: u32) -> WalFacts {
        let mut bytes = Vec::new();
        for word in [magic, 3_007_000, page_size, 0, 1, 2, 3, 4] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.resize(8192, 0);
        scan(&bytes, &mut |_| {}).unwrap()
    }

    /// A `-shm` with both copies as given; the rest is zero.
    fn shm(copies: [[u8; 48]; 2]) -> IndexHead {
        let mut bytes = copies.concat();
        bytes.resize(shm::HEAD_SIZE, 0);
        shm::parse_head(&bytes).unwrap()
    }

    fn locks(held: Option<&str>) -> ShmLocks {
        let mut locks = ShmLocks::unknown("test");
        let byte = |name| ByteLock {
            state: if held == Some(name) { LockState::Shared } else { LockState::Free },
            reason: None,
            holders: Vec::new(),
        };
        locks.write = byte("write");
        locks.recover = byte("recover");
        locks.dead_man_switch = byte("dead_man_switch");
        locks
    }

    #[test]
    fn clean_facts_raise_nothing() {
        let wal = WalFacts::absent();
        let shm = shm([[0; 48]; 2]);
        let database = database(2);
        let facts = Facts { database: Some(&database), wal: Some(&wal), shm: Some(&shm), ..Facts::default() };
        assert_eq!(codes(&facts), []);
        assert_eq!(codes(&Facts::default()), []);
    }

    #[test]
    fn each_code_has_a_case_that_raises_it() {
        let moved = ["a.db".to_owned()];
        let (wal2, opaque, plain) = (database(3), DatabaseHead::Opaque, database(2));
        let unusable = wal(0x1234_5678, 4096);
        let mut version = wal(0x377f_0682, 4096);
        version.end_reason = EndReason::UnsupportedVersion;
        let differ = shm([[0; 48], [1; 48]]);
        let wrong = shm([[1; 48]; 2]);
        let mut raised: Vec<String> = [
            Facts { database: Some(&wal2), ..Facts::default() },
            Facts { database: Some(&opaque), ..Facts::default() },
            Facts { database: Some(&plain), hot_journal: true, ..Facts::default() },
            Facts { wal: Some(&unusable), ..Facts::default() },
            Facts { wal: Some(&version), ..Facts::default() },
            Facts { shm: Some(&differ), ..Facts::default() },
            Facts { shm: Some(&wrong), ..Facts::default() },
            Facts { unstable: Some("why"), ..Facts::default() },
            Facts { readable_by_others: true, ..Facts::default() },
            Facts { access_time_moved: &moved, ..Facts::default() },
        ]
        .iter()
        .flat_map(|facts| {
            let codes = codes(facts);
            assert_eq!(codes.len(), 1, "{codes:?}");
            codes.into_iter().map(|(code, _)| code)
        })
        .collect();
        raised.sort();
        assert_eq!(raised, CODES);
    }

    #[test]
    fn every_reason_that_makes_a_header_unusable_is_a_warning() {
        for facts in [wal(0x1234_5678, 4096), wal(0x377f_0682, 1000), wal(0x377f_0682, 4096)] {
            let facts = Facts { wal: Some(&facts), ..Facts::default() };
            assert_eq!(codes(&facts), [("wal_header_unusable".to_owned(), Severity::Warning)]);
        }
    }

    #[test]
    fn a_torn_wal_index_is_as_grave_as_who_holds_its_locks() {
        let head = shm([[0; 48], [1; 48]]);
        for (held, severity) in [
            (Some("write"), Severity::Info),
            (Some("recover"), Severity::Info),
            (Some("dead_man_switch"), Severity::Warning),
            (None, Severity::Notice),
        ] {
            let locks = locks(held);
            let facts = Facts { shm: Some(&head), locks: Some(&locks), ..Facts::default() };
            assert_eq!(codes(&facts), [("shm_header_copies_differ".to_owned(), severity)], "{held:?}");
        }
    }

    #[test]
    fn a_journal_beside_a_database_in_rollback_mode_is_no_warning() {
        let rollback = database(1);
        let facts = Facts { database: Some(&rollback), hot_journal: true, ..Facts::default() };
        assert_eq!(codes(&facts), [("hot_journal".to_owned(), Severity::Notice)]);
    }

    #[test]
    fn the_gravest_finding_comes_first() {
        let database = database(3);
        let facts =
            Facts { database: Some(&database), readable_by_others: true, unstable: Some("x"), ..Facts::default() };
        let severities: Vec<Severity> = codes(&facts).into_iter().map(|(_, severity)| severity).collect();
        assert_eq!(severities, [Severity::Error, Severity::Warning, Severity::Notice]);
    }
}
