//! The surroundings of the files of one database: how they are mounted, linked and owned, and what processes have
//! mapped.
//!
//! These are cautions and no verdicts: only a comparison shows whether two sides share a wal-index.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::file_system::FileSystemKind;
use crate::evidence::{Evidence, FileView, HostView, InodeId, Leads, Mapped, MappedIndex, MappingProcess, Observation};
use crate::finding::split_index::SplitIndex;
use crate::finding::value::{Apart, GoneIndex, OwnedFile, UsersFound};
use crate::finding::{Finding, Found, Severity, cut_shm};
use crate::look::MappedHead;
use crate::number::FileId;
use crate::sides::{Part, Process};

/// Why a file system needs care with WAL, by its type as mountinfo names it: `fuse.bindfs` is FUSE, `nfs4` is NFS.
#[must_use]
pub fn needs_care(file_system: &str) -> Option<&'static str> {
    FileSystemKind::by_name(file_system).care
}

/// Findings about one side. [`super::processes`] shows whether its running processes are split.
#[must_use]
pub fn findings(evidence: &Evidence) -> Vec<Finding> {
    let files = &evidence.files;
    let mut found = Vec::new();
    if let Some(database) = files.database.value() {
        found.extend(hard_linked(evidence, database));
        found.extend(file_mount(evidence, database));
        found.extend(sidecars_elsewhere(evidence, database));
        found.extend(sidecars_stricter(evidence, database));
    }
    found.extend(symlinked(evidence));
    found.extend(file_system(evidence));
    found
}

fn sidecars(evidence: &Evidence) -> impl Iterator<Item = (&'static str, &FileView)> {
    let files = &evidence.files;
    [("-wal", &files.wal), ("-shm", &files.shm)].into_iter().filter_map(|(name, file)| Some((name, file.value()?)))
}

/// The database, or its `-wal` or `-shm` alone, have several names.
///
/// folklore: a backup that links files which did not change (`rsync --link-dest`) copies a database that was written to and links its
/// `-wal`, if only the times tell them apart. SQLite writes a `-wal` in place: who opens one of the two databases writes into the `-wal` of
/// the other. Held by `sidecars_that_have_the_names_of_two_databases_are_told`.
fn hard_linked(evidence: &Evidence, database: &FileView) -> Option<Finding> {
    let all = [("database", database)].into_iter().chain(sidecars(evidence));
    let files: Vec<&'static str> = all.filter(|(_, file)| file.links > 1).map(|(name, _)| name).collect();
    let sidecars_linked = files.contains(&"-wal") && files.contains(&"-shm");
    (!files.is_empty())
        .then(|| Finding::new(Found::DatabaseHardLinked { links: database.links, sidecars_linked, files }))
}

fn symlinked(evidence: &Evidence) -> Option<Finding> {
    let files = &evidence.files;
    (files.links_followed > 0).then(|| {
        Finding::new(Found::DatabaseSymlinked {
            links_followed: files.links_followed,
            leads_to: files.database_path.clone(),
        })
    })
}

/// The mount of the folder, if another file than this one is on a mount of its own there.
fn apart(evidence: &Evidence, file: &FileView) -> Option<(u64, u64)> {
    let directory = evidence.files.directory.value()?;
    let (file, folder) = (*file.mount_id.value()?, *directory.mount_id.value()?);
    (file != folder).then_some((file, folder))
}

