//! A database that was renamed while a process had it open, or whose `-wal` was deleted meanwhile, seen from that process. And
//! a `-journal` that is not beside the database whose transaction it keeps.

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
    Access, DatabaseLock, FileOpen, KeptLog, LockSlot, LogPlace, MappingsView, Observation, Part, Renamed, RenamedPart,
    Role, SwitchLock, User, UsersView,
};
use crate::linux::file_id::file_id;
use crate::linux::mapped::one_process::carries;
use crate::linux::mapped::settle;
use crate::linux::open::{Care, OpenedFiles, open_regular_by};
use crate::linux::procfs::{Proc, Process};
use crate::linux::target::Target;
use crate::linux::text::fdinfo::locks;
use crate::linux::text::locks::LockLine;
use crate::linux::{container, runtimes, unopened};
use crate::number::FileId;

/// Who goes on with files that do not lie beside each other at the path.
#[derive(Debug, Default)]
pub struct GoesOn {
    /// With the database at the path by an old name of it, or with the `-wal` at the path and a database that was renamed.
    pub renamed: Vec<Renamed>,
    /// With a `-wal` of the database at the path that was deleted.
    pub deleted_wals: Vec<KeptLog>,
    /// With a `-journal` of it that is gone from the path, or that has zeros where its header is, or with the `-journal` at the path
    /// and another database.
    pub journals: Vec<KeptLog>,
}

/// Who goes on with files that do not lie beside each other at the path. Only processes that were seen to use one of them in a way
/// that is unusual, or in rollback mode, are looked at.
#[must_use]
pub fn goes_on(files: &OpenedFiles, mappings: &Observation<MappingsView>, users: &Observation<UsersView>) -> GoesOn {
    let users = users.value().into_iter().flat_map(|view| &view.users);
    let mappings = mappings.value().into_iter().flat_map(|view| &view.mappings);
    let by_index: BTreeSet<u32> =
        mappings.filter(|mapping| mapping.wal_open == FileOpen::NotOpen).map(|mapping| mapping.pid).collect();
    let wanted: Vec<Wanted> =
        users.map(Wanted::of).filter(|wanted| wanted.anything() || by_index.contains(&wanted.pid)).collect();
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
        for wanted in wanted.iter().filter(|wanted| is_asked(wanted.pid)) {
            in_process(&proc, &here, &asked, wanted.pid, |view, process, unit, units| {
                let renamed = wanted.renamed.then(|| renamed_unit(view, process, &asked, unit)).flatten();
                let is_renamed = renamed.is_some();
                found.extend(renamed.map(|one| Found::Renamed(with_own_name(one, &own))));
                // A -wal that was moved aside with its database is told with that.
                let wal = deleted_wal(view, process, &asked, unit, wanted);
                found.extend(wal.filter(|wal| !is_renamed || wal.path.is_none()).map(Found::Log));
                let journal = wanted.journal.then(|| journal(view, process, &asked, unit, units)).flatten();
                found.extend(journal.map(Found::Log));
            });
        }
        found
    };
    // A process that opens a database has it locked before it has the -wal open: then a -wal of another one seems to be its.
    let standing = settle::settle(look(None), settle::pause, |among| look(Some(among)));
    let mut all = GoesOn::default();
    for found in standing {
        match found {
            Found::Renamed(one) => all.renamed.push(one),
            Found::Log(one) if one.part == Part::Journal => all.journals.push(one),
            Found::Log(one) => all.deleted_wals.push(one),
        }
    }
    all
}

/// What is looked for in a process.
struct Wanted {
    pid: u32,
    /// A database that was renamed.
    renamed: bool,
    /// A deleted `-wal` of the database at the path, which it uses not by the wal-index at the path.
    wal: bool,
    /// A `-journal`.
    journal: bool,
}

impl Wanted {
    fn of(user: &User) -> Self {
        Self {
            pid: user.pid,
            renamed: may_use_renamed(user),
            wal: is_without_index(user) || user.role() == Role::Exclusive,
            journal: may_have_journal(user),
        }
    }

    fn anything(&self) -> bool {
        self.renamed || self.wal || self.journal
    }
}

/// What one look at a process shows.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Renamed(Renamed),
    Log(KeptLog),
}

