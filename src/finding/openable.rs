//! Whether SQLite can open the database through this path now, for the user who asks: to read, and to write.
//!
//! folklore: to read in WAL mode SQLite opens the -wal and the -shm, for writing or else for reading, and makes what is not
//! there. So a reader needs no right to write where both files are there and may be read: beside a process that keeps the
//! -shm it maps it read-only, and from files that were left over it makes a wal-index on its heap. Where one of them is
//! missing it must be able to make it, also with mode=ro. To write, it must be able to write to the database, the -wal and the
//! -shm; to the folder only if one of them is missing. Measured with SQLite 3.40.1 over modes, users, read-only mounts,
//! left-over and kept files; held by `sqlite_run_as_the_user_does_what_inspect_says`.

use super::lacks::Lack;
use super::obstacle::{Aim, Cause, Obstacle, What};
use super::{Code, Finding, Found, Severity};
use crate::evidence::file_system::FileSystemKind;
use crate::evidence::{
    Access, Allowed, Bar, FileRights, LockState, LocksView, MountAccess, Observation, RightsView, SharedMapping, Unsure,
};
use crate::format::db::{DatabaseHead, JournalMode};
use crate::look::{HotJournal, Inspection};

/// Whether it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It can.
    Yes,
    /// It cannot.
    No,
    /// It is not known.
    Unknown,
}

/// Whether one user can open the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Openable {
    /// The process whose user it is. `None`: the process that looks.
    pub process: Option<u32>,
    /// The effective user. `None`: not seen.
    pub uid: Option<u32>,
    /// The effective group.
    pub gid: Option<u32>,
    /// To read.
    pub read: Answer,
    /// To write.
    pub write: Answer,
    /// What is, or may be, in the way: first of reading, then of writing.
    pub obstacles: Vec<Obstacle>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotAsked {
    /// The source is a bundle, or bytes in memory, or one file by itself: nobody asks to open it.
    NoPath,
    /// There is no database.
    NoDatabase,
    /// The files changed while they were looked at.
    Changed,
}

/// Whether the user who asks can open the database. `beside` are the findings of the same look.
///
/// # Errors
/// Why there is no answer.
pub fn openable(examined: &Inspection, beside: &[Finding]) -> Result<Openable, NotAsked> {
    let rights = examined.rights.as_ref().ok_or(NotAsked::NoPath)?;
    if examined.changed || examined.replaced {
        return Err(NotAsked::Changed);
    }
    if examined.sizes.database.is_none() {
        return Err(NotAsked::NoDatabase);
    }
    let database = rights.database.value().ok_or(NotAsked::Changed)?;
    let mut asked = Asked { examined, rights, obstacles: Vec::new() };
    asked.need(Aim::Read, What::Way, rights.way, CANNOT_OPEN);
    asked.need(Aim::Read, What::File("database"), database.read, CANNOT_OPEN);
    match asked.uses_wal() {
        None => asked.perhaps(Aim::Read, What::Format),
        Some(true) => asked.with_wal(database, beside),
        Some(false) => {
            asked.with_journal(database);
            asked.room(beside, false);
        }
    }
    if asked.database_lock() == LockState::Exclusive {
        asked.perhaps(Aim::Read, What::Locked);
    }
    let named = beside.iter().find(|one| one.severity == Severity::Error && one.code() != Code::FileSystemFull);
    if let Some(one) = named {
        asked.perhaps(Aim::Read, What::Finding(one.code().name()));
    }
    for (aim, has_it) in [(Aim::Read, asked.has_mapped(false)), (Aim::Write, asked.has_mapped(true))] {
        if has_it && asked.answer(&[aim]) == Answer::No {
            asked.obstacles.iter_mut().filter(|one| one.aim == aim).for_each(|one| one.certain = false);
            asked.perhaps(aim, What::OpenAlready);
        }
    }
    asked.obstacles.sort_by_key(|one| (one.aim, !one.certain));
    Ok(Openable {
        process: rights.process,
        uid: rights.uid,
        gid: rights.gid,
        read: asked.answer(&[Aim::Read]),
        write: asked.answer(&[Aim::Read, Aim::Write]),
        obstacles: asked.obstacles,
    })
}

