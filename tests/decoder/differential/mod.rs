//! SQLite is the judge: random histories, written by SQLite in a process that dies with its files open, decoded here and
//! recovered by SQLite from copies.
//!
//! Everything that touches a database through SQLite happens in child processes (this test binary again): a process
//! that closes any descriptor of a file loses its POSIX locks on it, and a killed process leaves its `-shm` behind.

mod every_byte;
mod history;
mod model;

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use walscope::format::shm::block_of;
use walscope::look::checkpoint::{CheckpointState, diagnose};
use walscope::number::{FrameNumber, PageNumber};
use walscope::shm::{BlockFacts, Lookup, WalIndex};
use walscope::wal::transactions::transactions;
use walscope::wal::{Frame, FrameClass, WalFacts, scan, scan_pages};

use crate::common;
use crate::common::random::Random;
use crate::common::synthetic::{Shm, read_native_header};
use history::{HISTORY, LONG};

/// Names the folder with copies to a child.
const JUDGE: &str = "WALSCOPE_TEST_JUDGE";
/// Commit frames behind which every history is cut; of more, a seeded sample of this many.
const COMMIT_CUTS: usize = 60;
/// Cuts elsewhere, behind any frame or anywhere.
const CUTS: u64 = 5;

/// Histories to write: 50, or what the environment asks for.
fn histories() -> u64 {
    std::env::var("WALSCOPE_DIFFERENTIAL")
        .map_or(50, |number| number.parse().expect("WALSCOPE_DIFFERENTIAL is a number"))
}

/// What the histories have shown together: a test that never met a rollback says nothing about rollbacks.
#[derive(Debug, Default)]
struct Seen {
    commits: u64,
    padding: u64,
    uncommitted: u64,
    residue: u64,
    stale: u64,
    shrunk: u64,
    blocks: u64,
    killed: u64,
    /// Cut copies whose schema SQLite calls malformed: the only thing not asked of them is `PRAGMA page_count`.
    malformed: u64,
    /// Cut copies without a frame of page 1: `PRAGMA page_count` then reads the database, which can be newer than the cut.
    counted_elsewhere: u64,
    cuts: u64,
    frames: u64,
    slots: u64,
}

#[test]
fn random_histories_agree_with_sqlite() {
    let mut seen = Seen::default();
    for seed in 0..histories() {
        check_history(seed, &mut seen);
    }
    eprintln!("{seen:?}");
    assert!(seen.commits > 500, "{seen:?}");
    assert!(seen.padding > 0 && seen.uncommitted > 0 && seen.residue > 0 && seen.stale > 0, "{seen:?}");
    assert!(seen.shrunk > 0 && seen.killed > 0, "{seen:?}");
}

#[test]
fn a_wal_index_of_three_blocks_agrees_with_sqlite() {
    let mut seen = Seen::default();
    check_history(LONG, &mut seen);
    assert!(seen.blocks >= 3, "{seen:?}");
}

