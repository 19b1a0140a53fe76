//! Which processes map a wal-index and hold no lock on it, and whether that stays so.
//!
//! Who has closed the files that it inherited, or only looks at the wal-index, does not use it. Who has them open and can write has
//! lost its locks, or has inherited all that it has.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::limits::{ANCESTORS, DESCRIPTORS_OF_A_PROCESS};
use super::link::Link;
use super::scan::{Candidate, ProcessMaps};
use super::settle;
use crate::evidence::{InodeId, LockSlot};
use crate::linux::descriptor_locks::{is_on, of_inodes};
use crate::linux::forked::is_forked;
use crate::linux::procfs::{Proc, Process};
use crate::linux::text::locks::LockLine;
use crate::linux::text::process::parent;

/// A process, a file that it has mapped without a lock on it, and whether it could use it all the same.
type Suspect = (u32, InodeId, bool);

/// Marks the processes that have a wal-index mapped and hold no lock on it at any of several looks.
pub(super) fn settle(proc: &Proc, indexes: &mut [Index], pause: impl FnMut()) {
    let standing = settle::settle(look(indexes, None), pause, |suspects| look(indexes, Some(suspects)));
    if standing.is_empty() {
        return;
    }
    for index in indexes {
        let suspect = |pid: u32| standing.contains(&(pid, index.file.id, true));
        let candidates: BTreeMap<u32, &Candidate> =
            index.file.candidates.iter().map(|candidate| (candidate.process.pid, candidate)).collect();
        for process in &mut index.processes {
            process.without_locks = suspect(process.pid);
            process.unlocked = process.without_locks || standing.contains(&(process.pid, index.file.id, false));
            process.forked = process.without_locks
                && candidates.get(&process.pid).is_some_and(|candidate| is_forked(proc, &candidate.process));
            process.inherited = process.without_locks && has_inherited(process.pid, &candidates, suspect);
        }
    }
}

/// Whether an ancestor has the mapping at the same addresses, and its locks: fork(2) keeps the addresses. Who became the parent
/// of an orphan has it elsewhere.
fn has_inherited(pid: u32, candidates: &BTreeMap<u32, &Candidate>, suspect: impl Fn(u32) -> bool) -> bool {
    let Some(child) = candidates.get(&pid) else { return false };
    let mut at = *child;
    for _ in 0..ANCESTORS {
        let parent = at.process.read("stat").ok().and_then(|stat| parent(&stat));
        let Some(ancestor) = parent.and_then(|pid| candidates.get(&pid)) else { return false };
        if !suspect(ancestor.process.pid) {
            return ancestor.range == child.range;
        }
        at = ancestor;
    }
    false
}

/// Looks once at all processes, or at these suspects. Each process is read once, however many wal-indexes it has mapped.
fn look(indexes: &[Index], among: Option<&BTreeSet<Suspect>>) -> BTreeSet<Suspect> {
    let mut by_process: BTreeMap<u32, Vec<(&Index, &Candidate)>> = BTreeMap::new();
    for index in indexes.iter().filter(|index| !index.lock_names.is_empty()) {
        for candidate in &index.file.candidates {
            let pid = candidate.process.pid;
            let suspected = |among: &BTreeSet<Suspect>| {
                [false, true].iter().any(|could| among.contains(&(pid, index.file.id, *could)))
            };
            if among.is_none_or(suspected) {
                by_process.entry(pid).or_default().push((index, candidate));
            }
        }
    }
    let mut suspects = BTreeSet::new();
    for (pid, mapped) in by_process {
        let Some((_, first)) = mapped.first() else { continue };
        let process = &first.process;
        let inodes = mapped.iter().map(|(index, _)| index.file.id.inode).collect();
        let Ok(locks) = of_inodes(process, &inodes) else { continue };
        let without: Vec<(&Index, &Candidate)> =
            mapped.into_iter().filter(|(index, _)| !is_locked(index, &locks)).collect();
        if without.is_empty() {
            continue;
        }
        let (open, text) = (Open::of(process), process.read("maps").unwrap_or_default());
        let writable: BTreeSet<InodeId> =
            ProcessMaps::shared_lines(&text).filter(|line| line.writable).map(|line| line.inode).collect();
        let could = |(index, candidate): &(&Index, &Candidate)| {
            candidate.writable && writable.contains(&index.file.id) && open.has(index, candidate)
        };
        suspects.extend(without.iter().map(|one| (pid, one.0.file.id, could(one))));
    }
    suspects
}

fn is_locked(index: &Index, locks: &[LockLine]) -> bool {
    let bytes = LockSlot::Write.bytes().start..LockSlot::DeadManSwitch.bytes().end;
    locks.iter().any(|line| is_on(line, &index.lock_names, &bytes))
}

/// What a process has open.
struct Open {
    inodes: BTreeSet<u64>,
    paths: BTreeSet<Vec<u8>>,
}

impl Open {
    fn of(process: &Process) -> Self {
        let mut open = Self { inodes: BTreeSet::new(), paths: BTreeSet::new() };
        for name in process.names("fd").unwrap_or_default().into_iter().take(DESCRIPTORS_OF_A_PROCESS) {
            let link = format!("fd/{name}");
            open.inodes.extend(process.file_behind(&link).map(|file| file.inode));
            open.paths.insert(Link::of(process, &name).map(|link| link.path).unwrap_or_default());
        }
        open
    }

