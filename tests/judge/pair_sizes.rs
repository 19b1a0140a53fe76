//! The number of pages that page 1 states, and that a commit of the `-wal` counts on: with real SQLite in other processes.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::Connection;

use walscope::finding::{Found, Severity};

use crate::common::command::walscope;
use crate::common::in_memory;
use crate::common::synthetic::{WalWriter, sum};
use crate::sqlite::{
    advice_keeps_everything, checkpoint, copy, fill, found, grave, one, shm, sqlite_says, verify, without_trees,
};
use crate::statements::Sqlite;
use crate::world::{PAGE, SALTS, healthy, page_one};

const OTHER: &str = "wal_of_other_database";

/// A closed database in WAL mode with so many rows, and a `-wal` that has a commit without page 1.
fn one_row_changed(folder: &Path, rows: u32) -> Vec<u8> {
    let mut sqlite = Sqlite::open(&folder.join("t.db"));
    fill(&mut sqlite, rows);
    checkpoint(&mut sqlite, "TRUNCATE");
    sqlite.run("UPDATE t SET x = zeroblob(300) WHERE rowid = 1");
    drop(sqlite);
    fs::remove_file(shm(folder)).unwrap();
    fs::read(folder.join("t.db-wal")).unwrap()
}

#[test]
fn a_wal_without_page_1_has_the_size_that_the_header_states() {
    let (small, large) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let wal = one_row_changed(small.path(), 40);
    one_row_changed(large.path(), 400);
    for folder in [&small, &large] {
        assert_eq!(grave(&without_trees(folder.path()).1), []);
    }
    fs::write(large.path().join("t.db-wal"), wal).unwrap();
    let said = sqlite_says(large.path()).unwrap_err();
    assert!(said.contains("malformed"), "{said}");
    let (code, document) = without_trees(large.path());
    assert_eq!((code, grave(&document)), (1, one(OTHER, "error")), "{document:#}");
    let finding = found(&document, OTHER);
    assert_eq!(finding["evidence"]["signs"], serde_json::json!(["fewer_pages"]));
    let pages = |field: &str| finding["evidence"][field].as_u64().unwrap();
    assert!(pages("database_pages") > pages("committed_pages") + 10, "{finding:#}");
    advice_keeps_everything(&finding);
    // What the sentences say of the close.
    let closed = tempfile::tempdir().unwrap();
    copy(large.path(), closed.path());
    let other = Connection::open(closed.path().join("t.db")).unwrap();
    other.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap_err();
    drop(other);
    assert!(!closed.path().join("t.db-wal").exists());
    assert_eq!(fs::metadata(closed.path().join("t.db")).unwrap().len(), 4096 * pages("committed_pages"));
    let detail = finding["detail"].as_str().unwrap();
    assert!(detail.contains("cuts the database off") && !detail.contains("replays"), "{detail}");
    let told = walscope(large.path(), &["inspect", "t.db"]).text();
    assert!(told.contains("calls the two malformed") && !told.contains("reads a mix"), "{told}");
    // The same without a foreign file: the page count of the database is damaged.
    let db = small.path().join("t.db");
    let whole = fs::read(&db).unwrap();
    let mut damaged = whole.clone();
    damaged[30] ^= 1;
    fs::write(&db, &damaged).unwrap();
    sqlite_says(small.path()).unwrap_err();
    let (code, document) = without_trees(small.path());
    assert_eq!((code, grave(&document)), (1, one(OTHER, "error")), "{document:#}");
    assert!(found(&document, OTHER)["detail"].as_str().unwrap().contains("bytes 28 to 31"));
    // SQLite does not believe a page count that was not written together with the change counter.
    damaged[92..96].fill(0);
    fs::write(&db, &damaged).unwrap();
    assert_eq!((sqlite_says(small.path()), grave(&without_trees(small.path()).1)), (Ok(40), vec![]));
}

