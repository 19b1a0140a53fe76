//! Device and inode of files, as stat(2) gives them.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use crate::evidence::Device;

/// `st_dev`, taken apart.
#[must_use]
pub fn device(number: u64) -> Device {
    Device { major: rustix::fs::major(number), minor: rustix::fs::minor(number) }
}

/// `st_dev` and inode.
///
/// # Errors
/// When fstat(2) fails.
pub fn device_and_inode(file: &File) -> io::Result<(Device, u64)> {
    let stat = file.metadata()?;
    Ok((device(stat.dev()), stat.ino()))
}

/// Whether both are one file, by device and inode; `false` where that cannot be seen.
#[must_use]
pub fn same_file(a: &File, b: &File) -> bool {
    match (device_and_inode(a), device_and_inode(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