/// The whole of one history: written, decoded, judged.
fn check_history(seed: u64, seen: &mut Seen) {
    let folder = tempfile::tempdir().unwrap();
    seen.killed += u64::from(!run_child(
        history::MODULE,
        "writes_one_history",
        HISTORY,
        &format!("{seed}:{}", folder.path().display()),
    ));
    let database = folder.path().join("t.db");
    let wal = fs::read(folder.path().join("t.db-wal")).unwrap();
    let shm = fs::read(folder.path().join("t.db-shm")).unwrap();

    let mut frames = Vec::new();
    let facts = scan(&wal, &mut |frame| frames.push(*frame)).unwrap();
    count(&wal, &facts, &frames, seen);
    let committed = facts.frames.committed;
    seen.blocks = seen.blocks.max(u64::from(block_of(FrameNumber(committed))) + 1);

    // What the writer left in its -shm, killed outside of any commit.
    let left = read_native_header(&shm);
    assert_eq!(u64::from(left.mx_frame), committed, "seed {seed}: mxFrame of the killed writer");
    check_index(&shm, &frames, committed, seed);

    // What SQLite recovers from a copy, from copies cut short, and what it checkpoints.
    let copies = tempfile::tempdir().unwrap();
    let mut random = Random(seed ^ 0xc0ffee);
    let mut cuts = vec![wal.len()];
    let mut commits = model::commit_frames(&wal);
    let found: Vec<u64> = commit_points(&wal);
    assert_eq!(found, commits.iter().map(|(frame, _)| *frame).collect::<Vec<_>>(), "seed {seed}: commit points");
    while commits.len() > COMMIT_CUTS {
        commits.swap_remove(random.below(commits.len() as u64) as usize);
    }
    cuts.extend(commits.iter().map(|(_, end)| *end));
    for _ in 0..CUTS.min(wal.len() as u64) {
        cuts.push(cut(&wal, &frames, &mut random));
    }
    seen.cuts += cuts.len() as u64;
    for (n, length) in cuts.iter().enumerate() {
        copy(&copies.path().join(format!("cut-{n:03}")), &database, &wal[..*length]);
    }
    let checkpointed = copies.path().join("checkpoint");
    copy(&checkpointed, &database, &wal);
    assert!(run_child(module_path!(), "judges_the_copies", JUDGE, &copies.path().display().to_string()));
    for (n, length) in cuts.iter().enumerate() {
        check_recovery(&copies.path().join(format!("cut-{n:03}")), &wal[..*length], seed, seen);
    }
    check_checkpoint(&checkpointed, &wal, &facts, seed);
}

/// Every frame that, by `transactions`, recovery can end at.
fn commit_points(wal: &[u8]) -> Vec<u64> {
    let mut points = Vec::new();
    transactions(&wal, 0, &mut |transaction| {
        points.extend(transaction.commit_frame.count()..=transaction.last_frame.count())
    })
    .unwrap();
    points
}

/// A length to cut a WAL at: behind any frame, or anywhere.
fn cut(wal: &[u8], frames: &[Frame], random: &mut Random) -> usize {
    let end = |frame: &Frame| frames.get(frame.number.count() as usize).map_or(wal.len(), |next| next.offset as usize);
    if !frames.is_empty() && random.one_in(2) {
        end(&frames[random.below(frames.len() as u64) as usize])
    } else {
        random.below(wal.len() as u64 + 1) as usize
    }
}

fn check_recovery(folder: &Path, wal: &[u8], seed: u64, seen: &mut Seen) {
    let mut frames = Vec::new();
    let facts = scan(&wal.to_vec(), &mut |frame| frames.push(*frame)).unwrap();
    let what = format!("seed {seed}, {} at {} bytes", folder.display(), wal.len());
    let shm = fs::read(folder.join("t.db-shm")).unwrap();
    let sqlite = read_native_header(&shm);
    let classes: Vec<FrameClass> = frames.iter().map(|frame| facts.class_of(frame)).collect();
    assert_eq!(classes, model::classes(wal, sqlite.mx_frame), "{what}: classes");
    seen.frames += frames.len() as u64;
    seen.slots += check_slots(&shm, wal, &what);
    let Some(last) = facts.last_commit else {
        assert_eq!(sqlite.mx_frame, 0, "{what}");
        return;
    };
    assert_eq!(last.frame, u64::from(sqlite.mx_frame), "{what}: mxFrame");
    assert_eq!(sqlite.database_pages, last.database_pages, "{what}: nPage");
    assert_eq!(sqlite.frame_checksum, last.checksum.0, "{what}: aFrameCksum");
    assert_eq!(Some(sqlite.page_size), facts.page_size().map(u32::from), "{what}: szPage");
    assert_eq!(Some(sqlite.salts), facts.header.map(|header| header.salts.0), "{what}: aSalt");
    let page_count = fs::read_to_string(folder.join("page_count")).unwrap();
    // SQLite counts pages by the header in page 1. Without a frame of it, that is the database's own, which a checkpoint may
    // have made newer than this cut.
    let counts_here = frames.iter().any(|frame| frame.number <= last.frame && frame.header.page == 1);
    if page_count == "malformed" {
        seen.malformed += 1;
    } else if counts_here {
        assert_eq!(page_count, last.database_pages.to_string(), "{what}: PRAGMA page_count");
    } else {
        seen.counted_elsewhere += 1;
    }
    check_index(&shm, &frames, last.frame.count(), seed);
    // Recovery sets nBackfillAttempted to mxFrame; that is no interrupted checkpoint.
    let head = WalIndex::open(&shm).unwrap().head;
    assert_eq!(diagnose(&facts, Some(&head), None).state, CheckpointState::Pending, "{what}");
}

