//! What one process has of a database: descriptors, a mapping of the `-shm`, locks.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::limits::{BLOCK, DESCRIPTORS_OF_A_PROCESS, DESCRIPTORS_WITH_LOCKS};
use super::scan::ProcessMaps;
use super::wanted::{Claim, Wanted};
use crate::evidence::file_system::{AskedLocks, FileSystemKind};
use crate::evidence::{
    Access, Container, DatabaseLock, InodeId, LockSlot, MappingsView, Observation, OtherIndex, SwitchLock, User,
};
use crate::linux::open::OpenedFiles;
use crate::linux::procfs::{Proc, Process};
use crate::linux::text::fdinfo::{OpenMode, locks, open_mode};
use crate::linux::text::locks::{LockKind, LockLine, LockedFile};
use crate::linux::text::maps::escaped;
use crate::linux::text::process as stat_text;
use crate::linux::unseen::vanished;
use crate::linux::{container, lock_view, mounts, stat};
use crate::number::FileId;

/// The database whose users are looked for.
pub(super) struct Subject<'a> {
    proc: &'a Proc,
    wanted: Wanted,
    /// Whether the `-shm` could be told from others: it was seen, or it is known that there is none.
    shm_known: bool,
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
    /// The process whose files were looked at.
    root: Option<FileId>,
    container: Option<Container>,
    /// Processes that map the `-shm`.
    mapping: BTreeSet<u32>,
}

