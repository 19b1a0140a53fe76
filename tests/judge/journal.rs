//! A rollback journal beside a database: real processes are killed in their transactions, and SQLite rolls back.

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::common::random::Random;
use crate::sqlite::{found, verify};
use crate::statements::Sqlite;

const HOT: &str = "hot_journal";

/// A database in rollback mode, after so many changes.
fn made(path: &Path, page_size: u32, changes: u32) {
    let db = Connection::open(path).unwrap();
    db.execute_batch(&format!("PRAGMA page_size={page_size}; CREATE TABLE t(x)")).unwrap();
    for n in 0..changes {
        db.execute("INSERT INTO t VALUES(?1)", [n]).unwrap();
    }
}

/// A process with a connection in rollback mode.
fn in_rollback_mode(path: &Path, mode: &str) -> Sqlite {
    let mut sqlite = Sqlite::open(path);
    sqlite.run(&format!("PRAGMA journal_mode={mode}"));
    sqlite
}

/// Kills a process within a transaction that has written to the database, so that a journal waits.
fn killed(path: &Path, sql: &str) {
    let mut sqlite = in_rollback_mode(path, "DELETE");
    sqlite.run("PRAGMA cache_size=2");
    sqlite.run("BEGIN IMMEDIATE");
    sqlite.run(sql);
    drop(sqlite);
    assert!(path.with_file_name("t.db-journal").metadata().is_ok_and(|journal| journal.len() > 512));
}

const ROWS: &str = "INSERT INTO t WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < 300) SELECT randomblob(500) FROM n";

#[test]
fn a_journal_of_another_database_is_an_error() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (path, elsewhere) = (folder.path().join("t.db"), other.path().join("t.db"));
    made(&path, 4096, 30);
    made(&elsewhere, 4096, 3);
    let whole = fs::read(&path).unwrap();
    killed(&elsewhere, ROWS);
    assert_eq!(found(&verify(other.path()).1, HOT)["severity"], "notice");
    fs::copy(other.path().join("t.db-journal"), folder.path().join("t.db-journal")).unwrap();
    let (code, document) = verify(folder.path());
    let finding = found(&document, HOT);
    assert_eq!(
        (code, &finding["severity"], &finding["evidence"]["signs"]),
        (1, &"error".into(), &serde_json::json!(["change_counter"])),
        "{finding:#}"
    );
    assert!(finding["advice"].as_str().unwrap().starts_with("Copy the database and the -journal"));
    // SQLite writes the pages of the other database into this one.
    let db = Connection::open(&path).unwrap();
    let rows: i64 = db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_ne!(rows, 30);
    drop(db);
    // An older state of the same database, and one of another page size.
    fs::write(&path, &whole).unwrap();
    killed(&path, ROWS);
    assert_eq!(found(&verify(folder.path()).1, HOT)["severity"], "notice");
    let journal = fs::read(folder.path().join("t.db-journal")).unwrap();
    drop(Connection::open(&path).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)));
    let db = Connection::open(&path).unwrap();
    (0..2).for_each(|_| _ = db.execute("INSERT INTO t VALUES(1)", []).unwrap());
    drop(db);
    fs::write(folder.path().join("t.db-journal"), &journal).unwrap();
    assert_eq!(found(&verify(folder.path()).1, HOT)["severity"], "error");
    fs::remove_file(&path).unwrap();
    let _ = fs::remove_file(folder.path().join("t.db-journal"));
    made(&path, 1024, 3);
    fs::write(folder.path().join("t.db-journal"), &journal).unwrap();
    let signs = found(&verify(folder.path()).1, HOT)["evidence"]["signs"].clone();
    assert_eq!(signs, serde_json::json!(["change_counter", "page_size"]));
}

/// folklore: a journal of a transaction over several databases ends with the name of their super-journal, and without that file SQLite
/// deletes the journal and rolls nothing back. Newer releases take only names of the form that they make themselves.
#[test]
fn a_journal_that_names_a_super_journal_is_not_said_to_be_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    made(&path, 4096, 30);
    killed(&path, ROWS);
    assert_eq!(found(&verify(folder.path()).1, HOT)["evidence"]["super_journal"], serde_json::Value::Null);
    let name = format!("{}-mj012345978", path.display());
    let sum: u32 = name.bytes().map(u32::from).sum();
    let length = u32::try_from(name.len()).unwrap();
    let magic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    // The number of the page with the lock bytes, as SQLite writes it before the name.
    let pending = (0x4000_0000_u32 / 4096 + 1).to_be_bytes();
    let end = [&pending[..], name.as_bytes(), &length.to_be_bytes(), &sum.to_be_bytes(), &magic].concat();
    let journal = folder.path().join("t.db-journal");
    let mut file = fs::File::options().append(true).open(&journal).unwrap();
    file.write_all(&end).unwrap();
    let (code, document) = verify(folder.path());
    let finding = found(&document, HOT);
    assert_eq!((code, &finding["severity"]), (0, &"warning".into()), "{finding:#}");
    let evidence = &finding["evidence"];
    assert_eq!((&evidence["signs"], &evidence["super_journal"]), (&serde_json::json!(["super_journal"]), &name.into()));
    let told = finding["detail"].as_str().unwrap();
    assert!(told.contains("takes the transaction for committed and deletes the -journal"), "{told}");
    // A byte of the name differs: SQLite does not read it.
    let whole = fs::read(&journal).unwrap();
    let mut other = whole.clone();
    let at = other.len() - 17;
    other[at] ^= 1;
    fs::write(&journal, &other).unwrap();
    assert_eq!(found(&verify(folder.path()).1, HOT)["severity"], "notice");
    fs::write(&journal, &whole).unwrap();
    // Beside a database of another time nobody is told that it is rolled back for sure.
    let right = fs::read(&path).unwrap();
    let mut later = right.clone();
    later[27] += 5;
    fs::write(&path, &later).unwrap();
    let finding = found(&verify(folder.path()).1, HOT);
    assert_eq!(finding["evidence"]["signs"], serde_json::json!(["change_counter", "super_journal"]));
    let told = finding["detail"].as_str().unwrap();
    assert!(told.contains("rolls it back all the same, if its super-journal is there, and else deletes it"), "{told}");
    fs::write(&path, &right).unwrap();
    // SQLite rolls nothing back: page 1 is still that of the half transaction, or the file is longer than before.
    let before = fs::read(&path).unwrap();
    let db = Connection::open(&path).unwrap();
    let _ = db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    drop(db);
    assert!(!journal.exists(), "SQLite deletes it");
    assert!(fs::read(&path).unwrap() == before, "nothing is rolled back");
}

