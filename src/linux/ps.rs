//! Every wal-index that a visible process has mapped, by what is really mapped.
//!
//! One pass over `/proc/PID/maps` of every process, which looks at shared file mappings in blocks of 32 KiB only; what
//! they are is then settled once for each inode.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::evidence::{InodeId, Leads, Mapped, MappedIndex, MappingProcess, Mount, Observation, ShmLocks};
use crate::linux::locks::LockLine;
use crate::linux::mappings::{BLOCK, container};
use crate::linux::maps::{MapsLine, identity, parse_line};
use crate::linux::procfs::{Proc, Process, refused, vanished};
use crate::linux::target::Target;
use crate::linux::{lock_view, mounts, namespaces, open, runtimes, system};

/// The initial PID namespace (`PROC_PID_INIT_INO` in the kernel's proc_ns.h): from elsewhere not every process is seen.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";
/// Bytes of a wal-index that its first look reads.
const HEAD: usize = 136;
/// At most so many different mapped files are looked into. A hostile process can map 65,530.
const FILE_LIMIT: usize = 4096;
/// At most so many processes are kept of one wal-index.
const PROCESS_LIMIT: usize = 10_000;

/// A mapping worth a second look.
struct Candidate {
    process: Arc<Process>,
    range: String,
    path: Vec<u8>,
}

/// Looks at every visible process.
///
/// # Errors
/// When the processes cannot be listed.
pub fn mapped() -> io::Result<Mapped> {
    scan(&system())
}

fn scan(proc: &Proc) -> io::Result<Mapped> {
    let mut found = Mapped {
        every_process_in_sight: namespaces::own_link(proc, "ns/pid").value().map(|own| own == INITIAL_PID_NAMESPACE),
        ..Mapped::default()
    };
    let mut files: BTreeMap<InodeId, Vec<Candidate>> = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    for pid in proc.pids()? {
        let read = proc.process(pid).and_then(|process| Ok((process.read("maps")?, process)));
        let (text, process) = match read {
            Ok((text, process)) => (text, Arc::new(process)),
            Err(error) if vanished(&error) => continue,
            Err(error) => {
                found.processes_denied = found.processes_denied.saturating_add(1);
                let what = if refused(&error) { "" } else { "could not be read: " };
                found.denied_reason.get_or_insert_with(|| format!("{pid}/maps: {what}{error}"));
                continue;
            }
        };
        found.processes_read = found.processes_read.saturating_add(1);
        for line in candidates(&text) {
            let room = files.len() < FILE_LIMIT;
            match files.get_mut(&line.inode) {
                Some(known) if known.last().is_some_and(|last| same_mapping(last, pid, line.path)) => {}
                Some(known) => known.push(candidate(&process, &line)),
                None if room => drop(files.insert(line.inode, vec![candidate(&process, &line)])),
                None => drop(left_out.insert(line.inode)),
            }
        }
    }
    found.files_not_looked_at = left_out.len() as u64;
    let locks = lock_view::listed(proc);
    found.indexes = files.into_iter().filter_map(|(id, candidates)| index(proc, id, &candidates, &locks)).collect();
    Ok(found)
}

/// Lines that a wal-index could have, without taking the others apart: a process may have 65,530.
fn candidates(text: &[u8]) -> impl Iterator<Item = MapsLine<'_>> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| shared(line));
    lines.filter_map(parse_line).filter(|line| {
        line.inode.inode != 0
            && line.length() > 0
            && line.length().is_multiple_of(BLOCK)
            && line.offset.is_multiple_of(BLOCK)
            && (named(line.path) || may_be_unnamed(line))
    })
}

/// The `s` of `rw-s`, which stands behind the first space.
fn shared(line: &[u8]) -> bool {
    let space = line.iter().position(|&byte| byte == b' ');
    space.and_then(|at| line.get(at + 4)) == Some(&b's')
}

fn named(path: &[u8]) -> bool {
    path.ends_with(b"-shm")
}

/// A `-shm` that was renamed while it was mapped goes by another name. Memory that only looks like a file, and devices,
/// are left alone.
fn may_be_unnamed(line: &MapsLine<'_>) -> bool {
    let kernel = [&b"/dev/"[..], b"/SYSV", b"/memfd:", b"/anon_hugepage", b"/proc/", b"/sys/", b"/[", b"anon_inode:"];
    line.offset == 0 && line.path.starts_with(b"/") && !kernel.iter().any(|prefix| line.path.starts_with(prefix))
}

fn same_mapping(last: &Candidate, pid: u32, path: &[u8]) -> bool {
    last.process.pid == pid && last.path == path
}

fn candidate(process: &Arc<Process>, line: &MapsLine<'_>) -> Candidate {
    // `7f2c4a000000-7f2c4a008000`: without leading zeros, as map_files has it, too.
    let range = format!("{:x}-{:x}", line.start, line.end);
    Candidate { process: Arc::clone(process), range, path: line.path.to_owned() }
}

