//! A process that is frozen with its control group, as `docker pause` does it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::pause;

/// A control group of its own with one process in it. The process goes on when this ends.
pub struct Frozen {
    folder: PathBuf,
    thaw: (PathBuf, &'static str),
    pid: u32,
    /// The group that the process came from.
    home: PathBuf,
}

impl Frozen {
    /// Freezes a process. `None`: no control groups can be made here.
    pub fn freeze(pid: u32) -> Option<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let home = |controller: &str| {
            let line = groups.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
            line.filter(|parts| parts[1] == controller).map(|parts| parts[2].trim_start_matches('/').to_owned()).next()
        };
        let name = format!("walscope-test-{}-{pid}", std::process::id());
        // Version 1, and version 2: man 7 cgroups.
        for (root, controller, file, freeze, thaw) in [
            ("/sys/fs/cgroup/freezer", "freezer", "freezer.state", "FROZEN", "THAWED"),
            ("/sys/fs/cgroup", "", "cgroup.freeze", "1", "0"),
        ] {
            let Some(home) = home(controller).map(|home| Path::new(root).join(home)) else { continue };
            let folder = Path::new(root).join(&name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let frozen = Self { thaw: (folder.join(file), thaw), folder, pid, home };
            let moved = fs::write(frozen.folder.join("cgroup.procs"), pid.to_string());
            if moved.and_then(|()| fs::write(&frozen.thaw.0, freeze)).is_ok() {
                frozen.wait(file);
                return Some(frozen);
            }
        }
        None
    }

    fn wait(&self, file: &str) {
        let (file, word) = if file == "freezer.state" { (file, "FROZEN") } else { ("cgroup.events", "frozen 1") };
        while !fs::read_to_string(self.folder.join(file)).unwrap().contains(word) {
            pause();
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = fs::write(&self.thaw.0, self.thaw.1);
        let _ = fs::write(self.home.join("cgroup.procs"), self.pid.to_string());
        let _ = fs::remove_dir(&self.folder);
    }
}
