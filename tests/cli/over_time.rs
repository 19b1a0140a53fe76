//! `inspect --for` and `--fail-if-blocked`: one reader that stays is told from readers that take turns.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use crate::common::command::{connect, database, walscope};

/// A reader of the state that is there now.
fn reader(path: &Path) -> Connection {
    let db = connect(path);
    db.execute_batch("BEGIN").unwrap();
    db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
    db
}

#[test]
fn a_reader_that_stays_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let writer = database(&path);
    let reader = reader(&path);
    writer.execute_batch("INSERT INTO t VALUES(1)").unwrap();
    let blocked = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "300ms", "--json"]);
    let over = &blocked.json()["over_time"];
    assert_eq!((blocked.code, &over["outcome"]), (1, &"kept".into()), "{over}");
    assert_eq!(over["kept"][0]["holder"]["pid"], std::process::id(), "{over}");
    assert!(over["looks"].as_u64() > Some(1) && over["looks"] == over["blocked"], "{over}");
    let page = walscope(folder.path(), &["inspect", "t.db", "--for", "0.2s"]);
    let words = page.text().split_whitespace().collect::<Vec<_>>().join(" ");
    let named = format!("the same reader was in the way of the checkpoint: pid {}", std::process::id());
    assert!(page.code == 0 && words.contains(&named), "{words}");
    // The age of the process is not that of its lock: what is known is the time of the looks.
    let (_, least) = words.split_once("Over time blocked throughout: at least ").unwrap();
    let (least, rest) = least.split_once(" s (since the first look): at each of ").unwrap();
    assert!(least.parse::<f64>().unwrap() >= 0.2 && rest.contains(&format!(" looks in {least} s ")), "{words}");
    let explained = over["explanation"].as_str().unwrap();
    assert!(explained.starts_with("at least ") && explained.contains(" s (since the first look): "), "{explained}");
    let help = walscope(folder.path(), &["inspect", "--help"]).text();
    assert!(help.contains("The time beside a process is how long the process runs"), "{help}");
    drop(reader);
    let free = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "300ms", "--json"]);
    assert_eq!((free.code, &free.json()["over_time"]["outcome"]), (0, &"not_blocked".into()));
    assert!(!free.json()["over_time"]["explanation"].as_str().unwrap().contains("at least"));
}

#[test]
fn readers_that_take_turns_are_not_one_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let writer = database(&path);
    let stop = AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        let (path, stop) = (&path, &stop);
        scope.spawn(move || {
            let mut last = reader(path);
            while !stop.load(Ordering::Relaxed) {
                writer.execute_batch("INSERT INTO t VALUES(1)").unwrap();
                // The next one begins before the last one ends: somebody is in the way at each moment but this.
                let next = reader(path);
                writer.execute_batch("INSERT INTO t VALUES(2)").unwrap();
                drop(std::mem::replace(&mut last, next));
            }
        });
        let ran = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "2s", "--json"]);
        let page = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "1s"]);
        stop.store(true, Ordering::Relaxed);
        (ran, page)
    });
    let (ran, page) = ran;
    let words = page.text().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.code == 0 && words.contains("Last look") && !words.contains("Last look blocked"), "{words}");
    let over = &ran.json()["over_time"];
    assert_eq!(
        (ran.code, &over["outcome"], &over["kept"]),
        (0, &"take_turns".into(), &serde_json::json!([])),
        "{over}"
    );
}

#[test]
fn what_cannot_be_looked_at_over_time_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let missing = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "100ms", "--json"]);
    assert_eq!((missing.code, missing.text().as_str()), (2, ""), "{}", missing.stderr);
    let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/bundles/shared/writer.walsnap");
    let ran = walscope(folder.path(), &["inspect", bundle, "--fail-if-blocked", "100ms"]);
    assert!(ran.code == 2 && ran.stderr.contains("a bundle is of one moment"), "{}", ran.stderr);
    for wrong in ["0s", "-1s", "5", "soon", "25h"] {
        let ran = walscope(folder.path(), &["inspect", "t.db", &format!("--for={wrong}")]);
        assert!(ran.code == 2 && ran.stderr.contains("at most 24h"), "{wrong}: {}", ran.stderr);
    }
}

