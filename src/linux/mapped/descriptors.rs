//! The descriptors of one process: those of a database's files, with the locks that they carry, and the others.

use std::io;

use super::limits::DESCRIPTORS_OF_A_PROCESS;
use super::link::Link;
use super::wanted::Wanted;
use crate::evidence::{Access, DatabaseLock, LockSlot};
use crate::linux::procfs::Process;
use crate::linux::text::fdinfo::{OpenMode, locks, open_mode};
use crate::linux::text::locks::{LockKind, LockLine};
use crate::linux::unseen::vanished;
use crate::number::FileId;

/// The descriptors of one process.
#[derive(Default)]
pub(super) struct Descriptors {
    /// Those of the database.
    pub database: Vec<Descriptor>,
    /// Those of the `-wal`.
    pub wal: Vec<Descriptor>,
    /// Those of the `-shm`.
    pub shm: Vec<Descriptor>,
    /// Those of the `-journal`.
    pub journal: Vec<Descriptor>,
    /// All others, by name.
    pub others: Vec<(String, FileId)>,
    /// Whether all were seen.
    pub whole: bool,
    /// Why the first that could not be followed could not.
    pub refused: Option<io::Error>,
}

/// One descriptor of a file of the database.
pub(super) struct Descriptor {
    /// Its number.
    pub name: String,
    /// What `fdinfo` says of it. `None`: that could not be read.
    pub info: Option<Info>,
}

/// `fdinfo` of one descriptor.
pub(super) struct Info {
    mode: Option<OpenMode>,
    locks: Vec<LockLine>,
    /// The lines before the locks: position, flags and mount.
    pub origin: Vec<u8>,
}

impl Info {
    /// Whether it was opened for writing.
    pub(super) fn is_writable(&self) -> bool {
        self.mode == Some(OpenMode::Writable)
    }

    pub(super) fn read(process: &Process, name: &str) -> Option<Self> {
        let text = process.read(&format!("fdinfo/{name}")).ok()?;
        let lines = text.split_inclusive(|byte| *byte == b'\n').take_while(|line| !line.starts_with(b"lock:"));
        Some(Self { mode: open_mode(&text), locks: locks(&text), origin: lines.flatten().copied().collect() })
    }
}

impl Descriptors {
    /// Looks where these descriptors of a process lead.
    ///
    /// folklore: who may list the descriptors of a process may not always follow them. Root in a container lists those of
    /// another user's process by CAP_DAC_READ_SEARCH, and following them is refused without CAP_SYS_PTRACE (`proc_readfd`,
    /// `proc_fd_access_allowed`). Held by `a_process_whose_descriptors_are_listed_but_refused_is_judged_by_its_locks`.
    pub(super) fn read(process: &Process, names: Vec<String>, wanted: &Wanted) -> Self {
        let mut all = Self { whole: names.len() < DESCRIPTORS_OF_A_PROCESS, ..Self::default() };
        for name in names.into_iter().take(DESCRIPTORS_OF_A_PROCESS) {
            let file = match process.file_behind(&format!("fd/{name}")) {
                Ok(file) => Some(file),
                Err(error) if vanished(&error) => continue,
                Err(error) => {
                    all.whole = false;
                    all.refused.get_or_insert(error);
                    continue;
                }
            };
            let list = match file {
                file if file == wanted.database => &mut all.database,
                file if file == wanted.wal => &mut all.wal,
                file if file == wanted.shm => &mut all.shm,
                file if file == wanted.journal => &mut all.journal,
                Some(file) => {
                    all.others.push((name, file));
                    continue;
                }
                None => continue,
            };
            list.push(Descriptor { info: Info::read(process, &name), name });
        }
        all
    }

    /// How a file is open that has the name of this database with `-wal` after it, and is not the one that its path leads to
    /// now.
    ///
    /// folklore: the last connection that closes deletes the `-wal`, also under a process that holds no lock (`unix-none`).
    /// That process goes on with the deleted file. Held by `who_goes_on_with_a_deleted_wal_uses_no_wal_index`.
    pub(super) fn access_beside_database(&self, process: &Process) -> Access {
        let paths =
            self.database.iter().filter_map(|one| place_of(process, &one.name)).map(|place| place.path + "-wal");
        let names: Vec<String> = paths.collect();
        if names.is_empty() {
            return Access::No;
        }
        let is_wal = |name: &str| place_of(process, name).is_some_and(|place| names.contains(&place.path));
        let modes = self.others.iter().filter(|(name, _)| is_wal(name)).filter_map(|(name, _)| {
            let mode = Info::read(process, name)?.mode?;
            Some(match mode {
                OpenMode::Writable => Access::Writable,
                OpenMode::ReadOnly => Access::ReadOnly,
                OpenMode::Path => Access::No,
            })
        });
        modes.max().unwrap_or(Access::No)
    }

