//! The path of a descriptor, as the kernel prints it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::linux::procfs::Process;
use crate::linux::target::Target;

/// What the kernel prints after the path of a file that has this name no more.
const DELETED: &[u8] = b" (deleted)";

/// Where a descriptor leads.
#[derive(Debug)]
pub(super) struct Link {
    /// The path as the kernel prints it here, without ` (deleted)`.
    pub path: Vec<u8>,
    /// Whether this path does not lead to the file any more.
    pub deleted: bool,
}

impl Link {
    /// folklore: a file can be named `app.db (deleted)`, and the number of links tells nothing: a deleted file can have other names, and
    /// on FUSE and overlay its number stays 1. Only looking the whole text up tells them apart. Held by
    /// `a_file_whose_name_ends_as_that_of_a_deleted_one_is_another_file` and, on overlay,
    /// `a_file_deleted_in_a_container_is_called_deleted`.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn of(process: &Process, descriptor: &str) -> io::Result<Self> {
        let link = format!("fd/{descriptor}");
        let whole = process.link_bytes(&link)?;
        let deleted = whole.ends_with(DELETED) && !leads_to(process, &whole, &link);
        let path = if deleted { whole.strip_suffix(DELETED).map_or_else(Vec::new, <[u8]>::to_vec) } else { whole };
        Ok(Self { path, deleted })
    }
}

/// Whether a path that was printed here leads to the file of a descriptor.
fn leads_to(process: &Process, printed: &[u8], link: &str) -> bool {
    let printed = Path::new(OsStr::from_bytes(printed));
    let seen = Target::of_bound(process).map_or_else(|_| printed.to_owned(), |target| target.take_off_prefix(printed));
    let file = process.file_behind(link).ok();
    file.is_some() && process.file_beneath_root(seen.as_os_str().as_bytes()).ok() == file
}
