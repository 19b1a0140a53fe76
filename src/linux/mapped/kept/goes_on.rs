//! A database that was renamed while a process had it open, or whose `-wal` was deleted meanwhile, seen from that process.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use super::asked::Asked;
use super::held::{self, Open, descriptors};
use super::place::{Here, View};
use super::units::{Unit, units};
use crate::evidence::{
    Access, DatabaseLock, DeletedWal, FileOpen, LockSlot, MappingsView, Observation, Part, Renamed, RenamedPart, Role,
    SwitchLock, User, UsersView,
};
use crate::linux::file_id::file_id;
use crate::linux::mapped::one_process::carries;
use crate::linux::mapped::settle;
use crate::linux::open::{Care, OpenedFiles, open_regular_by};
use crate::linux::procfs::{Proc, Process};
use crate::linux::target::Target;
use crate::linux::{container, runtimes, unopened};
use crate::number::FileId;

/// Who goes on with the database at the path by an old name of it, or with the `-wal` at the path and a database that was
/// renamed; and who has a deleted `-wal` of the database open without using its wal-index. Only processes that were seen to use
/// one of them in an unusual way are looked at.
#[must_use]
pub fn goes_on(
    files: &OpenedFiles,
    mappings: &Observation<MappingsView>,
    users: &Observation<UsersView>,
) -> (Vec<Renamed>, Vec<DeletedWal>) {
    let users = users.value().into_iter().flat_map(|view| &view.users);
    let mappings = mappings.value().into_iter().flat_map(|view| &view.mappings);
    let by_index: BTreeSet<u32> =
        mappings.filter(|mapping| mapping.wal_open == FileOpen::NotOpen).map(|mapping| mapping.pid).collect();
    let wanted: Vec<(u32, bool, bool)> = users
        .map(|user| (user.pid, may_use_renamed(user), is_without_index(user)))
        .filter(|(pid, renamed, deleted)| *renamed || *deleted || by_index.contains(pid))
        .collect();
    if wanted.is_empty() {
        return <_>::default();
    }
    let proc = Proc::system();
    let here = Here::new(&proc);
    let asked = Asked::of(&proc, &here, &files.target, &files.database_path, Some(files));
    let own = files.database_path.to_string_lossy();
    let look = |pids: Option<&BTreeSet<Found>>| -> BTreeSet<Found> {
        let is_asked = |pid: u32| pids.is_none_or(|found| found.iter().any(|one| one.pid() == pid));
        let mut found = BTreeSet::new();
        for (pid, may_be_renamed, without_index) in wanted.iter().copied().filter(|(pid, ..)| is_asked(*pid)) {
            in_process(&proc, &here, &asked, pid, |view, process, unit| {
                let renamed = may_be_renamed.then(|| renamed_unit(view, process, &asked, unit)).flatten();
                found.extend(renamed.map(|one| Found::Renamed(with_own_name(one, &own))));
                found.extend(deleted_wal(process, &asked, unit, without_index).map(Found::DeletedWal));
            });
        }
        found
    };
    // A process that opens a database has it locked before it has the -wal open: then a -wal of another one seems to be its.
    let standing = settle::settle(look(None), settle::pause, |among| look(Some(among)));
    let (mut renamed, mut deleted_wals) = (Vec::new(), Vec::new());
    for found in standing {
        match found {
            Found::Renamed(one) => renamed.push(one),
            Found::DeletedWal(one) => deleted_wals.push(one),
        }
    }
    (renamed, deleted_wals)
}

/// What one look at a process shows.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Renamed(Renamed),
    DeletedWal(DeletedWal),
}

impl Found {
    fn pid(&self) -> u32 {
        match self {
            Self::Renamed(one) => one.pid,
            Self::DeletedWal(one) => one.pid,
        }
    }
}

/// With the name of what lies at the path as it was asked for.
fn with_own_name(mut one: Renamed, own: &str) -> Renamed {
    match one.here {
        RenamedPart::Database => one.database = own.to_owned(),
        RenamedPart::Wal => {
            one.opened_as = own.to_owned();
            one.wal = Some(format!("{own}-wal"));
        }
        RenamedPart::Shm => one.opened_as = own.to_owned(),
    }
    one
}

/// Whether it is one of those that `used_without_wal_index` names.
fn is_without_index(user: &User) -> bool {
    matches!(user.role(), Role::WithoutIndex | Role::LeftOver | Role::MayBeElsewhere | Role::Elsewhere)
}

