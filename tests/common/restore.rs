//! Turns a capture back into files that SQLite can open. It has its own constants of the file formats.

use std::path::{Path, PathBuf};

use walscope::bundle::Capture;
use walscope::bytes::{ReadAt, read_all};
use walscope::look::{DatabaseSeen, WalSeen};

pub fn bytes(source: &dyn ReadAt) -> Vec<u8> {
    read_all(source, 1 << 30).unwrap()
}

/// Writes `restored.db` and its `-wal` into `folder`; never a `-shm`, which SQLite makes by recovery. The WAL is cut at
/// `mxFrame` if the wal-index belongs to this WAL.
pub fn restore(capture: &Capture, folder: &Path) -> PathBuf {
    let path = folder.join("restored.db");
    let wal_path = folder.join("restored.db-wal");
    for stale in [&path, &wal_path, &folder.join("restored.db-shm")] {
        let _ = std::fs::remove_file(stale);
    }
    let DatabaseSeen::Whole(database) = &capture.database else { panic!("a bundle without the whole database") };
    std::fs::write(&path, bytes(database.as_ref())).unwrap();
    let mut wal = match &capture.wal {
        WalSeen::Whole(wal) => bytes(wal.as_ref()),
        WalSeen::Absent => return path,
        _ => panic!("a bundle without the whole WAL"),
    };
    let shm = capture.shm.as_deref().map(bytes).unwrap_or_default();
    // aSalt at 32..40 of the wal-index header is a copy of bytes 16..24 of the WAL header.
    if shm.len() >= 136 && wal.len() >= 32 && shm[32..40] == wal[16..24] {
        let mx_frame = u32::from_ne_bytes(shm[16..20].try_into().unwrap()) as usize;
        let page_size = u32::from_be_bytes(wal[8..12].try_into().unwrap()) as usize;
        wal.truncate(32 + mx_frame * (24 + page_size));
    }
    std::fs::write(&wal_path, wal).unwrap();
    path
}
