//! `rescue` and journals that nobody has open any more: each goes with the database that it belongs to, or apart.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::command::{Ran, connect, walscope};
use crate::sqlite::Sqlite;

const ROWS: &str = "PRAGMA journal_mode=DELETE; DROP TABLE t; CREATE TABLE t(n INTEGER PRIMARY KEY, b);
                    WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300)
                    INSERT INTO t SELECT n, hex(randomblob(300)) FROM c;";
/// Transactions that are written to the database before their end: the database grows, so that page 1 is kept; and all its pages are
/// changed in place, so that the bytes tell nothing.
const SPILLED: [&str; 2] =
    ["UPDATE t SET b = b || 'n' || hex(randomblob(300))", "UPDATE t SET b = substr(b, 2) || 'n'"];

struct World {
    folder: tempfile::TempDir,
    saved: u32,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), saved: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A database whose writer was killed in a transaction, and a process that has it open.
    fn killed(&self, name: &str, transaction: &str) -> Sqlite {
        let mut maker = Sqlite::open(&self.path(name));
        maker.reopen(&ROWS.replace('\n', " "));
        drop(maker);
        self.killed_in(name, transaction)
    }

    /// The same in a database that is there.
    fn killed_in(&self, name: &str, transaction: &str) -> Sqlite {
        let path = self.path(name);
        let mut reader = Sqlite::open(&self.path("other.db"));
        reader.run(&format!("ATTACH '{}' AS a", path.display()));
        reader.run("SELECT count(*) FROM a.t");
        let mut writer = Sqlite::open(&self.path("third.db"));
        writer.run(&format!("ATTACH '{}' AS a", path.display()));
        writer.run("PRAGMA a.cache_size=5");
        writer.run("BEGIN IMMEDIATE");
        writer.run(&transaction.replace("UPDATE t", "UPDATE a.t"));
        reader
    }

    fn rescue(&mut self, source: &str) -> (Ran, Value) {
        self.saved += 1;
        let out = format!("saved{}", self.saved);
        let ran = walscope(self.folder.path(), &["rescue", source, "-o", &out, "--width", "1000"]);
        let manifest = fs::read(self.path(&out).join("manifest.json")).unwrap_or_default();
        (ran, serde_json::from_slice(&manifest).unwrap_or_default())
    }

    /// What the copy of a set has when SQLite opens another copy of it.
    fn opened(&self, set: &Value) -> (String, i64, i64) {
        let (from, to) = (set["database"].as_str().unwrap(), self.path("opened"));
        let _ = fs::remove_dir_all(&to);
        fs::create_dir(&to).unwrap();
        for suffix in ["", "-wal", "-journal"] {
            let _ = fs::copy(self.folder.path().join(format!("{from}{suffix}")), to.join(format!("t{suffix}")));
        }
        state(&to.join("t"))
    }
}

/// Whether a database is whole, and how many rows it has, and how many of them new.
fn state(path: &Path) -> (String, i64, i64) {
    let db = connect(path);
    let check = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let sql = "SELECT count(*), count(*) FILTER (WHERE b GLOB '*n*') FROM t";
    let (rows, new) = db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    (check, rows, new)
}

fn parts(set: &Value) -> Vec<&str> {
    set["files"].as_array().unwrap().iter().map(|file| file["part"].as_str().unwrap()).collect()
}

fn set_with(saved: &Value, is: impl Fn(&Value) -> bool) -> &Value {
    saved["sets"].as_array().unwrap().iter().find(|set| is(set)).unwrap_or_else(|| panic!("{saved:#}"))
}

#[test]
fn a_journal_goes_with_the_database_that_its_transaction_wrote_to() {
    for transaction in SPILLED {
        // The database was deleted, or renamed.
        for renamed in [false, true] {
            let mut world = World::new();
            let _reader = world.killed("t.db", transaction);
            let source = if renamed { "t.db.old" } else { "t.db" };
            match renamed {
                true => fs::rename(world.path("t.db"), world.path("t.db.old")).unwrap(),
                false => fs::remove_file(world.path("t.db")).unwrap(),
            }
            let (ran, saved) = world.rescue(source);
            let set = &saved["sets"][0];
            if renamed && transaction == SPILLED[1] {
                // Neither a name nor the bytes tell.
                assert_eq!((ran.code, &saved["apart"][0]["of_none"]), (1, &false.into()), "{}", ran.text());
                assert!(ran.text().contains("it is not known which database"), "{}", ran.text());
                continue;
            }
            assert_eq!((ran.code, parts(set)), (0, vec!["database", "journal"]), "{transaction}: {}", ran.text());
            assert_eq!(world.opened(set), ("ok".into(), 300, 0), "{transaction}");
            assert!(!ran.text().contains("Nothing was deleted or renamed"), "{}", ran.text());
        }
        // A backup from before got its name: it was renamed, or copied after the crash.
        for renamed in [true, false] {
            let mut world = World::new();
            let mut writer = Sqlite::open(&world.path("t.db"));
            writer.reopen(&ROWS.replace('\n', " "));
            fs::copy(world.path("t.db"), world.path("backup")).unwrap();
            writer.run("UPDATE t SET b = b || b WHERE n > 3");
            drop(writer);
            let _reader = world.killed_in("t.db", transaction);
            if renamed {
                fs::rename(world.path("backup"), world.path("t.db")).unwrap();
            } else {
                fs::remove_file(world.path("t.db")).unwrap();
                fs::copy(world.path("backup"), world.path("t.db")).unwrap();
            }
            let (ran, saved) = world.rescue("t.db");
            assert_eq!(
                (ran.code, saved["apart"].as_array().map(Vec::len)),
                (0, Some(0)),
                "{transaction} {renamed}: {}",
                ran.text()
            );
            let deleted = set_with(&saved, |set| set["files"][0]["deleted"] == true);
            assert_eq!((parts(deleted), world.opened(deleted)), (vec!["database", "journal"], ("ok".into(), 300, 0)));
            let restored = set_with(&saved, |set| set["files"][0]["deleted"] == false);
            assert_eq!(restored["parts_of_another"], serde_json::json!(["journal"]), "{}", ran.text());
            assert_eq!((parts(restored), world.opened(restored)), (vec!["database"], ("ok".into(), 300, 0)));
        }
    }
}

