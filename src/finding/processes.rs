//! What the running processes of one side have mapped: whether they are cut off from a process that opens the path now,
//! and whether one wal-index is used for two files.

use std::collections::BTreeSet;

use super::old_names;
use super::split_index::SplitIndex;
use super::value::{Apart, GoneIndex};
use super::{Finding, Found, Severity};
use crate::evidence::{self, CutOff, DatabaseLock, Evidence, FileOpen, Mapping, Observation, Root, User};
use crate::sides::{CutOffProcesses, NotMapped, Part, Process, Recorded, SideIndex, Unseen, What};

/// Findings about the processes of one side and its path. `at` is its position among those that are compared.
#[must_use]
pub fn findings(at: SideIndex, label: &str, evidence: &Evidence) -> Vec<Finding> {
    let found = [split_brain(at, label, evidence), shm_deleted(label, evidence), of_another_file(label, evidence)];
    found.into_iter().flatten().collect()
}

/// The result of a look at one side's processes.
#[derive(Debug)]
pub enum Mapped<'a> {
    /// Visible processes map exactly the side's `-shm`, and no other wal-index.
    This(Vec<&'a Mapping>),
    /// Visible processes map another wal-index than the one that the path leads to.
    Split(CutOffProcesses),
    /// Nothing is known, for this reason.
    Unseen(NotMapped),
}

/// Looks at the visible processes of one side.
///
/// Only processes of the side's own mount namespace count for its path, because the same path is another file
/// elsewhere. A process that has the side's database open counts everywhere.
#[must_use]
pub fn mapped(side: SideIndex, evidence: &Evidence) -> Mapped<'_> {
    look(side, evidence, false)
}

/// Looks at the visible processes of one side. Of those that map its `-shm` only those count that map it by the side's own
/// path.
#[must_use]
pub fn mapped_by_path(side: SideIndex, evidence: &Evidence) -> Mapped<'_> {
    look(side, evidence, true)
}

fn look(side: SideIndex, evidence: &Evidence, by_path: bool) -> Mapped<'_> {
    let unseen = |what, reason| Mapped::Unseen(NotMapped::Unseen(Unseen { side, what, reason }));
    let Some(view) = evidence.mappings.value() else {
        return unseen(What::Mappings, Recorded::of(&evidence.mappings));
    };
    let mappings = || view.mappings.iter().filter(|mapping| mapping.shared);
    let shm = &evidence.files.shm;
    let reachable = shm.value().is_some_and(|file| evidence.reachable(file));
    // Whoever took the evidence saw that these are cut off: nothing else needs to be known for that.
    let cut_off: Vec<Mapping> = mappings().filter(|mapping| mapping.cut_off.is_some()).cloned().collect();
    if !cut_off.is_empty() {
        let identity = shm.value().and_then(|file| file.maps_identity.value()).copied();
        let path_leads_to = identity.filter(|_| reachable);
        return Mapped::Split(CutOffProcesses { side, mappings: cut_off, path_leads_to });
    }
    let Some(namespace) = evidence.host.namespaces.mount.value() else {
        return unseen(What::MountNamespace, Recorded::of(&evidence.host.namespaces.mount));
    };
    // In one mount namespace a process with another root (chroot) has other files under equal paths.
    let may_be_own = || {
        let here = |mapping: &&Mapping| mapping.mount_namespace.value() == Some(namespace);
        mappings().filter(here).filter(|mapping| mapping.root != Root::Another)
    };
    let own = || may_be_own().filter(|mapping| mapping.root != Root::NotKnown);
    let id = match shm {
        Observation::Seen { value } => match &value.maps_identity {
            Observation::Seen { value } => Some(*value),
            other => return unseen(What::MappedIdentity(Part::Shm), Recorded::of(other)),
        },
        Observation::Missing { .. } => None,
        other => return unseen(What::File(Part::Shm), Recorded::of(other)),
    };
    if shm.value().is_some() && !reachable {
        return Mapped::Unseen(NotMapped::Replaced(side));
    }
    // `maps` escapes a newline and nothing else.
    let path = format!("{}-shm", evidence.files.database_path).replace('\n', "\\012");
    if may_be_own().any(|mapping| Some(mapping.inode) != id && mapping.path == path) {
        return Mapped::Unseen(NotMapped::SeenOnce(side));
    }
    let by_its_path = |mapping: &&Mapping| !by_path || mapping.path == path;
    let this: Vec<&Mapping> = own().filter(|mapping| Some(mapping.inode) == id).filter(by_its_path).collect();
    if !this.is_empty() {
        return Mapped::This(this);
    }
    Mapped::Unseen(NotMapped::Nobody {
        side,
        passing: view.passing,
        denied: view.processes_denied,
        reason: view.denied_reason.clone().map(Recorded),
        not_listed: view.mappings_not_listed,
        unknown: view.mappings_unknown,
        unknown_reason: view.unknown_reason.clone().map(Recorded),
    })
}

/// The processes of some mappings, each once, sorted by pid.
#[must_use]
pub fn of_mappings(mappings: &[&Mapping]) -> Vec<Process> {
    let all: BTreeSet<Process> = mappings.iter().map(|mapping| Process::from(*mapping)).collect();
    all.into_iter().collect()
}