/// An older backup, and the -wal of a later time that has each page behind its end, and no page 1.
#[test]
fn a_wal_without_page_1_that_makes_the_database_larger_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut sqlite = Sqlite::open(&at.join("t.db"));
    fill(&mut sqlite, 40);
    checkpoint(&mut sqlite, "TRUNCATE");
    let backup = fs::read(at.join("t.db")).unwrap();
    fill(&mut sqlite, 40);
    checkpoint(&mut sqlite, "TRUNCATE");
    sqlite.run("UPDATE t SET x = zeroblob(300)");
    drop(sqlite);
    fs::remove_file(shm(at)).unwrap();
    assert_eq!(grave(&verify(at).1), []);
    fs::write(at.join("t.db"), backup).unwrap();
    let (code, document) = verify(at);
    assert_eq!((code, grave(&document)), (0, one(OTHER, "warning")), "{document:#}");
    let finding = found(&document, OTHER);
    assert_eq!(finding["evidence"]["signs"], serde_json::json!(["more_pages"]));
    assert!(finding["detail"].as_str().unwrap().contains("sqlite_dbpage"), "{finding:#}");
    advice_keeps_everything(&finding);
    // Half of the rows of the -wal are in no table of the old page 2.
    assert_ne!(sqlite_says(at), Ok(80));
}

#[test]
fn a_commit_may_count_the_pages_of_a_file_that_is_longer_than_its_header_says() {
    let folder = tempfile::tempdir().unwrap();
    let (at, db) = (folder.path(), folder.path().join("t.db"));
    let mut sqlite = Sqlite::open(&db);
    fill(&mut sqlite, 40);
    checkpoint(&mut sqlite, "TRUNCATE");
    drop(sqlite);
    // As SQLITE_FCNTL_CHUNK_SIZE leaves it.
    let long = fs::metadata(&db).unwrap().len() + 5 * 4096;
    File::options().write(true).open(&db).unwrap().set_len(long).unwrap();
    let mut sqlite = Sqlite::open(&db);
    sqlite.run("UPDATE t SET x = zeroblob(300) WHERE rowid = 1");
    drop(sqlite);
    assert_eq!((sqlite_says(at).is_ok(), grave(&verify(at).1)), (true, vec![]));
}

/// Changes bytes of a frame, and makes the checksums of all frames right again.
fn rewrite(wal: &mut [u8], page_size: usize, frame: usize, at: usize, bytes: &[u8]) {
    let frame = 32 + (frame - 1) * (24 + page_size);
    wal[frame + at..frame + at + bytes.len()].copy_from_slice(bytes);
    let big = wal[3] == 0x83;
    let mut running = sum(big, (0, 0), &wal[..24]);
    for frame in wal[32..].chunks_exact_mut(24 + page_size) {
        running = sum(big, sum(big, running, &frame[..8]), &frame[24..]);
        frame[16..20].copy_from_slice(&running.0.to_be_bytes());
        frame[20..24].copy_from_slice(&running.1.to_be_bytes());
    }
}

/// Page 1 in the -wal states more pages than the commit of its transaction, or a later one, counts.
#[test]
fn a_commit_that_counts_on_fewer_pages_than_the_page_1_in_the_wal_is_an_error_as_sqlite_says() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut sqlite = Sqlite::open(&at.join("t.db"));
    fill(&mut sqlite, 40);
    checkpoint(&mut sqlite, "TRUNCATE");
    fill(&mut sqlite, 40);
    sqlite.run("UPDATE t SET x = zeroblob(300) WHERE rowid = 1");
    drop(sqlite);
    fs::remove_file(shm(at)).unwrap();
    assert_eq!(grave(&verify(at).1), []);
    let wal = fs::read(at.join("t.db-wal")).unwrap();
    let commits: Vec<(usize, u32)> = wal[32..]
        .chunks_exact(24 + 4096)
        .map(|frame| u32::from_be_bytes(frame[4..8].try_into().unwrap()))
        .enumerate()
        .filter(|(_, pages)| *pages > 0)
        .map(|(n, pages)| (n + 1, pages))
        .collect();
    let [(with_page_one, pages), (after, same)] = commits[..] else { panic!("{commits:?}") };
    assert_eq!(pages, same);
    let fewer = (pages - 1).to_be_bytes();
    for (frame, sqlite_sees) in [(after, true), (with_page_one, false)] {
        let mut changed = wal.clone();
        rewrite(&mut changed, 4096, frame, 4, &fewer);
        fs::write(at.join("t.db-wal"), &changed).unwrap();
        // It looks at the last commit only.
        assert_eq!(sqlite_says(at).is_err_and(|said| said.contains("malformed")), sqlite_sees);
        let (code, document) = verify(at);
        assert_eq!((code, grave(&document)), (1, one(OTHER, "error")), "{document:#}");
        let finding = found(&document, OTHER);
        assert_eq!(finding["evidence"]["signs"], serde_json::json!(["fewer_pages"]));
        assert_eq!(finding["evidence"]["database_pages"], pages);
        assert_eq!(finding["evidence"]["committed_pages"], pages - 1);
        assert!(finding["detail"].as_str().unwrap().contains("page 1 in the -wal states"), "{finding:#}");
        advice_keeps_everything(&finding);
    }
}

