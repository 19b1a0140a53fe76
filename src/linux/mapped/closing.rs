//! Which processes seem cut off from the path of a wal-index that they map, and whether they stay cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::index::{self, Index};
use super::scan::{Candidate, ProcessMaps};
use super::settle;
use crate::evidence::{InodeId, Leads, MappingProcess};
use crate::linux::procfs::{Proc, Process};

/// Looks again at each process whose mapping and path seem to lead to different files. Removes those that have unmapped
/// the file by then, and returns how many that were.
pub(super) fn settle(proc: &Proc, indexes: &mut [Index], pause: impl FnMut()) -> u32 {
    let mut passing: u32 = 0;
    let candidates = indexes.iter().flat_map(listed);
    let processes: BTreeMap<u32, Arc<Process>> =
        candidates.map(|(_, candidate)| (candidate.process.pid, Arc::clone(&candidate.process))).collect();
    settle::settle(suspects(indexes), pause, |suspected| {
        let standing = standing(&processes, suspected);
        for index in &mut *indexes {
            passing = passing.saturating_add(look_again(proc, index, &standing));
        }
        suspects(indexes)
    });
    passing
}

/// Whether the path leads away from the mapped file. A path that could not be looked up does not count: looking again
/// would not help.
fn seems_cut_off(leads: Leads) -> bool {
    matches!(leads, Leads::Elsewhere | Leads::Nowhere)
}

/// A process, and a file that it has mapped under a name.
type Suspect = (u32, InodeId, Vec<u8>);

/// The listed processes with their candidates. `processes` describes the first candidates, in the same order; the
/// others are only counted.
fn listed(index: &Index) -> impl Iterator<Item = (&MappingProcess, &Candidate)> {
    index.processes.iter().zip(&index.file.candidates)
}

/// The processes that seem cut off, and from which file.
fn suspects(indexes: &[Index]) -> BTreeSet<Suspect> {
    let all =
        indexes.iter().flat_map(|index| listed(index).map(move |(process, candidate)| (index, process, candidate)));
    all.filter(|(_, process, _)| seems_cut_off(process.path_leads_to))
        .map(|(index, process, candidate)| (process.pid, index.file.id, candidate.path.clone()))
        .collect()
}

/// Which suspects still have the file mapped under the same name. Each process is held by a descriptor and read once,
/// however many files it has mapped.
fn standing(processes: &BTreeMap<u32, Arc<Process>>, suspects: &BTreeSet<Suspect>) -> BTreeSet<Suspect> {
    let mut standing = BTreeSet::new();
    for pid in suspects.iter().map(|(pid, ..)| *pid).collect::<BTreeSet<u32>>() {
        // When the text cannot be read any more, the process has ended, or belongs to another user now.
        let Some(Ok(maps)) = processes.get(&pid).map(ProcessMaps::of) else { continue };
        let mapped = maps.like_wal_indexes().map(|line| (pid, line.inode, line.path.to_owned()));
        standing.extend(mapped.filter(|found| suspects.contains(found)));
    }
    standing
}