/// The database is a bind mount of a file. SQLite makes `-wal` and `-shm` in the folder beneath it, unless they are mounts
/// of their own too: then whoever mounts the same three files shares them.
///
/// folklore: SQLite cannot unlink a mount point (EBUSY), so the `-wal` and `-shm` stay after the last close, which harms
/// nothing. But who opens the database in its folder and closes it as the last one unlinks the names there, and the mounts
/// go on with files that nobody else has. Held by `three_mounted_files_are_shared_until_somebody_deletes_them_in_the_folder`.
fn file_mount(evidence: &Evidence, database: &FileView) -> Option<Finding> {
    let (database_mount, folder_mount) = apart(evidence, database)?;
    let is_mounted = |file: &FileView| apart(evidence, file).is_some();
    let with: Vec<(&'static str, &FileView)> = sidecars(evidence).filter(|(_, file)| is_mounted(file)).collect();
    let deleted: Vec<&'static str> = with.iter().filter(|(_, file)| file.links == 0).map(|(name, _)| *name).collect();
    let mounted: Vec<&'static str> = with.iter().map(|(name, _)| *name).collect();
    let severity = if mounted.len() == 2 && deleted.is_empty() { Severity::Notice } else { Severity::Warning };
    Some(Finding::at(severity, Found::DatabaseFileMount { database_mount, folder_mount, mounted, deleted }))
}

fn sidecars_elsewhere(evidence: &Evidence, database: &FileView) -> Option<Finding> {
    // A database that is mounted by itself has a finding of its own.
    if file_mount(evidence, database).is_some() {
        return None;
    }
    let elsewhere = |file: &FileView| file.device != database.device || apart(evidence, file).is_some();
    let files: Vec<&'static str> =
        sidecars(evidence).filter(|(_, file)| elsewhere(file)).map(|(name, _)| name).collect();
    (!files.is_empty()).then(|| Finding::new(Found::SidecarsElsewhere { files, database_device: database.device }))
}

/// SQLite gives -wal and -shm the permissions of the database. If they were changed, other users may be locked out.
fn sidecars_stricter(evidence: &Evidence, database: &FileView) -> Option<Finding> {
    let stricter = |file: &FileView| {
        let bits_lost = database.mode & !file.mode & 0o066;
        let owner_lost = file.uid != database.uid
            && !may(file, database.uid, database.gid, 0o2).unwrap_or(true)
            && may(database, database.uid, database.gid, 0o2) == Some(true);
        bits_lost != 0 || owner_lost
    };
    let owned = |name, file: &FileView| OwnedFile { name, mode: file.mode & 0o7777, uid: file.uid, gid: file.gid };
    let files: Vec<OwnedFile> =
        sidecars(evidence).filter(|(_, file)| stricter(file)).map(|(name, file)| owned(name, file)).collect();
    (!files.is_empty()).then(|| Finding::new(Found::SidecarsStricter { files, database: owned("database", database) }))
}

/// Whether a user may do something (4 read, 2 write) according to owner and mode. `None`: it depends on groups or on an
/// access list that are not known. Root may do everything.
fn may(file: &FileView, uid: u32, gid: u32, wanted: u32) -> Option<bool> {
    let has = |shift: u32| (file.mode >> shift) & wanted == wanted;
    if uid == 0 {
        Some(true)
    } else if file.uid == uid {
        Some(has(6))
    } else if file.gid == gid {
        Some(has(3))
    } else if has(0) == has(3) {
        Some(has(0))
    } else {
        None
    }
}

/// Whether a user can write somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayWrite {
    /// It can, by owner and mode.
    Yes,
    /// The user with this number cannot.
    No(u32),
    /// It depends on what is not known.
    NotKnown,
}

/// Whether the user whose files were looked at can write to a file, or make one in a folder, by owner and mode.
#[must_use]
pub fn may_write(evidence: &Evidence, file: &FileView) -> MayWrite {
    let HostView { uid: Some(uid), gid: Some(gid), .. } = evidence.host else { return MayWrite::NotKnown };
    match may(file, uid, gid, 0o2) {
        Some(true) => MayWrite::Yes,
        Some(false) => MayWrite::No(uid),
        None => MayWrite::NotKnown,
    }
}

/// Whether the user whose files these are can write to them: worth saying of a container, and not of an examiner who looks
/// at files that are meant to be read only.
#[must_use]
pub fn user_cannot_write(evidence: &Evidence) -> Option<Finding> {
    let HostView { uid: Some(uid), gid: Some(gid), .. } = evidence.host else { return None };
    let files = &evidence.files;
    let named =
        [("database", &files.database), ("-wal", &files.wal), ("-shm", &files.shm), ("folder", &files.directory)];
    let closed: Vec<&'static str> = named
        .into_iter()
        .filter_map(|(name, file)| (may(file.value()?, uid, gid, 0o2) == Some(false)).then_some(name))
        .collect();
    // If the folder cannot be written to, existing files can still be used.
    let matters = closed.iter().any(|name| *name != "folder") || (!closed.is_empty() && files.shm.value().is_none());
    matters.then(|| Finding::new(Found::UserCannotWrite { uid, gid, files: closed }))
}

