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
    /// The part of the file system that is mounted.
    pub root: String,
    /// Where.
    pub mount_point: String,
    /// Type.
    pub fs_type: String,
    /// Source.
    pub source: String,
    /// Options of the superblock.
    pub super_options: String,
}

/// Identifiers of the namespaces a process lives in, as the links in `/proc/PID/ns` read (`mnt:[4026531841]`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Namespaces {
    /// Mounts.
    pub mount: Observation<String>,
    /// Process ids.
    pub pid: Observation<String>,
    /// Users.
    pub user: Observation<String>,
    /// Clock offsets.
    pub time: Observation<String>,
}

/// The container a process belongs to, as far as its cgroup path names one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Container {
    /// Runtime as the path names it: `docker`, `podman`, `containerd`, `kubernetes`.
    pub runtime: String,
    /// Full id as the path has it.
    pub id: String,
    /// Its name, where the runtime was there to be asked.
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

/// Who this side is, from the process whose files were looked at: kernel, namespaces, container, user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct HostView {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Observation<String>,
    /// Kernel release, uname(2).
    pub kernel_release: Observation<String>,
    /// Host name, uname(2); a container's short id, usually. Missing for another process's files.
    pub host_name: Observation<String>,
    /// The process whose files were looked at, in the PID namespace of the observer: the capturing one, or another.
    pub pid: u32,
    /// Its effective user; 4294967295 where it could not be seen.
    #[cfg_attr(feature = "capture", serde(with = "unseen_id"), schemars(with = "u32"))]
    pub uid: Option<u32>,
    /// Its effective group.
    #[cfg_attr(feature = "capture", serde(with = "unseen_id"), schemars(with = "u32"))]
    pub gid: Option<u32>,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Its container. Missing: its cgroup path names none (with cgroup namespaces it seldom does).
    pub container: Observation<Container>,
    /// The mounts that the database's directory and files were reached through.
    pub mounts: Observation<Vec<Mount>>,
}