fn check_checkpoint(folder: &Path, wal: &[u8], facts: &WalFacts, seed: u64) {
    let result = fs::read_to_string(folder.join("result")).unwrap();
    let committed = facts.frames.committed;
    assert_eq!(result, format!("0|{committed}|{committed}"), "seed {seed}: wal_checkpoint");
    let shm = fs::read(folder.join("t.db-shm")).unwrap();
    let judged = diagnose(facts, Some(&WalIndex::open(&shm).unwrap().head), None);
    let Some(last) = facts.last_commit else { return };
    assert_eq!((judged.state, judged.backfilled), (CheckpointState::Complete, committed), "seed {seed}");

    let mut images: HashMap<u32, Vec<u8>> = HashMap::new();
    scan_pages(&wal, &mut |frame, page| {
        if facts.class_of(frame) == FrameClass::Committed {
            images.insert(frame.header.page.0, page.to_vec());
        }
    })
    .unwrap();
    let database = fs::read(folder.join("t.db")).unwrap();
    for (page, image) in images.iter().filter(|(page, _)| **page <= last.database_pages) {
        let at = (*page as usize - 1) * image.len();
        assert!(database[at..at + image.len()] == image[..], "seed {seed}: page {page} after the checkpoint");
    }
}

/// Every entry and every slot of a recovered -shm, as SQLite wrote it, as the model expects it, and as the library reads
/// it. Returns the slots compared. Recovery indexes every valid frame, also those behind the last commit.
fn check_slots(shm: &[u8], wal: &[u8], what: &str) -> u64 {
    let pages = model::valid_pages(wal);
    if pages.is_empty() {
        return 0;
    }
    let expected = Shm { pages, ..Shm::default() }.bytes(cfg!(target_endian = "big"));
    assert!(shm[136..expected.len()] == expected[136..], "{what}: entries and slots that SQLite wrote");
    let index = WalIndex::open(&shm).unwrap();
    let mut slots = 0;
    for (number, block) in (0u32..).zip(expected.chunks(32_768)) {
        let read = index.block(number).unwrap();
        let stored = block[16_384..].chunks(2).map(|two| u16::from_ne_bytes([two[0], two[1]]));
        assert!(read.hash_slots.iter().copied().eq(stored), "{what}: slots of block {number}");
        let array = &block[if number == 0 { 136 } else { 0 }..16_384];
        let stored = array.chunks(4).map(|four| u32::from_ne_bytes([four[0], four[1], four[2], four[3]]));
        assert!(read.page_numbers.iter().copied().map(u32::from).eq(stored), "{what}: entries of block {number}");
        slots += 8_192;
    }
    slots
}

