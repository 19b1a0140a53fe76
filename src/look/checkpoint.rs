//! What the checkpoint is doing and which reader blocks it, by the rules of wal.c. The locks are an argument.

use super::marks_and_locks::{ReadMark, read_marks};
use crate::evidence::{ByteLock, Holder, LockSlot, LockState, LocksView, ShmLocks};
use crate::format::shm::{IndexHead, IndexHeader};
use crate::number::FrameNumber;

use crate::wal::{EndReason, WalFacts};

/// What the checkpoint is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckpointState {
    /// There is no `-wal`, or it cannot be used.
    NoWal,
    /// Nothing is committed in the WAL, or nothing that the wal-index shows yet.
    Empty,
    /// Frames wait, and nothing blocks the checkpoint.
    Pending,
    /// Frames wait, and a reader blocks the checkpoint, or somebody has the whole database locked exclusively.
    Blocked,
    /// All frames are in the database.
    Complete,
    /// The next generation has begun in the wal-index, but no frame of it is committed yet.
    Restarted,
    /// A checkpoint is at work: somebody holds CKPT, or has locked the database exclusively while more was attempted
    /// than done. Its progress is not visible, because `nBackfill` is written at the end.
    InProgress,
    /// A checkpoint was interrupted: more was attempted than done, and nobody is seen to hold CKPT.
    Interrupted,
    /// This cannot be determined.
    Unknown,
}

/// A lock that blocks the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocker {
    /// The lock. `Database` means that the whole database file is locked exclusively.
    pub lock: LockSlot,
    /// The read mark that a reader's lock protects.
    pub mark: Option<FrameNumber>,
    /// Who holds it.
    pub holders: Vec<Holder>,
}

/// Whether the next writer can begin the WAL anew, once all of it is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Restart {
    /// Nobody is in its way.
    Possible,
    /// A reader is in its way.
    HeldUp,
    /// Cannot be told: nothing is committed, the locks were not seen, or the only slot in the way may be the present
    /// writer's own.
    NotKnown,
}

impl Restart {
    /// Whether it can; `None` where that cannot be told.
    #[must_use]
    pub fn possible(self) -> Option<bool> {
        match self {
            Self::Possible => Some(true),
            Self::HeldUp => Some(false),
            Self::NotKnown => None,
        }
    }
}

/// What is known of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointFacts {
    /// Its state.
    pub state: CheckpointState,
    /// Frames up to the last commit that counts. That is `mxFrame` of a `-shm` in use, and at rest the last commit of
    /// the WAL.
    pub committed: u64,
    /// `nBackfill`; 0 if no `-shm` can be trusted to say more.
    pub backfilled: u64,
    /// `committed - backfilled`.
    pub pending: u64,
    /// Up to which frame a checkpoint may copy now; `None` without evidence of locks.
    pub safe_to: Option<u64>,
    /// Whether the next writer could restart the WAL after everything is copied.
    pub restart: Restart,
    /// What blocks copying or, if everything is copied, what prevents a restart of the WAL.
    pub blocked_by: Vec<Blocker>,
    /// What these facts were determined from.
    pub basis: Basis,
    /// Number of pages of the generation before that were compared with the database, if it has all of them. `None`:
    /// none was compared, or some are not there.
    pub found_copied: Option<u64>,
}

/// What the facts about a checkpoint were determined from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Basis {
    /// A wal-index that a process has open.
    Live {
        /// `nBackfillAttempted`: up to which frame a checkpoint intended to copy.
        attempted: FrameNumber,
        /// Readers that prevent a restart of the WAL after everything is copied.
        against_restart: Vec<Blocker>,
        /// Whether the locks of all slots that could prevent it were seen.
        slots_seen: bool,
        /// Who holds WRITE and CKPT: a FULL, RESTART or TRUNCATE checkpoint keeps writers out while it waits for readers.
        /// One process can also write beside its own checkpoint.
        keeps_writers_out: Vec<Holder>,
    },
    /// A wal-index that a process has open, but that cannot be judged. Only the WAL is known.
    Doubted(Doubt),
    /// Only the WAL. A process has the database open, but not its `-shm`.
    WithoutIndex {
        /// Who has the database open.
        holders: Vec<Holder>,
        /// Whether the database is locked exclusively, so that nobody else can use it.
        exclusive: bool,
    },
    /// Only the WAL. Nobody is known to have the `-shm` open.
    AtRest {
        /// `nBackfillAttempted` of a `-shm` that was left over and belongs to this WAL.
        attempted: Option<FrameNumber>,
        /// Whether the dead-man switch was seen to be free.
        seen: bool,
    },
    /// Only the WAL: the files were replaced while they were read.
    Replaced,
}

