//! A rollback journal and a database of which one may be of another time: SQLite shows which of the two is whole.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::common::command::walscope;
use crate::common::random::Random;
use crate::sqlite::{found, grave, one, verify};
use crate::statements::Sqlite;

const HOT: &str = "hot_journal";

fn made(path: &Path, rows: u32) {
    let rows = format!(
        "INSERT INTO t WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < {rows}) SELECT randomblob(500) FROM n"
    );
    let db = Connection::open(path).unwrap();
    db.execute_batch(&format!("PRAGMA page_size=4096; CREATE TABLE t(x); CREATE INDEX i ON t(x); {rows}")).unwrap();
}

/// Kills a process in a transaction that has written to the database.
fn killed(path: &Path, synchronous: &str, sql: &str) {
    let mut sqlite = Sqlite::open(path);
    sqlite.reopen(&format!(
        "PRAGMA journal_mode=DELETE; PRAGMA synchronous={synchronous}; PRAGMA cache_size=2; BEGIN; {sql}"
    ));
}

/// What SQLite says of a copy of the database, with its journal or without.
fn integrity(path: &Path, with_journal: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("t.db");
    fs::copy(path, &copy).unwrap();
    if with_journal {
        fs::copy(path.with_extension("db-journal"), copy.with_extension("db-journal")).unwrap();
    }
    let db = Connection::open(&copy).unwrap();
    let said = db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    said.unwrap_or_else(|error| error.to_string())
}

fn walked(document: &Value) -> Value {
    found(document, HOT)["evidence"]["walked"].clone()
}

