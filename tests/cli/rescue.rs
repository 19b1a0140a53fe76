//! `rescue` for people: what is open is named where it was looked for, and the page says what was saved and what comes next.

use std::fs;

use crate::common::command::{connect, database, walscope};

#[test]
fn a_deleted_database_is_saved_and_whoever_looks_for_it_is_told_how() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let _db = database(&data.join("t.db"));
    fs::remove_dir_all(&data).unwrap();
    let pid = std::process::id();
    for command in ["inspect", "verify", "wal"] {
        let ran = walscope(folder.path(), &[command, "data/t.db"]);
        let told = format!("pid {pid} still has it open: walscope rescue data/t.db -o DIR");
        assert!(ran.code == 2 && ran.stderr.contains(&told), "{command}: {}", ran.stderr);
    }
    let by_folder = walscope(folder.path(), &["rescue", "data", "-o", "saved"]);
    assert!(
        by_folder.code == 2 && by_folder.stderr.contains(&format!("data/t.db (pid {pid})")),
        "{}",
        by_folder.stderr
    );
    let ran = walscope(folder.path(), &["rescue", "data/t.db", "-o", "saved"]);
    assert_eq!(ran.code, 0, "{} {}", ran.text(), ran.stderr);
    for words in ["├─ t.db-wal  ──▶  saved/t.db-wal  deleted", "all that is open, and as of one moment", "Deleted"]
    {
        assert!(ran.text().contains(words), "{words}: {}", ran.text());
    }
    let saved = folder.path().join("saved");
    let rows: i64 = connect(&saved.join("t.db")).query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
    let again = walscope(folder.path(), &["rescue", "data/t.db", "-o", "saved"]);
    assert!(again.code == 2 && again.stderr.contains("is not empty"), "{}", again.stderr);
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(saved.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(
        (&manifest["schema"], &manifest["sets"][0]["files"][1]["deleted"]),
        (&"walscope/rescue/1".into(), &true.into())
    );
}

#[test]
fn different_files_under_one_path_are_saved_apart_those_of_the_processes_first() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    fs::remove_file(folder.path().join("t.db-wal")).unwrap();
    fs::write(folder.path().join("t.db-wal"), "").unwrap();
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "saved"]);
    assert_eq!(ran.code, 0, "{} {}", ran.text(), ran.stderr);
    let rows = |set: &str| {
        let path = folder.path().join("saved").join(set).join("t.db");
        connect(&path).query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).ok()
    };
    assert_eq!((rows("1"), rows("2")), (Some(1), None));
    assert!(
        ran.text().contains("walscope verify saved/1/t.db") && ran.text().contains("an empty -wal"),
        "{}",
        ran.text()
    );
}

#[test]
fn nothing_at_the_path_and_nothing_open_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "saved"]);
    assert!(ran.code == 2 && ran.stderr.contains("no process that is seen has it open"), "{}", ran.stderr);
    assert!(!folder.path().join("saved").exists());
}
