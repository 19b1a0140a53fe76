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

/// What F_OFD_GETLK of fcntl(2) says about locks: it shows which lock would stop a write lock, and takes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedLocks {
    /// The kernel keeps the locks itself, in one list per inode. A lock that is seen stops others, and one that is not
    /// seen is not there.
    Enforced,
    /// A daemon, a server or another kernel answers. A lock that is seen may stop nobody. One that is not seen is not
    /// there.
    Shown,
    /// A lock that is seen may stop nobody, and one that is not seen may be there all the same.
    ShownInPart,
}

/// What shared mappings of one file have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedMappings {
    /// One inode has one page cache: all mappings of it are one memory.
    OneCache,
    /// Mappings through one mount of this kernel usually are one memory. Other mounts and other kernels have pages of
    /// their own. Some of these file systems refuse shared mappings.
    NotProvenByInode,
}

/// What page frames say that were read through a descriptor of walscope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFrames {
    /// A process that opens the file later gets the same pages.
    OfNextOpener,
    /// Only the mappings of running processes count: a process that opens the file later may get other pages.
    OfProcesses,
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
    /// What asking for a lock tells. Source: whether the file system has a `lock` operation of its own
    /// (Documentation/filesystems/locking.rst, `file_operations`); without one the kernel keeps the locks (fs/locks.c).
    ///
    /// folklore: on NFSv3 F_GETLK does not report shared locks of other clients, and F_SETLK is refused because of them
    /// (net/lockd). On NFSv4 a read-only descriptor can get a delegation, and its locks then stay on its client. Seen
    /// with two clients, and with two mounts of one client. Held by `an_unseen_lock_on_nfs_is_unknown_and_on_ext4_free`.
    ///
    /// folklore: a FUSE daemon that forwards locks takes them as locks of its own process. These never exclude each
    /// other, and F_GETLK shows them all the same. Seen with bindfs 1.14.7 `--enable-lock-forwarding`; held by
    /// `locks_that_a_fuse_mount_shows_and_grants_are_refuted_by_trying`.
    pub asked_locks: AskedLocks,
    /// What shared mappings have in common. Source: docs/evidence.md, `kernel_identity` and `mapping_coherence`.
    pub mappings: SharedMappings,
    /// What page frames tell. On layers a read-only descriptor may show pages of a lower layer; the first writer copies
    /// the file and then uses other pages. Source: Documentation/filesystems/overlayfs.rst, "Non-standard behavior".
    pub frames: PageFrames,
    /// Why WAL needs care on it. Source: docs/findings.md, `file_system_needs_care`; SQLite's wal.html, "All processes
    /// using a database must be on the same host computer". `None` means that no problem is known, not that there is
    /// none.
    pub care: Option<&'static str>,
    /// Whether a write into a file fails if statvfs(3) says that no block is free, and not otherwise. It was tried on
    /// tmpfs only. Held by `a_full_file_system_is_named_and_sqlite_agrees`.
    pub exact_room: bool,
    /// Whether it may grant a shared mapping that is only read where it refuses one that is written to. Source: `mmap` of the
    /// file system's `file_operations` (`generic_file_readonly_mmap`): 9p with `cache=none`, vboxsf.
    pub maps_for_reading_only: bool,
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
    asked_locks: AskedLocks::Enforced,
    mappings: SharedMappings::OneCache,
    frames: PageFrames::OfNextOpener,
    care: None,
    exact_room: false,
    maps_for_reading_only: false,
};

/// What is assumed about a file system without a row, the most careful of everything: its inode numbers prove nothing,
/// inotify may miss writes, a lock that is seen may stop nobody, and one that is not seen may be there.
///
/// It needs no care, because no reason is known.
pub const UNKNOWN: FileSystemKind = FileSystemKind {
    inodes: Inodes::Unreliable,
    reports_writes: false,
    asked_locks: AskedLocks::ShownInPart,
    mappings: SharedMappings::NotProvenByInode,
    frames: PageFrames::OfProcesses,
    ..LOCAL
};

/// A local file system whose inode numbers were not examined. The kernel keeps its locks and sees its writes.
const OF_THIS_KERNEL: FileSystemKind =
    FileSystemKind { inodes: Inodes::Unreliable, mappings: SharedMappings::NotProvenByInode, ..LOCAL };

