//! Which container a process belongs to.

use std::io;

use crate::evidence::{Container, Mount, Observation};
use crate::linux::procfs::Process;
use crate::linux::text::cgroup;
use crate::linux::unseen::unseen;

/// The container of a process, from its cgroup path as this process sees it.
pub(super) fn by_cgroup(process: &Process) -> Option<Container> {
    cgroup::container(&process.read("cgroup").ok()?)
}

/// The container of a process, from its cgroup path, or else from the mounts that a runtime makes.
pub(super) fn observed(process: &io::Result<Process>, mounts: &Observation<Vec<Mount>>) -> Observation<Container> {
    let cgroup = match process {
        Ok(process) => process.observe("cgroup"),
        Err(error) => unseen("cgroup", error),
    };
    let by_cgroup = cgroup.value().and_then(|text| cgroup::container(text));
    let by_mounts = || mounts.value().and_then(|mounts| cgroup::container_of_mounts(mounts));
    match (by_cgroup.or_else(by_mounts), cgroup.reason()) {
        (Some(container), _) => Observation::seen(container),
        (None, Some(reason)) => Observation::missing(reason),
        (None, None) => Observation::missing("neither the cgroup path nor the mounts name a container"),
    }
}
