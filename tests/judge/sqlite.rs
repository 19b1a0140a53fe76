//! Real SQLite in a process of its own, and walscope beside it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::command::{Ran, walscope};
use crate::sqlite_child::SqliteChild;

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
