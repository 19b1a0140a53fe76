//! SQLite's locks: their state, and who holds them.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use super::{LockSlot, StartedAt};

/// State of one lock byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum LockState {
    /// Nobody holds it.
    Free,
    /// One or more processes hold it shared.
    Shared,
    /// One process holds it exclusively.
    Exclusive,
    /// No evidence.
    Unknown,
}

/// Somebody who holds a lock and is visible from here.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Holder {
    /// Process id in the PID namespace of the observer.
    pub pid: Option<u32>,
    /// Name of its command, from `/proc/PID/comm`.
    pub command: Option<String>,
    /// Its container, by name or id as docker shows it.
    pub container: Option<String>,
    /// The process that took the lock, if that is another one: the holder shares its descriptors, and the lock lives as long
    /// as they are open. With a null `pid`, that process has ended and the holder is not visible from here.
    #[cfg_attr(feature = "capture", serde(default))]
    pub taken_by: Option<u32>,
    /// Its start in clock ticks since boot: field 22 of `/proc/PID/stat`.
    #[cfg_attr(feature = "capture", serde(default))]
    pub start_time: Option<u64>,
    /// When it was started, in RFC 3339 (UTC): the same moment as `start_time`. Null: not known.
    #[cfg_attr(feature = "capture", serde(default))]
    pub started_at: Option<StartedAt>,
    /// Whether it runs. Null: that was not seen.
    #[cfg_attr(feature = "capture", serde(default))]
    pub process_state: Option<ProcessState>,
    /// Who traces it, if it is stopped because it is traced: only the tracer lets it go on.
    #[cfg_attr(feature = "capture", serde(default))]
    pub tracer: Option<Tracer>,
}

/// A process that traces another one, as a debugger does.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Tracer {
    /// Its process id. Null: it is not visible from here.
    pub pid: Option<u32>,
    /// Name of its command. Null: not seen.
    pub command: Option<String>,
}

/// Whether a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum ProcessState {
    /// It runs, or waits for something.
    Running,
    /// It is stopped or traced (states T and t).
    Stopped,
    /// Its cgroup is frozen, as that of a paused container.
    Frozen,
}

impl ProcessState {
    /// What to say of a process that does not go on by itself.
    #[must_use]
    pub fn kept_from_running(self) -> Option<&'static str> {
        match self {
            Self::Running => None,
            Self::Stopped => Some("stopped"),
            Self::Frozen => Some("paused"),
        }
    }
}

/// One lock byte, and who holds it. If it is held and no holder is listed, the holder is not visible from here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct ByteLock {
    /// Its state.
    pub state: LockState,
    /// Why the state is unknown.
    pub reason: Option<String>,
    /// Holders that are visible from here.
    pub holders: Vec<Holder>,
}

impl ByteLock {
    /// A lock byte about which nothing is known.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { state: LockState::Unknown, reason: Some(reason.into()), holders: Vec::new() }
    }

    /// What is known of a lock of which a bundle of an earlier version says nothing.
    #[cfg(feature = "capture")]
    fn not_recorded() -> Self {
        Self::unknown("not recorded")
    }

    /// Whether anybody is known to hold it.
    #[must_use]
    pub fn held(&self) -> bool {
        matches!(self.state, LockState::Shared | LockState::Exclusive)
    }
}

/// The lock bytes of a `-shm`, by name. Offsets as in wal.c: 120 WRITE, 121 CKPT, 122 RECOVER, 123..127 READ0..READ4,
/// 128 the dead-man switch of os_unix.c.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct ShmLocks {
    /// WRITE, byte 120.
    pub write: ByteLock,
    /// CKPT, byte 121.
    pub checkpoint: ByteLock,
    /// RECOVER, byte 122.
    pub recover: ByteLock,
    /// READ0 to READ4, bytes 123 to 127.
    pub read: [ByteLock; 5],
    /// The dead-man switch, byte 128: held shared by every connection that has the `-shm` open.
    pub dead_man_switch: ByteLock,
}

impl ShmLocks {
    /// Asks `state` for each lock, in the order of [`LockSlot::SHM`].
    pub fn of_each(mut state: impl FnMut(LockSlot) -> ByteLock) -> Self {
        // Fields of a struct expression are evaluated in the order in which they are written.
        Self {
            write: state(LockSlot::Write),
            checkpoint: state(LockSlot::Checkpoint),
            recover: state(LockSlot::Recover),
            read: LockSlot::READ.map(&mut state),
            dead_man_switch: state(LockSlot::DeadManSwitch),
        }
    }