    /// Whether a file of the database is open.
    pub(super) fn uses(&self) -> bool {
        [&self.database, &self.wal, &self.shm, &self.journal].into_iter().any(|descriptors| !descriptors.is_empty())
    }

    /// How a file is open through these descriptors.
    pub(super) fn access(&self, descriptors: &[Descriptor]) -> Access {
        let mut access = if self.whole { Access::No } else { Access::NotKnown };
        for descriptor in descriptors {
            match descriptor.info.as_ref().and_then(|info| info.mode) {
                Some(OpenMode::Writable) => return Access::Writable,
                Some(OpenMode::ReadOnly) => access = Access::ReadOnly,
                Some(OpenMode::Path) => {}
                None => return Access::NotKnown,
            }
        }
        access
    }
}

/// The lock on these bytes that is held through these descriptors of one file.
pub(super) fn held(descriptors: &[Descriptor], slot: LockSlot) -> DatabaseLock {
    let locks = descriptors.iter().filter_map(|descriptor| descriptor.info.as_ref()).flat_map(|info| &info.locks);
    match locks.filter(|line| covers(line, slot)).map(|line| line.exclusive).max() {
        Some(true) => DatabaseLock::Exclusive,
        Some(false) => DatabaseLock::Shared,
        None if descriptors.iter().all(|descriptor| descriptor.info.is_some()) => DatabaseLock::None,
        None => DatabaseLock::NotKnown,
    }
}

/// Whether a lock of a transaction, a checkpoint or a recovery is held through these descriptors of a `-shm`.
pub(super) fn in_transaction(descriptors: &[Descriptor]) -> bool {
    let locks = descriptors.iter().filter_map(|descriptor| descriptor.info.as_ref()).flat_map(|info| &info.locks);
    let bytes = LockSlot::Write.bytes().start..LockSlot::DeadManSwitch.bytes().start;
    locks.into_iter().any(|line| line.file.is_some_and(|file| line.holds(file, bytes.start, bytes.end - bytes.start)))
}

/// The locks that a process holds through one descriptor; none if that cannot be read.
pub(super) fn locks_of(process: &Process, name: &str) -> Vec<LockLine> {
    process.read(&format!("fdinfo/{name}")).map(|text| locks(&text)).unwrap_or_default()
}

/// Where a descriptor leads.
pub(super) struct Place {
    /// The path, without ` (deleted)`.
    pub path: String,
    /// Whether no path leads to it any more.
    pub deleted: bool,
}

/// The path of a descriptor.
pub(super) fn place_of(process: &Process, name: &str) -> Option<Place> {
    let Link { path, deleted } = Link::of(process, name).ok()?;
    Some(Place { path: String::from_utf8_lossy(&path).into_owned(), deleted })
}

/// Whether a line of one file's locks holds bytes of this slot.
pub(super) fn covers(line: &LockLine, slot: LockSlot) -> bool {
    let bytes = slot.bytes();
    line.file.is_some_and(|file| line.holds(file, bytes.start, bytes.end - bytes.start))
}

/// Whether a line holds the dead-man switch of some `-shm`: a lock of another program seldom begins and ends at SQLite's
/// bytes.
pub(super) fn is_switch(line: &LockLine) -> bool {
    let within = LockSlot::Write.bytes().start..=LockSlot::DeadManSwitch.bytes().start;
    line.kind != LockKind::Other
        && covers(line, LockSlot::DeadManSwitch)
        && within.contains(&line.start)
        && line.end.is_some_and(|end| within.contains(&end))
}

/// Whether a line holds the SHARED range of some database, as SQLite does.
///
/// folklore: SQLite locks the whole range of 510 bytes at 2^30 + 2 (`SHARED_FIRST`, `SHARED_SIZE`), and beside it only
/// PENDING and RESERVED just before it. Held by `another_database_is_known_by_its_lock`.
pub(super) fn is_database_lock(line: &LockLine) -> bool {
    let bytes = LockSlot::Database.bytes();
    let begins = bytes.start.saturating_sub(2)..=bytes.start;
    line.kind != LockKind::Other
        && !line.waiting
        && begins.contains(&line.start)
        && line.end == Some(bytes.end.saturating_sub(1))
}
