//! A `-journal` or `-wal` of a process that does not lie beside its database any more.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use serde_json::Value;

use crate::common::command::{connect, walscope};
use crate::sqlite::Sqlite;
use crate::users::python;

/// Pages of a database with many rows, changed beyond what the cache holds.
const SPILL: &str = "PRAGMA cache_size=2; BEGIN; UPDATE t SET x = randomblob(401) WHERE rowid < 300; INSERT INTO t SELECT randomblob(300) FROM t LIMIT 50";

fn made(path: &Path, mode: &str) {
    let db = connect(path);
    db.execute_batch(&format!(
        "PRAGMA journal_mode={mode}; CREATE TABLE t(x);
         WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 500) INSERT INTO t SELECT randomblob(400) FROM c"
    ))
    .unwrap();
}

/// A process in a transaction of which a part is in the database already.
fn writer(path: &Path) -> Sqlite {
    made(path, "DELETE");
    let mut process = Sqlite::open(path);
    process.reopen(&format!("PRAGMA journal_mode=DELETE; {SPILL}"));
    process
}

/// A process in exclusive locking mode with a commit in its -wal, and without a -shm.
fn exclusive_with_wal(path: &Path) -> Sqlite {
    made(path, "WAL");
    let mut process = Sqlite::open(path);
    process.reopen("PRAGMA locking_mode=EXCLUSIVE; PRAGMA wal_autocheckpoint=0; INSERT INTO t VALUES(1)");
    process
}

fn looked(folder: &Path, name: &str) -> (i32, Value) {
    let ran = walscope(folder, &["inspect", name, "--json"]);
    assert_eq!(ran.code, walscope(folder, &["verify", name]).code);
    (ran.code, ran.json())
}