/// A file system that a daemon or another kernel serves: others can write without this kernel, or this mount, noticing.
const SERVED: FileSystemKind =
    FileSystemKind { asked_locks: AskedLocks::Shown, frames: PageFrames::OfNextOpener, ..UNKNOWN };

/// A network file system, on which it was not examined whether every lock is seen.
const REMOTE: FileSystemKind = FileSystemKind { frames: PageFrames::OfNextOpener, ..UNKNOWN };

/// `f_type` of FUSE, also of virtiofs.
const FUSE: u64 = 0x6573_5546;

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
        exact_room: true,
        ..LOCAL
    },
    FileSystemKind {
        names: &["overlay"],
        magics: &[0x794c_7630],
        name: "overlay",
        title: "overlay",
        inodes: Inodes::Overlay,
        reports_writes: true,
        // It has no locks of its own: the kernel lists them at the overlay's inode.
        asked_locks: AskedLocks::Enforced,
        care: Some(
            "a file opened before its copy-up is another file afterwards, and two overlays of one folder share nothing that is written",
        ),
        ..UNKNOWN
    },
    FileSystemKind {
        names: &["aufs"],
        magics: &[0x6175_6673],
        name: "aufs",
        title: "aufs",
        reports_writes: true,
        ..UNKNOWN
    },
    FileSystemKind { names: &["zfs"], magics: &[0x2fc1_2fc1], name: "zfs", title: "ZFS", ..OF_THIS_KERNEL },
    FileSystemKind {
        names: &["bcachefs"],
        magics: &[0xca45_1a4e],
        name: "bcachefs",
        title: "bcachefs",
        ..OF_THIS_KERNEL
    },
    FileSystemKind { names: &["ramfs"], magics: &[0x8584_58f6], name: "ramfs", title: "ramfs", ..OF_THIS_KERNEL },
    FileSystemKind { names: &["vfat", "msdos"], magics: &[0x4d44], name: "vfat", title: "FAT", ..OF_THIS_KERNEL },
    FileSystemKind { names: &["exfat"], magics: &[0x2011_bab0], name: "exfat", title: "exFAT", ..OF_THIS_KERNEL },
    FileSystemKind { names: &["ntfs3"], magics: &[0x7366_746e], name: "ntfs3", title: "NTFS", ..OF_THIS_KERNEL },
    FileSystemKind { names: &["jfs"], magics: &[0x3153_464a], name: "jfs", title: "JFS", ..OF_THIS_KERNEL },
    FileSystemKind { names: &["nilfs2"], magics: &[0x3434], name: "nilfs2", title: "NILFS2", ..OF_THIS_KERNEL },
    // Nobody writes to these, and the kernel keeps locks on them as well.
    FileSystemKind {
        names: &["squashfs"],
        magics: &[0x7371_7368],
        name: "squashfs",
        title: "squashfs",
        ..OF_THIS_KERNEL
    },
    FileSystemKind { names: &["erofs"], magics: &[0xe0f5_e1e2], name: "erofs", title: "EROFS", ..OF_THIS_KERNEL },
    FileSystemKind { names: &["iso9660"], magics: &[0x9660], name: "iso9660", title: "ISO 9660", ..OF_THIS_KERNEL },
    FileSystemKind {
        names: &["fuse", "fuseblk"],
        magics: &[FUSE],
        name: "fuse",
        title: "FUSE",
        care: Some("two FUSE mounts of one folder each have memory and locks of their own"),
        ..SERVED
    },
    FileSystemKind {
        names: &["virtiofs"],
        title: "virtiofs",
        care: Some("it is shared with another kernel, and whether mappings are coherent depends on its DAX setting"),
        ..SERVED
    },
    FileSystemKind {
        names: &["9p"],
        magics: &[0x0102_1997],
        name: "9p",
        title: "9p",
        care: Some("it is shared with another kernel, and its mappings and locks need not reach there"),
        maps_for_reading_only: true,
        ..SERVED
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
    FileSystemKind {
        names: &["lustre"],
        magics: &[0x0bd0_0bd0],
        name: "lustre",
        title: "Lustre",
        care: Some(OTHER_MACHINE),
        ..REMOTE
    },
    FileSystemKind {
        names: &["gpfs"],
        magics: &[0x4750_4653],
        name: "gpfs",
        title: "GPFS",
        care: Some(OTHER_MACHINE),
        ..REMOTE
    },
    FileSystemKind {
        names: &["vboxsf"],
        magics: &[0x786f_4256],
        name: "vboxsf",
        title: "vboxsf",
        care: Some("it is shared with another kernel, and shared mappings are not supported"),
        maps_for_reading_only: true,
        ..REMOTE
    },
    FileSystemKind {
        names: &["prl_fs"],
        magics: &[0x7c7c_6673],
        name: "prl_fs",
        title: "prl_fs",
        care: Some("it is shared with another kernel"),
        ..REMOTE
    },
];

