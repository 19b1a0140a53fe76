//! The files of a database that processes have open, also those that no path leads to any more.
//!
//! A file that was deleted, renamed or replaced lives as long as a process has it open, and `/proc/PID/fd/N` leads to it:
//! man 5 proc_pid_fd. Opening that link opens the file anew, for reading only; the descriptor of the process, its position
//! and its locks stay as they are.
//!
//! * `held` lists the descriptors of a process and says what each is; `place` compares paths of different views; `asked` has what
//!   is looked for.
//! * `pairs` says which sidecar belongs to which database, `units` what belongs together in one process, `set` what belongs
//!   together of several.
//! * `unseen` says who holds a lock without being seen; `beneath` names what is open below a folder.

mod asked;
mod beneath;
mod goes_on;
mod held;
mod loose;
mod out_of_place;
mod pairs;
mod place;
mod set;
mod through_fuse;
mod units;
mod unseen;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use asked::{Asked, opened};
pub use beneath::{Beneath, open_beneath};
pub use goes_on::{GoesOn, goes_on, journal_of, sidecars};
use held::{Anew, Open, descriptors};
pub use loose::LooseJournal;
pub use out_of_place::{OutOfPlace, out_of_place};
pub(in crate::linux::mapped) use place::{Here, Place, View};
pub use set::{KeptFile, KeptSet};
use set::{add, add_at_path, add_of_other_name, drop_repeated, join_lone_wal, kept_by};
use through_fuse::ThroughFuse;
use units::{Unit, units};

use crate::evidence::{InSight, LockState, NoWal, Part, Parts, SetFacts};
use crate::linux::another_look::is_another_look;
use crate::linux::file_id::file_id;
use crate::linux::mounts;
use crate::linux::namespaces;
use crate::linux::open::{self, Care, Opened, OpenedFiles};
use crate::linux::open_error::OpenError;
use crate::linux::procfs::{Proc, Process, has_ended};
use crate::linux::target::Target;
use crate::linux::unopened;
use crate::linux::unseen::vanished;
use crate::number::FileId;

/// What processes have open of one database.
#[derive(Debug, Clone, Default)]
pub struct KeptView {
    /// Each database that has, or had, the path that was asked for, with its sidecars.
    pub sets: Vec<KeptSet>,
    /// The path of the database, with links resolved.
    pub path: PathBuf,
    /// Processes that were looked at.
    pub processes_read: u32,
    /// Processes whose descriptors could not be seen.
    pub processes_denied: u32,
    /// Processes that ended during the look.
    pub processes_ended: u32,
    /// Why, for the first of those whose descriptors could not be seen.
    pub denied_reason: Option<String>,
    /// Whether every process of the machine was visible, and its descriptors too.
    pub every_process: bool,
    /// Files that are open and could not be opened here, with the reason.
    pub refused: Vec<String>,
    /// Journals with content that lie where the databases of the sets are. Their names alone do not say whose they are.
    pub journals: Vec<LooseJournal>,
}

/// Which processes are looked at.
#[derive(Debug, Clone, Copy)]
pub enum Among<'a> {
    /// Every visible one.
    All,
    /// These, if they still run. A look at all takes much longer than a transaction.
    These(&'a BTreeSet<u32>),
}

impl Among<'_> {
    fn has(self, pid: u32) -> bool {
        match self {
            Self::All => true,
            Self::These(processes) => processes.contains(&pid),
        }
    }
}

/// Looks at the visible processes, this one left out, and at the path. The path is that of the database, or of its `-wal`,
/// `-shm` or `-journal`. With [`Care::strict_atime`] no byte is read where that may change an access time.
///
/// # Errors
/// The processes cannot be listed, or the path cannot be looked up.
pub fn kept_files(target: &Target, care: Care, among: Among<'_>) -> Result<KeptView, OpenError> {
    let look = |target: &Target, care| look(target, care, among);
    let (part, base) = Part::of_name(target.path().as_os_str().as_bytes());
    if part == Part::Database {
        return look(target, care);
    }
    // A database may have any name, also one that ends in `-wal`.
    let there = open::open_regular(target.clone(), Care { strict_atime: false, ..care }).ok();
    let content = there.as_ref().and_then(|opened| Part::of_content(&held::head(opened, care.strict_atime)));
    if content == Some(Part::Database) {
        return look(target, care);
    }
    if there.is_none() {
        let view = look(target, care)?;
        if !view.sets.is_empty() {
            return Ok(view);
        }
    }
    look(&target.at(OsString::from_vec(base.to_vec()).into()), care)
}

/// At most so many other names of one database are looked at.
const OTHER_NAMES: usize = 8;