fn finding(document: &Value, code: &str) -> Option<Value> {
    document["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == code).cloned()
}

fn told(finding: &Value) -> String {
    format!("{} {} {}", finding["title"], finding["detail"], finding["advice"]).replace('"', "")
}

fn rows(path: &Path) -> (i64, i64) {
    let db = Connection::open(path).unwrap();
    assert_eq!(db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    db.query_row("SELECT count(*), sum(length(x)) FROM t", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn a_journal_of_a_database_that_another_was_put_over_is_not_said_to_belong_to_that() {
    for renamed in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let path = root.join("t.db");
        let backup = root.join("backup");
        made(&backup, "DELETE");
        let mut process = writer(&path);
        if renamed {
            fs::rename(&path, root.join("old.db")).unwrap();
        }
        // As `mv old; cp backup`, or `mv backup` over it.
        fs::rename(&backup, &path).unwrap();
        let (code, document) = looked(&root, "t.db");
        let found = finding(&document, "hot_journal").unwrap();
        assert_eq!(
            (code, found["severity"].as_str(), &found["evidence"]["signs"][0]),
            (1, Some("error"), &"of_process".into())
        );
        let by = &found["evidence"]["used_by"][0];
        let own =
            if renamed { root.join("old.db").display().to_string() } else { format!("/proc/{}/fd/", process.pid()) };
        assert_eq!((by["pid"].as_u64(), &by["place"]), (Some(process.pid().into()), &"beside_another".into()));
        assert!(by["database"].as_str().unwrap().starts_with(&own), "{by:#}");
        let told = told(&found);
        assert!(
            !told.contains("Keep the journal") && told.contains("walscope rescue") && told.contains(&own),
            "{told}"
        );
        assert_eq!(document["checkpoint"]["sentence"], "other_files");
        // The process takes its own -journal away.
        process.run("COMMIT");
        assert_eq!(finding(&looked(&root, "t.db").1, "hot_journal"), None);
        assert_eq!(rows(&path), (500, 500 * 400));
    }
}

#[test]
fn a_journal_that_was_deleted_under_its_writer_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let (path, journal) = (root.join("t.db"), root.join("t.db-journal"));
    let mut process = writer(&path);
    assert_eq!(finding(&looked(&root, "t.db").1, "log_apart"), None);
    fs::remove_file(&journal).unwrap();
    let (code, document) = looked(&root, "t.db");
    let found = finding(&document, "log_apart").unwrap();
    let log = &found["evidence"]["logs"][0];
    assert_eq!((code, found["severity"].as_str(), log["pid"].as_u64()), (1, Some("error"), Some(process.pid().into())));
    assert_eq!([&log["part"], &log["place"], &log["holds"]], ["journal", "gone", "transaction"]);
    let place = format!("/proc/{}/fd/{}", process.pid(), log["descriptor"]);
    assert!(told(&found).contains(&place) && fs::metadata(&place).is_ok(), "{}", told(&found));
    assert_eq!(document["checkpoint"]["sentence"], "other_files");
    // What the advice says of a ROLLBACK.
    process.run("ROLLBACK");
    assert_eq!(finding(&looked(&root, "t.db").1, "log_apart"), None);
    assert_eq!(rows(&path), (500, 500 * 400));
    // Nothing is in the database so far.
    process.run("BATCH BEGIN; UPDATE t SET x = 7 WHERE rowid = 3");
    fs::remove_file(&journal).unwrap();
    let (code, document) = looked(&root, "t.db");
    let found = finding(&document, "log_apart").unwrap();
    assert_eq!((code, found["severity"].as_str()), (0, Some("warning")));
    assert!(told(&found).contains("not written to the database yet"), "{}", told(&found));
}

/// A program in a transaction that has written to the database, and forks a child that ends in the usual way.
const FORKS: &str = r"
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('PRAGMA cache_size=2')
db.execute('BEGIN IMMEDIATE')
db.execute('UPDATE t SET x = hex(randomblob(300))')
if os.fork() == 0:
    sys.exit(0)
os.wait()
print('forked', flush=True)
db.execute(sys.stdin.readline())
print('ended', flush=True)
";

#[test]
fn a_transaction_that_a_forked_child_rolled_back_is_not_to_be_committed() {
    for end in ["ROLLBACK", "COMMIT"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        made(&path, "DELETE");
        let Some((mut parent, _)) = python(FORKS, &[path.as_os_str()]) else { return };
        assert!(!path.with_extension("db-journal").exists());
        let (code, document) = looked(folder.path(), "t.db");
        let found = finding(&document, "log_apart").unwrap();
        assert_eq!((code, &found["evidence"]["logs"][0]["holds"]), (1, &"before".into()), "{found:#}");
        let told = told(&found);
        assert!(told.contains("let the process ROLLBACK") && !told.contains("has written to the database"), "{told}");
        writeln!(parent.stdin.take().unwrap(), "{end}").unwrap();
        parent.wait().unwrap();
        let db = Connection::open(&path).unwrap();
        let said = db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
        assert_eq!(said.is_ok_and(|said| said == "ok"), end == "ROLLBACK");
    }
}

#[test]
fn a_process_in_exclusive_locking_mode_that_has_not_written_is_not_said_to_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    made(&path, "DELETE");
    let mut process = Sqlite::open(&path);
    process.reopen("PRAGMA journal_mode=DELETE; PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES(1)");
    let before = fs::read(&path).unwrap();
    process.run("BATCH BEGIN; UPDATE t SET x = randomblob(401)");
    fs::remove_file(path.with_extension("db-journal")).unwrap();
    let (code, document) = looked(folder.path(), "t.db");
    let found = finding(&document, "log_apart").unwrap();
    assert_eq!(
        (code, &found["severity"], &found["evidence"]["logs"][0]["holds"]),
        (0, &"warning".into(), &"not_written".into())
    );
    assert!(told(&found).contains("has not written to the database yet"), "{}", told(&found));
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn a_journal_with_another_name_is_told_with_that() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let (path, journal) = (root.join("t.db"), root.join("t.db-journal"));
    let mut process = writer(&path);
    let away = root.join("put-away");
    fs::rename(&journal, &away).unwrap();
    let (code, document) = looked(&root, "t.db");
    let found = finding(&document, "log_apart").unwrap();
    assert_eq!((code, &found["evidence"]["logs"][0]["path"]), (1, &away.to_str().unwrap().into()));
    assert!(told(&found).contains(away.to_str().unwrap()), "{}", told(&found));
    // Its own name again, as the advice says.
    fs::rename(&away, &journal).unwrap();
    assert_eq!(finding(&looked(&root, "t.db").1, "log_apart"), None);
    process.run("COMMIT");
    assert_eq!(rows(&path).0, 550);
}

#[test]
fn a_journal_that_was_emptied_under_its_writer_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let path = root.join("t.db");
    let mut process = writer(&path);
    fs::File::options().write(true).open(root.join("t.db-journal")).unwrap().set_len(0).unwrap();
    // It looks like one that is idle, as in exclusive locking mode.
    assert_eq!(finding(&looked(&root, "t.db").1, "log_apart"), None);
    process.run("UPDATE t SET x = randomblob(401) WHERE rowid > 300");
    let (code, document) = looked(&root, "t.db");
    let found = finding(&document, "log_apart").unwrap();
    assert_eq!((code, &found["evidence"]["logs"][0]["holds"]), (1, &"emptied".into()));
    assert_eq!(found["evidence"]["logs"][0]["pid"], process.pid());
    assert!(told(&found).contains("only a COMMIT"), "{}", told(&found));
    assert_eq!(finding(&document, "hot_journal"), None);
    process.run("COMMIT");
    assert_eq!(finding(&looked(&root, "t.db").1, "log_apart"), None);
    assert_eq!(rows(&path).0, 550);
}