/// Page 1 that states its size as SQLite does.
fn stating(pages: u32, cookie: u8) -> Vec<u8> {
    let mut one = page_one(2, 5, 3_053_000);
    one[28..32].copy_from_slice(&pages.to_be_bytes());
    one[92..96].copy_from_slice(&5_u32.to_be_bytes());
    one[43] = cookie;
    one
}

#[test]
fn a_commit_before_the_first_page_1_of_the_wal_is_held_against_the_database() {
    let one_page = |pages| (2, pages, vec![2; PAGE]);
    let of = |database: Vec<u8>, size: usize, frames: &[(u32, u32, Vec<u8>)]| {
        let mut world = healthy();
        let mut wal = WalWriter::new(PAGE, false, SALTS);
        for (page, commit, content) in frames {
            wal.frame_of(*page, *commit, content);
        }
        world.database = Some([database, vec![9; (size - 1) * PAGE]].concat());
        (world.wal, world.shm) = (Some(wal), None);
        world.findings().into_iter().find_map(|finding| match finding.found {
            Found::WalOfOtherDatabase { signs, database_pages, committed_pages, .. } => {
                Some((finding.severity, signs[0].name(), database_pages.unwrap(), committed_pages.unwrap()))
            }
            _ => None,
        })
    };
    let with_page_one = |pages| (1, pages, stating(pages, 7));
    assert_eq!(of(stating(4, 6), 4, &[one_page(4), with_page_one(4)]), None);
    let fewer = Some((Severity::Error, "fewer_pages", 4, 3));
    assert_eq!(of(stating(4, 6), 4, &[one_page(3), with_page_one(4)]), fewer);
    // The page 1 of the -wal was copied: the database was smaller before.
    assert_eq!(of(stating(4, 7), 4, &[one_page(3), with_page_one(4)]), None);
    let two = [one_page(3), with_page_one(4), (1, 4, stating(4, 8))];
    assert_eq!(of(stating(4, 7), 4, &two), None, "the first of two images");
    assert_eq!(of(stating(4, 6), 4, &two), fewer);
    // A longer file is normal, and a commit counts its pages.
    assert_eq!(of(stating(4, 6), 5, &[one_page(5), with_page_one(5)]), None);
    let more = Some((Severity::Warning, "more_pages", 4, 5));
    assert_eq!(of(stating(4, 6), 4, &[(5, 5, vec![2; PAGE]), with_page_one(5)]), more);
    // A page 1 that was not written together with its change counter states nothing.
    let mut older = stating(4, 6);
    older[92..96].fill(0);
    assert_eq!(of(older, 4, &[one_page(3), with_page_one(4)]), None);
}

#[test]
fn a_database_with_the_counter_of_the_wal_and_a_later_page_1_is_told() {
    let (folder, copied) = (in_memory(), in_memory());
    let (at, to) = (folder.path(), copied.path());
    let (mut first, mut second) = (Sqlite::open(&at.join("t.db")), Sqlite::open(&at.join("t.db")));
    // Each connection adds 1 to the change counter, once.
    fill(&mut first, 40);
    fill(&mut second, 40);
    fs::copy(at.join("t.db-wal"), to.join("t.db-wal")).unwrap();
    fill(&mut second, 40);
    checkpoint(&mut second, "PASSIVE");
    fs::copy(at.join("t.db"), to.join("t.db")).unwrap();
    assert_ne!(sqlite_says(to), sqlite_says(at));
    let (code, document) = verify(to);
    assert_eq!((code, grave(&document)), (0, one("wal_of_other_database", "warning")), "{document:#}");
    let finding = found(&document, "wal_of_other_database");
    assert_eq!(finding["evidence"]["signs"], serde_json::json!(["change_counter_of_none"]));
    assert_eq!(grave(&verify(at).1), [], "the pair itself");
}