/// Both were made by the same statements, so page 1 is the same.
#[test]
fn a_journal_of_a_database_that_is_alike_is_not_put_to_another_one() {
    let mut world = World::new();
    let mut own = Sqlite::open(&world.path("t.db"));
    own.reopen(&ROWS.replace('\n', " "));
    own.run("SELECT count(*) FROM t");
    fs::remove_file(world.path("t.db")).unwrap();
    drop(world.killed("t.db", SPILLED[0]));
    fs::remove_file(world.path("t.db")).unwrap();
    let (ran, saved) = world.rescue("t.db");
    assert_eq!((ran.code, &saved["apart"][0]["of_none"]), (1, &false.into()), "{}", ran.text());
    assert_eq!((parts(&saved["sets"][0]), world.opened(&saved["sets"][0])), (vec!["database"], ("ok".into(), 300, 0)));
}

/// What is committed to a restored backup after the crash leaves no time that tells, and it is as long as the other one.
#[test]
fn a_journal_that_may_be_of_two_databases_is_saved_with_neither() {
    let mut world = World::new();
    let mut backup = Sqlite::open(&world.path("backup"));
    backup.reopen(&ROWS.replace('\n', " "));
    drop(backup);
    fs::copy(world.path("backup"), world.path("t.db")).unwrap();
    let _reader = world.killed_in("t.db", SPILLED[1]);
    fs::remove_file(world.path("t.db")).unwrap();
    fs::write(world.path("t.db"), fs::read(world.path("backup")).unwrap()).unwrap();
    connect(&world.path("backup")).execute_batch("UPDATE t SET b = substr(b, 2) || 'm'").unwrap();
    fs::write(world.path("t.db"), fs::read(world.path("backup")).unwrap()).unwrap();
    let (ran, saved) = world.rescue("t.db");
    assert_eq!((ran.code, &saved["apart"][0]["of_none"]), (1, &false.into()), "{}", ran.text());
    assert!(saved["sets"].as_array().unwrap().iter().all(|set| parts(set) == ["database"]), "{}", ran.text());
    assert!(!ran.text().contains("-KILL"), "{}", ran.text());
    let copy = saved["apart"][0]["file"]["copy"].as_str().unwrap();
    let same = fs::read(world.folder.path().join(copy)).unwrap() == fs::read(world.path("t.db-journal")).unwrap();
    assert!(same);
}

/// Another database had the name for a while, and left its journal.
#[test]
fn the_way_back_puts_a_journal_of_something_else_aside() {
    for mode in ["WAL", "DELETE"] {
        let mut world = World::new();
        let mut own = Sqlite::open(&world.path("t.db"));
        own.reopen(
            &format!("{ROWS} PRAGMA journal_mode={mode}; UPDATE t SET b = b || 'n' WHERE n < 9;").replace('\n', " "),
        );
        own.run("SELECT count(*) FROM t");
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(world.path(&format!("t.db{suffix}")));
        }
        drop(world.killed("t.db", SPILLED[0]));
        fs::remove_file(world.path("t.db")).unwrap();
        let (ran, saved) = world.rescue("t.db");
        assert_eq!((ran.code, &saved["apart"][0]["of_none"]), (0, &true.into()), "{mode}: {}", ran.text());
        assert!(ran.text().contains("and of none that was saved"), "{}", ran.text());
        assert_eq!(world.opened(&saved["sets"][0]), ("ok".into(), 300, 8));
        // As the page says it.
        assert!(ran.text().contains("Move all that lies at the path into a new folder"), "{}", ran.text());
        drop(own);
        fs::create_dir(world.path("aside")).unwrap();
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = fs::rename(world.path(&format!("t.db{suffix}")), world.path(&format!("aside/t.db{suffix}")));
        }
        for suffix in ["", "-wal"] {
            let _ = fs::copy(world.path(&format!("saved1/t.db{suffix}")), world.path(&format!("t.db{suffix}")));
        }
        let verified = walscope(world.folder.path(), &["verify", "t.db", "--fail-on", "warning"]);
        assert_eq!(verified.code, 0, "{}", verified.text());
        assert_eq!(state(&world.path("t.db")), ("ok".into(), 300, 8));
    }
}
