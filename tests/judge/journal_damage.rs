//! A rollback journal that cannot take everything back: it was cut or overwritten, or its database was emptied.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use serde_json::Value;

use crate::common::command::{connect, walscope};
use crate::sqlite::{found, verify};
use crate::statements::Sqlite;

const HOT: &str = "hot_journal";
const ROWS: i64 = 300;
const ALL: &str = "UPDATE t SET x = randomblob(600)";

/// A database with an index, so that `integrity_check` finds pages of two times.
fn made(path: &Path) {
    let rows = format!(
        "INSERT INTO t WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < {ROWS}) SELECT randomblob(500) FROM n"
    );
    let tables = "PRAGMA page_size=4096; CREATE TABLE t(x); CREATE INDEX i ON t(x)";
    Connection::open(path).unwrap().execute_batch(&format!("{tables}; {rows}")).unwrap();
}

/// A process in a transaction that has written to the database already.
fn in_transaction(path: &Path, synchronous: &str) -> Sqlite {
    made(path);
    let mut sqlite = Sqlite::open(path);
    sqlite.reopen(&format!(
        "PRAGMA journal_mode=DELETE; PRAGMA synchronous={synchronous}; PRAGMA cache_size=2; BEGIN; {ALL}"
    ));
    sqlite
}

/// Whether SQLite finds all rows, and nothing wrong.
fn is_whole(path: &Path) -> bool {
    let db = Connection::open(path).unwrap();
    let asked = |sql: &str| db.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).ok();
    let rows = asked("SELECT count(*) FROM t");
    rows == Some(ROWS.into()) && asked("PRAGMA integrity_check") == Some("ok".to_owned().into())
}

/// Where a part in the middle begins, which has more than one page.
fn part(journal: &Path) -> u64 {
    let bytes = fs::read(journal).unwrap();
    let begins_part = |at: &usize| bytes[*at..].starts_with(&bytes[..8]) && bytes[*at + 11] > 1;
    (0..bytes.len() / 2).step_by(512).rfind(begins_part).unwrap_or(0) as u64
}

/// Cuts a journal in the second page of a part. A file that ends between two parts shows nothing.
fn cut(journal: &Path) {
    let (file, begin) = (File::options().write(true).open(journal).unwrap(), part(journal));
    let len = if begin == 0 { file.metadata().unwrap().len() / 2 } else { begin + 512 + 4104 + 1000 };
    file.set_len(len).unwrap();
}

/// Overwrites most of the first page of a part. Where the header of a part is overwritten nothing shows that it was one.
fn overwritten(journal: &Path) {
    let (file, begin) = (File::options().write(true).open(journal).unwrap(), part(journal));
    file.write_all_at(&[0x55; 3000], begin + 512 + 4 + 500).unwrap();
}

fn signs(document: &Value) -> Value {
    found(document, HOT)["evidence"]["signs"].clone()
}

/// `rescue` ends with 1, and does not call its copies a backup.
fn no_backup(folder: &Path, to: &str) {
    let ran = walscope(folder, &["rescue", "t.db", "-o", to]);
    assert!(ran.code == 1 && !ran.text().contains("So this is a backup"), "{} {} {}", ran.code, ran.text(), ran.stderr);
}