/// Determines what the checkpoint is doing. `shm` is `None` without a readable `-shm`. `locks` is `None` for files at
/// rest or without evidence.
///
/// While a process has the `-shm` open, its `mxFrame` decides. If nobody has it open, or that is not known, the last
/// commit of the WAL decides, and `nBackfill` counts only if the `-shm` belongs to exactly this last commit.
#[must_use]
pub fn diagnose(wal: &WalFacts, shm: Option<&IndexHead>, locks: Option<&LocksView>) -> CheckpointFacts {
    match (locks, openness(locks)) {
        (Some(LocksView { shm: locks, database, .. }), Openness::Live) => match live_index(wal, shm, locks) {
            Ok((shm, header)) => live(wal, shm, header, locks, database),
            Err(doubt) => doubted(wal, locks, doubt),
        },
        (Some(LocksView { database, .. }), Openness::WithoutIndex) => without_index(wal, database),
        (_, openness) => at_rest(wal, shm, openness),
    }
}

/// Who holds WRITE and CKPT.
fn keeps_writers_out(locks: &ShmLocks) -> Vec<Holder> {
    let (both, writers) = (locks.checkpoint.holders.iter(), &locks.write.holders);
    both.filter(|holder| locks.write.held() && writers.contains(holder)).cloned().collect()
}

/// Who keeps a checkpoint of a wal-index in use from copying frames at one moment: without a look at the `-wal`. `None`: the
/// wal-index or the locks cannot be judged.
#[must_use]
pub fn in_the_way(shm: &IndexHead, locks: &LocksView) -> Option<Vec<Blocker>> {
    let header = shm.trusted()?;
    let readers = Readers { marks: read_marks(shm, Some(&locks.shm)), mx_frame: header.mx_frame, locks: &locks.shm };
    if shm.checkpoint.backfilled >= header.mx_frame {
        // A checkpoint that keeps writers out waits for every reader of the WAL.
        let waits = !keeps_writers_out(&locks.shm).is_empty();
        let readers = if waits { readers.against_restart() } else { Vec::new() };
        return Some(readers.into_iter().map(slot_blocker).collect());
    }
    if readers.marks.iter().any(|mark| mark.lock == LockState::Unknown && readers.limits(mark)) {
        return None;
    }
    Some(readers.limiting_copy().into_iter().map(slot_blocker).collect())
}

/// The checkpoint of one look. If the files were replaced while they were read, only the content of the WAL is
/// reported.
#[must_use]
pub fn of_look(wal: &WalFacts, shm: Option<&IndexHead>, locks: Option<&LocksView>, replaced: bool) -> CheckpointFacts {
    if replaced { self::replaced(wal) } else { diagnose(wal, shm, locks) }
}

/// The facts about files that were replaced while they were read: only the content of the WAL.
fn replaced(wal: &WalFacts) -> CheckpointFacts {
    unknown(wal, Vec::new(), Basis::Replaced)
}

/// Whether a process has the `-shm` open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Openness {
    /// The dead-man switch or another lock is held.
    Live,
    /// No lock of the `-shm` is held, but the database is open.
    WithoutIndex,
    /// The dead-man switch is free, and no process is seen to have the database open.
    AtRest,
    /// There is no evidence.
    Unknown,
}

fn openness(locks: Option<&LocksView>) -> Openness {
    let Some(LocksView { shm: locks, database, .. }) = locks else { return Openness::Unknown };
    let held = [&locks.write, &locks.checkpoint, &locks.recover, &locks.dead_man_switch];
    if held.into_iter().chain(&locks.read).any(ByteLock::held) {
        Openness::Live
    } else if database.state == LockState::Exclusive {
        // Nobody else has the database locked, so nobody else uses a -shm; there need not be one.
        Openness::WithoutIndex
    } else if locks.dead_man_switch.state == LockState::Free {
        if database.held() { Openness::WithoutIndex } else { Openness::AtRest }
    } else {
        Openness::Unknown
    }
}

/// Why a wal-index that a process has open cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Doubt {
    /// A process is recovering it.
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
    /// `nBackfill` is greater than `mxFrame`.
    BackfillBeyondEnd,
}

impl Doubt {
    /// Every reason.
    #[must_use]
    pub fn all() -> [Self; 7] {
        [
            Self::Recovering,
            Self::Unreadable,
            Self::Torn,
            Self::OtherVersion,
            Self::OtherGeneration,
            Self::Truncated,
            Self::BackfillBeyondEnd,
        ]
    }
}

