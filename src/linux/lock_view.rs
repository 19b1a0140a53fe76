//! Who holds SQLite's locks: the state by asking the kernel, the holders from `/proc/locks` and fdinfo.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use crate::evidence::file_system::{AskedLocks, FileSystemKind, UNKNOWN};
use crate::evidence::{ByteLock, Holder, InSight, LockSlot, LockState, LocksView, Mount, Observation, ShmLocks};
use crate::linux::descriptor_locks::HeldLocks;
use crate::linux::file_id::device;
use crate::linux::open::OpenedFiles;
use crate::linux::procfs::{Proc, Process};
use crate::linux::text::locks::{self, LockKind, LockLine, LockedFile};
use crate::linux::unseen::{unseen, vanished};
use crate::linux::{clocks, container, descriptor_locks, mounts, namespaces, runtimes, stat, stopped, sys, unopened};

/// Who holds SQLite's locks now. Takes no lock.
#[must_use]
pub fn locks_view(files: &OpenedFiles) -> Observation<LocksView> {
    Observation::seen(name_holders(files, lock_states(files)))
}

/// Which of SQLite's locks are held now, with at most one holder per lock. This does not read `/proc/locks`, so it is
/// fast enough to be read at the same moment as the head of the `-shm`. Takes no lock.
#[must_use]
pub fn lock_states(files: &OpenedFiles) -> LocksView {
    states(&files.shm, &files.database)
}

/// Adds every holder that can be seen to what [`lock_states`] found.
#[must_use]
pub fn name_holders(files: &OpenedFiles, locks: LocksView) -> LocksView {
    let proc = Proc::system();
    with_holders(&proc, &files.shm, &files.database, &mounts::of(&proc, &files.target), locks)
}

/// The state of the dead-man switch, which every connection that has the `-shm` open holds shared. Does not search for
/// the holders. Takes no lock.
#[must_use]
pub fn dead_man_switch(files: &OpenedFiles) -> ByteLock {
    let Byte { state, reason, .. } = Byte::ask(LockSlot::DeadManSwitch, &files.shm);
    ByteLock { state, reason, holders: Vec::new() }
}

/// Asks the kernel for every lock byte: twelve calls. Takes no lock.
fn states(shm: &Observation<Arc<File>>, database: &Observation<Arc<File>>) -> LocksView {
    let of_database = Byte::ask(LockSlot::Database, database);
    let unopened = shm.value().is_some_and(|shm| unopened::is_unopened(shm));
    let listed = if unopened { of_listed(&Proc::system(), shm, (database, &of_database)) } else { None };
    LocksView::of_each(|slot| {
        let byte = match &listed {
            _ if slot.is_of_database() => Byte::ask(slot, database),
            Some((lines, keys)) => Byte::of_lines(slot, lines, keys),
            None => Byte::ask(slot, shm),
        };
        byte.unnamed()
    })
}

/// The lines of the lock table, and the names of the `-shm` in it, if they tell every lock of a `-shm` that is not opened: every process is visible, and the
/// kernel itself keeps the locks of this mount, because it lists the one of the database that it reports.
fn of_listed(
    proc: &Proc,
    shm: &Observation<Arc<File>>,
    (database, asked): (&Observation<Arc<File>>, &Byte),
) -> Option<(Vec<LockLine>, Vec<LockedFile>)> {
    let none = Observation::missing("not looked at");
    let held = matches!(asked.state, LockState::Shared | LockState::Exclusive);
    let [of_shm, of_database] = [shm, database].map(|file| keys(proc, file, &none));
    if !held || namespaces::in_sight(proc) != InSight::Every || of_shm.is_empty() {
        return None;
    }
    let lines = listed(proc);
    let by_kernel = lines.iter().any(|line| descriptor_locks::is_on(line, &of_database, &asked.slot.bytes()));
    by_kernel.then_some((lines, of_shm))
}