/// Whether what was seen of a process fits a renamed database: it uses the database by another wal-index or for itself, or it
/// uses this `-wal` or `-shm` without this database.
fn may_use_renamed(user: &User) -> bool {
    let of_database = matches!(
        user.role(),
        Role::WithoutIndex
            | Role::LeftOver
            | Role::MayBeElsewhere
            | Role::Elsewhere
            | Role::OtherDatabase
            | Role::Exclusive
    ) && (matches!(user.database_lock, DatabaseLock::Shared | DatabaseLock::Exclusive)
        || user.dead_man_switch == SwitchLock::Held
        || user.mapped == Access::Writable);
    of_database || (user.database == Access::No && user.wal == Access::Writable)
}

/// Looks at each database that a process has open, and that may be wanted.
fn in_process(proc: &Proc, here: &Here, asked: &Asked, pid: u32, mut each: impl FnMut(&View<'_>, &Process, &Unit<'_>)) {
    let Ok(process) = proc.process(pid) else { return };
    let Ok((mut open, _)) = descriptors(&process) else { return };
    let view = View::of(here, &process);
    asked.find(&view, &process, &mut open);
    if !open.iter().any(|open| asked.may_want(open)) {
        return;
    }
    held::describe(
        &view,
        &process,
        &mut open,
        |open| asked.may_want(open),
        Care { strict_atime: true, look_anyway: false },
    );
    // A sidecar that was renamed alone is in a unit of its own.
    let units = joined(units(&open, |_| true));
    let wanted = |unit: &&Unit<'_>| !unit.unsure && unit.files.iter().any(|open| asked.wants(open));
    units.iter().filter(wanted).for_each(|unit| each(&view, &process, unit));
}

/// A `-wal` and a `-shm` of different names that are of one database are of one unit.
fn joined(units: Vec<Unit<'_>>) -> Vec<Unit<'_>> {
    let mut all: Vec<Unit<'_>> = Vec::new();
    for unit in units {
        let file = |unit: &Unit<'_>, part| unit.files.get(part).map(|open| open.file);
        let fits = |known: &&mut Unit<'_>| {
            file(known, Part::Database).is_some()
                && file(known, Part::Database) == file(&unit, Part::Database)
                && (known.unsure, unit.unsure) == (false, false)
                && Part::ALL[1..].iter().all(|part| file(known, *part).is_none() || file(&unit, *part).is_none())
        };
        match all.iter_mut().find(fits) {
            Some(known) => {
                for part in Part::ALL {
                    let slot = known.files.slot(part);
                    *slot = slot.or(unit.files.get(part).copied());
                }
            }
            None => all.push(unit),
        }
    }
    all
}

/// A deleted `-wal`: of the database at the path, if the process uses it without its wal-index, or one that it uses with the
/// wal-index at the path.
fn deleted_wal(process: &Process, asked: &Asked, unit: &Unit<'_>, without_index: bool) -> Option<DeletedWal> {
    let (database, wal) = (*unit.files.get(Part::Database)?, *unit.files.get(Part::Wal)?);
    let of_database = asked.part_at_path(database.file) == Some(Part::Database) && wal.asked == Some(Part::Wal);
    let shm = unit.files.get(Part::Shm);
    let at_path = shm.is_some_and(|shm| asked.part_at_path(shm.file) == Some(Part::Shm));
    let shm = shm.filter(|shm| shm.deleted || at_path).map(|shm| shm.number);
    (wal.deleted && (at_path || without_index && of_database)).then(|| DeletedWal {
        pid: process.pid,
        start_time: process.start_time(),
        descriptors: (wal.number, shm),
        commits: None,
    })
}