#[test]
fn a_wal_that_was_deleted_in_exclusive_locking_mode_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let path = root.join("t.db");
    let mut process = exclusive_with_wal(&path);
    assert!(root.join("t.db-wal").exists() && !root.join("t.db-shm").exists());
    assert_eq!(finding(&looked(&root, "t.db").1, "log_apart"), None);
    fs::remove_file(root.join("t.db-wal")).unwrap();
    let (code, document) = looked(&root, "t.db");
    let found = finding(&document, "log_apart").unwrap();
    let log = &found["evidence"]["logs"][0];
    assert_eq!((code, log["pid"].as_u64(), &log["part"]), (1, Some(process.pid().into()), &"wal".into()));
    assert!(told(&found).contains(&format!("/proc/{}/fd/{}", process.pid(), log["descriptor"])), "{}", told(&found));
    // What the advice says.
    process.run("PRAGMA wal_checkpoint");
    drop(process);
    assert_eq!(rows(&path).0, 501);
}

#[test]
fn a_wal_that_was_renamed_in_exclusive_locking_mode_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let path = root.join("t.db");
    let mut process = exclusive_with_wal(&path);
    fs::rename(root.join("t.db-wal"), root.join("w.old")).unwrap();
    for copied in [false, true] {
        if copied {
            fs::copy(root.join("w.old"), root.join("t.db-wal")).unwrap();
            process.run("INSERT INTO t VALUES(2)");
        }
        let (code, document) = looked(&root, "t.db");
        let found = finding(&document, "log_apart").unwrap();
        let log = &found["evidence"]["logs"][0];
        assert_eq!(
            (code, &log["part"], &log["path"]),
            (1, &"wal".into(), &root.join("w.old").to_str().unwrap().into())
        );
    }
    process.run("PRAGMA wal_checkpoint");
    fs::rename(root.join("w.old"), root.join("t.db-wal")).unwrap();
    drop(process);
    assert_eq!(rows(&path).0, 502);
}

#[test]
fn a_journal_that_was_overwritten_with_something_else_is_an_error() {
    for content in ["hello\n", "SQLite format 3 is no journal, and this is longer than its header of 28 bytes"] {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let path = root.join("t.db");
        let _process = writer(&path);
        fs::write(root.join("t.db-journal"), content).unwrap();
        let (code, document) = looked(&root, "t.db");
        let found = finding(&document, "log_apart").unwrap();
        let log = &found["evidence"]["logs"][0];
        assert_eq!((code, &log["place"], &log["holds"]), (1, &"in_place".into(), &"emptied".into()), "{content}");
    }
}

#[test]
fn a_journal_beside_another_name_of_the_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap();
    let path = root.join("t.db");
    made(&path, "DELETE");
    fs::create_dir(root.join("other")).unwrap();
    fs::hard_link(&path, root.join("other/x.db")).unwrap();
    let mut process = Sqlite::open(&root.join("other/x.db"));
    process.reopen(&format!("PRAGMA journal_mode=DELETE; {SPILL}"));
    let (_, document) = looked(&root, "t.db");
    let found = finding(&document, "log_apart").unwrap();
    let log = &found["evidence"]["logs"][0];
    assert_eq!((&found["severity"], &log["place"]), (&"warning".into(), &"beside_other_name".into()), "{found:#}");
    assert!(told(&found).contains("other/x.db-journal"), "{}", told(&found));
    assert_eq!(finding(&looked(&root, "other/x.db").1, "log_apart"), None);
}

#[test]
fn an_idle_journal_of_a_database_that_another_one_replaced_is_an_error() {
    for mode in ["DELETE", "PERSIST"] {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let path = root.join("t.db");
        made(&path, mode);
        let mut process = Sqlite::open(&path);
        process.run(&format!("PRAGMA journal_mode={mode}"));
        process.reopen("PRAGMA locking_mode=EXCLUSIVE; UPDATE t SET x = 1");
        fs::copy(&path, root.join("new")).unwrap();
        fs::rename(&path, root.join("old.db")).unwrap();
        fs::rename(root.join("new"), &path).unwrap();
        let (code, document) = looked(&root, "t.db");
        let found = finding(&document, "log_apart").unwrap_or_else(|| panic!("{mode}: {document:#}"));
        assert_eq!((code, &found["evidence"]["logs"][0]["place"]), (1, &"beside_another".into()), "{mode}");
        assert!(told(&found).contains("old.db"), "{}", told(&found));
    }
}