fn split_brain(at: SideIndex, label: &str, evidence: &Evidence) -> Option<Finding> {
    let Mapped::Split(cut_off) = mapped(at, evidence) else { return None };
    let named = old_names::named(evidence);
    if cut_off.mappings.iter().all(|mapping| named.contains(&mapping.pid)) {
        return None;
    }
    let severity = match () {
        () if is_of_moved_aside(evidence, &cut_off) => Severity::Info,
        () if is_by_other_link(evidence, &cut_off) => Severity::Warning,
        () => Severity::Error,
    };
    Some(Finding::at(severity, Found::SplitBrain { split: SplitIndex::Side { side: label.to_owned(), cut_off } }))
}

/// Whether all of these processes go on with a database that was moved aside with its `-shm`, and have nothing of the one at the path.
/// Nobody is split: these are two databases.
fn is_of_moved_aside(evidence: &Evidence, cut_off: &CutOffProcesses) -> bool {
    let Some(view) = evidence.users.value() else { return false };
    let pids = cut_off.pids();
    evidence.files.database.value().is_some()
        && view.not_listed == 0
        && !view.users.iter().any(|user| pids.contains(&user.pid))
        && cut_off.mappings.iter().all(|mapping| evidence::Part::moved_aside(mapping.path.as_bytes()).is_some())
}

/// Whether the database is in use by another of its hard links, and not by this one: nothing lies beside this one, and every process that
/// has the database locked has one and the same wal-index mapped, to which its name leads.
///
/// folklore: SQLite puts `-wal` and `-shm` beside the name that it was given, and finds a hard link under no other name. So the files
/// beside the other name are those of the database. Held by `a_hard_link_that_nobody_opens_is_no_split`.
fn is_by_other_link(evidence: &Evidence, cut_off: &CutOffProcesses) -> bool {
    let files = &evidence.files;
    let absent = |file: &Observation<_>| matches!(file, Observation::Missing { .. });
    let pids = cut_off.pids();
    let one = |mapping: &Mapping| {
        let of_first = cut_off.mappings.first().is_some_and(|first| first.inode == mapping.inode);
        mapping.cut_off == Some(CutOff::Database) && !mapping.deleted_suffix && of_first
    };
    let Some(view) = evidence.users.value() else { return false };
    let locks = |user: &&User| matches!(user.database_lock, DatabaseLock::Shared | DatabaseLock::Exclusive);
    files.database.value().is_some_and(|database| database.links > 1)
        && absent(&files.wal)
        && absent(&files.shm)
        && absent(&files.journal)
        && cut_off.mappings.iter().all(one)
        && !view.exclusive_unseen
        && view.users.iter().filter(locks).all(|user| pids.contains(&user.pid))
}

fn shm_deleted(label: &str, evidence: &Evidence) -> Option<Finding> {
    let file = evidence.files.shm.value()?;
    if evidence.reachable(file) {
        return None;
    }
    Some(Finding::new(Found::ShmDeleted {
        gone: GoneIndex::DuringCapture {
            side: label.to_owned(),
            links: file.links,
            paths_unchanged: evidence.paths_unchanged,
        },
    }))
}

/// The processes that are named already because they use this wal-index with another database.
#[must_use]
pub(super) fn of_another_database(evidence: &Evidence) -> BTreeSet<u32> {
    of_others(evidence, |mapping| mapping.database_open).iter().map(|mapping| mapping.pid).collect()
}

/// Processes that use this wal-index with another database, or with another `-wal`, than the path leads to.
#[must_use]
pub fn on_other_files(evidence: &Evidence) -> [Vec<Process>; 2] {
    let database = of_others(evidence, |mapping| mapping.database_open);
    let wal = of_others(evidence, |mapping| mapping.wal_open);
    [of_mappings(&database), of_mappings(&wal)]
}

/// Processes that still use a database or a `-wal` that was replaced.
fn of_another_file(label: &str, evidence: &Evidence) -> Option<Finding> {
    let database = of_others(evidence, |mapping| mapping.database_open);
    let wal = of_others(evidence, |mapping| mapping.wal_open);
    let (part, found) = match (database.is_empty(), wal.is_empty()) {
        (false, _) => (Part::Database, database),
        (true, false) => (Part::Wal, wal),
        (true, true) => return None,
    };
    let named = old_names::named(evidence);
    let processes: Vec<Process> =
        of_mappings(&found).into_iter().filter(|process| !named.contains(&process.pid)).collect();
    if processes.is_empty() {
        return None;
    }
    let apart = Apart::Process { side: label.to_owned(), apart: part, processes };
    Some(Finding::new(Found::apart(apart)))
}

/// Processes anywhere that map the wal-index of a side, but do not have the database or the `-wal` open that its path
/// leads to.
fn of_others(evidence: &Evidence, open: fn(&Mapping) -> FileOpen) -> Vec<&Mapping> {
    let id = evidence.files.shm.value().and_then(|file| file.maps_identity.value());
    let mappings = evidence.mappings.value().into_iter().flat_map(|view| &view.mappings);
    let of_this = mappings.filter(|mapping| mapping.shared && mapping.cut_off.is_none() && Some(&mapping.inode) == id);
    of_this.filter(|mapping| open(mapping) == FileOpen::NotOpen).collect()
}
