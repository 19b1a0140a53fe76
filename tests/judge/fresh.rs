//! The first frames of a generation, while the wal-index shows none of them: real SQLite, looked at between its steps.
//!
//! This process opens no descriptor of a `-shm` whose closing could drop a lock: SQLite runs in the child.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

use crate::common::command::walscope;
use crate::sqlite::{child, codes, shm, verify};
use crate::sqlite_child::SqliteChild;

/// A database whose only connection has just opened it: no frame, and it has not checkpointed yet.
fn opened(folder: &Path) -> SqliteChild {
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("close");
    sqlite.run("open");
    sqlite
}

/// Runs a command and gives the wal-index the head that it had before: as a slow fsync keeps it from the next.
fn unshown(folder: &Path, sqlite: &mut SqliteChild, command: &str) {
    let index = File::options().read(true).write(true).open(shm(folder)).unwrap();
    let mut head = [0; 136];
    index.read_exact_at(&mut head, 0).unwrap();
    sqlite.run(command);
    index.write_all_at(&head, 0).unwrap();
}

fn inspect(folder: &Path) -> (Value, String) {
    let json = walscope(folder, &["inspect", "t.db", "--json"]).json();
    (json, walscope(folder, &["inspect", "t.db", "--width", "200"]).text())
}

fn salts(document: &Value) -> [[u64; 2]; 2] {
    [&document["wal"]["header"], &document["shm"]["headers"][0]]
        .map(|header| [&header["salt1"], &header["salt2"]].map(|salt| salt.as_u64().unwrap()))
}

fn explained(document: &Value) -> &str {
    document["checkpoint"]["explanation"].as_str().unwrap()
}

#[test]
fn frames_of_an_open_transaction_are_no_old_generation() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = opened(folder.path());
    sqlite.run("spill");
    let (document, text) = inspect(folder.path());
    let [of_wal, of_index] = salts(&document);
    assert_ne!(of_wal, of_index, "a connection without a checkpoint draws them at random");
    assert!(document["wal"]["frames"]["uncommitted"].as_u64().unwrap() > 10, "{document:#}");
    assert_eq!(document["checkpoint"]["state"], "empty", "{document:#}");
    assert!(explained(&document).contains("without a commit"), "{document:#}");
    assert!(text.contains("uncommitted") && !text.contains("stale") && !text.contains("restarted"), "{text}");
    assert_eq!(codes(&verify(folder.path()).1), Vec::new());
}

#[test]
fn a_first_commit_that_the_index_does_not_show_is_ahead_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = opened(folder.path());
    for (step, salts_are_equal) in [("the first of a connection", false), ("behind a truncation", true)] {
        if salts_are_equal {
            sqlite.run("open");
            sqlite.run("checkpoint TRUNCATE");
        }
        unshown(folder.path(), &mut sqlite, "insert 1");
        let (document, text) = inspect(folder.path());
        let [of_wal, of_index] = salts(&document);
        assert_eq!(of_wal == of_index, salts_are_equal, "{step}");
        let committed = document["wal"]["frames"]["committed"].as_u64().unwrap();
        assert!(committed > 0 && document["wal"]["frames"]["stale"] == 0, "{step}: {document:#}");
        assert_eq!(document["checkpoint"]["state"], "empty", "{step}: {document:#}");
        assert!(explained(&document).contains("does not show"), "{step}: {document:#}");
        let legend = format!("{committed} committed, not in the wal-index yet");
        assert!(text.contains(&legend) && !text.contains("stale"), "{step}: {text}");
        assert_eq!(codes(&document), [("wal_ahead_of_shm".to_owned(), "notice".to_owned())], "{step}");
    }
}

#[test]
fn a_restart_leaves_the_checksum_of_the_last_commit_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = opened(folder.path());
    sqlite.run("insert 3");
    let wal = fs::read(folder.path().join("t.db-wal")).unwrap();
    let (before, _) = inspect(folder.path());
    sqlite.run("checkpoint TRUNCATE");
    // As whoever is between the two steps, or was killed there, has it: the wal-index is restarted, the file not cut yet.
    File::options().write(true).open(folder.path().join("t.db-wal")).unwrap().write_all_at(&wal, 0).unwrap();
    let (document, text) = inspect(folder.path());
    let [of_wal, of_index] = salts(&document);
    assert_eq!(of_index[0], (of_wal[0] + 1) & 0xffff_ffff);
    let index = &document["shm"]["headers"][0];
    assert_eq!((&index["mx_frame"], &index["frame_checksum"]), (&0.into(), &before["wal"]["last_checksum"]));
    assert_eq!(document["checkpoint"]["state"], "restarted", "{document:#}");
    assert!(text.contains(" backfilled") && !text.contains("not in the wal-index yet"), "{text}");
    assert_eq!(codes(&document), Vec::new());
}