impl Found {
    fn pid(&self) -> u32 {
        match self {
            Self::Renamed(one) => one.pid,
            Self::Log(one) => one.pid,
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

/// Whether it may write to the database in rollback mode, or uses the `-journal` at the path with another database.
fn may_have_journal(user: &User) -> bool {
    let locked = matches!(user.database_lock, DatabaseLock::Shared | DatabaseLock::Exclusive);
    locked && user.dead_man_switch != SwitchLock::Held
        || user.database == Access::No && user.journal == Access::Writable
}

/// Looks at each database that a process has open, and that may be wanted.
fn in_process(
    proc: &Proc,
    here: &Here,
    asked: &Asked,
    pid: u32,
    mut each: impl FnMut(&View<'_>, &Process, &Unit<'_>, &[Unit<'_>]),
) {
    let Ok(process) = proc.process(pid) else { return };
    let Ok((mut open, _)) = descriptors(&process) else { return };
    let view = View::of(here, &process);
    asked.find(&view, &process, &mut open);
    if !open.iter().any(|open| asked.may_want(open)) {
        return;
    }
    held::describe(&process, &mut open, |open| asked.may_want(open), Care { strict_atime: true, look_anyway: false });
    // A sidecar that was renamed alone is in a unit of its own.
    let units = joined(units(&open, |_| true));
    let wanted = |unit: &&Unit<'_>| !unit.unsure && unit.files.iter().any(|open| asked.wants(open));
    units.iter().filter(wanted).for_each(|unit| each(&view, &process, unit, &units));
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

/// A `-wal` that was deleted, or renamed to another name than that of a `-wal`: of the database at the path, if the process uses it
/// without its wal-index, or one that it uses with the wal-index at the path.
fn deleted_wal(view: &View<'_>, process: &Process, asked: &Asked, unit: &Unit<'_>, wanted: &Wanted) -> Option<KeptLog> {
    let (database, wal) = (*unit.files.get(Part::Database)?, *unit.files.get(Part::Wal)?);
    let of_database = asked.part_at_path(database.file) == Some(Part::Database) && wal.asked == Some(Part::Wal);
    let shm = unit.files.get(Part::Shm);
    let at_path = shm.is_some_and(|shm| asked.part_at_path(shm.file) == Some(Part::Shm));
    let shm = shm.filter(|shm| shm.deleted || at_path).map(|shm| shm.number);
    // It was renamed to a name that no database has a -wal of.
    let renamed = !wal.deleted && wal.base().is_none() && asked.part_at_path(wal.file).is_none();
    let gone = wal.deleted && (at_path || wanted.wal && of_database)
        || renamed && wanted.wal && asked.part_at_path(database.file) == Some(Part::Database);
    gone.then(|| KeptLog {
        exclusive: holds_exclusively(process, database),
        path: renamed.then(|| shown(view, process, asked.is_same_view(process), &wal.path)),
        ..log(process, wal, shm)
    })
}

/// A `-journal` that a writer has open: of the database at the path, and not there; or there, and of another database.
fn journal(view: &View<'_>, process: &Process, asked: &Asked, unit: &Unit<'_>, units: &[Unit<'_>]) -> Option<KeptLog> {
    let (database, journal) = (*unit.files.get(Part::Database)?, *unit.files.get(Part::Journal)?);
    let exclusive = holds_exclusively(process, database);
    // Who has inherited a -journal, or rolls one back, is no writer.
    if !exclusive && !carries(process, &database.number.to_string(), LockSlot::Reserved) {
        return None;
    }
    let of_database = asked.part_at_path(database.file) == Some(Part::Database);
    let at_path = !journal.deleted && asked.part_at_path(journal.file) == Some(Part::Journal);
    // SQLite has one -journal of a database open. Another one was inherited.
    let has_other = units.iter().any(|other| {
        let own = other.files.get(Part::Database).is_some_and(|own| own.file == database.file);
        own && other.files.get(Part::Journal).is_some_and(|one| one.file != journal.file && !one.deleted)
    });
    let place = match (of_database, at_path) {
        (true, true) if exclusive && begins_otherwise(process, journal) => LogPlace::InPlace,
        (true, false) if (journal.deleted || journal.base().is_none()) && !has_other => LogPlace::Gone,
        // By a hard link, or a mount of the file alone. One that was renamed is another finding, and the one at the path is made anew in
        // each transaction.
        (true, false)
            if !journal.deleted
                && journal.asked.is_none()
                && is_beside_other_name(view, process, journal, database) =>
        {
            LogPlace::BesideOtherName
        }
        (false, true) => LogPlace::BesideAnother,
        _ => return None,
    };
    let same_view = asked.is_same_view(process);
    let shown = |open: &Open| match open.deleted {
        true => format!("/proc/{}/fd/{}", process.pid, open.number),
        false => shown(view, process, same_view, &open.path),
    };
    let elsewhere = matches!(place, LogPlace::Gone | LogPlace::BesideOtherName);
    Some(KeptLog {
        place,
        path: (elsewhere && !journal.deleted).then(|| shown(journal)),
        database: (place == LogPlace::BesideAnother).then(|| shown(database)),
        exclusive,
        ..log(process, journal, None)
    })
}

fn log(process: &Process, log: &Open, shm: Option<u32>) -> KeptLog {
    KeptLog {
        pid: process.pid,
        command: process.command(),
        start_time: process.start_time(),
        part: log.part,
        place: LogPlace::Gone,
        path: None,
        database: None,
        exclusive: false,
        descriptors: (log.number, shm),
        commits: None,
        holds: None,
    }
}

/// Whether the process holds the whole database exclusively: then it may have written to it in rollback mode.
fn holds_exclusively(process: &Process, database: &Open) -> bool {
    let bytes = LockSlot::Database.bytes();
    let text = process.read(&format!("fdinfo/{}", database.number)).unwrap_or_default();
    let held = |line: &LockLine| line.file.is_some_and(|file| line.holds(file, bytes.start, bytes.end - bytes.start));
    locks(&text).iter().any(|line| line.exclusive && held(line))
}

/// Whether a `-journal` lies beside another name of its database, which leads to it, too.
fn is_beside_other_name(view: &View<'_>, process: &Process, journal: &Open, database: &Open) -> bool {
    journal.base().is_some_and(|base| leads_to(view, process, base, database.file, false))
}

/// Whether a `-journal` does not begin as one of a transaction does, as far as is needed to look closer: also one that is idle
/// begins with zeros, or is empty.
fn begins_otherwise(process: &Process, open: &Open) -> bool {
    let opened = held::open_anew(process, open, Care { strict_atime: true, look_anyway: false });
    let Some(opened) = opened.ok().and_then(held::Anew::opened) else { return false };
    let head = held::head(&opened, true);
    // A -journal whose header was written again over zeros has them behind its first 12 bytes.
    let zeros = head.len() == held::HEAD && head.get(12..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
    zeros || !Part::may_begin_journal(&head)
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
    let shown = |path: &[u8]| shown(view, process, same_view, path);
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

/// A path of a process, as it means the same where was looked.
fn shown(view: &View<'_>, process: &Process, same_view: bool, path: &[u8]) -> String {
    let path = view.seen(Path::new(OsStr::from_bytes(path)));
    let path = path.to_string_lossy();
    if same_view { path.into_owned() } else { format!("pid:{}:{path}", process.pid) }
}

/// The name of the database by that of its sidecar, if it does not lead to the database.
fn old_name<'o>(view: &View<'_>, process: &Process, sidecar: &'o Open, database: &Open) -> Option<&'o [u8]> {
    let base = sidecar.base().or_else(|| sidecar.base_before());
    base.filter(|base| !leads_to(view, process, base, database.file, true))
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
    let open = |number: u32, part: Part| {
        let link = format!("fd/{number}");
        let path = process.link_bytes(&link).ok()?;
        let name = path.strip_suffix(b" (deleted)").unwrap_or(&path);
        let aside = || Part::moved_aside(name).is_some_and(|(found, ..)| found == part);
        let named = name.ends_with(part.suffix().as_bytes()) || aside();
        named.then(|| open_sidecar(&process, &link, part)).flatten()
    };
    let (wal, shm) = descriptors;
    Some((open(wal, Part::Wal)?, shm.and_then(|shm| open(shm, Part::Shm))))
}

/// The `-journal` that a process goes on with. `None`: it has closed it, or has ended.
#[must_use]
pub fn journal_of(log: &KeptLog) -> Option<Arc<File>> {
    let process = Proc::system().process(log.pid).ok().filter(|process| process.start_time() == log.start_time)?;
    open_sidecar(&process, &format!("fd/{}", log.descriptors.0), Part::Journal)
}

fn open_sidecar(process: &Process, link: &str, part: Part) -> Option<Arc<File>> {
    if unopened::kept_closed(part.suffix().as_bytes(), false, |flags| process.open_link(link, flags)).is_some() {
        return None;
    }
    let opened = open_regular_by(|flags| process.open_link(link, flags)).ok()?;
    (!opened.access_time_may_move).then_some(opened.file)
}