#[test]
fn a_journal_that_was_cut_or_overwritten_is_an_error() {
    for synchronous in ["FULL", "NORMAL", "OFF"] {
        for (name, harm) in [("cut", cut as fn(&Path)), ("damaged", overwritten)] {
            for end in ["COMMIT", "ROLLBACK", "killed"] {
                let case = format!("{synchronous} {name} {end}");
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("t.db");
                let mut sqlite = in_transaction(&path, synchronous);
                assert_eq!(found(&verify(folder.path()).1, HOT)["severity"], "notice", "{case}");
                harm(&folder.path().join("t.db-journal"));
                let (code, document) = verify(folder.path());
                // Nobody knows how many pages a file without a count had.
                let unseen = synchronous == "OFF" && name == "cut";
                if !unseen {
                    let finding = found(&document, HOT);
                    assert_eq!((code, &finding["severity"]), (1, &"error".into()), "{case}: {finding:#}");
                    let told = finding["advice"].as_str().unwrap();
                    assert!(
                        told.contains("let it COMMIT")
                            && finding["detail"].as_str().unwrap().contains("A COMMIT keeps its data whole"),
                        "{case}"
                    );
                    assert_eq!(finding["evidence"]["pages_counted"].is_null(), synchronous == "OFF", "{case}");
                    no_backup(folder.path(), "saved");
                }
                if end == "killed" {
                    drop(sqlite);
                    let (code, document) = verify(folder.path());
                    assert!(
                        unseen || code == 1 && signs(&document) == serde_json::json!([name]),
                        "{case}: {document:#}"
                    );
                } else {
                    sqlite.run(&format!("BATCH {end}"));
                    drop(sqlite);
                }
                assert_eq!(is_whole(&path), end == "COMMIT", "{case}");
            }
        }
    }
}

/// A process goes on to write behind the end of what was cut, and leaves a hole.
#[test]
fn a_journal_without_a_count_that_has_a_hole_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    made(&path);
    let mut sqlite = Sqlite::open(&path);
    sqlite.reopen("PRAGMA journal_mode=DELETE; PRAGMA synchronous=OFF; PRAGMA cache_size=2; BEGIN; UPDATE t SET x = randomblob(600) WHERE rowid < 150");
    cut(&folder.path().join("t.db-journal"));
    sqlite.run("BATCH UPDATE t SET x = randomblob(600) WHERE rowid > 150");
    let (code, document) = verify(folder.path());
    assert_eq!((code, signs(&document)), (1, serde_json::json!(["damaged"])), "{document:#}");
    drop(sqlite);
    assert_eq!(verify(folder.path()).0, 1);
    assert!(!is_whole(&path));
}

/// After a loss of power the last part of a journal can be wrong, and the database has nothing of its pages.
#[test]
fn a_journal_whose_last_part_was_not_stored_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    made(&path);
    let before = fs::read(&path).unwrap();
    let mut sqlite = Sqlite::open(&path);
    // Without a place to spill to, the first sync is that of the commit.
    sqlite.reopen("PRAGMA journal_mode=DELETE; PRAGMA synchronous=NORMAL; PRAGMA cache_size=2; BEGIN; UPDATE t SET x = randomblob(600) WHERE rowid < 9");
    let journal = fs::read(folder.path().join("t.db-journal")).unwrap();
    drop(sqlite);
    // Only the first part, its last page torn.
    let counted = u32::from_be_bytes(journal[8..12].try_into().unwrap()) as usize;
    let mut part = journal[..512 + counted * 4104].to_vec();
    part.truncate(part.len() - 1000);
    fs::write(folder.path().join("t.db-journal"), &part).unwrap();
    fs::write(&path, &before).unwrap();
    let (code, document) = verify(folder.path());
    let finding = found(&document, HOT);
    assert_eq!((code, &finding["severity"]), (0, &"warning".into()), "{finding:#}");
    assert!(finding["detail"].as_str().unwrap().contains("lost its power"), "{finding:#}");
    assert!(is_whole(&path));
}

