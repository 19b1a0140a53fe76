//! What is known about each kind of file system: one table, by name and by magic number.
//!
//! A row is found by the type that mountinfo prints, by `f_type` of statfs(2) (linux/magic.h), or by both. A file
//! system without a row is [`UNKNOWN`]: its inode numbers prove nothing.

use super::FileSystem;

/// What inode numbers of a file system say about memory and locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inodes {
    /// One inode is one page cache and one list of locks of this kernel.
    Local {
        /// FS_IOC_GETVERSION distinguishes an inode from an earlier inode with the same number.
        generations: bool,
    },
    /// Locks belong to the overlay's own inodes, pages to the inodes of another file system.
    Overlay,
    /// Equal numbers do not mean shared memory, different numbers do not mean different memory.
    Unreliable,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystemKind {
    /// Types as mountinfo prints them. Source: `file_system_type.name` in the kernel. A type may have a part after a
    /// dot, like `fuse.bindfs`; only the part before the dot is listed here.
    pub names: &'static [&'static str],
    /// `f_type` of statfs(2). Source: linux/magic.h. Empty where another row has the number (FUSE has the number of
    /// virtiofs), and where the number is not used here.
    pub magics: &'static [u64],
    /// Its name where only the magic number is known. Where the number stands for several types, this name is in no
    /// row's `names`.
    pub name: &'static str,
    /// Its name in sentences.
    pub title: &'static str,
    /// Whether identity proves anything. Source: docs/evidence.md, "Kernel identity", and the experiments there.
    pub inodes: Inodes,
    /// `maps` prints one device for all subvolumes, and a snapshot keeps the inode numbers; only `st_dev` distinguishes
    /// the files. Source: fs/proc/task_mmu.c prints the superblock's device, fs/btrfs/inode.c answers stat(2) with the
    /// subvolume's.
    pub subvolumes: bool,
    /// inotify reports every write, also writes through other mounts. Source: inotify(7), "Limitations and caveats",
    /// for network file systems; two FUSE mounts of one folder have two inodes here.
    pub reports_writes: bool,
    /// It has layers. A read-only descriptor may show pages of a lower layer; the first writer copies the file and then
    /// uses other pages. So page frames of such a descriptor say nothing about a process that opens the file later.
    /// Source: Documentation/filesystems/overlayfs.rst, "Non-standard behavior".
    pub layers: bool,
    /// Why WAL needs care on it. Source: docs/findings.md, `file_system_needs_care`; SQLite's wal.html, "All processes
    /// using a database must be on the same host computer". `None` means that no problem is known, not that there is
    /// none.
    pub care: Option<&'static str>,
}

/// A local file system with nothing special.
const LOCAL: FileSystemKind = FileSystemKind {
    names: &[],
    magics: &[],
    name: "unknown",
    title: "this file system",
    inodes: Inodes::Local { generations: true },
    subvolumes: false,
    reports_writes: true,
    layers: false,
    care: None,
};

/// What is assumed about a file system without a row: its inode numbers prove nothing.
///
/// It is also assumed that inotify reports its writes, as the kernel does for every local file system, and that it
/// needs no care, because no reason is known.
pub const UNKNOWN: FileSystemKind = FileSystemKind { inodes: Inodes::Unreliable, ..LOCAL };

/// A file system on another machine, or served by a daemon: others can write without this kernel, or this mount,
/// noticing.
const REMOTE: FileSystemKind = FileSystemKind { reports_writes: false, ..UNKNOWN };

const OTHER_MACHINE: &str = "another machine's mappings are never seen";
const SMB: &str = "another machine's mappings are never seen, and byte-range locks depend on the server and on options";

