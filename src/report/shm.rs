//! The `-shm` in the JSON contract.

use schemars::JsonSchema;
use serde::Serialize;

use crate::evidence::{ByteLock, Holder, LockSlot, LockState, ShmLocks};
use crate::format::shm::{IndexHead, IndexHeader};
use crate::look::marks_and_locks::{self, read_marks};
use crate::number::{Checksum, FrameNumber, Salts};

/// Bytes of a block of the wal-index.
const BLOCK: u64 = 32 * 1024;

/// A wal-index: both header copies, checkpoint info, locks.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Shm {
    /// Byte order, `little` or `big`. Null: neither header copy shows it.
    pub byte_order: Option<&'static str>,
    /// Copy 0 and copy 1.
    pub headers: [Header; 2],
    /// Whether the 48 bytes of both copies are equal.
    pub headers_agree: bool,
    /// Number of blocks of 32 KiB; a partial block counts.
    pub blocks: u64,
    /// The checkpoint info.
    pub checkpoint: Checkpoint,
    /// The lock bytes by name.
    pub locks: Vec<Lock>,
}

/// One copy of the wal-index header.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Header {
    /// `iVersion`.
    pub version: u32,
    /// `unused`.
    pub unused: u32,
    /// `iChange`.
    pub change_counter: u32,
    /// `isInit`.
    pub initialized: bool,
    /// `bigEndCksum`.
    pub big_endian_checksums: bool,
    /// `szPage`, decoded, in bytes; 0 after a recovery without a commit.
    pub page_size: u32,
    /// `mxFrame`.
    pub mx_frame: u32,
    /// `nPage`.
    pub database_pages: u32,
    /// `aFrameCksum`. It means nothing while `mx_frame` is 0.
    pub frame_checksum: [u32; 2],
    /// Salt-1, as the WAL's big-endian number.
    pub salt1: u32,
    /// Salt-2, as the WAL's big-endian number.
    pub salt2: u32,
    /// `aCksum`.
    pub checksum: [u32; 2],
    /// Whether `checksum` is right.
    pub checksum_ok: bool,
}

/// `WalCkptInfo`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Checkpoint {
    /// `nBackfill`.
    pub backfilled: u32,
    /// `nBackfillAttempted`.
    pub backfill_attempted: u32,
    /// `notUsed0`.
    pub unused: u32,
    /// The eight lock bytes. Only locks on these bytes have a meaning; their values have none.
    pub lock_bytes: [u8; 8],
    /// `aReadMark`, with the locks of the slots.
    pub read_marks: Vec<ReadMark>,
}

/// One read mark.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ReadMark {
    /// The number of the slot, 0 to 4.
    pub slot: u8,
    /// The frame that it names; null if it is unused.
    pub mark: Option<u32>,
    /// The state of the slot's lock.
    pub lock: LockState,
    /// Who holds it, as far as visible.
    pub holders: Vec<Holder>,
}

/// One lock byte.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Lock {
    /// The name: `write`, `checkpoint`, `recover`, `read0` to `read4`, `dead_man_switch`; of the database itself `database`
    /// (its SHARED range), `reserved` and `pending`.
    #[schemars(with = "String")]
    pub name: LockSlot,
    /// Its state.
    pub lock: LockState,
    /// Who holds it, as far as visible.
    pub holders: Vec<Holder>,
}

impl Shm {
    /// Makes the document from the head, the file's size in bytes, and the locks if they were seen.
    #[must_use]
    pub fn new(head: &IndexHead, size: u64, locks: Option<&ShmLocks>) -> Self {
        let unknown = ShmLocks::unknown("not seen");
        let locks = locks.unwrap_or(&unknown);
        Self {
            byte_order: head.byte_order_known.then(|| head.byte_order.name()),
            headers: head.headers.map(Header::from),
            headers_agree: head.headers_agree,
            blocks: size.div_ceil(BLOCK),
            checkpoint: Checkpoint::new(head, locks),
            locks: locks.iter().map(Lock::new).collect(),
        }
    }
}

impl Lock {
    /// Whether anybody holds it.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.lock, LockState::Shared | LockState::Exclusive)
    }

    /// Makes the document of a lock that was seen.
    pub(super) fn new((name, byte): (LockSlot, &ByteLock)) -> Self {
        Self { name, lock: byte.state, holders: byte.holders.clone() }
    }
}

impl Checkpoint {
    fn new(head: &IndexHead, locks: &ShmLocks) -> Self {
        let info = &head.checkpoint;
        Self {
            backfilled: info.backfilled.saturating_u32(),
            backfill_attempted: info.backfill_attempted.saturating_u32(),
            unused: info.unused,
            lock_bytes: info.lock_bytes,
            read_marks: (0..).zip(read_marks(head, Some(locks))).map(ReadMark::from).collect(),
        }
    }
}

impl From<(u8, marks_and_locks::ReadMark)> for ReadMark {
    fn from((slot, seen): (u8, marks_and_locks::ReadMark)) -> Self {
        Self { slot, mark: seen.mark.map(FrameNumber::saturating_u32), lock: seen.lock, holders: seen.holders }
    }
}

impl From<IndexHeader> for Header {
    fn from(header: IndexHeader) -> Self {
        let (Salts([salt1, salt2]), Checksum(frame_checksum)) = (header.salts, header.frame_checksum);
        Self {
            version: header.version,
            unused: header.unused,
            change_counter: header.change_counter,
            initialized: header.initialized != 0,
            big_endian_checksums: header.big_endian_checksums != 0,
            page_size: header.page_size,
            mx_frame: header.mx_frame.saturating_u32(),
            database_pages: header.database_pages,
            frame_checksum,
            salt1,
            salt2,
            checksum: header.checksum.0,
            checksum_ok: header.checksum_ok,
        }
    }
}
