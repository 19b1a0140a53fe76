//! SQLite's locks: their state, and who holds them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// State of one lock byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockState {
    /// Nobody holds it.
    Free,
    /// Held shared, by one or more.
    Shared,
    /// Held exclusively.
    Exclusive,
    /// No evidence.
    Unknown,
}

/// Somebody who holds a lock, as far as visible from here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
pub struct Holder {
    /// Process, in the PID namespace of the observer.
    pub pid: Option<u32>,
    /// `/proc/PID/comm`.
    pub command: Option<String>,
    /// Container, as docker names or ids go.
    pub container: Option<String>,
}

/// One lock byte and who holds it. Held with no holder listed means: not visible from here.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ByteLock {
    /// State.
    pub state: LockState,
    /// Why the state is unknown.
    pub reason: Option<String>,
    /// Holders visible from here.
    pub holders: Vec<Holder>,
}

impl ByteLock {
    /// A byte about which nothing is known.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { state: LockState::Unknown, reason: Some(reason.into()), holders: Vec::new() }
    }

    /// Held by anybody, as far as known.
    #[must_use]
    pub fn held(&self) -> bool {
        matches!(self.state, LockState::Shared | LockState::Exclusive)
    }
}

/// The lock bytes of a `-shm`, by name. Offsets as in wal.c: 120 WRITE, 121 CKPT, 122 RECOVER, 123..127 READ0..READ4,
/// 128 the dead-man switch of os_unix.c.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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
    /// Nothing known, for one reason.
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        let byte = || ByteLock::unknown(reason);
        Self {
            write: byte(),
            checkpoint: byte(),
            recover: byte(),
            read: [byte(), byte(), byte(), byte(), byte()],
            dead_man_switch: byte(),
        }
    }

    /// Leaves out the holders whose process is known and does not pass.
    pub fn retain_holders(&mut self, passes: impl Fn(u32) -> bool) {
        let named = [&mut self.write, &mut self.checkpoint, &mut self.recover, &mut self.dead_man_switch];
        for byte in named.into_iter().chain(&mut self.read) {
            byte.holders.retain(|holder| holder.pid.is_none_or(&passes));
        }
    }
}

/// The locks that were seen, both ways: by asking the kernel (F_OFD_GETLK) and by reading `/proc/locks`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LocksView {
    /// The `-shm`'s lock bytes.
    pub shm: ShmLocks,
    /// The database's SHARED range (510 bytes at 0x40000002): shows connections that have no `-shm`, as in exclusive mode.
    pub database: ByteLock,
}
