//! The programs that make the files of `testdata/cases`.

use crate::common::synthetic::{Shm, WalWriter};

/// Bytes a page, in every case.
const PAGE: usize = 512;
/// Salts of the generation that the header names, and of the one before it.
const NOW: [u32; 2] = [0x0000_0202, 0x2222_2222];
const BEFORE: [u32; 2] = [0x0000_0201, 0x1111_1111];

pub struct Case {
    pub name: &'static str,
    /// The fault, in a line.
    pub about: &'static str,
    /// What to look at.
    pub source: &'static str,
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// Besides `inspect`.
    pub commands: &'static [&'static str],
    /// The codes that it comes to.
    pub findings: &'static [&'static str],
}

/// A database header and an empty page 1; `version` goes to the bytes 18 and 19.
fn database(version: u8) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    page[16..18].copy_from_slice(&(PAGE as u16).to_be_bytes());
    page[18..20].fill(version);
    page[21..24].copy_from_slice(&[64, 32, 32]);
    // Change counter, pages, schema cookie and format, UTF-8, and the counter again.
    for (at, value) in [(27, 1), (31, 1), (43, 1), (47, 4), (59, 1), (95, 1)] {
        page[at] = value;
    }
    page[96..100].copy_from_slice(&3_054_000_u32.to_be_bytes());
    page[100..108].copy_from_slice(&[13, 0, 0, 0, 0, 2, 0, 0]);
    page
}

/// A WAL whose page 1 is that of the database.
fn writer(page_size: usize, big: bool, salts: [u32; 2]) -> WalWriter {
    let mut wal = WalWriter::new(page_size, big, salts);
    wal.page_one = Some(database(2));
    wal
}

/// Two transactions: pages 1 and 2, then page 2 again and page 3.
fn two_transactions() -> WalWriter {
    let mut wal = writer(PAGE, false, NOW);
    wal.frame(1, 0, 0x11).frame(2, 2, 0x12).frame(2, 0, 0x22).frame(3, 3, 0x23);
    wal
}

/// A wal-index of those two transactions, of which the first is copied.
fn index_of_two() -> Shm {
    Shm {
        page_size: PAGE as u32,
        change: 2,
        mx_frame: 4,
        database_pages: 3,
        frame_checksum: two_transactions().checksum(),
        salts: NOW,
        backfilled: 2,
        attempted: 2,
        marks: [0, 4, u32::MAX, u32::MAX, u32::MAX],
        pages: vec![1, 2, 2, 3],
    }
}

fn wal_case(
    name: &'static str,
    about: &'static str,
    findings: &'static [&'static str],
    make: impl FnOnce() -> Vec<u8>,
) -> Case {
    let files = vec![("t.db", database(2)), ("t.db-wal", make())];
    Case { name, about, source: "t.db", files, commands: &["wal"], findings }
}

fn shm_case(name: &'static str, about: &'static str, findings: &'static [&'static str], shm: Vec<u8>) -> Case {
    let files = vec![("t.db", database(2)), ("t.db-wal", two_transactions().bytes), ("t.db-shm", shm)];
    Case { name, about, source: "t.db", files, commands: &["shm"], findings }
}

fn db_case(name: &'static str, about: &'static str, findings: &'static [&'static str], db: Vec<u8>) -> Case {
    let files = vec![("t.db", db), ("t.db-wal", two_transactions().bytes)];
    Case { name, about, source: "t.db", files, commands: &["wal"], findings }
}

/// All, in the order of their names.
pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = wal_header().into_iter().chain(wal_frames()).chain(shm()).chain(db()).collect();
    all.push(six_classes());
    all.sort_by_key(|case| case.name);
    all
}

