//! `/proc/PID/pagemap` (man 5 proc_pid_pagemap): which page frames the mappings of a `-shm` have.
//!
//! Two mappings with one page frame at the same moment share memory, whatever the file systems say. Frames are reused
//! within milliseconds, so only tables that one process reads in turn prove anything.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use memmap2::{Advice, Mmap};
use thiserror::Error;

use crate::evidence::file_system::{FileSystemKind, PageFrames};
use crate::evidence::live::{Mapper, NoFrame, PageEntry, PageTable, PagesView, Touched};
use crate::evidence::{InodeId, Mapping, MappingsView, Observation};
use crate::linux::mapped::limits::BLOCK;
use crate::linux::mapped_identity::mapped_identity;
use crate::linux::open::{self, OpenedFiles};
use crate::linux::path_leads::PathLeads;
use crate::linux::procfs::{Proc, Process};
use crate::linux::stat::magic_of;
use crate::linux::sys;
use crate::linux::text::maps::{self, MapsLine};
use crate::linux::unopened;
use crate::linux::unseen::unseen;

/// How often each table is read.
const PASSES: usize = 6;
/// At most so many processes are looked at on each side.
const PROCESSES: usize = 32;
/// At most so many pages are looked at: 7, one block minus one page of 4 KiB.
const PAGES: u64 = 7;
/// Bytes of an entry.
const ENTRY: u64 = 8;
/// How long a file system may take to answer before a page is touched, and to bring the page.
const FILE_SYSTEM_ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// A side that is looked at now.
#[derive(Debug, Clone, Copy)]
pub struct LiveSide<'a> {
    /// Its open descriptors.
    pub files: &'a OpenedFiles,
    /// The mappings that were found for them.
    pub mappings: &'a Observation<MappingsView>,
    /// The mount namespace of the side.
    pub mount_namespace: &'a Observation<String>,
}

/// Reads the tables of both sides in turn. Pages of idle processes are touched first, if nothing can be said without that.
#[must_use]
pub fn in_turn(proc: &Proc, a: &LiveSide<'_>, b: &LiveSide<'_>) -> Observation<PagesView> {
    let sides = [a, b];
    match (Tables::of(proc, a), Tables::of(proc, b)) {
        (Ok(mut a), Ok(mut b)) => {
            read_in_turn(&mut a, &mut b);
            let touched = touch_idle([(&a, &sides[0].files.shm), (&b, &sides[1].files.shm)]);
            if touched != Touched::NotTried {
                a.forget();
                b.forget();
                read_in_turn(&mut a, &mut b);
            }
            let files_in_place = sides.iter().all(|side| open::shm_leads(side.files).0 == PathLeads::Here);
            Observation::seen(PagesView {
                page_size: page_size(),
                not_looked_at: a.not_looked_at.saturating_add(b.not_looked_at),
                a: a.conclude(),
                b: b.conclude(),
                files_in_place,
                touched,
            })
        }
        (Err(unseen), _) | (_, Err(unseen)) => unseen,
    }
}

fn read_in_turn(a: &mut Tables, b: &mut Tables) {
    for _ in 0..PASSES {
        a.read();
        b.read();
    }
}

/// Brings the first page of the `-shm` back into the page tables of idle processes, where no page frame would tell anything
/// without it: a process of each side was seen, walscope's own mapping proves nothing, and no page is in the tables of a
/// process of each side.
///
/// folklore: on FUSE an open of a file can drop its cached pages, and with them the page table entries of whoever has it mapped
/// (without FOPEN_KEEP_CACHE, fs/fuse/file.c). So walscope's own open makes idle processes show nothing. Seen with bindfs; held
/// by `idle_processes_on_one_fuse_mount_have_one_memory`.
fn touch_idle(sides: [(&Tables, &Observation<Arc<File>>); 2]) -> Touched {
    let [(a, _), (b, _)] = sides;
    if !(sides.iter().any(|(_, shm)| only_processes_count(shm)) && a.shows_frames() && b.shows_frames()) {
        return Touched::NotTried;
    }
    let both = |a: &Table| b.of_processes().any(|b| a.share_a_resident_page(b));
    // The bytes of a -shm that is not opened were read through one process: then its pages alone are in a table.
    let one_was_read = sides.iter().any(|(tables, shm)| {
        shm.value().is_some_and(|shm| unopened::is_unopened(shm)) && tables.of_processes().any(Table::is_idle)
    });
    let enough = a.of_processes().any(both) && !one_was_read;
    if a.of_processes().next().is_none() || b.of_processes().next().is_none() || enough {
        return Touched::NotTried;
    }
    let mut touched = Touched::NotTried;
    for (tables, shm) in sides {
        let Some(shm) = shm.value() else { return Touched::NotTried };
        let memories: Vec<(File, u64)> = tables.of_processes().filter_map(Table::idle).collect();
        let places: Vec<sys::Place<'_>> =
            memories.iter().map(|(memory, address)| sys::Place { memory, address: *address }).collect();
        touched = match sys::touch(shm, &places, FILE_SYSTEM_ANSWERS_WITHIN) {
            Ok(()) => Touched::Done,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Touched::NotAnswered,
            Err(_) => return Touched::Failed,
        };
    }
    touched
}