/// What is known about one mapped file, if it is a wal-index.
fn index(proc: &Proc, id: InodeId, candidates: &[Candidate], listed: &[LockLine]) -> Option<MappedIndex> {
    let file = open_any(proc, id, candidates);
    let head = match &file {
        Ok(file) => read_head(file),
        Err(error) => super::procfs::unseen("looking into the mapped file", error),
    };
    let by_name = candidates.iter().any(|candidate| named(&candidate.path));
    match &head {
        // A head that is none of a wal-index is another program's file, whatever it is called: but one of zeros is a
        // wal-index that nobody has initialized yet.
        Observation::Seen { value } if !(is_head(value) || (by_name && value.iter().all(|&byte| byte == 0))) => {
            return None;
        }
        Observation::Seen { .. } => {}
        _ if !by_name => return None,
        _ => {}
    }
    let size = file.as_ref().ok().and_then(|file| Some(file.metadata().ok()?.len()));
    let locks = match (file, candidates.first()) {
        (Ok(file), Some(first)) => lock_view::of_shm(proc, &file, &mounts_of(proc, first), listed),
        (Err(error), _) => ShmLocks::unknown(&error.to_string()),
        (Ok(_), None) => ShmLocks::unknown("nobody maps it"),
    };
    let mut paths = Paths { proc, id, seen: BTreeMap::new() };
    let processes = candidates.iter().take(PROCESS_LIMIT).map(|candidate| paths.process(candidate)).collect();
    let processes_not_listed = candidates.len().saturating_sub(PROCESS_LIMIT) as u64;
    Some(MappedIndex { identity: id, processes, processes_not_listed, head, size, locks })
}

fn mounts_of(proc: &Proc, candidate: &Candidate) -> Observation<Vec<Mount>> {
    match target(candidate) {
        Ok((target, _)) => mounts(proc, &target),
        Err(error) => super::procfs::unseen("mountinfo", &error),
    }
}

/// Opens the mapped file: through the mapping itself, which takes a capability, else under its path if that still leads
/// to it.
fn open_any(proc: &Proc, id: InodeId, candidates: &[Candidate]) -> io::Result<Arc<File>> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for candidate in candidates.iter().take(8) {
        let by_mapping = open::open_entry(|flags| candidate.process.open_mapped(&candidate.range, flags));
        let by_path = |_| {
            let (target, _) = target(candidate)?;
            let file = open::open_entry(|flags| target.open(flags | rustix::fs::OFlags::NOFOLLOW))?.file;
            match identity(proc, &file).value() == Some(&id) {
                true => Ok(file),
                false => Err(io::Error::other("its path leads to another file")),
            }
        };
        match by_mapping.map(|opened| opened.file).or_else(by_path) {
            Ok(file) => return Ok(file),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn read_head(file: &File) -> Observation<Vec<u8>> {
    let mut head = vec![0; HEAD];
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match std::os::unix::fs::FileExt::read_at(file, rest, filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) => return super::procfs::unseen("reading the mapped file", &error),
        }
    }
    head.truncate(filled);
    Observation::seen(head)
}

/// Whether `iVersion` of either copy says wal-index, in either byte order.
fn is_head(head: &[u8]) -> bool {
    [0, 48]
        .into_iter()
        .filter_map(|at| head.get(at..at + 4))
        .filter_map(|word| <[u8; 4]>::try_from(word).ok())
        .any(|word| u32::from_le_bytes(word) == 3_007_000 || u32::from_be_bytes(word) == 3_007_000)
}

/// The path as the process sees it, below its root, and whether it was taken from another root's name.
fn target(candidate: &Candidate) -> io::Result<(Target, PathBuf)> {
    let printed = Path::new(std::ffi::OsStr::from_bytes(&candidate.path));
    let target = Target::of_bound(&candidate.process)?;
    let path = target.take_off_prefix(printed);
    Ok((target.at(path.clone()), path))
}

/// Where the paths lead that one wal-index was mapped by. The same path in the same mount namespace is looked up once.
struct Paths<'a> {
    proc: &'a Proc,
    id: InodeId,
    seen: BTreeMap<(String, Vec<u8>), Leads>,
}

impl Paths<'_> {
    fn process(&mut self, candidate: &Candidate) -> MappingProcess {
        let process = &candidate.process;
        let target = target(candidate);
        let mount_namespace = process.link("ns/mnt");
        let path = match &target {
            Ok((_, path)) => path.to_string_lossy().into_owned(),
            Err(_) => String::from_utf8_lossy(&candidate.path).into_owned(),
        };
        let (proc, id) = (self.proc, self.id);
        // A newline is printed as `\012`, and so are these four characters: which of the two was meant is not known.
        let ambiguous = candidate.path.windows(4).any(|four| four == b"\\012");
        let look = || match target {
            Ok((target, _)) if !ambiguous => leads(proc, id, &target),
            _ => Leads::Unknown,
        };
        let path_leads_to = match mount_namespace.value() {
            Some(namespace) => *self.seen.entry((namespace.clone(), candidate.path.clone())).or_insert_with(look),
            None => look(),
        };
        MappingProcess {
            pid: process.pid,
            command: process.command(),
            container: container(process).as_ref().map(runtimes::name_of),
            mount_namespace,
            path,
            path_leads_to,
        }
    }
}

/// folklore: a path that ends in ` (deleted)` is no proof: OpenZFS prints it for live inodes, and a file may be called
/// so. So the path is looked up and the file under it is mapped for its identity. Held by
/// `a_deleted_and_a_replaced_wal_index_are_told_apart`.
fn leads(proc: &Proc, id: InodeId, target: &Target) -> Leads {
    match open::open_entry(|flags| target.open(flags | rustix::fs::OFlags::NOFOLLOW)) {
        Ok(opened) => match identity(proc, &opened.file).value() {
            Some(found) if *found == id => Leads::Here,
            Some(_) => Leads::Elsewhere,
            None => Leads::Unknown,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Leads::Nowhere,
        // Something is there that is no regular file.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Leads::Elsewhere,
        Err(_) => Leads::Unknown,
    }
}
