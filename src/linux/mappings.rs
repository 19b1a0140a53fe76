//! Which processes map a wal-index.

use std::os::unix::ffi::OsStrExt;

use crate::evidence::{Container, InodeId, Mapping, MappingsView, Observation};
use crate::linux::cgroup;
use crate::linux::maps::{MapsLine, escaped, parse};
use crate::linux::procfs::{Proc, Process, refused, unseen, vanished};
use crate::linux::target::Target;

/// SQLite maps a wal-index in blocks of 32 KiB (`WALINDEX_PGSZ` in wal.c). A shorter mapping is none in use, but a look
/// at its identity such as walscope's own.
pub const BLOCK: u64 = 32 * 1024;

/// What to look for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The `-shm` as `maps` prints it, if there is one.
    pub identity: Option<InodeId>,
    /// Its path, escaped as `maps` prints it.
    path: Vec<u8>,
    /// What stands before paths of the target's process when they are read from here.
    prefix: Vec<u8>,
    /// The mount namespace of the target's process.
    mount_namespace: Option<String>,
}

impl Wanted {
    /// The `-shm` at a canonical path, as seen from the mount namespace of the target's process.
    #[must_use]
    pub fn new(proc: &Proc, identity: Option<InodeId>, shm: &Target) -> Self {
        let mount_namespace = shm.process(proc).ok().and_then(|process| process.link("ns/mnt").value().cloned());
        let prefix = escaped(shm.prefix().as_os_str().as_bytes());
        Self { identity, path: shm.as_printed(), prefix, mount_namespace }
    }

    /// A path column as the target's process would read it, where it is of the same namespace.
    fn shown(&self, path: &[u8]) -> String {
        String::from_utf8_lossy(path.strip_prefix(self.prefix.as_slice()).unwrap_or(path)).into_owned()
    }

    /// A mapping of the same inode, or one under the same path in the same mount namespace. In another mount namespace
    /// the same path means nothing: two containers' own `/data/t.db-shm` read alike here.
    fn wants(&self, line: &MapsLine<'_>, mount_namespace: &Observation<String>) -> bool {
        let same_namespace = self.mount_namespace.is_some() && self.mount_namespace.as_ref() == mount_namespace.value();
        line.length() >= BLOCK
            && (self.identity == Some(line.inode)
                || (same_namespace && line.inode.inode != 0 && line.path == self.path))
    }
}

/// Looks at every visible process. Processes that end meanwhile are left out.
#[must_use]
pub fn scan(proc: &Proc, wanted: &Wanted) -> Observation<MappingsView> {
    let pids = match proc.pids() {
        Ok(pids) => pids,
        Err(error) => return unseen("listing the processes", &error),
    };
    let mut view = MappingsView::default();
    for pid in pids {
        let maps = proc.process(pid).and_then(|process| Ok((process.read("maps")?, process)));
        match maps {
            Ok((text, process)) => match of_process(&process, &text, wanted) {
                Ok(found) => {
                    view.processes_read = view.processes_read.saturating_add(1);
                    view.mappings.extend(found);
                }
                Err(reason) => deny(&mut view, reason),
            },
            Err(error) if vanished(&error) => {}
            Err(error) if refused(&error) => deny(&mut view, format!("{pid}/maps: {error}")),
            Err(error) => deny(&mut view, format!("{pid}/maps could not be read: {error}")),
        }
    }
    Observation::seen(view)
}

fn deny(view: &mut MappingsView, reason: String) {
    view.processes_denied = view.processes_denied.saturating_add(1);
    view.denied_reason.get_or_insert(reason);
}

fn of_process(process: &Process, text: &[u8], wanted: &Wanted) -> Result<Vec<Mapping>, String> {
    let lines = parse(text).map_err(|error| format!("{}/maps: {error}", process.pid))?;
    let mount_namespace = process.link("ns/mnt");
    let lines = lines.iter().filter(|line| wanted.wants(line, &mount_namespace));
    Ok(lines
        .map(|line| Mapping {
            pid: process.pid,
            command: process.command(),
            start_time: process.start_time(),
            mount_namespace: mount_namespace.clone(),
            container: container(process),
            inode: line.inode,
            offset: line.offset,
            length: line.length(),
            shared: line.shared,
            path: wanted.shown(line.path),
            deleted_suffix: line.deleted_suffix,
        })
        .collect())
}

/// The container of a process, as its cgroup path reads from here.
pub(super) fn container(process: &Process) -> Option<Container> {
    cgroup::container(&process.read("cgroup").ok()?)
}

