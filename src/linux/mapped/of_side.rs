//! Which processes map the wal-index of one side.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use super::limits::MAPPINGS_OF_A_SIDE;
use super::one_process::OneProcess;
use super::scan::{ProcessMaps, each_process};
use super::wanted::Claim;
use super::{cut_off, open_files, settle};
use crate::evidence::{CutOff, FileOpen, InodeId, Mapping, MappingsView, Observation, Root};
use crate::linux::container;
use crate::linux::open::{OpenedFiles, shm_leads, wal_in_place};
use crate::linux::path_leads::PathLeads;
use crate::linux::procfs::Proc;
use crate::linux::text::maps::MapsLine;
use crate::linux::unseen::unseen;

pub(in crate::linux) use super::wanted::Wanted;

/// Which visible processes map the opened `-shm`, or another wal-index for the same path or the same database. The
/// search by path also works when there is no `-shm` to open. When a process seems cut off, this looks several times
/// within a quarter of a second.
#[must_use]
pub fn mappings_view(files: &OpenedFiles) -> Observation<MappingsView> {
    let proc = Proc::system();
    let wanted = Wanted::of(&proc, files);
    // All places are held open: otherwise a new file could get the inode number of an earlier one and look like it.
    let mut places = Vec::new();
    let mut leads = || {
        let (leads, place) = shm_leads(files);
        places.extend(place);
        leads
    };
    let look = || {
        let before = leads();
        let seen = scan(&proc, &wanted, before);
        // A -wal that was made after the files were opened is not missing.
        let stayed = leads() == before && (!wanted.wal_absent || wal_in_place(files));
        (stayed.then_some(before), seen)
    };
    cut_off::settled(look, settle::pause)
}

/// Looks once at every visible process, while the path of the `-shm` leads where `leads` says. Processes that end
/// meanwhile are left out. A process that seems cut off may be closing the database: [`mappings_view`] looks again.
pub(in crate::linux) fn scan(proc: &Proc, wanted: &Wanted, leads: PathLeads) -> Observation<MappingsView> {
    let mut view = MappingsView::default();
    let reach = each_process(proc, |maps| {
        let found = of_process(maps, wanted, leads, &mut view);
        view.mappings.extend(found);
        bound(&mut view, wanted.identity);
    });
    match reach {
        Ok(reach) => {
            view.processes_read = reach.read;
            view.processes_denied = reach.denied;
            view.denied_reason = reach.denied_reason;
            Observation::seen(view)
        }
        Err(error) => unseen("listing the processes", &error),
    }
}

/// Keeps the list short. Mappings that speak against sharing are kept first, so that the omitted ones can only speak
/// for sharing.
fn bound(view: &mut MappingsView, identity: Option<InodeId>) {
    let more = view.mappings.len().saturating_sub(MAPPINGS_OF_A_SIDE);
    if more > 0 {
        view.mappings_not_listed = view.mappings_not_listed.saturating_add(more as u64);
        let apart = |found: &Mapping| {
            found.cut_off.is_some() || [found.database_open, found.wal_open].contains(&FileOpen::NotOpen)
        };
        view.mappings.sort_by_key(|found| (!apart(found), Some(found.inode) == identity, !found.shared));
        view.mappings.truncate(MAPPINGS_OF_A_SIDE);
        view.mappings.sort_by_key(|found| found.pid);
    }
}

