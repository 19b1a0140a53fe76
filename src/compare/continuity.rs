//! Were both sides seen within one continuous life of what they have open?
//!
//! Two captures at different times can differ because there are two files, or because in between a crash cost the tail of
//! the WAL, a backup was put back, a folder was moved or a volume was switched. Differences refute only where that is
//! excluded: everything was open at one moment, or a process of the later side has had its wal-index open all along.

use super::{Pair, Side, identity};
use crate::evidence::{Mapping, Timestamp};

/// What else explains that content differs.
pub(super) const LOST_TAIL: &str = "a tail lost by a crash or a backup restored between the captures looks the same";
/// What else explains that files differ.
pub(super) const MOVED: &str = "a folder moved or a volume switched between the captures looks the same: capture again while both are open, or compare live";

/// `USER_HZ`, 100 wherever containers run: /proc shows times in ticks of 10 ms. Where there are more (alpha), a process is
/// taken for younger than it is.
const TICK: u64 = 10_000_000;
/// A birth may seem this much earlier than it was: inode times stand still between ticks.
const BIRTH: i128 = 20_000_000;

/// Two captures on the clock of one kernel, nanoseconds since its boot.
struct Times<'a> {
    later: &'a Side,
    /// The earlier capture began.
    begun: u64,
    /// The earlier capture ended.
    ended: u64,
    /// All files of both were open at one moment.
    overlap: bool,
}

fn times<'a>(pair: &Pair<'a>) -> Result<Times<'a>, String> {
    identity::same_kernel(pair)?;
    let of = |side: &Side| {
        let (begun, ended) = (side.evidence.begun.host_boottime(), side.evidence.ended.host_boottime());
        match begun.zip(ended) {
            Some((begun, ended)) if begun <= ended => Ok((ended, begun)),
            Some(_) => Err(format!("{} ended before it began, by its own clock", side.label)),
            None => Err(format!("the clock offset of {} was not seen", side.label)),
        }
    };
    let (a, b) = (of(pair.a)?, of(pair.b)?);
    // Of two that ended at one moment either may count as the later: they overlap.
    let ((ended, begun), (_, later_begun), later) = if a <= b { (a, b, pair.b) } else { (b, a, pair.a) };
    Ok(Times { later, begun, ended, overlap: later_begun <= ended })
}

/// Whether both sides were seen within one life.
///
/// # Errors
/// Why that cannot be said.
pub(super) fn unbroken(pair: &Pair<'_>) -> Result<(), String> {
    if pair.simultaneous {
        return Ok(());
    }
    let times = times(pair)?;
    if times.overlap {
        return Ok(());
    }
    let Times { later, begun, .. } = times;
    let shm = later.evidence.files.shm.value();
    let id = shm.and_then(|shm| shm.maps_identity.value());
    let view = later.evidence.mappings.value();
    let mut mapping = view.iter().flat_map(|view| &view.mappings).filter(|mapping| {
        mapping.shared
            && mapping.cut_off.is_none()
            && Some(&mapping.inode) == id
            && started_before(later, mapping, begun)
    });
    if mapping.next().is_none() {
        return Err(format!(
            "no process was seen on {} that maps its -shm and is older than the other capture",
            later.label
        ));
    }
    let born = shm.and_then(|shm| shm.birth_time.value()).and_then(|birth| since_boot(later, *birth));
    match born {
        Some(born) if born > i128::from(begun) - BIRTH => {
            Err(format!("the -shm of {} may be younger than the other capture", later.label))
        }
        _ => Ok(()),
    }
}

/// Whether processes of both sides had their wal-index mapped at one moment.
///
/// # Errors
/// Why that cannot be said.
pub(super) fn together(pair: &Pair<'_>, a: &[&Mapping], b: &[&Mapping]) -> Result<(), String> {
    if pair.simultaneous {
        return Ok(());
    }
    let times = times(pair)?;
    let of_later = if std::ptr::eq(times.later, pair.a) { a } else { b };
    if times.overlap || of_later.iter().any(|mapping| started_before(times.later, mapping, times.ended)) {
        return Ok(());
    }
    Err(format!(
        "the processes seen on {} started after the other capture had ended: whether they were ever at work together was not seen",
        times.later.label
    ))
}

/// Whether a process had certainly started at a moment. Its start is shown on the clock of whoever looks, cut to ticks.
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
