//! A mapping that seems cut off from its path counts only when it stays so.
//!
//! folklore: at the last close SQLite unlinks the `-shm` first and unmaps it afterwards, while the next process may have
//! made a new one already: one look at a busy database shows two wal-indexes behind one path again and again. Held by
//! `a_process_in_closing_is_no_split_group`.

use super::index::{self, Index};
use super::{Candidate, candidates};
use crate::evidence::{InodeId, Leads};
use crate::linux::procfs::Proc;
use crate::linux::settle::LOOKS;

/// Looks again at whoever seems to have mapped what its path does not lead to, and leaves out who has unmapped it by
/// then. How many those were.
pub(super) fn settle(proc: &Proc, indexes: &mut [Index], mut pause: impl FnMut()) -> u32 {
    let mut passing: u32 = 0;
    for _ in 0..LOOKS {
        if !indexes.iter().any(|index| index.processes.iter().any(|process| seems_cut_off(process.path_leads_to))) {
            break;
        }
        pause();
        for index in &mut *indexes {
            passing = passing.saturating_add(look_again(proc, index));
        }
    }
    passing
}

/// Where the path could not be looked up, looking again would not tell either.
fn seems_cut_off(leads: Leads) -> bool {
    matches!(leads, Leads::Elsewhere | Leads::Nowhere)
}

fn look_again(proc: &Proc, index: &mut Index) -> u32 {
    // `processes` tells of the first candidates, in their order; the others are no more than counted.
    let mut told = std::mem::take(&mut index.processes).into_iter();
    let candidates = std::mem::take(&mut index.file.candidates);
    let mut gone: u32 = 0;
    for candidate in candidates {
        if let Some(mut process) = told.next() {
            if seems_cut_off(process.path_leads_to) {
                if !still_mapped(index.file.id, &candidate) {
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

/// Whether the process, which is held by a descriptor, has a mapping of it under the same name.
fn still_mapped(id: InodeId, candidate: &Candidate) -> bool {
    // A text that cannot be read any more says that the process has ended, or became somebody else's.
    candidate
        .process
        .read("maps")
        .is_ok_and(|text| candidates(&text).any(|line| line.inode == id && line.path == candidate.path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use crate::evidence::{Leads, Mapped};
    use crate::linux::Proc;
    use crate::linux::mappings::BLOCK;
    use crate::linux::mappings::tests::{line, process};
    use crate::linux::ps::scan;

    /// Two processes that map two files under one path, which leads nowhere.
    fn split() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("elsewhere")).unwrap();
        for (pid, inode) in [("10", 7), ("11", 8)] {
            process(root.path(), pid, "mnt:[1]", &line(inode, BLOCK, "/data/t.db-shm (deleted)"));
            symlink(root.path().join("elsewhere"), root.path().join(pid).join("root")).unwrap();
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
            let mapped = scan(&Proc::new(root.path()), pause).unwrap();
            assert_eq!((pids(&mapped), mapped.passing), (vec![vec![11]], 1));
            assert_eq!(crate::analysis::surroundings::splits(&mapped).len(), 0);
        }
    }

    #[test]
    fn who_ends_meanwhile_is_left_out_and_who_stays_is_split() {
        let root = split();
        let end = || {
            let _ = fs::remove_dir_all(root.path().join("11"));
        };
        let mapped = scan(&Proc::new(root.path()), end).unwrap();
        assert_eq!((pids(&mapped), mapped.passing), (vec![vec![10]], 1));
        let root = split();
        let mapped = scan(&Proc::new(root.path()), || {}).unwrap();
        assert_eq!((pids(&mapped), mapped.passing), (vec![vec![10], vec![11]], 0));
        assert_eq!(mapped.indexes[0].processes[0].path_leads_to, Leads::Nowhere);
    }
}
