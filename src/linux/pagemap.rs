//! `/proc/PID/pagemap` (man 5 proc_pid_pagemap): which page frames stand behind the mappings of a `-shm`.
//!
//! One page frame behind two mappings at the same moment is one memory, whatever the file systems say. Frames are used
//! again within milliseconds, so that only tables read in turn, in one process, mean anything.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use memmap2::{Advice, Mmap};

use crate::evidence::live::{Mapper, PageEntry, PageTable, PagesView};
use crate::evidence::{InodeId, Mapping, Observation};
use crate::linux::mappings::{BLOCK, Leads};
use crate::linux::maps::{self, MapsLine};
use crate::linux::procfs::{Proc, Process, unseen};
use crate::linux::{LiveSide, open, shm_path, sys};

/// How often each table is read.
const PASSES: usize = 6;
/// Processes looked at on each side.
const PROCESSES: usize = 32;
/// Bytes of an entry.
const ENTRY: u64 = 8;

/// Reads the tables of both sides in turn.
#[must_use]
pub fn in_turn(proc: &Proc, a: &LiveSide<'_>, b: &LiveSide<'_>) -> Observation<PagesView> {
    let sides = [a, b];
    match (Tables::of(proc, a), Tables::of(proc, b)) {
        (Ok(mut a), Ok(mut b)) => {
            for _ in 0..PASSES {
                a.read();
                b.read();
            }
            let files_in_place = sides.iter().all(|side| open::shm_leads(side.files).0 == Leads::Here);
            Observation::seen(PagesView { page_size: page_size(), a: a.conclude(), b: b.conclude(), files_in_place })
        }
        (Err(unseen), _) | (_, Err(unseen)) => unseen,
    }
}

/// Reads the tables of one side once, for the record.
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

/// The page tables of one side.
struct Tables {
    all: Vec<Table>,
    pages: usize,
}

/// The page table of one mapping.
struct Table {
    mapper: Mapper,
    writable: bool,
    same_path: bool,
    access: Result<Access, Observation<Vec<Vec<PageEntry>>>>,
    reads: Vec<Vec<PageEntry>>,
}

/// Where a table is read.
struct Access {
    pagemap: File,
    address: u64,
    alive: Alive,
}

/// What keeps a mapping, or tells that it is still there.
enum Alive {
    Own(Mmap),
    Other { process: Process, start_time: Option<u64>, inode: InodeId },
}

impl Tables {
    /// Finds the mappings: this process makes one of its own; of the side's processes those are taken that map the
    /// inode which the path leads to.
    fn of<T>(proc: &Proc, side: &LiveSide<'_>) -> Result<Self, Observation<T>> {
        let shm = match &side.files.shm {
            Observation::Seen { value } => value,
            absent => {
                return Err(Observation::missing(format!("no -shm was seen: {}", absent.reason().unwrap_or_default())));
            }
        };
        let size = shm.metadata().map_err(|error| unseen("fstat of the -shm", &error))?.len();
        // A page short of a block: SQLite maps whole blocks, and whoever lists processes must not take this for one.
        let pages = size.min(BLOCK - page_size()) / page_size();
        if pages == 0 {
            return Err(Observation::missing(format!("the -shm has {size} bytes, less than a page")));
        }
        let mut all = vec![Table::own(proc, shm, pages)];
        if let Some(inode) = maps::identity(proc, shm).value() {
            let path = maps::escaped(shm_path(side.files).as_os_str().as_bytes());
            all.extend(mapped(side, *inode).into_iter().map(|mapping| Table::of_process(proc, mapping, &path)));
        }
        Ok(Self { all, pages: usize::try_from(pages).unwrap_or(1) })
    }

    fn read(&mut self) {
        for table in &mut self.all {
            table.read(self.pages);
        }
    }

    fn conclude(self) -> Vec<PageTable> {
        self.all.into_iter().map(Table::conclude).collect()
    }
}

