//! A database that is overwritten in place while its wal-index is in use, and healthy databases that nothing waits for.
//!
//! This process has the database open by SQLite, so that others read and write the file: to close it here would drop the
//! locks.

use std::fs;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use serde_json::json;

use crate::common::command::connect;
use crate::common::random::Random;
use crate::sqlite::{codes, found, one, verify};
use crate::world::{at_rest, healthy};
use walscope::evidence::LockState;

const ROWS: &str = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < 100) \
                    INSERT INTO t(body) SELECT randomblob(300) FROM n";

fn database(path: &Path) -> Connection {
    let db = connect(path);
    db.execute_batch("PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0").unwrap();
    db.execute_batch(&format!("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB); {ROWS}")).unwrap();
    db
}

fn checkpoint(db: &Connection, mode: &str) {
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
}

/// By another process.
fn cp(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

fn rows(db: &Connection) -> Result<i64, String> {
    db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).map_err(|error| error.to_string())
}

fn none() -> Vec<(String, String)> {
    Vec::new()
}

#[test]
fn a_backup_copied_over_a_database_whose_wal_is_empty_is_an_error() {
    let cases: [(&str, &[&str]); 5] = [
        ("larger", &["more_pages"]),
        ("smaller", &["fewer_pages"]),
        ("smaller, in rollback mode", &["fewer_pages", "rollback_mode"]),
        ("of other pages", &["page_size"]),
        ("empty", &["shorter"]),
    ];
    for (case, signs) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("t.db"), folder.path().join("other"));
        let db = database(&path);
        checkpoint(&db, "TRUNCATE");
        match case {
            "larger" => {
                db.execute_batch(ROWS).unwrap();
                checkpoint(&db, "TRUNCATE");
                cp(&path, &other);
                db.execute_batch("DELETE FROM t WHERE id > 20; VACUUM").unwrap();
            }
            "of other pages" => {
                let db = connect(&other);
                db.execute_batch("PRAGMA page_size=4096; PRAGMA journal_mode=WAL; CREATE TABLE t(x)").unwrap();
            }
            "empty" => fs::write(&other, []).unwrap(),
            "smaller" => {
                cp(&path, &other);
                db.execute_batch(ROWS).unwrap();
            }
            _ => {
                db.execute_batch(&format!("VACUUM INTO '{}'", other.display())).unwrap();
                db.execute_batch(ROWS).unwrap();
            }
        }
        checkpoint(&db, "TRUNCATE");
        let committed = rows(&db).unwrap();
        assert_eq!(verify(folder.path()).0, 0, "{case}");
        cp(&other, &path);
        let (code, document) = verify(folder.path());
        let finding = found(&document, "database_overwritten");
        assert_eq!((code, &finding["severity"]), (1, &json!("error")), "{case}: {document:#}");
        assert_eq!(finding["evidence"]["signs"], json!(signs), "{case}: {finding:#}");
        let detail = finding["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("It is open: pid {}", std::process::id())), "{detail}");
        // The judge: a new connection finds other rows than were committed, or calls the database malformed.
        let new = connect(&path);
        let check = new.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
        let whole = check.is_ok_and(|check| check == "ok") && rows(&new) == Ok(committed);
        assert!(!whole, "{case}: no row that was committed is gone");
    }
}

#[test]
fn a_database_in_rollback_mode_that_is_used_through_a_wal_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("t.db"), folder.path().join("other"));
    drop(database(&path));
    let db = connect(&path);
    db.execute_batch(&format!("VACUUM INTO '{}'", other.display())).unwrap();
    // Nothing was committed since the wal-index was made, so it knows no size.
    assert_eq!(codes(&verify(folder.path()).1), none());
    cp(&other, &path);
    assert_eq!(codes(&verify(folder.path()).1), one("database_overwritten", "warning"));
}

#[test]
fn a_wal_index_that_nobody_uses_or_that_is_just_made_anew_says_nothing_of_the_database() {
    let mut world = healthy();
    world.reindex(|shm| (shm.mx_frame, shm.backfilled, shm.attempted, shm.database_pages) = (0, 0, 0, 9));
    world.wal().bytes.clear();
    assert_eq!(world.codes().len(), 1, "{:?}", world.codes());
    let in_use = world.locks.clone();
    world.locks.as_mut().unwrap().dead_man_switch.state = LockState::Exclusive;
    assert_eq!(world.codes(), []);
    for locks in [Some(at_rest()), None] {
        world.locks = locks;
        assert_eq!(world.codes(), []);
    }
    // Frames wait: then the database may be of any size.
    world = healthy();
    world.reindex(|shm| shm.database_pages = 9);
    world.locks = in_use;
    assert_eq!(world.codes().iter().filter(|(code, _)| code == "database_overwritten").count(), 0);
}

