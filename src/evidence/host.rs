//! The process whose files were looked at: its kernel, mounts, namespaces, container and user.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use super::{Device, Observation};

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Mount {
    /// Mount id.
    pub id: u64,
    /// Parent's mount id.
    pub parent: u64,
    /// `st_dev` of files on it.
    pub device: Device,
    /// The folder of the file system that is mounted.
    pub root: String,
    /// The mount point.
    pub mount_point: String,
    /// Type of the file system.
    pub fs_type: String,
    /// The source of the mount.
    pub source: String,
    /// Options of the superblock.
    pub super_options: String,
}

/// Identifiers of the namespaces of a process, in the form of the links in `/proc/PID/ns` (`mnt:[4026531841]`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Namespaces {
    /// The mount namespace.
    pub mount: Observation<String>,
    /// The PID namespace.
    pub pid: Observation<String>,
    /// The user namespace.
    pub user: Observation<String>,
    /// The time namespace.
    pub time: Observation<String>,
}

/// The container of a process, if its cgroup path names one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Container {
    /// The runtime that the path names: `docker`, `podman`, `containerd`, `kubernetes`.
    pub runtime: String,
    /// The full id in the path.
    pub id: String,
    /// Its name, if its runtime could be asked.
    #[cfg_attr(feature = "capture", serde(default))]
    pub name: Option<String>,
}

/// What documents and bundles hold in place of a user or group that could not be seen. The kernel gives it to nobody: to
/// chown(2) it means "leave it as it is".
const UNSEEN_ID: u32 = u32::MAX;

/// An id as documents and bundles hold it.
#[must_use]
pub fn id_in_documents(id: Option<u32>) -> u32 {
    id.unwrap_or(UNSEEN_ID)
}

#[cfg(feature = "capture")]
mod unseen_id {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
        super::id_in_documents(*id).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
        Ok(Some(u32::deserialize(deserializer)?).filter(|id| *id != super::UNSEEN_ID))
    }
}

/// Kernel, namespaces, container and user of the process whose files were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct HostView {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Observation<String>,
    /// Kernel release, uname(2).
    pub kernel_release: Observation<String>,
    /// Host name, uname(2); in a container usually its short id. It is missing for the files of another process.
    pub host_name: Observation<String>,
    /// The process whose files were looked at, in the PID namespace of the observer. It is the capturing process or
    /// another one.
    pub pid: u32,
    /// Its effective user; 4294967295 if it could not be seen.
    #[cfg_attr(feature = "capture", serde(with = "unseen_id"), schemars(with = "u32"))]
    pub uid: Option<u32>,
    /// Its effective group.
    #[cfg_attr(feature = "capture", serde(with = "unseen_id"), schemars(with = "u32"))]
    pub gid: Option<u32>,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Its container. Missing: its cgroup path names none, as is usual with cgroup namespaces.
    pub container: Observation<Container>,
    /// The mounts through which the files and the folder of the database were reached.
    pub mounts: Observation<Vec<Mount>>,
}