/// Names the holders of what [`states`] found.
///
/// The states are read first, then the holders. When a lock is taken or released in between, a holder may be missing. A
/// holder is named only for a lock that the kernel reported as held.
///
/// folklore: before it lists the locks, the kernel waits until nobody on the machine is taking one, up to tens of
/// milliseconds (fs/locks.c, `locks_start`: the write side of `file_rwsem`). So `/proc/locks` is not read when no lock
/// is held. Held by `free_locks_need_no_list`.
fn with_holders(
    proc: &Proc,
    shm: &Observation<Arc<File>>,
    database: &Observation<Arc<File>>,
    mounts: &Observation<Vec<Mount>>,
    states: LocksView,
) -> LocksView {
    let mut bytes: Vec<Byte> = states.iter().map(|(slot, lock)| Byte::of(slot, lock)).collect();
    // Nobody holds a lock of a file that is not there.
    let there =
        |slot: LockSlot| !matches!(if slot.is_of_database() { database } else { shm }, Observation::Missing { .. });
    if bytes.iter().any(|byte| byte.state != LockState::Free && there(byte.slot)) {
        let keys = [keys(proc, shm, mounts), keys(proc, database, mounts)];
        take_holders(proc, &mut bytes, &keys, |slot| {
            Byte::ask(slot, if slot.is_of_database() { database } else { shm }).pids
        });
    }
    let mut locks = bytes.into_iter().map(|byte| byte.finish(proc));
    LocksView::of_each(|_| locks.next().unwrap_or_else(|| ByteLock::unknown("not asked")))
}

/// `ask` asks the kernel again who holds a lock.
fn take_holders(proc: &Proc, bytes: &mut [Byte], keys: &[Vec<LockedFile>; 2], ask: impl Fn(LockSlot) -> BTreeSet<u32>) {
    let lines = listed(proc);
    for byte in bytes.iter_mut() {
        byte.take_lines(lines.iter().map(|line| (line.visible_pid(), *line)), keys_of(keys, byte.slot));
    }
    for byte in bytes.iter_mut() {
        byte.verify(proc, keys_of(keys, byte.slot), &HeldLocks::default());
    }
    // Every descriptor of every process is searched only when a lock has no visible holder.
    if bytes.iter().any(Byte::unexplained) {
        let found = descriptor_locks::search(proc, &keys.concat());
        for byte in bytes.iter_mut() {
            byte.take_lines(found.iter().map(|(pid, line)| (Some(*pid), *line)), keys_of(keys, byte.slot));
            byte.take_keepers(&found, keys_of(keys, byte.slot));
            byte.ended.retain(|pid| ask(byte.slot).contains(pid));
        }
    }
    for _ in 0..LOOKS_FOR_RELEASED {
        if !bytes.iter().any(Byte::may_be_released) {
            break;
        }
        let again = listed(proc);
        for byte in bytes.iter_mut() {
            byte.take_released(proc, &again, keys_of(keys, byte.slot));
        }
    }
}

/// Who holds the locks of one `-shm`, from the kernel's answers and from `lines` of `/proc/locks`, if their descriptors carry
/// the lock. Does not search the
/// descriptors of every process, because it is called for many files; so the holders of open file description locks are
/// not named.
#[must_use]
pub(super) fn of_shm(
    proc: &Proc,
    file: &Arc<File>,
    mounts: &Observation<Vec<Mount>>,
    (lines, held): (&[LockLine], &HeldLocks),
) -> ShmLocks {
    let file = Observation::seen(Arc::clone(file));
    let keys = keys(proc, &file, mounts);
    ShmLocks::of_each(|slot| {
        let mut byte = Byte::ask(slot, &file);
        byte.take_lines(lines.iter().map(|line| (line.visible_pid(), *line)), &keys);
        byte.verify(proc, &keys, held);
        byte.finish(proc)
    })
}

/// A text up to this length is surely of one moment, because it came in one read.
const ONE_READ: usize = 2048;
/// How often a longer text is read.
const READS: usize = 3;

/// The lines of `/proc/locks`; none when it cannot be read or has another form.
///
/// folklore: the kernel outputs the list in pieces of at most a page, and finds the place to continue by counting
/// locks. When somebody on the machine releases a lock in between, a lock that was held all the time can be missing. So
/// a long list is read several times, and a lock counts when any of the readings shows it. That is safe, because a
/// holder is named only for a lock that the kernel reported as held. fs/locks.c (`locks_start`), fs/seq_file.c; seen on
/// Linux with 70 locks, one look in a hundred; held by `a_lock_that_one_reading_left_out_is_found_in_another`.
pub(super) fn listed(proc: &Proc) -> Vec<LockLine> {
    of_readings(|| proc.read("locks").ok())
}

