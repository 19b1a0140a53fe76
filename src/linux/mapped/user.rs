//! What one process has of a database: descriptors, a mapping of the `-shm`, locks.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::Arc;

use super::descriptors::{self, Descriptors, covers, held, is_database_lock, is_switch, locks_of, place_of};
use super::fuse;
use super::inherited::{MappedAt, Traces};
use super::limits::{BLOCK, DESCRIPTORS_WITH_LOCKS};
use super::one_process::OneProcess;
use super::replaced::{Before, Replaced};
use super::scan::ProcessMaps;
use super::wanted::{Claim, Wanted};
use crate::evidence::file_system::{AskedLocks, FileSystemKind};
use crate::evidence::{
    Access, DatabaseLock, InodeId, LockSlot, MappingsView, Mount, Observation, OtherDatabase, OtherIndex, SwitchLock,
    User,
};
use crate::linux::descriptor_locks::{is_on, of_inodes};
use crate::linux::open::OpenedFiles;
use crate::linux::procfs::{Proc, Process};
use crate::linux::stopped;
use crate::linux::text::locks::{LockLine, LockedFile};
use crate::linux::text::maps::{MapsLine, escaped};
use crate::linux::text::process as stat_text;
use crate::linux::unseen::vanished;
use crate::linux::{container, forked, lock_view, mounts, stat, sys};
use crate::number::FileId;

/// The database whose users are looked for.
pub(super) struct Subject<'a> {
    proc: &'a Proc,
    wanted: Wanted,
    /// Whether the `-shm` could be told from others: it was seen, or it is known that there is none.
    shm_known: bool,
    /// Whether the same is so of the database.
    database_known: bool,
    /// Under which names the lock table may list the `-shm`, and the database.
    shm_keys: Vec<LockedFile>,
    database_keys: Vec<LockedFile>,
    /// Whether the names of the lock table are those of no other file.
    keys_are_exact: bool,
    /// Whether the kernel lists every lock on these files. Where a server keeps the locks it may list none.
    records: bool,
    /// Whether a lock on the database, and one on the `-shm`, was seen listed.
    listed: [Cell<bool>; 2],
    table: OnceCell<Vec<LockLine>>,
    /// The database, to ask for its lock.
    database: Option<Arc<File>>,
    /// Processes that map the `-shm`.
    mapping: BTreeSet<u32>,
    /// The mounts as the side's process sees them.
    mounts: Vec<Mount>,
    /// What tells a file that lay at the path of the database before.
    before: Before,
}

/// What became of the look at one process.
pub(super) enum Looked {
    /// It does not use the database.
    No,
    /// It uses it.
    User(Box<(User, Traces)>),
    /// Its descriptors could not be read, and the lock table does not name it.
    Denied(io::Error),
    /// Its descriptors could not be read; the lock table names it.
    OnlyLocks(Box<User>, io::Error),
}

impl<'a> Subject<'a> {
    pub(super) fn of(proc: &'a Proc, files: &OpenedFiles, mappings: &Observation<MappingsView>) -> Self {
        let mounts = mounts::of(proc, &files.target);
        let kind = |file: &std::fs::File| stat::magic_of(file).map(FileSystemKind::by_magic);
        let kinds = [&files.database, &files.shm].map(|file| file.value().and_then(|file| kind(file).ok()));
        let all = |holds: fn(&FileSystemKind) -> bool| kinds.iter().flatten().all(|kind| holds(kind));
        let mapping = mappings.value().into_iter().flat_map(|view| &view.mappings).map(|mapping| mapping.pid);
        let wanted = Wanted::of(proc, files);
        let on_the_way = |mount: &&Mount| files.database_path.starts_with(&mount.mount_point);
        let devices = mounts.value().into_iter().flatten().filter(on_the_way).map(|mount| mount.device);
        Self {
            before: Before::of(proc, files, devices.chain(wanted.database.map(|database| database.device)).collect()),
            shm_known: wanted.identity.is_some() || matches!(files.shm, Observation::Missing { .. }),
            database_known: wanted.database.is_some() || matches!(files.database, Observation::Missing { .. }),
            database: files.database.value().cloned(),
            wanted,
            shm_keys: lock_view::keys(proc, &files.shm, &mounts),
            database_keys: lock_view::keys(proc, &files.database, &mounts),
            keys_are_exact: all(|kind| kind.is_local() && !kind.subvolumes),
            records: proc.has("locks") && all(|kind| kind.asked_locks == AskedLocks::Enforced),
            listed: [Cell::new(false), Cell::new(false)],
            table: OnceCell::new(),
            mapping: mapping.collect(),
            mounts: mounts.value().cloned().unwrap_or_default(),
            proc,
        }
    }