/// The lines of one process's `maps` that [`scan`] keeps, for the record.
#[must_use]
pub fn raw_lines(proc: &Proc, pid: u32, wanted: &Wanted) -> Observation<Vec<u8>> {
    let read = proc.process(pid).and_then(|process| Ok((process.read("maps")?, process)));
    let (text, process) = match read {
        Ok(read) => read,
        Err(error) => return unseen(&format!("{pid}/maps"), &error),
    };
    let lines = match parse(&text) {
        Ok(lines) => lines,
        Err(error) => return Observation::unsupported(format!("{pid}/maps: {error}")),
    };
    let mount_namespace = process.link("ns/mnt");
    let kept = lines.iter().filter(|line| wanted.wants(line, &mount_namespace));
    Observation::seen(kept.flat_map(|line| line.text.iter().chain(b"\n")).copied().collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::evidence::Device;

    const ID: InodeId = InodeId { device: Device { major: 254, minor: 0 }, inode: 7 };

    fn process(root: &Path, pid: &str, mount: &str, maps: &str) {
        let folder = root.join(pid);
        fs::create_dir_all(folder.join("ns")).unwrap();
        fs::write(folder.join("maps"), maps).unwrap();
        fs::write(folder.join("comm"), "app\n").unwrap();
        fs::write(folder.join("stat"), "1 (app) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 77 20").unwrap();
        fs::write(folder.join("cgroup"), format!("0::/docker/{}", "a".repeat(64))).unwrap();
        symlink(mount, folder.join("ns/mnt")).unwrap();
    }

    fn line(inode: u64, length: u64, path: &str) -> String {
        format!("10000-{:x} rw-s 00000000 fe:00 {inode}      {path}\n", 0x10000 + length)
    }

    fn pids(root: &Path, identity: Option<InodeId>) -> Vec<(u32, u64, bool)> {
        let proc = Proc::new(root);
        let view = scan(&proc, &Wanted::new(&proc, identity, &Target::from("/data/t.db-shm")));
        view.value().unwrap().mappings.iter().map(|map| (map.pid, map.inode.inode, map.deleted_suffix)).collect()
    }

    #[test]
    fn the_inode_counts_everywhere_and_the_path_only_in_one_s_own_mount_namespace() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "self", "mnt:[1]", "");
        process(root.path(), "10", "mnt:[1]", &line(7, BLOCK, "/data/t.db-shm"));
        process(root.path(), "11", "mnt:[2]", &line(7, BLOCK, "/elsewhere/t.db-shm"));
        process(root.path(), "12", "mnt:[1]", &line(8, BLOCK, "/data/t.db-shm (deleted)"));
        process(root.path(), "13", "mnt:[2]", &line(9, BLOCK, "/data/t.db-shm"));
        process(root.path(), "14", "mnt:[1]", &line(9, BLOCK, "/data/t.db-shmx"));
        assert_eq!(pids(root.path(), Some(ID)), [(10, 7, false), (11, 7, false), (12, 8, true)]);
        assert_eq!(pids(root.path(), None), [(10, 7, false), (12, 8, true)]);
    }

    #[test]
    fn a_look_of_one_page_is_no_wal_index_in_use() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "10", "mnt:[1]", &line(7, 4096, "/data/t.db-shm"));
        assert_eq!(pids(root.path(), Some(ID)), []);
    }

    #[test]
    fn a_mapping_says_whose_it_is() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "10", "mnt:[1]", &line(7, BLOCK, "/data/t.db-shm"));
        let proc = Proc::new(root.path());
        let wanted = Wanted::new(&proc, Some(ID), &Target::from("/data/t.db-shm"));
        let view = scan(&proc, &wanted);
        let found = &view.value().unwrap().mappings[0];
        assert_eq!((found.command.as_deref(), found.start_time), (Some("app"), Some(77)));
        assert_eq!(found.container.as_ref().unwrap().runtime, "docker");
        assert_eq!((found.length, found.shared), (BLOCK, true));
        let raw = raw_lines(&proc, 10, &wanted);
        assert_eq!(raw.value().unwrap(), line(7, BLOCK, "/data/t.db-shm").as_bytes());
        assert!(matches!(raw_lines(&proc, 11, &wanted), Observation::Missing { .. }));
    }

    #[test]
    fn a_text_that_was_not_understood_is_no_process_seen() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "10", "mnt:[1]", "rubbish\n");
        let proc = Proc::new(root.path());
        let view = scan(&proc, &Wanted::new(&proc, Some(ID), &Target::from("/x")));
        let view = view.value().unwrap();
        assert_eq!((view.processes_read, view.processes_denied), (0, 1));
        assert!(view.denied_reason.as_ref().unwrap().contains("rubbish"));
    }
}