/// One mapping of the beginning of the `-shm` for each process of the side.
fn mapped<'a>(side: &LiveSide<'a>, inode: InodeId) -> Vec<&'a Mapping> {
    let Some(view) = side.mappings.value() else { return Vec::new() };
    let mut found: Vec<&Mapping> = view
        .mappings
        .iter()
        .filter(|mapping| {
            mapping.shared
                && mapping.offset == 0
                && mapping.inode == inode
                && mapping.mount_namespace.value().is_some()
                && mapping.mount_namespace.value() == side.mount_namespace.value()
        })
        .collect();
    found.dedup_by_key(|mapping| mapping.pid);
    found.truncate(PROCESSES);
    found
}

impl Table {
    fn own(proc: &Proc, shm: &File, pages: u64) -> Self {
        let access = || -> io::Result<Access> {
            let mapping = sys::map_shared(shm, usize::try_from(pages * page_size()).unwrap_or(usize::MAX))?;
            let pagemap = proc.this_process()?.open("pagemap")?;
            Ok(Access { pagemap, address: mapping.as_ptr().addr() as u64, alive: Alive::Own(mapping) })
        };
        let access = access().map_err(|error| unseen("self/pagemap", &error));
        Self { mapper: Mapper::Descriptor, writable: false, same_path: true, access, reads: Vec::new() }
    }

    fn of_process(proc: &Proc, mapping: &Mapping, path: &[u8]) -> Self {
        let mut writable = false;
        let mut access = || -> io::Result<Access> {
            let process = proc.process(mapping.pid)?;
            let text = process.read("maps")?;
            let lines = maps::parse(&text).map_err(|error| io::Error::other(error.to_string()))?;
            let Some(line) = lines.iter().find(|line| begins(line, mapping.inode)) else {
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

    fn conclude(self) -> PageTable {
        let reads = match self.access {
            Ok(access) => match access.unchanged() {
                Ok(()) => Observation::seen(self.reads),
                Err(reason) => Observation::missing(reason),
            },
            Err(unseen) => unseen,
        };
        PageTable { mapper: self.mapper, writable: self.writable, same_path: self.same_path, reads }
    }
}

impl Access {
    fn entries(&self, pages: usize) -> io::Result<Vec<PageEntry>> {
        if let Alive::Own(mapping) = &self.alive {
            // Fills the page table and reports where a load would die of SIGBUS. Kernels before 5.14 do not know it;
            // what is not resident then stays so, and says nothing.
            let _ = mapping.advise(Advice::PopulateRead);
        }
        let mut bytes = vec![0; pages * ENTRY as usize];
        self.pagemap.read_exact_at(&mut bytes, self.address / page_size() * ENTRY)?;
        let entry = |bytes: &[u8]| <[u8; ENTRY as usize]>::try_from(bytes).map(u64::from_ne_bytes).unwrap_or(0);
        Ok(bytes.chunks_exact(ENTRY as usize).map(|bytes| PageEntry(entry(bytes))).collect())
    }

    /// Whether this is still the mapping of that file in that process.
    fn unchanged(&self) -> Result<(), String> {
        let Alive::Other { process, start_time, inode } = &self.alive else { return Ok(()) };
        let pid = process.pid;
        let text = process.read("maps").map_err(|error| format!("{pid}/maps: {error}"))?;
        let lines = maps::parse(&text).map_err(|error| format!("{pid}/maps: {error}"))?;
        let there = lines.iter().any(|line| line.start == self.address && begins(line, *inode));
        if there && process.start_time() == *start_time {
            return Ok(());
        }
        Err(format!("the mapping of process {pid} changed while page tables were read"))
    }
}

/// A shared mapping of the first block of this inode.
fn begins(line: &MapsLine<'_>, inode: InodeId) -> bool {
    line.shared && line.offset == 0 && line.inode == inode && line.length() >= BLOCK
}
