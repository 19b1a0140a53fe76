//! One process while its mappings are judged: beneath which root it looks its paths up, and what it has open.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, StatxFlags, statx};

use super::limits::DESCRIPTORS_OF_A_PROCESS;
use super::link::Link;
use crate::evidence::{LockSlot, Observation};
use crate::linux::procfs::Process;
use crate::linux::text::fdinfo::locks;
use crate::linux::text::maps::{MapsLine, escaped};
use crate::number::{Device, FileId};

/// The root folder of a process. Two processes of one mount namespace look the same paths up if it is one folder on one
/// mount: the same folder can be mounted twice, with other mounts below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RootId {
    folder: FileId,
    /// The mount, where the kernel tells it (Linux 5.8).
    mount: Option<u64>,
}

impl RootId {
    /// The root of a process.
    ///
    /// # Errors
    /// EACCES without the permission to trace the process; ENOENT when it has ended.
    pub(super) fn of(process: &Process) -> io::Result<Self> {
        Self::of_folder(&process.open_root()?)
    }

    /// An open folder, as the root of a process would be seen.
    pub(super) fn of_folder(folder: &impl AsFd) -> io::Result<Self> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let found = statx(folder, "", flags, StatxFlags::INO | StatxFlags::MNT_ID)?;
        let device = Device { major: found.stx_dev_major, minor: found.stx_dev_minor };
        let told = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
        Ok(Self { folder: FileId { device, inode: found.stx_ino }, mount: told.then_some(found.stx_mnt_id) })
    }
}

/// A descriptor of a process: its file, if that was seen, and its path as `maps` would print it, without ` (deleted)`.
pub(super) struct Descriptor {
    name: String,
    pub(super) file: Option<FileId>,
    pub(super) path: Vec<u8>,
}

/// Whether the descriptor with this number carries a lock of this slot.
pub(super) fn carries(process: &Process, number: &str, slot: LockSlot) -> bool {
    let bytes = slot.bytes();
    let text = process.read(&format!("fdinfo/{number}")).unwrap_or_default();
    let mut locks = locks(&text).into_iter();
    locks.any(|line| line.file.is_some_and(|file| line.holds(file, bytes.start, bytes.end - bytes.start)))
}

/// A process, and what was read of it. Everything is read at most once, and only if it is asked for.
pub(super) struct OneProcess<'p> {
    pub(super) process: &'p Process,
    /// Its mount namespace.
    pub(super) mount_namespace: Observation<String>,
    descriptors: OnceCell<Option<Vec<Descriptor>>>,
}

impl<'p> OneProcess<'p> {
    pub(super) fn of(process: &'p Process) -> Self {
        Self { process, mount_namespace: process.link("ns/mnt"), descriptors: OnceCell::new() }
    }

    /// What it has open; `None`: that could not be seen.
    pub(super) fn descriptors(&self) -> Option<&[Descriptor]> {
        let read = || {
            let descriptor = |name: String| {
                let link = format!("fd/{name}");
                let path = escaped(&Link::of(self.process, &name).map(|link| link.path).unwrap_or_default());
                Descriptor { file: self.process.file_behind(&link).ok(), path, name }
            };
            let names = self.process.names("fd").ok()?;
            Some(names.into_iter().take(DESCRIPTORS_OF_A_PROCESS).map(descriptor).collect())
        };
        self.descriptors.get_or_init(read).as_deref()
    }

    /// Whether it was seen to hold a lock of this slot through a descriptor.
    pub(super) fn holds(&self, descriptor: &Descriptor, slot: LockSlot) -> bool {
        carries(self.process, &descriptor.name, slot)
    }

    /// The one file that it has open under the path and the inode number of a mapping.
    ///
    /// folklore: SQLite keeps the descriptor of a `-shm` for as long as it has the file mapped (`unixShmNode.hShm`), because
    /// its locks hang on it. A container's root may not look through `map_files`, but through `fd`. Held by
    /// `on_btrfs_a_mapping_is_told_apart_by_the_descriptor_of_its_file`.
    pub(super) fn file_under_name_of(&self, line: &MapsLine<'_>) -> Option<FileId> {
        let under_name = |descriptor: &&Descriptor| descriptor.path == line.path;
        let files = self.descriptors()?.iter().filter(under_name).filter_map(|descriptor| descriptor.file);
        let files: BTreeSet<FileId> = files.filter(|file| file.inode == line.inode.inode).collect();
        let mut files = files.into_iter();
        files.next().filter(|_| files.next().is_none())
    }
}