/// The file grows and shrinks by so many bytes at once.
#[allow(unsafe_code)]
fn chunks(db: &Connection, bytes: std::ffi::c_int) {
    let mut bytes = bytes;
    // SAFETY: the handle is that of an open connection, and the operation reads one int at the pointer.
    let done = unsafe {
        rusqlite::ffi::sqlite3_file_control(
            db.handle(),
            c"main".as_ptr(),
            rusqlite::ffi::SQLITE_FCNTL_CHUNK_SIZE,
            (&raw mut bytes).cast(),
        )
    };
    assert_eq!(done, rusqlite::ffi::SQLITE_OK);
}

/// A commit counts the pages of the file then, and the header those that are in use.
#[test]
fn a_file_that_is_longer_than_its_header_says_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = database(&path);
    chunks(&db, 1 << 20);
    checkpoint(&db, "PASSIVE");
    drop(db);
    let db = connect(&path);
    chunks(&db, 1 << 20);
    db.execute_batch("INSERT INTO t(body) SELECT randomblob(900) FROM t").unwrap();
    for mode in ["PASSIVE", "TRUNCATE"] {
        checkpoint(&db, mode);
        let (_, document) = verify(folder.path());
        assert_eq!(codes(&document), none(), "{mode}");
        let (size, pages): (u64, i64) =
            (fs::metadata(&path).unwrap().len(), db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap());
        assert!(size == 1 << 20 && pages < 500, "{size} bytes, {pages} pages");
    }
}

