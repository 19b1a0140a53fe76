//! The root of a container is that of its mount namespace, as `docker exec` and `docker cp` see it. The container's first
//! process can have another one.
//!
//! folklore: `/proc/PID/root` is where that process begins its paths, and a process can move it by chroot(2): a supervisor
//! that jails itself does. A path beneath it may be another file than the path in the container. Seen with two folders of
//! one container that both hold `/data/t.db`; held by `a_first_process_in_a_jail_does_not_move_its_container_s_paths`.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::linux::procfs::{Proc, Process};
use crate::linux::target::{Target, printed};
use crate::linux::{container, mounts, stat};

/// A process of container `id` that has the container's root: the first process, else another one in its mount namespace.
///
/// # Errors
/// When there is none, or it cannot be told.
pub(super) fn process(proc: &Proc, first: Process, id: &str) -> io::Result<Process> {
    let Some(elsewhere) = root_elsewhere(proc, &first)? else { return Ok(first) };
    let namespace = first.link("ns/mnt");
    let of_container = |process: &Process| {
        let target = Target::of_bound(process)?;
        let mounts = mounts::of(proc, &target);
        let found = container::observed(&Ok(process.try_clone()?), &mounts);
        Ok::<_, io::Error>(found.value().is_some_and(|container| container.id == id))
    };
    let suits = |process: &Process| {
        namespace.value().is_some()
            && process.link("ns/mnt").value() == namespace.value()
            && matches!(root_elsewhere(proc, process), Ok(None))
            && of_container(process).unwrap_or(false)
    };
    let others = proc.pids()?.into_iter().filter(|pid| *pid != first.pid);
    others.filter_map(|pid| proc.process(pid).ok()).find(suits).ok_or_else(|| {
        let pid = first.pid;
        io::Error::other(format!(
            "its first process {pid} has another root ({elsewhere}), and no process is seen that has the container's root: name the file as process {pid} sees it, by pid:{pid}:/path"
        ))
    })
}

/// Where in its mount namespace the root of a process is; `None`: it is the root of the namespace.
fn root_elsewhere(proc: &Proc, process: &Process) -> io::Result<Option<String>> {
    let root = File::from(process.open_root()?);
    // The kernel prints a file of another mount namespace from the root of that namespace. A mount that was detached, and
    // one that is covered by another one, are printed as `/` too; the list of mounts tells them apart.
    let at = printed(&root).ok_or_else(|| io::Error::other("the kernel does not tell where its root is"))?;
    if at != Path::new("/") {
        return Ok(Some(at.display().to_string()));
    }
    let target = Target::of_bound(process)?;
    let mounts = mounts::of(proc, &target);
    let id = stat::mount_id(proc, &root);
    let (Some(mounts), Some(id)) = (mounts.value(), id.value()) else {
        return Err(io::Error::other("it cannot be told whether its first process has the container's root"));
    };
    let at_root: Vec<u64> = mounts.iter().filter(|mount| mount.mount_point == "/").map(|mount| mount.id).collect();
    Ok((at_root != [*id]).then(|| "a mount that is covered or detached".to_owned()))
}
