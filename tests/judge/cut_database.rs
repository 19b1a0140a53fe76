//! A database that was cut, or has a page of zeros, beside its own `-wal`: what is plain is said first, and not that the two are
//! of different times.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::common::in_memory;
use crate::sqlite::{advice_keeps_everything, checkpoint, copy, fill, found, grave, shm, sqlite_says, verify};
use crate::statements::Sqlite;

const STALE: &str = "stale_frames_not_in_database";
const TOO_SHORT: &str = "database_too_short";
/// What fits two files of two times, and no file that was cut.
const OF_TWO_TIMES: [&str; 3] = ["which of the two was restored", "is newer is not known", "of different times"];

/// A database, and behind the first frame of its `-wal` those of the generation before, all of them copied.
fn restarted(at: &Path) -> Sqlite {
    let mut sqlite = Sqlite::open(&at.join("t.db"));
    fill(&mut sqlite, 200);
    checkpoint(&mut sqlite, "TRUNCATE");
    sqlite.run("UPDATE t SET x = zeroblob(300)");
    fill(&mut sqlite, 200);
    checkpoint(&mut sqlite, "PASSIVE");
    sqlite.run("UPDATE t SET x = 1 WHERE rowid = 1");
    sqlite
}

/// A copy of the files without the -shm, whose database is changed.
fn changed(from: &Path, change: impl FnOnce(&File, u64)) -> tempfile::TempDir {
    let copied = in_memory();
    copy(from, copied.path());
    let _ = fs::remove_file(shm(copied.path()));
    let file = File::options().write(true).open(copied.path().join("t.db")).unwrap();
    let size = file.metadata().unwrap().len();
    change(&file, size);
    copied
}

fn detail(finding: &Value) -> String {
    finding["detail"].as_str().unwrap().to_owned()
}

/// No finding speaks of two times.
fn nothing_of_two_times(document: &Value) {
    for finding in document["findings"].as_array().unwrap() {
        let told = format!("{} {}", detail(finding), finding["advice"].as_str().unwrap());
        for words in OF_TWO_TIMES {
            assert!(!told.contains(words), "{words:?}: {finding:#}");
        }
    }
}

#[test]
fn a_database_that_was_cut_is_said_to_be_cut_before_anything_else() {
    let folder = in_memory();
    let sqlite = restarted(folder.path());
    assert_eq!(grave(&verify(folder.path()).1), []);
    let within = changed(folder.path(), |file, size| file.set_len(size - 700).unwrap());
    sqlite_says(within.path()).unwrap_err();
    let (_, document) = verify(within.path());
    let size = fs::metadata(within.path().join("t.db")).unwrap().len();
    let digits = size.to_string();
    let (thousands, rest) = digits.split_at(digits.len() - 3);
    let cut = format!("{thousands},{rest} bytes is not a whole number of pages of 4,096: the file was cut. ");
    for code in [STALE, TOO_SHORT] {
        let finding = found(&document, code);
        assert!(detail(&finding).starts_with(&cut), "{cut}: {finding:#}");
        advice_keeps_everything(&finding);
    }
    // The page is named that is behind the end, and it is the last one.
    let named = format!(" has 1 otherwise (page {}): they are behind the end of the file.", size / 4096 + 1);
    assert!(detail(&found(&document, STALE)).contains(&named), "{named}: {document:#}");
    nothing_of_two_times(&document);

    let whole = changed(folder.path(), |file, size| file.set_len(size - 3 * 4096).unwrap());
    let (_, document) = verify(whole.path());
    let pages = fs::metadata(whole.path().join("t.db")).unwrap().len() / 4096;
    let cut =
        format!("The header of the database states {} pages, and the file ends after {pages}: it was cut", pages + 3);
    for code in [STALE, TOO_SHORT] {
        let finding = found(&document, code);
        assert!(detail(&finding).starts_with(&cut), "{cut}: {finding:#}");
    }
    nothing_of_two_times(&document);
    drop(sqlite);
}

#[test]
fn a_database_that_was_cut_within_page_1_is_said_to_be_cut() {
    let (folder, copied) = (in_memory(), in_memory());
    let db = Connection::open(folder.path().join("t.db")).unwrap();
    db.execute_batch(
        "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(randomblob(5000))",
    )
    .unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    db.execute_batch("CREATE TABLE u(x); INSERT INTO t VALUES(2)").unwrap();
    copy(folder.path(), copied.path());
    File::options().write(true).open(copied.path().join("t.db")).unwrap().set_len(756).unwrap();
    fs::remove_file(shm(copied.path())).unwrap();
    let (code, document) = verify(copied.path());
    assert_eq!(code, 1, "{document:#}");
    let cut = "756 bytes is not a whole number of pages of 1,024: the file was cut. ";
    assert!(detail(&found(&document, TOO_SHORT)).starts_with(cut), "{document:#}");
    nothing_of_two_times(&document);
}

#[test]
fn pages_that_differ_are_named_and_zeros_are_called_zeros() {
    let folder = in_memory();
    let sqlite = restarted(folder.path());
    let zero = changed(folder.path(), |file, _| file.write_all_at(&[0; 4096], 6 * 4096).unwrap());
    let finding = found(&verify(zero.path()).1, STALE);
    let told = detail(&finding);
    assert!(
        told.contains(" has 1 otherwise (page 7): ") && told.contains("page 7 of the database is all zeros."),
        "{told}"
    );
    assert!(OF_TWO_TIMES.iter().all(|words| !told.contains(words)), "{told}");
    advice_keeps_everything(&finding);
    // One of the two has other bytes: then they may be of different times.
    let other = changed(folder.path(), |file, _| {
        file.write_all_at(&[0; 4096], 6 * 4096).unwrap();
        file.write_all_at(&[7; 100], 4 * 4096 + 50).unwrap();
    });
    let told = detail(&found(&verify(other.path()).1, STALE));
    assert!(told.contains(" has 2 otherwise (pages 5 and 7): the two are of different times"), "{told}");
    assert!(told.contains("; page 7 of the database is all zeros."), "{told}");
    drop(sqlite);

    let folder = in_memory();
    let mut sqlite = Sqlite::open(&folder.path().join("t.db"));
    fill(&mut sqlite, 200);
    checkpoint(&mut sqlite, "PASSIVE");
    let copied = in_memory();
    copy(folder.path(), copied.path());
    let file = File::options().write(true).open(copied.path().join("t.db")).unwrap();
    file.write_all_at(&[0; 4096], 4 * 4096).unwrap();
    let told = detail(&found(&verify(copied.path()).1, "backfill_not_in_database"));
    assert!(told.contains(" holds 1 otherwise (page 5); page 5 of the database is all zeros."), "{told}");
}

#[test]
fn an_older_backup_was_not_cut() {
    let folder = in_memory();
    let (db, backup) = (folder.path().join("t.db"), folder.path().join("backup.db"));
    let mut sqlite = Sqlite::open(&db);
    fill(&mut sqlite, 40);
    checkpoint(&mut sqlite, "TRUNCATE");
    fs::copy(&db, &backup).unwrap();
    fill(&mut sqlite, 400);
    checkpoint(&mut sqlite, "TRUNCATE");
    fill(&mut sqlite, 60);
    drop(sqlite);
    fs::rename(&backup, &db).unwrap();
    let finding = found(&verify(folder.path()).1, TOO_SHORT);
    assert!(!detail(&finding).contains("cut"), "{finding:#}");
    assert!(finding["advice"].as_str().unwrap().contains("which of the two was restored"), "{finding:#}");
}