fn of_readings(mut read: impl FnMut() -> Option<Vec<u8>>) -> Vec<LockLine> {
    let mut lines = Vec::new();
    for _ in 0..READS {
        let Some(text) = read() else { break };
        lines.extend(locks::parse(&text).unwrap_or_default());
        if text.len() < ONE_READ {
            break;
        }
    }
    lines
}

/// How often a lock is looked for that its holder may release and take again meanwhile.
const LOOKS_FOR_RELEASED: usize = 5;

/// The names under which `/proc/locks` may list the file of this lock.
fn keys_of(keys: &[Vec<LockedFile>; 2], slot: LockSlot) -> &[LockedFile] {
    let [shm, database] = keys;
    if slot.is_of_database() { database } else { shm }
}

/// The names under which `/proc/locks` may list a file: with the superblock's device from mountinfo, and with `st_dev`.
/// They differ on btrfs subvolumes.
pub(super) fn keys(proc: &Proc, file: &Observation<Arc<File>>, mounts: &Observation<Vec<Mount>>) -> Vec<LockedFile> {
    let Some(file) = file.value() else { return Vec::new() };
    let Ok(metadata) = file.metadata() else { return Vec::new() };
    let inode = metadata.ino();
    let mut keys = vec![LockedFile { device: device(metadata.dev()), inode }];
    let mount_id = stat::mount_id(proc, file);
    if let Some(mount) = stat::mount_of(&mount_id, mounts) {
        keys.push(LockedFile { device: mount.device, inode });
    }
    keys.dedup();
    keys
}

/// What it means that the kernel was asked and showed no lock. On a file system on which not every lock is seen, the
/// byte may be held.
fn unseen_lock(slot: LockSlot, file: &File) -> (LockState, Option<String>) {
    not_shown(slot, stat::magic_of(file).map_or(&UNKNOWN, FileSystemKind::by_magic))
}

/// folklore: on FUSE the kernel keeps the locks of each mount for itself, unless the daemon takes them. Of a folder that is mounted
/// twice, or used behind its mount, the one mount shows no lock of the other. So there nobody is said to be away: the locks
/// that every connection holds are unknown, and not free. Seen with bindfs 1.14.7; held by
/// `a_second_fuse_mount_is_not_said_to_be_unused`.
fn not_shown(slot: LockSlot, kind: &FileSystemKind) -> (LockState, Option<String>) {
    let why = match kind.asked_locks {
        AskedLocks::ShownInPart => "one can be held without being seen",
        AskedLocks::Shown if [LockSlot::DeadManSwitch, LockSlot::Database].contains(&slot) => {
            "those of another mount of the folder, or from behind the mount, are not seen"
        }
        AskedLocks::Shown | AskedLocks::Enforced => return (LockState::Free, None),
    };
    (LockState::Unknown, Some(format!("no lock was seen, and on {} {why}", kind.title)))
}

/// The state of one lock of a file. Takes no lock.
pub(super) fn state_of(slot: LockSlot, file: &Arc<File>) -> LockState {
    Byte::ask(slot, &Observation::seen(Arc::clone(file))).state
}

/// Whether the kernel lists every lock on a file. A server that keeps the locks itself leaves the list empty.
pub(super) fn are_listed(proc: &Proc, file: &File) -> bool {
    let kind = stat::magic_of(file).map(FileSystemKind::by_magic);
    proc.has("locks") && kind.is_ok_and(|kind| kind.asked_locks == AskedLocks::Enforced)
}

