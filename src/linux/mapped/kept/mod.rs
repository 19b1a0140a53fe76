//! The files of a database that processes have open, also those that no path leads to any more.
//!
//! A file that was deleted, renamed or replaced lives as long as a process has it open, and `/proc/PID/fd/N` leads to it:
//! man 5 proc_pid_fd. Opening that link opens the file anew, for reading only; the descriptor of the process, its position
//! and its locks stay as they are.

mod units;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use units::{Open, Unit, units};

use super::limits::DESCRIPTORS_OF_A_PROCESS;
use super::one_process::carries;
use crate::evidence::{KeptBy, LockSlot, Observation, Part, Parts};
use crate::linux::file_id::file_id;
use crate::linux::open::{self, OpenedFiles, open_regular_by};
use crate::linux::open_error::OpenError;
use crate::linux::procfs::{Proc, Process};
use crate::linux::target::Target;
use crate::linux::unseen::vanished;
use crate::number::FileId;

/// A file that is held open here, too.
#[derive(Debug, Clone)]
pub struct KeptFile {
    /// The file, opened for reading.
    pub file: Arc<File>,
    /// Its identity.
    pub id: FileId,
    /// The path by which it was opened, or that it has now, as the kernel prints it.
    pub path: PathBuf,
    /// The process and the number of its descriptor. `None`: it was opened by its path, and no process was seen to have it
    /// open.
    pub descriptor: Option<(u32, u32)>,
    /// Whether reading may change its access time.
    pub access_time_may_move: bool,
}

impl KeptFile {
    /// Whether no path leads to it any more.
    #[must_use]
    pub fn deleted(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().is_ok_and(|found| found.nlink() == 0)
    }

    /// Whether the process still has it open by the same descriptor.
    #[must_use]
    pub fn still_open(&self) -> bool {
        let Some((pid, number)) = self.descriptor else { return false };
        let found = Proc::system().process(pid).and_then(|process| process.file_behind(&format!("fd/{number}")));
        found.is_ok_and(|id| id == self.id)
    }
}

/// The files of one database that belong together.
#[derive(Debug, Clone)]
pub struct KeptSet {
    /// Its files.
    pub files: Parts<KeptFile>,
    /// Who has them open. Empty: nobody was seen.
    pub by: Vec<KeptBy>,
    /// Whether they lie at the path that was asked for.
    pub at_path: bool,
}

/// What processes have open of one database.
#[derive(Debug, Clone, Default)]
pub struct KeptView {
    /// Each database that has, or had, the path that was asked for, with its sidecars.
    pub sets: Vec<KeptSet>,
    /// The path, with links resolved.
    pub path: PathBuf,
    /// Processes that were looked at.
    pub processes_read: u32,
    /// Processes whose descriptors could not be seen.
    pub processes_denied: u32,
    /// Why, for the first of them.
    pub denied_reason: Option<String>,
    /// Files that are open and could not be opened here, with the reason.
    pub refused: Vec<String>,
}

impl KeptSet {
    /// Which file a part is.
    fn id(&self, part: Part) -> Option<FileId> {
        self.files.get(part).map(|file| file.id)
    }

    /// Whether both are one: no part differs, and the database or the `-wal` is the same file. A journal comes and goes with
    /// each transaction, so it does not count.
    fn is_one_with(&self, other: &Self) -> bool {
        let differs = |part| self.id(part).zip(other.id(part)).is_some_and(|(ours, theirs)| ours != theirs);
        let same = |part| self.id(part).is_some() && self.id(part) == other.id(part);
        ![Part::Database, Part::Wal, Part::Shm].into_iter().any(differs)
            && [Part::Database, Part::Wal].into_iter().any(same)
    }

    /// Whether the database and the `-wal` are the same files as in another set.
    #[must_use]
    pub fn has_files_of(&self, other: &Self) -> bool {
        [Part::Database, Part::Wal].into_iter().all(|part| self.id(part) == other.id(part))
    }