/// What became of the look at one process.
pub(super) enum Looked {
    /// It does not use the database.
    No,
    /// It uses it.
    User(Box<User>),
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
        let process = files.target.process(proc).ok();
        let mapping = mappings.value().into_iter().flat_map(|view| &view.mappings).map(|mapping| mapping.pid);
        let wanted = Wanted::of(proc, files);
        Self {
            shm_known: wanted.identity.is_some() || matches!(files.shm, Observation::Missing { .. }),
            wanted,
            shm_keys: lock_view::keys(proc, &files.shm, &mounts),
            database_keys: lock_view::keys(proc, &files.database, &mounts),
            keys_are_exact: all(|kind| kind.is_local() && !kind.subvolumes),
            records: proc.has("locks") && all(|kind| kind.asked_locks == AskedLocks::Enforced),
            listed: [Cell::new(false), Cell::new(false)],
            table: OnceCell::new(),
            root: process.as_ref().and_then(|process| process.file_behind("root").ok()),
            container: process.as_ref().and_then(container::by_cgroup),
            mapping: mapping.collect(),
            proc,
        }
    }

    #[cfg(test)]
    pub(super) fn of_test(proc: &'a Proc, wanted: Wanted, [database, shm]: [LockedFile; 2]) -> Self {
        Self {
            shm_known: true,
            shm_keys: vec![shm],
            database_keys: vec![database],
            keys_are_exact: true,
            records: proc.has("locks"),
            listed: [Cell::new(false), Cell::new(false)],
            table: OnceCell::new(),
            root: None,
            container: None,
            mapping: BTreeSet::new(),
            wanted,
            proc,
        }
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
        match self.by_descriptors(&process, names) {
            Some(user) => Looked::User(Box::new(user)),
            None => Looked::No,
        }
    }

    fn by_descriptors(&self, process: &Process, names: Vec<String>) -> Option<User> {
        let mut files = Descriptors { whole: names.len() < DESCRIPTORS_OF_A_PROCESS, ..Descriptors::default() };
        for name in names.into_iter().take(DESCRIPTORS_OF_A_PROCESS) {
            let file = match process.file_behind(&format!("fd/{name}")) {
                Ok(file) => Some(file),
                Err(error) if vanished(&error) => continue,
                Err(_) => None,
            };
            match file {
                None => files.whole = false,
                file if file == self.wanted.database => files.database.push(name),
                file if file == self.wanted.wal => files.wal.push(name),
                file if file == self.shm_file() => files.shm.push(name),
                Some(file) => files.others.push((name, file)),
            }
        }
        let uses = !files.database.is_empty() || !files.wal.is_empty() || !files.shm.is_empty();
        let replaced = self.on_replaced_files(process, &files);
        if !uses && !replaced && !self.mapping.contains(&process.pid) {
            return None;
        }
        let held = |names: &[String], slot: LockSlot| held(process, names, slot);
        let (database, wal) = (files.access(process, &files.database), files.access(process, &files.wal));
        // All that is open is another walscope's O_PATH descriptor.
        if !replaced
            && database == Access::No
            && wal == Access::No
            && files.shm.is_empty()
            && self.mapped(process) == Access::No
        {
            return None;
        }
        let database_lock = match held(&files.database, LockSlot::Database) {
            Ok(Some(true)) => self.listed(0, DatabaseLock::Exclusive),
            Ok(Some(false)) => self.listed(0, DatabaseLock::Shared),
            Ok(None) if files.whole && self.is_listed(0) => DatabaseLock::None,
            _ => DatabaseLock::NotKnown,
        };
        let dead_man_switch = match held(&files.shm, LockSlot::DeadManSwitch) {
            Ok(Some(_)) => self.listed(1, SwitchLock::Held),
            Ok(None) if files.whole && self.shm_known && self.is_listed(1) => SwitchLock::NotHeld,
            _ => SwitchLock::NotKnown,
        };
        let mut user = User {
            names: files.database.iter().filter_map(|name| path_of(process, name)).collect(),
            database,
            wal,
            mapped: self.mapped(process),
            database_lock,
            dead_man_switch,
            on_replaced_files: replaced,
            ..self.nameless(process)
        };
        user.names.sort();
        user.names.dedup();
        if (database_lock, dead_man_switch) == (DatabaseLock::Shared, SwitchLock::NotHeld) {
            user.other_index = self.other_index(process, &files, &user.names);
        }
        Some(user)
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
            None if tells(&self.database_keys) && self.records => DatabaseLock::None,
            None => DatabaseLock::NotKnown,
        };
        let dead_man_switch = match switch {
            _ if subvolumes => SwitchLock::NotKnown,
            true => SwitchLock::Held,
            false if self.shm_known && tells(&self.shm_keys) && self.records => SwitchLock::NotHeld,
            false => SwitchLock::NotKnown,
        };
        let mut user = User { database_lock, dead_man_switch, ..self.nameless(process) };
        if (database_lock, dead_man_switch) == (DatabaseLock::Shared, SwitchLock::NotHeld) {
            let others = |keys: &[LockedFile], is: fn(&LockLine) -> bool| -> Vec<LockedFile> {
                let files = mine().filter(|line| is(line) && !on(line, keys)).filter_map(|line| line.file);
                let mut files: Vec<LockedFile> = files.collect();
                files.dedup();
                files
            };
            let switches = others(&self.shm_keys, is_switch);
            let databases = others(&self.database_keys, |line| covers(line, LockSlot::Database));
            if switches.len() > databases.len() {
                let inode = match switches.as_slice() {
                    [one] => Some(inode(*one)),
                    _ => None,
                };
                user.other_index = Some(OtherIndex { inode, path: None, certain: false });
            }
        }
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
            mount_namespace: process.link("ns/mnt"),
            container: container::by_cgroup(process),
            names: Vec::new(),
            database: Access::NotKnown,
            wal: Access::NotKnown,
            mapped: Access::NotKnown,
            database_lock: DatabaseLock::NotKnown,
            dead_man_switch: SwitchLock::NotKnown,
            other_index: None,
            on_replaced_files: false,
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

    /// `st_dev` and inode of the `-shm`.
    fn shm_file(&self) -> Option<FileId> {
        self.wanted.shm
    }

    /// How a process has the `-shm` mapped.
    fn mapped(&self, process: &Process) -> Access {
        if !self.shm_known {
            return Access::NotKnown;
        }
        if self.wanted.identity.is_none() {
            return Access::No;
        }
        let Ok(text) = process.read("maps") else { return Access::NotKnown };
        let mut access = Access::No;
        for line in ProcessMaps::shared_lines(&text).filter(|line| line.length() >= BLOCK) {
            match self.wanted.claim_of_inode(process, &line) {
                Ok(Some(Claim::This)) if line.writable => return Access::Writable,
                Ok(Some(Claim::This)) => access = Access::ReadOnly,
                Ok(_) => {}
                Err(_) => return Access::NotKnown,
            }
        }
        access
    }

    /// Whether a process holds a lock on a file that lay at the path of the database before. Only a process of the same
    /// place has the same paths.
    fn on_replaced_files(&self, process: &Process, files: &Descriptors) -> bool {
        let Some(database) = self.wanted.database else { return false };
        let of_device = |file: &FileId| file.device == database.device;
        if !files.others.iter().any(|(_, file)| of_device(file)) || !self.is_of_same_place(process) {
            return false;
        }
        let wanted = self.wanted.database_path();
        files.others.iter().filter(|(_, file)| of_device(file)).any(|(name, _)| {
            path_of(process, name).is_some_and(|path| escaped(path.as_bytes()) == wanted)
                && matches!(held(process, std::slice::from_ref(name), LockSlot::Database), Ok(Some(_)))
        })
    }

    fn is_of_same_place(&self, process: &Process) -> bool {
        self.wanted.own(&process.link("ns/mnt"))
            || self.root.is_some_and(|root| process.file_behind("root").is_ok_and(|found| found == root))
            || self.container.is_some() && container::by_cgroup(process) == self.container
    }

    /// Another file on which the process holds the dead-man switch, and which no other database that it has open explains.
    fn other_index(&self, process: &Process, files: &Descriptors, names: &[String]) -> Option<OtherIndex> {
        let database = self.wanted.database?;
        let mut paths = Vec::with_capacity(files.others.len());
        for (name, _) in files.others.iter().take(DESCRIPTORS_WITH_LOCKS) {
            paths.extend(path_of(process, name).map(|path| (name, path)));
        }
        let mut may_be = None;
        for (name, path) in &paths {
            let Ok(text) = process.read(&format!("fdinfo/{name}")) else { continue };
            let Some(line) = locks(&text).into_iter().find(is_switch) else { continue };
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

/// The descriptors of one process.
#[derive(Default)]
struct Descriptors {
    database: Vec<String>,
    wal: Vec<String>,
    shm: Vec<String>,
    others: Vec<(String, FileId)>,
    /// Whether all were seen.
    whole: bool,
}

impl Descriptors {
    fn access(&self, process: &Process, names: &[String]) -> Access {
        let mut access = if self.whole { Access::No } else { Access::NotKnown };
        for name in names {
            let text = process.read(&format!("fdinfo/{name}"));
            match text.ok().and_then(|text| open_mode(&text)) {
                Some(OpenMode::Writable) => return Access::Writable,
                Some(OpenMode::ReadOnly) => access = Access::ReadOnly,
                Some(OpenMode::Path) => {}
                None => return Access::NotKnown,
            }
        }
        access
    }
}

/// The path of a descriptor, without ` (deleted)`.
fn path_of(process: &Process, name: &str) -> Option<String> {
    let link = process.link_bytes(&format!("fd/{name}")).ok()?;
    let path = link.strip_suffix(b" (deleted)").unwrap_or(&link);
    Some(std::ffi::OsStr::from_bytes(path).to_string_lossy().into_owned())
}

/// Whether a lock on these bytes is held through these descriptors of one file, and whether exclusively.
fn held(process: &Process, names: &[String], slot: LockSlot) -> io::Result<Option<bool>> {
    let mut found = None;
    for name in names {
        let text = process.read(&format!("fdinfo/{name}"))?;
        found = found.max(locks(&text).iter().filter(|line| covers(line, slot)).map(|line| line.exclusive).max());
    }
    Ok(found)
}

/// Whether a line of one file's locks holds bytes of this slot.
fn covers(line: &LockLine, slot: LockSlot) -> bool {
    let bytes = slot.bytes();
    line.file.is_some_and(|file| line.holds(file, bytes.start, bytes.end - bytes.start))
}

/// Whether a line holds the dead-man switch of some `-shm`: a lock of another program seldom begins and ends at SQLite's
/// bytes.
fn is_switch(line: &LockLine) -> bool {
    let within = LockSlot::Write.bytes().start..=LockSlot::DeadManSwitch.bytes().start;
    line.kind != LockKind::Other
        && covers(line, LockSlot::DeadManSwitch)
        && within.contains(&line.start)
        && line.end.is_some_and(|end| within.contains(&end))
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
