//! One page of the database compared with one frame.

use std::io;

use crate::bytes::ReadAt;

/// What the database has at the place of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InPlace {
    /// The bytes of the frame.
    Same,
    /// Zero bytes, all of it.
    Zeros,
    /// Other bytes, or the file ends before the page does.
    Other,
}

/// Whether the page at `database_at` of the database has the bytes at `wal_at` of the WAL. The buffers have the size of a
/// page.
pub(super) fn same(
    wal: &dyn ReadAt,
    wal_at: u64,
    expected: &mut [u8],
    database: &dyn ReadAt,
    database_at: u64,
    found: &mut [u8],
) -> io::Result<bool> {
    Ok(in_place(wal, wal_at, expected, database, database_at, found)? == InPlace::Same)
}

/// What the page at `database_at` of the database has, against the bytes at `wal_at` of the WAL.
pub(super) fn in_place(
    wal: &dyn ReadAt,
    wal_at: u64,
    expected: &mut [u8],
    database: &dyn ReadAt,
    database_at: u64,
    found: &mut [u8],
) -> io::Result<InPlace> {
    // A WAL that became shorter is not used. Its header is read again later, which shows the change.
    if wal.read_at(expected, wal_at)? < expected.len() {
        return Ok(InPlace::Same);
    }
    let whole = database.read_at(found, database_at)? == found.len();
    Ok(match whole {
        true if expected == found => InPlace::Same,
        true if found.iter().all(|byte| *byte == 0) => InPlace::Zeros,
        _ => InPlace::Other,
    })
}