/// The wal-index in use and its header, if they can be trusted.
fn live_index<'a>(
    wal: &WalFacts,
    shm: Option<&'a IndexHead>,
    locks: &ShmLocks,
) -> Result<(&'a IndexHead, &'a IndexHeader), Doubt> {
    // Recovery holds RECOVER exclusively. A reader that checks whether a recovery is under way takes it shared for a
    // moment.
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
    let other = header.mx_frame > 0 && wal.header.map(|wal| wal.salts) != Some(header.salts);
    if !emptied && (other || wal.is_absent()) {
        return Err(Doubt::OtherGeneration);
    }
    if shm.checkpoint.backfilled > header.mx_frame {
        return Err(Doubt::BackfillBeyondEnd);
    }
    Ok((shm, header))
}

/// The facts if the wal-index cannot be judged.
fn doubted(wal: &WalFacts, locks: &ShmLocks, doubt: Doubt) -> CheckpointFacts {
    let recovering = (doubt == Doubt::Recovering).then(|| byte_blocker(LockSlot::Recover, &locks.recover));
    unknown(wal, recovering.into_iter().collect(), Basis::Doubted(doubt))
}

/// The facts if only the WAL is known.
fn unknown(wal: &WalFacts, blocked_by: Vec<Blocker>, basis: Basis) -> CheckpointFacts {
    let committed = wal.frames.committed;
    CheckpointFacts {
        state: CheckpointState::Unknown,
        committed,
        backfilled: 0,
        pending: committed,
        safe_to: None,
        restart: Restart::NotKnown,
        blocked_by,
        basis,
        found_copied: None,
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
    let against_restart = if committed > 0 { readers.against_restart() } else { Vec::new() };
    let stand_in_the_way = if pending > 0 { &in_the_way } else { &against_restart };
    // A FULL, RESTART or TRUNCATE checkpoint waits for readers under both locks.
    let waits = checkpointing && !keeps_writers_out(locks).is_empty() && !stand_in_the_way.is_empty();
    let state = if waits {
        CheckpointState::Blocked
    } else if checkpointing {
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
    } else if database.state == LockState::Exclusive {
        CheckpointState::Blocked
    } else {
        CheckpointState::Pending
    };
    // A connection in exclusive locking mode, or the last one while it closes. It takes no lock of the wal-index.
    let alone = !checkpointing
        && database.state == LockState::Exclusive
        && matches!(state, CheckpointState::InProgress | CheckpointState::Blocked);
    let mut blocked_by: Vec<Blocker> = Vec::new();
    blocked_by.extend(checkpointing.then(|| byte_blocker(LockSlot::Checkpoint, &locks.checkpoint)));
    blocked_by.extend(alone.then(|| byte_blocker(LockSlot::Database, database)));
    blocked_by.extend(stand_in_the_way.iter().map(|mark| slot_blocker(mark)));
    CheckpointFacts {
        state,
        committed,
        backfilled,
        pending,
        safe_to: readers.safe_to(backfilled),
        restart: if committed > 0 { readers.restart() } else { Restart::NotKnown },
        blocked_by,
        basis: Basis::Live {
            attempted: shm.checkpoint.backfill_attempted,
            against_restart: against_restart.into_iter().map(slot_blocker).collect(),
            slots_seen: readers.known_for_restart(),
            keeps_writers_out: keeps_writers_out(locks),
        },
        found_copied: None,
    }
}

/// The facts if a process has the database open without its `-shm`.
///
/// folklore: in exclusive locking mode that was entered before the database was read, the wal-index is in the memory of
/// that one process, and a `-shm` that was left over stays as it was (wal.c, `WAL_HEAPMEMORY_MODE`). An ordinary
/// connection looks the same for a moment, after it has locked the database and before it locks the wal-index; and so does
/// the last one that closes, after it has removed the `-shm`. Held by the campaign and by
/// `who_has_the_whole_database_locked_is_named_in_every_mode`.
fn without_index(wal: &WalFacts, database: &ByteLock) -> CheckpointFacts {
    let committed = wal.frames.committed;
    let exclusive = database.state == LockState::Exclusive;
    let state = match exclusive {
        _ if committed == 0 => nothing_committed(wal, None),
        true => CheckpointState::Blocked,
        false => CheckpointState::Pending,
    };
    let blocks = state == CheckpointState::Blocked;
    CheckpointFacts {
        state,
        committed,
        backfilled: 0,
        pending: committed,
        safe_to: None,
        restart: Restart::NotKnown,
        blocked_by: blocks.then(|| byte_blocker(LockSlot::Database, database)).into_iter().collect(),
        basis: Basis::WithoutIndex { holders: database.holders.clone(), exclusive },
        found_copied: None,
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
        restart: if seen && committed > 0 { Restart::Possible } else { Restart::NotKnown },
        blocked_by: Vec::new(),
        basis: Basis::AtRest { attempted: leftover.map(|(shm, _)| shm.checkpoint.backfill_attempted), seen },
        found_copied: None,
    }
}

/// The header of a `-shm` that nobody is known to have open, if it belongs to this WAL: the same generation and the
/// same last commit. Otherwise its `nBackfill` means nothing; the first connection recovers and starts from 0 in any
/// case.
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
        // New salts are in the wal-index before the first frame of the new generation writes them to the header of the
        // WAL. With that frame, the frames after it become stale.
        _ if live.is_some_and(|live| wal.left_behind_by(live)) => CheckpointState::Restarted,
        // There is a commit of the new generation that the wal-index does not show yet.
        _ if wal.frames.committed > 0 => CheckpointState::Empty,
        _ if wal.frames.stale > 0 => CheckpointState::Restarted,
        _ => CheckpointState::Empty,
    }
}

