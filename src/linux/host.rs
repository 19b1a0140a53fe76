//! Which kernel and user this is.

use std::sync::Arc;

use rustix::process::{getegid, geteuid};
use rustix::system::uname;

use crate::evidence::{Container, HostView, Mount, Observation};
use crate::linux::open::OpenedFiles;
use crate::linux::procfs::Proc;
use crate::linux::target::Target;
use crate::linux::{container, mounts, namespaces, runtimes, stat};

/// Where the boot id is.
pub(super) const BOOT_ID: &str = "sys/kernel/random/boot_id";

/// Kernel, namespaces, container and user of the process that the files belong to, and the mounts through which they
/// were reached.
#[must_use]
pub fn host_view(files: &OpenedFiles) -> HostView {
    let proc = Proc::system();
    let opened = [&files.database, &files.wal, &files.shm, &files.journal].into_iter().filter_map(Observation::value);
    let opened = opened.map(Arc::as_ref).chain([&files.directory]);
    let used: Vec<u64> = opened.filter_map(|file| stat::mount_id(&proc, file).value().copied()).collect();
    view(&proc, &files.target, &mounts::of(&proc, &files.target), &used)
}

/// Kernel, namespaces, container and user of the target's process; `all` are its mounts, `used` the ids of the mounts
/// to keep.
fn view(proc: &Proc, target: &Target, all: &Observation<Vec<Mount>>, used: &[u64]) -> HostView {
    let kernel = uname();
    let process = target.process(proc);
    let other = target.pid().and(process.as_ref().ok());
    let (uid, gid) = match other {
        Some(other) => other.effective_ids().unzip(),
        None => (Some(geteuid().as_raw()), Some(getegid().as_raw())),
    };
    let text = |text: &std::ffi::CStr| Observation::seen(text.to_string_lossy().into_owned());
    let keep = |mounts: Vec<Mount>| mounts.into_iter().filter(|mount| used.contains(&mount.id)).collect();
    HostView {
        boot_id: proc.observe(BOOT_ID).map(|text| String::from_utf8_lossy(text.trim_ascii()).into_owned()),
        kernel_release: text(kernel.release()),
        host_name: match other {
            // uname(2) only describes the calling process.
            Some(_) => Observation::missing("not to be had of another process"),
            None => text(kernel.nodename()),
        },
        pid: target.pid().unwrap_or_else(std::process::id),
        uid,
        gid,
        namespaces: namespaces::of(&process),
        container: container::observed(&process, all)
            .map(|container| Container { name: runtimes::known_name(&container), ..container }),
        mounts: all.clone().map(keep),
    }
}

/// uname(2) as one line, for the raw texts.
#[must_use]
pub fn uname_text() -> Vec<u8> {
    let kernel = uname();
    let parts = [kernel.sysname(), kernel.nodename(), kernel.release(), kernel.version(), kernel.machine()];
    let mut text = parts.map(std::ffi::CStr::to_bytes).join(&b' ');
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fake_proc_is_believed_and_a_missing_text_keeps_its_reason() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("sys/kernel/random")).unwrap();
        std::fs::write(root.path().join(BOOT_ID), "5f2e\n").unwrap();
        let view = view(&Proc::new(root.path()), &Target::from("/"), &Observation::denied("closed"), &[]);
        assert_eq!(view.boot_id.value().map(String::as_str), Some("5f2e"));
        assert!(view.container.reason().unwrap().contains("cgroup"));
        assert_eq!(view.mounts.reason(), Some("closed"));
        assert!(uname_text().starts_with(b"Linux "));
    }
}