/// Looks at the path, and at the other names under which its processes have its files: a database that was renamed has one
/// name, and its `-wal` and `-shm` have another one, under which another database may be in use by now.
fn look(target: &Target, care: Care, among: Among<'_>) -> Result<KeptView, OpenError> {
    let (mut view, others) = look_at(target, care, among)?;
    for other in others.iter().take(OTHER_NAMES) {
        let Ok((more, _)) = look_at(other, care, among) else { continue };
        for mut set in more.sets {
            if set.by.is_empty() && !view.sets.iter().any(|known| known.has_a_file_of(&set)) {
                continue;
            }
            (set.at_path, set.facts.at_path) = (false, Vec::new());
            add_of_other_name(&mut view.sets, set);
        }
        view.refused.extend(more.refused);
        view.journals.extend(more.journals);
    }
    drop_repeated(&mut view.sets);
    view.refused.sort();
    view.refused.dedup();
    view.sets.sort_by_key(|set| set.by.is_empty());
    Ok(view)
}

/// Looks at one path. Gives the other names of its database, too.
fn look_at(target: &Target, care: Care, among: Among<'_>) -> Result<(KeptView, Vec<Target>), OpenError> {
    let proc = Proc::system();
    let files = match open::open_database(target.clone(), Care { strict_atime: false, ..care }) {
        Ok(files) => Some(files),
        Err(error) if error.why.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let before = files.as_ref().map_or(LockState::Unknown, |files| unseen::lock_on(files.database.value()));
    // Who ends from here on may have had files open, if somebody held a lock before.
    let listed = proc.pids().map_err(|why| OpenError::new(Path::new("/proc"), "listing the processes", why))?;
    let own = std::process::id();
    let going_on = |pid: &u32| {
        let looks = || proc.process(*pid).is_ok_and(|process| is_another_look(&proc, &process));
        *pid != own
            && among.has(*pid)
            && !looks()
            && !proc.read(&format!("{pid}/stat")).is_ok_and(|stat| has_ended(&stat))
    };
    let processes: Vec<u32> = listed.into_iter().filter(going_on).collect();
    let path = files.as_ref().map_or_else(|| place::without_links(target), |files| files.database_path.clone());
    let here = Here::new(&proc);
    let asked = Asked::of(&proc, &here, target, &path, files.as_ref());
    let mut looking = Looking {
        here,
        asked,
        care,
        view: KeptView { journals: loose::journals(target, &path, care.strict_atime), path, ..KeptView::default() },
        seen: BTreeSet::new(),
        others: Vec::new(),
        through_fuse: ThroughFuse::default(),
    };
    for pid in processes {
        looking.at(&proc, pid);
    }
    let others = std::mem::take(&mut looking.others).into_iter().map(|(_, other)| other).collect();
    Ok((looking.finish(&proc, target, files.as_ref(), before), others))
}

/// The look at one process after the other.
struct Looking {
    here: Here,
    asked: Asked,
    care: Care,
    view: KeptView,
    /// Processes whose descriptors were seen.
    seen: BTreeSet<u32>,
    /// Other names of the database that was asked for: where each is, and as it is seen from here.
    others: Vec<(Option<Place>, Target)>,
    through_fuse: ThroughFuse,
}

impl Looking {
    fn at(&mut self, proc: &Proc, pid: u32) {
        let looked = proc.process(pid).and_then(|process| {
            let sets = self.sets_of(&process)?;
            // A process that has ended has nothing open.
            let ended = process.read("stat").map_or(true, |stat| has_ended(&stat))
                && process.names("fd").is_ok_and(|names| names.is_empty());
            Ok((sets, ended))
        });
        let view = &mut self.view;
        match looked {
            Ok((sets, ended)) => {
                let count = if ended { &mut view.processes_ended } else { &mut view.processes_read };
                *count = count.saturating_add(1);
                self.seen.insert(pid);
                sets.into_iter().for_each(|set| add(&mut view.sets, set));
            }
            Err(error) if vanished(&error) => view.processes_ended = view.processes_ended.saturating_add(1),
            Err(error) => {
                view.processes_denied = view.processes_denied.saturating_add(1);
                view.denied_reason.get_or_insert_with(|| format!("{pid}/fd: {error}"));
            }
        }
    }

    /// The databases of one process that are wanted.
    fn sets_of(&mut self, process: &Process) -> io::Result<Vec<KeptSet>> {
        let (mut open, unseen) = descriptors(process)?;
        let refused = &mut self.view.refused;
        let not_shown =
            |path: &String| format!("{path} (of pid {}): its file system does not show it to this user", process.pid);
        refused.extend(unseen.iter().filter(|path| self.asked.is_named(path)).map(not_shown));
        let view = View::of(&self.here, process);
        for unknown in self.asked.find(&view, process, &mut open) {
            let why =
                "its mount was taken away, so it is not known whether it had this path; /proc/PID/fd/N leads to it";
            refused.push(told(process, unknown, why));
        }
        let asked = &self.asked;
        self.through_fuse.note_open(process, &open, asked);
        if !open.iter().any(|open| asked.may_want(open)) {
            return Ok(Vec::new());
        }
        held::describe(process, &mut open, |open| asked.may_want(open), self.care);
        let sets = units(&open, |open| asked.wants(open));
        self.through_fuse.note_server(process);
        for open in sets.iter().filter(|unit| !unit.unsure).flat_map(|unit| unit.files.iter()) {
            let Some(base) = open.base().filter(|_| open.asked.is_none()) else { continue };
            let base = Path::new(OsStr::from_bytes(base));
            let place = view.mount_of(open.number).and_then(|mount| view.place(mount, base));
            let known = |(other, _): &(Option<Place>, Target)| *other == place;
            if place.is_some()
                && !asked.is_place(place.as_ref())
                && !self.others.iter().any(known)
                && let Ok(root) = Target::of_bound(process)
            {
                self.others.push((place, root.at(view.seen(base))));
            }
        }
        Ok(sets.iter().filter_map(|unit| kept(process, unit, self.care, refused)).collect())
    }

    fn finish(self, proc: &Proc, target: &Target, files: Option<&OpenedFiles>, before: LockState) -> KeptView {
        let Self { asked, care, mut view, seen, through_fuse, .. } = self;
        if let Some(files) = files {
            add_at_path(&mut view.sets, at_path(files));
        }
        let says_wal = |set: &KeptSet| {
            let kept = set.files.get(Part::Database)?;
            let opened = Opened { file: Arc::clone(&kept.file), access_time_may_move: kept.access_time_may_move };
            Part::says_wal(&held::head(&opened, care.strict_atime))
        };
        join_lone_wal(&mut view.sets, |set| says_wal(set) == Some(true));
        let mounts = mounts::of(proc, target);
        let held = view.sets.iter().filter(|set| !set.by.is_empty()).flat_map(|set| set.files.iter());
        let held: BTreeSet<FileId> = held.map(|file| file.id).collect();
        for set in &mut view.sets {
            set.facts.at_path = set.files.iter().filter_map(|file| asked.part_at_path(file.id)).collect();
            set.at_path = !set.facts.at_path.is_empty();
            if set.id(Part::Database).is_none() {
                set.facts.without_database.clear();
            }
            set.facts.behind_fuse = through_fuse.behind(&set.by);
            unseen::note_holders(proc, set, &mounts, (&seen, &held));
            set.facts.unlocked = unseen::lock_on_database(set) == LockState::Free;
            if says_wal(set) == Some(true) && set.id(Part::Wal).is_none() && !set.facts.pairing_unsure {
                set.facts.no_wal = no_wal(set, before, view.processes_ended, view.processes_denied);
            }
        }
        view.every_process = view.processes_denied == 0 && namespaces::in_sight(proc) == InSight::Every;
        // What processes have open comes first, and what only lies at the path comes last.
        view.sets.sort_by_key(|set| set.by.is_empty());
        view
    }
}

/// `before`: the lock on the database at the path before the processes were listed. A process in WAL mode holds one as long as it
/// has the database open, so where there was none, none of those that ended had a deleted `-wal`.
fn no_wal(set: &KeptSet, before: LockState, ended: u32, denied: u32) -> Option<NoWal> {
    let now = || unseen::lock_on_database(set);
    match () {
        () if !set.by.is_empty() => Some(NoWal::Open),
        () if before != LockState::Free && (ended > 0 || now() == LockState::Free) => Some(NoWal::Ended),
        () if denied > 0 && now() != LockState::Free => Some(NoWal::Unseen),
        () => None,
    }
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
            gone: false,
            descriptor: None,
        })
    };
    let facts = SetFacts { shm_not_opened: files.shm_memory.is_some(), ..SetFacts::default() };
    KeptSet { files: Parts::new(file), facts, ..KeptSet::default() }
}

