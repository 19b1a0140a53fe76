//! Databases that processes have locked and whose wal-index nobody is listed to have mapped: in exclusive locking mode, and in
//! rollback mode.
//!
//! They are found from the lock table: SQLite locks bytes of the database that no other program has a reason to lock. Only
//! processes with such a lock are looked at, and a file is opened only where the kernel itself serves it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::limits::DESCRIPTORS_OF_A_PROCESS;
use super::link::Link;
use crate::evidence::file_system::{AskedLocks, FileSystemKind};
use crate::evidence::{
    ByteLock, DatabaseContent, InodeId, LockSlot, LockState, LockedDatabase, LockingProcess, MappedIndex, Part,
};
use crate::linux::descriptor_locks::is_on;
use crate::linux::lock_view::holder;
use crate::linux::open::open_regular_by;
use crate::linux::procfs::{Proc, Process};
use crate::linux::target::Target;
use crate::linux::text::fdinfo;
use crate::linux::text::locks::{LockKind, LockLine, LockedFile};
use crate::linux::{container, mounts, runtimes};

/// At most so many descriptors are looked at in one search.
const DESCRIPTORS: usize = 200_000;
/// At most so many databases are listed.
const DATABASES: usize = 4096;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub databases: Vec<LockedDatabase>,
    /// Files that are locked at SQLite's bytes, by processes of which the descriptors could not be read.
    pub unseen: u64,
}

/// The locked bytes of all databases, by file and process.
type Locked = BTreeMap<LockedFile, BTreeMap<u32, Vec<LockLine>>>;

pub(super) fn find(proc: &Proc, table: &[LockLine], indexes: &[MappedIndex]) -> Found {
    let mut locked = Locked::new();
    for line in table.iter().filter(|line| is_of_database(line)) {
        if let (Some(file), Some(pid)) = (line.file, line.visible_pid()) {
            locked.entry(file).or_default().entry(pid).or_default().push(*line);
        }
    }
    let mut explained = Explained::new(proc, indexes);
    locked.retain(|file, holders| {
        is_exclusive(holders.values().flatten()) || holders.keys().any(|pid| !explained.is(*pid, file.inode))
    });
    let mut by_process: BTreeMap<u32, BTreeSet<LockedFile>> = BTreeMap::new();
    for (file, holders) in locked.iter().take(DATABASES) {
        for pid in holders.keys() {
            by_process.entry(*pid).or_default().insert(*file);
        }
    }
    let mut found: BTreeMap<LockedFile, LockedDatabase> = BTreeMap::new();
    let (mut denied, mut left) = (BTreeSet::new(), DESCRIPTORS);
    for (pid, files) in by_process {
        match of_process(proc, pid, &files, &mut left) {
            Some(open) => {
                for (file, path, content) in open {
                    let Some((process, content)) = path.zip(content) else { continue };
                    let database = found.entry(file).or_insert_with(|| LockedDatabase {
                        identity: InodeId { device: file.device, inode: file.inode },
                        content,
                        locks: Vec::new(),
                        processes: Vec::new(),
                    });
                    database.processes.push(process);
                }
            }
            None => denied.extend(files),
        }
    }
    let unseen = denied.iter().filter(|file| !found.contains_key(file)).count() as u64;
    for (file, database) in &mut found {
        let seen: BTreeSet<u32> = database.processes.iter().map(|process| process.pid).collect();
        let lines: Vec<LockLine> = locked.get(file).into_iter().flat_map(BTreeMap::values).flatten().copied().collect();
        database.locks =
            LockSlot::DATABASE.into_iter().map(|slot| (slot, lock(proc, *file, slot, &lines, &seen))).collect();
    }
    Found { databases: found.into_values().collect(), unseen }
}

/// Whether a line is a lock on SQLite's bytes of some database, and on nothing else: PENDING, RESERVED and the SHARED range follow
/// each other, and the kernel joins what one process holds of them.
fn is_of_database(line: &LockLine) -> bool {
    let bytes = LockSlot::Pending.bytes().start..LockSlot::Database.bytes().end;
    line.kind != LockKind::Other
        && !line.waiting
        && (bytes.start..=LockSlot::Database.bytes().start).contains(&line.start)
        && line.end.is_some_and(|end| bytes.contains(&end))
}