/// One lock byte, or range, from which a [`ByteLock`] is made.
struct Byte {
    slot: LockSlot,
    state: LockState,
    reason: Option<String>,
    pids: BTreeSet<u32>,
    /// Processes that hold a lock which another one took, with that one: they share its descriptors.
    keepers: BTreeMap<u32, u32>,
    /// Processes that took a lock and have ended; who has their descriptors is not known.
    ended: BTreeSet<u32>,
    /// Processes that the kernel named, and whose descriptors do not carry the lock.
    dropped: BTreeSet<u32>,
    /// Whether the lock table does not tell who holds it: it lists a lock of an open file description, without a process,
    /// or a process whose descriptors do not carry the lock.
    untold: bool,
}

impl Byte {
    fn ask(slot: LockSlot, file: &Observation<Arc<File>>) -> Self {
        let bytes = slot.bytes();
        let mut pids = BTreeSet::new();
        let (state, reason) = match file {
            Observation::Seen { value } if unopened::is_unopened(value) => {
                (LockState::Unknown, Some("the -shm is on a FUSE mount and in use, and was not opened".to_owned()))
            }
            Observation::Seen { value } => match sys::first_conflict(value, bytes.start, bytes.end - bytes.start) {
                Ok(None) => unseen_lock(slot, value),
                Ok(Some(conflict)) => {
                    pids.extend(u32::try_from(conflict.pid).ok().filter(|pid| *pid > 0));
                    (if conflict.exclusive { LockState::Exclusive } else { LockState::Shared }, None)
                }
                Err(error) => (LockState::Unknown, unseen::<()>("F_OFD_GETLK", &error).reason().map(str::to_owned)),
            },
            unseen => {
                let name = if slot.is_of_database() { "database" } else { "-shm" };
                (LockState::Unknown, Some(format!("{name}: {}", unseen.reason().unwrap_or_default())))
            }
        };
        Self { pids, ..Self::new(slot, state, reason) }
    }

    /// From a list of every lock.
    fn of_lines(slot: LockSlot, lines: &[LockLine], keys: &[LockedFile]) -> Self {
        let mut byte = Self::new(slot, LockState::Unknown, None);
        byte.take_lines(lines.iter().map(|line| (line.visible_pid(), *line)), keys);
        if byte.state == LockState::Unknown {
            byte.state = LockState::Free;
        }
        byte
    }

    fn new(slot: LockSlot, state: LockState, reason: Option<String>) -> Self {
        let (pids, ended) = (BTreeSet::new(), BTreeSet::new());
        Self { slot, state, reason, pids, keepers: BTreeMap::new(), ended, dropped: BTreeSet::new(), untold: false }
    }

    fn of(slot: LockSlot, lock: &ByteLock) -> Self {
        let pids = lock.holders.iter().filter_map(|holder| holder.pid).collect();
        Self { pids, ..Self::new(slot, lock.state, lock.reason.clone()) }
    }

    /// Adds the holders among `lines`. Where the kernel could not be asked, a listed lock is proof that it is held;
    /// its absence from the list is no proof of anything.
    fn take_lines(&mut self, lines: impl Iterator<Item = (Option<u32>, LockLine)>, keys: &[LockedFile]) {
        let bytes = self.slot.bytes();
        for (pid, line) in lines {
            if self.state == LockState::Free
                || !keys.iter().any(|file| line.holds(*file, bytes.start, bytes.end - bytes.start))
            {
                continue;
            }
            if self.state == LockState::Unknown {
                self.state = if line.exclusive { LockState::Exclusive } else { LockState::Shared };
                self.reason = None;
            }
            self.untold |= line.kind == LockKind::OpenFileDescription;
            self.pids.extend(pid);
        }
    }

    /// Keeps only processes whose descriptors carry the lock.
    ///
    /// folklore: the lock table names the process that took a lock. The lock belongs to its descriptors, which can be shared
    /// with another process (clone(2), CLONE_FILES) and outlive it; then the pid is free to be used again. `/proc/PID/fdinfo`
    /// lists the locks of the descriptors that the process has now. fs/locks.c (`show_fd_locks`); held by
    /// `a_lock_is_not_said_to_be_held_by_a_process_whose_descriptors_do_not_carry_it`.
    fn verify(&mut self, proc: &Proc, keys: &[LockedFile], held: &HeldLocks) {
        if !proc.has("locks") {
            return;
        }
        let bytes = self.slot.bytes();
        for pid in std::mem::take(&mut self.pids) {
            match proc.process(pid).and_then(|process| held.holds(&process, keys, &bytes)) {
                Ok(true) => {
                    self.pids.insert(pid);
                }
                Ok(false) => {
                    self.untold = true;
                    self.dropped.insert(pid);
                }
                Err(error) if vanished(&error) => {
                    self.dropped.insert(pid);
                    self.ended.insert(pid);
                }
                // The word of the lock table is all that there is.
                Err(_) => {
                    self.pids.insert(pid);
                }
            }
        }
    }

