//! Page 1 of a database without a WAL, and nothing behind it: SQLite is the judge of what it refuses.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::common::random::Random;
use crate::sqlite::{codes, found, grave, one, verify};

const HEADER: &str = "database_header_unusable";
const ZERO: &str = "database_pages_zero";

/// A database that was closed properly, with a table of 40 rows and free pages.
fn database(folder: &Path, mode: &str, vacuum: &str) -> Vec<u8> {
    let path = folder.join("t.db");
    let _ = fs::remove_file(&path);
    let db = Connection::open(&path).unwrap();
    db.execute_batch(&format!(
        "PRAGMA auto_vacuum={vacuum}; PRAGMA journal_mode={mode}; CREATE TABLE t(x); CREATE TABLE u(x);
         INSERT INTO t WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < 40) SELECT randomblob(300) FROM n;
         INSERT INTO u SELECT x FROM t; DELETE FROM u;"
    ))
    .unwrap();
    drop(db);
    fs::read(path).unwrap()
}

/// Whether SQLite reads the table, and whether it finds nothing wrong.
fn sqlite(database: &[u8]) -> (bool, bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    fs::write(&path, database).unwrap();
    let db = Connection::open(path).unwrap();
    let reads = db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)) == Ok(40);
    let check = db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    (reads, check.is_ok_and(|said| said == "ok"))
}

fn impossible(document: &Value) -> Value {
    found(document, HEADER)["evidence"]["impossible"].clone()
}

#[test]
fn each_impossible_field_of_page_1_is_named_and_sqlite_agrees() {
    let folder = tempfile::tempdir().unwrap();
    // Offset, bytes, name, whether SQLite reads the table all the same.
    let far = 999_u32.to_be_bytes();
    let cases: [(usize, &[u8], &str, bool); 17] = [
        (32, &far, "freelist_trunk", true),
        (36, &far, "freelist_pages", true),
        (52, &far, "largest_root", true),
        (101, &[0x0f, 0xff], "free_space", true),
        (105, &[0, 0], "free_space", true),
        (105, &[1, 0], "free_space", true),
        (105, &[0x0f, 0xff], "free_space", true),
        (107, &[1], "free_space", true),
        (100, &[2], "first_table", false),
        (100, &[10], "first_table", false),
        (100, &[0], "first_table", false),
        (100, &[77], "first_table", false),
        (103, &[0x7f, 0xff], "cell_pointers", false),
        (108, &[0xff, 0xf0], "cell_pointers", false),
        (108, &[0x10, 0], "cell_pointers", false),
        (108, &[0, 0], "cell_pointers", false),
        (108, &[0, 0x32], "cell_pointers", false),
    ];
    for (mode, vacuum) in [("WAL", "NONE"), ("WAL", "FULL"), ("DELETE", "NONE"), ("DELETE", "INCREMENTAL")] {
        let whole = database(folder.path(), mode, vacuum);
        assert_eq!((sqlite(&whole), codes(&verify(folder.path()).1)), ((true, true), vec![]), "{mode} {vacuum}");
        for (at, bytes, name, reads) in cases {
            let mut damaged = whole.clone();
            damaged[at..at + bytes.len()].copy_from_slice(bytes);
            fs::write(folder.path().join("t.db"), &damaged).unwrap();
            assert_eq!(sqlite(&damaged), (reads, false), "{mode} {vacuum}, {name}");
            let (_, document) = verify(folder.path());
            // What does not begin as a table may be encrypted.
            let table = found(&document, HEADER)["evidence"]["table_behind_it"] == true;
            let severity = if table && !reads { "error" } else { "warning" };
            assert_eq!(grave(&document), one(HEADER, severity), "{mode} {vacuum}: {document:#}");
            assert_eq!(impossible(&document), serde_json::json!([name]));
            assert_eq!(found(&document, HEADER)["evidence"]["refused"], !reads);
        }
    }
}

