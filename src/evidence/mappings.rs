//! Processes that map the `-shm` of one side.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use super::{Container, InodeId, Observation};

/// One mapping of a wal-index in `/proc/PID/maps`: of the inode in question, or of another file under the same path. A
/// process has one mapping for each block; of those of one file under one path, the first in the file is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Mapping {
    /// Process id in the PID namespace of the observer.
    pub pid: u32,
    /// Name of its command, from `/proc/PID/comm`.
    pub command: Option<String>,
    /// Start time of the process: field 22 of `/proc/PID/stat`. Together with the pid it names one process.
    pub start_time: Option<u64>,
    /// The process's mount namespace, as the link `/proc/PID/ns/mnt` names it.
    pub mount_namespace: Observation<String>,
    /// Whether the process looks its paths up where the side's process does. An equal path counts only then.
    #[cfg_attr(feature = "capture", serde(default))]
    pub root: Root,
    /// The process's container.
    pub container: Option<Container>,
    /// Device and inode of the mapped file.
    pub inode: InodeId,
    /// Where it begins in the memory of its process; 0 if that was not recorded. Two mappings of one process can print alike
    /// but for this.
    #[cfg_attr(feature = "capture", serde(default, with = "super::decimal"), schemars(with = "String"))]
    pub address: u64,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Length of the mapping, in bytes.
    pub length: u64,
    /// Whether the mapping is shared (`s` in the permissions). A private mapping is not a wal-index in use.
    pub shared: bool,
    /// The path column without a trailing ` (deleted)`.
    pub path: String,
    /// Whether the path column ended with ` (deleted)`. OpenZFS prints that for live inodes too.
    pub deleted_suffix: bool,
    /// What the process is cut off from, if it kept this mapping through several looks. A process that closes a
    /// database removes the `-shm` first and unmaps it afterwards, so a mapping that was seen once shows nothing.
    #[cfg_attr(feature = "capture", serde(default))]
    pub cut_off: Option<CutOff>,
    /// Whether the process has the side's database open, by device and inode. Null: not known. A wal-index in use
    /// belongs to an open database. A process that has another database open in several looks uses that one.
    #[cfg_attr(feature = "capture", serde(default), schemars(with = "Option<bool>"))]
    pub database_open: FileOpen,
    /// Whether the process has the side's `-wal` open, by device and inode. Null: not known.
    #[cfg_attr(feature = "capture", serde(default), schemars(with = "Option<bool>"))]
    pub wal_open: FileOpen,
}

/// The root folder of a process, beside that of the process whose path is looked at. A path says which file is meant only
/// together with the mount namespace and the root (chroot) in which it is looked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum Root {
    /// It is the same folder on the same mount.
    Same,
    /// It is in the same mount namespace and lies below that of the side, so that the paths of its files are known there.
    Beneath,
    /// It is another one: an equal path may be another file.
    Another,
    /// Not seen: it counts neither for the path nor against it.
    NotKnown,
    /// Not recorded: a capture of an earlier walscope.
    #[default]
    NotRecorded,
}

/// Whether a process has a file open. Stored as true, false, or null.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(Serialize, Deserialize), serde(from = "Option<bool>", into = "Option<bool>"))]
pub enum FileOpen {
    /// It has.
    Open,
    /// It has not, though all that it has open was seen.
    NotOpen,
    /// Not seen, or there is no such file.
    #[default]
    NotKnown,
}

impl From<Option<bool>> for FileOpen {
    fn from(open: Option<bool>) -> Self {
        match open {
            Some(true) => Self::Open,
            Some(false) => Self::NotOpen,
            None => Self::NotKnown,
        }
    }
}

impl From<FileOpen> for Option<bool> {
    fn from(open: FileOpen) -> Self {
        match open {
            FileOpen::Open => Some(true),
            FileOpen::NotOpen => Some(false),
            FileOpen::NotKnown => None,
        }
    }
}

/// Why a process that opens the path now does not share the wal-index of the process that has this file mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum CutOff {
    /// It was mapped under the side's path, which now leads to another file or to nothing.
    Path,
    /// The process has the side's database open, but maps this file, not the side's `-shm`, as its wal-index.
    Database,
}

/// The mappings that were found, and how much could be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct MappingsView {
    /// Mappings of the `-shm` in question, and mappings of another file under the same path.
    pub mappings: Vec<Mapping>,
    /// Number of processes whose maps could be read.
    pub processes_read: u32,
    /// Number of processes whose maps could not be read.
    pub processes_denied: u32,
    /// Why the first of these processes could not be read.
    pub denied_reason: Option<String>,
    /// Number of mappings that seemed cut off, and were gone or reachable again at a later look. They are left out.
    #[cfg_attr(feature = "capture", serde(default))]
    pub passing: u32,
    /// Number of mappings that are not in `mappings` because there were too many. Mappings that refute sharing are left
    /// out last.
    #[cfg_attr(feature = "capture", serde(default))]
    pub mappings_not_listed: u64,
    /// Number of mappings that could not be looked at: they may be of this `-shm` or of another file. They are left out.
    #[cfg_attr(feature = "capture", serde(default))]
    pub mappings_unknown: u64,
    /// Why the first of these could not be looked at.
    #[cfg_attr(feature = "capture", serde(default))]
    pub unknown_reason: Option<String>,
}