/// Whether equal frames of walscope's own mappings prove nothing on this file system.
fn only_processes_count(shm: &Observation<Arc<File>>) -> bool {
    let kind = shm.value().and_then(|shm| magic_of(shm).ok()).map(FileSystemKind::by_magic);
    kind.is_none_or(|kind| !kind.is_local() || kind.frames == PageFrames::OfProcesses)
}

/// Reads the tables of one side once, to record them in a bundle.
#[must_use]
pub fn once(proc: &Proc, side: &LiveSide<'_>) -> Observation<Vec<PageTable>> {
    match Tables::of(proc, side) {
        Ok(mut tables) => {
            tables.read();
            Observation::seen(tables.conclude())
        }
        Err(unseen) => unseen,
    }
}

fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// How many pages of a file of this size are looked at, at most one block minus one page. SQLite maps whole blocks, so
/// a shorter mapping is not mistaken for SQLite's by a search through processes. A block of one page is mapped whole.
fn pages_of(size: u64, page_size: u64) -> u64 {
    let most = (BLOCK.saturating_sub(page_size) / page_size).clamp(1, PAGES);
    (size / page_size).min(most)
}

/// The page tables of one side.
struct Tables {
    all: Vec<Table>,
    pages: usize,
    /// Number of further mappings that were seen and not looked at.
    not_looked_at: u64,
}

/// The page table of one mapping.
struct Table {
    mapper: Mapper,
    writable: bool,
    same_path: bool,
    access: Result<Access, Observation<Vec<Vec<PageEntry>>>>,
    reads: Vec<Vec<PageEntry>>,
}

/// The open file from which a table is read.
struct Access {
    pagemap: File,
    address: u64,
    alive: Alive,
}

/// What keeps a mapping alive, or shows that it still exists.
enum Alive {
    Own(Mmap),
    Other { process: Process, start_time: Option<u64>, inode: InodeId },
}

/// Why a page table that was read does not count.
#[derive(Debug, Error)]
enum Changed {
    /// After reading, the maps of the process could not be read: it may have ended.
    #[error("{pid}/maps: {why}")]
    Unread { pid: u32, why: io::Error },
    /// After reading, the mapping was a different one.
    #[error("the mapping of process {pid} changed while page tables were read")]
    Mapping { pid: u32 },
}

impl Tables {
    /// Finds the mappings: one that this process makes itself, and those of the side's processes that map the inode to
    /// which the path leads.
    fn of<T>(proc: &Proc, side: &LiveSide<'_>) -> Result<Self, Observation<T>> {
        let shm = match &side.files.shm {
            Observation::Seen { value } => value,
            absent => {
                return Err(Observation::missing(format!("no -shm was seen: {}", absent.reason().unwrap_or_default())));
            }
        };
        let size = shm.metadata().map_err(|error| unseen("fstat of the -shm", &error))?.len();
        let pages = pages_of(size, page_size());
        if pages == 0 {
            return Err(Observation::missing(format!("the -shm has {size} bytes, less than a page")));
        }
        let mut all = vec![Table::own(proc, shm, pages)];
        let mut not_looked_at = 0;
        if let Some(inode) = mapped_identity(proc, shm).value() {
            let path = maps::escaped(side.files.shm_path().as_os_str().as_bytes());
            let (mapped, more) = mapped(side, *inode);
            all.extend(mapped.into_iter().map(|mapping| Table::of_process(proc, mapping, &path)));
            not_looked_at = more;
        }
        Ok(Self { all, pages: usize::try_from(pages).unwrap_or(1), not_looked_at })
    }

    fn read(&mut self) {
        for table in &mut self.all {
            table.read(self.pages);
        }
    }

    fn of_processes(&self) -> impl Iterator<Item = &Table> {
        self.all.iter().filter(|table| matches!(table.mapper, Mapper::Process { .. }))
    }

    /// Whether this process may see page frames, as walscope's own mapping shows.
    fn shows_frames(&self) -> bool {
        let mut own = self.all.iter().filter(|table| table.mapper == Mapper::Descriptor);
        own.any(|table| match table.access {
            Ok(_) => table.last().iter().any(|entry| entry.frame().is_ok()),
            // A -shm that is not opened is not mapped here.
            Err(_) => own_memory_shows_a_frame().unwrap_or(false),
        })
    }

    fn forget(&mut self) {
        self.all.iter_mut().for_each(|table| table.reads.clear());
    }