fn look_again(proc: &Proc, index: &mut Index, standing: &BTreeSet<Suspect>) -> u32 {
    let mut descriptions = std::mem::take(&mut index.processes).into_iter();
    let candidates = std::mem::take(&mut index.file.candidates);
    let mut gone: u32 = 0;
    for candidate in candidates {
        if let Some(mut process) = descriptions.next() {
            if seems_cut_off(process.path_leads_to) {
                if !standing.contains(&(process.pid, index.file.id, candidate.path.clone())) {
                    gone = gone.saturating_add(1);
                    continue;
                }
                process.path_leads_to = index::leads(proc, &index.file, &candidate);
            }
            index.processes.push(process);
        }
        index.file.candidates.push(candidate);
    }
    gone
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::evidence::{Leads, Mapped};
    use crate::linux::Proc;
    use crate::linux::mapped::every_index::find;
    use crate::linux::mapped::fake_proc::{line, process, root_of};
    use crate::linux::mapped::limits::{BLOCK, LOOKS, NAMES_OF_A_PROCESS};

    /// Two processes that map two files under one path; the path leads to no file.
    fn split() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("elsewhere")).unwrap();
        for (pid, inode) in [("10", 7), ("11", 8)] {
            process(root.path(), pid, "mnt:[1]", &line(inode, BLOCK, "/data/t.db-shm (deleted)"));
            root_of(root.path(), pid, &root.path().join("elsewhere"));
        }
        root
    }

    fn pids(mapped: &Mapped) -> Vec<Vec<u32>> {
        mapped.indexes.iter().map(|index| index.processes.iter().map(|process| process.pid).collect()).collect()
    }

    #[test]
    fn a_process_in_closing_is_no_split_group() {
        for last in 1..=5 {
            let root = split();
            let mut pauses = 0;
            let pause = || {
                pauses += 1;
                if pauses == last {
                    fs::write(root.path().join("10/maps"), "").unwrap();
                }
            };
            let mapped = find(&Proc::new(root.path()), &|_| false, pause).unwrap();
            assert_eq!((pids(&mapped), mapped.passing), (vec![vec![11]], 1));
            assert_eq!(crate::finding::surroundings::splits(&mapped).len(), 0);
        }
    }

    #[test]
    fn who_ends_meanwhile_is_left_out_and_who_stays_is_split() {
        let root = split();
        let end = || {
            let _ = fs::remove_dir_all(root.path().join("11"));
        };
        let mapped = find(&Proc::new(root.path()), &|_| false, end).unwrap();
        assert_eq!((pids(&mapped), mapped.passing), (vec![vec![10]], 1));
        let root = split();
        let mapped = find(&Proc::new(root.path()), &|_| false, || {}).unwrap();
        assert_eq!((pids(&mapped), mapped.passing), (vec![vec![10], vec![11]], 0));
        assert_eq!(mapped.indexes[0].processes[0].path_leads_to, Leads::Nowhere);
    }

    #[test]
    fn each_look_reads_a_process_once_however_much_it_has_mapped() {
        use rustix::fs::inotify;
        let root = split();
        let maps: String =
            (21..=29).map(|inode| line(inode, BLOCK, &format!("/data/{inode}.db-shm (deleted)"))).collect();
        fs::write(root.path().join("10/maps"), maps).unwrap();
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        let opened_or_closed = inotify::WatchFlags::OPEN | inotify::WatchFlags::CLOSE_NOWRITE;
        inotify::add_watch(&watch, root.path().join("10/maps"), opened_or_closed).unwrap();
        let mapped = find(&Proc::new(root.path()), &|_| false, || {}).unwrap();
        assert_eq!(pids(&mapped).concat(), [11, 10, 10, 10, 10, 10, 10, 10, 10, 10]);
        let mut room = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut room);
        let opened = std::iter::from_fn(|| events.next().ok().map(|event| event.events()));
        let opened = opened.filter(|flags| flags.contains(inotify::ReadFlags::OPEN)).count();
        assert_eq!(opened, 1 + LOOKS as usize);
    }

    #[test]
    fn one_name_of_one_file_is_one_mapping_and_too_many_are_counted() {
        let root = split();
        let two = [line(7, BLOCK, "/data/a-shm"), line(7, BLOCK, "/data/b-shm")].concat().repeat(500);
        fs::write(root.path().join("10/maps"), two).unwrap();
        let many: String = (0..NAMES_OF_A_PROCESS + 3).map(|n| line(8, BLOCK, &format!("/data/{n}-shm"))).collect();
        fs::write(root.path().join("11/maps"), many).unwrap();
        let mapped = find(&Proc::new(root.path()), &|_| false, || {}).unwrap();
        let processes: Vec<usize> = mapped.indexes.iter().map(|index| index.processes.len()).collect();
        assert_eq!((processes, mapped.mappings_not_looked_at), (vec![2, NAMES_OF_A_PROCESS], 3));
    }

    #[test]
    fn one_path_beneath_two_roots_of_one_mount_namespace_is_no_split() {
        let root = tempfile::tempdir().unwrap();
        for (pid, inode, jail) in [("10", 7, "j1"), ("11", 8, "j2")] {
            let jail = root.path().join(jail);
            fs::create_dir(&jail).unwrap();
            let path = jail.join("data/t.db-shm");
            process(root.path(), pid, "mnt:[1]", &line(inode, BLOCK, path.to_str().unwrap()));
            root_of(root.path(), pid, &jail);
        }
        let mapped = find(&Proc::new(root.path()), &|_| false, || {}).unwrap();
        let paths: Vec<&str> = mapped.indexes.iter().map(|index| &*index.processes[0].path).collect();
        assert_eq!(paths, ["/data/t.db-shm"; 2]);
        assert_eq!(crate::finding::surroundings::splits(&mapped).len(), 0);
    }
}