    /// Adds who holds a lock that another process took.
    fn take_keepers(&mut self, found: &[(u32, LockLine)], keys: &[LockedFile]) {
        let bytes = self.slot.bytes();
        for (keeper, line) in found {
            let Some(taker) = line.visible_pid().filter(|taker| taker != keeper) else { continue };
            if keys.iter().any(|file| line.holds(*file, bytes.start, bytes.end - bytes.start)) {
                self.keepers.insert(*keeper, taker);
                self.ended.remove(&taker);
            }
        }
    }

    /// Whether nobody is known to hold it, and somebody held it when the kernel was asked.
    fn may_be_released(&self) -> bool {
        self.unexplained() && self.pids.is_empty() && self.keepers.is_empty() && !self.dropped.is_empty()
    }

    /// Adds who held it when the kernel was asked and has released it since. `again`: the lock table, read later.
    ///
    /// folklore: a reader holds its lock for less than the time that it takes to look at its descriptors. Its lock is gone then,
    /// while a lock whose taker has ended stays in the table under that number. Seen in one look of twenty beside busy readers;
    /// held by `who_released_a_lock_meanwhile_is_its_holder_and_who_only_has_the_number_is_not`.
    fn take_released(&mut self, proc: &Proc, again: &[LockLine], keys: &[LockedFile]) {
        if !self.may_be_released() {
            return;
        }
        let bytes = self.slot.bytes();
        let held_it = |pid: &u32| {
            let mine = |line: &&LockLine| line.visible_pid() == Some(*pid);
            let still = again.iter().filter(mine).any(|line| descriptor_locks::is_on(line, keys, &bytes));
            // A busy reader may have taken it again.
            let again = || proc.process(*pid).and_then(|process| descriptor_locks::holds(&process, keys, &bytes));
            !still || again().unwrap_or(false)
        };
        let (held_it, others) = std::mem::take(&mut self.dropped).into_iter().partition(held_it);
        self.dropped = others;
        self.ended.retain(|pid| !held_it.contains(pid));
        self.pids = held_it;
    }

    fn unexplained(&self) -> bool {
        let held = matches!(self.state, LockState::Shared | LockState::Exclusive);
        held && (self.pids.is_empty() || self.untold || !self.ended.is_empty())
    }

    fn unnamed(self) -> ByteLock {
        let holder = |pid| Holder { pid: Some(pid), ..Holder::default() };
        ByteLock { state: self.state, reason: self.reason, holders: self.pids.into_iter().map(holder).collect() }
    }

    fn finish(self, proc: &Proc) -> ByteLock {
        let unseen = |taker| Holder { taken_by: Some(taker), ..Holder::default() };
        let holder = |pid| Holder { taken_by: self.keepers.get(&pid).copied(), ..holder(proc, pid) };
        let holders = self.pids.iter().copied().map(holder).chain(self.ended.iter().copied().map(unseen)).collect();
        ByteLock { state: self.state, reason: self.reason, holders }
    }
}