fn wal_header() -> Vec<Case> {
    let field = |at: usize, value: u32| {
        move || {
            let mut wal = two_transactions();
            // The frames behind it keep their checksums: only the header is at fault, and its checksum is right.
            wal.set_header_field(at, value);
            wal.bytes
        }
    };
    vec![
        wal_case(
            "wal-bad-magic",
            "The magic of the WAL header is neither of the two.",
            &["wal_header_unusable"],
            || {
                let mut bytes = two_transactions().bytes;
                bytes[3] = 0x84;
                bytes
            },
        ),
        wal_case(
            "wal-bad-header-checksum",
            "One bit of the WAL header's checkpoint sequence is flipped: its checksum is wrong.",
            &["wal_header_unusable"],
            || {
                let mut bytes = two_transactions().bytes;
                bytes[15] ^= 1;
                bytes
            },
        ),
        wal_case(
            "wal-bad-page-size",
            "The page size of the WAL header is no power of two; its checksum is right.",
            &["wal_header_unusable"],
            field(8, 1000),
        ),
        wal_case(
            "wal-unsupported-version",
            "The WAL header says version 3008000 and is intact: SQLite cannot open the database.",
            &["wal_version_unsupported"],
            field(4, 3_008_000),
        ),
        wal_case("wal-empty", "The WAL has no bytes.", &[], Vec::new),
        wal_case("wal-short-header", "The WAL ends within its header, after 20 bytes.", &[], || {
            two_transactions().bytes[..20].to_vec()
        }),
        wal_case("wal-header-only", "The WAL is its header and nothing else.", &[], || {
            two_transactions().bytes[..32].to_vec()
        }),
    ]
}

fn wal_frames() -> Vec<Case> {
    vec![
        wal_case("wal-torn-frame", "The file ends within its fifth frame.", &[], || {
            let mut wal = two_transactions();
            wal.frame(4, 4, 0x34);
            wal.bytes.truncate(wal.offset(5) + 200);
            wal.bytes
        }),
        wal_case(
            "wal-salt-mismatch",
            "The header is of a new generation, every frame of the one before.",
            &["stale_frames_not_in_database"],
            || {
                let mut wal = two_transactions();
                wal.set_salts([NOW[0] + 1, 0x3333_3333]);
                wal.bytes
            },
        ),
        wal_case(
            "wal-checksum-mismatch",
            "One bit in the page of frame 3 is flipped.",
            &["wal_commits_behind_break"],
            || {
                let mut wal = two_transactions();
                let at = wal.offset(3) + 24 + 100;
                wal.bytes[at] ^= 0x40;
                wal.bytes
            },
        ),
        wal_case("wal-page-zero", "Frame 5 says page 0; its checksum is right.", &["wal_commits_behind_break"], || {
            two_transactions().frame(0, 3, 0x30).bytes.clone()
        }),
        wal_case("wal-uncommitted-tail", "Three valid frames behind the last commit.", &[], || {
            two_transactions().frame(4, 0, 0x34).frame(5, 0, 0x35).frame(1, 0, 0x31).bytes.clone()
        }),
        wal_case(
            "wal-residue",
            "A rolled-back transaction of four frames under a shorter, later commit: two of them are left.",
            &[],
            || residue(two_transactions()).bytes,
        ),
        wal_case("wal-stale-tail", "Two committed frames, and behind them four of the generation before.", &[], || {
            let mut wal = writer(PAGE, false, BEFORE);
            for page in 1..=6 {
                wal.frame(page, page, 0x40 + page as u8);
            }
            wal.set_salts(NOW);
            wal.frame_at(1, 1, 0, 0x51).frame_at(2, 2, 2, 0x52).bytes.clone()
        }),
        wal_case("wal-unwritten-tail", "The file grew three frames of zero bytes ahead of its frames.", &[], || {
            two_transactions().unwritten(3).bytes.clone()
        }),
        wal_case("wal-unrelated-tail", "Three frames' worth of text behind the frames.", &[], || {
            let mut bytes = two_transactions().bytes;
            let text = b"The quick brown fox jumps over the lazy dog. ";
            bytes.extend(text.iter().cycle().take(3 * (PAGE + 24)));
            bytes
        }),
        wal_case(
            "wal-hostile-page-number",
            "A commit of page 4294967295 into a database of 4294967295 pages, with right checksums.",
            &["database_too_short"],
            || two_transactions().frame(u32::MAX, u32::MAX, 0x3f).bytes.clone(),
        ),
        wal_case(
            "wal-repeated-commit",
            "The commit frame of the second transaction is written three times, as padding to a sector.",
            &[],
            || two_transactions().frame(3, 3, 0x23).frame(3, 3, 0x23).frame(1, 3, 0x31).bytes.clone(),
        ),
        wal_case(
            "wal-shrunk-database",
            "The last commit makes the database one page long: the newest frames of pages 2 and 3 are cut off.",
            &[],
            || two_transactions().frame(1, 1, 0x31).bytes.clone(),
        ),
        wal_case("wal-big-endian", "The checksums are over big-endian words, as the magic says.", &[], || {
            let mut wal = writer(PAGE, true, NOW);
            wal.frame(1, 0, 0x11).frame(2, 2, 0x12).bytes.clone()
        }),
    ]
}

