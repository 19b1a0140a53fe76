//! What the checkpoint is doing and who holds it up, by wal.c's rules. Locks are an argument.

use super::marks_and_locks::{ReadMark, read_marks};
use crate::evidence::{ByteLock, Holder, LockSlot, LockState, LocksView, ShmLocks};
use crate::format::shm::{IndexHead, IndexHeader};
use crate::number::FrameNumber;

use crate::wal::{EndReason, WalFacts};

/// What the checkpoint is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckpointState {
    /// No `-wal`, or not a usable one.
    NoWal,
    /// Nothing committed in it, or nothing that the wal-index shows yet.
    Empty,
    /// Frames wait and nothing stands in the way.
    Pending,
    /// Frames wait and a reader stands in the way.
    Blocked,
    /// All frames are in the database.
    Complete,
    /// The next generation has begun in the wal-index, no frame of it is committed yet.
    Restarted,
    /// Somebody holds CKPT, or has the database for himself while more was attempted than done. How far it is cannot be
    /// seen: `nBackfill` moves when it ends.
    InProgress,
    /// More was attempted than done, and nobody is seen to hold CKPT.
    Interrupted,
    /// Cannot be told.
    Unknown,
}

/// A lock that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// Which. `Database`: the whole of it is locked exclusively.
    pub lock: LockSlot,
    /// The mark that a reader's lock protects.
    pub mark: Option<FrameNumber>,
    /// Who.
    pub holders: Vec<Holder>,
}

/// The checkpoint, diagnosed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFacts {
    /// State.
    pub state: CheckpointState,
    /// Frames up to the last commit that counts: live the `-shm`'s `mxFrame`, at rest the WAL's last commit.
    pub committed: u64,
    /// `nBackfill`; 0 where no trustworthy `-shm` says more.
    pub backfilled: u64,
    /// `committed - backfilled`.
    pub pending: u64,
    /// How far a checkpoint may copy now; `None` without lock evidence.
    pub safe_to: Option<u64>,
    /// Whether the next writer could restart the WAL once all is copied; `None` without lock evidence, when nothing is
    /// committed, and while the only slot in the way may be the present writer's own.
    pub can_restart: Option<bool>,
    /// What stands in the way of copying, or, when all is copied, of restarting the WAL.
    pub blocked_by: Vec<Blocker>,
    /// What this was told from.
    pub basis: Basis,
}

/// What a diagnosis was told from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Basis {
    /// A wal-index that somebody has open.
    Live {
        /// `nBackfillAttempted`: how far a checkpoint meant to copy.
        attempted: FrameNumber,
        /// Readers that keep the WAL from restarting once all is copied.
        against_restart: Vec<Blocker>,
        /// Whether the locks of all slots that could do so were seen.
        slots_seen: bool,
    },
    /// A wal-index that somebody has open and that cannot be judged: only the WAL is known.
    Doubted(Doubt),
    /// The WAL alone. The database is open and its `-shm` is not.
    WithoutIndex {
        /// Who has it open.
        holders: Vec<Holder>,
    },
    /// The WAL. Nobody is known to have the `-shm` open.
    AtRest {
        /// `nBackfillAttempted` of a leftover `-shm` that belongs to this WAL.
        attempted: Option<FrameNumber>,
        /// Whether the dead-man switch was seen to be free.
        seen: bool,
    },
    /// The WAL alone: the files were replaced while they were read.
    Replaced,
}

/// Diagnoses. `shm` is `None` without a readable `-shm`; `locks` is `None` for files at rest or without evidence.
///
/// While somebody has the `-shm` open, its `mxFrame` is the truth. When nobody has, or nobody can know, the WAL's last
/// commit is, and an `nBackfill` counts only if that `-shm` belongs to this WAL to the frame.
#[must_use]
pub fn diagnose(wal: &WalFacts, shm: Option<&IndexHead>, locks: Option<&LocksView>) -> CheckpointFacts {
    match (locks, openness(locks)) {
        (Some(LocksView { shm: locks, database }), Openness::Live) => match live_index(wal, shm, locks) {
            Ok((shm, header)) => live(wal, shm, header, locks, database),
            Err(doubt) => doubted(wal, locks, doubt),
        },
        (Some(LocksView { database, .. }), Openness::WithoutIndex) => without_index(wal, database),
        (_, openness) => at_rest(wal, shm, openness),
    }
}

/// The checkpoint of one look; of files that were replaced while they were read, nothing is said but what stood in the
/// WAL.
#[must_use]
pub fn of_look(wal: &WalFacts, shm: Option<&IndexHead>, locks: Option<&LocksView>, replaced: bool) -> CheckpointFacts {
    if replaced { self::replaced(wal) } else { diagnose(wal, shm, locks) }
}

