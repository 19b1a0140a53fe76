//! Small WALs cut at every byte, and with every single bit flipped: each time the commits found are SQLite's.
//!
//! A plain run cuts two of the WALs and flips a sample of bits of all; `WALSCOPE_EVERY_BIT=1` takes everything.
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use walscope::wal::{WalFacts, scan};

use super::{die, malformed_or, model, run_child};
use crate::common::in_memory;
use crate::common::synthetic::{WalWriter, read_native_header};

/// Names the folder with the database and the whole WAL, and the first length, to a child.
const CUTS: &str = "WALSCOPE_TEST_CUTS";
/// Names the folder with the whole WAL and a list of bits to a child.
const FLIPS: &str = "WALSCOPE_TEST_FLIPS";
/// Cuts or flips a child makes; each cut leaves 32 KiB behind.
const ROUND: usize = 1_000;
/// A WAL in which one bit of one salt is flipped, which no checksum covers.
const SALT_FLIPPED: &str = "other salts, right chain";
/// Both header copies of a -shm.
const HEAD: usize = 96;

#[test]
fn small_wals_cut_at_every_byte_agree_with_sqlite() {
    let every = everything() || std::env::var_os("WALSCOPE_DIFFERENTIAL").is_some();
    let wals = small_wals();
    assert_eq!(wals.len(), 10);
    let mut cuts = 0;
    for (name, wal) in wals.iter().take(if every { 10 } else { 2 }) {
        let commits = model::commit_frames(wal);
        for first in (0..=wal.len()).step_by(ROUND) {
            cuts += check_cuts(name, wal, first);
        }
        eprintln!("{name}: {} bytes, {} commits", wal.len(), commits.len());
    }
    eprintln!("cuts at every byte: {cuts}");
}

fn everything() -> bool {
    std::env::var_os("WALSCOPE_EVERY_BIT").is_some()
}

#[test]
fn small_wals_with_any_bit_flipped_agree_with_sqlite() {
    let (mut flips, mut fewer, mut as_before, mut more) = (0, 0, 0, 0);
    for (name, wal) in &small_wals() {
        let whole = scan(wal, &mut |_| ()).unwrap().commits;
        let bits: Vec<usize> = (0..wal.len() * 8).filter(|bit| everything() || sampled(*bit)).collect();
        for some in bits.chunks(ROUND) {
            for (bit, facts) in check_flips(name, wal, some) {
                // One of the WALs was made by flipping a bit of a salt, and flipping it back makes it whole.
                let mended = facts.commits > whole && *name == SALT_FLIPPED;
                assert!(facts.commits <= whole || mended, "{name}, bit {bit}: a flip has added a commit");
                more += u64::from(mended);
                flips += 1;
                fewer += u64::from(facts.commits < whole);
                as_before += u64::from(facts.commits == whole);
            }
        }
    }
    eprintln!("flipped bits of ten small WALs: {flips}, with fewer commits {fewer}, with as many {as_before}");
    assert!(fewer > 100 && as_before > 100 && more <= 1);
}

/// Of the headers one bit in five, of the pages one in 331.
fn sampled(bit: usize) -> bool {
    let byte = bit / 8;
    let header = byte < 32 || (byte - 32) % 536 < 24;
    bit.is_multiple_of(if header { 5 } else { 331 })
}

