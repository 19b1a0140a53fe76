//! Large WALs: written by SQLite, and for the other byte order with every checksum computed anew.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use walscope::format::checksum::checksum;
use walscope::format::wal::frame_checksum;
use walscope::number::{ByteOrder, Checksum};

/// Rows that are written over and over.
const ROWS: u64 = 64;
/// Bytes of one of them; a commit each.
const ROW_BYTES: usize = 1 << 20;

/// A WAL without its wal-index, as a crash leaves it.
pub struct Wal {
    pub database: PathBuf,
    pub path: PathBuf,
    pub bytes: u64,
    pub frames: u64,
}

/// A database beside a WAL of about `bytes`.
pub fn wal(database: &Path, bytes: u64, page_size: u32, big: bool) -> Wal {
    let path = sibling(database, "-wal");
    for file in [database.to_owned(), path.clone(), sibling(database, "-shm")] {
        let _ = fs::remove_file(file);
    }
    let db = open(database);
    db.pragma_update(None, "page_size", page_size).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    db.pragma_update(None, "synchronous", "OFF").unwrap();
    db.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)").unwrap();
    let mut row: Vec<u8> = (0..ROW_BYTES as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let mut insert = db.prepare("INSERT OR REPLACE INTO t VALUES (?1, ?2)").unwrap();
    for n in 0.. {
        if fs::metadata(&path).unwrap().len() >= bytes {
            break;
        }
        row[..8].copy_from_slice(&u64::to_le_bytes(n));
        row.rotate_left(4099);
        insert.execute(rusqlite::params![(n % ROWS) as i64, row]).unwrap();
    }
    drop(insert);
    db.close().unwrap();
    fs::remove_file(sibling(database, "-shm")).unwrap();
    if big {
        sum_anew(&OpenOptions::new().read(true).write(true).open(&path).unwrap(), page_size as usize);
    }
    let bytes = fs::metadata(&path).unwrap().len();
    Wal { database: database.to_owned(), path, bytes, frames: (bytes - 32) / (24 + u64::from(page_size)) }
}

/// A connection that leaves the WAL as it is when it closes.
pub fn open(database: &Path) -> Connection {
    let db = Connection::open(database).unwrap();
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    db
}

pub fn sibling(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes every checksum one over big-endian words.
fn sum_anew(wal: &File, page_size: usize) {
    let words = |[a, b]: [u32; 2]| (u64::from(a) << 32 | u64::from(b)).to_be_bytes();
    let mut head = [0; 32];
    wal.read_exact_at(&mut head, 0).unwrap();
    head[3] = 0x83;
    let mut sums = checksum(ByteOrder::Big, Checksum::ZERO, &head[..24]);
    head[24..].copy_from_slice(&words(sums.0));
    wal.write_all_at(&head, 0).unwrap();
    let mut frame = vec![0; 24 + page_size];
    let mut at = 32;
    while wal.read_exact_at(&mut frame, at).is_ok() {
        sums = frame_checksum(ByteOrder::Big, sums, &frame);
        wal.write_all_at(&words(sums.0), at + 16).unwrap();
        at += frame.len() as u64;
    }
}
