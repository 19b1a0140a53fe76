//! Device and inode that the kernel prints for a mapped file.

use std::fs::File;
use std::io;

use crate::evidence::{InodeId, Observation, SharedMapping};
use crate::linux::procfs::Proc;
use crate::linux::sys;
use crate::linux::text::maps;
use crate::linux::unopened;
use crate::linux::unseen::unseen;

/// Device and inode that the kernel prints for a mapping of this file. The file is mapped, looked up in this process's
/// own `maps`, and unmapped. Nothing is read through the mapping.
///
/// Asking the kernel is the only way: on btrfs subvolumes, and on overlay with older kernels, `stat` gives other
/// numbers.
#[must_use]
pub fn mapped_identity(proc: &Proc, file: &File) -> Observation<InodeId> {
    if unopened::is_unopened(file) && unopened::open_drops_pages(file) {
        return match unopened::identity(file) {
            Ok(id) => Observation::seen(id),
            Err(error) => unseen("fstat", &error),
        };
    }
    // A length of one page is allowed for an empty file, too: only loads beyond its end would fault.
    let mapping = match sys::map_shared(file, 4096) {
        Ok(mapping) => mapping,
        Err(error) => return unseen("mmap", &error),
    };
    let text = match proc.this_process().and_then(|this| this.read("maps")) {
        Ok(text) => text,
        Err(error) => return unseen("self/maps", &error),
    };
    let address = mapping.as_ptr().addr() as u64;
    match maps::parse(&text) {
        Ok(lines) => match lines.iter().find(|line| (line.start..line.end).contains(&address)) {
            Some(line) => Observation::seen(line.inode),
            None => Observation::missing("self/maps does not list a mapping that was just made"),
        },
        Err(error) => Observation::unsupported(format!("self/maps: {error}")),
    }
}

/// Whether mmap(2) failed because the file system maps no files shared.
///
/// folklore: 9p with `cache=none` answers EINVAL, and virtiofs with `cache=none` and FUSE with `direct_io` ENODEV. SQLite then
/// refuses WAL mode. Seen in virtual machines and with bindfs; held by `a_refused_mapping_is_explained` and
/// `a_file_system_without_shared_mappings_is_named`.
pub(super) fn refuses_mappings(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENODEV | libc::EOPNOTSUPP | libc::ENOSYS))
}

/// Whether the file system maps this file shared. It is tried with a mapping through which nothing is read.
pub(super) fn shared_mapping(file: &File) -> SharedMapping {
    match sys::map_shared(file, 4096) {
        Ok(_) => SharedMapping::Granted,
        Err(error) if refuses_mappings(&error) => SharedMapping::Refused,
        Err(_) => SharedMapping::NotTried,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn own_mapping_tells_the_identity_even_of_an_empty_file() {
        let file = tempfile::tempfile().unwrap();
        let id = *mapped_identity(&Proc::system(), &file).value().unwrap();
        assert_eq!(id.inode, file.metadata().unwrap().ino());
    }

    #[test]
    fn a_file_that_cannot_be_mapped_says_why() {
        let folder = File::open("/").unwrap();
        assert!(mapped_identity(&Proc::system(), &folder).reason().unwrap().starts_with("mmap"));
    }
}
