//! What processes that use a database hold: real SQLite, and walscope beside it.

use std::fs::File;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::common;
use crate::common::command::walscope;
use crate::sqlite::Sqlite;

/// A database in WAL mode with a row that waits for a checkpoint.
fn database(folder: &Path) -> Connection {
    let db = Connection::open(folder.join("t.db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES(1)",
    )
    .unwrap();
    db
}

/// Opens and closes a file of the database: all POSIX locks of this process on it are gone.
fn copies(folder: &Path, names: &[&str]) {
    for name in names {
        drop(File::open(folder.join(name)).unwrap());
    }
}

fn findings(document: &Value) -> Vec<(String, String, Vec<u64>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pids = |finding: &Value| {
        let pids = finding["evidence"]["pids"].as_array().cloned().unwrap_or_default();
        pids.iter().filter_map(Value::as_u64).collect()
    };
    let all = document["findings"].as_array().unwrap().iter().filter(|found| found["evidence"].get("pids").is_some());
    all.map(|found| (text(&found["code"]), text(&found["severity"]), pids(found))).collect()
}

fn of_users(folder: &Path, command: &[&str]) -> Vec<(String, String, Vec<u64>)> {
    findings(&walscope(folder, command).json())
}

fn found(code: &str, severity: &str, pid: u32) -> Vec<(String, String, Vec<u64>)> {
    vec![(code.to_owned(), severity.to_owned(), vec![u64::from(pid)])]
}

#[test]
fn a_process_whose_locks_were_cancelled_by_a_close_is_named_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(folder.path());
    let own = std::process::id();
    let inspect = ["inspect", "t.db", "--json"];
    assert_eq!(of_users(folder.path(), &inspect), []);
    copies(folder.path(), &["t.db", "t.db-shm"]);
    let lost = found("mapping_without_locks", "warning", own);
    assert_eq!(of_users(folder.path(), &inspect), lost);
    let document = walscope(folder.path(), &inspect).json();
    let told = document["checkpoint"]["explanation"].as_str().unwrap();
    assert!(!told.contains("nobody has") && told.contains(&format!("process {own}")), "{told}");
    assert_eq!(of_users(folder.path(), &["verify", "t.db", "--json"]), lost);
    let ps = walscope(folder.path(), &["ps", "--json"]).json();
    assert!(findings(&ps).contains(&lost[0]), "{:?}", findings(&ps));
}

#[test]
fn one_of_the_two_locks_is_not_enough() {
    for name in ["t.db", "t.db-shm"] {
        let folder = tempfile::tempdir().unwrap();
        let _db = database(folder.path());
        copies(folder.path(), &[name]);
        let lost = found("mapping_without_locks", "warning", std::process::id());
        assert_eq!(of_users(folder.path(), &["inspect", "t.db", "--json"]), lost, "{name}");
    }
}

#[test]
fn a_process_with_a_wal_index_of_its_own_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let _ordinary = Sqlite::open(&folder.path().join("t.db"));
    let uri = format!("file:{}?vfs=unix-none", folder.path().join("t.db").display());
    let own = Connection::open(uri).unwrap();
    own.execute_batch("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES(1)").unwrap();
    let named = found("used_without_wal_index", "warning", std::process::id());
    assert_eq!(of_users(folder.path(), &["inspect", "t.db", "--json"]), named);
}

#[test]
fn connections_that_are_idle_or_short_lived_raise_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(folder.path());
    let _idle = Connection::open(folder.path().join("t.db")).unwrap();
    for _ in 0..5 {
        let _short = Sqlite::open(&folder.path().join("t.db"));
        assert_eq!(of_users(folder.path(), &["inspect", "t.db", "--json"]), []);
    }
}

#[test]
fn many_databases_in_one_process_are_told_apart() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_a, _b) = (database(one.path()), database(two.path()));
    copies(two.path(), &["t.db", "t.db-shm"]);
    assert_eq!(of_users(one.path(), &["inspect", "t.db", "--json"]), []);
    let lost = found("mapping_without_locks", "warning", std::process::id());
    assert_eq!(of_users(two.path(), &["inspect", "t.db", "--json"]), lost);
}

#[test]
fn exclusive_mode_is_undecided_and_its_holder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let db = database(folder.path());
    db.execute_batch("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES(2)").unwrap();
    let own = std::process::id();
    assert_eq!(
        of_users(folder.path(), &["inspect", "t.db", "--json"]),
        found("database_held_exclusively", "info", own)
    );
    let bundles = ["one.walsnap", "two.walsnap"];
    for bundle in bundles {
        assert_eq!(walscope(folder.path(), &["snapshot", "t.db", "-o", bundle]).code, 0);
    }
    let ran = walscope(folder.path(), &["compare", bundles[0], bundles[1], "--json"]);
    assert_eq!((ran.code, &ran.json()["verdict"]["sharing"]), (3, &Value::from("undecided")), "{}", ran.stderr);
}

#[test]
fn two_names_of_one_folder_in_one_mount_namespace_are_two_sides() {
    if !common::have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (v, w) = (folder.path().join("v"), folder.path().join("w"));
    std::fs::create_dir(&v).unwrap();
    std::fs::create_dir(&w).unwrap();
    let mount = |words: &[&str]| std::process::Command::new(words[0]).args(&words[1..]).status().unwrap().success();
    if !common::have("mount", mount(&["mount", "--bind", v.to_str().unwrap(), w.to_str().unwrap()])) {
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let _db = database(&v);
        let _other = Sqlite::open(&v.join("t.db"));
        let document = walscope(folder.path(), &["compare", "v/t.db", "w/t.db", "--json"]).json();
        assert_eq!(
            (&document["verdict"]["sharing"], &document["verdict"]["subject"]),
            (&Value::from("proven"), &Value::from("paths"))
        );
        let _third = Sqlite::open(&w.join("t.db"));
        let document = walscope(folder.path(), &["compare", "v/t.db", "w/t.db", "--json"]).json();
        assert_eq!(document["verdict"]["subject"], "mappings");
    });
    assert!(mount(&["umount", "-l", w.to_str().unwrap()]));
    result.unwrap();
}