/// A process by name, with what is known of it.
pub(super) fn holder(proc: &Proc, pid: u32) -> Holder {
    let process = proc.process(pid).ok();
    let container = process.as_ref().and_then(container::by_cgroup);
    let start_time = process.as_ref().and_then(Process::start_time);
    Holder {
        pid: Some(pid),
        command: process.as_ref().and_then(Process::command),
        container: container.as_ref().map(runtimes::name_of),
        taken_by: None,
        start_time,
        started_at: start_time.and_then(clocks::started_at),
        process_state: process.as_ref().and_then(stopped::state),
        tracer: process.as_ref().and_then(|process| stopped::tracer(proc, process)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::linux::sys::hold;

    fn locked() -> (tempfile::NamedTempFile, File) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let locking = OpenOptions::new().read(true).write(true).open(file.path()).unwrap();
        hold(&locking, 123, false);
        hold(&locking, 121, true);
        (file, locking)
    }

    fn look(proc: &Proc, path: &std::path::Path) -> LocksView {
        let shm = Observation::seen(Arc::new(File::open(path).unwrap()));
        let none = Observation::missing("none");
        with_holders(proc, &shm, &none, &Observation::missing("none"), states(&shm, &none))
    }

    #[test]
    fn each_byte_has_its_name_and_the_locks_of_open_file_descriptions_are_traced_to_their_process() {
        let (file, _locking) = locked();
        let seen = look(&Proc::new("/proc"), file.path()).shm;
        let own = vec![std::process::id()];
        let pids = |lock: &ByteLock| lock.holders.iter().filter_map(|holder| holder.pid).collect::<Vec<_>>();
        assert_eq!((seen.checkpoint.state, pids(&seen.checkpoint)), (LockState::Exclusive, own.clone()));
        assert_eq!((seen.read[0].state, pids(&seen.read[0])), (LockState::Shared, own));
        let others = [&seen.write, &seen.recover, &seen.read[1], &seen.read[4], &seen.dead_man_switch];
        assert!(others.iter().all(|lock| lock.state == LockState::Free && lock.holders.is_empty()));
    }

    #[test]
    fn an_unseen_lock_on_nfs_is_unknown_and_on_ext4_free() {
        let of = |name| not_shown(LockSlot::Write, FileSystemKind::by_name(name));
        for name in ["nfs", "nfs4", "newfs"] {
            let (state, reason) = of(name);
            assert_eq!((state, reason.is_some()), (LockState::Unknown, true), "{name}");
        }
        for name in ["ext4", "xfs", "btrfs", "tmpfs", "f2fs", "overlay", "fuse"] {
            assert_eq!(of(name), (LockState::Free, None), "{name}");
        }
    }

    #[test]
    fn a_lock_is_not_said_to_be_held_by_a_process_whose_descriptors_do_not_carry_it() {
        use std::os::unix::fs::{MetadataExt, symlink};
        let file = tempfile::NamedTempFile::new().unwrap();
        let locking = OpenOptions::new().read(true).write(true).open(file.path()).unwrap();
        hold(&locking, 123, false);
        let metadata = file.as_file().metadata().unwrap();
        let device = device(metadata.dev());
        let lock = format!(
            "1: POSIX  ADVISORY  READ 41 {:02x}:{:02x}:{} 123 123\n",
            device.major,
            device.minor,
            metadata.ino()
        );
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("locks"), &lock).unwrap();
        for (pid, text) in [("41", String::new()), ("42", format!("lock:\t{lock}"))] {
            for folder in ["fd", "fdinfo"] {
                std::fs::create_dir_all(root.path().join(pid).join(folder)).unwrap();
            }
            symlink(file.path(), root.path().join(pid).join("fd/5")).unwrap();
            std::fs::write(root.path().join(pid).join("fdinfo/5"), text).unwrap();
        }
        let holders = |proc: &Proc| {
            let holders = look(proc, file.path()).shm.read[0].holders.clone();
            holders.iter().map(|holder| (holder.pid, holder.taken_by)).collect::<Vec<_>>()
        };
        let proc = Proc::new(root.path());
        assert_eq!(holders(&proc), [(Some(42), Some(41))]);
        std::fs::remove_dir_all(root.path().join("42")).unwrap();
        assert_eq!(holders(&proc), []);
        // Without its descriptors, the word of the lock table counts.
        std::fs::remove_dir_all(root.path().join("41/fd")).unwrap();
        std::fs::write(root.path().join("41/fd"), "").unwrap();
        assert_eq!(holders(&proc), [(Some(41), None)]);
    }

    #[test]
    fn free_locks_need_no_list() {
        use rustix::fs::inotify;
        let root = tempfile::tempdir().unwrap();
        let list = root.path().join("locks");
        std::fs::write(&list, "").unwrap();
        let opened = |path: &std::path::Path| {
            let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
            inotify::add_watch(&watch, &list, inotify::WatchFlags::OPEN).unwrap();
            let shm = Observation::seen(Arc::new(File::open(path).unwrap()));
            let proc = Proc::new(root.path());
            let _ = with_holders(&proc, &shm, &shm, &Observation::missing("none"), states(&shm, &shm));
            let mut room = [std::mem::MaybeUninit::uninit(); 4096];
            inotify::Reader::new(&watch, &mut room).next().is_ok()
        };
        let free = tempfile::NamedTempFile::new().unwrap();
        let (held, _locking) = locked();
        assert_eq!((opened(free.path()), opened(held.path())), (false, true));
    }

    #[test]
    fn who_released_a_lock_meanwhile_is_its_holder_and_who_only_has_the_number_is_not() {
        let file = LockedFile { device: crate::evidence::Device { major: 254, minor: 0 }, inode: 7 };
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("5/fd")).unwrap();
        let named = |table: &str, pid: u32| {
            std::fs::write(root.path().join("locks"), table).unwrap();
            let mut bytes = [Byte::new(LockSlot::Read4, LockState::Shared, None)];
            bytes[0].pids = BTreeSet::from([pid]);
            let proc = Proc::new(root.path());
            take_holders(&proc, &mut bytes, &[vec![file], vec![]], |_| BTreeSet::new());
            let [byte] = bytes;
            byte.pids.into_iter().collect::<Vec<u32>>()
        };
        assert_eq!(named("", 5), [5]);
        assert_eq!(named("1: POSIX  ADVISORY  READ 6 fe:00:7 127 127\n", 5), [5]);
        assert_eq!(named("1: POSIX  ADVISORY  READ 5 fe:00:7 127 127\n", 5), [0; 0]);
        // It has ended since.
        assert_eq!(named("", 6), [6]);
    }

    #[test]
    fn a_lock_that_one_reading_left_out_is_found_in_another() {
        let text = |pids: std::ops::Range<u32>| -> String {
            pids.map(|pid| format!("1: POSIX  ADVISORY  READ {pid} fe:00:7 127 128\n")).collect()
        };
        let mut texts = [text(1..99), text(2..100), text(2..99)].into_iter();
        let lines = of_readings(|| texts.next().map(String::into_bytes));
        let pids: BTreeSet<u32> = lines.iter().filter_map(LockLine::visible_pid).collect();
        assert_eq!(pids, (1..100).collect());
        let mut once = [text(1..5)].into_iter();
        assert_eq!(of_readings(|| Some(once.next().expect("a short text is read once").into_bytes())).len(), 4);
    }

    #[test]
    fn a_held_lock_without_a_visible_holder_stays_held() {
        let (file, _locking) = locked();
        let empty = tempfile::tempdir().unwrap();
        let seen = look(&Proc::new(empty.path()), file.path());
        assert_eq!((seen.shm.checkpoint.state, seen.shm.checkpoint.holders), (LockState::Exclusive, vec![]));
        assert_eq!(
            (seen.database.state, seen.database.reason.as_deref()),
            (LockState::Unknown, Some("database: none"))
        );
    }

    #[test]
    fn a_listed_lock_counts_where_the_kernel_cannot_be_asked_and_an_unlisted_one_stays_unknown() {
        let file = LockedFile { device: crate::evidence::Device { major: 254, minor: 0 }, inode: 7 };
        let line = locks::parse_line(b"1: POSIX ADVISORY READ 5 fe:00:7 127 128").unwrap();
        let unasked = |slot| Byte::ask(slot, &Observation::unsupported("gVisor"));
        let (mut listed, mut unlisted) = (unasked(LockSlot::Read4), unasked(LockSlot::Read3));
        for byte in [&mut listed, &mut unlisted] {
            byte.take_lines([(Some(5), line)].into_iter(), &[file]);
        }
        assert_eq!((listed.state, listed.reason, listed.pids), (LockState::Shared, None, BTreeSet::from([5])));
        assert_eq!((unlisted.state, unlisted.reason.as_deref()), (LockState::Unknown, Some("-shm: gVisor")));
    }
}