fn is_exclusive<'l>(mut lines: impl Iterator<Item = &'l LockLine>) -> bool {
    let shared = LockSlot::Database.bytes();
    lines.any(|line| line.exclusive && line.end.is_some_and(|end| end >= shared.start))
}

/// Which locks are those of users of a wal-index that is listed.
struct Explained<'a> {
    proc: &'a Proc,
    /// The databases by the paths of their wal-indexes, of each process.
    paths: BTreeMap<u32, Vec<(&'a str, Option<&'a str>)>>,
    /// The inode of each path, by mount namespace.
    inodes: BTreeMap<(&'a str, &'a str), u64>,
}

impl<'a> Explained<'a> {
    fn new(proc: &'a Proc, indexes: &'a [MappedIndex]) -> Self {
        let mut paths: BTreeMap<u32, Vec<(&str, Option<&str>)>> = BTreeMap::new();
        for process in indexes.iter().flat_map(|index| &index.processes) {
            if let Some(database) = process.path.strip_suffix("-shm") {
                let namespace = process.mount_namespace.value().map(String::as_str);
                // Without its own root, the path of a process names no place.
                let namespace = namespace.filter(|_| process.path == process.place);
                paths.entry(process.pid).or_default().push((database, namespace));
            }
        }
        Self { proc, paths, inodes: BTreeMap::new() }
    }

    fn is(&mut self, pid: u32, inode: u64) -> bool {
        let Some(paths) = self.paths.get(&pid) else { return false };
        let proc = self.proc;
        let look = |path: &str| Some(proc.process(pid).ok()?.file_beneath_root(path.as_bytes()).ok()?.inode);
        paths.iter().any(|(path, namespace)| {
            let known = namespace.and_then(|namespace| self.inodes.get(&(namespace, *path)).copied());
            let found = known.or_else(|| look(path));
            // What this process could not find, another one may.
            if let (Some(namespace), Some(inode)) = (namespace, found) {
                self.inodes.insert((*namespace, *path), inode);
            }
            found == Some(inode)
        })
    }
}

/// One file of a process: who it is, and what the file is. None of them if it is no database.
type OpenFile = (LockedFile, Option<LockingProcess>, Option<DatabaseContent>);

/// The files among `wanted` that a process has open and locked. `None`: its descriptors could not be read.
fn of_process(proc: &Proc, pid: u32, wanted: &BTreeSet<LockedFile>, left: &mut usize) -> Option<Vec<OpenFile>> {
    let process = proc.process(pid).ok()?;
    let names = process.names("fd").ok()?;
    let inodes: BTreeSet<u64> = wanted.iter().map(|file| file.inode).collect();
    let mut found: Vec<OpenFile> = Vec::new();
    let mut any_refused = false;
    let bytes = LockSlot::Pending.bytes().start..LockSlot::Database.bytes().end;
    for name in names.iter().take(DESCRIPTORS_OF_A_PROCESS) {
        if found.len() == wanted.len() || *left == 0 {
            break;
        }
        *left -= 1;
        match process.file_behind(&format!("fd/{name}")) {
            Ok(file) if inodes.contains(&file.inode) => {}
            Ok(_) => continue,
            Err(error) => {
                any_refused |= crate::linux::unseen::refused(&error);
                continue;
            }
        }
        let Ok(text) = process.read(&format!("fdinfo/{name}")) else { continue };
        let locks = fdinfo::locks(&text);
        let file = wanted.iter().find(|file| locks.iter().any(|line| is_on(line, &[**file], &bytes)));
        let Some(file) = file.filter(|file| found.iter().all(|(known, ..)| known != *file)) else { continue };
        let content = content(proc, &process, name, &text);
        found.push((*file, who(&process, name), content));
    }
    (!found.is_empty() || !any_refused).then_some(found)
}

