//! What is open below a folder, or at a path, by names that can be asked for from here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::held::{self, Open, descriptors};
use super::place::{Here, Place, View, without_links};
use super::set::kept_by;
use crate::evidence::{KeptBy, Part};
use crate::linux::open::Care;
use crate::linux::procfs::{Proc, Process};
use crate::linux::target::Target;
use crate::linux::unseen::vanished;

/// A database that a process has open with a `-wal`, `-shm` or `-journal`, or that was deleted while it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beneath {
    /// What to ask for: a path, as the folder was asked for, or `pid:N:/path` of a process that sees other files.
    pub source: OsString,
    /// The path below the folder. `None`: it only has such a path in the view of the process.
    pub relative: Option<PathBuf>,
    /// Whether no path leads to the database: it was deleted.
    pub gone: bool,
    /// A process that has it open.
    pub by: KeptBy,
}

/// The databases below a folder that visible processes have open with a `-wal`, `-shm` or `-journal`; also deleted ones, and
/// deleted databases without these. Each with one process. A path of this process is also looked for in the view of processes with other mounts: whoever asks for a
/// path of a container from the host means that one.
#[must_use]
pub fn open_beneath(target: &Target) -> Vec<Beneath> {
    let proc = Proc::system();
    let here = Here::new(&proc);
    let folder = without_links(target);
    let place = here.place_of(&proc, target, &folder);
    let own = proc.this_process().ok();
    let asked = target.process(&proc).ok();
    let mut found: Vec<(Option<Place>, Beneath)> = Vec::new();
    for pid in proc.pids().unwrap_or_default() {
        let Ok(process) = proc.process(pid) else { continue };
        let view = View::of(&here, &process);
        let elsewhere = target.pid().is_none() && own.as_ref().is_some_and(|own| !is_same_view(own, &process));
        let mut known: Vec<&[u8]> = Vec::new();
        let open = descriptors(&process).map(|(open, _)| open).unwrap_or_default();
        let is_deleted = |open: &&Open| {
            open.part == Part::Database && open.deleted && !is_temporary(&open.path) && is_database(&process, open)
        };
        let sidecars = open.iter().filter(|open| open.part != Part::Database);
        for (sidecar, base) in sidecars.chain(open.iter().filter(is_deleted)).filter_map(with_base) {
            if known.contains(&base) {
                continue;
            }
            known.push(base);
            let path = Path::new(OsStr::from_bytes(base));
            let at = view.mount_of(sidecar.number).and_then(|mount| view.place(mount, path));
            let is_beneath = at.as_ref().zip(place.as_ref()).is_some_and(|(at, place)| at.is_beneath(place));
            let is_new = at.is_none() || found.iter().all(|(known, _)| *known != at);
            if is_new && (is_beneath || elsewhere && view.seen(path).starts_with(&folder)) {
                // As it was asked for: by the name of the container.
                let source = match asked.as_ref().is_some_and(|asked| is_same_view(asked, &process)) {
                    true => target.at(view.seen(path)).source(),
                    false => source(own.as_ref(), &process, &view, path),
                };
                let seen = view.seen(path);
                // A database that was renamed is open by its new name.
                let deleted = open.iter().any(|open| open.path == base && open.deleted);
                let is_there = || process.file_beneath_root(seen.as_os_str().as_bytes());
                let gone = deleted && is_there().is_err_and(|error| vanished(&error));
                let relative = match (is_beneath, at.as_ref().zip(place.as_ref())) {
                    (true, Some((at, folder))) => at.path.strip_prefix(&folder.path).ok().map(Path::to_owned),
                    _ => None,
                };
                found.push((at, Beneath { source, relative, gone, by: kept_by(&process) }));
            }
        }
    }
    found.into_iter().map(|(_, beneath)| beneath).collect()
}

/// Whether a file was made to be deleted at once: nobody else ever had it, and nothing is lost with it.
///
/// folklore: SQLite keeps temporary tables and what does not fit into its memory in files of its own, which it deletes as soon as it has
/// opened them: `etilqs_` and hexadecimal digits (`SQLITE_TEMP_FILE_PREFIX`, `unixGetTempname`). They begin as databases do. Of a file
/// that was opened with O_TMPFILE the kernel prints `#` and its inode. Held by `temporary_files_of_sqlite_are_no_deleted_databases`.
fn is_temporary(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let rest = |prefix: &[u8]| name.strip_prefix(prefix).filter(|rest| !rest.is_empty());
    rest(b"etilqs_").is_some_and(|rest| rest.iter().all(u8::is_ascii_alphanumeric))
        || rest(b"#").is_some_and(|rest| rest.iter().all(u8::is_ascii_digit))
}

/// Whether a file that was deleted is a database, by its first bytes. None is read whose access time that would move.
fn is_database(process: &Process, open: &Open) -> bool {
    let care = Care { strict_atime: true, look_anyway: false };
    let opened = held::open_anew(process, open, care).ok().and_then(held::Anew::opened);
    opened.is_some_and(|opened| Part::of_content(&held::head(&opened, true)) == Some(Part::Database))
}

fn with_base(open: &Open) -> Option<(&Open, &[u8])> {
    Some((open, open.base()?))
}

/// Whether a path means the same to both.
fn is_same_view(one: &Process, other: &Process) -> bool {
    let same = |link: &str| {
        let (ours, theirs) = (one.link(link), other.link(link));
        theirs.value().is_some() && ours.value() == theirs.value()
    };
    same("ns/mnt") && same("root")
}

/// A path that means the same here, or the path in the view of the process.
fn source(own: Option<&Process>, process: &Process, view: &View<'_>, path: &Path) -> OsString {
    if own.is_some_and(|own| is_same_view(own, process)) {
        return path.into();
    }
    let mut source = OsString::from(format!("pid:{}:", process.pid));
    source.push(view.seen(path));
    source
}