/// What can be said of files that were replaced while they were read: nothing but what stood in the WAL.
fn replaced(wal: &WalFacts) -> CheckpointFacts {
    unknown(wal, Vec::new(), Basis::Replaced)
}

/// Whether somebody has the `-shm` open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Openness {
    /// The dead-man switch or another lock is held.
    Live,
    /// The dead-man switch is free, but the database is open.
    WithoutIndex,
    /// The dead-man switch is free, and the database is not seen to be open.
    AtRest,
    /// No evidence.
    Unknown,
}

fn openness(locks: Option<&LocksView>) -> Openness {
    let Some(LocksView { shm: locks, database }) = locks else { return Openness::Unknown };
    let held = [&locks.write, &locks.checkpoint, &locks.recover, &locks.dead_man_switch];
    if held.into_iter().chain(&locks.read).any(ByteLock::held) {
        Openness::Live
    } else if locks.dead_man_switch.state == LockState::Free {
        if database.held() { Openness::WithoutIndex } else { Openness::AtRest }
    } else {
        Openness::Unknown
    }
}

/// Why a wal-index that somebody has open cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// Somebody is recovering it.
    Recovering,
    /// Its head could not be read.
    Unreadable,
    /// The two copies of its header differ, or their checksum is wrong.
    Torn,
    /// Its header is right and of another version.
    OtherVersion,
    /// It names other salts than the WAL has.
    OtherGeneration,
    /// The WAL does not have the frames that the wal-index counts: it was cut short.
    Truncated,
    /// `nBackfill` is larger than `mxFrame`.
    BackfillBeyondEnd,
}

/// The live wal-index and its header, if they can be believed.
fn live_index<'a>(
    wal: &WalFacts,
    shm: Option<&'a IndexHead>,
    locks: &ShmLocks,
) -> Result<(&'a IndexHead, &'a IndexHeader), Doubt> {
    // Recovery holds RECOVER exclusively; a reader that looks whether one is under way takes it shared for a moment.
    if locks.recover.state == LockState::Exclusive {
        return Err(Doubt::Recovering);
    }
    let shm = shm.ok_or(Doubt::Unreadable)?;
    let torn = if shm.of_other_version().is_some() { Doubt::OtherVersion } else { Doubt::Torn };
    let header = shm.trusted().ok_or(torn)?;
    let emptied = wal.emptied_behind(shm);
    if !emptied && wal.cut_short_of(header) {
        return Err(Doubt::Truncated);
    }
    if !emptied && header.mx_frame > 0 && wal.header.map(|wal| wal.salts) != Some(header.salts) {
        return Err(Doubt::OtherGeneration);
    }
    if shm.checkpoint.backfilled > header.mx_frame {
        return Err(Doubt::BackfillBeyondEnd);
    }
    Ok((shm, header))
}

/// What is said where the wal-index cannot be judged.
fn doubted(wal: &WalFacts, locks: &ShmLocks, doubt: Doubt) -> CheckpointFacts {
    let recovering = (doubt == Doubt::Recovering).then(|| byte_blocker(LockSlot::Recover, &locks.recover));
    unknown(wal, recovering.into_iter().collect(), Basis::Doubted(doubt))
}

/// Only the WAL is known.
fn unknown(wal: &WalFacts, blocked_by: Vec<Blocker>, basis: Basis) -> CheckpointFacts {
    let committed = wal.frames.committed;
    CheckpointFacts {
        state: CheckpointState::Unknown,
        committed,
        backfilled: 0,
        pending: committed,
        safe_to: None,
        can_restart: None,
        blocked_by,
        basis,
    }
}

fn live(
    wal: &WalFacts,
    shm: &IndexHead,
    header: &IndexHeader,
    locks: &ShmLocks,
    database: &ByteLock,
) -> CheckpointFacts {
    let committed = u64::from(header.mx_frame);
    let backfilled = u64::from(shm.checkpoint.backfilled);
    let pending = committed - backfilled;
    let readers = Readers { marks: read_marks(shm, Some(locks)), mx_frame: header.mx_frame, locks };
    let checkpointing = locks.checkpoint.held();
    let in_the_way = if pending > 0 { readers.limiting_copy() } else { Vec::new() };
    let state = if checkpointing {
        CheckpointState::InProgress
    } else if committed == 0 {
        nothing_committed(wal, Some(header))
    } else if pending == 0 {
        CheckpointState::Complete
    } else if !in_the_way.is_empty() {
        CheckpointState::Blocked
    } else if attempted_more(wal, shm, header) && database.state == LockState::Exclusive {
        CheckpointState::InProgress
    } else if attempted_more(wal, shm, header) && locks.checkpoint.state == LockState::Free {
        CheckpointState::Interrupted
    } else {
        CheckpointState::Pending
    };
    let alone = state == CheckpointState::InProgress && !checkpointing;
    let against_restart = if committed > 0 { readers.against_restart() } else { Vec::new() };
    let mut blocked_by: Vec<Blocker> = Vec::new();
    blocked_by.extend(checkpointing.then(|| byte_blocker(LockSlot::Checkpoint, &locks.checkpoint)));
    blocked_by.extend(alone.then(|| byte_blocker(LockSlot::Database, database)));
    blocked_by.extend(if pending > 0 { &in_the_way } else { &against_restart }.iter().map(|mark| slot_blocker(mark)));
    CheckpointFacts {
        state,
        committed,
        backfilled,
        pending,
        safe_to: readers.safe_to(backfilled),
        can_restart: if committed > 0 { readers.can_restart() } else { None },
        blocked_by,
        basis: Basis::Live {
            attempted: shm.checkpoint.backfill_attempted,
            against_restart: against_restart.into_iter().map(slot_blocker).collect(),
            slots_seen: readers.known_for_restart(),
        },
    }
}