    fn conclude(self) -> Vec<PageTable> {
        self.all.into_iter().map(Table::conclude).collect()
    }
}

/// Whether the page table shows the frame of a page of this process's own program, which is the page of a file.
fn own_memory_shows_a_frame() -> io::Result<bool> {
    static OF_PROGRAM: [u8; 8] = *b"walscope";
    let address = std::hint::black_box(&OF_PROGRAM).as_ptr().addr() as u64;
    std::hint::black_box(OF_PROGRAM.first().copied());
    let mut entry = [0; ENTRY as usize];
    Proc::system().this_process()?.open("pagemap")?.read_exact_at(&mut entry, address / page_size() * ENTRY)?;
    Ok(PageEntry(u64::from_ne_bytes(entry)).frame().is_ok())
}

/// For each process of the side one mapping of the beginning of the `-shm`, and how many more were seen.
fn mapped<'a>(side: &LiveSide<'a>, inode: InodeId) -> (Vec<&'a Mapping>, u64) {
    let Some(view) = side.mappings.value() else { return (Vec::new(), 0) };
    let of_side = |mapping: &&Mapping| {
        mapping.shared
            && mapping.inode == inode
            && mapping.mount_namespace.value().is_some()
            && mapping.mount_namespace.value() == side.mount_namespace.value()
    };
    let all: Vec<&Mapping> = view.mappings.iter().filter(of_side).collect();
    let mut found: Vec<&Mapping> = all.iter().copied().filter(|mapping| mapping.offset == 0).collect();
    found.dedup_by_key(|mapping| mapping.pid);
    found.truncate(PROCESSES);
    let more = (all.len() - found.len()) as u64;
    (found, more.saturating_add(view.mappings_not_listed).saturating_add(view.mappings_unknown))
}

impl Table {
    fn own(proc: &Proc, shm: &File, pages: u64) -> Self {
        let access = || -> io::Result<Access> {
            let mapping = sys::map_shared(shm, usize::try_from(pages * page_size()).unwrap_or(usize::MAX))?;
            let pagemap = proc.this_process()?.open("pagemap")?;
            Ok(Access { pagemap, address: mapping.as_ptr().addr() as u64, alive: Alive::Own(mapping) })
        };
        let access = if unopened::is_unopened(shm) {
            Err(Observation::missing("the -shm is on FUSE and in use, and was not opened"))
        } else {
            access().map_err(|error| unseen("self/pagemap", &error))
        };
        Self { mapper: Mapper::Descriptor, writable: false, same_path: true, access, reads: Vec::new() }
    }

    fn of_process(proc: &Proc, mapping: &Mapping, path: &[u8]) -> Self {
        let mut writable = false;
        let mut access = || -> io::Result<Access> {
            let process = proc.process(mapping.pid)?;
            let text = process.read("maps")?;
            // By its own address: two mappings of one process can print alike, as those of two btrfs subvolumes.
            let this = |line: &MapsLine<'_>| line.start == mapping.address && begins(line, mapping.inode);
            let Some(line) = maps::each(&text).flatten().find(this) else {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the mapping is gone"));
            };
            if process.start_time() != mapping.start_time {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the process has ended"));
            }
            writable = line.writable;
            let pagemap = process.open("pagemap")?;
            let alive = Alive::Other { process, start_time: mapping.start_time, inode: mapping.inode };
            Ok(Access { pagemap, address: line.start, alive })
        };
        let access = access().map_err(|error| unseen(&format!("{}/pagemap", mapping.pid), &error));
        let Mapping { pid, command, start_time, .. } = mapping;
        Self {
            mapper: Mapper::Process { pid: *pid, command: command.clone(), start_time: *start_time },
            writable,
            same_path: mapping.path.as_bytes() == path,
            access,
            reads: Vec::new(),
        }
    }

    fn read(&mut self, pages: usize) {
        let entries = match &self.access {
            Ok(access) => access.entries(pages),
            Err(_) => return,
        };
        match entries {
            Ok(entries) => self.reads.push(entries),
            Err(error) => self.access = Err(unseen("pagemap", &error)),
        }
    }

    fn last(&self) -> &[PageEntry] {
        self.reads.last().map(Vec::as_slice).unwrap_or_default()
    }

    fn share_a_resident_page(&self, other: &Self) -> bool {
        self.last().iter().zip(other.last()).any(|(x, y)| x.frame().is_ok() && y.frame().is_ok())
    }

    /// Whether the first page is not in the table.
    fn is_idle(&self) -> bool {
        self.last().first().is_some_and(|entry| entry.frame() == Err(NoFrame::NotResident))
    }

    /// The memory of a process that shows no frame of the first page, and the address of that page.
    fn idle(&self) -> Option<(File, u64)> {
        let access = self.access.as_ref().ok()?;
        let Alive::Other { process, .. } = &access.alive else { return None };
        self.is_idle().then(|| process.open("mem").ok()).flatten().map(|memory| (memory, access.address))
    }

