//! A `-shm` in use on FUSE is not opened: its bytes are read from the memory of the processes that have it mapped.
//!
//! folklore: when a file on FUSE is opened, the kernel writes back and drops what the mount has cached of it, unless the
//! daemon asks for FOPEN_KEEP_CACHE (fs/fuse/file.c, `fuse_finish_open`). Whoever has the `-shm` mapped then reads what the
//! daemon has. With two mounts of one folder this is the wal-index of the other side, and SQLite goes on with frames that
//! are not its own. O_PATH opens nothing, and `/proc/PID/mem` reads the pages where they are. Seen with bindfs 1.14.7; held by
//! `a_wal_index_in_use_on_fuse_is_answered_about_and_not_opened`.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use rustix::fs::{OFlags, fcntl_getfl, fstatfs};

use crate::bytes::ReadAt;
use crate::evidence::file_system::is_fuse;
use crate::evidence::{InSight, InodeId, LockSlot};
use crate::linux::file_id::device;
use crate::linux::procfs::{Proc, Process};
use crate::linux::text::maps;
use crate::linux::unseen::vanished;
use crate::linux::{namespaces, sys};

/// A regular file with the name of a `-shm` that is not simply opened, because that can make the kernel drop its pages: the
/// file, opened with O_PATH by `open`. `None`: it may be opened.
pub(super) fn kept_closed(
    name: &[u8],
    look_anyway: bool,
    open: impl FnOnce(OFlags) -> io::Result<OwnedFd>,
) -> Option<File> {
    if look_anyway || !name.ends_with(b"-shm") {
        return None;
    }
    let place = File::from(open(OFlags::PATH).ok()?);
    (place.metadata().is_ok_and(|found| found.is_file()) && open_drops_pages(&place)).then_some(place)
}

/// Whether opening the file can make the kernel drop what it has cached. `place` may be opened with O_PATH.
pub(super) fn open_drops_pages(place: &File) -> bool {
    fstatfs(place).is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(is_fuse))
}

/// Whether a descriptor was opened with O_PATH: the file behind it was not opened.
pub(super) fn is_unopened(file: &File) -> bool {
    fcntl_getfl(file).is_ok_and(|flags| flags.contains(OFlags::PATH))
}

/// Device and inode of a file on FUSE, as the kernel prints them for a mapping: `stat` gives the same there.
pub(super) fn identity(place: &File) -> io::Result<InodeId> {
    let metadata = place.metadata()?;
    Ok(InodeId { device: device(metadata.dev()), inode: metadata.ino() })
}

/// How a `-shm` on FUSE can be looked at.
pub(super) enum Way {
    /// Nobody uses it: an open does no harm.
    Open,
    /// Through the memory of its processes.
    Memory(MappedFile),
    /// Not at all, and why.
    Closed(String),
}

/// Decides how a `-shm` on FUSE is looked at. `place`: opened with O_PATH. `database`: the open database beside it.
///
/// Each connection in WAL mode holds a lock on the database, and whoever has lost it is seen by its mapping.
pub(super) fn way(proc: &Proc, place: Arc<File>, database: Option<&Arc<File>>) -> Way {
    let id = match identity(&place) {
        Ok(id) => id,
        Err(error) => return Way::Closed(format!("fstat: {error}")),
    };
    let (mut all, mut pids) = (namespaces::in_sight(proc) == InSight::Every, Vec::new());
    let mut parts = Vec::new();
    for pid in proc.pids().unwrap_or_default() {
        let Ok(process) = proc.process(pid) else { continue };
        match parts_of(&process, id) {
            Ok(found) if found.is_empty() => {}
            Ok(found) => {
                pids.push(pid);
                if let Ok(part) = Part::of(process, found) {
                    parts.push(part);
                }
            }
            Err(error) if vanished(&error) => {}
            Err(_) => all = false,
        }
    }
    let bytes = LockSlot::Database.bytes();
    let ask = |database: &Arc<File>| sys::first_conflict(database, bytes.start, bytes.end.saturating_sub(bytes.start));
    let locked = database.and_then(|database| ask(database).ok()).map(|conflict| conflict.is_some());
    match (pids.is_empty(), locked) {
        (true, Some(false)) => Way::Open,
        (true, None) if all => Way::Open,
        _ if !parts.is_empty() => Way::Memory(MappedFile { place, id, parts }),
        (none, _) => {
            let by = match pids.first() {
                Some(pid) if !none => format!(" by pid {pid}"),
                _ if locked.is_none() => ", as far as can be told".to_owned(),
                _ => String::new(),
            };
            Way::Closed(format!("{IN_USE}{by}"))
        }
    }
}