fn file_system(evidence: &Evidence) -> Option<Finding> {
    let files = &evidence.files;
    let of = |file: &Observation<FileView>| Some(file.value()?.file_system.value()?.name.clone());
    let name = of(&files.shm).or_else(|| of(&files.directory)).or_else(|| of(&files.database))?;
    let why = needs_care(&name)?;
    Some(Finding::new(Found::FileSystemNeedsCare { file_system: name, why }))
}

/// Findings about every wal-index mapped on a machine: several under one path, and those that no path leads to.
#[must_use]
pub fn of_mapped(mapped: &Mapped) -> Vec<Finding> {
    let splits = splits(mapped);
    let mut found: Vec<Finding> = splits.iter().map(|((_, place), indexes)| split_brain(place, indexes)).collect();
    let by_database = splits_by_database(mapped);
    let is_in = |split: &[&MappedIndex], index: &MappedIndex| split.iter().any(|one| std::ptr::eq(*one, index));
    let told = |split: &[&MappedIndex]| splits.values().any(|by_path| split.iter().all(|index| is_in(by_path, index)));
    found
        .extend(by_database.iter().filter(|(_, split)| !told(split)).map(|(file, split)| split_database(*file, split)));
    let split = |index: &MappedIndex| splits.values().chain(by_database.values()).any(|split| is_in(split, index));
    found
        .extend(mapped.indexes.iter().filter(|index| is_at_work(index, |_| true) && !split(index)).filter_map(deleted));
    found.extend(mapped.indexes.iter().flat_map(without_locks));
    found.extend(mapped.indexes.iter().flat_map(other_wal));
    found.extend(mapped.indexes.iter().filter_map(cut_shm::of_mapped));
    found
}

/// Wal-indexes by mount namespace and path, if there is more than one that processes are at work on.
///
/// folklore: a forked child keeps the mapping of its parent's wal-index after the parent has closed the database, and the next opener
/// makes another one. The child holds no lock. Held by `children_of_a_program_that_closed_its_connection_are_no_split`.
#[must_use]
pub fn splits(mapped: &Mapped) -> BTreeMap<(String, String), Vec<&MappedIndex>> {
    let mut by_path: BTreeMap<(String, String), Vec<&MappedIndex>> = BTreeMap::new();
    for index in &mapped.indexes {
        let places: BTreeSet<(String, String)> = index
            .processes
            .iter()
            .filter_map(|process| Some((process.mount_namespace.value()?.clone(), process.place.clone())))
            .collect();
        for place in places {
            if is_at_work(index, |process| process.place == place.1) {
                by_path.entry(place).or_default().push(index);
            }
        }
    }
    by_path.retain(|_, indexes| indexes.len() > 1);
    by_path
}

/// Wal-indexes by the database with which processes use them, if there is more than one.
#[must_use]
pub fn splits_by_database(mapped: &Mapped) -> BTreeMap<FileId, Vec<&MappedIndex>> {
    let mut by_database: BTreeMap<FileId, Vec<&MappedIndex>> = BTreeMap::new();
    for index in &mapped.indexes {
        let databases: BTreeSet<FileId> = index.processes.iter().filter_map(|process| process.split_database).collect();
        for database in databases {
            if is_at_work(index, |process| process.split_database == Some(database)) {
                by_database.entry(database).or_default().push(index);
            }
        }
    }
    by_database.retain(|_, indexes| indexes.len() > 1);
    by_database
}