/// The findings about one look: that the user who asks cannot open the database, or only cannot write to it.
#[must_use]
pub fn findings(examined: &Inspection, beside: &[Finding]) -> Vec<Finding> {
    let Ok(found) = openable(examined, beside) else { return Vec::new() };
    let (mut out, of) = (Vec::new(), examined.rights.as_ref());
    let certain = |aim| found.obstacles.iter().filter(move |one| one.certain && one.aim == aim);
    if certain(Aim::Read).any(|one| one.what == What::SharedMapping) {
        let file_system = file_system(examined).map(|kind| kind.0);
        out.push(Finding::new(Found::SharedMappingsRefused { file_system }));
    }
    // The want of room, and what a process has locked, have findings of their own.
    let kept_out =
        |one: &&Obstacle| matches!(one.what, What::Way | What::File(_) | What::Make(_) | What::HotJournal(_));
    let reasons: Vec<Obstacle> = certain(Aim::Read).filter(kept_out).copied().collect();
    if !reasons.is_empty() {
        let commits = examined.wal.as_ref().map_or(0, |wal| wal.commits);
        let pending = examined.checkpoint.as_ref().is_none_or(|checkpoint| checkpoint.pending > 0);
        out.push(Finding::new(Found::CannotOpenHere {
            process: found.process,
            uid: found.uid,
            gid: found.gid,
            reasons,
            left_out: if pending { commits } else { 0 },
            in_use: examined.in_use(),
        }));
        return out;
    }
    // An examiner often looks at files that are meant to be read only; a process of a container has to work.
    let refused = |one: &&Obstacle| one.cause == Some(Cause::Bar(Bar::Rights));
    let files = certain(Aim::Write).filter(refused).filter_map(|one| match one.what {
        What::Make(_) => Some("folder"),
        what => what.subject(),
    });
    let mut files: Vec<&'static str> = files.collect();
    files.dedup();
    if let (Some(uid), Some(gid), true, Some(_)) =
        (found.uid, found.gid, !files.is_empty(), of.and_then(|of| of.process))
    {
        out.push(Finding::new(Found::UserCannotWrite { uid, gid, files }));
    }
    out
}

const CANNOT_OPEN: &str = "SQLITE_CANTOPEN";
const READ_ONLY: &str = "SQLITE_READONLY";

/// The type of the file system of the folder, and its row.
fn file_system(examined: &Inspection) -> Option<(String, &'static FileSystemKind)> {
    let folder = examined.surroundings.as_ref()?.files.directory.value()?;
    let found = folder.file_system.value()?;
    Some((found.name.clone(), FileSystemKind::by_name(&found.name)))
}

/// What is asked, and what was found to be in the way so far.
struct Asked<'a> {
    examined: &'a Inspection,
    rights: &'a RightsView,
    obstacles: Vec<Obstacle>,
}

