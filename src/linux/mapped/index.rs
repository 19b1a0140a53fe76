//! What is known about one mapped file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::OFlags;

use super::limits::{DESCRIPTORS_OF_A_PROCESS, HEAD_BYTES, PROCESSES_OF_AN_INDEX, TRIES_TO_OPEN};
use super::names::{self, Name};
use super::one_process::RootId;
use super::scan::{Candidate, is_named_shm};
use super::subvolume::OneFile;
use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{Leads, MappedIndex, MappingProcess, Mount, Observation, ShmLocks};
use crate::linux::descriptor_locks::HeldLocks;
use crate::linux::procfs::{Proc, Process};
use crate::linux::target::Target;
use crate::linux::text::locks::{LockLine, LockedFile};
use crate::linux::unopened::{self, MappedFile};
use crate::linux::unseen::unseen;
use crate::linux::{container, lock_view, mounts, open, runtimes};

/// A mapped file while the search is running: its processes can still be looked at again.
pub(super) struct Index {
    pub file: OneFile,
    /// The description of each candidate, up to the limit, in the order of the candidates.
    pub processes: Vec<MappingProcess>,
    /// Under which names the lock table may list it; empty if its locks are not listed there.
    pub lock_names: Vec<LockedFile>,
    head: Observation<Vec<u8>>,
    size: Option<u64>,
    locks: ShmLocks,
}

/// Examines a mapped file; `None`: it is no wal-index.
pub(super) fn look(
    proc: &Proc,
    file: OneFile,
    is_wal_index: &dyn Fn(&[u8]) -> bool,
    locks: (&[LockLine], &HeldLocks),
) -> Option<Index> {
    let opened = open_any(proc, &file);
    let head = match &opened {
        Ok(opened) if unopened::is_unopened(opened) => head_in_memory(opened, &file),
        Ok(opened) => FileBytes::whole(Arc::clone(opened))
            .map_or_else(|error| unseen("reading the mapped file", &error), |bytes| read_head(&bytes)),
        Err(error) => unseen("looking into the mapped file", error),
    };
    let by_name = file.candidates.iter().any(|candidate| is_named_shm(&candidate.path));
    match &head {
        // A file whose head is not that of a wal-index belongs to another program, whatever its name is. Only a head of
        // zeros can be a wal-index that nobody has initialized yet, and one that is cut off can be any.
        Observation::Seen { value } if !(is_wal_index(value) || (by_name && may_be_wal_index(value))) => return None,
        Observation::Seen { .. } => {}
        _ if !by_name => return None,
        _ => {}
    }
    let size = opened.as_ref().ok().and_then(|file| Some(file.metadata().ok()?.len()));
    let mut paths = Paths { proc, file: &file, seen: BTreeMap::new() };
    let processes: Vec<MappingProcess> =
        file.candidates.iter().take(PROCESSES_OF_AN_INDEX).map(|candidate| paths.process(candidate)).collect();
    let lock_names = match (&opened, file.candidates.first()) {
        (Ok(opened), Some(first)) if lock_view::are_listed(proc, opened) => {
            lock_view::keys(proc, &Observation::seen(Arc::clone(opened)), &mounts_of(proc, first))
        }
        _ => Vec::new(),
    };
    let locks = match (opened, file.candidates.first()) {
        (Ok(opened), Some(first)) => {
            let mut locks = lock_view::of_shm(proc, &opened, &mounts_of(proc, first), locks);
            if file.subvolume.is_some() {
                // folklore: `/proc/locks` also uses the superblock's device, so it would name holders of every
                // subvolume's file with this inode number. A holder of a wal-index's lock maps the wal-index, so other
                // holders are removed.
                locks.retain_holders(|pid| file.candidates.iter().any(|candidate| candidate.process.pid == pid));
            }
            locks
        }
        (Err(error), _) => ShmLocks::unknown(&error.to_string()),
        (Ok(_), None) => ShmLocks::unknown("nobody maps it"),
    };
    Some(Index { file, processes, lock_names, head, size, locks })
}

