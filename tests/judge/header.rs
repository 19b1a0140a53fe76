//! A database whose header cannot be, or that is shorter than its header says: SQLite is the judge of what it refuses, and
//! nothing healthy is accused.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ffi};

use crate::common::command::walscope;
use crate::common::random::Random;

/// Rows whose pages fill a database of a few pages.
const ROWS: i64 = 40;

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a database by statements, and closes it.
    fn database(&self, sql: &str) -> Vec<u8> {
        let path = self.at("made.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(sql).unwrap();
        drop(db);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(path).unwrap();
        bytes
    }

    /// Files of a database that nobody has open.
    fn put(&self, database: &[u8], wal: Option<&[u8]>) -> PathBuf {
        let path = self.at("t.db");
        for name in ["t.db-wal", "t.db-shm", "t.db-journal"] {
            let _ = fs::remove_file(self.at(name));
        }
        fs::write(&path, database).unwrap();
        if let Some(wal) = wal {
            fs::write(self.at("t.db-wal"), wal).unwrap();
        }
        path
    }

    /// A database in WAL mode, and a -wal with a commit that has page 1, or not.
    fn with_wal(&self, page_one: bool) -> (Vec<u8>, Vec<u8>) {
        let path = self.at("made.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(&format!("PRAGMA journal_mode=WAL; {}; PRAGMA wal_checkpoint(TRUNCATE);", rows())).unwrap();
        db.execute_batch(if page_one { "CREATE TABLE u(x)" } else { "UPDATE t SET x = 'z' WHERE rowid = 1" }).unwrap();
        let both = (fs::read(&path).unwrap(), fs::read(self.at("made.db-wal")).unwrap());
        drop(db);
        fs::remove_file(path).unwrap();
        both
    }
}

fn rows() -> String {
    format!(
        "CREATE TABLE t(x); WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) \
         INSERT INTO t SELECT hex(zeroblob(150)) FROM n"
    )
}

/// What SQLite makes of it: the number of rows, or an error code.
fn sqlite(path: &Path) -> Result<i64, i32> {
    let count = || Connection::open(path)?.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
    count().map_err(|error| match error {
        rusqlite::Error::SqliteFailure(error, _) => error.extended_code,
        other => panic!("{other}"),
    })
}

/// Rows that the commit in the -wal changed.
fn changed(path: &Path) -> i64 {
    let db = Connection::open(path).unwrap();
    db.query_row("SELECT count(*) FROM t WHERE x = 'z'", [], |row| row.get(0)).unwrap()
}

#[derive(Debug)]
struct Said {
    findings: Vec<(String, String)>,
    impossible: Vec<String>,
    refused: bool,
    result: String,
}

impl Said {
    fn of(&self, code: &str) -> Option<&str> {
        self.findings.iter().find(|(one, _)| one == code).map(|(_, severity)| severity.as_str())
    }
}

fn verify(path: &Path) -> Said {
    asked("verify", path)
}

fn asked(command: &str, path: &Path) -> Said {
    let ran = walscope(Path::new("/"), &[command, "--json", path.to_str().unwrap()]);
    let document = ran.json();
    let findings = document["findings"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let header = findings.iter().find(|finding| finding["code"] == "database_header_unusable");
    Said {
        findings: findings.iter().map(|finding| (text(&finding["code"]), text(&finding["severity"]))).collect(),
        impossible: header
            .map(|header| header["evidence"]["impossible"].as_array().unwrap().iter().map(text).collect())
            .unwrap_or_default(),
        refused: header.is_some_and(|header| header["evidence"]["refused"] == true),
        result: document["verdict"]["result"].as_str().unwrap_or_default().to_owned(),
    }
}

/// Offset, bytes, and the name of the field.
const POKES: &[(usize, &[u8], &str)] = &[
    (0, b"X", "magic"),
    (0, &[0; 16], "magic"),
    (0, &[0; 100], "magic"),
    (3, &[0x80], "magic"),
    (16, &[0, 0], "page_size"),
    (16, &[0x0b, 0xb8], "page_size"),
    (16, &[1, 0], "page_size"),
    (16, &[0x90, 0], "page_size"),
    (18, &[0], "write_version"),
    (18, &[5], "write_version"),
    (19, &[0], "read_version"),
    (19, &[5], "read_version"),
    (21, &[0x41], "payload_fractions"),
    (22, &[0], "payload_fractions"),
    (23, &[0x21], "payload_fractions"),
    (44, &[0, 0, 0, 5], "schema_format"),
    (44, &[0x80], "schema_format"),
    (56, &[0, 0, 0, 4], "text_encoding"),
    (72, &[1], "expansion"),
    (91, &[1], "expansion"),
];

fn poked(database: &[u8], (offset, bytes, _): &(usize, &[u8], &str)) -> Vec<u8> {
    let mut database = database.to_vec();
    database[*offset..offset + bytes.len()].copy_from_slice(bytes);
    database
}

#[test]
fn each_impossible_field_is_named_and_sqlite_refuses_what_is_said_to_be_refused() {
    let folder = Folder::new();
    let rollback = folder.database(&rows());
    let of_512 = folder.database(&format!("PRAGMA page_size=512; {}", rows()));
    let (walled, wal) = folder.with_wal(false);
    let (healed, wal_with_one) = folder.with_wal(true);
    let too_many_reserved: (usize, &[u8], &str) = (20, &[40], "reserved_bytes");
    for poke in POKES {
        for (database, wal) in [(&rollback, None), (&walled, Some(&*wal))] {
            let path = folder.put(&poked(database, poke), wal);
            let said = verify(&path);
            if wal.is_some() {
                assert_eq!(asked("wal", &path).findings, said.findings, "{poke:?}");
            }
            let seen = sqlite(&path);
            assert_eq!(said.impossible, [poke.2], "{poke:?}");
            assert_eq!(said.refused, seen.is_err(), "{poke:?}: {seen:?}");
            let severity = said.of("database_header_unusable").unwrap();
            assert_eq!(severity == "error", said.refused, "{said:?}");
            assert!(severity != "notice", "{said:?}");
            if wal.is_some() && said.refused {
                // As the sentence about the checkpoint says.
                assert!(!folder.at("t.db-wal").exists(), "{poke:?}");
                let mut after = fs::read(&path).unwrap();
                after[..100].copy_from_slice(&walled[..100]);
                assert_eq!(changed(&folder.put(&after, None)), 1, "{poke:?}");
            }
        }
        let path = folder.put(&poked(&healed, poke), Some(&wal_with_one));
        for command in ["verify", "inspect", "wal"] {
            let said = asked(command, &path);
            assert_eq!(said.of("database_header_unusable"), Some("warning"), "{command}: {poke:?}");
        }
        assert_eq!(sqlite(&path), Ok(ROWS), "{poke:?}");
        assert_eq!(&fs::read(&path).unwrap()[..16], b"SQLite format 3\0", "the checkpoint put page 1 back");
    }
    let path = folder.put(&poked(&of_512, &too_many_reserved), None);
    let said = verify(&path);
    assert_eq!((said.impossible, said.refused), (vec!["reserved_bytes".to_owned()], true));
    assert_eq!(sqlite(&path), Err(ffi::SQLITE_NOTADB));
}

#[test]
fn a_database_that_is_cut_off_is_named_in_rollback_mode_too() {
    let folder = Folder::new();
    for page in [512, 4096, 65536] {
        let whole = folder.database(&format!("PRAGMA page_size={page}; {}", rows()));
        for kept in 1..whole.len() / page {
            let path = folder.put(&whole[..kept * page], None);
            let said = verify(&path);
            assert_eq!(said.of("database_too_short"), Some("warning"), "{page}: {kept}");
            let count = sqlite(&path);
            let checked = Connection::open(&path)
                .and_then(|db| db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)));
            assert!(count != Ok(ROWS) || checked.as_deref() != Ok("ok"), "{page}: {kept}: {count:?}");
        }
        for less in [1, 100, page - 1] {
            let path = folder.put(&whole[..whole.len() - less], None);
            assert_eq!(verify(&path).of("database_too_short"), Some("warning"), "{page}: {less} less");
        }
        // A longer file is what SQLITE_FCNTL_CHUNK_SIZE leaves.
        for more in [1, 100, page, 10 * page] {
            let path = folder.put(&[&whole[..], &vec![0; more]].concat(), None);
            let said = verify(&path);
            assert!(["sound", "noted"].contains(&&*said.result) && said.of("database_too_short").is_none(), "{said:?}");
            assert_eq!(sqlite(&path), Ok(ROWS));
        }
        // A writer before 3.7.0 leaves the size in the header as it was.
        let mut old = whole.clone();
        old[92..96].fill(0);
        old[28..32].copy_from_slice(&99u32.to_be_bytes());
        let path = folder.put(&old, None);
        assert_eq!(verify(&path).findings, []);
        assert_eq!(sqlite(&path), Ok(ROWS));
    }
}

