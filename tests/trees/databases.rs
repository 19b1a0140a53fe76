//! Databases of random forms: page sizes, auto-vacuum, encodings, reserved bytes, tables of each kind, overflow pages, free
//! pages; with a WAL or without; and the same damaged.

use std::path::Path;

use rusqlite::Connection;

use crate::common::random::Random;

/// The files of one database.
#[derive(Debug, Clone)]
pub struct Files {
    pub database: Vec<u8>,
    pub wal: Option<Vec<u8>>,
}

impl Files {
    /// A healthy database.
    pub fn random(seed: u64) -> Self {
        let mut random = Random(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let sqlite = begin(&path, &mut random);
        let wal = random.one_in(2);
        if wal {
            sqlite.pragma_update(None, "journal_mode", "wal").unwrap();
            sqlite.pragma_update(None, "wal_autocheckpoint", random.pick(&[0, 20, 1000])).unwrap();
        }
        fill(&sqlite, &mut random);
        let database = std::fs::read(&path).unwrap();
        let wal = std::fs::read(folder.path().join("t.db-wal")).ok();
        drop(sqlite);
        Self { database, wal }
    }

    /// A database of few small pages that has a page of each kind.
    pub fn small(auto_vacuum: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let sqlite = Connection::open(&path).unwrap();
        sqlite
            .execute_batch(&format!(
                "PRAGMA page_size = 512; PRAGMA auto_vacuum = {auto_vacuum}; PRAGMA secure_delete = OFF;
                 CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
                 CREATE INDEX i ON t(a);
                 CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID;
                 WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 40)
                 INSERT INTO t SELECT i, 'row ' || i || ' of it' FROM n;
                 INSERT INTO w VALUES(0, 1), ('x', hex(zeroblob(500)));
                 CREATE TABLE gone(x); INSERT INTO gone VALUES(zeroblob(900)); DROP TABLE gone;
                 DELETE FROM t WHERE id % 5 = 0;"
            ))
            .unwrap();
        drop(sqlite);
        Self { database: std::fs::read(&path).unwrap(), wal: None }
    }

    /// Changes some bytes of the pages.
    pub fn damage(&mut self, random: &mut Random) {
        // What is in the WAL counts by its checksums, so the database is the place.
        self.wal = None;
        let size = match u32::from(u16::from_be_bytes([self.database[16], self.database[17]])) {
            1 => 65536,
            size => size as usize,
        };
        let pages = self.database.len() / size;
        if pages < 2 {
            return;
        }
        let page = random.below(pages as u64) as usize;
        let (from, to) = (page * size, (page + 1) * size);
        let from = if page == 0 { 100 } else { from };
        match random.below(7) {
            0 => self.database[from..to].fill(0),
            1 => {
                let other = 1 + random.below(pages as u64 - 1) as usize;
                let bytes = self.database[other * size..(other + 1) * size].to_vec();
                self.database[to - size..to].copy_from_slice(&bytes);
            }
            2 => {
                let at = from + random.below((to - from) as u64) as usize;
                self.database[at] ^= 1 << random.below(8);
            }
            3 => {
                // The head of the page, and what names its cells.
                let at = from + random.below(24) as usize;
                self.database[at] = random.below(256) as u8;
            }
            4 => {
                let at = from + random.below((to - from) as u64 - 8) as usize;
                for byte in &mut self.database[at..at + 8] {
                    *byte = random.below(256) as u8;
                }
            }
            5 => {
                // The freelist, auto-vacuum.
                let at = 32 + random.below(8) as usize;
                self.database[at] = random.below(4) as u8;
            }
            _ => self.database[to - size / 4..to].fill(0xff),
        }
    }
}

pub fn begin(path: &Path, random: &mut Random) -> Connection {
    let sqlite = Connection::open(path).unwrap();
    let size = random.pick(&[512, 512, 1024, 4096, 4096, 8192, 65536]);
    sqlite.pragma_update(None, "page_size", size).unwrap();
    sqlite.pragma_update(None, "encoding", random.pick(&["UTF-8", "UTF-16le", "UTF-16be"])).unwrap();
    sqlite.pragma_update(None, "auto_vacuum", random.pick(&[0, 0, 1, 2])).unwrap();
    sqlite.pragma_update(None, "secure_delete", random.pick(&["on", "off", "fast"])).unwrap();
    if random.one_in(4) {
        reserve(&sqlite, random.pick(&[1, 8, 12, 32]));
    }
    sqlite
}

