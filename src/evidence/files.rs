//! The files of one database: what open descriptors say about them.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use super::{Device, InodeId, Observation, Timestamp};

/// The file system that a descriptor lives on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct FileSystem {
    /// Type as mountinfo names it (`ext4`, `fuse.bindfs`, `overlay`), or derived from `magic` where mountinfo has no such mount.
    pub name: String,
    /// `f_type` of statfs(2).
    pub magic: u64,
    /// `f_fsid` of statfs(2), as 16 hexadecimal digits.
    pub fsid: String,
}

/// What one open descriptor says about its file: fstat, statx, ioctl, statfs, and a mapping of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct FileView {
    /// `st_dev`.
    pub device: Device,
    /// `st_ino`.
    #[cfg_attr(feature = "capture", serde(with = "super::decimal"), schemars(with = "String"))]
    pub inode: u64,
    /// `st_mode`, type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// `st_nlink`: 0 means that no path leads to it any more.
    pub links: u64,
    /// Bytes.
    pub size: u64,
    /// Content changed.
    pub modified: Timestamp,
    /// Inode changed.
    pub changed: Timestamp,
    /// Last access.
    pub accessed: Timestamp,
    /// `stx_btime` of statx(2).
    pub birth_time: Observation<Timestamp>,
    /// Inode generation, FS_IOC_GETVERSION.
    pub generation: Observation<u32>,
    /// `stx_mnt_id` of statx(2): the mount through which it was opened.
    pub mount_id: Observation<u64>,
    /// The mount through which it was opened, by a number that no other mount ever has while the machine is up
    /// (STATX_MNT_ID_UNIQUE, Linux 6.8).
    #[cfg_attr(feature = "capture", serde(default = "super::not_recorded::<u64>"))]
    pub unique_mount_id: Observation<u64>,
    /// `diskseq` of the block device that `device` names (Linux 5.15): another one each time a disk is attached under
    /// its number.
    #[cfg_attr(feature = "capture", serde(default = "super::not_recorded::<u64>"))]
    pub disk_sequence: Observation<u64>,
    /// The file system.
    pub file_system: Observation<FileSystem>,
    /// Device and inode as the kernel prints them for a mapping of this file. Only looked at for the `-shm`.
    pub maps_identity: Observation<InodeId>,
}

/// The files of one database as one side sees them, and the directory that SQLite would create siblings in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct FilesView {
    /// The database's path with symbolic links resolved, as the process whose files they are sees it.
    pub database_path: String,
    /// How many symbolic links the name of the database itself led through.
    #[cfg_attr(feature = "capture", serde(default))]
    pub links_followed: u32,
    /// The directory of the resolved path.
    pub directory: Observation<FileView>,
    /// The database.
    pub database: Observation<FileView>,
    /// The `-wal`.
    pub wal: Observation<FileView>,
    /// The `-shm`.
    pub shm: Observation<FileView>,
    /// The `-journal`.
    pub journal: Observation<FileView>,
}