    /// Whether the process has the `-shm` open, and the database or the `-wal`. A child that closed what it inherited does not use
    /// the mapping, and a program that has nothing but a `-shm` is no SQLite. A file that was renamed keeps its number, and the
    /// other one its path.
    fn has(&self, index: &Index, candidate: &Candidate) -> bool {
        let database = candidate.path.strip_suffix(b"-shm").unwrap_or(&candidate.path);
        let wal = [database, b"-wal"].concat();
        self.inodes.contains(&index.file.id.inode) && (self.paths.contains(database) || self.paths.contains(&wal))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    use super::*;
    use crate::linux::Proc;
    use crate::linux::mapped::fake_proc::{ID, file_at, process};
    use crate::linux::mapped::limits::BLOCK;
    use crate::linux::mapped::subvolume::OneFile;
    use crate::linux::text::locks::LockedFile;

    /// A folder with the files of a database, and a proc file system beside them.
    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            for name in ["t.db", "t.db-wal", "t.db-shm"] {
                fs::write(root.path().join(name), "").unwrap();
            }
            Self(root)
        }

        fn path(&self, name: &str) -> String {
            self.0.path().join(name).display().to_string()
        }

        /// The number of the -shm in this file system. `maps` and the lock table print the device of the tests.
        fn inode(&self) -> u64 {
            file_at(&self.0.path().join("t.db-shm")).inode
        }

        fn process(&self, pid: &str, parent: u32, open: &[&str], lock: &str) {
            let range = format!("10000-{:x}", 0x10000 + BLOCK);
            let maps = format!("{range} rw-s 00000000 fe:00 {}      {}\n", self.inode(), self.path("t.db-shm"));
            process(self.0.path(), pid, "mnt:[1]", &maps);
            let folder = self.0.path().join(pid);
            let stat = format!("{pid} (app) S {parent} 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 77 20");
            fs::write(folder.join("stat"), stat).unwrap();
            for sub in ["fd", "fdinfo"] {
                fs::create_dir(folder.join(sub)).unwrap();
            }
            for (number, name) in open.iter().enumerate() {
                symlink(self.path(name), folder.join("fd").join(number.to_string())).unwrap();
                fs::write(folder.join("fdinfo").join(number.to_string()), lock).unwrap();
            }
        }

        fn index(&self, pids: &[u32], listed: bool) -> Index {
            let proc = Proc::new(self.0.path());
            let candidate = |pid: &u32| Candidate {
                process: Arc::new(proc.process(*pid).unwrap()),
                writable: true,
                range: format!("10000-{:x}", 0x10000 + BLOCK),
                path: self.path("t.db-shm").into_bytes(),
            };
            let id = InodeId { device: ID.device, inode: self.inode() };
            let names = vec![LockedFile { device: ID.device, inode: self.inode() }];
            let file = OneFile { id, subvolume: None, candidates: pids.iter().map(candidate).collect() };
            Index::of_test(file, if listed { names } else { Vec::new() })
        }

        fn suspects(&self, pids: &[u32], listed: bool) -> Vec<u32> {
            let could = look(&[self.index(pids, listed)], None).into_iter().filter(|(.., could)| *could);
            could.map(|(pid, ..)| pid).collect()
        }
    }

    const ALL: [&str; 3] = ["t.db", "t.db-wal", "t.db-shm"];

    #[test]
    fn who_maps_a_wal_index_without_a_lock_is_a_suspect_if_it_has_the_database_open() {
        let world = World::new();
        let held = format!("lock:\t1: POSIX  ADVISORY  READ 1 fe:00:{} 128 128\n", world.inode());
        world.process("10", 1, &ALL, &held);
        world.process("11", 1, &ALL, "");
        world.process("12", 1, &["t.db-shm"], "");
        world.process("13", 1, &["t.db-wal", "t.db-shm"], "");
        world.process("14", 1, &["t.db"], "");
        let pids = [10, 11, 12, 13, 14];
        assert_eq!(world.suspects(&pids, true), [11, 13]);
        // On FUSE the server keeps the locks, and the kernel lists none.
        assert_eq!(world.suspects(&pids, false), [0; 0]);
    }

    #[test]
    fn a_child_has_inherited_only_from_an_ancestor_with_locks_and_the_same_addresses() {
        let world = World::new();
        for (pid, parent) in [("10", 1), ("11", 10), ("12", 11), ("13", 10), ("14", 1)] {
            world.process(pid, parent, &ALL, "");
        }
        let mut index = world.index(&[10, 11, 12, 13, 14], true);
        index.file.candidates[3].range = "90000-98000".into();
        let candidates: BTreeMap<u32, &Candidate> =
            index.file.candidates.iter().map(|candidate| (candidate.process.pid, candidate)).collect();
        let inherited = |pid| has_inherited(pid, &candidates, |pid| pid != 10);
        assert_eq!([11, 12, 13, 14].map(inherited), [true, true, false, false]);
    }
}