#[test]
fn nothing_healthy_has_an_impossible_header() {
    let folder = Folder::new();
    let mut seen = 0;
    for mode in ["DELETE", "WAL"] {
        for page in [512, 1024, 4096, 32768, 65536] {
            for more in ["", "PRAGMA auto_vacuum=FULL;", "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA encoding='UTF-16be';"]
            {
                let made = format!("PRAGMA page_size={page}; {more} PRAGMA journal_mode={mode}; {}", rows());
                for sql in [made.clone(), format!("{made}; DROP TABLE t; PRAGMA incremental_vacuum")] {
                    let path = folder.put(&folder.database(&sql), None);
                    let said = verify(&path);
                    assert_eq!(said.findings, [], "{sql}");
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 60);
    // Only a number is stored: no table, no encoding, no schema format.
    for sql in ["PRAGMA user_version=7", "PRAGMA journal_mode=WAL", "PRAGMA application_id=3; PRAGMA user_version=1"] {
        let path = folder.put(&folder.database(sql), None);
        assert_eq!(verify(&path).findings, [], "{sql}");
    }
    // Reserved bytes, as extensions ask for them. SQLite keeps those that the first page has.
    for reserved in [8u8, 32, 80, 255] {
        let mut first = folder.database("PRAGMA user_version=7");
        first[20] = reserved;
        let content = first.len() as u16 - u16::from(reserved);
        first[105..107].copy_from_slice(&content.to_be_bytes());
        let path = folder.put(&first, None);
        assert_eq!(verify(&path).findings, []);
        Connection::open(&path).unwrap().execute_batch(&rows()).unwrap();
        assert_eq!((fs::read(&path).unwrap()[20], sqlite(&path)), (reserved, Ok(ROWS)));
        assert_eq!(verify(&path).findings, []);
    }
}

#[test]
fn an_encrypted_database_is_at_most_a_notice() {
    let folder = Folder::new();
    let whole = folder.database(&rows());
    let mut random = Random(7);
    let mut noise = |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = random.below(256) as u8);
    for plain in [0..0, 16..24, 0..32, 0..16] {
        for _ in 0..40 {
            let mut bytes = whole.clone();
            noise(&mut bytes);
            bytes[plain.clone()].copy_from_slice(&whole[plain.clone()]);
            let said = verify(&folder.put(&bytes, None));
            assert!(said.findings.iter().all(|(_, severity)| severity == "notice"), "{plain:?}: {said:?}");
        }
    }
}

#[test]
fn while_a_database_is_made_its_header_is_not_called_damaged() {
    let folder = Folder::new();
    let path = folder.put(&[], None);
    assert_eq!(verify(&path).findings, []);
    let db = Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA cache_size=2; PRAGMA cache_spill=2; BEGIN").unwrap();
    db.execute_batch(&rows()).unwrap();
    let bytes = fs::read(&path).unwrap();
    let said = verify(&path);
    assert!(said.findings.iter().all(|(_, severity)| severity == "notice"), "{} bytes: {said:?}", bytes.len());
}