/// The table.
pub static FILE_SYSTEMS: &[FileSystemKind] = &[
    // All three have one magic number: only mountinfo distinguishes them.
    FileSystemKind {
        names: &["ext2", "ext3", "ext4"],
        magics: &[0xef53],
        name: "ext2/ext3/ext4",
        title: "ext4",
        ..LOCAL
    },
    FileSystemKind { names: &["xfs"], magics: &[0x5846_5342], name: "xfs", title: "XFS", ..LOCAL },
    FileSystemKind {
        names: &["btrfs"],
        magics: &[0x9123_683e],
        name: "btrfs",
        title: "btrfs",
        subvolumes: true,
        ..LOCAL
    },
    FileSystemKind { names: &["f2fs"], magics: &[0xf2f5_2010], name: "f2fs", title: "F2FS", ..LOCAL },
    FileSystemKind {
        names: &["tmpfs"],
        magics: &[0x0102_1994],
        name: "tmpfs",
        title: "tmpfs",
        inodes: Inodes::Local { generations: false },
        ..LOCAL
    },
    FileSystemKind {
        names: &["overlay"],
        magics: &[0x794c_7630],
        name: "overlay",
        title: "overlay",
        inodes: Inodes::Overlay,
        layers: true,
        care: Some(
            "a file opened before its copy-up is another file afterwards, and two overlays of one folder share nothing that is written",
        ),
        ..UNKNOWN
    },
    FileSystemKind { names: &["aufs"], magics: &[0x6175_6673], name: "aufs", title: "aufs", layers: true, ..UNKNOWN },
    FileSystemKind { names: &["zfs"], magics: &[0x2fc1_2fc1], name: "zfs", title: "ZFS", ..UNKNOWN },
    FileSystemKind {
        names: &["fuse", "fuseblk"],
        magics: &[0x6573_5546],
        name: "fuse",
        title: "FUSE",
        care: Some("two FUSE mounts of one folder each have memory and locks of their own"),
        ..REMOTE
    },
    FileSystemKind {
        names: &["virtiofs"],
        care: Some("it is shared with another kernel, and whether mappings are coherent depends on its DAX setting"),
        ..REMOTE
    },
    FileSystemKind {
        names: &["9p"],
        magics: &[0x0102_1997],
        name: "9p",
        title: "9p",
        care: Some("it is shared with another kernel, and its mappings and locks need not reach there"),
        ..REMOTE
    },
    FileSystemKind {
        names: &["nfs", "nfs4"],
        magics: &[0x6969],
        name: "nfs",
        title: "NFS",
        care: Some("another machine's mappings are never seen, and its locks only as far as the lock protocol works"),
        ..REMOTE
    },
    // One module mounts both types; the negotiated protocol decides the magic number.
    FileSystemKind { names: &["cifs"], magics: &[0xff53_4d42], name: "cifs", title: "CIFS", care: Some(SMB), ..REMOTE },
    FileSystemKind { names: &["smb3"], magics: &[0xfe53_4d42], name: "cifs", title: "SMB", care: Some(SMB), ..REMOTE },
    FileSystemKind {
        names: &["ceph"],
        magics: &[0x00c3_6400],
        name: "ceph",
        title: "Ceph",
        care: Some(OTHER_MACHINE),
        ..REMOTE
    },
    FileSystemKind { names: &["lustre"], title: "Lustre", care: Some(OTHER_MACHINE), ..REMOTE },
    FileSystemKind { names: &["gpfs"], title: "GPFS", care: Some(OTHER_MACHINE), ..REMOTE },
    FileSystemKind {
        names: &["vboxsf"],
        care: Some("it is shared with another kernel, and shared mappings are not supported"),
        ..REMOTE
    },
    FileSystemKind { names: &["prl_fs"], care: Some("it is shared with another kernel"), ..REMOTE },
];

impl FileSystemKind {
    /// The row for a type as mountinfo prints it, with or without a part after a dot.
    #[must_use]
    pub fn by_name(name: &str) -> &'static Self {
        let base = name.split('.').next().unwrap_or(name);
        FILE_SYSTEMS.iter().find(|row| row.names.contains(&base)).unwrap_or(&UNKNOWN)
    }

    /// The row for `f_type` of statfs(2).
    #[must_use]
    pub fn by_magic(magic: u64) -> &'static Self {
        FILE_SYSTEMS.iter().find(|row| row.magics.contains(&magic)).unwrap_or(&UNKNOWN)
    }

    /// The row that both the whole name and the magic number lead to. Both must agree: mountinfo can name a mount that
    /// another mount covers now, while the number comes from the descriptor.
    #[must_use]
    pub fn of(file_system: &FileSystem) -> &'static Self {
        let fits = |row: &&Self| row.names.contains(&&*file_system.name) && row.magics.contains(&file_system.magic);
        FILE_SYSTEMS.iter().find(fits).unwrap_or(&UNKNOWN)
    }

    /// Whether one inode is one page cache and one list of locks.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self.inodes, Inodes::Local { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_and_every_magic_number_leads_to_one_row() {
        let names: Vec<&str> = FILE_SYSTEMS.iter().flat_map(|row| row.names).copied().collect();
        let magics: Vec<u64> = FILE_SYSTEMS.iter().flat_map(|row| row.magics).copied().collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert_eq!(magics.iter().collect::<BTreeSet<_>>().len(), magics.len());
        for row in FILE_SYSTEMS {
            assert!(row.names.iter().all(|name| std::ptr::eq(FileSystemKind::by_name(name), row)));
            assert!(row.magics.iter().all(|magic| std::ptr::eq(FileSystemKind::by_magic(*magic), row)));
            assert!(!(row.names.is_empty() && row.magics.is_empty()));
        }
    }

    #[test]
    fn what_is_in_no_row_proves_nothing() {
        for row in [FileSystemKind::by_name("bcachefs"), FileSystemKind::by_magic(0xca45_1a4e)] {
            assert_eq!(row, &UNKNOWN);
            assert!(!row.is_local());
        }
    }

    #[test]
    fn a_row_needs_both_where_name_and_number_are_known() {
        let of = |name: &str, magic| {
            FileSystemKind::of(&FileSystem { name: name.to_owned(), magic, fsid: String::new() }).inodes
        };
        assert_eq!(of("ext4", 0xef53), Inodes::Local { generations: true });
        assert_eq!(of("tmpfs", 0x0102_1994), Inodes::Local { generations: false });
        assert_eq!(of("overlay", 0x794c_7630), Inodes::Overlay);
        for (name, magic) in [("ext4", 0x6573_5546), ("ext4.x", 0xef53), ("ext2/ext3/ext4", 0xef53), ("fuse", 0xef53)] {
            assert_eq!(of(name, magic), Inodes::Unreliable, "{name}");
        }
    }

    #[test]
    fn a_type_with_a_part_behind_a_dot_is_found() {
        assert_eq!(FileSystemKind::by_name("fuse.bindfs").title, "FUSE");
        assert_eq!(FileSystemKind::by_name("nfs4").title, "NFS");
    }
}
