//! Mount namespaces of threads and processes.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// A mount namespace of its own for this thread; nothing that is mounted there is seen outside.
#[expect(deprecated, reason = "its successor is unsafe for the sake of CLONE_FILES alone, which is not used here")]
pub fn own_mounts() -> io::Result<()> {
    rustix::thread::unshare(UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(())
}

/// Into the mount namespace of this process.
pub fn mounts_of(pid: &str) -> io::Result<()> {
    let file = File::open(format!("/proc/{pid}/ns/mnt"))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Mount))?;
    Ok(())
}

/// Mounts of this thread, unmounted in reverse order.
#[derive(Default)]
pub struct Mounts(Vec<PathBuf>);

impl Mounts {
    pub fn add(&mut self, at: &Path) {
        self.0.push(at.to_owned());
    }

    /// Unmounts all. Panics if something is still mounted below `folder`: nothing may be deleted through a mount.
    pub fn undo(&mut self, folder: &Path) {
        for at in self.0.drain(..).rev() {
            let _ = unmount(&at, UnmountFlags::DETACH);
        }
        let left = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let below = |line: &&str| line.split(' ').nth(4).is_some_and(|at| Path::new(at).starts_with(folder));
        if let Some(line) = left.lines().find(below) {
            panic!("still mounted: {line}");
        }
    }
}
