//! `rescue` for people: what is open is named where it was looked for, and the page says what was saved and what comes next.

use std::fs;

use crate::common::command::{connect, database, walscope};
use crate::common::{have, pause};

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
    for words in ["├─ t.db-wal  ──▶  saved/t.db-wal  deleted", ", and as of one moment", "Deleted"] {
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
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "saved", "--width", "1000"]);
    // The -shm at the path counts frames of the -wal that was deleted.
    assert_eq!(ran.code, 1, "{} {}", ran.text(), ran.stderr);
    let rows = |set: &str| {
        let path = folder.path().join("saved").join(set).join("t.db");
        connect(&path).query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).ok()
    };
    assert_eq!((rows("1"), rows("2")), (Some(1), None));
    let words = ran.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("walscope verify saved/2/t.db") && words.contains("an empty -wal"), "{words}");
}

#[test]
fn nothing_at_the_path_and_nothing_open_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "saved"]);
    assert!(ran.code == 2 && ran.stderr.contains("no process that is seen has it open"), "{}", ran.stderr);
    assert!(!folder.path().join("saved").exists());
}

/// Rows enough to be spilled to the database before the end of a transaction.
const SPILL: &str = "PRAGMA cache_size=5; BEGIN; INSERT INTO t SELECT randomblob(500) FROM
    (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000) SELECT n FROM c)";

#[test]
fn half_a_transaction_without_a_journal_is_not_called_whole() {
    let folder = tempfile::tempdir().unwrap();
    let db = connect(&folder.path().join("t.db"));
    db.execute_batch("PRAGMA journal_mode=MEMORY; CREATE TABLE t(b)").unwrap();
    db.execute_batch(SPILL).unwrap();
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "half", "--attempts", "2", "--json"]);
    let set = &ran.json()["sets"][0];
    assert_eq!((ran.code, &set["cause"], &set["stable"]), (1, &"half_transaction".into(), &false.into()), "{set}");
    db.execute_batch("COMMIT").unwrap();
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "whole"]);
    assert_eq!(ran.code, 0, "{} {}", ran.text(), ran.stderr);
    assert!(ran.text().contains("So this is a backup"), "{}", ran.text());
    assert!(!ran.text().contains("go back into service"), "newer rows would be lost: {}", ran.text());
}

#[test]
fn the_way_back_takes_the_journal_and_the_owner() {
    let folder = tempfile::tempdir().unwrap();
    let db = connect(&folder.path().join("t.db"));
    db.execute_batch("CREATE TABLE t(b)").unwrap();
    db.execute_batch(SPILL).unwrap();
    for name in ["t.db", "t.db-journal"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "saved", "--json"]);
    let set = &ran.json()["sets"][0];
    assert_eq!((ran.code, &set["files"][1]["part"]), (0, &"journal".into()), "{set}");
    let mode = set["files"][0]["mode"].as_str().unwrap();
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "again"]);
    let pid = std::process::id().to_string();
    let words = ran.text().split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [&format!("kill -STOP {pid}. Save again"), "database, -wal and -journal", &format!("the mode {mode}")] {
        assert!(words.contains(told), "{told}: {words}");
    }
}

#[test]
fn copies_that_do_not_fit_together_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let (at, other) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let (a, b) = (database(&at), database(&other));
    a.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES(1)").unwrap();
    b.execute_batch("PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=5").unwrap();
    b.execute_batch(&format!("{SPILL}; COMMIT; PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES(1)")).unwrap();
    fs::copy(&other, folder.path().join("m.db")).unwrap();
    fs::copy(folder.path().join("a.db-wal"), folder.path().join("m.db-wal")).unwrap();
    let ran = walscope(folder.path(), &["rescue", "m.db", "-o", "saved"]);
    assert_eq!(ran.code, 1, "{} {}", ran.text(), ran.stderr);
    assert!(ran.text().contains("Wrong") && !ran.text().contains("go back into service"), "{}", ran.text());
}

#[test]
fn what_is_no_database_is_saved_and_not_called_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.db"), "a note\n".repeat(500)).unwrap();
    // Who has it open is seen. So nothing else speaks against the copy.
    let _held = fs::File::open(folder.path().join("t.db")).unwrap();
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "saved"]);
    assert!(ran.code == 1 && ran.text().contains("neither a database"), "{}: {} {}", ran.code, ran.text(), ran.stderr);
    assert_eq!(fs::read(folder.path().join("saved/t.db")).unwrap(), fs::read(folder.path().join("t.db")).unwrap());
}