/// What has to be said before a `-shm` in use on FUSE is opened to be read.
pub(super) fn refusal(why: &str) -> String {
    format!(
        "not opened: {why}. {HARM}. If its database is named, walscope as root on the host reads it from the memory of its \
         processes. --look-anyway opens it"
    )
}

/// The same of one that is opened to try locks on it.
pub(super) fn refusal_of_locks() -> String {
    format!("not opened: {IN_USE}, and locks can be tried only on an open file. {HARM}. --look-anyway opens it")
}

/// Why a `-shm` on FUSE is not opened.
pub(super) const IN_USE: &str = "it is on a FUSE mount and in use";
const HARM: &str = "To open it makes the kernel drop what this mount has cached of it, and if the folder is mounted twice, one side \
                    then reads the wal-index of the other, and commits are lost";

/// A file that some processes have mapped, read from their memory.
pub struct MappedFile {
    /// The file, opened with O_PATH: for its length and its identity.
    place: Arc<File>,
    id: InodeId,
    parts: Vec<Part>,
}

/// What one process has mapped of it.
struct Part {
    process: Process,
    memory: File,
    mappings: Vec<Mapped>,
}

/// One mapping of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mapped {
    address: u64,
    offset: u64,
    length: u64,
}

impl Part {
    fn of(process: Process, mappings: Vec<Mapped>) -> io::Result<Self> {
        let memory = process.open("mem")?;
        Ok(Self { process, memory, mappings })
    }

    /// Reads at `offset`, up to the end of the mapping. `None`: it is not mapped here.
    fn read_at(&self, id: InodeId, buf: &mut [u8], offset: u64) -> Option<io::Result<usize>> {
        let has = |mapped: &&Mapped| offset.checked_sub(mapped.offset).is_some_and(|at| at < mapped.length);
        let mapped = self.mappings.iter().find(has)?;
        let at = offset.saturating_sub(mapped.offset);
        let most = usize::try_from(mapped.length.saturating_sub(at)).unwrap_or(usize::MAX).min(buf.len());
        let mut read = || {
            let read =
                self.memory.read_at(buf.get_mut(..most).unwrap_or_default(), mapped.address.saturating_add(at))?;
            // The process may have mapped something else there meanwhile.
            match read > 0 && parts_of(&self.process, id)?.contains(mapped) {
                true => Ok(read),
                false => Err(io::Error::new(io::ErrorKind::NotFound, "the process has unmapped it")),
            }
        };
        Some(read())
    }
}

impl MappedFile {
    /// What these processes have mapped of the file at `place`, which is on FUSE. `None`: nothing that may be read.
    pub(super) fn of(place: Arc<File>, processes: impl Iterator<Item = io::Result<Process>>) -> Option<Self> {
        let id = identity(&place).ok()?;
        let part = |process: io::Result<Process>| {
            let process = process.ok()?;
            let mappings = parts_of(&process, id).ok().filter(|found| !found.is_empty())?;
            Part::of(process, mappings).ok()
        };
        let parts: Vec<Part> = processes.filter_map(part).collect();
        (!parts.is_empty()).then_some(Self { place, id, parts })
    }

    /// The file, opened with O_PATH.
    pub(super) fn place(&self) -> &Arc<File> {
        &self.place
    }
}

impl std::fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MappedFile({:?}, {} processes)", self.id, self.parts.len())
    }
}

/// Its length is that of the file now.
impl ReadAt for MappedFile {
    fn len(&self) -> u64 {
        self.place.metadata().map_or(0, |metadata| metadata.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let Some(buf) = buf.get_mut(..left) else { return Ok(0) };
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            let mut last = None;
            let read = self.parts.iter().find_map(|part| match part.read_at(self.id, rest, at)? {
                Ok(read) => Some(read),
                Err(error) => {
                    last = Some(error);
                    None
                }
            });
            match (read, last) {
                (Some(read), _) => done += read,
                (None, why) => {
                    let why = why
                        .map_or_else(|| "no process that may be read has it mapped".to_owned(), |why| why.to_string());
                    return Err(io::Error::other(format!("from byte {at} on {why}; {}", refusal(IN_USE))));
                }
            }
        }
        Ok(done)
    }
}

/// The shared mappings of a file in one process.
fn parts_of(process: &Process, id: InodeId) -> io::Result<Vec<Mapped>> {
    let text = process.read("maps")?;
    let of_file = |line: &maps::MapsLine<'_>| line.inode == id && line.shared;
    let mapped = |line: maps::MapsLine<'_>| Mapped { address: line.start, offset: line.offset, length: line.length() };
    Ok(maps::each(&text).flatten().filter(of_file).map(mapped).collect())
}
