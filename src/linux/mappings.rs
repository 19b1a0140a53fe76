//! Which processes map a wal-index.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;

use crate::evidence::{Container, CutOff, Device, InodeId, Mapping, MappingsView, Observation};
use crate::linux::maps::{MapsLine, escaped, parse};
use crate::linux::procfs::{Proc, Process, refused, unseen, vanished};
use crate::linux::target::Target;
use crate::linux::{cgroup, elsewhere};

/// SQLite maps a wal-index in blocks of 32 KiB (`WALINDEX_PGSZ` in wal.c). A shorter mapping is none in use, but a look
/// at its identity such as walscope's own.
pub const BLOCK: u64 = 32 * 1024;
/// Mappings that are listed. A manifest has to be read by whoever compares it, and anybody can map a file often.
const LISTED: usize = 1024;

/// What to look for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The `-shm` as `maps` prints it, if there is one.
    pub identity: Option<InodeId>,
    /// `st_dev` and inode of the `-shm`, where `maps` does not tell it from files of other subvolumes (btrfs).
    pub exact: Option<(Device, u64)>,
    /// `st_dev` and inode of the database, if there is one.
    pub database: Option<(Device, u64)>,
    /// The same of the `-wal`.
    pub wal: Option<(Device, u64)>,
    /// Path of the `-shm`, escaped as `maps` prints it.
    pub(super) path: Vec<u8>,
    /// What stands before paths of the target's process when they are read from here.
    prefix: Vec<u8>,
    /// The mount namespace of the target's process.
    mount_namespace: Option<String>,
}

/// Where the path of the `-shm` leads at the moment of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leads {
    /// To the file that was opened.
    Here,
    /// To another file than the one that was opened, or to one where there was none.
    Elsewhere(Device, u64),
    /// To none.
    Nowhere,
    /// That could not be seen.
    Unknown,
}

/// What a line of `maps` is to the `-shm` in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// Its inode.
    This,
    /// Another file, mapped under its path in the observer's mount namespace.
    SamePath,
}

impl Wanted {
    /// The `-shm` at a canonical path, as seen from the mount namespace of the target's process.
    #[must_use]
    pub fn new(proc: &Proc, identity: Option<InodeId>, shm: &Target) -> Self {
        let mount_namespace = shm.process(proc).ok().and_then(|process| process.link("ns/mnt").value().cloned());
        let prefix = escaped(shm.prefix().as_os_str().as_bytes());
        let path = [prefix.clone(), escaped(shm.path().as_os_str().as_bytes())].concat();
        Self { identity, exact: None, database: None, wal: None, path, prefix, mount_namespace }
    }

    /// A path column as the target's process would read it, where it is of the same namespace.
    fn shown(&self, path: &[u8]) -> String {
        String::from_utf8_lossy(path.strip_prefix(self.prefix.as_slice()).unwrap_or(path)).into_owned()
    }

    fn own(&self, mount_namespace: &Observation<String>) -> bool {
        self.mount_namespace.is_some() && self.mount_namespace.as_ref() == mount_namespace.value()
    }

    /// A mapping of the same inode, or one under the same path in the same mount namespace. In another mount namespace
    /// the same path means nothing: two containers' own `/data/t.db-shm` read alike here.
    ///
    /// # Errors
    /// Why it could not be told whether it is the same inode.
    fn claim(
        &self,
        process: &Process,
        line: &MapsLine<'_>,
        mount_namespace: &Observation<String>,
    ) -> Result<Option<Claim>, String> {
        if line.length() < BLOCK || line.inode.inode == 0 {
            return Ok(None);
        }
        if self.identity == Some(line.inode) && self.is_exactly(process, line)? {
            return Ok(Some(Claim::This));
        }
        Ok((self.own(mount_namespace) && line.path == self.path).then_some(Claim::SamePath))
    }

    /// folklore: `maps` prints one device for all subvolumes of a btrfs, and a snapshot of a subvolume keeps the inode
    /// numbers. fs/proc/task_mmu.c prints the superblock's device; held by
    /// `on_btrfs_a_mapping_counts_only_if_the_file_behind_it_is_the_same`.
    fn is_exactly(&self, process: &Process, line: &MapsLine<'_>) -> Result<bool, String> {
        let Some(exact) = self.exact else { return Ok(true) };
        match process.file_behind(&format!("map_files/{:x}-{:x}", line.start, line.end)) {
            Ok(found) => Ok(found == exact),
            // What the path leads to speaks for it; against it that says nothing, the file may have been replaced.
            Err(_) if process.file_beneath_root(line.path).is_ok_and(|found| found == exact) => Ok(true),
            Err(error) => Err(format!(
                "{}: maps prints one device for all subvolumes of a btrfs, and the file behind a mapping could not be looked at: {error}",
                process.pid
            )),
        }
    }