/// Whether a checkpoint certainly began to copy more than it recorded: it is at work, was killed, or failed.
///
/// folklore: a checkpoint at work does not always hold CKPT. The last connection that closes, and a connection in
/// exclusive locking mode, have the database locked exclusively and take no lock of the wal-index (sqlite3WalClose
/// checkpoints in exclusive mode). Held by `the_last_checkpoint_of_a_connection_that_closes_is_at_work`.
///
/// folklore: recovery sets `nBackfillAttempted` to `mxFrame` and `nBackfill` to 0 (walIndexRecover). A killed
/// checkpoint leaves the same. But recovery also sets `iChange` to 0, and each transaction adds 1 to it. So after a
/// recovery it is at most the number of frames after the recovered ones, and less than the number of commits in the
/// WAL. Where the counter fits both cases, the answer is no. Held by `a_recovery_is_not_an_interrupted_checkpoint`.
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

/// The read marks of a wal-index in use.
struct Readers<'a> {
    marks: Vec<ReadMark>,
    mx_frame: FrameNumber,
    locks: &'a ShmLocks,
}

impl Readers<'_> {
    /// Whether a reader holds a slot. A slot that is held exclusively is not held by a reader: a checkpoint holds READ0
    /// exclusively while it copies and the others to raise their marks, a reader for the moment in which it raises the
    /// mark that it will use, a writer to restart the WAL.
    fn held(mark: &ReadMark) -> bool {
        mark.lock == LockState::Shared
    }

    /// Whether a held slot prevents frames from being copied: READ0 prevents all of them, the others the frames after
    /// their mark.
    fn limits(&self, mark: &ReadMark) -> bool {
        mark.slot == LockSlot::Read0 || mark.mark.is_some_and(|mark| mark < self.mx_frame)
    }

    fn limiting_copy(&self) -> Vec<&ReadMark> {
        self.marks.iter().filter(|mark| Self::held(mark) && self.limits(mark)).collect()
    }

    /// Up to which frame a checkpoint may copy (walCheckpoint's `mxSafeFrame`). `None` if a slot that matters was not
    /// seen.
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

    /// READ1 to READ4, of which walRestartLog needs all. Readers on READ0 ignore the WAL and do not prevent a restart.
    fn for_restart(&self) -> impl Iterator<Item = &ReadMark> {
        self.marks.iter().filter(|mark| mark.slot != LockSlot::Read0)
    }

    fn known_for_restart(&self) -> bool {
        self.for_restart().all(|mark| mark.lock != LockState::Unknown)
    }

    fn against_restart(&self) -> Vec<&ReadMark> {
        self.for_restart().filter(|mark| Self::held(mark) && !self.is_writers_own(mark)).collect()
    }

    /// Whether the WAL can be restarted. Not known if a slot was not seen, or if the only slot that prevents it may be the
    /// writer's own.
    ///
    /// folklore: the locks of all connections of one process on one slot are one lock (unixShmLock), so a reader in the
    /// process of the writer is not visible. Seen with two connections in one process. Held by
    /// `a_writers_own_slot_may_hide_a_reader_of_its_process` and by the campaign.
    fn restart(&self) -> Restart {
        if !self.known_for_restart() {
            Restart::NotKnown
        } else if !self.against_restart().is_empty() {
            Restart::HeldUp
        } else if self.for_restart().any(Self::held) {
            Restart::NotKnown
        } else {
            Restart::Possible
        }
    }

    /// A writer holds the slot of the snapshot that it started from. The lock ends with the write transaction and does
    /// not belong to a reader that blocks.
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
