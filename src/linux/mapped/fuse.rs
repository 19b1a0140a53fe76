//! Which processes serve a FUSE file system, and where it is mounted.

use crate::evidence::Mount;
use crate::linux::procfs::Process;
use crate::number::FileId;

/// The device of the descriptors by which a server talks to the kernel.
const DEVICE: &[u8] = b"/dev/fuse";

/// Where the FUSE file systems are mounted that a process serves. `None`: it serves none. Empty: it serves some that are not among
/// these mounts.
///
/// folklore: `fdinfo` of such a descriptor names the connection, which is the minor number of the file system's device
/// (`fuse_dev_show_fdinfo`; seen on Linux 6.18). Older kernels do not say it. Held by
/// `who_serves_a_fuse_mount_is_no_user_of_the_files_behind_it`.
pub(super) fn serves(process: &Process, others: &[(String, FileId)], mounts: &[Mount]) -> Option<Vec<String>> {
    let connections = connections(process, others.iter().map(|(name, _)| name.as_str()))?;
    let is_served = |mount: &&Mount| {
        mount.fs_type.starts_with("fuse") && mount.device.major == 0 && connections.contains(&mount.device.minor)
    };
    let mut served: Vec<String> = mounts.iter().filter(is_served).map(|mount| mount.mount_point.clone()).collect();
    served.sort();
    served.dedup();
    Some(served)
}

/// The connections of the FUSE file systems that a process serves by these descriptors: minor numbers of their devices. `None`: it
/// serves none. Empty: the kernel does not say which.
pub(super) fn connections<'n>(process: &Process, names: impl Iterator<Item = &'n str>) -> Option<Vec<u32>> {
    let is_device = |name: &&str| process.link_bytes(&format!("fd/{name}")).is_ok_and(|link| link == DEVICE);
    let descriptors: Vec<&str> = names.filter(is_device).collect();
    (!descriptors.is_empty()).then(|| descriptors.into_iter().filter_map(|name| connection(process, name)).collect())
}

fn connection(process: &Process, name: &str) -> Option<u32> {
    let text = process.read(&format!("fdinfo/{name}")).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|line| line.strip_prefix("fuse_connection:")?.trim().parse().ok())
}