    #[cfg(test)]
    pub(super) fn of_test(proc: &'a Proc, wanted: Wanted, [database, shm]: [LockedFile; 2]) -> Self {
        Self {
            shm_known: true,
            database_known: true,
            database: None,
            shm_keys: vec![shm],
            database_keys: vec![database],
            keys_are_exact: true,
            records: proc.has("locks"),
            listed: [Cell::new(false), Cell::new(false)],
            table: OnceCell::new(),
            mapping: BTreeSet::new(),
            mounts: Vec::new(),
            before: Before::of_test(proc, wanted.database),
            wanted,
            proc,
        }
    }

    /// The files are on FUSE: their server keeps the locks, and the kernel may list none.
    #[cfg(test)]
    pub(super) fn on_fuse(mut self) -> Self {
        (self.records, self.keys_are_exact) = (false, false);
        self
    }

    /// Forgets the lock table, before another look.
    pub(super) fn begin_look(&mut self) {
        self.table = OnceCell::new();
    }

    /// Looks at one process.
    pub(super) fn look(&self, pid: u32) -> Looked {
        let process = match self.proc.process(pid) {
            Ok(process) => process,
            Err(error) if vanished(&error) => return Looked::No,
            Err(error) => return Looked::Denied(error),
        };
        let names = match process.names("fd") {
            Ok(names) => names,
            Err(error) if vanished(&error) => return Looked::No,
            Err(error) => {
                return match self.by_table(&process) {
                    Some(user) => Looked::OnlyLocks(Box::new(user), error),
                    None => Looked::Denied(error),
                };
            }
        };
        let mut files = Descriptors::read(&process, names, &self.wanted);
        match self.by_descriptors(&process, &files) {
            Some((mut user, traces)) => {
                user.stopped |= user.role_at_this_look().is_suspect() && stopped::by_cgroup(&process);
                Looked::User(Box::new((user, traces)))
            }
            None => match files.refused.take().map(|error| (self.by_table(&process), error)) {
                Some((Some(user), error)) => Looked::OnlyLocks(Box::new(user), error),
                Some((None, error)) => Looked::Denied(error),
                None => Looked::No,
            },
        }
    }

    /// Whether somebody who is not visible from here holds the whole database exclusively.
    pub(super) fn is_held_by_the_unseen(&self) -> bool {
        let bytes = LockSlot::Database.bytes();
        let ask = |file: &Arc<File>| sys::first_conflict(file, bytes.start, bytes.end - bytes.start).ok().flatten();
        let conflict = self.database.as_ref().and_then(ask);
        let seen = |pid: i32| u32::try_from(pid).is_ok_and(|pid| pid > 0 && self.proc.process(pid).is_ok());
        conflict.is_some_and(|conflict| conflict.exclusive && !seen(conflict.pid))
    }