fn of_process(maps: &ProcessMaps, wanted: &Wanted, leads: PathLeads, view: &mut MappingsView) -> Vec<Mapping> {
    let one = OneProcess::of(&maps.process);
    let mut lines: Vec<(MapsLine<'_>, Option<Claim>)> = Vec::new();
    for line in maps.lines() {
        match line.and_then(|line| Ok((line, wanted.claim(&one, &line)?))) {
            Ok(claimed) => lines.push(claimed),
            Err(why) => {
                view.mappings_unknown = view.mappings_unknown.saturating_add(1);
                view.unknown_reason.get_or_insert_with(|| why.to_string());
            }
        }
    }
    let this = lines.iter().any(|(_, claim)| *claim == Some(Claim::This));
    // folklore: when the path leads to another -shm than the one that was opened, a process that maps the new -shm is
    // not cut off: the capture is what is old. Only the inode number is compared, because on btrfs `maps` prints
    // another device. Seen with short-lived processes; held by
    // `whoever_maps_a_wal_index_that_came_after_the_files_were_opened_is_not_cut_off`.
    let came_after =
        |line: &MapsLine<'_>| matches!(leads, PathLeads::Elsewhere(file) if file.inode == line.inode.inode);
    let mut by_database = match this {
        true => BTreeSet::new(),
        false => open_files::other_indexes_of_database(&one, lines.iter().map(|(line, _)| line), wanted),
    };
    by_database.retain(|line| !came_after(line));
    let root = OnceCell::new();
    let root = || *root.get_or_init(|| wanted.root_of(&one));
    let own = || wanted.own(&one.mount_namespace) && matches!(root(), Root::Same | Root::Beneath);
    let found = lines.iter().filter_map(|(line, claim)| {
        let from_database = by_database.contains(line).then_some(CutOff::Database);
        let by_path = claim.filter(|claim| wanted.seems_cut_off(*claim, line, leads));
        let by_path = by_path.filter(|_| own() && open_files::uses(&one, wanted, line)).map(|_| CutOff::Path);
        (claim.is_some() || from_database.is_some()).then_some((line, by_path.or(from_database)))
    });
    let found = one_a_file(found.collect());
    if found.is_empty() {
        return Vec::new();
    }
    let process = one.process;
    let (command, start_time, container) = (process.command(), process.start_time(), container::by_cgroup(process));
    let (database_open, wal_open) = if this { open_files::has_open(&one, wanted) } else { <_>::default() };
    let mapping = |(line, cut_off): (&MapsLine<'_>, Option<CutOff>)| Mapping {
        pid: process.pid,
        command: command.clone(),
        start_time,
        mount_namespace: one.mount_namespace.clone(),
        root: root(),
        container: container.clone(),
        inode: line.inode,
        address: line.start,
        offset: line.offset,
        length: line.length(),
        shared: line.shared,
        path: wanted.shown(line.path),
        deleted_suffix: line.deleted_suffix,
        cut_off,
        database_open,
        wal_open,
    };
    found.into_iter().map(mapping).collect()
}

/// Keeps one line for all mappings of one file under one path in a process: the mapping that begins first in the file,
/// because page tables are read there.
///
/// folklore: SQLite maps each block of a wal-index separately. With a WAL of 40 GB each process has about 2,500
/// mappings of it. `unixShmMap` in os_unix.c; held by `the_blocks_of_a_wal_index_are_one_mapping`.
fn one_a_file<'l, 't>(mut found: Vec<(&'l MapsLine<'t>, Option<CutOff>)>) -> Vec<(&'l MapsLine<'t>, Option<CutOff>)> {
    let file = |(line, cut_off): &(&'l MapsLine<'t>, Option<CutOff>)| {
        (line.inode, line.path, line.deleted_suffix, line.shared, *cut_off)
    };
    found.sort_by_key(|found| (file(found), found.0.offset));
    found.dedup_by_key(|found| file(found));
    found
}

/// The lines of one process's `maps` that [`mappings_view`] keeps, as raw text for the bundle.
pub(in crate::linux) fn raw_lines(proc: &Proc, pid: u32, wanted: &Wanted) -> Observation<Vec<u8>> {
    let maps = match ProcessMaps::read(proc, pid) {
        Ok(maps) => maps,
        Err(error) => return unseen(&format!("{pid}/maps"), &error),
    };
    let one = OneProcess::of(&maps.process);
    let lines: Vec<MapsLine<'_>> = maps.lines().flatten().collect();
    let by_database = open_files::other_indexes_of_database(&one, lines.iter(), wanted);
    let kept = lines
        .iter()
        .filter(|line| by_database.contains(line) || wanted.claim(&one, line).is_ok_and(|claim| claim.is_some()));
    Observation::seen(kept.flat_map(|line| line.text.iter().chain(b"\n")).copied().collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::linux::mapped::fake_proc::{ID, SHARED, file_at, line, opens, process, root_of, rootless};
    use crate::linux::mapped::limits::BLOCK;
    use crate::linux::target::Target;

    fn pids(root: &Path, identity: Option<InodeId>) -> Vec<(u32, u64, bool)> {
        let proc = Proc::new(root);
        let view = scan(&proc, &Wanted::new(&proc, identity, &Target::from("/data/t.db-shm")), PathLeads::Here);
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
        let view = scan(&proc, &wanted, PathLeads::Here);
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
        opens(root.path(), "10", "/data/t.db", SHARED);
        let proc = Proc::new(root.path());
        let wanted = Wanted::new(&proc, Some(ID), &Target::from("/data/t.db-shm"));
        let view = scan(&proc, &wanted, PathLeads::Here);
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
        opens(root.path(), "200", "/data/t.db", SHARED);
        let proc = Proc::new(root.path());
        let wanted = Wanted::new(&proc, Some(ID), &Target::from("/data/t.db-shm"));
        let view = scan(&proc, &wanted, PathLeads::Here);
        let view = view.value().unwrap();
        assert_eq!(
            (view.mappings.len(), view.mappings_not_listed),
            (MAPPINGS_OF_A_SIDE, 190 + 900 - MAPPINGS_OF_A_SIDE as u64)
        );
        assert_eq!(view.mappings.iter().filter(|found| found.cut_off.is_some()).count(), 900);
        assert!(view.mappings.is_sorted_by_key(|found| found.pid));
    }

    #[test]
    fn a_line_that_was_not_understood_takes_no_other_line_with_it() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "10", "mnt:[2]", &("rubbish\n".to_owned() + &line(7, BLOCK, "/data/t.db-shm")));
        let proc = Proc::new(root.path());
        let view = scan(&proc, &Wanted::new(&proc, Some(ID), &Target::from("/x")), PathLeads::Here);
        let view = view.value().unwrap();
        assert_eq!((view.processes_read, view.mappings_unknown, view.mappings.len()), (1, 1, 1));
        assert!(view.unknown_reason.as_ref().unwrap().contains("rubbish"));
    }

    #[test]
    fn what_is_cut_off_depends_on_where_the_path_leads() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "self", "mnt:[1]", "");
        process(root.path(), "10", "mnt:[1]", &line(7, BLOCK, "/data/t.db-shm"));
        process(root.path(), "11", "mnt:[1]", &line(8, BLOCK, "/data/t.db-shm (deleted)"));
        process(root.path(), "12", "mnt:[2]", &line(7, BLOCK, "/data/t.db-shm"));
        for pid in ["10", "11", "12"] {
            opens(root.path(), pid, "/data/t.db", SHARED);
        }
        let proc = Proc::new(root.path());
        let cut_off = |identity, leads| {
            let view = scan(&proc, &Wanted::new(&proc, identity, &Target::from("/data/t.db-shm")), leads);
            let found = view.value().unwrap().mappings.iter();
            found.filter(|map| map.cut_off == Some(CutOff::Path)).map(|map| map.pid).collect::<Vec<_>>()
        };
        let replaced = PathLeads::Elsewhere(crate::number::FileId { device: ID.device, inode: 9 });
        assert_eq!(cut_off(Some(ID), PathLeads::Here), [11]);
        assert_eq!(cut_off(Some(ID), PathLeads::Nowhere), [10]);
        assert_eq!(cut_off(Some(ID), replaced), [10]);
        assert_eq!(cut_off(Some(ID), PathLeads::Unknown), [0; 0]);
        assert_eq!(cut_off(None, PathLeads::Nowhere), [11]);
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
        for pid in ["10", "11", "13"] {
            rootless(root.path(), pid);
        }
        let proc = Proc::new(root.path());
        let mut wanted = Wanted::new(&proc, Some(ID), &Target::from("/data/t.db-shm"));
        let pids = |wanted: &Wanted| {
            let view = scan(&proc, wanted, PathLeads::Here).value().unwrap().clone();
            (view.mappings.iter().map(|map| map.pid).collect::<Vec<_>>(), view.mappings_unknown, view.unknown_reason)
        };
        assert_eq!(pids(&wanted).0, [10, 11, 12, 13]);
        wanted.exact = Some(file_at(&ours));
        let (seen, unknown, reason) = pids(&wanted);
        assert_eq!((seen, unknown), (vec![10, 12], 1));
        assert!(reason.unwrap().contains("one device for all subvolumes"));
        // A mapping that is not told apart takes no other mapping of its process with it.
        let two = line(7, BLOCK, "/ours-shm") + &line(7, BLOCK, "/not-there-shm").replace("10000-18000", "20000-28000");
        fs::write(root.path().join("12/maps"), two).unwrap();
        assert_eq!((pids(&wanted).0, pids(&wanted).1), (vec![10, 12], 2));
    }

    #[test]
    fn on_btrfs_a_mapping_is_told_apart_by_the_descriptor_of_its_file() {
        let root = tempfile::tempdir().unwrap();
        let shm = root.path().join("t.db-shm");
        fs::write(&shm, "").unwrap();
        let (file, path) = (file_at(&shm), shm.to_str().unwrap());
        process(root.path(), "10", "mnt:[2]", &line(file.inode, BLOCK, path));
        rootless(root.path(), "10");
        let proc = Proc::new(root.path());
        let seen = |exact: crate::number::FileId| {
            let identity = InodeId { device: ID.device, inode: file.inode };
            let mut wanted = Wanted::new(&proc, Some(identity), &Target::from("/data/t.db-shm"));
            wanted.exact = Some(exact);
            let view = scan(&proc, &wanted, PathLeads::Here).value().unwrap().clone();
            (view.mappings.len(), view.mappings_unknown)
        };
        let device = crate::evidence::Device { major: 0, minor: u32::MAX };
        let in_other_subvolume = crate::number::FileId { device, ..file };
        assert_eq!((seen(file), seen(in_other_subvolume)), ((0, 1), (0, 1)), "nothing tells them apart");
        opens(root.path(), "10", path, "");
        assert_eq!((seen(file), seen(in_other_subvolume)), ((1, 0), (0, 0)));
    }

    #[test]
    fn an_equal_path_counts_only_beneath_the_same_root() {
        let root = tempfile::tempdir().unwrap();
        let jail = root.path().join("jail");
        fs::create_dir(&jail).unwrap();
        let path = jail.join("t.db-shm");
        let path = path.to_str().unwrap();
        process(root.path(), "self", "mnt:[1]", "");
        root_of(root.path(), "self", Path::new("/"));
        let roots = [("10", Some(Path::new("/"))), ("11", Some(jail.as_path())), ("12", None)];
        for (pid, other) in roots {
            process(root.path(), pid, "mnt:[1]", &line(8, BLOCK, path));
            opens(root.path(), pid, path.strip_suffix("-shm").unwrap(), SHARED);
            match other {
                Some(other) => root_of(root.path(), pid, other),
                None => rootless(root.path(), pid),
            }
        }
        let proc = Proc::new(root.path());
        let seen = || {
            let view = scan(&proc, &Wanted::new(&proc, Some(ID), &Target::from(path)), PathLeads::Here);
            view.value().unwrap().mappings.iter().map(|map| (map.pid, map.root, map.cut_off)).collect::<Vec<_>>()
        };
        let cut = Some(CutOff::Path);
        assert_eq!(seen(), [(10, Root::Same, cut), (11, Root::Beneath, cut), (12, Root::NotKnown, None)]);
        // Seen from within a jail, a process outside of it.
        root_of(root.path(), "self", &jail);
        assert_eq!(seen(), [(11, Root::Same, cut), (12, Root::NotKnown, None)]);
    }

    #[test]
    fn a_process_that_holds_no_lock_is_not_cut_off() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "self", "mnt:[1]", "");
        for (pid, opened, locks) in
            [("10", "/data/t.db", ""), ("11", "/data/t.db", SHARED), ("12", "/elsewhere/t.db", SHARED)]
        {
            process(root.path(), pid, "mnt:[1]", &line(8, BLOCK, "/data/t.db-shm"));
            opens(root.path(), pid, opened, locks);
        }
        let proc = Proc::new(root.path());
        let view = scan(&proc, &Wanted::new(&proc, Some(ID), &Target::from("/data/t.db-shm")), PathLeads::Here);
        let seen = view.value().unwrap().mappings.iter().map(|map| (map.pid, map.cut_off)).collect::<Vec<_>>();
        assert_eq!(seen, [(10, None), (11, Some(CutOff::Path)), (12, None)]);
    }
}
