//! What each file says by itself; what files say about each other is tested from outside, in `tests/judge`.
use super::*;
use crate::evidence::{ByteLock, LockState, LocksView, ShmLocks};
use crate::finding::{Severity, findings};
use crate::format::db::DatabaseHead;
use crate::format::shm::{self, IndexHead};
use crate::look::{Bytes, Options, inspect};
use crate::wal::{EndReason, WalFacts, scan};

/// A look that saw nothing, and held no files against each other.
fn nothing() -> Inspection {
    inspect(&Bytes::default(), &Options { depth: Depth::Heads, ..Options::default() }).unwrap()
}

fn of(origin: Origin) -> Inspection {
    Inspection { origin, ..nothing() }
}

fn codes(look: &Inspection) -> Vec<(String, Severity)> {
    findings(look).into_iter().map(|finding| (finding.code().name().to_owned(), finding.severity)).collect()
}

fn database(version: u8) -> DatabaseHead {
    let mut bytes = b"SQLite format 3\0".to_vec();
    bytes.resize(100, 0);
    bytes[16..24].copy_from_slice(&[0x10, 0, version, version, 0, 64, 32, 32]);
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
    LocksView::new(locks, ByteLock::unknown("test"))
}

#[test]
fn clean_facts_raise_nothing() {
    let wal = WalFacts::absent();
    let shm = shm([[0; 48]; 2]);
    let database = database(2);
    let look = Inspection { database: Some(database), wal: Some(wal), shm: Some(shm), ..nothing() };
    assert_eq!(codes(&look), []);
    assert_eq!(codes(&nothing()), []);
}

#[test]
fn each_file_by_itself_raises_one_code_for_one_fault() {
    let (wal2, opaque, plain) = (database(3), DatabaseHead::Opaque { zeros: false }, database(2));
    let unusable = wal(0x1234_5678, 4096);
    let mut version = wal(0x377f_0682, 4096);
    version.end_reason = EndReason::UnsupportedVersion;
    let differ = shm([[0; 48], [1; 48]]);
    let wrong = shm([[1; 48]; 2]);
    let mut raised: Vec<String> = [
        Inspection { database: Some(wal2), ..nothing() },
        Inspection { database: Some(opaque), ..nothing() },
        Inspection { database: Some(plain), hot_journal: HotJournal::Waits, ..nothing() },
        Inspection { wal: Some(unusable), ..nothing() },
        Inspection { wal: Some(version), ..nothing() },
        Inspection { shm: Some(differ), ..nothing() },
        Inspection { shm: Some(wrong), ..nothing() },
        of(Origin { unstable: Some("why".to_owned()), ..Origin::memory() }),
        of(Origin { readable_by_others: true, ..Origin::memory() }),
        of(Origin { access_time_moved: vec!["a.db".to_owned()], ..Origin::memory() }),
    ]
    .iter()
    .flat_map(|look| {
        let codes = codes(look);
        assert_eq!(codes.len(), 1, "{codes:?}");
        codes.into_iter().map(|(code, _)| code)
    })
    .collect();
    raised.sort();
    raised.dedup();
    assert_eq!(raised.len(), 10);
}

#[test]
fn every_reason_that_makes_a_header_unusable_is_a_warning_if_nothing_stands_behind_it() {
    for facts in [wal(0x1234_5678, 4096), wal(0x377f_0682, 1000), wal(0x377f_0682, 4096)] {
        let look = Inspection { wal: Some(facts), ..nothing() };
        assert_eq!(codes(&look), [("wal_header_unusable".to_owned(), Severity::Warning)]);
    }
}

#[test]
fn a_torn_wal_index_is_as_grave_as_who_holds_its_locks() {
    for (held, severity) in [
        (Some("write"), Severity::Info),
        (Some("recover"), Severity::Info),
        (Some("dead_man_switch"), Severity::Warning),
        (None, Severity::Notice),
    ] {
        let look = Inspection { shm: Some(shm([[0; 48], [1; 48]])), locks: Some(locks(held)), ..nothing() };
        assert_eq!(codes(&look), [("shm_header_copies_differ".to_owned(), severity)], "{held:?}");
    }
}

#[test]
fn a_journal_beside_a_database_in_rollback_mode_is_no_warning() {
    let rollback = database(1);
    let look = Inspection { database: Some(rollback), hot_journal: HotJournal::Waits, ..nothing() };
    assert_eq!(codes(&look), [("hot_journal".to_owned(), Severity::Notice)]);
}

#[test]
fn the_gravest_finding_comes_first() {
    let database = database(3);
    let origin = Origin { readable_by_others: true, unstable: Some("x".to_owned()), ..Origin::memory() };
    let look = Inspection { database: Some(database), ..of(origin) };
    let severities: Vec<Severity> = codes(&look).into_iter().map(|(_, severity)| severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Warning, Severity::Notice]);
}