    fn by_descriptors(&self, process: &Process, files: &Descriptors) -> Option<(User, Traces)> {
        let replaced = self.before.replaced(self.proc, &self.wanted, process, files);
        if !files.uses() && replaced.is_none() && !self.mapping.contains(&process.pid) {
            return None;
        }
        let Mapped { access: mapped, at: mapped_at } = self.mapped(process);
        let known = |access: Access, known: bool| if known { access } else { Access::NotKnown };
        let database = known(files.access(&files.database), self.database_known);
        let wal = files.access(&files.wal).max(files.access_beside_database(process));
        let journal = files.access(&files.journal);
        // All that is open is another walscope's O_PATH descriptor.
        let none = [database, wal].iter().all(|access| *access == Access::No) && journal != Access::Writable;
        if replaced.is_none() && none && files.shm.is_empty() && mapped == Access::No {
            return None;
        }
        let shm = known(files.access(&files.shm), self.shm_known);
        let database_lock = match held(&files.database, LockSlot::Database) {
            DatabaseLock::None if files.whole && self.database_known && self.is_listed(0) => DatabaseLock::None,
            DatabaseLock::None => DatabaseLock::NotKnown,
            lock @ (DatabaseLock::Shared | DatabaseLock::Exclusive) => self.listed(0, lock),
            DatabaseLock::NotKnown => DatabaseLock::NotKnown,
        };
        let dead_man_switch = match held(&files.shm, LockSlot::DeadManSwitch) {
            DatabaseLock::None if files.whole && self.shm_known && self.is_listed(1) => SwitchLock::NotHeld,
            DatabaseLock::Shared | DatabaseLock::Exclusive => self.listed(1, SwitchLock::Held),
            DatabaseLock::None | DatabaseLock::NotKnown => SwitchLock::NotKnown,
        };
        let traces = Traces::of(files, mapped_at);
        let names = files.database.iter().filter_map(|one| place_of(process, &one.name)).map(|place| place.path);
        let mut user = User {
            names: names.collect(),
            database,
            wal,
            shm,
            journal,
            mapped,
            serves: (mapped == Access::No).then(|| fuse::serves(process, &files.others, &self.mounts)).flatten(),
            database_lock,
            dead_man_switch,
            in_transaction: descriptors::in_transaction(&files.shm),
            shm_opened: traces.opened(None),
            on_replaced_files: replaced.is_some(),
            replaced_unlocked: replaced == Some(Replaced::Open),
            ..self.nameless(process)
        };
        user.names.sort();
        user.names.dedup();
        if (database_lock, dead_man_switch) == (DatabaseLock::Shared, SwitchLock::NotHeld) {
            user.other_index = self.other_index(process, files, &user.names);
        }
        if (database, database_lock, mapped) == (Access::Writable, DatabaseLock::None, Access::No) {
            user.other_index = self.deleted_index(process, &user.names);
            user.forked = user.other_index.is_some() && forked::is_forked(self.proc, process);
        }
        if database == Access::No && (dead_man_switch == SwitchLock::Held || mapped == Access::Writable) {
            user.other_database = other_database(process, files);
        }
        user.names.iter_mut().for_each(|name| *name = self.wanted.as_target_sees(name));
        Some((user, traces))
    }

    /// What is known of a process whose descriptors cannot be read: its locks, from the lock table.
    fn by_table(&self, process: &Process) -> Option<User> {
        let table = self.table.get_or_init(|| lock_view::listed(self.proc));
        let mine = || table.iter().filter(|line| line.visible_pid() == Some(process.pid));
        let on = |line: &LockLine, keys: &[LockedFile]| line.file.is_some_and(|file| keys.contains(&file));
        let holds = |line: &LockLine, slot: LockSlot| covers(line, slot);
        let database = mine().filter(|line| on(line, &self.database_keys) && holds(line, LockSlot::Database));
        let exclusive = database.map(|line| line.exclusive).max();
        let switch = mine().any(|line| on(line, &self.shm_keys) && holds(line, LockSlot::DeadManSwitch));
        if exclusive.is_none() && !switch && !mine().any(|line| on(line, &self.shm_keys)) {
            return None;
        }
        // Where the name of a lock can mean another file, a lock that is not listed is not proven absent.
        let any = |keys: &[LockedFile]| table.iter().any(|line| on(line, keys));
        let tells = |keys: &[LockedFile]| self.keys_are_exact || any(keys);
        let subvolumes = self.wanted.exact.is_some();
        let database_lock = match exclusive {
            _ if subvolumes => DatabaseLock::NotKnown,
            Some(true) => DatabaseLock::Exclusive,
            Some(false) => DatabaseLock::Shared,
            None if self.database_known && tells(&self.database_keys) && self.records => DatabaseLock::None,
            None => DatabaseLock::NotKnown,
        };
        let dead_man_switch = match switch {
            _ if subvolumes => SwitchLock::NotKnown,
            true => SwitchLock::Held,
            false if self.shm_known && tells(&self.shm_keys) && self.records => SwitchLock::NotHeld,
            false => SwitchLock::NotKnown,
        };
        let mut user = User { database_lock, dead_man_switch, ..self.nameless(process) };
        // What it holds of other databases. Each wal-index belongs to one of them.
        let others = |keys: &[LockedFile], is: fn(&LockLine) -> bool| -> BTreeSet<LockedFile> {
            mine().filter(|line| is(line) && !on(line, keys)).filter_map(|line| line.file).collect()
        };
        let one = |files: &BTreeSet<LockedFile>| files.first().filter(|_| files.len() == 1).copied().map(inode);
        let switches = others(&self.shm_keys, is_switch);
        let databases = others(&self.database_keys, is_database_lock);
        match (database_lock, dead_man_switch) {
            (DatabaseLock::Shared, SwitchLock::NotHeld) if switches.len() > databases.len() => {
                user.other_index = Some(OtherIndex { inode: one(&switches), path: None, certain: false });
            }
            (DatabaseLock::None, SwitchLock::Held) if databases.len() > switches.len() => {
                user.other_database = Some(OtherDatabase { inode: one(&databases), path: None });
            }
            _ => {}
        }
        user.stopped |= user.role_at_this_look().is_suspect() && stopped::by_cgroup(process);
        Some(user)
    }

