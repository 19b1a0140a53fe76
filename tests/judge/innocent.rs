//! What looks wrong and is not: real SQLite, or the synthetic writer where SQLite cannot be made to do it on demand.
//!
//! In tests with a connection of their own, this process never opens a file of that database while it lives: closing it
//! would drop SQLite's locks. walscope is another process.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use walscope::finding::Severity;

use crate::common::command::{connect, walscope};
use crate::common::synthetic::Shm;
use crate::sqlite::{child, codes, copy, verify};
use crate::world::{at_rest, healthy, open, with_page_one, writing};

fn none() -> Vec<(String, String)> {
    Vec::new()
}

fn wal_mode(path: &Path) -> Connection {
    let db = connect(path);
    db.execute_batch(
        "PRAGMA page_size=1024; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
         CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB);",
    )
    .unwrap();
    db
}

fn fill(db: &Connection, rows: u32) {
    db.execute_batch(&format!(
        "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < {rows})
         INSERT INTO t(body) SELECT randomblob(300) FROM n"
    ))
    .unwrap();
}

/// Runs a PRAGMA that answers with a row.
fn ask(db: &Connection, sql: &str) -> (i64, i64, i64) {
    db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
}

#[test]
fn a_working_database_raises_nothing_at_any_step() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let db = wal_mode(&at.join("t.db"));
    let clean = |step: &str| {
        let (code, document) = verify(at);
        assert_eq!((code, codes(&document)), (0, none()), "{step}: {document:#}");
        document
    };
    clean("new");
    fill(&db, 200);
    clean("committed");
    ask(&db, "PRAGMA wal_checkpoint(PASSIVE)");
    let document = clean("copied");
    let compared =
        document["checks"].as_array().unwrap().iter().find(|check| check["check"] == "backfilled_in_database");
    assert_eq!(compared.unwrap()["result"], "passed", "{document:#}");
    fill(&db, 20);
    clean("copied in part");
    let reader = connect(&at.join("t.db"));
    reader.execute_batch("BEGIN; SELECT count(*) FROM t;").unwrap();
    db.execute_batch("UPDATE t SET body = randomblob(250) WHERE id % 3 = 0").unwrap();
    ask(&db, "PRAGMA wal_checkpoint(PASSIVE)");
    clean("a checkpoint that a reader held up");
    reader.execute_batch("COMMIT").unwrap();
    ask(&db, "PRAGMA wal_checkpoint(RESTART)");
    clean("before the restart");
    db.execute_batch("PRAGMA cache_size=5; BEGIN; UPDATE t SET body = randomblob(300);").unwrap();
    let document = clean("restarted and spilled, not committed");
    let checkpoint = walscope(at, &["inspect", "t.db", "--json"]).json()["checkpoint"].clone();
    assert_eq!(checkpoint["state"], "restarted", "{document:#}");
    db.execute_batch("ROLLBACK").unwrap();
    clean("rolled back");
    fill(&db, 3);
    clean("a short commit over the abandoned frames");
    assert_eq!(ask(&db, "PRAGMA wal_checkpoint(TRUNCATE)"), (0, 0, 0));
    clean("truncated");
}

#[test]
fn a_database_that_shrank_raises_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let db = wal_mode(&at.join("t.db"));
    let clean = |step: &str| {
        let (code, document) = verify(at);
        assert_eq!((code, codes(&document)), (0, none()), "{step}: {document:#}");
    };
    fill(&db, 500);
    db.execute_batch("DELETE FROM t WHERE id > 20; PRAGMA incremental_vacuum;").unwrap();
    clean("frames beyond the size of the database");
    ask(&db, "PRAGMA wal_checkpoint(PASSIVE)");
    clean("cut off by the checkpoint");
    fill(&db, 100);
    db.execute_batch("DELETE FROM t WHERE id > 30").unwrap();
    clean("grown again, with a freelist that was never written");
    ask(&db, "PRAGMA wal_checkpoint(PASSIVE)");
    clean("copied");
    db.execute_batch("VACUUM").unwrap();
    ask(&db, "PRAGMA wal_checkpoint(PASSIVE)");
    clean("vacuumed");
}

#[test]
fn pages_that_came_back_after_a_vacuum_need_not_be_in_the_database() {
    let mut world = healthy();
    // Shrinks to 2 pages and grows again; page 3 comes back from the freelist and is not written.
    world.wal().frame(2, 2, 6).frame(2, 4, 7);
    world.database()[512..1024].fill(7);
    world.database()[1024..].fill(0);
    world.reindex(|shm| *shm = Shm { mx_frame: 6, backfilled: 6, pages: vec![1, 2, 3, 2, 2, 2], ..shm.clone() });
    assert_eq!(world.codes(), []);
    assert_eq!(world.examine().backfill.unwrap().pages, 2, "pages 1 and 2");
}

