//! Which processes map the wal-index of one side.

use std::collections::BTreeSet;

use super::limits::MAPPINGS_OF_A_SIDE;
use super::scan::{ProcessMaps, UnknownMappings, each_process};
use super::wanted::Claim;
use super::{cut_off, open_files, settle};
use crate::evidence::{CutOff, FileOpen, InodeId, Mapping, MappingsView, Observation};
use crate::linux::container;
use crate::linux::open::{OpenedFiles, shm_leads};
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
        ((leads() == before).then_some(before), seen)
    };
    cut_off::settled(look, settle::pause)
}

/// Looks once at every visible process, while the path of the `-shm` leads where `leads` says. Processes that end
/// meanwhile are left out. A process that seems cut off may be closing the database: [`mappings_view`] looks again.
pub(in crate::linux) fn scan(proc: &Proc, wanted: &Wanted, leads: PathLeads) -> Observation<MappingsView> {
    let mut view = MappingsView::default();
    let reach = each_process(proc, |maps| {
        view.mappings.extend(of_process(maps, wanted, leads)?);
        bound(&mut view, wanted.identity);
        Ok(())
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

fn of_process(maps: &ProcessMaps, wanted: &Wanted, leads: PathLeads) -> Result<Vec<Mapping>, UnknownMappings> {
    let (process, lines) = (&maps.process, maps.lines()?);
    let mount_namespace = process.link("ns/mnt");
    let own = wanted.own(&mount_namespace);
    let claims = lines.iter().map(|line| wanted.claim(process, line, &mount_namespace));
    let claims = claims.collect::<Result<Vec<_>, UnknownMappings>>()?;
    let this = claims.contains(&Some(Claim::This));
    // folklore: when the path leads to another -shm than the one that was opened, a process that maps the new -shm is
    // not cut off: the capture is what is old. Only the inode number is compared, because on btrfs `maps` prints
    // another device. Seen with short-lived processes; held by
    // `whoever_maps_a_wal_index_that_came_after_the_files_were_opened_is_not_cut_off`.
    let came_after =
        |line: &MapsLine<'_>| matches!(leads, PathLeads::Elsewhere(file) if file.inode == line.inode.inode);
    let mut by_database =
        if this { BTreeSet::new() } else { open_files::other_indexes_of_database(process, &lines, wanted) };
    by_database.retain(|line| !came_after(line));
    let found = lines.iter().zip(claims).filter_map(|(line, claim)| {
        let from_database = by_database.contains(line).then_some(CutOff::Database);
        let cut_off = claim.and_then(|claim| wanted.cut_off(claim, line, own, leads)).or(from_database);
        (claim.is_some() || from_database.is_some()).then_some((line, cut_off))
    });
    let found = one_a_file(found.collect());
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let (command, start_time, container) = (process.command(), process.start_time(), container::by_cgroup(process));
    let (database_open, wal_open) = if this { open_files::has_open(process, wanted) } else { <_>::default() };
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
    let lines = match maps.lines() {
        Ok(lines) => lines,
        Err(error) => return Observation::unsupported(error.to_string()),
    };
    let mount_namespace = maps.process.link("ns/mnt");
    let by_database = open_files::other_indexes_of_database(&maps.process, &lines, wanted);
    let kept = lines.iter().filter(|line| {
        by_database.contains(line)
            || wanted.claim(&maps.process, line, &mount_namespace).is_ok_and(|claim| claim.is_some())
    });
    Observation::seen(kept.flat_map(|line| line.text.iter().chain(b"\n")).copied().collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::linux::mapped::fake_proc::{ID, file_at, line, process};
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
    fn a_text_that_was_not_understood_is_no_process_seen() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "10", "mnt:[1]", "rubbish\n");
        let proc = Proc::new(root.path());
        let view = scan(&proc, &Wanted::new(&proc, Some(ID), &Target::from("/x")), PathLeads::Here);
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
        symlink(root.path(), root.path().join("12/root")).unwrap();
        let proc = Proc::new(root.path());
        let mut wanted = Wanted::new(&proc, Some(ID), &Target::from("/data/t.db-shm"));
        let pids = |wanted: &Wanted| {
            let view = scan(&proc, wanted, PathLeads::Here).value().unwrap().clone();
            (view.mappings.iter().map(|map| map.pid).collect::<Vec<_>>(), view.processes_denied, view.denied_reason)
        };
        assert_eq!(pids(&wanted).0, [10, 11, 12, 13]);
        wanted.exact = Some(file_at(&ours));
        let (seen, denied, reason) = pids(&wanted);
        assert_eq!((seen, denied), (vec![10, 12], 1));
        assert!(reason.unwrap().contains("one device for all subvolumes"));
    }
}
