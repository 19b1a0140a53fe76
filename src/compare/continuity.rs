//! Whether both sides were seen within one continuous life of the files that they have open.
//!
//! Two captures at different times can differ for two reasons: there are two files, or something happened between them.
//! A crash lost the tail of the WAL, a backup was restored, a folder was moved, or a volume was switched. Differences
//! refute only where this is excluded: everything was open at one moment, or a process of the later side had its
//! wal-index open all the time.

use super::{Pair, Placed, Side, kernel};
use crate::evidence::{FileView, Mapping, Observation, Timestamp};
use crate::sides::{
    Gap, Identity, NoCommonClock, NotAtWork, NotOneFileSystem, NotRefuted, Recorded, Replaced, Unknown,
};

/// `USER_HZ`, which is 100 on all usual systems: /proc shows times in ticks of 10 ms. Where there are more ticks in a
/// second (alpha), a process seems younger than it is.
const TICK: u64 = 10_000_000;
/// A file may seem this much older than it is, because the clock of inode times does not change between ticks.
const BIRTH: i128 = 20_000_000;

/// Two captures on the clock of one kernel, nanoseconds since its boot.
struct Times<'a> {
    earlier: Placed<'a>,
    later: Placed<'a>,
    /// The earlier capture began.
    begun: u64,
    /// The earlier capture ended.
    ended: u64,
    /// All files of both were open at one moment.
    overlap: bool,
}

fn times<'a>(pair: &Pair<'a>) -> Result<Times<'a>, NoCommonClock> {
    kernel::one_kernel(pair).map_err(NoCommonClock::Kernel)?;
    let of = |of: Placed<'_>| {
        let evidence = &of.side.evidence;
        match evidence.begun.host_boottime().zip(evidence.ended.host_boottime()) {
            Some((begun, ended)) if begun <= ended => Ok((ended, begun)),
            Some(_) => Err(NoCommonClock::EndedBeforeItBegan(of.index)),
            None => Err(NoCommonClock::OffsetUnseen(of.index)),
        }
    };
    let (a, b) = (of(pair.a)?, of(pair.b)?);
    // If both ended at one moment, either may count as the later one: they overlap.
    let forth = a <= b;
    let ((ended, begun), (_, later_begun)) = if forth { (a, b) } else { (b, a) };
    let (earlier, later) = if forth { (pair.a, pair.b) } else { (pair.b, pair.a) };
    Ok(Times { earlier, later, begun, ended, overlap: later_begun <= ended })
}

/// The earlier and the later capture, if one ended before the other began.
pub(super) fn in_order<'a>(pair: &Pair<'a>) -> Option<(Placed<'a>, Placed<'a>)> {
    times(pair).ok().filter(|times| !times.overlap).map(|times| (times.earlier, times.later))
}

/// Whether both sides were seen within one life.
///
/// # Errors
/// Why that cannot be said.
pub(super) fn unbroken(pair: &Pair<'_>) -> Result<(), Gap> {
    if pair.simultaneous {
        return Ok(());
    }
    let times = times(pair).map_err(Gap::Clock)?;
    if times.overlap {
        return Ok(());
    }
    let Times { later: Placed { index, side: later }, begun, .. } = times;
    let shm = later.evidence.files.shm.value();
    if !shm.is_some_and(|shm| maps_since(later, shm, begun)) {
        return Err(Gap::NoProcessThroughout(index));
    }
    let born = shm.and_then(|shm| shm.birth_time.value()).and_then(|birth| since_boot(later, *birth));
    match born {
        Some(born) if born > i128::from(begun) - BIRTH => Err(Gap::ShmMayBeYounger(index)),
        _ => Ok(()),
    }
}

/// Whether all files of both sides were open at one moment.
pub(super) fn at_one_moment(pair: &Pair<'_>) -> bool {
    pair.simultaneous || times(pair).is_ok_and(|times| times.overlap)
}

/// Whether content, or an order in time, that does not fit together refutes sharing. Within one life it does, where the
/// files are not one. `shm`: what was found about the identity of the `-shm`. `one`: whether something proves that it is
/// one.
///
/// folklore: `cp` over files that are open keeps their inodes, and SQLite goes on with what it finds. So the content of
/// one inode can go back within one life, and a FUSE file whose identity proves nothing can be one all the same. Held by
/// `content_and_time_never_outvote_identity`.
///
/// # Errors
/// Why it refutes nothing.
pub(super) fn refutable(pair: &Pair<'_>, shm: &Identity, one: bool) -> Result<(), NotRefuted> {
    unbroken(pair).map_err(NotRefuted::Gap)?;
    let told_apart = match shm {
        Identity::TwoInodes(_) | Identity::TwoLockInodes(_) | Identity::Replaced(Replaced::Between(..)) => true,
        Identity::Unknown(why) => matches!(
            why,
            Unknown::FileSystem(..)
                | Unknown::Overlay(..)
                | Unknown::Btrfs(..)
                | Unknown::MayBeMoved(..)
                | Unknown::MayBeReplaced(_)
        ),
        Identity::OneInode(_) | Identity::Alike(..) | Identity::Replaced(Replaced::DuringCapture(..)) => false,
    };
    // One process that looks at both sides looks within a moment. It is enough for it that nothing proves one file.
    let apart = if pair.looked_at_by_one_process() { !one } else { told_apart && !one };
    if apart { Ok(()) } else { Err(NotRefuted::InPlace) }
}