/// Four frames that were rolled back, and a shorter commit over the first two of them.
fn residue(wal: WalWriter) -> WalWriter {
    let next = (wal.bytes.len() - 32) / (24 + PAGE) + 1;
    let mut kept = wal.clone();
    let mut rolled_back = wal;
    for page in 4..8 {
        rolled_back.frame(page, 0, 0x60 + page as u8);
    }
    kept.bytes = rolled_back.bytes;
    kept.frame_at(next, 4, 0, 0x74).frame_at(next + 1, 5, 5, 0x75);
    kept
}

fn shm() -> Vec<Case> {
    let whole = index_of_two().bytes(false);
    let cut = |len: usize| whole[..len].to_vec();
    let mut differ = whole.clone();
    let newer = Shm { mx_frame: 2, change: 1, database_pages: 2, ..index_of_two() }.bytes(false);
    differ[..48].copy_from_slice(&newer[..48]);
    let mut bad = whole.clone();
    bad[20] ^= 1;
    bad[68] ^= 1;
    let mut garbage = whole.clone();
    for (i, slot) in garbage[16384..].chunks_exact_mut(2).enumerate() {
        if slot == [0, 0] {
            slot.copy_from_slice(&(5000 + (i % 60000) as u16).to_le_bytes());
        }
    }
    let mut lost = whole.clone();
    // Page 3 begins at slot 383 * 3.
    lost[16384 + 2 * 1149..][..2].fill(0);
    let other = Shm { salts: BEFORE, ..index_of_two() }.bytes(false);
    let oversized = [whole.clone(), vec![0; 32768], vec![0xa5; 100]].concat();
    let beyond = Shm { mx_frame: 5000, ..index_of_two() }.bytes(false);
    vec![
        shm_case("shm-short", "The wal-index is 3 bytes long, as an opener leaves it for a moment.", &[], cut(3)),
        shm_case(
            "shm-cut-block",
            "The wal-index ends within the hash table of its only block.",
            &["shm_frames_unreachable"],
            cut(20000),
        ),
        shm_case(
            "shm-headers-differ",
            "Copy 0 of the header is a transaction older than copy 1: a writer was cut off between the two.",
            &["shm_header_copies_differ"],
            differ,
        ),
        shm_case(
            "shm-bad-checksum",
            "One bit of nPage is flipped in both header copies.",
            &["shm_header_checksum_wrong"],
            bad,
        ),
        shm_case(
            "shm-garbage-hash",
            "Every empty slot of the hash table holds garbage: no empty one ends a search.",
            &["shm_frames_unreachable"],
            garbage,
        ),
        shm_case(
            "shm-lost-slot",
            "The slot of frame 4 is empty: a search for page 3 finds nothing.",
            &["shm_frames_unreachable"],
            lost,
        ),
        shm_case(
            "shm-other-salts",
            "The wal-index is of another generation than the WAL beside it.",
            &["shm_of_other_wal"],
            other,
        ),
        shm_case("shm-oversized", "One block more than mxFrame needs, and 100 bytes of a third.", &[], oversized),
        shm_case(
            "shm-missing-block",
            "mxFrame 5000 needs two blocks, the file has one.",
            &["shm_beyond_wal", "shm_frames_unreachable"],
            beyond,
        ),
        shm_case(
            "shm-big-endian",
            "The wal-index was written by a big-endian machine.",
            &[],
            index_of_two().bytes(true),
        ),
    ]
}

