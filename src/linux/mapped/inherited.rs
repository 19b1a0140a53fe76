//! What a process has inherited from an ancestor: descriptors, and mappings at the same addresses.

use std::collections::{BTreeMap, BTreeSet};

use super::descriptors::Descriptors;
use super::limits::ANCESTORS;
use crate::evidence::{DatabaseLock, SwitchLock, User};
use crate::linux::forked::is_forked;
use crate::linux::procfs::Proc;
use crate::linux::sys;
use crate::linux::text::process::parent;

/// By what a process shows that it has inherited a database's files.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// Its descriptors of the database's files: the number, which of the files, and the first lines of `fdinfo`.
    descriptors: Vec<(String, usize, Vec<u8>)>,
    /// Those of the `-shm` that are open for writing.
    writable: BTreeSet<String>,
    /// Where mappings of the beginning of the `-shm` start.
    mapped_at: MappedAt,
    /// Whether some of them could not be looked at.
    in_part: bool,
}

/// Where mappings of the beginning of a `-shm` start.
#[derive(Debug, Default)]
pub(super) struct MappedAt {
    /// All of them.
    pub all: BTreeSet<u64>,
    /// Those for writing.
    pub writable: BTreeSet<u64>,
}

/// Which of the three files is the `-shm`, in [`Traces`].
const SHM: usize = 2;

impl Traces {
    pub(super) fn of(files: &Descriptors, mapped_at: MappedAt) -> Self {
        let mut traces = Self { mapped_at, in_part: !files.whole, ..Self::default() };
        for (which, list) in [&files.database, &files.wal, &files.shm].into_iter().enumerate() {
            for descriptor in list {
                match &descriptor.info {
                    Some(info) => {
                        if which == SHM && info.is_writable() {
                            traces.writable.insert(descriptor.name.clone());
                        }
                        traces.descriptors.push((descriptor.name.clone(), which, info.origin.clone()));
                    }
                    None => traces.in_part = true,
                }
            }
        }
        traces
    }

    /// How often the `-shm` is open and mapped from its beginning, for writing, without what an ancestor has.
    ///
    /// folklore: a program can look at its own wal-index, as a monitor does: it opens and maps the `-shm` for reading. That is
    /// no second library. Seen with Python's mmap; held by `a_program_that_looks_at_its_own_wal_index_has_one_library`.
    pub(super) fn opened(&self, ancestor: Option<(&Proc, u32, u32, &Self)>) -> u32 {
        let open = self.descriptors.iter().filter(|(name, which, _)| *which == SHM && self.writable.contains(name));
        let own =
            open.filter(|one| !ancestor.is_some_and(|(proc, child, pid, of)| of.has(proc, pid, one, child))).count();
        let mapped = &self.mapped_at.writable;
        let mapped = mapped.iter().filter(|at| !ancestor.is_some_and(|(.., of)| of.mapped_at.all.contains(at)));
        u32::try_from(own.min(mapped.count())).unwrap_or(u32::MAX)
    }

    /// Whether all that `child` has is this process's.
    fn has_all(&self, proc: &Proc, pid: u32, child: &Self, of: u32) -> bool {
        !child.descriptors.is_empty()
            && !child.in_part
            && child.mapped_at.all.is_subset(&self.mapped_at.all)
            && child.descriptors.iter().all(|one| self.has(proc, pid, one, of))
            // Without a mapping, numbers and positions are all that there is to compare, unless the kernel says more. Who has
            // opened the database itself without a wal-index has no descriptor of the -shm.
            && (!child.mapped_at.all.is_empty() || child.descriptors.iter().any(|(_, which, _)| *which == SHM))
    }

    /// Whether the kernel says that all that `child` has is this process's. In exclusive locking mode nobody has a `-shm`, and nothing else
    /// shows it.
    fn has_opened_all(&self, proc: &Proc, pid: u32, child: &Self, of: u32) -> bool {
        let one = |(name, ..): &(String, usize, Vec<u8>)| {
            name.parse().is_ok_and(|number| sys::is_one_open_file([pid, of], number).unwrap_or(false))
        };
        proc.is_system()
            && !child.descriptors.is_empty()
            && !child.in_part
            && child.mapped_at.all.is_empty()
            && child.descriptors.iter().all(|found| self.descriptors.contains(found) && one(found))
    }