fn split_database(file: FileId, indexes: &[&MappedIndex]) -> Finding {
    let users = |index: &MappedIndex| -> Vec<MappingProcess> {
        index.processes.iter().filter(|process| process.split_database == Some(file)).cloned().collect()
    };
    let mapped: Vec<(InodeId, Vec<MappingProcess>)> =
        indexes.iter().map(|index| (index.identity, users(index))).collect();
    let paths = mapped.iter().flat_map(|(_, users)| users).map(|process| process.path.as_str());
    let names: BTreeSet<&str> = paths.map(|path| path.strip_suffix("-shm").unwrap_or(path)).collect();
    let names = names.into_iter().map(str::to_owned).collect();
    Finding::new(Found::SplitBrain { split: SplitIndex::Database { names, mapped } })
}

/// Whether some of these processes of a wal-index may be at work on it: one is not known to hold no lock, or it has frames that are not
/// in the database.
fn is_at_work(index: &MappedIndex, of: impl Fn(&MappingProcess) -> bool) -> bool {
    let locked = index.processes_not_listed > 0
        || index.processes.iter().filter(|process| of(process)).any(|process| !process.unlocked);
    locked || !is_copied(index)
}

/// Whether all frames that a wal-index counts are in the database, by its own header.
fn is_copied(index: &MappedIndex) -> bool {
    let seen = MappedHead::of(index);
    let (header, head) = (seen.header.as_ref().ok(), seen.head.as_ref());
    header.zip(head).is_some_and(|(header, head)| header.mx_frame <= head.checkpoint.backfilled)
}

fn split_brain(place: &str, indexes: &[&MappedIndex]) -> Finding {
    let users = |index: &MappedIndex| -> Vec<MappingProcess> {
        index.processes.iter().filter(|process| process.place == place).cloned().collect()
    };
    Finding::new(Found::SplitBrain {
        split: SplitIndex::Path {
            path: place.to_owned(),
            mapped: indexes.iter().map(|index| (index.identity, users(index))).collect(),
        },
    })
}

/// Processes that map a wal-index and do not hold its locks; forked children apart.
fn without_locks(index: &MappedIndex) -> Vec<Finding> {
    let copied = is_copied(index);
    let left_over = |process: &MappingProcess| copied && process.is_left_over();
    let found = |severity: Severity, of: &dyn Fn(&MappingProcess) -> bool| {
        let of_kind = index.processes.iter().filter(|process| process.without_locks && of(process));
        let processes: Vec<MappingProcess> = of_kind.cloned().collect();
        let path = processes.first()?.path.clone();
        let users = UsersFound::Index { mapped: index.identity, path, processes };
        Some(Finding::at(severity, Found::MappingWithoutLocks { users }))
    };
    let lost = found(Severity::Warning, &|process| !process.inherited && !left_over(process));
    let inherited = found(Severity::Notice, &|process| process.inherited);
    [lost, inherited, found(Severity::Notice, &left_over)].into_iter().flatten().collect()
}

/// Processes that use a wal-index with another `-wal` than its path leads to.
fn other_wal(index: &MappedIndex) -> Vec<Finding> {
    let mut by_path: BTreeMap<&str, BTreeSet<Process>> = BTreeMap::new();
    for process in index.processes.iter().filter(|process| process.other_wal) {
        let database = process.path.strip_suffix("-shm").unwrap_or(&process.path);
        by_path.entry(database).or_default().insert(Process::from(process));
    }
    let found = |(path, processes): (&str, BTreeSet<Process>)| {
        let processes = processes.into_iter().collect();
        Finding::new(Found::apart(Apart::Process { side: path.to_owned(), apart: Part::Wal, processes }))
    };
    by_path.into_iter().map(found).collect()
}

fn deleted(index: &MappedIndex) -> Option<Finding> {
    let gone = |process: &&MappingProcess| matches!(process.path_leads_to, Leads::Nowhere | Leads::Elsewhere);
    let first = index.processes.iter().find(gone)?;
    // A process reaches it by another name, so it is not left alone.
    if index.processes.iter().any(|process| process.path_leads_to == Leads::Here) {
        return None;
    }
    Some(Finding::new(Found::ShmDeleted {
        gone: GoneIndex::Mapped {
            mapped: index.identity,
            path: first.path.clone(),
            leads: first.path_leads_to,
            processes: index.processes.clone(),
        },
    }))
}