    /// Locks about which nothing is known, all for one reason.
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        Self::of_each(|_| ByteLock::unknown(reason))
    }

    /// The locks with their names, in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (LockSlot, &ByteLock)> {
        let before = [&self.write, &self.checkpoint, &self.recover];
        LockSlot::SHM.into_iter().zip(before.into_iter().chain(&self.read).chain([&self.dead_man_switch]))
    }

    /// The locks with their names, in the order of their bytes, so that they can be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (LockSlot, &mut ByteLock)> {
        let before = [&mut self.write, &mut self.checkpoint, &mut self.recover];
        LockSlot::SHM.into_iter().zip(before.into_iter().chain(&mut self.read).chain([&mut self.dead_man_switch]))
    }

    /// Removes the holders with a known process that does not pass. Holders without a known process stay.
    pub fn retain_holders(&mut self, passes: impl Fn(u32) -> bool) {
        for (_, byte) in self.iter_mut() {
            byte.holders.retain(|holder| holder.pid.is_none_or(&passes));
        }
    }
}

/// The locks that were seen: by asking the kernel (F_OFD_GETLK), and by reading `/proc/locks`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct LocksView {
    /// The lock bytes of the `-shm`.
    pub shm: ShmLocks,
    /// The database's SHARED range (510 bytes at 0x40000002). It shows connections without a `-shm`, as in exclusive
    /// locking mode.
    pub database: ByteLock,
    /// The database's PENDING byte.
    #[cfg_attr(feature = "capture", serde(default = "ByteLock::not_recorded"))]
    pub pending: ByteLock,
    /// The database's RESERVED byte.
    #[cfg_attr(feature = "capture", serde(default = "ByteLock::not_recorded"))]
    pub reserved: ByteLock,
}

impl LocksView {
    /// The locks of the `-shm` and the SHARED range of the database. Nothing is known of PENDING and RESERVED.
    #[must_use]
    pub fn new(shm: ShmLocks, database: ByteLock) -> Self {
        let not_asked = || ByteLock::unknown("not asked");
        Self { shm, database, pending: not_asked(), reserved: not_asked() }
    }

    /// Asks `state` for each lock, in the order of [`LockSlot::SHM`] and then of [`LockSlot::DATABASE`].
    pub fn of_each(mut state: impl FnMut(LockSlot) -> ByteLock) -> Self {
        let shm = ShmLocks::of_each(&mut state);
        let [database, reserved, pending] = LockSlot::DATABASE.map(&mut state);
        Self { shm, database, pending, reserved }
    }

    /// The locks with their names, in the order of [`LocksView::of_each`].
    pub fn iter(&self) -> impl Iterator<Item = (LockSlot, &ByteLock)> {
        self.shm.iter().chain(self.of_database())
    }

    /// The locks of the database itself, in the order of [`LockSlot::DATABASE`].
    pub fn of_database(&self) -> impl Iterator<Item = (LockSlot, &ByteLock)> {
        LockSlot::DATABASE.into_iter().zip([&self.database, &self.reserved, &self.pending])
    }

    /// Whether somebody is known to write to the database itself, or to be about to: in rollback mode, who has a journal keeps
    /// RESERVED or more.
    #[must_use]
    pub fn writes_to_database(&self) -> bool {
        self.reserved.held() || self.pending.held() || self.database.state == LockState::Exclusive
    }

    /// The lock with this name.
    #[must_use]
    pub fn get(&self, slot: LockSlot) -> &ByteLock {
        let [read0, read1, read2, read3, read4] = &self.shm.read;
        match slot {
            LockSlot::Write => &self.shm.write,
            LockSlot::Checkpoint => &self.shm.checkpoint,
            LockSlot::Recover => &self.shm.recover,
            LockSlot::Read0 => read0,
            LockSlot::Read1 => read1,
            LockSlot::Read2 => read2,
            LockSlot::Read3 => read3,
            LockSlot::Read4 => read4,
            LockSlot::DeadManSwitch => &self.shm.dead_man_switch,
            LockSlot::Database => &self.database,
            LockSlot::Pending => &self.pending,
            LockSlot::Reserved => &self.reserved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lock_is_found_under_its_name() {
        let named = |slot: LockSlot| ByteLock::unknown(slot.name());
        let locks = LocksView::of_each(named);
        assert!(locks.iter().all(|(slot, lock)| lock.reason.as_deref() == Some(slot.name())));
        for slot in LockSlot::SHM.into_iter().chain(LockSlot::DATABASE) {
            assert_eq!(locks.get(slot).reason.as_deref(), Some(slot.name()));
        }
        assert!(locks.shm.iter().all(|(slot, lock)| lock.reason.as_deref() == Some(slot.name())));
        assert!(locks.shm.clone().iter_mut().all(|(slot, lock)| lock.reason.as_deref() == Some(slot.name())));
    }
}