fn trees(document: &Value) -> String {
    let checks = document["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == "trees").unwrap()["numbers"].as_str().unwrap().to_owned()
}

#[test]
fn sqlite_rolls_back_what_the_walk_takes() {
    let mut needed = 0;
    for seed in 0..12 {
        let mut random = Random(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        made(&path, 100 + random.below(300) as u32);
        let synchronous = random.pick(&["FULL", "NORMAL", "OFF"]);
        let sql = random.pick(&[
            "UPDATE t SET x = randomblob(900)",
            "DELETE FROM t WHERE rowid % 3",
            "CREATE TABLE u(y); INSERT INTO u SELECT x FROM t; DROP TABLE t",
        ]);
        killed(&path, synchronous, &format!("UPDATE t SET x = randomblob(700) WHERE rowid < 9; {sql}"));
        let (code, document) = verify(folder.path());
        let fit = walked(&document);
        let (alone, with) = (integrity(&path, false), integrity(&path, true));
        assert_eq!((code, with.as_str()), (0, "ok"), "seed {seed}: {document:#}");
        assert!(fit == "needed" || alone == "ok" && fit == "both_whole", "seed {seed}: {fit} {alone}");
        needed += u32::from(fit == "needed");
        let rolled_back = trees(&document).strip_prefix("once the -journal is rolled back: ").unwrap().to_owned();
        assert_eq!(Connection::open(&path).unwrap().query_row("SELECT 1 FROM t", [], |_| Ok(())), Ok(()));
        assert_eq!(trees(&verify(folder.path()).1), rolled_back, "seed {seed}");
    }
    assert!(needed > 6, "{needed}");
}

#[test]
fn a_journal_of_another_time_than_the_database_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    // A backup is moved over a database whose process was killed.
    made(&path, 400);
    let backup = fs::read(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("UPDATE t SET x = randomblob(900)").unwrap();
    killed(&path, "FULL", "UPDATE t SET x = randomblob(990)");
    assert_eq!(walked(&verify(folder.path()).1), "needed");
    fs::write(&path, &backup).unwrap();
    let (code, document) = verify(folder.path());
    let finding = found(&document, HOT);
    let signs = &finding["evidence"]["signs"];
    assert_eq!((code, walked(&document)), (1, json!("of_another_time")), "{document:#}");
    // Without that journal nothing is wrong with the trees.
    assert_eq!(grave(&document), one(HOT, "error"), "{document:#}");
    let has = |sign: &str| signs.as_array().unwrap().contains(&sign.into());
    assert!(has("rolled_back_damaged") && has("database_shorter"), "{signs}");
    let advice = found(&document, HOT)["advice"].to_string();
    assert!(advice.contains("copy of the database alone") && !advice.contains("deleting it"), "{advice}");
    assert_eq!(integrity(&path, false), "ok");
    assert_ne!(integrity(&path, true), "ok");
    // The commit of the transaction itself, beside its journal: nothing tells.
    fs::remove_file(path.with_extension("db-journal")).unwrap();
    fs::remove_file(&path).unwrap();
    made(&path, 400);
    let mut sqlite = Sqlite::open(&path);
    sqlite.reopen("PRAGMA journal_mode=DELETE; PRAGMA cache_size=2; BEGIN; UPDATE t SET x = randomblob(500)");
    let journal = fs::read(path.with_extension("db-journal")).unwrap();
    sqlite.run("BATCH COMMIT");
    drop(sqlite);
    fs::write(path.with_extension("db-journal"), &journal).unwrap();
    let (code, document) = verify(folder.path());
    let fit = walked(&document);
    assert_eq!((code == 1, integrity(&path, false).as_str()), (fit == "of_another_time", "ok"));
    if fit == "both_whole" {
        let left = document["not_checked"].as_array().unwrap();
        assert!(left.iter().any(|left| left["what"] == "journal_one_time"), "{left:?}");
        let advice = found(&document, HOT)["advice"].to_string();
        assert!(advice.contains("copied, restored or moved without the other"), "{advice}");
    }
}

#[test]
fn a_database_that_is_damaged_with_its_journal_and_without_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    made(&path, 400);
    let before = fs::read(&path).unwrap();
    killed(
        &path,
        "FULL",
        "UPDATE t SET x = randomblob(500) WHERE rowid < 20; CREATE TABLE u(y); INSERT INTO u SELECT x FROM t WHERE rowid < 20",
    );
    assert_eq!(integrity(&path, true), "ok");
    // A page that the transaction did not write to.
    let journal = fs::read(path.with_extension("db-journal")).unwrap();
    let kept = |page: &[u8]| journal.windows(200).any(|window| window == &page[3000..3200]);
    let at = (2..before.len() / 4096).map(|n| n * 4096).find(|at| before[*at] == 13 && !kept(&before[*at..])).unwrap();
    fs::File::options().write(true).open(&path).unwrap().write_all_at(&[0x55; 20], at as u64).unwrap();
    let (code, document) = verify(folder.path());
    assert_eq!((code, walked(&document)), (1, json!("both_damaged")), "{document:#}");
    assert_eq!(found(&document, HOT)["severity"], "error");
    assert_ne!(integrity(&path, true), "ok");
}

#[test]
fn a_journal_without_its_database_is_told_and_says_where_to_look() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let moved = folder.path().join("moved");
    fs::create_dir(&moved).unwrap();
    made(&path, 400);
    killed(&path, "FULL", "UPDATE t SET x = randomblob(990)");
    fs::rename(&path, moved.join("t.db")).unwrap();
    let (code, document) = verify(folder.path());
    let finding = found(&document, HOT);
    assert_eq!(
        (code, &finding["severity"], &finding["evidence"]["signs"]),
        (0, &json!("warning"), &json!(["no_database"]))
    );
    let all = walscope(folder.path(), &["verify", ".", "--json"]).json();
    assert_eq!(all["counts"]["doubtful"], 1, "{all:#}");
    let alone = walscope(folder.path(), &["verify", "t.db-journal"]);
    assert_eq!(alone.code, 2);
    assert!(
        alone.stderr.contains("a rollback journal") && alone.stderr.contains("walscope verify t.db"),
        "{}",
        alone.stderr
    );
    // What the advice says; and what it warns of.
    assert_ne!(integrity(&moved.join("t.db"), false), "ok");
    fs::copy(path.with_extension("db-journal"), moved.join("t.db-journal")).unwrap();
    assert_eq!(integrity(&moved.join("t.db"), true), "ok");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE u(x)").unwrap();
    assert!(!path.with_extension("db-journal").exists());
}

#[test]
fn a_journal_that_is_a_folder_is_refused_as_sqlite_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    made(&path, 3);
    fs::create_dir(path.with_extension("db-journal")).unwrap();
    let ran = walscope(folder.path(), &["verify", "t.db"]);
    assert!(ran.code == 2 && ran.stderr.contains("needed a regular file, found a directory"), "{}", ran.stderr);
    assert!(Connection::open(&path).unwrap().query_row("SELECT 1 FROM t", [], |_| Ok(())).is_err());
}