#[test]
fn what_was_not_seen_is_not_called_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let writer = database(&path);
    let _reader = reader(&path);
    writer.execute_batch("INSERT INTO t VALUES(1)").unwrap();
    for alone in ["t.db-wal", "t.db-shm"] {
        let ran = walscope(folder.path(), &["inspect", alone, "--fail-if-blocked", "100ms", "--json"]);
        assert_eq!((ran.code, &ran.json()["over_time"]["outcome"]), (2, &"not_known".into()), "{alone}");
    }
    let other = folder.path().join("e.db");
    let exclusive = connect(&other);
    let rows = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(x)";
    exclusive.execute_batch(rows).unwrap();
    let ran = walscope(folder.path(), &["inspect", "e.db", "--fail-if-blocked", "100ms", "--json"]);
    // It runs its checkpoints itself.
    assert_eq!((ran.code, &ran.json()["over_time"]["outcome"]), (0, &"kept".into()));
    drop(exclusive);
    let ran = walscope(folder.path(), &["inspect", "e.db", "--fail-if-blocked", "100ms", "--json"]);
    assert_eq!((ran.code, &ran.json()["over_time"]["outcome"]), (0, &"not_blocked".into()));
}

#[test]
fn who_has_the_whole_database_locked_throughout_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    drop(database(&path));
    let exclusive = connect(&path);
    exclusive.execute_batch("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES(1)").unwrap();
    assert!(!folder.path().join("t.db-shm").exists());
    let ran = walscope(folder.path(), &["inspect", "t.db", "--fail-if-blocked", "300ms", "--json"]);
    let over = &ran.json()["over_time"];
    assert_eq!((ran.code, &over["outcome"]), (0, &"kept".into()), "{over}");
    assert_eq!(
        (&over["kept"][0]["lock"], &over["kept"][0]["holder"]["pid"]),
        (&"database".into(), &std::process::id().into())
    );
}

/// One look cannot tell one long reader from readers that take turns.
#[test]
fn one_look_does_not_blame_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let db = database(&folder.path().join("t.db"));
    let reader = connect(&folder.path().join("t.db"));
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT x FROM t", [], |_| Ok(())).unwrap();
    db.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    let told = || {
        let page = walscope(folder.path(), &["inspect", "t.db", "--json"]).json();
        (page["checkpoint"]["sentence"].clone(), page["checkpoint"]["explanation"].as_str().unwrap().to_owned())
    };
    let (sentence, blocked) = told();
    assert_eq!(sentence, "blocked");
    for words in
        ["This is one look", "take turns", "walscope inspect --for 5s", "If one stays, end its read transaction"]
    {
        assert!(blocked.contains(words), "{words:?} is not in {blocked}");
    }
    assert!(!blocked.contains("End that"), "{blocked}");
    reader.execute_batch("COMMIT").unwrap();
    // Its mark is the last frame: all is copied, and the WAL cannot restart.
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT x FROM t", [], |_| Ok(())).unwrap();
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    let (sentence, said) = told();
    assert_eq!(sentence, "copied_cannot_restart", "{said}");
    assert!(said.contains("This is one look"), "{said}");
}

/// When everything is copied and nobody is in the way, the size of a large file is worth a word, and the words are true.
#[test]
fn a_large_wal_that_is_all_copied_keeps_its_size_until_it_is_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let db = database(&folder.path().join("t.db"));
    let told = || {
        let page = walscope(folder.path(), &["inspect", "t.db", "--json"]).json();
        (page["checkpoint"]["state"].clone(), page["checkpoint"]["explanation"].as_str().unwrap().to_owned())
    };
    let checkpoint = |kind: &str| db.query_row(&format!("PRAGMA wal_checkpoint({kind})"), [], |_| Ok(())).unwrap();
    checkpoint("PASSIVE");
    let (state, small) = told();
    assert_eq!(state, "complete");
    assert!(!small.contains("TRUNCATE"), "{small}");
    db.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
         INSERT INTO t SELECT randomblob(4000) FROM n",
    )
    .unwrap();
    // While frames wait, the size is not what matters.
    assert!(!told().1.contains("TRUNCATE"));
    checkpoint("PASSIVE");
    let (state, large) = told();
    assert_eq!(state, "complete");
    assert!(
        large.contains("keeps its 9 MiB") && large.contains("PRAGMA wal_checkpoint(TRUNCATE) frees them"),
        "{large}"
    );
    // Somebody is in the way: then the truncation would wait.
    let reader = connect(&folder.path().join("t.db"));
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM t", [], |_| Ok(())).unwrap();
    db.execute_batch("INSERT INTO t VALUES (1)").unwrap();
    assert!(!told().1.contains("TRUNCATE"), "{}", told().1);
    reader.execute_batch("COMMIT").unwrap();
    checkpoint("TRUNCATE");
    assert_eq!(std::fs::metadata(folder.path().join("t.db-wal")).unwrap().len(), 0);
}
