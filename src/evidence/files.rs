//! The files of one database: what open descriptors say about them.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use super::{Device, InodeId, Observation, Timestamp};

/// The file system of an open file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct FileSystem {
    /// Its type as mountinfo names it (`ext4`, `fuse.bindfs`, `overlay`). If mountinfo has no such mount, it is derived
    /// from `magic`.
    pub name: String,
    /// `f_type` of statfs(2).
    pub magic: u64,
    /// `f_fsid` of statfs(2), as 16 hexadecimal digits.
    pub fsid: String,
}

/// Whether a mount lets the files on it be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum MountAccess {
    /// It does.
    ReadWrite,
    /// The mount or its file system is read-only.
    ReadOnly,
}

/// What one open descriptor shows of its file: fstat, statx, ioctl, statfs, and a mapping of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct FileView {
    /// `st_dev`.
    pub device: Device,
    /// `st_ino`.
    #[cfg_attr(feature = "capture", serde(with = "super::decimal"), schemars(with = "String"))]
    pub inode: u64,
    /// `st_mode`: type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// `st_nlink`: number of paths that lead to the file; 0 means that it was deleted.
    pub links: u64,
    /// Bytes.
    pub size: u64,
    /// When the content changed last.
    pub modified: Timestamp,
    /// When the inode changed last.
    pub changed: Timestamp,
    /// When the file was last read.
    pub accessed: Timestamp,
    /// When the file was created: `stx_btime` of statx(2).
    pub birth_time: Observation<Timestamp>,
    /// Inode generation, FS_IOC_GETVERSION.
    pub generation: Observation<u32>,
    /// `stx_mnt_id` of statx(2): the mount through which it was opened.
    pub mount_id: Observation<u64>,
    /// The mount through which it was opened, by a number that no other mount gets while the machine is up
    /// (STATX_MNT_ID_UNIQUE, Linux 6.8).
    #[cfg_attr(feature = "capture", serde(default = "super::not_recorded::<u64>"))]
    pub unique_mount_id: Observation<u64>,
    /// `diskseq` of the block device that `device` names (Linux 5.15). It changes each time a disk is attached under
    /// this device number.
    #[cfg_attr(feature = "capture", serde(default = "super::not_recorded::<u64>"))]
    pub disk_sequence: Observation<u64>,
    /// Whether the mount through which it was opened is read-only: `f_flag` of statvfs(3).
    #[cfg_attr(feature = "capture", serde(default = "super::not_recorded::<MountAccess>"))]
    pub mount_access: Observation<MountAccess>,
    /// The file system.
    pub file_system: Observation<FileSystem>,
    /// Device and inode as the kernel prints them for a mapping of this file. Only looked at for the `-shm`.
    pub maps_identity: Observation<InodeId>,
}

/// The files of one database as one side sees them, and the folder in which SQLite would create the other files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct FilesView {
    /// The database's path with symbolic links resolved, as the process sees it whose files these are.
    pub database_path: String,
    /// How many symbolic links the name of the database itself led through.
    #[cfg_attr(feature = "capture", serde(default))]
    pub links_followed: u32,
    /// The folder of the resolved path.
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
