//! Real SQLite in a process of its own, and walscope beside it.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;

use crate::common::command::{Ran, walscope};
use crate::common::in_memory;
use crate::sqlite_child::SqliteChild;
use crate::statements::Sqlite;

pub fn child() -> SqliteChild {
    SqliteChild::start()
}

/// `verify --json` of `t.db`.
pub fn verify(folder: &Path) -> (i32, Value) {
    let ran: Ran = walscope(folder, &["verify", "t.db", "--json"]);
    assert!(ran.code <= 1, "{}", ran.stderr);
    (ran.code, ran.json())
}

/// Codes and severities.
pub fn codes(document: &Value) -> Vec<(String, String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = document["findings"].as_array().unwrap();
    findings.iter().map(|finding| (text(finding, "code"), text(finding, "severity"))).collect()
}

/// Copies the three files as they are now, as a crash would leave them.
pub fn copy(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("t.db{suffix}");
        let _ = fs::remove_file(to.join(&name));
        if from.join(&name).exists() {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

pub fn shm(folder: &Path) -> PathBuf {
    folder.join("t.db-shm")
}

pub fn fill(sqlite: &mut Sqlite, rows: u32) {
    sqlite.run(&format!(
        "INSERT INTO t WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < {rows}) SELECT randomblob(300) FROM n"
    ));
}

pub fn checkpoint(sqlite: &mut Sqlite, mode: &str) {
    sqlite.run(&format!("PRAGMA wal_checkpoint({mode})"));
}

/// What SQLite says of copies of the files: the rows, or an error.
pub fn sqlite_says(folder: &Path) -> Result<i64, String> {
    let copies = in_memory();
    copy(folder, copies.path());
    let db = Connection::open(copies.path().join("t.db")).unwrap();
    let check = db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    let check = check.map_err(|error| error.to_string())?;
    if check != "ok" {
        return Err(check);
    }
    db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).map_err(|error| error.to_string())
}

pub fn found(document: &Value, code: &str) -> Value {
    let findings = document["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["code"] == code).unwrap_or_else(|| panic!("no {code}: {document:#}")).clone()
}

pub fn grave(document: &Value) -> Vec<(String, String)> {
    codes(document).into_iter().filter(|(_, severity)| severity != "notice" && severity != "info").collect()
}

pub fn one(code: &str, severity: &str) -> Vec<(String, String)> {
    vec![(code.to_owned(), severity.to_owned())]
}

/// `verify` without the walk over the trees: what the other checks say.
pub fn without_trees(folder: &Path) -> (i32, Value) {
    let ran: Ran = walscope(folder, &["verify", "t.db", "--no-trees", "--json"]);
    assert!(ran.code <= 1, "{}", ran.stderr);
    (ran.code, ran.json())
}

/// No advice may cost anything: the -wal may hold the newer rows.
pub fn advice_keeps_everything(finding: &Value) {
    let advice = finding["advice"].as_str().unwrap();
    let lower = advice.to_lowercase();
    assert!(lower.contains("copy"), "{advice}");
    for word in ["delete the -wal", "remove the -wal", "delete it", "without the -wal"] {
        assert!(!lower.contains(word), "{advice}");
    }
}
