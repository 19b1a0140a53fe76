//! What surrounds the files of one database: how they are mounted, linked, owned, and what processes have mapped.
//!
//! Cautions, never verdicts: whether two sides share a wal-index, comparing them tells.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::{Evidence, FileView, HostView, Leads, Mapped, MappedIndex, MappingProcess, Observation};
use crate::finding::{Finding, Severity};

/// Every code that this room raises, sorted.
pub const CODES: &[&str] = &[
    "database_file_mount",
    "database_hard_linked",
    "database_symlinked",
    "file_system_needs_care",
    "shm_deleted",
    "sidecars_elsewhere",
    "sidecars_stricter",
    "split_brain",
    "user_cannot_write",
];

/// File systems where shared memory or byte-range locks between two mounts, two machines or two containers are known to
/// fail, and why each is on the list.
const NEEDS_CARE: &[(&str, &str)] = &[
    ("fuse", "two FUSE mounts of one folder each have memory and locks of their own"),
    ("virtiofs", "it is shared with another kernel, and whether mappings are coherent depends on its DAX setting"),
    ("9p", "it is shared with another kernel, and its mappings and locks need not reach there"),
    ("nfs", "another machine's mappings are never seen, and its locks only as far as the lock protocol works"),
    ("cifs", "another machine's mappings are never seen, and byte-range locks depend on the server and on options"),
    ("smb3", "another machine's mappings are never seen, and byte-range locks depend on the server and on options"),
    (
        "overlay",
        "a file opened before its copy-up is another file afterwards, and two overlays of one folder share nothing that is written",
    ),
    ("ceph", "another machine's mappings are never seen"),
    ("lustre", "another machine's mappings are never seen"),
    ("gpfs", "another machine's mappings are never seen"),
    ("vboxsf", "it is shared with another kernel, and shared mappings are not supported"),
    ("prl_fs", "it is shared with another kernel"),
];

/// Why a file system needs care with WAL, by its type as mountinfo names it: `fuse.bindfs` is FUSE, `nfs4` is NFS.
#[must_use]
pub fn needs_care(file_system: &str) -> Option<&'static str> {
    let base = file_system.split('.').next().unwrap_or(file_system);
    let base = match base {
        "fuseblk" => "fuse",
        "nfs4" => "nfs",
        other => other,
    };
    NEEDS_CARE.iter().find(|(name, _)| *name == base).map(|(_, why)| *why)
}

