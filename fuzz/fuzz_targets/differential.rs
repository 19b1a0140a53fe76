//! A changed `-wal`, recovered by SQLite and decoded by walscope: both must come to the same frames, pages and checksum.
//!
//! The files lie in a folder in memory. What SQLite recovered is read from the `-shm` that it made, while the connection
//! is open; closing leaves the WAL alone.
#![no_main]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use walscope::look::checkpoint::{CheckpointState, diagnose};
use walscope::number::FrameNumber;
use walscope::shm::{Lookup, WalIndex, find_in_block};
use walscope::wal::transactions::transactions;
use walscope::wal::{Frame, scan};
use walscope_fuzz::bits::Bits;
use walscope_fuzz::chain;

/// A database of one page of 512 bytes in WAL mode.
const DATABASE: &[u8] = include_bytes!("../../testdata/cases/wal-header-only/t.db");
/// `walIndexHdr` begins the `-shm`; these are its fields, by wal.c: native byte order.
const SHM_HEAD: usize = 48;

/// fuzz/run.sh makes it in memory, and takes it away.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("walscope-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
});

/// What SQLite recovers: the first block of its wal-index.
fn recovered(wal: &[u8]) -> Vec<u8> {
    let path = FOLDER.join("t.db");
    let sibling = |suffix: &str| FOLDER.join(format!("t.db{suffix}"));
    fs::write(&path, DATABASE).unwrap();
    fs::write(sibling("-wal"), wal).unwrap();
    let _ = fs::remove_file(sibling("-shm"));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    // The first read recovers the WAL; that it may then find a malformed database is another matter.
    let _ = connection.pragma_query_value(None, "schema_version", |_| Ok(()));
    let mut shm = vec![0; 32_768];
    // Closing this descriptor would drop the connection's locks, if anybody else were there.
    let file = File::open(sibling("-shm")).unwrap();
    let n = file.read_at(&mut shm, 0).unwrap();
    shm.truncate(n);
    drop(connection);
    shm
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fuzz_target!(|bytes: &[u8]| {
    // A `Vec` as the parameter would be made by `Arbitrary`, which does not take the bytes as they are.
    let wal = bytes.to_vec();
    let mut frames: Vec<Frame> = Vec::new();
    let facts = scan(&wal, &mut |frame| frames.push(*frame)).unwrap();
    let shm = recovered(&wal);
    let head = shm.get(..SHM_HEAD).unwrap_or(&[0; SHM_HEAD]);
    let (mx_frame, pages, checksum) = (word(head, 16), word(head, 20), [word(head, 24), word(head, 28)]);
    assert_eq!(u64::from(mx_frame), facts.frames.committed, "mxFrame");
    let Some(last) = facts.last_commit else {
        assert_eq!(mx_frame, 0);
        return;
    };
    assert_eq!((pages, checksum), (last.database_pages, last.checksum.0), "nPage and aFrameCksum");
    // Salts as the WAL stores them, in its byte order.
    assert_eq!(head[32..40], wal[16..24], "aSalt");
    let size = u32::from(u16::from_ne_bytes([head[14], head[15]]));
    assert_eq!(Some(if size == 1 { 65536 } else { size }), facts.page_size().map(u32::from), "szPage");

    let index = WalIndex::open(&shm).unwrap();
    assert_eq!(diagnose(&facts, Some(&index.head), None).state, CheckpointState::Pending);
    let block = index.block(0).unwrap();
    for frame in frames.iter().filter(|frame| frame.valid) {
        assert_eq!(block.page_of(frame.number), Some(frame.header.page), "entry of {}", frame.number);
    }
    let committed = &frames[..last.frame.count() as usize];
    for frame in committed {
        let newest = committed.iter().rev().find(|other| other.header.page == frame.header.page);
        let found = find_in_block(&block, frame.header.page, mx_frame.into());
        assert_eq!(Some(found), newest.map(|newest| Lookup::Found(newest.number)), "frame {}", frame.number);
    }
    let mut end = FrameNumber::NONE;
    transactions(&wal, 0, &mut |transaction| end = transaction.last_frame).unwrap();
    assert_eq!(end, u64::from(mx_frame), "the last transaction");
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut bits = Bits::new(seed);
    let mut size = if bits.one_in(3) { size } else { fuzzer_mutate(data, size, max_size) };
    if bits.one_in(2) {
        let room = max_size.min(data.len());
        size = chain::shuffle(&mut data[..room], size, &mut bits);
    }
    chain::repair(&mut data[..size], &mut bits);
    size
});
