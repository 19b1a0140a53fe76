//! Can a process that opens the database next, on each side, use a wal-index that the other side uses too?
//!
//! One inode, or one folder, is not enough: in rollback mode there is no wal-index, in exclusive locking mode nobody else has
//! one, and through a read-only mount nobody can make one.

use super::{Pair, Placed, Side, continuity, history, identity};
use crate::evidence::{LockState, LocksView, MountAccess, Observation, UnstableCause};
use crate::finding::surroundings::{MayWrite, may_write};
use crate::format::db::{DatabaseHead, JournalMode};
use crate::sides::{HeldBack, Identity, NotReached, Part, Recorded, Unseen, WalGone, What};

/// Whether each side could make the `-shm` in the folder, and use it in WAL mode.
///
/// # Errors
/// Why not, or what was not seen.
pub(super) fn by_folder(pair: &Pair<'_>, shm: &Identity) -> Result<(), NotReached> {
    for of in [pair.a, pair.b] {
        in_wal_mode(of)?;
        not_exclusive(of)?;
        can_make(of)?;
    }
    match removed_alone(pair, shm) {
        true => Err(NotReached::RemovedAlone),
        false => Ok(()),
    }
}

/// Whether the header of a side is known to say rollback journal: nobody there creates a `-shm`.
pub(super) fn in_rollback_mode(pair: &Pair<'_>) -> bool {
    [pair.a, pair.b].into_iter().any(|of| matches!(in_wal_mode(of), Err(NotReached::NotWal(_))))
}

fn in_wal_mode(of: Placed<'_>) -> Result<(), NotReached> {
    match &of.side.database {
        Some(DatabaseHead::Plain(header)) if header.journal_mode() == JournalMode::Wal => Ok(()),
        Some(DatabaseHead::Plain(_) | DatabaseHead::Empty) => Err(NotReached::NotWal(of.index)),
        Some(DatabaseHead::Opaque { .. }) => {
            Err(unseen(of, What::JournalMode, "the database has no SQLite header that can be read"))
        }
        None => Err(unseen(of, What::JournalMode, "the header of the database was not read")),
    }
}

fn not_exclusive(of: Placed<'_>) -> Result<(), NotReached> {
    let locks = &of.side.evidence.locks;
    match locks.value().map(|locks| &locks.database) {
        Some(lock) if lock.state == LockState::Exclusive => Err(NotReached::Exclusive(of.index)),
        Some(lock) if lock.state == LockState::Unknown => {
            Err(unseen(of, What::DatabaseLock, lock.reason.as_deref().unwrap_or_default()))
        }
        Some(_) => Ok(()),
        None => Err(unseen(of, What::DatabaseLock, &Recorded::of(locks).0)),
    }
}

/// Whether a process can make the `-shm` in the folder. A capture of an earlier version does not say how the folder is
/// mounted, and is taken at its worth then.
fn can_make(of: Placed<'_>) -> Result<(), NotReached> {
    let evidence = &of.side.evidence;
    let observed = &evidence.files.directory;
    let Some(folder) = observed.value() else {
        return Err(unseen(of, What::unseen_file(Part::Directory, observed), &Recorded::of(observed).0));
    };
    match &folder.mount_access {
        Observation::Seen { value: MountAccess::ReadOnly } => return Err(NotReached::ReadOnly(of.index)),
        Observation::Seen { value: MountAccess::ReadWrite } | Observation::Missing { .. } => {}
        other => return Err(unseen(of, What::MountAccess(Part::Directory), &Recorded::of(other).0)),
    }
    match may_write(evidence, folder) {
        MayWrite::No(uid) => Err(NotReached::FolderClosed(of.index, uid)),
        MayWrite::Yes | MayWrite::NotKnown => Ok(()),
    }
}

fn unseen(of: Placed<'_>, what: What, reason: &str) -> NotReached {
    NotReached::Unseen(Unseen { side: of.index, what, reason: Recorded(reason.to_owned()) })
}