#[test]
fn an_emptied_database_beside_a_journal_of_its_pages_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let journal = folder.path().join("t.db-journal");
    // Page 1 is in the journal when a page is taken for the rows that grow.
    let mut sqlite = in_transaction(&path, "FULL");
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    let (code, document) = verify(folder.path());
    assert_eq!((code, signs(&document)), (1, serde_json::json!(["database_empty"])), "{document:#}");
    no_backup(folder.path(), "saved");
    // What the advice says of the copies.
    let evidence = &found(&document, HOT)["evidence"];
    let size = evidence["database_pages_before"].as_u64().unwrap() * evidence["journal_page_size"].as_u64().unwrap();
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("t.db");
    let saved = folder.path().join("saved");
    for name in ["t.db", "t.db-journal"] {
        fs::copy(saved.join(name), copies.path().join(name)).unwrap();
    }
    File::options().write(true).open(&copy).unwrap().set_len(size).unwrap();
    assert!(is_whole(&copy), "all pages were in the transaction");
    sqlite.run("BATCH COMMIT");
    drop(sqlite);
    assert!(!is_whole(&path));
    // At rest, SQLite deletes the journal at the first read.
    for name in ["t.db", "t.db-journal"] {
        fs::copy(saved.join(name), folder.path().join(name)).unwrap();
    }
    let (code, document) = verify(folder.path());
    assert_eq!((code, signs(&document)), (1, serde_json::json!(["database_empty"])), "{document:#}");
    assert!(Connection::open(&path).unwrap().query_row("SELECT count(*) FROM t", [], |_| Ok(())).is_err());
    assert!(!journal.exists() && fs::metadata(&path).unwrap().len() == 0);
    // A new database in its first transaction had no pages.
    let mut sqlite = Sqlite::open(&folder.path().join("other.db"));
    fs::remove_file(&path).unwrap();
    let db = connect(&path);
    db.execute_batch("PRAGMA synchronous=OFF; BEGIN; CREATE TABLE t(x)").unwrap();
    let document = verify(folder.path()).1;
    let grave = document["findings"].as_array().unwrap().iter().any(|finding| finding["severity"] == "error");
    assert!(!grave, "{document:#}");
    sqlite.run("SELECT 1");
}

/// Writers in each mode of the journal and of syncing, looked at many times.
#[test]
fn writers_and_their_journals_are_never_called_damaged() {
    let (mut seen, mut alarms) = (0, Vec::new());
    for mode in ["DELETE", "TRUNCATE", "PERSIST"] {
        for synchronous in ["OFF", "NORMAL", "FULL"] {
            for locking in ["NORMAL", "EXCLUSIVE"] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("t.db");
                made(&path);
                let (stop, begun) = (AtomicBool::new(false), AtomicBool::new(false));
                std::thread::scope(|scope| {
                    let at_work = scope.spawn(|| {
                        let db = connect(&path);
                        let pragmas = format!("PRAGMA locking_mode={locking}; PRAGMA journal_mode={mode}; PRAGMA synchronous={synchronous}; PRAGMA cache_size=2");
                        db.execute_batch(&pragmas).unwrap();
                        let mut random = crate::common::random::Random(7);
                        while !stop.load(Ordering::Relaxed) {
                            let rows = 1 + random.below(20);
                            let end = random.pick(&["COMMIT", "ROLLBACK"]);
                            db.execute_batch(&format!("BEGIN; UPDATE t SET x = randomblob(500) WHERE rowid % {rows} = 0; SAVEPOINT s; UPDATE t SET x = randomblob(500) WHERE rowid % 7 = 0; ROLLBACK TO s; {end}"))
                                .unwrap();
                            begun.store(true, Ordering::Release);
                        }
                    });
                    while !begun.load(Ordering::Acquire) && !at_work.is_finished() {
                        std::thread::yield_now();
                    }
                    let looks = std::env::var("WALSCOPE_LOOKS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
                    for _ in 0..looks {
                        let document = verify(folder.path()).1;
                        let findings = document["findings"].as_array().unwrap();
                        for finding in findings {
                            seen += u32::from(finding["code"] == HOT);
                            let grave = ["error", "warning"].contains(&finding["severity"].as_str().unwrap());
                            alarms.extend(grave.then(|| format!("{mode} {synchronous} {locking}: {finding:#}")));
                        }
                    }
                    stop.store(true, Ordering::Relaxed);
                });
            }
        }
    }
    assert!(seen > 5 && alarms.is_empty(), "{seen} {alarms:#?}");
}
