//! Databases with several names, and sidecars that have the names of several databases.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::common::command::walscope;
use crate::sqlite::Sqlite;

fn found(folder: &Path, name: &str) -> (i32, Vec<(String, String)>) {
    let ran = walscope(folder, &["inspect", name, "--json"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let document = ran.json();
    let findings = document["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|one| one["severity"] != "info");
    (ran.code, findings.map(|one| (text(&one["code"]), text(&one["severity"]))).collect())
}

fn words(folder: &Path, name: &str) -> String {
    walscope(folder, &["inspect", name]).text().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn of<'a>(codes: &'a [(String, String)], code: &str) -> Option<&'a str> {
    codes.iter().find(|(one, _)| one == code).map(|(_, severity)| severity.as_str())
}

#[test]
fn a_hard_link_that_nobody_opens_is_no_split() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    for name in ["h", "hb", "hc"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    let [first, link, third] = ["h/t.db", "hb/t.db", "hc/t.db"].map(|name| root.join(name));
    let mut process = Sqlite::open(&first);
    process.run("INSERT INTO t VALUES(1)");
    process.run("PRAGMA wal_checkpoint");
    process.run("INSERT INTO t VALUES(2)");
    fs::hard_link(&first, &link).unwrap();
    let (code, findings) = found(&root, "hb/t.db");
    assert_eq!((code, of(&findings, "split_brain")), (0, Some("warning")), "{findings:?}");
    let page = words(&root, "hb/t.db");
    for told in ["The database is in use by another name", &format!("{}-shm", first.display()), "put nothing away"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(!page.contains("put away each") && page.contains("Do not checkpoint by this name"), "{page}");
    // Somebody opens it: both overwrite what the other wrote.
    let second = Sqlite::open(&link);
    for name in ["h/t.db", "hb/t.db"] {
        let (code, findings) = found(&root, name);
        assert_eq!((code, of(&findings, "split_brain")), (1, Some("error")), "{name} {findings:?}");
    }
    drop(second);
    // A -wal was left there.
    fs::remove_file(root.join("hb/t.db-shm")).unwrap();
    assert_eq!(of(&found(&root, "hb/t.db").1, "split_brain"), Some("error"));
    fs::remove_file(root.join("hb/t.db-wal")).unwrap();
    // The name by which it was opened is gone.
    fs::hard_link(&link, &third).unwrap();
    fs::remove_file(&first).unwrap();
    let (code, findings) = found(&root, "hb/t.db");
    assert_eq!((code, of(&findings, "database_renamed")), (1, Some("error")), "{findings:?}");
    fs::rename(&third, &first).unwrap();
    // As the advice says, of the files that a killed process leaves.
    drop(process);
    let rows = |path: &Path| -> i64 {
        let db = Connection::open(path).unwrap();
        db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows(&first), rows(&link)), (2, 2));
    assert!(!root.join("h/t.db-wal").exists());
}

#[test]
fn sidecars_that_have_the_names_of_two_databases_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let process = Sqlite::open(&root.join("t.db"));
    for name in ["b0", "b1"] {
        fs::create_dir(root.join(name)).unwrap();
        fs::copy(root.join("t.db"), root.join(name).join("t.db")).unwrap();
    }
    fs::copy(root.join("t.db-wal"), root.join("b1/t.db-wal")).unwrap();
    drop(process);
    assert_eq!(found(&root, "b1/t.db"), (0, vec![]));
    fs::hard_link(root.join("b1/t.db-wal"), root.join("b0/t.db-wal")).unwrap();
    for name in ["b0/t.db", "b1/t.db"] {
        let (code, findings) = found(&root, name);
        assert_eq!((code, of(&findings, "database_hard_linked")), (0, Some("warning")), "{name} {findings:?}");
    }
    let page = words(&root, "b0/t.db");
    assert!(
        page.contains("The -wal has more than one name, and the database has one: so it is that of another"),
        "{page}"
    );
    // One is opened, and the -wal of the other one has become another.
    let before = fs::read(root.join("b0/t.db-wal")).unwrap();
    let db = Connection::open(root.join("b1/t.db")).unwrap();
    db.execute_batch("INSERT INTO t VALUES(1)").unwrap();
    assert_ne!(before, fs::read(root.join("b0/t.db-wal")).unwrap());
}