#[test]
fn repeated_commit_frames_raise_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("file:{}?psow=0", folder.path().join("t.db").display());
    let db = Connection::open(uri).unwrap();
    db.execute_batch("PRAGMA page_size=512; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(x)")
        .unwrap();
    db.execute_batch("INSERT INTO t VALUES(1); PRAGMA wal_checkpoint(PASSIVE); INSERT INTO t VALUES(2);").unwrap();
    let (code, document) = verify(folder.path());
    assert_eq!((code, codes(&document)), (0, none()));
    let wal = walscope(folder.path(), &["inspect", "t.db", "--json"]).json()["wal"].clone();
    assert!(wal["commits"].as_u64().unwrap() > 4, "padding was meant: {wal}");
}

#[test]
fn a_recovered_wal_index_claims_nothing_and_raises_nothing() {
    let (folder, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("checkpoint PASSIVE");
    copy(folder.path(), copied.path());
    fs::remove_file(copied.path().join("t.db-shm")).unwrap();
    let mut other = child();
    other.run(&format!("at {}", copied.path().join("t.db").display()));
    other.run("open");
    let (code, document) = verify(copied.path());
    assert_eq!((code, codes(&document)), (0, none()));
    let shm = walscope(copied.path(), &["inspect", "t.db", "--json"]).json()["shm"]["checkpoint"].clone();
    assert_eq!(shm["backfilled"], 0);
    assert!(shm["backfill_attempted"].as_u64().unwrap() > 0, "recovery sets it: {shm}");
}

#[test]
fn files_of_a_killed_process_raise_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("checkpoint PASSIVE");
    sqlite.run("update");
    sqlite.run("spill");
    sqlite.kill();
    let (code, document) = verify(folder.path());
    assert_eq!((code, codes(&document)), (0, none()), "{document:#}");
}

#[test]
fn a_leftover_index_beside_a_restored_wal_is_at_most_a_notice() {
    let (folder, saved, mixed) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    copy(folder.path(), saved.path());
    sqlite.run("checkpoint RESTART");
    sqlite.run("update");
    copy(folder.path(), mixed.path());
    for name in ["t.db", "t.db-wal"] {
        fs::copy(saved.path().join(name), mixed.path().join(name)).unwrap();
    }
    let (code, document) = verify(mixed.path());
    assert_eq!(code, 0);
    assert_eq!(codes(&document), [("shm_of_other_wal".to_owned(), "notice".to_owned())]);
}

/// The files that a killed process leaves, with commits that are in the -wal only.
fn killed(commits: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("checkpoint TRUNCATE");
    sqlite.run(commits);
    sqlite.kill();
    assert_eq!(codes(&verify(folder.path()).1), none());
    folder
}

fn of_other_wal(severity: &str) -> Vec<(String, String)> {
    vec![("shm_of_other_wal".to_owned(), severity.to_owned())]
}

/// No page says that all is well, and one says what is gone.
fn gone_is_told(folder: &Path, word: &str) {
    let said = ["verify", "inspect"].map(|command| walscope(folder, &[command, "t.db"]).text());
    for text in &said {
        assert!(!text.contains("Nothing to do") && !text.contains("closed properly"), "{text}");
        assert!(!text.contains("nothing waits"), "{text}");
    }
    let inspected = walscope(folder, &["inspect", "t.db", "--json"]).json();
    assert_eq!(inspected["checkpoint"]["sentence"], "frames_gone", "{inspected:#}");
    let told = inspected["checkpoint"]["explanation"].as_str().unwrap();
    assert!(told.starts_with(&format!("The -wal is {word}, and the -shm counts")), "{told}");
}

#[test]
fn a_wal_removed_or_emptied_at_rest_is_a_warning() {
    // With more pages than the database has, and with changes of pages that it has: another state of files that an exclusive
    // connection leaves too.
    for (commits, severity) in [("insert 200", "warning"), ("update", "notice")] {
        for word in ["gone", "empty"] {
            let folder = killed(commits);
            let wal = folder.path().join("t.db-wal");
            if word == "gone" {
                fs::remove_file(&wal).unwrap();
            } else {
                fs::write(&wal, []).unwrap();
            }
            assert_eq!(codes(&verify(folder.path()).1), of_other_wal(severity), "{commits}, {word}");
            gone_is_told(folder.path(), word);
        }
    }
}

#[test]
fn an_index_that_an_exclusive_connection_left_is_a_notice() {
    let folder = killed("insert 200");
    let db = connect(&folder.path().join("t.db"));
    db.execute_batch("PRAGMA locking_mode=EXCLUSIVE; SELECT count(*) FROM sqlite_master").unwrap();
    drop(db);
    assert!(!folder.path().join("t.db-wal").exists() && folder.path().join("t.db-shm").exists());
    // All is in the database, and nothing in the files tells.
    assert_eq!(codes(&verify(folder.path()).1), of_other_wal("notice"));
    gone_is_told(folder.path(), "gone");
    // A switch to rollback mode shows in the header, and such a database needs no -wal.
    let folder = killed("insert 200");
    let db = connect(&folder.path().join("t.db"));
    db.execute_batch("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=DELETE").unwrap();
    drop(db);
    assert!(folder.path().join("t.db-shm").exists());
    assert_eq!(codes(&verify(folder.path()).1), of_other_wal("notice"));
    assert!(walscope(folder.path(), &["verify", "t.db"]).text().contains("Nothing to do"));
}