/// Whether the head of a file does not tell what the file is.
fn may_be_wal_index(head: &[u8]) -> bool {
    head.len() < HEAD_BYTES || head.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
impl Index {
    /// A file whose locks are listed under these names.
    pub(super) fn of_test(file: OneFile, lock_names: Vec<LockedFile>) -> Self {
        let processes = Vec::new();
        let (head, locks) = (Observation::missing("a test"), ShmLocks::unknown("a test"));
        Self { file, processes, lock_names, head, size: None, locks }
    }
}

impl Index {
    /// Whether its dead-man switch was seen to be held.
    pub(super) fn is_in_use(&self) -> bool {
        self.locks.dead_man_switch.held()
    }

    /// The result; `None` when no process maps the file any more.
    pub(super) fn finish(self) -> Option<MappedIndex> {
        let left_out = self.file.candidates.len().saturating_sub(self.processes.len()) as u64;
        (!self.processes.is_empty()).then_some(MappedIndex {
            identity: self.file.id,
            subvolume: self.file.subvolume.map(|file| file.device),
            processes: self.processes,
            processes_not_listed: left_out,
            head: self.head,
            size: self.size,
            locks: self.locks,
        })
    }
}

fn mounts_of(proc: &Proc, candidate: &Candidate) -> Observation<Vec<Mount>> {
    match Target::of_bound(&candidate.process) {
        Ok(target) => mounts::of(proc, &target),
        Err(error) => unseen("mountinfo", &error),
    }
}

/// Opens the mapped file through the mapping itself, which needs a capability; else by its path, if that still leads to
/// it; else through a descriptor of the process.
fn open_any(proc: &Proc, wanted: &OneFile) -> io::Result<Arc<File>> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for candidate in wanted.candidates.iter().take(TRIES_TO_OPEN) {
        let by_mapping = open::find_regular_by(|flags| candidate.process.open_mapped(&candidate.range, flags));
        let by_path = |_| {
            let (target, _) = names::target(candidate)?;
            let file = open::find_regular_by(|flags| target.open(flags | OFlags::NOFOLLOW))?;
            match wanted.is(proc, &file) {
                Some(true) => Ok(file),
                _ => Err(io::Error::other("its path leads to another file")),
            }
        };
        let by_descriptor = |error| {
            let process = &candidate.process;
            let is_wanted = |link: &String| process.file_behind(link).is_ok_and(|file| file.inode == wanted.id.inode);
            let names = process.names("fd").unwrap_or_default().into_iter().take(DESCRIPTORS_OF_A_PROCESS);
            let link = names.map(|name| format!("fd/{name}")).find(is_wanted).ok_or(error)?;
            let file = open::find_regular_by(|flags| process.open_link(&link, flags))?;
            match wanted.is(proc, &file) {
                Some(true) => Ok(file),
                _ => Err(io::Error::other("its descriptor leads to another file")),
            }
        };
        match by_mapping.or_else(by_path).or_else(by_descriptor) {
            Ok(file) => return Ok(file),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn read_head(bytes: &dyn ReadAt) -> Observation<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES];
    match bytes.read_at(&mut head, 0) {
        Ok(read) => {
            head.truncate(read);
            Observation::seen(head)
        }
        Err(error) => unseen("reading the mapped file", &error),
    }
}

/// The head of a file that is not opened.
fn head_in_memory(place: &Arc<File>, wanted: &OneFile) -> Observation<Vec<u8>> {
    let processes = wanted.candidates.iter().take(TRIES_TO_OPEN).map(|candidate| candidate.process.try_clone());
    match MappedFile::of(Arc::clone(place), processes) {
        Some(memory) => read_head(&memory),
        None => Observation::missing("its processes may not be read, and an open on FUSE could harm them"),
    }
}

/// Where the paths lead by which one wal-index was mapped. Each path is looked up once for each mount namespace.
struct Paths<'a> {
    proc: &'a Proc,
    file: &'a OneFile,
    seen: BTreeMap<(String, String), Leads>,
}

impl Paths<'_> {
    fn process(&mut self, candidate: &Candidate) -> MappingProcess {
        let process = &candidate.process;
        let named = names::target(candidate);
        let mount_namespace = process.link("ns/mnt");
        let (path, place) = match &named {
            Ok((_, name)) => (name.path.to_string_lossy(), name.place.to_string_lossy()),
            Err(_) => (String::from_utf8_lossy(&candidate.path), String::from_utf8_lossy(&candidate.path)),
        };
        let (path, mut place) = (path.into_owned(), place.into_owned());
        if out_of_sight(self.proc, process, &mount_namespace) {
            // As getcwd(2) says it. Without it, files inside and outside of a chroot jail could have one place.
            place.insert_str(0, "(unreachable)");
        }
        let (proc, file) = (self.proc, self.file);
        let look = || match &named {
            Ok((target, name)) => leads_to(proc, file, target, name),
            Err(_) => Leads::Unknown,
        };
        let path_leads_to = match mount_namespace.value() {
            Some(namespace) => *self.seen.entry((namespace.clone(), place.clone())).or_insert_with(look),
            None => look(),
        };
        MappingProcess {
            pid: process.pid,
            command: process.command(),
            container: container::by_cgroup(process).as_ref().map(runtimes::name_of),
            mount_namespace,
            path,
            place,
            path_leads_to,
            without_locks: false,
            unlocked: false,
            forked: false,
            inherited: false,
            other_wal: false,
            split_database: None,
        }
    }
}

/// Whether the root of a process of one's own mount namespace lies outside of one's own root: its paths are then printed
/// from the root of the mount namespace, as if that were one's own.
fn out_of_sight(proc: &Proc, process: &Process, mount_namespace: &Observation<String>) -> bool {
    let Ok(this) = proc.this_process() else { return false };
    let same = mount_namespace.value().is_some() && mount_namespace.value() == this.link("ns/mnt").value();
    let roots = || Some((RootId::of(&this).ok()?, RootId::of(process).ok()?));
    same && process.link_bytes("root").is_ok_and(|root| root == b"/")
        && roots().is_some_and(|(own, found)| own != found)
}

/// Where the path of one candidate leads now.
pub(super) fn leads(proc: &Proc, file: &OneFile, candidate: &Candidate) -> Leads {
    names::target(candidate).map_or(Leads::Unknown, |(target, name)| leads_to(proc, file, &target, &name))
}

/// folklore: a path that ends in ` (deleted)` does not prove a deletion: OpenZFS prints it for live inodes, and a file
/// may have this name. So the path is looked up, and the file found there is mapped to learn its identity. Held by
/// `a_deleted_and_a_replaced_wal_index_are_distinguished`.
fn leads_to(proc: &Proc, file: &OneFile, target: &Target, name: &Name) -> Leads {
    let found = match open::find_regular_by(|flags| target.open(flags | OFlags::NOFOLLOW)) {
        Ok(found) => match file.is(proc, &found) {
            Some(true) => Leads::Here,
            Some(false) => Leads::Elsewhere,
            None => Leads::Unknown,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Leads::Nowhere,
        // There is something at the path that is no regular file.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Leads::Elsewhere,
        Err(_) => Leads::Unknown,
    };
    // A name that can be spelt in two ways is confirmed only when it leads to the mapped file.
    if name.certain || found == Leads::Here { found } else { Leads::Unknown }
}