/// Every entry and every lookup of a -shm that SQLite wrote.
fn check_index(shm: &[u8], frames: &[Frame], committed: u64, seed: u64) {
    let index = WalIndex::open(&shm).unwrap();
    let mx_frame = FrameNumber(committed);
    let blocks: Vec<_> = (0..=block_of(mx_frame)).map(|number| index.block(number).unwrap()).collect();
    for block in &blocks {
        let facts = BlockFacts::of(block, mx_frame);
        assert!(facts.sound() && facts.live_slots == facts.indexed, "seed {seed}: {facts:?}");
    }
    let mut newest = HashMap::new();
    for frame in frames.iter().take(committed as usize) {
        let block = &blocks[block_of(frame.number) as usize];
        assert_eq!(block.page_of(frame.number), Some(frame.header.page), "seed {seed}: frame {}", frame.number);
        newest.insert(frame.header.page, frame.number);
    }
    for (page, frame) in newest.iter().take(200) {
        assert_eq!(index.frame_of_page(*page, mx_frame).unwrap(), Lookup::Found(*frame), "seed {seed}: page {page}");
    }
    assert_eq!(index.frame_of_page(PageNumber(u32::MAX), mx_frame).unwrap(), Lookup::Absent);
}

fn count(wal: &[u8], facts: &WalFacts, frames: &[Frame], seen: &mut Seen) {
    seen.commits += facts.commits;
    seen.uncommitted += facts.frames.uncommitted;
    seen.residue += facts.frames.residue;
    seen.stale += facts.frames.stale;
    let commits: Vec<u32> = frames
        .iter()
        .filter(|frame| frame.valid && frame.header.is_commit())
        .map(|frame| frame.header.commit_pages)
        .collect();
    seen.shrunk += commits.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
    transactions(&wal, 0, &mut |transaction| seen.padding += transaction.commit_points() - 1).unwrap();
}

fn copy(folder: &Path, database: &Path, wal: &[u8]) {
    fs::create_dir(folder).unwrap();
    fs::copy(database, folder.join("t.db")).unwrap();
    fs::write(folder.join("t.db-wal"), wal).unwrap();
}

/// Runs one of the functions that are no tests in a process of its own that ends by aborting. Whether it
/// did its work to the end; else it was killed by SIGKILL.
fn run_child(module: &str, name: &str, variable: &str, value: &str) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(common::only_test(module, name))
        .env(variable, value)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let done = text.contains(DONE);
    assert!(done || output.status.signal() == Some(9), "{name} {value}: {text}");
    done
}

/// The answer, or none from a database that SQLite calls malformed; any other error fails the child.
fn malformed_or<T>(answer: rusqlite::Result<T>) -> Option<T> {
    let malformed = [rusqlite::ErrorCode::DatabaseCorrupt, rusqlite::ErrorCode::NotADatabase];
    match answer {
        Ok(answer) => Some(answer),
        Err(error) if error.sqlite_error_code().is_some_and(|code| malformed.contains(&code)) => None,
        Err(error) => panic!("{error}"),
    }
}

/// What a child says right before it dies with its files open.
const DONE: &str = "the child did its work";

fn die() -> ! {
    println!("{DONE}");
    std::process::abort()
}

#[test]
fn judges_the_copies() {
    let Some(folder) = common::task(JUDGE) else { return };
    for entry in fs::read_dir(folder).unwrap() {
        let folder = entry.unwrap().path();
        let connection = Connection::open(folder.join("t.db")).unwrap();
        // The first statement recovers the WAL, and also reads the schema, which a cut can have made malformed.
        malformed_or(connection.execute_batch("PRAGMA synchronous=OFF"));
        if folder.ends_with("checkpoint") {
            let row = connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                    Ok(format!("{}|{}|{}", row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
                })
                .unwrap();
            fs::write(folder.join("result"), row).unwrap();
        } else {
            // A cut WAL beside a database that was checkpointed further is no consistent database; recovery does not care.
            let pages = malformed_or(connection.query_row("PRAGMA page_count", [], |row| row.get::<_, u32>(0)));
            fs::write(folder.join("page_count"), pages.map_or("malformed".to_owned(), |n| n.to_string())).unwrap();
        }
        // Closing would checkpoint and delete what is to be looked at.
        std::mem::forget(connection);
    }
    die();
}