/// Somebody has the database open, and the `-shm` is not part of it.
///
/// folklore: in exclusive locking mode that was entered before the database was read, the wal-index is in the memory of
/// that one process, and a left-over `-shm` stays as it was (wal.c, `WAL_HEAPMEMORY_MODE`). Between taking the lock on
/// the database and the one on the wal-index an ordinary opener looks the same for a moment. Held by the campaign.
fn without_index(wal: &WalFacts, database: &ByteLock) -> CheckpointFacts {
    let committed = wal.frames.committed;
    CheckpointFacts {
        state: if committed == 0 { nothing_committed(wal, None) } else { CheckpointState::Pending },
        committed,
        backfilled: 0,
        pending: committed,
        safe_to: None,
        can_restart: None,
        blocked_by: Vec::new(),
        basis: Basis::WithoutIndex { holders: database.holders.clone() },
    }
}

fn at_rest(wal: &WalFacts, shm: Option<&IndexHead>, openness: Openness) -> CheckpointFacts {
    let committed = wal.frames.committed;
    let leftover = shm.and_then(|shm| Some((shm, belonging(wal, shm)?)));
    let backfilled = leftover.map_or(0, |(shm, _)| u64::from(shm.checkpoint.backfilled));
    let pending = committed - backfilled;
    let state = if committed == 0 {
        nothing_committed(wal, None)
    } else if pending == 0 {
        CheckpointState::Complete
    } else if leftover.is_some_and(|(shm, header)| attempted_more(wal, shm, header)) {
        CheckpointState::Interrupted
    } else {
        CheckpointState::Pending
    };
    let seen = openness == Openness::AtRest;
    CheckpointFacts {
        state,
        committed,
        backfilled,
        pending,
        safe_to: seen.then_some(committed),
        can_restart: (seen && committed > 0).then_some(true),
        blocked_by: Vec::new(),
        basis: Basis::AtRest { attempted: leftover.map(|(shm, _)| shm.checkpoint.backfill_attempted), seen },
    }
}

/// The header of a `-shm` that nobody is known to have open, if it speaks of this WAL: same generation, same last
/// commit. Else its `nBackfill` says nothing; the first opener recovers and starts from 0 in any case.
fn belonging<'a>(wal: &WalFacts, shm: &'a IndexHead) -> Option<&'a IndexHeader> {
    let header = shm.trusted()?;
    let same = wal.header?.salts == header.salts
        && wal.frames.committed == u64::from(header.mx_frame)
        && shm.checkpoint.backfilled <= header.mx_frame;
    same.then_some(header)
}

/// The state when no frame counts.
fn nothing_committed(wal: &WalFacts, live: Option<&IndexHeader>) -> CheckpointState {
    match wal.end_reason {
        EndReason::NoFile
        | EndReason::BadMagic
        | EndReason::BadPageSize
        | EndReason::BadHeaderChecksum
        | EndReason::UnsupportedVersion => CheckpointState::NoWal,
        // New salts stand in the wal-index before the first frame of the new generation takes the WAL's header along;
        // with that frame, the frames behind it become stale.
        _ if live.is_some_and(|live| wal.left_behind_by(live)) => CheckpointState::Restarted,
        // A commit of the new generation that the wal-index does not show yet.
        _ if wal.frames.committed > 0 => CheckpointState::Empty,
        _ if wal.frames.stale > 0 => CheckpointState::Restarted,
        _ => CheckpointState::Empty,
    }
}