    /// The process without what it has of the database.
    fn nameless(&self, process: &Process) -> User {
        let stat = process.read("stat").unwrap_or_default();
        User {
            pid: process.pid,
            command: process.command(),
            start_time: stat_text::start_time(&stat),
            parent: stat_text::parent(&stat),
            ancestor_holds: false,
            forked: false,
            serves: None,
            shm: Access::NotKnown,
            journal: Access::NotKnown,
            stopped: stopped::by_signal(&stat),
            root: self.wanted.root_of(&OneProcess::of(process)),
            mount_namespace: process.link("ns/mnt"),
            container: container::by_cgroup(process),
            names: Vec::new(),
            database: Access::NotKnown,
            wal: Access::NotKnown,
            mapped: Access::NotKnown,
            database_lock: DatabaseLock::NotKnown,
            dead_man_switch: SwitchLock::NotKnown,
            in_transaction: false,
            shm_opened: 0,
            other_index: None,
            other_database: None,
            on_replaced_files: false,
            replaced_unlocked: false,
            settled: true,
        }
    }

    fn listed<T>(&self, which: usize, lock: T) -> T {
        if let Some(listed) = self.listed.get(which) {
            listed.set(true);
        }
        lock
    }

    /// Whether a lock on the file would be listed.
    ///
    /// folklore: a FUSE server that takes the locks itself, and gVisor, leave the kernel's list empty: no process seems to
    /// hold anything. `fuse_file_lock`, fs/fuse/file.c; held by `where_no_lock_is_listed_nobody_is_accused`.
    fn is_listed(&self, which: usize) -> bool {
        self.records || self.listed.get(which).is_some_and(Cell::get)
    }

    /// How a process has the `-shm` mapped.
    fn mapped(&self, process: &Process) -> Mapped {
        let unseen = Mapped { access: Access::NotKnown, at: MappedAt::default() };
        if !self.shm_known {
            return unseen;
        }
        let mut mapped = Mapped { access: Access::No, at: MappedAt::default() };
        if self.wanted.identity.is_none() {
            return mapped;
        }
        let Ok(text) = process.read("maps") else { return unseen };
        let one = OneProcess::of(process);
        let mut unknown = false;
        for line in ProcessMaps::shared_lines(&text).filter(|line| line.length() >= BLOCK) {
            // One block is enough to know how it is mapped, and there may be thousands.
            if mapped.access == Access::Writable && line.offset != 0 {
                continue;
            }
            match self.wanted.claim_of_inode(&one, &line) {
                Ok(Some(Claim::This)) => {
                    let access = if line.writable { Access::Writable } else { Access::ReadOnly };
                    mapped.access = mapped.access.max(access);
                    let begins = (line.offset == 0).then_some(line.start);
                    mapped.at.all.extend(begins);
                    mapped.at.writable.extend(begins.filter(|_| line.writable));
                }
                Ok(_) => {}
                Err(_) => unknown = true,
            }
        }
        if unknown {
            // A mapping that could not be looked at may be a writable one of this file.
            mapped.access = Access::NotKnown;
        }
        mapped
    }