fn renamed_unit(view: &View<'_>, process: &Process, asked: &Asked, unit: &Unit<'_>) -> Option<Renamed> {
    let database = *unit.files.get(Part::Database)?;
    let (part, log) = match (unit.files.get(Part::Wal), unit.files.get(Part::Journal)) {
        (Some(wal), _) => (Part::Wal, *wal),
        (None, Some(journal)) => (Part::Journal, *journal),
        (None, None) => return None,
    };
    // A program that only reads the files, to copy them, holds no lock.
    if !carries(process, &database.number.to_string(), LockSlot::Database) {
        return None;
    }
    let shm = unit.files.get(Part::Shm).copied();
    let at_path = |part: Part| unit.files.get(part).is_some_and(|open| asked.part_at_path(open.file) == Some(part));
    let (here, old_name) = match old_name(view, process, log, database) {
        Some(old_name) if at_path(Part::Database) => (RenamedPart::Database, old_name),
        Some(old_name) if at_path(Part::Wal) && has_new_name(view, process, database) => (RenamedPart::Wal, old_name),
        // With its database and its -wal in their places it is a split.
        _ if at_path(Part::Shm) && !at_path(Part::Database) && has_new_name(view, process, database) => {
            (RenamedPart::Shm, shm.and_then(|shm| old_name(view, process, shm, database))?)
        }
        _ => return None,
    };
    let same_view = asked.is_same_view(process);
    let shown = |path: &[u8]| {
        let path = view.seen(Path::new(OsStr::from_bytes(path)));
        let path = path.to_string_lossy();
        if same_view { path.into_owned() } else { format!("pid:{}:{path}", process.pid) }
    };
    let wal_deleted = !leads_to(view, process, &log.path, log.file, false);
    let place = match wal_deleted {
        true => format!("/proc/{}/fd/{}", process.pid, log.number),
        false => shown(&log.path),
    };
    Some(Renamed {
        pid: process.pid,
        command: process.command(),
        container: container::by_cgroup(process).as_ref().map(runtimes::name_of),
        start_time: process.start_time(),
        here,
        database: shown(&database.path),
        opened_as: shown(old_name),
        descriptors: (log.number, shm.map(|shm| shm.number)),
        wal: (part == Part::Wal).then(|| place.clone()),
        journal: (part == Part::Journal).then_some(place),
        wal_deleted,
        commits: None,
    })
}

/// The name of the database by that of its sidecar, if it does not lead to the database.
fn old_name<'o>(view: &View<'_>, process: &Process, sidecar: &'o Open, database: &Open) -> Option<&'o [u8]> {
    sidecar.base().filter(|base| !leads_to(view, process, base, database.file, true))
}

/// Whether a path leads to the file, below the root of the process. A database that was opened by a symbolic link has its
/// sidecars beside the link in old versions of SQLite.
fn leads_to(view: &View<'_>, process: &Process, printed: &[u8], file: FileId, follow: bool) -> bool {
    let Ok(target) = Target::of_bound(process) else { return true };
    let flags = if follow { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW };
    let seen = view.seen(Path::new(OsStr::from_bytes(printed)));
    match target.at(seen).open(flags) {
        Ok(found) => File::from(found).metadata().is_ok_and(|found| file_id(&found) == file),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Whether a database has a name of its own now: it was neither deleted nor replaced.
///
/// folklore: NFS and FUSE rename a file that is deleted while it is open (`.nfs000...`, `.fuse_hidden...`).
fn has_new_name(view: &View<'_>, process: &Process, database: &Open) -> bool {
    let name = Path::new(OsStr::from_bytes(&database.path)).file_name().unwrap_or_default().as_bytes();
    let hidden = name.starts_with(b".nfs") || name.starts_with(b".fuse_hidden");
    !database.deleted && !hidden && leads_to(view, process, &database.path, database.file, false)
}

/// The `-wal` that a process goes on with, and the `-shm`, by their descriptors. `None`: it has closed them, or has ended.
#[must_use]
pub fn sidecars(
    pid: u32,
    start_time: Option<u64>,
    descriptors: (u32, Option<u32>),
) -> Option<(Arc<File>, Option<Arc<File>>)> {
    let process = Proc::system().process(pid).ok().filter(|process| process.start_time() == start_time)?;
    let open = |number: u32, suffix: &str| {
        let link = format!("fd/{number}");
        let path = process.link_bytes(&link).ok()?;
        let named = path.strip_suffix(b" (deleted)").unwrap_or(&path).ends_with(suffix.as_bytes());
        let closed =
            || unopened::kept_closed(suffix.as_bytes(), false, |flags| process.open_link(&link, flags)).is_some();
        if !named || closed() {
            return None;
        }
        let opened = open_regular_by(|flags| process.open_link(&link, flags)).ok()?;
        (!opened.access_time_may_move).then_some(opened.file)
    };
    let (wal, shm) = descriptors;
    Some((open(wal, Part::Wal.suffix())?, shm.and_then(|shm| open(shm, Part::Shm.suffix()))))
}