fn who(process: &Process, descriptor: &str) -> Option<LockingProcess> {
    let link = Link::of(process, descriptor).ok()?;
    let place = Path::new(OsStr::from_bytes(&link.path));
    let seen = Target::of_bound(process).map_or_else(|_| place.to_owned(), |target| target.take_off_prefix(place));
    Some(LockingProcess {
        pid: process.pid,
        command: process.command(),
        container: container::by_cgroup(process).as_ref().map(runtimes::name_of),
        path: seen.to_string_lossy().into_owned(),
        place: place.to_string_lossy().into_owned(),
        deleted: link.deleted,
    })
}

/// What a file is. `None`: no database. It is opened only where the kernel serves the file itself: the server of a FUSE mount may
/// not answer.
fn content(proc: &Proc, process: &Process, descriptor: &str, info: &[u8]) -> Option<DatabaseContent> {
    let kind = || {
        let mount = fdinfo::mount_id(info)?;
        let mounts = mounts::of(proc, &Target::of_bound(process).ok()?);
        let mount = mounts.value()?.iter().find(|found| found.id == mount)?;
        Some(FileSystemKind::by_name(&mount.fs_type).asked_locks)
    };
    if kind() != Some(AskedLocks::Enforced) {
        return Some(DatabaseContent::NotRead);
    }
    let link = format!("fd/{descriptor}");
    let Ok(opened) = open_regular_by(|flags| process.open_link(&link, flags)) else {
        return Some(DatabaseContent::NotRead);
    };
    if opened.access_time_may_move {
        return Some(DatabaseContent::NotRead);
    }
    let mut head = [0; 20];
    match opened.file.read_at(&mut head, 0) {
        Ok(0) => Some(DatabaseContent::Empty),
        Ok(got) => {
            let head = head.get(..got)?;
            match Part::says_wal(head) {
                Some(true) => Some(DatabaseContent::WalMode),
                Some(false) => Some(DatabaseContent::RollbackMode),
                None => (Part::of_content(head) == Some(Part::Database)).then_some(DatabaseContent::NotRead),
            }
        }
        Err(_) => Some(DatabaseContent::NotRead),
    }
}

fn lock(proc: &Proc, file: LockedFile, slot: LockSlot, lines: &[LockLine], seen: &BTreeSet<u32>) -> ByteLock {
    let bytes = slot.bytes();
    let held: Vec<&LockLine> = lines.iter().filter(|line| is_on(line, &[file], &bytes)).collect();
    let state = match (held.is_empty(), held.iter().any(|line| line.exclusive)) {
        (true, _) => LockState::Free,
        (_, true) => LockState::Exclusive,
        (_, false) => LockState::Shared,
    };
    let pids: BTreeSet<u32> =
        held.iter().filter_map(|line| line.visible_pid()).filter(|pid| seen.contains(pid)).collect();
    ByteLock { state, reason: None, holders: pids.into_iter().map(|pid| holder(proc, pid)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::text::locks::parse_line;

    #[test]
    fn only_locks_on_the_bytes_of_sqlite_are_of_a_database() {
        let is = |range: &str| {
            let line = format!("1: POSIX  ADVISORY  WRITE 7 fe:00:9 {range}");
            is_of_database(&parse_line(line.as_bytes()).unwrap())
        };
        for range in
            ["1073741826 1073742335", "1073741824 1073742335", "1073741825 1073741825", "1073741824 1073741825"]
        {
            assert!(is(range), "{range}");
        }
        for range in
            ["0 EOF", "0 1073742335", "1073741826 EOF", "1073741826 1073742336", "1073741823 1073741824", "128 128"]
        {
            assert!(!is(range), "{range}");
        }
        assert!(!is_of_database(&parse_line(b"1: FLOCK  ADVISORY  WRITE 7 fe:00:9 1073741826 1073742335").unwrap()));
        assert!(!is_of_database(&parse_line(b"1: -> POSIX  ADVISORY  WRITE 7 fe:00:9 1073741826 1073742335").unwrap()));
    }
}