/// Processes that are killed in any transaction, also in VACUUM to another page size, leave no error.
#[test]
fn journals_that_killed_processes_leave_are_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let (mut waited, mut with_page_one) = (0, 0);
    for seed in 0..30 {
        let mut random = Random(seed);
        for suffix in ["t.db", "t.db-journal"] {
            let _ = fs::remove_file(folder.path().join(suffix));
        }
        made(&path, 1024, 1 + random.below(5) as u32);
        for _ in 0..3 {
            let mode = random.pick(&["DELETE", "PERSIST", "TRUNCATE"]);
            let mut sqlite = in_rollback_mode(&path, mode);
            sqlite.run(&format!("PRAGMA cache_size={}", random.pick(&[2, 5, 2000])));
            sqlite.run(&format!("PRAGMA locking_mode={}", random.pick(&["NORMAL", "EXCLUSIVE"])));
            sqlite.run(ROWS);
            for _ in 0..random.below(3) {
                sqlite.run("UPDATE t SET x = randomblob(400) WHERE rowid % 7 = 0");
            }
            sqlite.run("BEGIN IMMEDIATE");
            sqlite.run(random.pick(&[
                "UPDATE t SET x = randomblob(600)",
                "DELETE FROM t",
                "CREATE TABLE IF NOT EXISTS u(y)",
                ROWS,
            ]));
            drop(sqlite);
            let document = verify(folder.path()).1;
            let findings = document["findings"].as_array().unwrap();
            for finding in findings.iter().filter(|finding| finding["code"] == HOT) {
                waited += 1;
                with_page_one += u32::from(finding["evidence"]["journal_change_counter"].is_number());
                assert_eq!(finding["severity"], "notice", "seed {seed}, {mode}: {finding:#}");
            }
        }
    }
    assert!(waited > 20 && with_page_one > 10, "{waited}, {with_page_one}");
}

/// VACUUM to another page size, killed while it writes the new pages into the database.
#[test]
fn a_killed_vacuum_to_another_page_size_is_no_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let tables: String = (0..40).map(|n| format!("CREATE TABLE t{n}(x); INSERT INTO t{n} VALUES(1);")).collect();
    Connection::open(&path).unwrap().execute_batch(&format!("PRAGMA page_size=512; {tables}")).unwrap();
    let mut sqlite = in_rollback_mode(&path, "DELETE");
    sqlite.run("PRAGMA temp_store=MEMORY");
    // Nothing is written before the commit, and then page 1 first.
    sqlite.run("PRAGMA cache_size=100000");
    sqlite.run("PRAGMA page_size=65536");
    let pid = Pid::from_raw(sqlite.pid().try_into().unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(1 << 20), maximum: None }).unwrap();
    sqlite.dies_of("VACUUM");
    let document = verify(folder.path()).1;
    let evidence = &found(&document, HOT)["evidence"];
    assert_eq!((&evidence["journal_page_size"], &evidence["database_page_size"]), (&512.into(), &65536.into()));
    assert_eq!(found(&document, HOT)["severity"], "notice", "{document:#}");
    let db = Connection::open(&path).unwrap();
    let rows: i64 = db.query_row("SELECT count(*) FROM t39", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}

/// A journal with a hole of a terabyte behind its header is read no further than the hole.
#[test]
fn a_sparse_journal_is_read_no_further_than_its_hole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    made(&path, 4096, 30);
    killed(&path, ROWS);
    let journal = fs::File::options().write(true).read(true).open(folder.path().join("t.db-journal")).unwrap();
    // 0xffffffff pages: as many as the file has.
    journal.write_all_at(&[0xff; 4], 8).unwrap();
    journal.set_len(512).unwrap();
    journal.set_len(1 << 40).unwrap();
    let document = verify(folder.path()).1;
    assert_eq!(found(&document, HOT)["evidence"]["journal_change_counter"], serde_json::Value::Null);
}