    fn join(&mut self, mut other: Self) {
        for part in Part::ALL {
            match (self.files.slot(part), other.files.slot(part).take()) {
                // The name at the path says more than the name by which a process knows the file.
                (Some(ours), Some(theirs)) => ours.descriptor = ours.descriptor.or(theirs.descriptor),
                (ours, theirs) => *ours = ours.take().or(theirs),
            }
        }
        self.by.extend(other.by);
        self.at_path |= other.at_path;
    }
}

/// Looks at every visible process but this one, and at the path.
///
/// # Errors
/// The processes cannot be listed, or the path cannot be looked up.
pub fn kept_files(target: &Target) -> Result<KeptView, OpenError> {
    let proc = Proc::system();
    let here = match open::open_database(target.clone(), false) {
        Ok(files) => Some(files),
        Err(error) if error.why.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let path = here.as_ref().map_or_else(|| open::resolved(target), |files| files.database_path.clone());
    let wanted = Wanted::of(&proc, target, &path, here.as_ref());
    let mut view = KeptView { path, ..KeptView::default() };
    view.sets.extend(here.as_ref().map(at_path));
    let listed = proc.pids().map_err(|why| OpenError::new(Path::new("/proc"), "listing the processes", why))?;
    let own = std::process::id();
    for pid in listed.into_iter().filter(|pid| *pid != own) {
        let looked = proc.process(pid).and_then(|process| wanted.look(&process, &mut view.refused));
        match looked {
            Ok(sets) => {
                view.processes_read = view.processes_read.saturating_add(1);
                sets.into_iter().for_each(|set| add(&mut view.sets, set));
            }
            Err(error) if vanished(&error) => {}
            Err(error) => {
                view.processes_denied = view.processes_denied.saturating_add(1);
                view.denied_reason.get_or_insert_with(|| format!("{pid}/fd: {error}"));
            }
        }
    }
    // What processes have open comes first, and what only lies at the path comes last.
    view.sets.sort_by_key(|set| set.by.is_empty());
    Ok(view)
}

/// The databases in a folder that visible processes have open with a `-wal`, `-shm` or `-journal`, by their paths as the kernel
/// prints them here; also deleted ones. Each with one process.
#[must_use]
pub fn open_beneath(folder: &Path) -> Vec<(PathBuf, KeptBy)> {
    let proc = Proc::system();
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut found: Vec<(PathBuf, KeptBy)> = Vec::new();
    for pid in proc.pids().unwrap_or_default() {
        let Ok(process) = proc.process(pid) else { continue };
        for open in descriptors(&process).unwrap_or_default() {
            let (part, base) = open.named();
            let database = Path::new(std::ffi::OsStr::from_bytes(base));
            let known = || found.iter().any(|(known, _)| known == database);
            if part != Part::Database && database.starts_with(&folder) && !known() {
                let database = database.to_owned();
                found.push((database, kept_by(&process)));
            }
        }
    }
    found
}

fn kept_by(process: &Process) -> KeptBy {
    KeptBy { pid: process.pid, command: process.command(), start_time: process.start_time() }
}

/// Adds a set, or joins it with those that it is one with.
fn add(sets: &mut Vec<KeptSet>, mut set: KeptSet) {
    while let Some(at) = sets.iter().position(|other| other.is_one_with(&set)) {
        let mut other = sets.remove(at);
        other.join(set);
        set = other;
    }
    sets.push(set);
}

/// What lies at the path.
fn at_path(files: &OpenedFiles) -> KeptSet {
    let file = |part: Part| {
        let file = opened(files, part)?;
        let mut path = files.database_path.clone().into_os_string();
        path.push(part.suffix());
        Some(KeptFile {
            id: file_id(&file.metadata().ok()?),
            file: Arc::clone(file),
            access_time_may_move: files.access_time_moved.iter().any(|moved| path == **moved),
            path: path.into(),
            descriptor: None,
        })
    };
    KeptSet { files: Parts::new(file), at_path: true, by: Vec::new() }
}

fn opened(files: &OpenedFiles, part: Part) -> Option<&Arc<File>> {
    match part {
        Part::Database => &files.database,
        Part::Wal => &files.wal,
        Part::Shm => &files.shm,
        Part::Journal => &files.journal,
    }
    .value()
}

/// What is looked for in each process.
struct Wanted {
    /// The files at the path.
    files: Parts<FileId>,
    /// The path as the kernel prints it here for processes of the mount namespace.
    path: Vec<u8>,
    mount_namespace: Observation<String>,
}

impl Wanted {
    fn of(proc: &Proc, target: &Target, path: &Path, here: Option<&OpenedFiles>) -> Self {
        let files = Parts::new(|part| Some(file_id(&opened(here?, part)?.metadata().ok()?)));
        let beneath = path.strip_prefix("/").unwrap_or(path);
        let path = if target.prefix().as_os_str().is_empty() { path.to_owned() } else { target.prefix().join(beneath) };
        let mount_namespace = match target.process(proc) {
            Ok(process) => process.link("ns/mnt"),
            Err(error) => Observation::missing(error.to_string()),
        };
        Self { files, path: path.as_os_str().as_bytes().to_owned(), mount_namespace }
    }

    /// The databases of one process that are wanted.
    fn look(&self, process: &Process, refused: &mut Vec<String>) -> io::Result<Vec<KeptSet>> {
        let open = descriptors(process)?;
        let same_view =
            self.mount_namespace.value().is_some() && self.mount_namespace.value() == process.link("ns/mnt").value();
        let by_name = |open: &Open| same_view && open.named().1 == self.path;
        let by_file = |open: &Open| self.files.iter().any(|id| *id == open.file);
        let is_database = |open: &Open| by_name(open) || by_file(open);
        let units = units(&open, is_database, |open| carries(process, &open.number.to_string(), LockSlot::Database));
        let wanted = units.into_iter().filter(|unit| unit.iter().any(|open| is_database(open)));
        Ok(wanted.filter_map(|unit| kept(process, &unit, refused)).collect())
    }
}

/// Opens the files of one database that a process has open.
fn kept(process: &Process, unit: &Unit<'_>, refused: &mut Vec<String>) -> Option<KeptSet> {
    let files = Parts::new(|part| {
        let open = unit.get(part)?;
        open_anew(process, open).unwrap_or_else(|error| {
            let path = String::from_utf8_lossy(&open.path);
            refused.push(format!("{path} (descriptor {} of pid {}): {error}", open.number, process.pid));
            None
        })
    });
    let any = files.iter().next().is_some();
    any.then(|| KeptSet { files, by: vec![kept_by(process)], at_path: false })
}

/// `None`: the process has closed it meanwhile.
fn open_anew(process: &Process, open: &Open) -> io::Result<Option<KeptFile>> {
    let link = format!("fd/{}", open.number);
    let opened = match open_regular_by(|flags| process.open_link(&link, flags)) {
        Err(error) if vanished(&error) => return Ok(None),
        opened => opened?,
    };
    let id = file_id(&opened.file.metadata()?);
    Ok((id == open.file).then(|| KeptFile {
        file: opened.file,
        id,
        path: OsString::from_vec(open.path.clone()).into(),
        descriptor: Some((process.pid, open.number)),
        access_time_may_move: opened.access_time_may_move,
    }))
}

/// The descriptors of files, in order of their numbers.
fn descriptors(process: &Process) -> io::Result<Vec<Open>> {
    let names = process.names("fd")?;
    let mut open: Vec<Open> =
        names.iter().take(DESCRIPTORS_OF_A_PROCESS).filter_map(|name| one(process, name)).collect();
    open.sort_unstable_by_key(|open| open.number);
    Ok(open)
}

fn one(process: &Process, name: &str) -> Option<Open> {
    let link = format!("fd/{name}");
    let path = process.link_bytes(&link).ok()?;
    // `socket:[1]`, `anon_inode:[eventfd]` and the like.
    if path.first() != Some(&b'/') {
        return None;
    }
    let path = path.strip_suffix(b" (deleted)").unwrap_or(&path).to_vec();
    Some(Open { number: name.parse().ok()?, path, file: process.file_behind(&link).ok()? })
}