/// Magic numbers of file systems whose files are made by the kernel when they are read: no database lies there, and reading
/// a file can do something. Source: linux/magic.h and man 2 statfs; the last two from net/sunrpc and fs/nfsd.
const PSEUDO: &[u64] = &[
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0x1cd1,      // devpts
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0xf97c_ff8c, // selinux
    0x4341_5d53, // smack
    0x1980_0202, // mqueue
    0x4249_4e4d, // binfmt_misc
    0x6573_5543, // fusectl
    0x6e73_6673, // nsfs
    0x0187,      // autofs
    0x6759_6969, // rpc_pipefs
    0x6e66_7364, // nfsd
];

/// Whether `f_type` of statfs(2) is that of a file system whose files are made by the kernel when they are read.
#[must_use]
pub fn is_pseudo(magic: u64) -> bool {
    PSEUDO.contains(&magic)
}

/// Whether `f_type` of statfs(2) is that of FUSE, also of virtiofs.
#[must_use]
pub fn is_fuse(magic: u64) -> bool {
    magic == FUSE
}

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

    /// The row for a name, with or without a part after a dot, if the magic number agrees with it. This is the row for
    /// what may be said about locks: `fuse.bindfs` is FUSE.
    #[must_use]
    pub fn of_type(file_system: &FileSystem) -> &'static Self {
        let row = Self::by_name(&file_system.name);
        let virtiofs = row.magics.is_empty() && file_system.magic == FUSE;
        if row.magics.contains(&file_system.magic) || virtiofs { row } else { &UNKNOWN }
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
        for row in [FileSystemKind::by_name("newfs"), FileSystemKind::by_magic(0x1234_5678)] {
            assert_eq!(row, &UNKNOWN);
            assert!(!row.is_local() && !row.reports_writes);
            assert_eq!(row.asked_locks, AskedLocks::ShownInPart);
            assert_eq!(row.frames, PageFrames::OfProcesses);
        }
    }

    /// No row is more careful than the one for unknown file systems, and only the local ones prove by their inodes.
    #[test]
    fn only_local_file_systems_are_trusted() {
        for row in FILE_SYSTEMS {
            assert_eq!(row.is_local(), row.mappings == SharedMappings::OneCache, "{}", row.title);
            assert!(
                !row.is_local() || (row.asked_locks == AskedLocks::Enforced && row.reports_writes),
                "{}",
                row.title
            );
        }
        for name in
            ["fuse", "virtiofs", "9p", "nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "gpfs", "vboxsf", "prl_fs"]
        {
            let row = FileSystemKind::by_name(name);
            assert!(!row.reports_writes && row.asked_locks != AskedLocks::Enforced, "{name}");
            assert!(row.magics.iter().all(|magic| !FileSystemKind::by_magic(*magic).reports_writes), "{name}");
        }
        assert_eq!(FileSystemKind::by_magic(0x6969).asked_locks, AskedLocks::ShownInPart);
    }

    #[test]
    fn the_row_for_locks_needs_a_number_that_agrees_with_the_name() {
        let of = |name: &str, magic| {
            FileSystemKind::of_type(&FileSystem { name: name.to_owned(), magic, fsid: String::new() }).title
        };
        assert_eq!((of("fuse.bindfs", FUSE), of("nfs4", 0x6969), of("ext4", 0xef53)), ("FUSE", "NFS", "ext4"));
        assert_eq!(of("virtiofs", FUSE), FileSystemKind::by_name("virtiofs").title);
        for (name, magic) in [("ext4", FUSE), ("fuse.bindfs", 0xef53), ("virtiofs", 0xef53)] {
            assert_eq!(of(name, magic), UNKNOWN.title, "{name}");
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
