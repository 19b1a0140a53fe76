//! What each file says by itself; what files say about each other is tested from outside, in `tests/judge`.
use super::*;
use crate::evidence::{ByteLock, LockState, LocksView, ShmLocks};
use crate::finding::Severity;
use crate::format::shm;
use crate::wal::{EndReason, scan};

fn codes(facts: &Facts<'_>) -> Vec<(String, Severity)> {
    findings(facts).into_iter().map(|finding| (finding.code().name().to_owned(), finding.severity)).collect()
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

fn locks(held: Option<&str>) -> LocksView {
    let mut locks = ShmLocks::unknown("test");
    let byte = |name| ByteLock {
        state: if held == Some(name) { LockState::Shared } else { LockState::Free },
        reason: None,
        holders: Vec::new(),
    };
    locks.write = byte("write");
    locks.recover = byte("recover");
    locks.dead_man_switch = byte("dead_man_switch");
    LocksView { shm: locks, database: ByteLock::unknown("test") }
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
fn each_file_by_itself_raises_one_code_for_one_fault() {
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
        Facts { database: Some(&plain), hot_journal: HotJournal::Waits, ..Facts::default() },
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
    raised.dedup();
    assert_eq!(raised.len(), 10);
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
    let facts = Facts { database: Some(&rollback), hot_journal: HotJournal::Waits, ..Facts::default() };
    assert_eq!(codes(&facts), [("hot_journal".to_owned(), Severity::Notice)]);
}

#[test]
fn the_gravest_finding_comes_first() {
    let database = database(3);
    let facts = Facts { database: Some(&database), readable_by_others: true, unstable: Some("x"), ..Facts::default() };
    let severities: Vec<Severity> = codes(&facts).into_iter().map(|(_, severity)| severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Warning, Severity::Notice]);
}