/// Opens the files of one database that a process has open.
fn kept(process: &Process, unit: &Unit<'_>, care: Care, refused: &mut Vec<String>) -> Option<KeptSet> {
    let mut facts = SetFacts { pairing_unsure: unit.unsure, ..SetFacts::default() };
    let mut vanished = Vec::new();
    let files = Parts::new(|part| {
        let open = *unit.files.get(part)?;
        match held::open_anew(process, open, care) {
            Ok(Anew::Opened(opened)) => Some(KeptFile {
                file: opened.file,
                id: open.file,
                path: OsString::from_vec(open.path.clone()).into(),
                gone: open.deleted,
                descriptor: Some((process.pid, open.number)),
                access_time_may_move: opened.access_time_may_move,
            }),
            Ok(Anew::Closed) => {
                vanished.push(part);
                None
            }
            // SQLite makes it anew, so nothing is lost without it.
            Ok(Anew::NotOpened) if part == Part::Shm => {
                facts.shm_not_opened = true;
                None
            }
            Ok(Anew::NotOpened) => {
                refused.push(told(process, open, &unopened::refusal(unopened::IN_USE)));
                None
            }
            Err(error) => {
                refused.push(told(process, open, &error.to_string()));
                None
            }
        }
    });
    // Who goes on has closed the file.
    if process.read("stat").map_or(true, |stat| has_ended(&stat)) {
        facts.lost = vanished;
    }
    if unit.files.get(Part::Database).is_none() {
        facts.without_database.push(process.pid);
    }
    let any = files.iter().next().is_some();
    any.then(|| KeptSet { files, by: vec![kept_by(process)], facts, ..KeptSet::default() })
}

fn told(process: &Process, open: &Open, why: &str) -> String {
    let path = String::from_utf8_lossy(&open.path);
    format!("{path} (descriptor {} of pid {}): {why}", open.number, process.pid)
}
