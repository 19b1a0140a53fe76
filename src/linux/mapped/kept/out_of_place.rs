//! Which databases of a look at all processes deserve a closer one: a process has files of them open that do not lie beside each
//! other at their path.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::held::{Open, descriptors};
use super::place::{Here, View};
use crate::evidence::{Mapped, Part};
use crate::linux::procfs::{Proc, Process};

/// At most so many databases are named.
const DATABASES: usize = 64;

/// A database to look at, as a process sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutOfPlace {
    /// The process.
    pub pid: u32,
    /// The path of the database, below the root of the process.
    pub path: PathBuf,
}

/// The databases of these processes of which a file was deleted, renamed or replaced while it is open, each by one process. It is a
/// first look, by names alone: a process that closes a database may be among them.
#[must_use]
pub fn out_of_place(mapped: &Mapped) -> Vec<OutOfPlace> {
    let proc = Proc::system();
    let here = Here::new(&proc);
    let mut locked: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for process in mapped.indexes.iter().flat_map(|index| &index.processes) {
        locked.entry(process.pid).or_default();
    }
    for process in mapped.databases.iter().flat_map(|database| &database.processes) {
        locked.entry(process.pid).or_default().push(&process.place);
    }
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    for (pid, databases) in locked {
        let Ok(process) = proc.process(pid) else { continue };
        let Ok((open, _)) = descriptors(&process) else { continue };
        let view = View::of(&here, &process);
        let namespace = process.link("ns/mnt").value().cloned();
        for path in suspects(&view, &process, &open, &databases) {
            let place = view.seen(Path::new(OsStr::from_bytes(path)));
            if known.insert((namespace.clone(), path.to_vec())) && found.len() < DATABASES {
                found.push(OutOfPlace { pid, path: place });
            }
        }
    }
    found
}

/// The paths of such databases of one process, as the kernel prints them here. `locked`: those of databases that it has locked.
fn suspects<'o>(view: &View<'_>, process: &Process, open: &'o [Open], locked: &[&'o str]) -> BTreeSet<&'o [u8]> {
    let locked = || locked.iter().map(|path| path.as_bytes());
    let mut found = BTreeSet::new();
    let sidecars = open.iter().filter(|open| open.part != Part::Database);
    for (sidecar, base) in sidecars.filter_map(|open| Some((open, open.base()?))) {
        let of_name = open.iter().filter(|open| open.is(Part::Database, base));
        let in_place = of_name.clone().any(|database| !database.deleted && leads_to(view, process, database));
        if of_name.clone().next().is_some() && (!in_place || sidecar.deleted && sidecar.part != Part::Shm) {
            found.insert(base);
        }
        // It has another name by now, and the process has it locked.
        if of_name.clone().next().is_none() && locked().next().is_some() {
            found.extend(locked().chain([base]));
        }
    }
    for path in locked() {
        let mut of_name = open.iter().filter(|open| open.is(Part::Database, path)).peekable();
        if of_name.peek().is_some() && of_name.all(|database| database.deleted || !leads_to(view, process, database)) {
            found.insert(path);
        }
    }
    found
}

fn leads_to(view: &View<'_>, process: &Process, open: &Open) -> bool {
    let seen = view.seen(Path::new(OsStr::from_bytes(&open.path)));
    process.file_beneath_root(seen.as_os_str().as_bytes()).is_ok_and(|file| file == open.file)
}