/// Whether a checkpoint surely began to copy more than it recorded: it is at work, or was killed or failed.
///
/// folklore: not every checkpoint at work holds CKPT. The last connection to close, and one in exclusive locking mode,
/// have the database locked exclusively and take no lock of the wal-index (sqlite3WalClose checkpoints in exclusive
/// mode). Held by `the_last_checkpoint_of_a_connection_that_closes_is_at_work`.
///
/// folklore: recovery sets `nBackfillAttempted` to `mxFrame` and `nBackfill` to 0 (walIndexRecover), as a killed
/// checkpoint leaves them. But recovery also sets `iChange` to 0, and each transaction counts it up: it cannot count
/// more transactions than there are frames behind the recovered ones, and not as many as the WAL has commits. Where the
/// counter leaves both open, this says no. Held by `a_recovery_is_not_an_interrupted_checkpoint`.
fn attempted_more(wal: &WalFacts, shm: &IndexHead, header: &IndexHeader) -> bool {
    let info = &shm.checkpoint;
    if info.backfill_attempted <= info.backfilled {
        return false;
    }
    let behind = header.mx_frame.frames_after(info.backfill_attempted);
    let changes = u64::from(header.change_counter);
    let perhaps_recovered = info.backfilled == FrameNumber::NONE && changes <= behind && changes < wal.commits;
    !perhaps_recovered
}

/// The read marks of a live wal-index.
struct Readers<'a> {
    marks: Vec<ReadMark>,
    mx_frame: FrameNumber,
    locks: &'a ShmLocks,
}

impl Readers<'_> {
    /// Whether a slot is held by a reader. Exclusively it is held by nobody who reads: a checkpoint takes READ0 so while it
    /// copies and the others to raise their marks, a reader for the moment in which it raises the mark that it is going to
    /// use, a writer to restart the WAL.
    fn held(mark: &ReadMark) -> bool {
        mark.lock == LockState::Shared
    }

    /// Whether a held slot keeps frames from being copied: READ0 all of them, the others those behind their mark.
    fn limits(&self, mark: &ReadMark) -> bool {
        mark.slot == LockSlot::Read0 || mark.mark.is_some_and(|mark| mark < self.mx_frame)
    }

    fn limiting_copy(&self) -> Vec<&ReadMark> {
        self.marks.iter().filter(|mark| Self::held(mark) && self.limits(mark)).collect()
    }

    /// How far a checkpoint may copy (walCheckpoint's `mxSafeFrame`). `None` when a slot that matters was not seen.
    fn safe_to(&self, backfilled: u64) -> Option<u64> {
        if self.marks.iter().any(|mark| mark.lock == LockState::Unknown && self.limits(mark)) {
            return None;
        }
        let limiting = self.limiting_copy();
        if limiting.iter().any(|mark| mark.slot == LockSlot::Read0) {
            return Some(backfilled);
        }
        let smallest = limiting.iter().filter_map(|mark| mark.mark).min().unwrap_or(self.mx_frame);
        Some(backfilled.max(smallest.into()))
    }

    /// READ1 to READ4: walRestartLog needs all of them. READ0 readers ignore the WAL and may stay.
    fn for_restart(&self) -> impl Iterator<Item = &ReadMark> {
        self.marks.iter().filter(|mark| mark.slot != LockSlot::Read0)
    }

    fn known_for_restart(&self) -> bool {
        self.for_restart().all(|mark| mark.lock != LockState::Unknown)
    }

    fn against_restart(&self) -> Vec<&ReadMark> {
        self.for_restart().filter(|mark| Self::held(mark) && !self.is_writers_own(mark)).collect()
    }

    /// `None` when a slot was not seen, and when the only slot in the way may be the writer's own.
    ///
    /// folklore: the locks of all connections of one process on one slot are one lock (unixShmLock), so that a reader
    /// beside the writer in its process does not show. Seen with two connections in one process; held by
    /// `a_writers_own_slot_may_hide_a_reader_of_its_process` and by the campaign.
    fn can_restart(&self) -> Option<bool> {
        if !self.known_for_restart() {
            None
        } else if !self.against_restart().is_empty() {
            Some(false)
        } else {
            (!self.for_restart().any(Self::held)).then_some(true)
        }
    }

    /// A writer holds the slot of the snapshot that it writes upon; it ends with the write and is no reader in the way.
    fn is_writers_own(&self, mark: &ReadMark) -> bool {
        let writers: Vec<u32> = self.locks.write.holders.iter().filter_map(|holder| holder.pid).collect();
        self.locks.write.held()
            && mark.mark == Some(self.mx_frame)
            && !mark.holders.is_empty()
            && mark.holders.iter().all(|holder| holder.pid.is_some_and(|pid| writers.contains(&pid)))
    }
}

fn slot_blocker(mark: &ReadMark) -> Blocker {
    Blocker { lock: mark.slot, mark: mark.mark, holders: mark.holders.clone() }
}

fn byte_blocker(lock: LockSlot, byte: &ByteLock) -> Blocker {
    Blocker { lock, mark: None, holders: byte.holders.clone() }
}