/// Keeps bytes free at the end of each page, as extensions that encrypt or checksum do.
fn reserve(sqlite: &Connection, bytes: i32) {
    let mut bytes = bytes;
    // SAFETY: the connection is open, and the call reads and writes one int.
    #[allow(unsafe_code, reason = "rusqlite has no call for it")]
    let code = unsafe {
        rusqlite::ffi::sqlite3_file_control(
            sqlite.handle(),
            c"main".as_ptr(),
            rusqlite::ffi::SQLITE_FCNTL_RESERVE_BYTES,
            (&raw mut bytes).cast(),
        )
    };
    assert_eq!(code, rusqlite::ffi::SQLITE_OK);
}

/// Tables of each kind, and changes.
pub fn fill(sqlite: &Connection, random: &mut Random) {
    sqlite
        .execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT, c BLOB);
             CREATE INDEX t_a ON t(a);
             CREATE INDEX t_bc ON t(b, c);
             CREATE TABLE w(k TEXT, n INT, v, PRIMARY KEY(k, n)) WITHOUT ROWID;
             CREATE TABLE u(x UNIQUE, y);
             CREATE TABLE small(k PRIMARY KEY) WITHOUT ROWID;
             INSERT INTO small VALUES(0), (1);
             CREATE VIEW v AS SELECT a FROM t;
             CREATE TRIGGER g AFTER DELETE ON u BEGIN UPDATE t SET a = a + 1 WHERE id < 3; END;",
        )
        .unwrap();
    // The head of such a row does not fit into a small page.
    let columns: Vec<String> = (0..700).map(|number| format!("c{number}")).collect();
    sqlite
        .execute_batch(&format!("CREATE TABLE wide({0}); INSERT INTO wide(c0, c699) VALUES(1, 'x')", columns.join(",")))
        .unwrap();
    change(sqlite, random);
}

/// Changes of all kinds.
pub fn change(sqlite: &Connection, random: &mut Random) {
    let steps = 3 + random.below(25);
    for step in 0..steps {
        if random.one_in(3) {
            sqlite.execute_batch("BEGIN").unwrap();
        }
        match random.below(12) {
            0..=3 => insert(sqlite, random),
            4 => sqlite.execute_batch("DELETE FROM t WHERE id % 3 = 0").unwrap(),
            5 => {
                let sql = format!("UPDATE t SET c = randomblob({}) WHERE id % 5 = 1", random.below(3000));
                sqlite.execute_batch(&sql).unwrap();
            }
            6 => {
                let sql = format!(
                    "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < {})
                     INSERT OR REPLACE INTO w SELECT hex(randomblob({})), i, randomblob({}) FROM n",
                    1 + random.below(200),
                    1 + random.below(60),
                    random.below(900)
                );
                sqlite.execute_batch(&sql).unwrap();
            }
            7 => sqlite.execute_batch("DELETE FROM w WHERE n % 2 = 0").unwrap(),
            8 => {
                let sql = format!(
                    "CREATE TABLE IF NOT EXISTS more_{step}(x, y); INSERT INTO more_{step} SELECT a, c FROM t;"
                );
                sqlite.execute_batch(&sql).unwrap();
            }
            9 if step > 0 => {
                sqlite.execute_batch(&format!("DROP TABLE IF EXISTS more_{}", step - 1)).unwrap();
            }
            10 => {
                let rowid = random.pick(&[i64::MIN, i64::MAX, -1, 0, 1 << 40]);
                sqlite.execute("INSERT OR REPLACE INTO t VALUES(?1, 1.5, 'x', NULL)", [rowid]).unwrap();
            }
            _ => sqlite.execute_batch("PRAGMA incremental_vacuum(3)").unwrap(),
        }
        if !sqlite.is_autocommit() {
            sqlite.execute_batch(if random.one_in(5) { "ROLLBACK" } else { "COMMIT" }).unwrap();
        }
        if random.one_in(20) {
            sqlite.execute_batch("VACUUM").unwrap();
        }
        if random.one_in(10) && sqlite.pragma_query_value(None, "wal_autocheckpoint", |row| row.get(0)) != Ok(0) {
            let _ = sqlite.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    }
}

fn insert(sqlite: &Connection, random: &mut Random) {
    let sql = format!(
        "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < {})
         INSERT INTO t(a, b, c) SELECT i * {}, substr('{}', 1, i % 40), randomblob({}) FROM n",
        1 + random.below(150),
        random.below(1000),
        "the quick brown fox jumps over the lazy dog",
        random.pick(&[0, 1, 20, 300, 5000, 70000])
    );
    sqlite.execute_batch(&sql).unwrap();
    let _ = sqlite.execute_batch("INSERT INTO u(y) SELECT b FROM t LIMIT 20");
}