/// In each journal mode a process is at work, and is idle then.
#[test]
fn writers_in_every_journal_mode_keep_their_journal() {
    for mode in ["DELETE", "TRUNCATE", "PERSIST", "MEMORY", "OFF", "WAL"] {
        for locking in ["NORMAL", "EXCLUSIVE"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("t.db");
            made(&path, "DELETE");
            let healthy = |when: &str| {
                let ran = walscope(folder.path(), &["inspect", "t.db", "--json"]);
                let document = ran.json();
                let grave = document["findings"].as_array().unwrap().iter();
                let grave: Vec<_> =
                    grave.filter(|one| one["severity"] == "error" || one["code"] == "log_apart").collect();
                assert!(grave.is_empty() && ran.code == 0, "{mode} {locking} {when}: {grave:#?}");
            };
            let mut writer = Sqlite::open(&path);
            writer.run("PRAGMA journal_mode=DELETE");
            writer.reopen(&format!("PRAGMA locking_mode={locking}; PRAGMA journal_mode={mode}; PRAGMA cache_size=2"));
            let (stop, begun) = (AtomicBool::new(false), AtomicBool::new(false));
            std::thread::scope(|scope| {
                let at_work = scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        writer.run("BATCH BEGIN; UPDATE t SET x = randomblob(400); COMMIT");
                        if mode != "OFF" {
                            writer.run("BATCH BEGIN; UPDATE t SET x = randomblob(400); ROLLBACK");
                        }
                        writer.run("BATCH UPDATE t SET x = 1 WHERE rowid = 3");
                        begun.store(true, Ordering::Release);
                    }
                    writer
                });
                while !begun.load(Ordering::Acquire) && !at_work.is_finished() {
                    std::thread::yield_now();
                }
                for _ in 0..2 {
                    healthy("at work");
                }
                stop.store(true, Ordering::Relaxed);
                let mut writer = at_work.join().unwrap();
                healthy("idle");
                writer.run("BATCH BEGIN; UPDATE t SET x = randomblob(400)");
                healthy("in a transaction");
                writer.run("BATCH COMMIT; BEGIN EXCLUSIVE");
                healthy("with the whole database");
            });
        }
    }
}

/// The codes of what `ps` finds of one folder.
fn found_by_ps(folder: &Path) -> Vec<String> {
    let document = walscope(Path::new("/"), &["ps", "--json"]).json();
    let all = document["findings"].as_array().unwrap().iter();
    let here = all.filter(|finding| finding.to_string().contains(folder.to_str().unwrap()));
    let codes: std::collections::BTreeSet<String> =
        here.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect();
    codes.into_iter().collect()
}

#[test]
fn ps_finds_files_that_were_renamed_swapped_or_deleted_in_use() {
    const DATABASE_NOT: &str = "wal_index_shared_database_not";
    for (mode, how, expected) in [
        ("WAL", "", [].as_slice()),
        ("WAL", "mv t.db new.db", &["database_renamed"]),
        ("WAL", "for s in '' -wal -shm; do mv t.db$s new.db$s; done", &[]),
        ("WAL", "mv other.db t.db", &[DATABASE_NOT, "worker_on_replaced_files"]),
        ("WAL", "mv t.db x; mv other.db t.db; mv x other.db", &["database_renamed", DATABASE_NOT]),
        ("WAL", "rm t.db t.db-wal", &[DATABASE_NOT, "wal_index_shared_wal_not"]),
        ("DELETE", "", &[]),
        ("DELETE", "mv t.db new.db", &["database_renamed", "hot_journal"]),
        ("DELETE", "for s in '' -journal; do mv t.db$s new.db$s; done", &[]),
        ("DELETE", "mv other.db t.db", &["hot_journal", "worker_on_replaced_files"]),
        ("DELETE", "mv t.db x; mv other.db t.db; mv x other.db", &["database_renamed", "hot_journal"]),
        ("DELETE", "rm t.db-journal", &["log_apart"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        for name in ["t.db", "other.db"] {
            made(&root.join(name), mode);
        }
        let mut process = Sqlite::open(&root.join("t.db"));
        process.reopen(&format!(
            "PRAGMA journal_mode={mode}; PRAGMA cache_size=2; BEGIN; UPDATE t SET x = randomblob(401)"
        ));
        if mode == "WAL" {
            process.run("BATCH COMMIT");
        }
        let done = std::process::Command::new("sh").args(["-ec", how]).current_dir(&root).status().unwrap();
        assert!(done.success());
        let found = found_by_ps(&root);
        assert_eq!(found, expected, "{mode}: {how}");
    }
}
