//! Device and inode of files, as stat(2) gives them.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use crate::number::{Device, FileId};

/// Splits `st_dev` into major and minor number.
#[must_use]
pub fn device(number: u64) -> Device {
    Device { major: rustix::fs::major(number), minor: rustix::fs::minor(number) }
}

/// Which file this metadata is of.
#[must_use]
pub fn file_id(stat: &Metadata) -> FileId {
    FileId { device: device(stat.dev()), inode: stat.ino() }
}

/// Which file is open.
///
/// # Errors
/// When fstat(2) fails.
pub fn id_of(file: &File) -> io::Result<FileId> {
    Ok(file_id(&file.metadata()?))
}

/// Whether both are the same file, by device and inode; `false` when that cannot be seen.
#[must_use]
pub fn same_file(a: &File, b: &File) -> bool {
    match (id_of(a), id_of(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