/// Whether a `-shm` was removed while the `-wal` stayed.
///
/// folklore: a last close deletes the `-shm` and then the `-wal`, or neither (sqlite3WalClose). So a `-shm` that is younger
/// than a `-wal` that stayed was removed by somebody else (or the last process died between the two), and a process that had it mapped goes on with it. Held by
/// `a_shm_removed_from_beside_its_wal_decides_nothing`.
fn removed_alone(pair: &Pair<'_>, shm: &Identity) -> bool {
    let sides = [pair.a, pair.b];
    let [a, b] = sides.map(|of| of.side.evidence.files.shm.value().is_some());
    let anew = a != b || matches!(shm, Identity::Replaced(_));
    let stayed = || matches!(identity::judge(pair, Part::Wal), Identity::OneInode(_) | Identity::Alike(..));
    let deleted = sides.iter().any(|of| {
        let files = &of.side.evidence.files;
        let (shm, wal) = (files.shm.value(), files.wal.value());
        shm.is_some_and(|shm| shm.links == 0) && wal.is_some_and(|wal| wal.links > 0)
    });
    deleted || anew && stayed()
}

/// Why a side cannot use the `-shm`, although it is one on both.
pub(super) fn held_back(pair: &Pair<'_>) -> Option<HeldBack> {
    let sides = || [pair.a, pair.b].into_iter();
    let read_only = sides().find(|of| !can_use(pair, *of)).map(|of| HeldBack::ReadOnly(of.index));
    let without = |of: Placed<'_>| Some(HeldBack::WithoutItsWal(of.index, wal_gone(of.side)?));
    read_only.or_else(|| sides().find_map(without))
}

/// Whether the `-shm` is in use, and there is no `-wal`, or it does not have the frames that the `-shm` counts.
///
/// folklore: who opens the database then makes a new `-wal`, believes the `-shm`, and reads beyond the end of the file:
/// SQLITE_IOERR_SHORT_READ, until all processes have ended. Those that have the removed `-wal` open go on. Held by
/// `a_wal_removed_from_beside_a_wal_index_in_use_proves_nothing_of_paths`. The same at `mxFrame` 0: two writers then write
/// frames of one wal-index to two files. Held by `a_wal_removed_from_beside_a_wal_index_without_frames_is_named`.
fn wal_gone(side: &Side) -> Option<WalGone> {
    let files = &side.evidence.files;
    let absent = matches!(files.wal, Observation::Missing { .. }) && files.shm.value().is_some();
    // A capture that is not of one moment for any other reason may have seen the -shm before and the -wal after it was emptied.
    let certain = side.stable || side.unstable == Some(UnstableCause::WalCutOff);
    let locks = side.evidence.locks.value();
    // Where the lock was not seen, the -shm may be in use.
    let at_rest = locks.is_some_and(|locks| locks.shm.dead_man_switch.state == LockState::Free);
    match (absent && !at_rest, keeps_alive(locks)) {
        (true, true) => Some(WalGone::Absent),
        (true, false) => Some(WalGone::AbsentMaybeInUse),
        (false, alive) => (alive && certain && history::lost(side)).then_some(WalGone::Frames),
    }
}

/// Whether a process of this side can use the `-shm` that is there: it can write to it, or somebody keeps it alive.
///
/// folklore: the dead-man switch needs a write lock first, to see whether the `-shm` is left over. A descriptor that is open
/// only for reading cannot take one: SQLite then reads the `-wal` into a wal-index on its heap, or refuses
/// (unixLockSharedMemory, walBeginShmUnreliable). While somebody else holds the switch, it maps the `-shm`. Held by
/// `a_read_only_side_needs_somebody_who_keeps_the_shm_alive`.
fn can_use(pair: &Pair<'_>, of: Placed<'_>) -> bool {
    let evidence = &of.side.evidence;
    // Without a -shm the folder decides.
    let Some(shm) = evidence.files.shm.value() else { return true };
    let mount =
        matches!(shm.mount_access, Observation::Seen { value: MountAccess::ReadWrite } | Observation::Missing { .. });
    let mode = !matches!(may_write(evidence, shm), MayWrite::No(_));
    let alive = |look: &Placed<'_>| not_before(pair, *look, of) && keeps_alive(look.side.evidence.locks.value());
    mount && mode || [pair.a, pair.b].iter().any(alive)
}

/// Whether the first look is the second, or not known to be older.
fn not_before(pair: &Pair<'_>, look: Placed<'_>, than: Placed<'_>) -> bool {
    look.index == than.index
        || pair.looked_at_by_one_process()
        || continuity::in_order(pair).is_none_or(|(earlier, _)| earlier.index != look.index)
}

fn keeps_alive(locks: Option<&LocksView>) -> bool {
    locks.is_some_and(|locks| locks.shm.dead_man_switch.held())
}