#[test]
fn nothing_but_zeros_behind_page_1_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (mode, severity) in [("WAL", "error"), ("DELETE", "warning")] {
        let whole = database(folder.path(), mode, "NONE");
        let zeros = [&whole[..4096], &vec![0; whole.len() - 4096]].concat();
        fs::write(folder.path().join("t.db"), &zeros).unwrap();
        assert_eq!(sqlite(&zeros), (false, false));
        let document = verify(folder.path()).1;
        assert_eq!(grave(&document), one(ZERO, severity), "{document:#}");
        assert_eq!(found(&document, ZERO)["evidence"]["pages"], whole.len() / 4096 - 1);
        // One other byte is not looked behind.
        let mut other = zeros;
        *other.last_mut().unwrap() = 1;
        fs::write(folder.path().join("t.db"), other).unwrap();
        assert_eq!(grave(&verify(folder.path()).1), one("trees_damaged", "error"));
    }
}

/// Free pages can be zeros, and a file can be longer than its header says.
#[test]
fn healthy_databases_of_zeros_raise_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "PRAGMA secure_delete=ON; PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(90000));
         DROP TABLE t",
    )
    .unwrap();
    drop(db);
    let free = fs::read(&path).unwrap();
    assert!(free.len() > 80_000);
    assert_eq!(codes(&verify(folder.path()).1), []);
    let db = Connection::open(&path).unwrap();
    db.execute_batch("VACUUM").unwrap();
    drop(db);
    let one_page = fs::read(&path).unwrap();
    fs::write(&path, [&one_page[..], &[0; 65536]].concat()).unwrap();
    assert_eq!(codes(&verify(folder.path()).1), []);
    let db = Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(90000))").unwrap();
    drop(db);
    assert_eq!(codes(&verify(folder.path()).1), []);
}

/// Bytes 64 to 67 go with bytes 52 to 55, and these with page 2.
#[test]
fn auto_vacuum_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (vacuum, at, name) in [("NONE", 52, "pointer_map"), ("NONE", 64, "incremental_vacuum")] {
        let mut damaged = database(folder.path(), "WAL", vacuum);
        damaged[at + 3] = 1;
        fs::write(folder.path().join("t.db"), &damaged).unwrap();
        let document = verify(folder.path()).1;
        assert_eq!(grave(&document), one(HEADER, "warning"), "{name}: {document:#}");
        assert_eq!(impossible(&document), serde_json::json!([name]));
    }
}

/// SQLite opens nothing whose beginning is another. Whether it was damaged or is another one on purpose, the rest of it tells.
#[test]
fn a_damaged_magic_is_an_error_where_the_rest_is_that_of_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let whole = database(folder.path(), "DELETE", "NONE");
    let longer = [&whole[..], &[0; 4096]].concat();
    type Change = fn(&mut Vec<u8>);
    let cases: [(&[u8], Change, &str); 6] = [
        (&whole, |bytes| bytes[3] ^= 1, "error"),
        (&whole, |bytes| bytes[..8].fill(0xa5), "error"),
        (&whole, |bytes| bytes[..16].fill(0), "error"),
        (&whole, |bytes| bytes[..16].copy_from_slice(b"Program format 7"), "warning"),
        (&whole, |bytes| (bytes[3], bytes[21]) = (0, 65), "warning"),
        (&longer, |bytes| bytes[3] ^= 1, "warning"),
    ];
    for (number, (bytes, change, severity)) in cases.into_iter().enumerate() {
        let mut damaged = bytes.to_vec();
        change(&mut damaged);
        fs::write(&path, &damaged).unwrap();
        assert!(!sqlite(&damaged).0);
        let document = verify(folder.path()).1;
        assert_eq!(grave(&document), one(HEADER, severity), "{number}: {document:#}");
    }
    // Encrypted, nothing of it is plain.
    let random: Vec<u8> =
        whole.iter().zip((0_u8..=255).cycle()).map(|(byte, key)| byte ^ key.wrapping_mul(151) ^ 0x5c).collect();
    fs::write(&path, random).unwrap();
    assert_eq!(grave(&verify(folder.path()).1), []);
}

