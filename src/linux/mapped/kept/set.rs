//! The files of one database that belong together.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::evidence::{KeptBy, Part, Parts, SetFacts};
use crate::linux::procfs::{Proc, Process};
use crate::number::FileId;

/// A file that is held open here, too.
#[derive(Debug, Clone)]
pub struct KeptFile {
    /// The file, opened for reading.
    pub file: Arc<File>,
    /// Its identity.
    pub id: FileId,
    /// The path by which it was opened, or that it has now, as the kernel prints it.
    pub path: PathBuf,
    /// Whether no path led to it any more when it was looked for.
    pub gone: bool,
    /// The process and the number of its descriptor. `None`: it was opened by its path, and no process was seen to have it
    /// open.
    pub descriptor: Option<(u32, u32)>,
    /// Whether reading may change its access time.
    pub access_time_may_move: bool,
}

impl KeptFile {
    /// Whether no path leads to it any more.
    #[must_use]
    pub fn deleted(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        // On FUSE and overlay the number of links stays.
        self.gone || self.file.metadata().is_ok_and(|found| found.nlink() == 0)
    }

    /// Whether the process still has it open by the same descriptor.
    #[must_use]
    pub fn still_open(&self) -> bool {
        let Some((pid, number)) = self.descriptor else { return false };
        let found = Proc::system().process(pid).and_then(|process| process.file_behind(&format!("fd/{number}")));
        found.is_ok_and(|id| id == self.id)
    }
}

/// The files of one database that belong together.
#[derive(Debug, Clone, Default)]
pub struct KeptSet {
    /// Its files.
    pub files: Parts<KeptFile>,
    /// Who has them open. Empty: nobody was seen.
    pub by: Vec<KeptBy>,
    /// Whether at least one of them lies at the path that was asked for.
    pub at_path: bool,
    /// What else is known of them.
    pub facts: SetFacts,
}

impl KeptSet {
    /// Which file a part is.
    pub(super) fn id(&self, part: Part) -> Option<FileId> {
        self.files.get(part).map(|file| file.id)
    }

    fn differs(&self, other: &Self, part: Part) -> bool {
        self.id(part).zip(other.id(part)).is_some_and(|(ours, theirs)| ours != theirs)
    }

    /// Whether both are one: no part differs, and the database or the `-wal` is the same file. A journal comes and goes with
    /// each transaction, so it does not count.
    fn is_one_with(&self, other: &Self) -> bool {
        let same = |part| self.id(part).is_some() && self.id(part) == other.id(part);
        ![Part::Database, Part::Wal, Part::Shm].into_iter().any(|part| self.differs(other, part))
            && [Part::Database, Part::Wal].into_iter().any(same)
    }

    /// Whether a file of it is in another set, too.
    #[must_use]
    pub(super) fn has_a_file_of(&self, other: &Self) -> bool {
        Part::ALL.into_iter().any(|part| self.id(part).is_some() && self.id(part) == other.id(part))
    }

    /// Whether the database and the `-wal` are the same files as in another set.
    #[must_use]
    pub fn has_files_of(&self, other: &Self) -> bool {
        [Part::Database, Part::Wal].into_iter().all(|part| self.id(part) == other.id(part))
    }

    fn join(&mut self, mut other: Self) {
        for part in Part::ALL {
            match (self.files.slot(part), other.files.slot(part).take()) {
                // The name at the path says more than the name by which a process knows the file.
                (Some(ours), Some(theirs)) => {
                    ours.descriptor = ours.descriptor.or(theirs.descriptor);
                    ours.gone &= theirs.gone;
                }
                (ours, theirs) => *ours = ours.take().or(theirs),
            }
        }
        for one in other.by {
            // One process can have a file open by several descriptors, and with several sidecars.
            if !self.by.iter().any(|known| (known.pid, known.start_time) == (one.pid, one.start_time)) {
                self.by.push(one);
            }
        }
        self.facts.lost.extend(other.facts.lost);
        self.facts.of_another.extend(other.facts.of_another);
        self.facts.without_database.extend(other.facts.without_database);
        self.facts.without_database.sort_unstable();
        self.facts.without_database.dedup();
        self.facts.pairing_unsure |= other.facts.pairing_unsure;
        self.facts.shm_not_opened |= other.facts.shm_not_opened;
    }
}