/// SQLite's answers to flipped bits, each held against walscope's.
fn check_flips(name: &str, wal: &[u8], bits: &[usize]) -> Vec<(usize, WalFacts)> {
    let folder = in_memory();
    fs::write(folder.path().join("whole"), wal).unwrap();
    let list: Vec<String> = bits.iter().map(usize::to_string).collect();
    fs::write(folder.path().join("bits"), list.join(" ")).unwrap();
    assert!(run_child(module_path!(), "recovers_every_flip", FLIPS, &folder.path().display().to_string()));
    let heads = fs::read(folder.path().join("heads")).unwrap();
    assert_eq!(heads.len(), bits.len() * HEAD);
    let mut flipped = wal.to_vec();
    let mut found = Vec::new();
    for (bit, head) in bits.iter().zip(heads.chunks(HEAD)) {
        flipped[bit / 8] ^= 1 << (bit % 8);
        let what = format!("{name}, bit {bit} (byte {})", bit / 8);
        let sqlite = read_native_header(head);
        let facts = scan(&flipped, &mut |_| ()).unwrap();
        assert_eq!(
            facts.last_commit.map_or(0, |last| last.frame.count()),
            u64::from(sqlite.mx_frame),
            "{what}: last commit"
        );
        let commits =
            model::commit_frames(&flipped).iter().filter(|(frame, _)| *frame <= sqlite.mx_frame.into()).count();
        assert_eq!(facts.commits, commits as u64, "{what}: commits");
        if let Some(last) = facts.last_commit {
            assert_eq!(last.database_pages, sqlite.database_pages, "{what}: nPage");
            assert_eq!(last.checksum.0, sqlite.frame_checksum, "{what}: aFrameCksum");
            assert_eq!(facts.header.map(|header| header.salts.0), Some(sqlite.salts), "{what}: aSalt");
        }
        found.push((*bit, facts));
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
    found
}

#[test]
fn recovers_every_flip() {
    let Some(folder) = crate::common::task(FLIPS).map(PathBuf::from) else { return };
    let mut wal = fs::read(folder.join("whole")).unwrap();
    let database = empty_database(&folder.join("made.db"));
    let mut heads = Vec::new();
    for bit in fs::read_to_string(folder.join("bits")).unwrap().split(' ') {
        let bit: usize = bit.parse().unwrap();
        wal[bit / 8] ^= 1 << (bit % 8);
        recover(&folder, &database, &wal, bit);
        // The connection is closed: reading drops no lock.
        let kept = folder.join(format!("shm-{bit}"));
        heads.extend(&fs::read(&kept).unwrap()[..HEAD]);
        fs::remove_file(kept).unwrap();
        wal[bit / 8] ^= 1 << (bit % 8);
    }
    fs::write(folder.join("heads"), heads).unwrap();
    die();
}

fn check_cuts(name: &str, wal: &[u8], first: usize) -> usize {
    let folder = in_memory();
    fs::write(folder.path().join("whole"), wal).unwrap();
    let task = format!("{first}:{}", folder.path().display());
    assert!(run_child(module_path!(), "recovers_every_cut", CUTS, &task));
    let lengths = first..(first + ROUND).min(wal.len() + 1);
    for length in lengths.clone() {
        let shm = fs::read(folder.path().join(format!("shm-{length}"))).unwrap();
        let sqlite = u64::from(read_native_header(&shm).mx_frame);
        let facts = scan(&wal[..length].to_vec(), &mut |_| ()).unwrap();
        let commits = model::commit_frames(wal).iter().filter(|(frame, _)| *frame <= sqlite).count();
        assert_eq!(
            facts.last_commit.map_or(0, |last| last.frame.count()),
            sqlite,
            "{name} at {length} bytes: last commit"
        );
        assert_eq!(facts.commits, commits as u64, "{name} at {length} bytes: commits");
    }
    lengths.len()
}

#[test]
fn recovers_every_cut() {
    let Some(task) = crate::common::task(CUTS) else { return };
    let task = task.into_string().unwrap();
    let (first, folder) = task.split_once(':').unwrap();
    let (first, folder) = (first.parse::<usize>().unwrap(), PathBuf::from(folder));
    let wal = fs::read(folder.join("whole")).unwrap();
    let database = empty_database(&folder.join("made.db"));
    for length in first..(first + ROUND).min(wal.len() + 1) {
        recover(&folder, &database, &wal[..length], length);
    }
    die();
}

/// Nothing but SQLite opens the -shm in this process: it is kept under a second name, which needs no descriptor.
fn recover(folder: &Path, database: &[u8], wal: &[u8], length: usize) {
    fs::write(folder.join("t.db"), database).unwrap();
    fs::write(folder.join("t.db-wal"), wal).unwrap();
    let connection = Connection::open(folder.join("t.db")).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    // The first statement recovers the WAL, and then finds that the content of these frames is no database.
    malformed_or(connection.execute_batch("PRAGMA synchronous=OFF"));
    fs::hard_link(folder.join("t.db-shm"), folder.join(format!("shm-{length}"))).unwrap();
    drop(connection);
    // The next opener would empty the kept file too.
    let _ = fs::remove_file(folder.join("t.db-shm"));
}

fn empty_database(path: &Path) -> Vec<u8> {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA page_size=512; PRAGMA journal_mode=WAL; CREATE TABLE t(a);").unwrap();
    drop(connection);
    fs::read(path).unwrap()
}

fn small_wals() -> Vec<(&'static str, Vec<u8>)> {
    let new = |big| WalWriter::new(512, big, [77, 99]);
    let make = |big, fill: &dyn Fn(&mut WalWriter)| {
        let mut wal = new(big);
        fill(&mut wal);
        wal.bytes
    };
    vec![
        (
            "residue of a rollback",
            make(false, &|wal| {
                wal.frame(1, 2, 1).frame(2, 0, 2).frame(3, 0, 3).frame(4, 4, 4);
                let mut second = new(false);
                second.frame(1, 2, 1).frame(2, 2, 9);
                wal.bytes[..second.bytes.len()].copy_from_slice(&second.bytes);
            }),
        ),
        // In files that SQLite wrote the broken chain hides a missing salt test: no checksum covers the salts, so only a
        // frame like this one, which the chain accepts, tells whether salts are looked at.
        (
            SALT_FLIPPED,
            make(false, &|wal| {
                wal.frame(1, 1, 1).frame(2, 2, 2).frame(3, 3, 3);
                let salt = wal.offset(2) + 8;
                wal.bytes[salt] ^= 1;
            }),
        ),
        (
            "stale tail",
            make(true, &|wal| {
                wal.frame(1, 2, 1).frame(2, 2, 2).frame(3, 3, 3).frame(2, 3, 4).set_salts([78, 5]);
                wal.frame_at(1, 1, 0, 5).frame_at(2, 2, 3, 6);
            }),
        ),
        (
            "uncommitted tail",
            make(false, &|wal| {
                wal.frame(1, 2, 1).frame(2, 0, 2).frame(3, 0, 3);
            }),
        ),
        (
            "psow padding",
            make(false, &|wal| {
                wal.frame(1, 0, 1).frame(2, 2, 2).frame(2, 2, 2).frame(2, 2, 2);
            }),
        ),
        (
            "big-endian checksums",
            make(true, &|wal| {
                wal.frame(1, 1, 1).frame(2, 2, 2).frame(3, 3, 3);
            }),
        ),
        (
            "file grown ahead",
            make(false, &|wal| {
                wal.frame(1, 1, 1).frame(2, 2, 2).unwritten(2);
            }),
        ),
        (
            "page 0",
            make(false, &|wal| {
                wal.frame(1, 1, 1).frame(0, 2, 2).frame(2, 2, 3);
            }),
        ),
        (
            "shrinking commits",
            make(false, &|wal| {
                wal.frame(1, 9, 1).frame(2, 4, 2).frame(1, 1, 3);
            }),
        ),
        (
            "restarted, nothing committed",
            make(true, &|wal| {
                wal.frame(1, 2, 1).frame(2, 2, 2).frame(3, 3, 3).set_salts([78, 6]);
                wal.frame_at(1, 1, 0, 5);
            }),
        ),
    ]
}