impl Asked<'_> {
    /// Adds what is not allowed, or not known.
    fn need(&mut self, aim: Aim, what: What, allowed: Allowed, error: &'static str) {
        let (certain, cause) = match allowed {
            Allowed::Yes => return,
            Allowed::No(bar) => (true, Cause::Bar(bar)),
            Allowed::NotKnown(unsure) => (false, Cause::Unsure(unsure)),
        };
        self.obstacles.push(Obstacle { aim, certain, what, cause: Some(cause), error: Some(error) });
    }

    /// Adds what may be in the way.
    fn perhaps(&mut self, aim: Aim, what: What) {
        self.obstacles.push(Obstacle { aim, certain: false, what, cause: None, error: None });
    }

    fn answer(&self, aims: &[Aim]) -> Answer {
        let mut of = self.obstacles.iter().filter(|one| aims.contains(&one.aim)).peekable();
        if of.peek().is_none() {
            Answer::Yes
        } else if of.any(|one| one.certain) {
            Answer::No
        } else {
            Answer::Unknown
        }
    }

    /// Whether SQLite would open a `-wal`: the header says so, or a `-wal` with content is there. `None`: not known.
    fn uses_wal(&self) -> Option<bool> {
        let beside = self.rights.wal.value().is_some_and(|wal| wal.size > 0);
        match self.examined.database.as_ref()? {
            DatabaseHead::Plain(header) => match header.journal_mode() {
                JournalMode::Wal => Some(true),
                JournalMode::Rollback => Some(beside),
                _ => None,
            },
            DatabaseHead::Empty => (!beside).then_some(false),
            DatabaseHead::Opaque { .. } => None,
        }
    }

    fn with_wal(&mut self, database: &FileRights, beside: &[Finding]) {
        let rights = self.rights;
        let in_use = self.examined.in_use();
        for (name, file) in [("-wal", &rights.wal), ("-shm", &rights.shm)] {
            match file.known() {
                Some(Some(file)) => self.need(Aim::Read, What::File(name), file.read, CANNOT_OPEN),
                Some(None) => {
                    // The error of the folder itself is only that of the first file.
                    let refused = rights.make == Allowed::No(Bar::Rights) && name == "-wal";
                    let error = if refused { "SQLITE_READONLY_DIRECTORY" } else { CANNOT_OPEN };
                    self.need(Aim::Read, What::Make(name), rights.make, error);
                }
                None => self.need(Aim::Read, What::File(name), Allowed::NotKnown(Unsure::NotSeen), CANNOT_OPEN),
            }
        }
        let shm = writes(&rights.shm).unwrap_or(rights.make);
        let there = rights.shm.value().is_some();
        if there && !shm.is_yes() && in_use && self.examined.trusted().is_none() {
            self.perhaps(Aim::Read, What::Recovery);
        }
        // Who finds a left-over -shm and may not write to it maps nothing, and makes it no longer.
        let on_heap = there && shm.is_no() && !in_use;
        let exclusive = self.database_lock() == LockState::Exclusive;
        if !on_heap && !exclusive {
            self.mapping(in_use);
        }
        self.room(beside, on_heap);
        self.need(Aim::Write, What::File("database"), database.write, READ_ONLY);
        self.opened_by_some(database);
        for (name, file) in [("-wal", &rights.wal), ("-shm", &rights.shm)] {
            if let Some(allowed) = writes(file) {
                self.need(Aim::Write, What::File(name), allowed, READ_ONLY);
            }
        }
    }

    /// A connection that asks for an existing database (`mode=rw`) opens it without O_CREAT.
    fn opened_by_some(&mut self, database: &FileRights) {
        if let Allowed::No(bar) = database.open_or_create {
            let cause = Some(Cause::Bar(bar));
            let what = What::File("database");
            self.obstacles.push(Obstacle { aim: Aim::Write, certain: false, what, cause, error: Some(READ_ONLY) });
        }
    }

    fn mapping(&mut self, in_use: bool) {
        let kind = file_system(self.examined).map(|found| found.1);
        let (certain, cause) = match self.rights.shared_mapping {
            SharedMapping::Refused => (true, None),
            // A mapping that is only read was granted; for one that is written to that says nothing there.
            SharedMapping::Granted if !in_use && kind.is_some_and(|kind| kind.maps_for_reading_only) => {
                (false, Some(Cause::Unsure(Unsure::OtherKernel)))
            }
            _ => return,
        };
        let (what, error) = (What::SharedMapping, Some("SQLITE_IOERR_SHMMAP"));
        self.obstacles.push(Obstacle { aim: Aim::Read, certain, what, cause, error });
    }

    /// What [`super::room`] found.
    fn room(&mut self, beside: &[Finding], on_heap: bool) {
        let exact = file_system(self.examined).is_some_and(|found| found.1.exact_room);
        for finding in beside {
            let Found::FileSystemFull { lacks, .. } = &finding.found else { continue };
            for lack in lacks {
                let (aim, error) = match lack {
                    Lack::Shm { .. } => (Aim::Read, "SQLITE_IOERR_SHMSIZE"),
                    Lack::NewFiles { .. } => (Aim::Read, CANNOT_OPEN),
                    Lack::NewJournal => (Aim::Write, CANNOT_OPEN),
                    Lack::Frame { .. } | Lack::Journal { .. } => (Aim::Write, "SQLITE_FULL"),
                };
                if aim == Aim::Write || !on_heap {
                    let (what, error) = (What::Room, Some(error));
                    self.obstacles.push(Obstacle { aim, certain: exact, what, cause: None, error });
                }
            }
        }
    }

    /// In rollback mode: reading needs the database, and the right to roll back a journal that waits. Writing makes a journal in
    /// the folder, and deletes it.
    fn with_journal(&mut self, database: &FileRights) {
        let rights = self.rights;
        let journal = rights.journal.value();
        let waits = self.examined.hot_journal == HotJournal::Waits && !self.lock_is_held();
        if let (true, Some(journal)) = (waits, journal) {
            let sure = self.database_lock() != LockState::Unknown;
            let of_lock = if sure { Allowed::Yes } else { Allowed::NotKnown(Unsure::NotSeen) };
            for (name, allowed, error) in [
                ("database", database.write, "SQLITE_READONLY_ROLLBACK"),
                ("-journal", journal.write.and(journal.open_or_create), CANNOT_OPEN),
                ("folder", journal.remove, "SQLITE_IOERR_DELETE"),
            ] {
                let allowed = if allowed.is_no() && !sure { of_lock } else { allowed };
                self.need(Aim::Read, What::HotJournal(name), allowed, error);
            }
        }
        // One that may not be read counts as waiting, but for one that is empty.
        if rights.journal.known().is_none() {
            self.need(Aim::Read, What::HotJournal("-journal"), Allowed::NotKnown(Unsure::NotSeen), CANNOT_OPEN);
        }
        self.need(Aim::Write, What::File("database"), database.write, READ_ONLY);
        self.opened_by_some(database);
        match journal {
            None => {
                let refused = rights.make == Allowed::No(Bar::Rights);
                let error = if refused { "SQLITE_READONLY_DIRECTORY" } else { CANNOT_OPEN };
                self.need(Aim::Write, What::Make("-journal"), rights.make, error);
            }
            Some(journal) => {
                let writes = journal.write.and(journal.open_or_create);
                self.need(Aim::Write, What::File("-journal"), writes, CANNOT_OPEN);
                // A connection with journal_mode=PERSIST or TRUNCATE leaves the file there and deletes nothing.
                if !journal.remove.is_yes() {
                    let cause = match journal.remove {
                        Allowed::No(bar) => Some(Cause::Bar(bar)),
                        Allowed::NotKnown(unsure) => Some(Cause::Unsure(unsure)),
                        Allowed::Yes => None,
                    };
                    let (what, error) = (What::File("-journal"), Some("SQLITE_IOERR_DELETE"));
                    self.obstacles.push(Obstacle { aim: Aim::Write, certain: false, what, cause, error });
                }
            }
        }
    }

    fn locks(&self) -> Option<&LocksView> {
        let around = self.examined.surroundings.as_ref().and_then(|around| around.locks.value());
        around.or(self.examined.locks.as_ref())
    }

    fn database_lock(&self) -> LockState {
        self.locks().map_or(LockState::Unknown, |locks| locks.database.state)
    }

    /// Whether somebody reads or writes: SQLite takes no journal for hot while RESERVED is held.
    fn lock_is_held(&self) -> bool {
        self.locks().is_some_and(|locks| locks.database.held() || locks.reserved.held() || locks.pending.held())
    }

    /// Whether the process that is asked about has the wal-index mapped, and so can read, or write, through what it has open.
    fn has_mapped(&self, writable: bool) -> bool {
        let users = self.examined.surroundings.as_ref().and_then(|around| around.users.value());
        let mut of =
            users.into_iter().flat_map(|view| &view.users).filter(|user| Some(user.pid) == self.rights.process);
        of.any(|user| user.mapped == Access::Writable || !writable && user.mapped == Access::ReadOnly)
    }
}

/// Whether a `-wal` or a `-shm` may be written to; `None`: it is not there.
fn writes(file: &Observation<FileRights>) -> Option<Allowed> {
    match file.known() {
        Some(Some(file)) => Some(file.write.and(file.open_or_create)),
        Some(None) => None,
        None => Some(Allowed::NotKnown(Unsure::NotSeen)),
    }
}

/// Whether the folder is reached through a mount that is read-only.
#[must_use]
pub fn mount_is_read_only(examined: &Inspection) -> bool {
    let folder = examined.surroundings.as_ref().and_then(|around| around.files.directory.value());
    folder.is_some_and(|folder| folder.mount_access.value() == Some(&MountAccess::ReadOnly))
}
