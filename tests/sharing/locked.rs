//! Who has the database itself locked: in exclusive locking mode, in rollback mode, with and without a `-shm`.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::common::command::{connect, walscope};

fn inspect(folder: &Path) -> Value {
    walscope(folder, &["inspect", "t.db", "--json"]).json()
}

/// The state of each lock of the database itself, and who holds it.
fn locks(document: &Value) -> Vec<(String, String, Vec<u64>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let each = document["database_locks"].as_array().unwrap().iter();
    each.map(|lock| {
        let holders = lock["holders"].as_array().unwrap().iter();
        let pids = holders.map(|holder| {
            assert_eq!(holder["process_state"], "running");
            assert!(holder["start_time"].is_u64() && holder["command"].is_string(), "{holder}");
            holder["pid"].as_u64().unwrap()
        });
        (text(&lock["name"]), text(&lock["lock"]), pids.collect())
    })
    .collect()
}

fn expected(locks: [(&str, Option<u64>); 3]) -> Vec<(String, String, Vec<u64>)> {
    let names = ["database", "reserved", "pending"].into_iter();
    let each =
        names.zip(locks).map(|(name, (state, pid))| (name.to_owned(), state.to_owned(), pid.into_iter().collect()));
    each.collect()
}

fn made(folder: &Path, mode: &str) {
    let db = connect(&folder.join("t.db"));
    db.execute_batch(&format!("PRAGMA journal_mode={mode}; CREATE TABLE t(x); INSERT INTO t VALUES(1)")).unwrap();
}

fn in_mode(folder: &Path, mode: &str) -> Connection {
    made(folder, mode);
    connect(&folder.join("t.db"))
}

#[test]
fn who_has_the_whole_database_locked_is_named_in_every_mode() {
    let own = u64::from(std::process::id());
    for (with_shm, vfs) in [(false, "unix"), (true, "unix"), (false, "unix-excl")] {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path(), "wal");
        let uri = format!("file:{}?vfs={vfs}", folder.path().join("t.db").display());
        let db = Connection::open(uri).unwrap();
        if with_shm {
            db.execute_batch("INSERT INTO t VALUES(1)").unwrap();
        }
        if vfs == "unix" {
            db.execute_batch("PRAGMA locking_mode=EXCLUSIVE").unwrap();
        }
        db.execute_batch("INSERT INTO t VALUES(1)").unwrap();
        assert_eq!(folder.path().join("t.db-shm").exists(), with_shm);
        let document = inspect(folder.path());
        let checkpoint = &document["checkpoint"];
        assert_eq!(
            (&checkpoint["state"], &checkpoint["sentence"]),
            (&json!("blocked"), &json!("database_locked")),
            "{vfs}"
        );
        let by = &checkpoint["blocked_by"][0];
        assert_eq!((&by["lock"], &by["slot"], &by["mark"]), (&json!("database"), &Value::Null, &Value::Null));
        assert_eq!(by["holders"][0]["pid"], own);
        let told = checkpoint["explanation"].as_str().unwrap();
        assert!(told.contains("exclusive locking mode") && told.contains(&format!("pid {own}")), "{told}");
        assert!(!told.contains("not seen"), "{told}");
        let page = walscope(folder.path(), &["inspect", "t.db"]).text();
        assert!(page.contains(&format!("EXCLUSIVE by pid {own}")), "{page}");
    }
}

#[test]
fn who_has_a_database_in_rollback_mode_locked_is_named() {
    let own = Some(u64::from(std::process::id()));
    let folder = tempfile::tempdir().unwrap();
    let db = in_mode(folder.path(), "delete");
    db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
    let document = inspect(folder.path());
    assert_eq!(locks(&document), expected([("free", None), ("free", None), ("free", None)]));
    assert_eq!(document["users"][0]["role"], "idle");
    for (begin, wanted, word) in [
        ("BEGIN; SELECT * FROM t", [("shared", own), ("free", None), ("free", None)], "SHARED by pid"),
        ("BEGIN IMMEDIATE", [("shared", own), ("exclusive", own), ("free", None)], "RESERVED by pid"),
        ("BEGIN EXCLUSIVE", [("exclusive", own), ("exclusive", own), ("exclusive", own)], "EXCLUSIVE by pid"),
    ] {
        db.execute_batch(begin).unwrap();
        let document = inspect(folder.path());
        assert_eq!(locks(&document), expected(wanted), "{begin}");
        assert_eq!(document["checkpoint"]["state"], "no_wal");
        assert_eq!(document["checkpoint"]["blocked_by"], json!([]));
        assert!(document["users"][0]["role"] != "without_index", "{}", document["users"]);
        let page = walscope(folder.path(), &["inspect", "t.db"]).text();
        assert!(page.contains(word), "{page}");
        db.execute_batch("ROLLBACK").unwrap();
    }
}

#[test]
fn an_ordinary_connection_holds_shared_and_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let db = in_mode(folder.path(), "wal");
    db.execute_batch("INSERT INTO t VALUES(1)").unwrap();
    let own = Some(u64::from(std::process::id()));
    assert_eq!(locks(&inspect(folder.path())), expected([("shared", own), ("free", None), ("free", None)]));
    assert!(!walscope(folder.path(), &["inspect", "t.db"]).text().contains("Locked"));
}
