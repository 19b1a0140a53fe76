//! The names and places of SQLite's locks.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

/// A lock that shows who uses a database: a byte of the `-shm`, or bytes of the database itself.
///
/// The bytes are those of wal.c (`WALINDEX_LOCK_OFFSET`, `SQLITE_SHM_NLOCK`) and os_unix.c (`UNIX_SHM_BASE`,
/// `UNIX_SHM_DMS`, `PENDING_BYTE`, `RESERVED_BYTE`, `SHARED_FIRST`, `SHARED_SIZE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum LockSlot {
    /// WRITE, byte 120 of the `-shm`: a writer holds it.
    Write,
    /// CKPT, byte 121: a checkpoint holds it.
    Checkpoint,
    /// RECOVER, byte 122: a recovery holds it exclusively.
    Recover,
    /// READ0, byte 123: its readers use only the database, and no frame of the WAL.
    Read0,
    /// READ1, byte 124.
    Read1,
    /// READ2, byte 125.
    Read2,
    /// READ3, byte 126.
    Read3,
    /// READ4, byte 127.
    Read4,
    /// The dead-man switch, byte 128: every connection that has the `-shm` open holds it shared.
    DeadManSwitch,
    /// The database's SHARED range, 510 bytes. It shows connections without a `-shm`, as in exclusive locking mode.
    Database,
    /// PENDING, the byte at 2^30 of the database: in rollback mode a writer that waits for the last readers holds it.
    Pending,
    /// RESERVED, the byte after PENDING: in rollback mode the one writer holds it.
    Reserved,
}

/// The error for a text that is not the name of a lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no lock {0:?}")]
pub struct NoSuchLock(String);

impl LockSlot {
    /// The locks of a `-shm`, in the order of their bytes.
    pub const SHM: [Self; 9] = [
        Self::Write,
        Self::Checkpoint,
        Self::Recover,
        Self::Read0,
        Self::Read1,
        Self::Read2,
        Self::Read3,
        Self::Read4,
        Self::DeadManSwitch,
    ];
    /// The locks of the database itself, in the order in which a writer in rollback mode takes them.
    pub const DATABASE: [Self; 3] = [Self::Database, Self::Reserved, Self::Pending];
    /// The locks of the readers, by the number of their read mark.
    pub const READ: [Self; 5] = [Self::Read0, Self::Read1, Self::Read2, Self::Read3, Self::Read4];

    /// The lock of the read mark with this number; `None` from 5 on.
    #[must_use]
    pub fn read(mark: u8) -> Option<Self> {
        Self::READ.get(usize::from(mark)).copied()
    }

    /// The number of the read mark that this lock protects.
    #[must_use]
    pub fn read_mark(self) -> Option<u8> {
        (0..).zip(Self::READ).find(|(_, slot)| *slot == self).map(|(mark, _)| mark)
    }

    /// Whether it is a lock of the database itself, and not of the `-shm`.
    #[must_use]
    pub const fn is_of_database(self) -> bool {
        matches!(self, Self::Database | Self::Pending | Self::Reserved)
    }

    /// Its name in JSON: `write`, `checkpoint`, `recover`, `read0` to `read4`, `dead_man_switch`, `database`, `pending`,
    /// `reserved`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Checkpoint => "checkpoint",
            Self::Recover => "recover",
            Self::Read0 => "read0",
            Self::Read1 => "read1",
            Self::Read2 => "read2",
            Self::Read3 => "read3",
            Self::Read4 => "read4",
            Self::DeadManSwitch => "dead_man_switch",
            Self::Database => "database",
            Self::Pending => "pending",
            Self::Reserved => "reserved",
        }
    }

    /// Its bytes, in the `-shm` or, for those of [`LockSlot::DATABASE`], in the database.
    #[must_use]
    pub const fn bytes(self) -> Range<u64> {
        let first = match self {
            Self::Write => 120,
            Self::Checkpoint => 121,
            Self::Recover => 122,
            Self::Read0 => 123,
            Self::Read1 => 124,
            Self::Read2 => 125,
            Self::Read3 => 126,
            Self::Read4 => 127,
            Self::DeadManSwitch => 128,
            Self::Database => return 0x4000_0002..0x4000_0002 + 510,
            Self::Pending => 0x4000_0000,
            Self::Reserved => 0x4000_0001,
        };
        first..first + 1
    }
}

impl fmt::Display for LockSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LockSlot {
    type Err = NoSuchLock;

    fn from_str(name: &str) -> Result<Self, NoSuchLock> {
        let mut all = Self::SHM.into_iter().chain(Self::DATABASE);
        all.find(|slot| slot.name() == name).ok_or_else(|| NoSuchLock(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_is_what_json_says() {
        for slot in LockSlot::SHM.into_iter().chain(LockSlot::DATABASE) {
            assert_eq!(slot.name().parse(), Ok(slot));
            #[cfg(feature = "capture")]
            assert_eq!(serde_json::to_value(slot).unwrap(), slot.name());
        }
        assert!("read5".parse::<LockSlot>().is_err());
    }

    #[test]
    fn the_locks_of_a_shm_follow_each_other_byte_by_byte() {
        for (at, slot) in (120..).zip(LockSlot::SHM) {
            assert_eq!(slot.bytes(), at..at + 1, "{slot}");
        }
    }

    #[test]
    fn a_read_mark_has_one_lock() {
        for mark in 0..5 {
            assert_eq!(LockSlot::read(mark).and_then(LockSlot::read_mark), Some(mark));
        }
        assert_eq!((LockSlot::read(5), LockSlot::Write.read_mark()), (None, None));
    }
}