    /// Whether a descriptor of a child is this process's.
    fn has(&self, proc: &Proc, pid: u32, one: &(String, usize, Vec<u8>), child: u32) -> bool {
        self.descriptors.contains(one) && !is_another_file(proc, [pid, child], &one.0)
    }
}

/// Whether the kernel says that a descriptor of this number is not of one open file description in both processes. `false` if
/// it does not say.
fn is_another_file(proc: &Proc, pids: [u32; 2], name: &str) -> bool {
    // A proc file system made of plain files has no processes.
    proc.is_system() && name.parse().is_ok_and(|number| sys::is_one_open_file(pids, number).is_ok_and(|one| !one))
}

/// Counts the libraries of processes with one table of descriptors together: they have one owner of locks, as one process has.
///
/// folklore: POSIX locks belong to the table of descriptors (`fl_owner` is the `files_struct`), not to the process. A child made
/// by clone(2) with CLONE_FILES and without CLONE_VM has a SQLite of its own, and no lock of one ever stops the other. Both lists
/// of locks in `fdinfo` are equal. Seen to damage a database; held by `two_processes_with_one_table_of_descriptors_are_named`.
pub(super) fn share_a_table(proc: &Proc, users: &mut [(User, Traces)]) {
    // A proc file system made of plain files has no processes.
    if !proc.is_system() {
        return;
    }
    let at_work = |(user, traces): &(User, Traces)| user.shm_opened > 0 && !traces.descriptors.is_empty();
    let mut shared = BTreeSet::new();
    for (at, one) in users.iter().enumerate().filter(|(_, one)| at_work(one)) {
        let later = users.iter().enumerate().skip(at + 1).filter(|(_, other)| at_work(other));
        for (other_at, other) in later.filter(|(_, other)| other.1.descriptors == one.1.descriptors) {
            if sys::is_one_descriptor_table([one.0.pid, other.0.pid]).unwrap_or(false) {
                shared.extend([at, other_at]);
            }
        }
    }
    for at in shared {
        users.get_mut(at).into_iter().for_each(|(user, _)| user.shm_opened = user.shm_opened.max(2));
    }
}

/// Marks the processes that have all from an ancestor which holds the dead-man switch, or the whole database, and counts only what is their
/// own.
///
/// folklore: a process whose parent has ended gets another parent, often the first process of the container, which may use the
/// same database. It has inherited nothing from that one. A forked child has its mappings at the addresses of its parent, and
/// shares its open file descriptions (fork(2)). Held by `an_orphan_has_inherited_nothing_from_its_new_parent`.
pub(super) fn mark(proc: &Proc, users: &mut [(User, Traces)]) {
    let at: BTreeMap<u32, usize> = users.iter().enumerate().map(|(at, (user, _))| (user.pid, at)).collect();
    for child in 0..users.len() {
        let Some((user, traces)) = users.get(child) else { continue };
        if !user.role_at_this_look().is_suspect() && user.shm_opened < 2 {
            continue;
        }
        let mut next = user.parent;
        let (mut inherits, mut opened, mut forked) = (false, user.shm_opened, user.forked);
        for _ in 0..ANCESTORS {
            let Some(pid) = next.filter(|pid| *pid > 1 || at.contains_key(pid)) else { break };
            if let Some((ancestor, of)) = at.get(&pid).and_then(|at| users.get(*at)) {
                opened = opened.min(traces.opened(Some((proc, user.pid, pid, of))));
                inherits |= ancestor.dead_man_switch == SwitchLock::Held && of.has_all(proc, pid, traces, user.pid);
                // Who started a program with these descriptors has forked it as well.
                if ancestor.database_lock == DatabaseLock::Exclusive && of.has_opened_all(proc, pid, traces, user.pid) {
                    inherits = true;
                    forked |= proc.process(user.pid).is_ok_and(|process| is_forked(proc, &process));
                }
                next = ancestor.parent;
            } else {
                next = proc.process(pid).ok().and_then(|process| parent(&process.read("stat").ok()?));
            }
        }
        if let Some((user, _)) = users.get_mut(child) {
            (user.ancestor_holds, user.shm_opened, user.forked) = (inherits, opened, forked);
        }
    }
}