/// Findings about one side. Whether its running processes are split, comparing's rules tell.
#[must_use]
pub fn findings(evidence: &Evidence) -> Vec<Finding> {
    let files = &evidence.files;
    let mut found = Vec::new();
    if let Some(database) = files.database.value() {
        found.extend(hard_linked(database));
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

fn hard_linked(database: &FileView) -> Option<Finding> {
    (database.links > 1).then(|| {
        Finding::new(
            "database_hard_linked",
            Severity::Warning,
            "The database has more than one name",
            format!(
                "{} hard links lead to the database. SQLite puts -wal and -shm beside the name that it was opened by: two names, two wal-indexes, one database that both overwrite.",
                database.links
            ),
            "Open it by one name everywhere, and remove the others: find FOLDER -xdev -samefile DATABASE lists them.",
        )
        .with("links", database.links)
    })
}

fn symlinked(evidence: &Evidence) -> Option<Finding> {
    let links = evidence.files.links_followed;
    (links > 0).then(|| {
        Finding::new(
            "database_symlinked",
            Severity::Info,
            "The database was opened through a symbolic link",
            format!(
                "The name leads to {}, and -wal and -shm lie beside that. Another container may resolve the same name to another place.",
                evidence.files.database_path
            ),
            "Give every container the folder that the link leads to, and compare them.",
        )
        .with("links_followed", links)
        .with("leads_to", evidence.files.database_path.clone())
    })
}

/// A bind mount of the database file alone: its siblings are on the mount of the folder.
fn file_mount(evidence: &Evidence, database: &FileView) -> Option<Finding> {
    let directory = evidence.files.directory.value()?;
    let (file, folder) = (database.mount_id.value()?, directory.mount_id.value()?);
    (file != folder).then(|| {
        Finding::new(
            "database_file_mount",
            Severity::Warning,
            "Only the database file is mounted, not its folder",
            "The database is a mount of its own; -wal and -shm are made in the folder beneath it and are nobody else's. Two containers that mount the file this way share the database and neither wal-index nor WAL: commits are lost, and integrity_check does not notice.",
            "Mount the folder that holds the database instead of the file.",
        )
        .with("database_mount", *file)
        .with("folder_mount", *folder)
    })
}

fn sidecars_elsewhere(evidence: &Evidence, database: &FileView) -> Option<Finding> {
    // A database that is mounted alone has a finding of its own.
    if file_mount(evidence, database).is_some() {
        return None;
    }
    let elsewhere: Vec<&str> =
        sidecars(evidence).filter(|(_, file)| file.device != database.device).map(|(name, _)| name).collect();
    (!elsewhere.is_empty()).then(|| {
        let names = elsewhere.join(" and ");
        Finding::new(
            "sidecars_elsewhere",
            Severity::Warning,
            "-wal or -shm are on another file system than the database",
            format!("The {names} and the database are on different devices: something is mounted over a single file. Who has the database need not have them."),
            "Keep database, -wal and -shm in one folder of one file system.",
        )
        .with("files", elsewhere)
        .with("database_device", database.device.to_string())
    })
}

/// SQLite gives -wal and -shm the database's permissions; who changed that locks others out.
fn sidecars_stricter(evidence: &Evidence, database: &FileView) -> Option<Finding> {
    let stricter = |file: &FileView| {
        let bits_lost = database.mode & !file.mode & 0o066;
        let owner_lost = file.uid != database.uid
            && !may(file, database.uid, database.gid, 0o2).unwrap_or(true)
            && may(database, database.uid, database.gid, 0o2) == Some(true);
        (bits_lost != 0 || owner_lost).then_some((bits_lost, owner_lost))
    };
    let found: Vec<(&str, &FileView)> = sidecars(evidence).filter(|(_, file)| stricter(file).is_some()).collect();
    let told: Vec<String> = found
        .iter()
        .map(|(name, file)| {
            format!("the {name} has mode {:04o} and owner {}:{}", file.mode & 0o7777, file.uid, file.gid)
        })
        .collect();
    (!found.is_empty()).then(|| {
        Finding::new(
            "sidecars_stricter",
            Severity::Warning,
            "-wal or -shm keep out users whom the database lets in",
            format!(
                "The database has mode {:04o} and owner {}:{}, but {}. Another container's user may open the database and then fails.",
                database.mode & 0o7777,
                database.uid,
                database.gid,
                told.join(", ")
            ),
            "Run every container with one user and group, or give all three files the same group and mode (SQLite copies the database's mode to the files it makes).",
        )
        .with("files", found.iter().map(|(name, _)| *name).collect::<Vec<_>>())
    })
}

/// Whether a user may do something (4 read, 2 write) by owner and mode. `None`: it depends on groups or on an access list
/// that are not known. Root may do everything.
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

/// Whether the user whose files these are can write to them: worth saying of a container, and not of an examiner who looks
/// at files that are meant to be read only.
#[must_use]
pub fn user_cannot_write(evidence: &Evidence) -> Option<Finding> {
    let HostView { uid, gid, .. } = evidence.host;
    if uid == u32::MAX {
        return None;
    }
    let files = &evidence.files;
    let named =
        [("database", &files.database), ("-wal", &files.wal), ("-shm", &files.shm), ("folder", &files.directory)];
    let closed: Vec<&str> = named
        .into_iter()
        .filter_map(|(name, file)| (may(file.value()?, uid, gid, 0o2) == Some(false)).then_some(name))
        .collect();
    // In a folder that cannot be written to, existing files can still be used.
    let matters = closed.iter().any(|name| *name != "folder") || (!closed.is_empty() && files.shm.value().is_none());
    matters.then(|| {
        Finding::new(
            "user_cannot_write",
            Severity::Notice,
            "This user cannot write here",
            format!(
                "User {uid}:{gid} may not write to: {}. SQLite as this user cannot write to the database; it can read it in WAL mode only while it may write to the -shm, or make one.",
                closed.join(", ")
            ),
            "If a container runs as this user, give it the files' user or group; a reader needs to write to the -shm, too.",
        )
        .with("uid", uid)
        .with("gid", gid)
        .with("files", closed)
    })
}

fn file_system(evidence: &Evidence) -> Option<Finding> {
    let files = &evidence.files;
    let of = |file: &Observation<FileView>| Some(file.value()?.file_system.value()?.name.clone());
    let name = of(&files.shm).or_else(|| of(&files.directory)).or_else(|| of(&files.database))?;
    needs_care(&name).map(|why| {
        Finding::new(
            "file_system_needs_care",
            Severity::Notice,
            "A file system where WAL needs care",
            format!("The files are on {name}: {why}. Within one mount on one machine it may still be all right."),
            "Compare the sides with walscope, and try it with real writers before trusting it; the file system's name alone decides nothing.",
        )
        .with("file_system", name)
    })
}

/// What every wal-index mapped on a machine says: several of them behind one path, and such as nobody can reach any more.
#[must_use]
pub fn of_mapped(mapped: &Mapped) -> Vec<Finding> {
    let splits = splits(mapped);
    let mut found: Vec<Finding> = splits.iter().map(|((_, place), indexes)| split_brain(place, indexes)).collect();
    let cut_off = mapped
        .indexes
        .iter()
        .filter(|index| !splits.values().any(|split| split.iter().any(|one| std::ptr::eq(*one, *index))));
    found.extend(cut_off.filter_map(deleted));
    found
}

/// Wal-indexes by mount namespace and place, where there is more than one behind it.
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
            by_path.entry(place).or_default().push(index);
        }
    }
    by_path.retain(|_, indexes| indexes.len() > 1);
    by_path
}

