//! One page of the database compared with one frame.

use std::io;

use crate::bytes::ReadAt;

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
    // A WAL that became shorter is not used. Its header is read again later, which shows the change.
    if wal.read_at(expected, wal_at)? < expected.len() {
        return Ok(true);
    }
    Ok(database.read_at(found, database_at)? == found.len() && expected == found)
}
