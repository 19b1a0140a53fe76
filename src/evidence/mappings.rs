//! Processes that map the `-shm` of one side.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use super::{Container, InodeId, Observation};

/// One mapping of a wal-index in `/proc/PID/maps`: of the inode in question, or under the same path. Of several that a
/// process has of one file under one path, one for each block, the first in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Mapping {
    /// Process, in the PID namespace of the observer.
    pub pid: u32,
    /// `/proc/PID/comm`.
    pub command: Option<String>,
    /// Field 22 of `/proc/PID/stat`: with the pid it names one process.
    pub start_time: Option<u64>,
    /// The process's mount namespace, as `/proc/PID/ns/mnt` reads.
    pub mount_namespace: Observation<String>,
    /// The process's container.
    pub container: Option<Container>,
    /// What is mapped.
    pub inode: InodeId,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// Length of the mapping, bytes.
    pub length: u64,
    /// `s` in the permissions: shared. A private mapping is no wal-index in use.
    pub shared: bool,
    /// The path column without a trailing ` (deleted)`.
    pub path: String,
    /// Whether the path column ended with ` (deleted)`. OpenZFS prints that for live inodes too.
    pub deleted_suffix: bool,
    /// What the process is cut off from, when it kept this mapping through several looks. A process that closes a
    /// database removes the `-shm` first and unmaps it afterwards: seen once, that says nothing.
    #[cfg_attr(feature = "capture", serde(default))]
    pub cut_off: Option<CutOff>,
    /// Whether the process has the side's database open, by device and inode. `null`: not known. A wal-index in use
    /// belongs to a database that is open; through several looks without it, the process has another one.
    #[cfg_attr(feature = "capture", serde(default))]
    pub database_open: Option<bool>,
    /// Whether the process has the side's `-wal` open, by device and inode. `null`: not known.
    #[cfg_attr(feature = "capture", serde(default))]
    pub wal_open: Option<bool>,
}

/// Why whoever opens the path does not meet the process that has another wal-index mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum CutOff {
    /// It was mapped under the side's path, which leads to another file now, or to none.
    Path,
    /// The process has the side's database open, and maps this file as its wal-index instead of the side's `-shm`.
    Database,
}

/// Every mapping found, and how far one could look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct MappingsView {
    /// Mappings of the `-shm` in question, or of another file under the same path.
    pub mappings: Vec<Mapping>,
    /// Processes whose maps could be read.
    pub processes_read: u32,
    /// Processes whose maps could not be read, with the reason of the first.
    pub processes_denied: u32,
    /// Why the first of them could not be read.
    pub denied_reason: Option<String>,
    /// Mappings that seemed cut off and were gone, or reachable again, at a further look; they are left out.
    #[cfg_attr(feature = "capture", serde(default))]
    pub passing: u32,
    /// Mappings left out of `mappings`, because there were too many. Those that speak against sharing are left out last.
    #[cfg_attr(feature = "capture", serde(default))]
    pub mappings_not_listed: u64,
}
