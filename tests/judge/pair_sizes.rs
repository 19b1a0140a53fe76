//! The number of pages that page 1 states, and that a commit of the `-wal` counts on: with real SQLite in other processes.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::Connection;

use crate::common::command::walscope;
use crate::sqlite::{advice_keeps_everything, checkpoint, copy, fill, found, grave, one, shm, sqlite_says, verify};
use crate::statements::Sqlite;

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
        assert_eq!(grave(&verify(folder.path()).1), []);
    }
    fs::write(large.path().join("t.db-wal"), wal).unwrap();
    let said = sqlite_says(large.path()).unwrap_err();
    assert!(said.contains("malformed"), "{said}");
    let (code, document) = verify(large.path());
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
    let (code, document) = verify(small.path());
    assert_eq!((code, grave(&document)), (1, one(OTHER, "error")), "{document:#}");
    assert!(found(&document, OTHER)["detail"].as_str().unwrap().contains("bytes 28 to 31"));
    // SQLite does not believe a page count that was not written together with the change counter.
    damaged[92..96].fill(0);
    fs::write(&db, &damaged).unwrap();
    assert_eq!((sqlite_says(small.path()), grave(&verify(small.path()).1)), (Ok(40), vec![]));
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