fn db() -> Vec<Case> {
    let opaque = (0..PAGE).map(|i| (i * 167 + i / 7 * 31 + 99) as u8).collect();
    vec![
        db_case("db-wal2", "Bytes 18 and 19 of the database say 3: wal2.", &["database_wal2"], database(3)),
        db_case(
            "db-opaque",
            "The database is encrypted; the frames of its WAL are valid.",
            &["database_opaque"],
            opaque,
        ),
        db_case(
            "db-rollback",
            "The database is in rollback-journal mode, with a WAL beside it.",
            &["wal_beside_rollback_database"],
            database(1),
        ),
        db_case("db-empty", "The database has no bytes, its WAL has frames.", &["wal_without_database"], Vec::new()),
    ]
}

/// What the frames of `six-classes-wal` are, in order; the sixth class is the torn one at the end.
pub const SIX_CLASSES: [&str; 16] = [
    "committed",
    "committed",
    "committed",
    "committed",
    "committed",
    "committed", // 2 transactions, and one more
    "uncommitted",
    "uncommitted", // a writer at work
    "residue",
    "residue", // of a rollback
    "stale",
    "stale",
    "stale",
    "stale", // of the generation before
    "unwritten",
    "unwritten", // the file grew ahead
];

fn six_classes() -> Case {
    let mut wal = writer(PAGE, false, BEFORE);
    for page in 1..=14 {
        wal.frame(page, page, 0x40 + page as u8);
    }
    wal.unwritten(2);
    wal.set_salts(NOW);
    wal.frame_at(1, 1, 0, 0x11).frame_at(2, 2, 2, 0x12).frame_at(3, 2, 0, 0x22).frame_at(4, 3, 3, 0x23);
    let mut rolled_back = wal.clone();
    for (frame, page) in (5..=10).zip(4..) {
        rolled_back.frame_at(frame, page, 0, 0x60 + page as u8);
    }
    wal.bytes = rolled_back.bytes;
    wal.frame_at(5, 4, 0, 0x74).frame_at(6, 5, 5, 0x75);
    let last_commit = wal.checksum();
    wal.frame_at(7, 6, 0, 0x76).frame_at(8, 7, 0, 0x77);
    wal.bytes.extend([0x5a; 100]);
    let shm = Shm {
        page_size: PAGE as u32,
        change: 3,
        mx_frame: 6,
        database_pages: 5,
        frame_checksum: last_commit,
        salts: NOW,
        backfilled: 4,
        attempted: 4,
        marks: [0, 6, 4, u32::MAX, u32::MAX],
        pages: vec![1, 2, 2, 3, 4, 5, 6, 7],
    };
    // The checkpoint up to frame 4 left pages 1 to 3.
    let copied = [database(2), vec![0x22; PAGE], vec![0x23; PAGE]].concat();
    Case {
        name: "six-classes-wal",
        about: "A WAL with committed, uncommitted, residue, stale and unwritten frames, and a torn one.",
        source: "t.db",
        files: vec![("t.db", copied), ("t.db-wal", wal.bytes), ("t.db-shm", shm.bytes(false))],
        commands: &["wal", "shm"],
        findings: &[],
    }
}