/// Whether both looks at a file met one mounted file system. The inode number, the birth time and the id of the file
/// system are all copied with a disk. Clones that are mounted one after the other under one device number differ in
/// nothing else.
///
/// # Errors
/// Why that cannot be said.
pub(super) fn one_file_system(pair: &Pair<'_>, a: &FileView, b: &FileView) -> Result<(), NotOneFileSystem> {
    if at_one_moment(pair) {
        return Ok(());
    }
    let disks = a.disk_sequence.value().zip(b.disk_sequence.value());
    let mounts = a.unique_mount_id.value().zip(b.unique_mount_id.value());
    if [disks, mounts].into_iter().flatten().any(|(x, y)| x == y) || alive_throughout(pair, a, b) {
        return Ok(());
    }
    if let Some((x, y)) = disks {
        return Err(NotOneFileSystem::OtherDisk([(pair.a.index, *x), (pair.b.index, *y)]));
    }
    let unseen = |a: &Observation<u64>, b: &Observation<u64>| Recorded::of(if a.value().is_none() { a } else { b });
    Err(NotOneFileSystem::NothingShowsIt {
        disk: unseen(&a.disk_sequence, &b.disk_sequence),
        mount: mounts.is_none().then(|| unseen(&a.unique_mount_id, &b.unique_mount_id)),
    })
}

/// Whether a process that maps the `-shm` of the later side, on the same device as the file, is older than the earlier
/// capture. A process keeps its mounts, and what it has open keeps its disk. So this process was already using the disk
/// under this device number at the earlier capture. A process that closed the file, had its disk switched, and opened
/// the file again is not recognised.
fn alive_throughout(pair: &Pair<'_>, a: &FileView, b: &FileView) -> bool {
    let Ok(Times { later, begun, .. }) = times(pair) else { return false };
    let file = if later.index == pair.a.index { a } else { b };
    let shm = later.side.evidence.files.shm.value().filter(|shm| shm.device == file.device);
    shm.is_some_and(|shm| maps_since(later.side, shm, begun))
}

/// Whether a process was seen that maps the `-shm` and started before a moment.
fn maps_since(side: &Side, shm: &FileView, moment: u64) -> bool {
    let id = shm.maps_identity.value();
    let mut mappings = side.evidence.mappings.value().into_iter().flat_map(|view| &view.mappings);
    mappings.any(|mapping| {
        mapping.shared
            && mapping.cut_off.is_none()
            && Some(&mapping.inode) == id
            && started_before(side, mapping, moment)
    })
}

/// Whether processes of both sides had their wal-index mapped at one moment.
///
/// # Errors
/// Why that cannot be said.
pub(super) fn together(pair: &Pair<'_>, a: &[&Mapping], b: &[&Mapping]) -> Result<(), NotAtWork> {
    if pair.simultaneous {
        return Ok(());
    }
    let Times { later, ended, overlap, .. } = times(pair).map_err(NotAtWork::Clock)?;
    let of_later = if later.index == pair.a.index { a } else { b };
    if overlap || of_later.iter().any(|mapping| started_before(later.side, mapping, ended)) {
        return Ok(());
    }
    Err(NotAtWork::StartedLater(later.index))
}

/// Whether a process had certainly started before a moment. Its start is shown on the clock of the observer, rounded
/// down to ticks.
fn started_before(side: &Side, mapping: &Mapping, moment: u64) -> bool {
    let started = || {
        let shown = mapping.start_time?.checked_add(1)?.checked_mul(TICK)?;
        shown.checked_add_signed(side.evidence.begun.boottime_offset?.checked_neg()?)
    };
    started().is_some_and(|started| started <= moment)
}

/// A wall-clock time on the clock of the kernel.
fn since_boot(side: &Side, time: Timestamp) -> Option<i128> {
    let clock = side.evidence.ended;
    let boot = clock.realtime.since_1970() - i128::from(clock.host_boottime()?);
    Some(time.since_1970() - boot)
}