/// Who has a file open.
pub(super) fn kept_by(process: &Process) -> KeptBy {
    KeptBy { pid: process.pid, command: process.command(), start_time: process.start_time() }
}

/// Adds a set, or joins it with those that it is one with.
pub(super) fn add(sets: &mut Vec<KeptSet>, mut set: KeptSet) {
    while let Some(at) = sets.iter().position(|other| other.is_one_with(&set)) {
        let mut other = sets.remove(at);
        other.join(set);
        set = other;
    }
    sets.push(set);
}

/// Adds what lies at the path, without the sidecars that processes use with another database only: they are in the set of these
/// processes.
pub(super) fn add_at_path(sets: &mut Vec<KeptSet>, mut here: KeptSet) {
    if here.id(Part::Database).is_some() {
        for part in [Part::Wal, Part::Shm, Part::Journal] {
            let users: Vec<&KeptSet> =
                sets.iter().filter(|set| set.id(part).is_some() && set.id(part) == here.id(part)).collect();
            let of_another = users.iter().any(|set| set.differs(&here, Part::Database) || set.facts.pairing_unsure);
            let of_this = users.iter().any(|set| set.id(Part::Database) == here.id(Part::Database));
            if of_another && !of_this {
                *here.files.slot(part) = None;
                here.facts.of_another.push(part);
            }
        }
    }
    if here.id(Part::Database).is_none() {
        // A -shm or a -journal under the old name of a database that was renamed: it is in the set of that database.
        for part in [Part::Shm, Part::Journal] {
            let in_set = |set: &KeptSet| set.id(Part::Database).is_some() && set.id(part) == here.id(part);
            if here.id(part).is_some() && sets.iter().any(in_set) {
                *here.files.slot(part) = None;
            }
        }
        if here.files.iter().next().is_none() {
            return;
        }
    }
    // Its paths come first.
    let mut all = vec![here];
    for set in sets.drain(..) {
        add(&mut all, set);
    }
    *sets = all;
}

/// Drops sidecars that a process has open without the database and its `-wal`, as one that only looks at them, if they are in the set
/// of their database.
pub(super) fn drop_repeated(sets: &mut Vec<KeptSet>) {
    let all = sets.clone();
    sets.retain(|set| {
        let alone = set.id(Part::Database).is_none() && set.id(Part::Wal).is_none() && !set.facts.pairing_unsure;
        let is_in = |other: &KeptSet| {
            Part::ALL.into_iter().all(|part| set.id(part).is_none_or(|id| other.id(part) == Some(id)))
        };
        !alone || !all.iter().any(|other| other.id(Part::Database).is_some() && is_in(other))
    });
}

/// Adds a set that was found under another name, if it is not known. What is known of one that is stays.
pub(super) fn add_of_other_name(sets: &mut Vec<KeptSet>, set: KeptSet) {
    let same =
        |known: &KeptSet| Part::ALL.into_iter().all(|part| set.id(part).is_none() || set.id(part) == known.id(part));
    if !sets.iter().any(same) {
        add(sets, set);
    }
}

/// Joins the one `-wal` of which no process has the database open with the one database in WAL mode without a `-wal`.
pub(super) fn join_lone_wal(sets: &mut Vec<KeptSet>, says_wal: impl Fn(&KeptSet) -> bool) {
    let has = |set: &KeptSet, part| set.id(part).is_some();
    let lone_wal = |set: &KeptSet| has(set, Part::Wal) && !has(set, Part::Database) && !set.facts.pairing_unsure;
    let lone_database =
        |set: &KeptSet| has(set, Part::Database) && !has(set, Part::Wal) && !set.facts.pairing_unsure && says_wal(set);
    let one = |is: &dyn Fn(&KeptSet) -> bool| {
        let mut found = sets.iter().enumerate().filter(|(_, set)| is(set)).map(|(at, _)| at);
        found.next().filter(|_| found.next().is_none())
    };
    let others = sets.iter().any(|set| has(set, Part::Database) && has(set, Part::Wal));
    let (Some(wal), Some(database)) = (one(&lone_wal), one(&lone_database)) else { return };
    let differs = sets.get(wal).zip(sets.get(database)).is_some_and(|(wal, database)| wal.differs(database, Part::Shm));
    if others || differs {
        return;
    }
    let wal = sets.remove(wal);
    if let Some(set) = sets.iter_mut().find(|set| lone_database(set)) {
        set.join(wal);
    }
}