#[test]
fn a_wal_that_sqlite_emptied_or_copied_before_a_kill_is_no_loss() {
    // Cut off by a checkpoint, and then killed.
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("update");
    sqlite.run("checkpoint TRUNCATE");
    sqlite.kill();
    assert_eq!(fs::metadata(folder.path().join("t.db-wal")).unwrap().len(), 0);
    assert_eq!(codes(&verify(folder.path()).1), none());
    fs::remove_file(folder.path().join("t.db-wal")).unwrap();
    assert_eq!(codes(&verify(folder.path()).1), none());
    // All frames copied, and the -wal deleted after that: the -shm says so.
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("checkpoint PASSIVE");
    sqlite.kill();
    fs::remove_file(folder.path().join("t.db-wal")).unwrap();
    assert_eq!(codes(&verify(folder.path()).1), of_other_wal("notice"));
    assert!(walscope(folder.path(), &["verify", "t.db"]).text().contains("Nothing to do"));
}

#[test]
fn an_index_of_three_bytes_and_an_empty_wal_raise_nothing() {
    let folder = tempfile::tempdir().unwrap();
    drop(wal_mode(&folder.path().join("t.db")));
    fs::write(folder.path().join("t.db-shm"), [0; 3]).unwrap();
    assert_eq!(codes(&verify(folder.path()).1), none());
    fs::write(folder.path().join("t.db-wal"), []).unwrap();
    assert_eq!(codes(&verify(folder.path()).1), none());
}

#[test]
fn exclusive_mode_has_no_index_and_is_only_named() {
    let folder = tempfile::tempdir().unwrap();
    let db = connect(&folder.path().join("t.db"));
    db.execute_batch(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1)",
    )
    .unwrap();
    let (code, document) = verify(folder.path());
    let named = [("database_held_exclusively".to_owned(), "info".to_owned())];
    assert_eq!((code, codes(&document)), (0, named.to_vec()));
    assert!(!folder.path().join("t.db-shm").exists());
}

#[test]
fn noise_behind_mx_frame_raises_nothing() {
    let mut world = healthy();
    let shm = world.shm();
    // Entries behind mxFrame, and every empty slot but one: some point behind the block's end.
    shm[136 + 4 * 4..16384].fill(0xa7);
    for at in (16384..32766).step_by(2) {
        if shm[at..at + 2] == [0, 0] {
            let noise = if at % 4 == 0 { 0xa7a7u16 } else { 900 };
            shm[at..at + 2].copy_from_slice(&noise.to_le_bytes());
        }
    }
    shm.extend([0xee; 5000]);
    assert_eq!(world.codes(), []);
}

#[test]
fn other_salts_at_mx_frame_0_raise_nothing() {
    let mut world = healthy();
    world.reindex(|shm| *shm = Shm { salts: [12, 5], mx_frame: 0, backfilled: 0, ..shm.clone() });
    assert_eq!(world.codes(), []);
    // Killed between the new header and nBackfill = 0.
    world.reindex(|shm| *shm = Shm { salts: [12, 5], mx_frame: 0, backfilled: 4, ..shm.clone() });
    assert_eq!(world.codes(), []);
}

#[test]
fn a_wal_ahead_of_its_index_is_silent_at_rest_and_info_while_a_commit_is_synced() {
    let mut world = healthy();
    world.wal().frame(3, 4, 1);
    world.locks = Some(at_rest());
    assert_eq!(world.codes(), []);
    world.locks = Some(writing());
    assert_eq!(world.codes(), [("wal_ahead_of_shm".to_owned(), Severity::Info)]);
    world.locks = Some(open());
    assert_eq!(world.codes(), [("wal_ahead_of_shm".to_owned(), Severity::Notice)]);
}

#[test]
fn an_encrypted_database_is_opaque_not_corrupt() {
    let world = with_page_one(&[0x5d; 512]);
    assert_eq!(world.codes(), [("database_opaque".to_owned(), Severity::Notice)]);
    assert_eq!(world.examine().backfill.unwrap().missing, 0, "its pages are compared like any others");
}

#[test]
fn a_database_longer_than_its_pages_raises_nothing() {
    let mut world = healthy();
    world.database()[512..1024].fill(9);
    world.database().extend([0; 4096]);
    world.reindex(|shm| shm.backfilled = 4);
    assert_eq!(world.codes(), []);
}