    /// A `-shm` of this database that was deleted, and that the process has mapped for writing, although it holds no lock.
    ///
    /// folklore: who lost both locks does not keep others from closing last, and so from deleting `-wal` and `-shm` under it.
    /// It goes on with the deleted files. A child that was forked before its parent closed the database looks the same. Seen
    /// with a program that reads its database to copy it; held by
    /// `who_lost_both_locks_and_goes_on_with_deleted_files_leaves_sharing_undecided`.
    ///
    /// folklore: a connection that a child opens itself joins the inherited one in SQLite's memory (`unixInodeInfo`, `unixShmNode`): it
    /// takes no lock on the database, and uses the wal-index of the parent, also after that was deleted. It is at work there if it
    /// has a lock of a reader or a writer on it. Held by `a_child_that_opens_the_database_itself_joins_what_it_inherited`.
    fn deleted_index(&self, process: &Process, names: &[String]) -> Option<OtherIndex> {
        let text = process.read("maps").ok()?;
        let of_name = |line: &MapsLine<'_>| {
            line.path
                .strip_suffix(b"-shm")
                .is_some_and(|beside| names.iter().any(|name| escaped(name.as_bytes()) == beside))
        };
        let mut lines = ProcessMaps::shared_lines(&text).filter(|line| line.writable && line.length() >= BLOCK);
        let line =
            lines.find(|line| line.deleted_suffix && Some(line.inode) != self.wanted.identity && of_name(line))?;
        let path = Some(self.wanted.shown(line.path));
        let locks = of_inodes(process, &BTreeSet::from([line.inode.inode])).unwrap_or_default();
        let of_index = LockSlot::Write.bytes().start..LockSlot::DeadManSwitch.bytes().end;
        let locked = |lock: &LockLine| {
            lock.file.is_some_and(|file| file.inode == line.inode.inode && is_on(lock, &[file], &of_index))
        };
        Some(OtherIndex { inode: Some(line.inode), path, certain: locks.iter().any(locked) })
    }

    /// Another file on which the process holds the dead-man switch, and which no other database that it has open explains.
    fn other_index(&self, process: &Process, files: &Descriptors, names: &[String]) -> Option<OtherIndex> {
        let database = self.wanted.database?;
        let mut paths = Vec::with_capacity(files.others.len());
        for (name, _) in files.others.iter().take(DESCRIPTORS_WITH_LOCKS) {
            paths.extend(place_of(process, name).map(|place| (name, place.path)));
        }
        let mut may_be = None;
        for (name, path) in &paths {
            let Some(line) = locks_of(process, name).into_iter().find(is_switch) else { continue };
            let beside = path.strip_suffix("-shm");
            let of_this = beside.is_some_and(|beside| names.iter().any(|name| name == beside));
            let of_other = beside.is_some_and(|beside| paths.iter().any(|(_, path)| path == beside));
            let by_number = by_number(path, database);
            if !of_this && (of_other || by_number == Some(false)) {
                continue;
            }
            let certain = of_this || by_number == Some(true);
            let found = OtherIndex { inode: line.file.map(inode), path: Some(path.clone()), certain };
            if certain {
                return Some(found);
            }
            may_be.get_or_insert(found);
        }
        may_be
    }
}

/// How a process has the `-shm` mapped.
struct Mapped {
    access: Access,
    /// Where mappings of its beginning start.
    at: MappedAt,
}

/// A database that a process has locked, and whose wal-index it has not open.
fn other_database(process: &Process, files: &Descriptors) -> Option<OtherDatabase> {
    let others = files.others.iter().take(DESCRIPTORS_WITH_LOCKS);
    let places: Vec<(&String, String)> =
        others.filter_map(|(name, _)| Some((name, place_of(process, name)?.path))).collect();
    places.iter().find_map(|(name, path)| {
        let line = locks_of(process, name).into_iter().find(is_database_lock)?;
        let explained = places.iter().any(|(_, other)| other.strip_suffix("-shm") == Some(path));
        (!explained).then(|| OtherDatabase { inode: line.file.map(inode), path: Some(path.clone()) })
    })
}

fn inode(file: LockedFile) -> InodeId {
    InodeId { device: file.device, inode: file.inode }
}

/// Whether a file is the wal-index of this database by its name, where SQLite keeps them all in one folder: `None` if its
/// name does not say.
///
/// folklore: SQLite compiled with SQLITE_SHM_DIRECTORY names a wal-index `sqlite-shm-INODE-DEVICE`, both hexadecimal, of
/// the database (`unixOpenSharedMemory`). Held by `a_wal_index_in_another_folder_is_known_by_its_name`.
fn by_number(path: &str, database: FileId) -> Option<bool> {
    let numbers = path.rsplit('/').next()?.strip_prefix("sqlite-shm-")?;
    let (inode, device) = numbers.split_once('-')?;
    let number = |text: &str| u32::from_str_radix(text, 16).ok();
    let low = |number: u64| u32::try_from(number & u64::from(u32::MAX)).ok();
    let expected = rustix::fs::makedev(database.device.major, database.device.minor);
    Some(number(inode)? == low(database.inode)? && number(device)? == low(expected)?)
}