    /// What a mapping seems to be cut off from, while the path leads there.
    fn cut_off(&self, claim: Claim, line: &MapsLine<'_>, own: bool, leads: Leads) -> Option<CutOff> {
        let cut_off = line.shared
            && match (claim, leads) {
                (Claim::This, Leads::Elsewhere(..) | Leads::Nowhere) => own,
                (Claim::SamePath, Leads::Here) => true,
                (Claim::SamePath, Leads::Nowhere) => self.identity.is_none() && line.deleted_suffix,
                _ => false,
            };
        cut_off.then_some(CutOff::Path)
    }
}

/// Looks once at every visible process, while the path of the `-shm` leads where `leads` says. Processes that end
/// meanwhile are left out. What seems cut off may be a process in closing: `mappings_view` looks again.
#[must_use]
pub fn scan(proc: &Proc, wanted: &Wanted, leads: Leads) -> Observation<MappingsView> {
    let pids = match proc.pids() {
        Ok(pids) => pids,
        Err(error) => return unseen("listing the processes", &error),
    };
    let mut view = MappingsView::default();
    for pid in pids {
        let maps = proc.process(pid).and_then(|process| Ok((process.read("maps")?, process)));
        match maps {
            Ok((text, process)) => match of_process(&process, &text, wanted, leads) {
                Ok(found) => {
                    view.processes_read = view.processes_read.saturating_add(1);
                    view.mappings.extend(found);
                    bound(&mut view, wanted.identity);
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

/// Keeps the list short. What speaks against sharing stays longest, so that what is left out can only have spoken for it.
fn bound(view: &mut MappingsView, identity: Option<InodeId>) {
    let more = view.mappings.len().saturating_sub(LISTED);
    if more > 0 {
        view.mappings_not_listed = view.mappings_not_listed.saturating_add(more as u64);
        let apart =
            |found: &Mapping| found.cut_off.is_some() || [found.database_open, found.wal_open].contains(&Some(false));
        view.mappings.sort_by_key(|found| (!apart(found), Some(found.inode) == identity, !found.shared));
        view.mappings.truncate(LISTED);
        view.mappings.sort_by_key(|found| found.pid);
    }
}

fn deny(view: &mut MappingsView, reason: String) {
    view.processes_denied = view.processes_denied.saturating_add(1);
    view.denied_reason.get_or_insert(reason);
}

fn of_process(process: &Process, text: &[u8], wanted: &Wanted, leads: Leads) -> Result<Vec<Mapping>, String> {
    let lines = parse(text).map_err(|error| format!("{}/maps: {error}", process.pid))?;
    let mount_namespace = process.link("ns/mnt");
    let own = wanted.own(&mount_namespace);
    let claims = lines.iter().map(|line| wanted.claim(process, line, &mount_namespace));
    let claims = claims.collect::<Result<Vec<_>, String>>()?;
    let this = claims.contains(&Some(Claim::This));
    // folklore: where the path has come to lead to another -shm since the files were opened, whoever maps that one is where
    // he should be, and the capture is what is old. By its inode number alone: on btrfs `maps` prints another device. Seen
    // with processes that live shortly; held by
    // `whoever_maps_a_wal_index_that_came_after_the_files_were_opened_is_not_cut_off`.
    let came_after = |line: &MapsLine<'_>| matches!(leads, Leads::Elsewhere(_, inode) if inode == line.inode.inode);
    let mut elsewhere = if this { BTreeSet::new() } else { elsewhere::of_database(process, &lines, wanted) };
    elsewhere.retain(|line| !came_after(line));
    let found = lines.iter().zip(claims).filter_map(|(line, claim)| {
        let by_database = elsewhere.contains(line).then_some(CutOff::Database);
        let cut_off = claim.and_then(|claim| wanted.cut_off(claim, line, own, leads)).or(by_database);
        (claim.is_some() || by_database.is_some()).then_some((line, cut_off))
    });
    let found = one_a_file(found.collect());
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let (command, start_time, container) = (process.command(), process.start_time(), container(process));
    let (database_open, wal_open) = if this { elsewhere::open(process, wanted) } else { (None, None) };
    let mapping = |(line, cut_off): (&MapsLine<'_>, Option<CutOff>)| Mapping {
        pid: process.pid,
        command: command.clone(),
        start_time,
        mount_namespace: mount_namespace.clone(),
        container: container.clone(),
        inode: line.inode,
        offset: line.offset,
        length: line.length(),
        shared: line.shared,
        path: wanted.shown(line.path),
        deleted_suffix: line.deleted_suffix,
        cut_off,
        database_open,
        wal_open,
    };
    Ok(found.into_iter().map(mapping).collect())
}

/// One line for all that a process maps of one file under one path: the one that begins first in the file, where page
/// tables are read.
///
/// folklore: SQLite maps every block of a wal-index by itself, so that beside a WAL of 40 GB each process has some 2,500
/// mappings of it. `unixShmMap` in os_unix.c; held by `the_blocks_of_a_wal_index_are_one_mapping`.
fn one_a_file<'l, 't>(mut found: Vec<(&'l MapsLine<'t>, Option<CutOff>)>) -> Vec<(&'l MapsLine<'t>, Option<CutOff>)> {
    let file = |(line, cut_off): &(&'l MapsLine<'t>, Option<CutOff>)| {
        (line.inode, line.path, line.deleted_suffix, line.shared, *cut_off)
    };
    found.sort_by_key(|found| (file(found), found.0.offset));
    found.dedup_by_key(|found| file(found));
    found
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
    let elsewhere = elsewhere::of_database(&process, &lines, wanted);
    let kept = lines.iter().filter(|line| {
        elsewhere.contains(line) || wanted.claim(&process, line, &mount_namespace).is_ok_and(|claim| claim.is_some())
    });
    Observation::seen(kept.flat_map(|line| line.text.iter().chain(b"\n")).copied().collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::Path;

    use super::*;

    pub(in crate::linux) const ID: InodeId = InodeId { device: Device { major: 254, minor: 0 }, inode: 7 };

    pub(in crate::linux) fn process(root: &Path, pid: &str, mount: &str, maps: &str) {
        let folder = root.join(pid);
        fs::create_dir_all(folder.join("ns")).unwrap();
        fs::write(folder.join("maps"), maps).unwrap();
        fs::write(folder.join("comm"), "app\n").unwrap();
        fs::write(folder.join("stat"), "1 (app) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 77 20").unwrap();
        fs::write(folder.join("cgroup"), format!("0::/docker/{}", "a".repeat(64))).unwrap();
        symlink(mount, folder.join("ns/mnt")).unwrap();
    }

    pub(in crate::linux) fn line(inode: u64, length: u64, path: &str) -> String {
        format!("10000-{:x} rw-s 00000000 fe:00 {inode}      {path}\n", 0x10000 + length)
    }

    /// Device and inode as `stat` says.
    pub(in crate::linux) fn file_at(path: &Path) -> (Device, u64) {
        let metadata = fs::metadata(path).unwrap();
        (crate::linux::stat::device(metadata.dev()), metadata.ino())
    }

    fn pids(root: &Path, identity: Option<InodeId>) -> Vec<(u32, u64, bool)> {
        let proc = Proc::new(root);
        let view = scan(&proc, &Wanted::new(&proc, identity, &Target::from("/data/t.db-shm")), Leads::Here);
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
        let view = scan(&proc, &wanted, Leads::Here);
        let found = &view.value().unwrap().mappings[0];
        assert_eq!((found.command.as_deref(), found.start_time), (Some("app"), Some(77)));
        assert_eq!(found.container.as_ref().unwrap().runtime, "docker");
        assert_eq!((found.length, found.shared), (BLOCK, true));
        let raw = raw_lines(&proc, 10, &wanted);
        assert_eq!(raw.value().unwrap(), line(7, BLOCK, "/data/t.db-shm").as_bytes());
        assert!(matches!(raw_lines(&proc, 11, &wanted), Observation::Missing { .. }));
    }

    #[test]
    fn the_blocks_of_a_wal_index_are_one_mapping() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "self", "mnt:[1]", "");
        // The kernel maps from the top down.
        let blocks = |inode: u64, kind: char| -> String {
            let block = |n: u64| (0x7000_0000 - n * BLOCK, n * BLOCK);
            let line = |(start, offset): (u64, u64)| {
                format!("{start:x}-{:x} rw-{kind} {offset:08x} fe:00 {inode} /data/t.db-shm\n", start + BLOCK)
            };
            (0..2500).rev().map(block).map(line).collect()
        };
        process(root.path(), "10", "mnt:[1]", &(blocks(7, 's') + &blocks(7, 'p') + &blocks(8, 's')));
        let proc = Proc::new(root.path());
        let wanted = Wanted::new(&proc, Some(ID), &Target::from("/data/t.db-shm"));
        let view = scan(&proc, &wanted, Leads::Here);
        let found =
            view.value().unwrap().mappings.iter().map(|map| (map.inode.inode, map.shared, map.offset, map.cut_off));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [(7, false, 0, None), (7, true, 0, None), (8, true, 0, Some(CutOff::Path))]
        );
        assert_eq!(raw_lines(&proc, 10, &wanted).value().unwrap().iter().filter(|byte| **byte == b'\n').count(), 7500);
    }

    #[test]
    fn what_is_left_out_of_a_long_list_is_counted_and_can_only_have_spoken_for_sharing() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "self", "mnt:[1]", "");
        let deleted: String = (100..1000).map(|inode| line(inode, BLOCK, "/data/t.db-shm (deleted)")).collect();
        for pid in 10..200 {
            process(root.path(), &pid.to_string(), "mnt:[2]", &line(7, BLOCK, "/data/t.db-shm"));
        }
        process(root.path(), "200", "mnt:[1]", &deleted);
        let proc = Proc::new(root.path());
        let wanted = Wanted::new(&proc, Some(ID), &Target::from("/data/t.db-shm"));
        let view = scan(&proc, &wanted, Leads::Here);
        let view = view.value().unwrap();
        assert_eq!((view.mappings.len(), view.mappings_not_listed), (LISTED, 190 + 900 - LISTED as u64));
        assert_eq!(view.mappings.iter().filter(|found| found.cut_off.is_some()).count(), 900);
        assert!(view.mappings.is_sorted_by_key(|found| found.pid));
    }

    #[test]
    fn a_text_that_was_not_understood_is_no_process_seen() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "10", "mnt:[1]", "rubbish\n");
        let proc = Proc::new(root.path());
        let view = scan(&proc, &Wanted::new(&proc, Some(ID), &Target::from("/x")), Leads::Here);
        let view = view.value().unwrap();
        assert_eq!((view.processes_read, view.processes_denied), (0, 1));
        assert!(view.denied_reason.as_ref().unwrap().contains("rubbish"));
    }

    #[test]
    fn what_is_cut_off_depends_on_where_the_path_leads() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "self", "mnt:[1]", "");
        process(root.path(), "10", "mnt:[1]", &line(7, BLOCK, "/data/t.db-shm"));
        process(root.path(), "11", "mnt:[1]", &line(8, BLOCK, "/data/t.db-shm (deleted)"));
        process(root.path(), "12", "mnt:[2]", &line(7, BLOCK, "/data/t.db-shm"));
        let proc = Proc::new(root.path());
        let cut_off = |identity, leads| {
            let view = scan(&proc, &Wanted::new(&proc, identity, &Target::from("/data/t.db-shm")), leads);
            let found = view.value().unwrap().mappings.iter();
            found.filter(|map| map.cut_off == Some(CutOff::Path)).map(|map| map.pid).collect::<Vec<_>>()
        };
        let replaced = Leads::Elsewhere(ID.device, 9);
        assert_eq!(cut_off(Some(ID), Leads::Here), [11]);
        assert_eq!(cut_off(Some(ID), Leads::Nowhere), [10]);
        assert_eq!(cut_off(Some(ID), replaced), [10]);
        assert_eq!(cut_off(Some(ID), Leads::Unknown), [0; 0]);
        assert_eq!(cut_off(None, Leads::Nowhere), [11]);
        assert_eq!(cut_off(None, replaced), [0; 0]);
    }

    #[test]
    fn on_btrfs_a_mapping_counts_only_if_the_file_behind_it_is_the_same() {
        let root = tempfile::tempdir().unwrap();
        let (ours, copy) = (root.path().join("ours-shm"), root.path().join("copy-shm"));
        fs::write(&ours, "").unwrap();
        fs::write(&copy, "").unwrap();
        for pid in ["10", "11", "12", "13"] {
            process(root.path(), pid, "mnt:[2]", &line(7, BLOCK, "/ours-shm"));
        }
        for (pid, file) in [("10", &ours), ("11", &copy)] {
            fs::create_dir(root.path().join(pid).join("map_files")).unwrap();
            symlink(file, root.path().join(pid).join("map_files/10000-18000")).unwrap();
        }
        symlink(root.path(), root.path().join("12/root")).unwrap();
        let proc = Proc::new(root.path());
        let mut wanted = Wanted::new(&proc, Some(ID), &Target::from("/data/t.db-shm"));
        let pids = |wanted: &Wanted| {
            let view = scan(&proc, wanted, Leads::Here).value().unwrap().clone();
            (view.mappings.iter().map(|map| map.pid).collect::<Vec<_>>(), view.processes_denied, view.denied_reason)
        };
        assert_eq!(pids(&wanted).0, [10, 11, 12, 13]);
        wanted.exact = Some(file_at(&ours));
        let (seen, denied, reason) = pids(&wanted);
        assert_eq!((seen, denied), (vec![10, 12], 1));
        assert!(reason.unwrap().contains("one device for all subvolumes"));
    }
}