#[test]
fn a_database_with_the_name_of_the_manifest_is_saved_in_a_folder_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("manifest.json"));
    let ran = walscope(folder.path(), &["rescue", "manifest.json", "-o", "saved"]);
    assert_eq!(ran.code, 0, "{} {}", ran.text(), ran.stderr);
    assert!(
        folder.path().join("saved/1/manifest.json-wal").exists() && folder.path().join("saved/manifest.json").exists()
    );
}

#[test]
fn a_database_that_has_only_another_name_left_is_not_said_to_lie_at_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let _db = database(&path);
    fs::hard_link(&path, folder.path().join("other.db")).unwrap();
    fs::remove_file(&path).unwrap();
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "saved"]);
    assert!(!ran.text().contains("Nothing was deleted"), "{}", ran.text());
    assert!(ran.text().contains("go back into service"), "{}", ran.text());
}

#[test]
fn a_database_that_was_overwritten_in_place_is_not_said_to_be_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = database(&path);
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert_eq!(walscope(folder.path(), &["rescue", "t.db", "-o", "before"]).code, 0);
    let other = connect(&folder.path().join("o.db"));
    other.execute_batch("PRAGMA page_size=1024; CREATE TABLE o(x)").unwrap();
    fs::write(&path, fs::read(folder.path().join("o.db")).unwrap()).unwrap();
    let inspected = walscope(folder.path(), &["inspect", "t.db", "--json"]).json();
    assert_eq!(inspected["findings"][0]["code"], "database_overwritten");
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "saved", "--json"]);
    assert_eq!((ran.code, &ran.json()["sets"][0]["findings"][0]["code"]), (1, &"database_overwritten".into()));
    let ran = walscope(folder.path(), &["rescue", "t.db", "-o", "again"]);
    let words = ran.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("was overwritten in place") && !words.contains("this is a backup"), "{words}");
}

/// The process is held where it deletes the super-journal, which is the commit.
#[test]
fn a_transaction_over_several_databases_is_let_go_on_and_not_held() {
    let folder = tempfile::tempdir().unwrap();
    let script = "ATTACH 'b.db' AS b; BEGIN; CREATE TABLE main.t(x); CREATE TABLE b.t(x); COMMIT;";
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-qq", "-o", "trace", "-e", "trace=unlink,unlinkat"]);
    strace.args(["-e", "inject=unlink,unlinkat:delay_enter=600000000:when=1", "sqlite3", "a.db", script]);
    let Ok(mut strace) = strace.current_dir(folder.path()).spawn() else {
        have("strace and sqlite3", false);
        return;
    };
    // It is about to delete a file when all of them are there, and named.
    let entered = || fs::read_to_string(folder.path().join("trace")).is_ok_and(|trace| trace.contains("unlink"));
    while !entered() && strace.try_wait().unwrap().is_none() {
        pause();
    }
    if have("strace that delays a call, and sqlite3", strace.try_wait().unwrap().is_none()) {
        let ran = walscope(folder.path(), &["rescue", "a.db", "-o", "saved", "--attempts", "2"]);
        let words = ran.text().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ran.code == 1 && words.contains("kill -CONT") && words.contains("super-journal"), "{words}");
        assert!(!words.contains("kill -STOP"), "{words}");
        let ran = walscope(folder.path(), &["rescue", "a.db", "-o", "again", "--attempts", "2", "--json"]);
        assert_eq!(ran.json()["sets"][0]["cause"], "several_databases");
    }
    let _ = strace.kill();
    strace.wait().unwrap();
}

/// A journal whose database has another name by now is named where nothing else has the name.
#[test]
fn a_journal_without_a_database_is_told_and_root_is_not_told_to_be_root() {
    let folder = tempfile::tempdir().unwrap();
    let db = connect(&folder.path().join("t.db"));
    db.execute_batch("CREATE TABLE t(b)").unwrap();
    db.execute_batch(SPILL).unwrap();
    fs::copy(folder.path().join("t.db-journal"), folder.path().join("u.db-journal")).unwrap();
    let ran = walscope(folder.path(), &["rescue", "u.db", "-o", "saved"]);
    assert!(ran.code == 2 && ran.stderr.contains("u.db-journal lies there"), "{}", ran.stderr);
    if rustix::process::geteuid().is_root() {
        assert!(!ran.stderr.contains("run this as root"), "{}", ran.stderr);
    }
}