/// Page 1 of databases of every kind, with schemas that go over to other pages and shrink again.
#[test]
fn page_1_of_healthy_databases_raises_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    for seed in 0..60 {
        let mut random = Random(seed);
        let _ = fs::remove_file(&path);
        let db = Connection::open(&path).unwrap();
        let page_size = 512 << random.below(8);
        let mode = random.pick(&["WAL", "DELETE", "TRUNCATE", "PERSIST"]);
        let vacuum = random.below(3);
        db.execute_batch(&format!(
            "PRAGMA page_size={page_size}; PRAGMA auto_vacuum={vacuum}; PRAGMA journal_mode={mode}; PRAGMA secure_delete={}",
            random.below(2)
        ))
        .unwrap();
        for step in 0..random.below(60) {
            let table = random.below(30);
            let sql = match random.below(8) {
                0..3 => format!(
                    "CREATE TABLE IF NOT EXISTS t{table}({})",
                    "a_column_with_a_long_name, ".repeat(random.below(20) as usize) + "x" + &step.to_string()
                ),
                3 => format!("DROP TABLE IF EXISTS t{table}"),
                4 => {
                    format!("CREATE TABLE IF NOT EXISTS b(x); INSERT INTO b VALUES(zeroblob({}))", random.below(20000))
                }
                5 => "DELETE FROM b".to_owned(),
                6 => "PRAGMA incremental_vacuum(3)".to_owned(),
                _ => "VACUUM".to_owned(),
            };
            let _ = db.execute_batch(&sql);
        }
        drop(db);
        let document = verify(folder.path()).1;
        assert_eq!(codes(&document), [], "seed {seed}, {mode}, auto_vacuum {vacuum}: {document:#}");
    }
}

/// A close of a file in this process would drop its locks.
fn by_another_process(program: &str, arguments: &[std::path::PathBuf]) {
    assert!(std::process::Command::new(program).args(arguments).status().unwrap().success());
}

/// A database of no bytes is a new one, unless files beside it show that it had content.
#[test]
fn an_emptied_database_is_told_from_a_new_one() {
    const EMPTIED: &str = "database_emptied";
    let (source, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, path) = (source.path().join("t.db"), folder.path().join("t.db"));
    let beside = |path: &Path, suffix: &str| path.with_file_name(format!("t.db{suffix}"));
    fs::write(&path, "").unwrap();
    // Nothing beside it; opened and not written to; a transaction that was rolled back, with the journal that it leaves.
    assert_eq!(codes(&verify(folder.path()).1), []);
    let db = Connection::open(&path).unwrap();
    db.execute_batch("BEGIN; SELECT * FROM sqlite_schema").unwrap();
    assert_eq!(codes(&verify(folder.path()).1), []);
    db.execute_batch("COMMIT; PRAGMA journal_mode=PERSIST; BEGIN; CREATE TABLE t(x); ROLLBACK").unwrap();
    drop(db);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    assert_eq!(codes(&verify(folder.path()).1), []);
    // The files of a process that was killed, and the database emptied.
    let db = Connection::open(&from).unwrap();
    db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(9000))").unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    for (kept, severity) in [(&["-wal", "-shm"][..], "warning"), (&["-wal"], "notice"), (&["-shm"], "notice")] {
        for suffix in ["-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(beside(&path, suffix));
        }
        for suffix in kept {
            by_another_process("cp", &[beside(&from, suffix), beside(&path, suffix)]);
        }
        let document = verify(folder.path()).1;
        assert_eq!(codes(&document), one(EMPTIED, severity), "{kept:?}: {document:#}");
    }
    // While it is in use, the wal-index shows that it was overwritten.
    by_another_process("truncate", &["--size=0".into(), from]);
    assert_eq!(grave(&verify(source.path()).1), one("database_overwritten", "error"));
}