    fn conclude(self) -> PageTable {
        let reads = match self.access {
            Ok(access) => match access.unchanged() {
                Ok(()) => Observation::seen(self.reads),
                Err(why) => Observation::missing(why.to_string()),
            },
            Err(unseen) => unseen,
        };
        PageTable { mapper: self.mapper, writable: self.writable, same_path: self.same_path, reads }
    }
}

impl Access {
    fn entries(&self, pages: usize) -> io::Result<Vec<PageEntry>> {
        if let Alive::Own(mapping) = &self.alive {
            // Fills the page table, and gives an error where a load would cause SIGBUS. Kernels before 5.14 do not know
            // it: pages that are not resident then stay so, and prove nothing.
            let _ = mapping.advise(Advice::PopulateRead);
        }
        let mut bytes = vec![0; pages * ENTRY as usize];
        self.pagemap.read_exact_at(&mut bytes, self.address / page_size() * ENTRY)?;
        let entry = |bytes: &[u8]| <[u8; ENTRY as usize]>::try_from(bytes).map(u64::from_ne_bytes).unwrap_or(0);
        Ok(bytes.chunks_exact(ENTRY as usize).map(|bytes| PageEntry(entry(bytes))).collect())
    }

    /// Checks that the process still has this mapping of the file.
    fn unchanged(&self) -> Result<(), Changed> {
        let Alive::Other { process, start_time, inode } = &self.alive else { return Ok(()) };
        let pid = process.pid;
        let text = process.read("maps").map_err(|why| Changed::Unread { pid, why })?;
        let there = maps::each(&text).flatten().any(|line| line.start == self.address && begins(&line, *inode));
        if there && process.start_time() == *start_time {
            return Ok(());
        }
        Err(Changed::Mapping { pid })
    }
}

/// Whether a line is a shared mapping of the first block of this inode.
fn begins(line: &MapsLine<'_>, inode: InodeId) -> bool {
    line.shared && line.offset == 0 && line.inode == inode && line.length() >= BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::Target;
    use crate::linux::mapped::fake_proc::{ID, line, process};
    use crate::linux::mapped::of_side::{Wanted, scan};

    #[test]
    fn some_pages_are_looked_at_whatever_the_size_of_a_page_and_of_the_file() {
        const KIB: u64 = 1 << 10;
        for (page_size, pages) in [(4, 7), (8, 3), (16, 1), (32, 1), (64, 1)] {
            assert_eq!(pages_of(64 * KIB, page_size * KIB), pages, "{page_size} KiB a page");
            assert_eq!(pages_of(u64::MAX, page_size * KIB), pages, "{page_size} KiB a page");
            assert_eq!(pages_of(page_size * KIB - 1, page_size * KIB), 0);
        }
        assert_eq!(pages_of(u64::MAX, 512), PAGES);
    }

    #[test]
    fn who_is_not_looked_at_is_counted() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "self", "mnt:[1]", "");
        for pid in 10..50 {
            process(root.path(), &pid.to_string(), "mnt:[1]", &line(ID.inode, BLOCK, "/data/t.db-shm"));
        }
        process(root.path(), "50", "mnt:[2]", &line(ID.inode, BLOCK, "/data/t.db-shm"));
        let proc = Proc::new(root.path());
        let wanted = Wanted::new(&proc, Some(ID), &Target::from("/data/t.db-shm"));
        let view = scan(&proc, &wanted, PathLeads::Here).value().unwrap().clone();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t.db"), "").unwrap();
        let files = open::open_database(folder.path().join("t.db").as_path(), open::Care::default()).unwrap();
        let counted = |change: &dyn Fn(&mut MappingsView)| {
            let mut view = view.clone();
            change(&mut view);
            let mappings = Observation::seen(view);
            let side =
                LiveSide { files: &files, mappings: &mappings, mount_namespace: &Observation::seen("mnt:[1]".into()) };
            let (looked_at, more) = mapped(&side, ID);
            (looked_at.len(), more)
        };
        assert_eq!(counted(&|_| {}), (PROCESSES, 8));
        assert_eq!(counted(&|view| view.mappings.truncate(PROCESSES)), (PROCESSES, 0));
        assert_eq!(counted(&|view| view.mappings_not_listed = 100), (PROCESSES, 108));
        // A mapping under another path, or of another part of the file.
        let second = |view: &mut MappingsView| view.mappings[1].pid = view.mappings[0].pid;
        assert_eq!(counted(&|view| (view.mappings.truncate(2), second(view)).1), (1, 1));
        assert_eq!(counted(&|view| (view.mappings.truncate(2), view.mappings[1].offset = BLOCK).1), (1, 1));
    }
}