fn split_brain(place: &str, indexes: &[&MappedIndex]) -> Finding {
    let told: Vec<String> = indexes
        .iter()
        .map(|index| {
            let users = index.processes.iter().filter(|process| process.place == place);
            format!("{} by {}", index.identity, processes(users))
        })
        .collect();
    Finding::new(
        "split_brain",
        Severity::Error,
        "Running processes use different wal-indexes under one path",
        format!(
            "{place} is mapped as {}. They see neither each other's commits nor locks, and overwrite one another.",
            told.join(", as ")
        ),
        "Stop every process that has the database open, keep a copy of the database, -wal and -shm, then start them again.",
    )
    .with("path", place)
    .with("mapped", indexes.iter().map(|index| index.identity.to_string()).collect::<Vec<_>>())
}

fn deleted(index: &MappedIndex) -> Option<Finding> {
    let gone = |process: &&MappingProcess| matches!(process.path_leads_to, Leads::Nowhere | Leads::Elsewhere);
    let first = index.processes.iter().find(gone)?;
    // Somebody reaches it by another name: it is no orphan.
    if index.processes.iter().any(|process| process.path_leads_to == Leads::Here) {
        return None;
    }
    Some(
        Finding::new(
            "shm_deleted",
            Severity::Warning,
            "A mapped -shm that its path does not lead to",
            format!(
                "{} maps {}, but {} leads to {}: whoever opens the database next uses another wal-index.",
                processes(index.processes.iter()),
                index.identity,
                first.path,
                if first.path_leads_to == Leads::Nowhere { "no file any more" } else { "another file" }
            ),
            "Stop these processes before anything else opens the database, keep a copy of its files, then start them again. Never delete the -shm of a database in use.",
        )
        .with("mapped", index.identity.to_string())
        .with("path", first.path.clone()),
    )
}

fn processes<'a>(all: impl Iterator<Item = &'a MappingProcess>) -> String {
    const LISTED: usize = 5;
    let mut named: Vec<String> = all
        .map(|process| {
            let command = process.command.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
            let container =
                process.container.as_deref().map(|name| format!(" in container {name}")).unwrap_or_default();
            format!("pid {}{command}{container}", process.pid)
        })
        .collect();
    let more = named.len().saturating_sub(LISTED);
    named.truncate(LISTED);
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}