#[test]
fn a_database_that_nothing_waits_for_is_as_its_wal_index_says() {
    for seed in 0..6 {
        let mut random = Random(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let db = connect(&path);
        db.execute_batch(&format!("PRAGMA page_size=1024; PRAGMA auto_vacuum={}", seed % 3)).unwrap();
        drop(db);
        let open = || {
            let db = connect(&path);
            db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=10").unwrap();
            if seed % 2 == 0 {
                chunks(&db, 64 << 10);
            }
            db.execute_batch("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, body BLOB)").unwrap();
            db
        };
        let (mut db, mut told) = (open(), Vec::new());
        for _ in 0..16 {
            let step = match random.below(9) {
                0 | 1 => ROWS,
                2 => "DELETE FROM t WHERE id % 3 > 0",
                3 => "VACUUM",
                4 => "PRAGMA incremental_vacuum(7)",
                5 => "BEGIN; DELETE FROM t; ROLLBACK",
                6 => "UPDATE t SET body = randomblob(900) WHERE id % 5 = 1",
                7 => {
                    "BEGIN; CREATE TABLE u(x); INSERT INTO u SELECT body FROM t; SAVEPOINT s; DROP TABLE u; ROLLBACK TO s; DROP TABLE u; COMMIT"
                }
                _ => "",
            };
            if step.is_empty() {
                drop(db);
                db = open();
            }
            db.execute_batch(step).unwrap();
            told.push(step);
            if random.below(3) > 0 {
                let mode = random.pick(&["PASSIVE", "FULL", "RESTART", "TRUNCATE"]);
                checkpoint(&db, mode);
                told.push(mode);
            }
            let (code, document) = verify(folder.path());
            assert_eq!((code, codes(&document)), (0, none()), "seed {seed}: {told:#?}");
        }
    }
}

/// Copies a database and its -wal, by another process, to files of another name.
fn keep(folder: &Path, name: &str) {
    for suffix in ["", "-wal"] {
        cp(&folder.join(format!("t.db{suffix}")), &folder.join(format!("{name}{suffix}")));
    }
}

/// The newer of the two where a database and a -wal of two times lie beside each other, by the finding of this code.
fn newer(folder: &Path, [database, wal]: [&str; 2], code: &str) -> (serde_json::Value, String) {
    let both = tempfile::tempdir().unwrap();
    cp(&folder.join(database), &both.path().join("t.db"));
    cp(&folder.join(format!("{wal}-wal")), &both.path().join("t.db-wal"));
    let finding = found(&verify(both.path()).1, code);
    (finding["evidence"]["newer"].clone(), format!("{} {}", finding["detail"], finding["advice"]))
}

/// All that was committed is copied, and the WAL begins anew with one commit that has no page 1.
fn restart(db: &Connection) {
    checkpoint(db, "RESTART");
    db.execute_batch("UPDATE t SET body = zeroblob(300) WHERE id = 1").unwrap();
}

#[test]
fn which_of_two_files_is_newer_is_said_where_their_counters_tell_and_else_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let first = database(&at.join("t.db"));
    checkpoint(&first, "TRUNCATE");
    keep(at, "start");
    // Rows alone: no page 1 in the -wal.
    first.execute_batch("UPDATE t SET body = randomblob(300)").unwrap();
    restart(&first);
    keep(at, "rows");
    checkpoint(&first, "RESTART");
    // A change of the schema: page 1, with a higher schema cookie.
    first.execute_batch("UPDATE t SET body = randomblob(300); CREATE TABLE u(x)").unwrap();
    restart(&first);
    keep(at, "schema");
    checkpoint(&first, "TRUNCATE");
    first.execute_batch("UPDATE t SET body = randomblob(300); DROP TABLE u; CREATE TABLE v(x)").unwrap();
    checkpoint(&first, "TRUNCATE");
    keep(at, "end");
    let stale = "stale_frames_not_in_database";
    let not_known = "is newer is not known";
    let (who, said) = newer(at, ["start", "rows"], stale);
    assert!(who.is_null() && said.contains(not_known), "{said}");
    let (who, said) = newer(at, ["end", "rows"], stale);
    assert!(who.is_null() && said.contains(not_known), "{said}");
    let (who, said) = newer(at, ["rows", "schema"], stale);
    assert!(who == "wal" && said.contains("the database is older than the -wal"), "{said}");
    let (who, said) = newer(at, ["end", "schema"], stale);
    assert!(who == "database" && said.contains("the database is newer than the -wal"), "{said}");
    // The -wal of an earlier connection, in which page 1 is committed.
    let second = connect(&at.join("t.db"));
    second.execute_batch("PRAGMA wal_autocheckpoint=0; CREATE TABLE w(x)").unwrap();
    keep(at, "second");
    checkpoint(&second, "TRUNCATE");
    second.execute_batch("DROP TABLE w").unwrap();
    first.execute_batch("CREATE TABLE x(x)").unwrap();
    second.execute_batch("CREATE TABLE y(x)").unwrap();
    checkpoint(&second, "TRUNCATE");
    keep(at, "later");
    let (who, said) = newer(at, ["later", "second"], "wal_of_other_database");
    assert!(who == "database" && said.contains("the -wal would put old rows over it"), "{said}");
}

#[test]
fn what_fits_frames_that_were_not_copied_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("t.db"), folder.path().join("other"));
    let db = database(&path);
    checkpoint(&db, "TRUNCATE");
    cp(&path, &other);
    db.execute_batch("UPDATE t SET body = randomblob(300)").unwrap();
    checkpoint(&db, "PASSIVE");
    cp(&other, &path);
    let code = "backfill_not_in_database";
    let finding = found(&verify(folder.path()).1, code);
    assert_eq!(finding["evidence"]["causes"], json!(["other_content", "wal_reset_bug"]), "{finding:#}");
    assert!(finding["detail"].as_str().unwrap().contains("written over the database while it is open"), "{finding:#}");
    // The same files at rest.
    let copies = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal", "-shm"] {
        cp(&folder.path().join(format!("t.db{suffix}")), &copies.path().join(format!("t.db{suffix}")));
    }
    let causes = |folder: &Path| found(&verify(folder).1, code)["evidence"]["causes"].clone();
    assert_eq!(causes(copies.path()), json!(["other_content", "of_two_times", "wal_reset_bug"]));
    // A generation before, whose frames are not there either: the bug leaves those.
    cp(&other, &path);
    db.execute_batch("UPDATE t SET body = randomblob(300); CREATE TABLE u(x); DROP TABLE u").unwrap();
    checkpoint(&db, "RESTART");
    db.execute_batch("UPDATE t SET body = zeroblob(300) WHERE id < 9").unwrap();
    checkpoint(&db, "PASSIVE");
    cp(&other, &path);
    assert_eq!(causes(folder.path()), json!(["other_content"]));
}
