//! The clocks, and what a time namespace does to them (man 7 time_namespaces).

use std::sync::OnceLock;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::evidence::{ClockSample, StartedAt, Timestamp};
use crate::linux::namespaces::own_link;
use crate::linux::procfs::Proc;
use crate::linux::text::timens;

/// CLOCK_BOOTTIME, CLOCK_REALTIME, and the offset of this time namespace.
#[must_use]
pub fn sample(proc: &Proc) -> ClockSample {
    let boottime_offset = boottime_offset(proc);
    ClockSample {
        boottime: nanoseconds(clock_gettime(ClockId::Boottime)),
        realtime: timestamp(clock_gettime(ClockId::Realtime)),
        boottime_offset,
    }
}

/// When a process was started, by field 22 of its `stat`.
///
/// folklore: the field and CLOCK_BOOTTIME count from the same moment, also in a time namespace (`do_task_stat`, fs/proc/array.c). The real
/// time of that moment is asked once: otherwise two looks at one process could differ. Held by
/// `the_start_of_a_process_is_a_point_in_time`.
pub(super) fn started_at(ticks: u64) -> Option<StartedAt> {
    static BOOT: OnceLock<i64> = OnceLock::new();
    let [real, since_boot] =
        [ClockId::Realtime, ClockId::Boottime].map(|clock| i64::try_from(nanoseconds(clock_gettime(clock))).ok());
    let boot = *BOOT.get_or_init(|| real.zip(since_boot).map_or(0, |(real, since)| real.saturating_sub(since)));
    let ticks = i64::try_from(ticks).ok()?;
    let each = 1_000_000_000_i64.checked_div(i64::try_from(rustix::param::clock_ticks_per_second()).ok()?)?;
    let start = boot.checked_add(ticks.checked_mul(each)?)?;
    Some(StartedAt { seconds: start.div_euclid(1_000_000_000), seen: Some(real?.div_euclid(1_000_000_000)) })
}

fn nanoseconds(time: Timespec) -> u64 {
    let nanoseconds = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    u64::try_from(nanoseconds).unwrap_or(0)
}

fn timestamp(time: Timespec) -> Timestamp {
    Timestamp { seconds: time.tv_sec, nanoseconds: u32::try_from(time.tv_nsec).unwrap_or(0) }
}

/// folklore: `/proc/PID/timens_offsets` shows the offsets of the namespace that *children* will be in. After
/// `unshare(CLONE_NEWTIME)` without a fork this is not the process's own namespace (kernel/time/namespace.c), and the
/// own offset is not known. Held by `offsets_of_the_children_s_namespace_are_not_one_s_own`.
fn boottime_offset(proc: &Proc) -> Option<i64> {
    let own = own_link(proc, "ns/time");
    let children = own_link(proc, "ns/time_for_children");
    if own.value()? != children.value()? {
        return None;
    }
    timens::boottime_offset(&proc.this_process().ok()?.read("timens_offsets").ok()?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_start_of_a_process_is_a_point_in_time() {
        let ticks = Proc::system().this_process().unwrap().start_time().unwrap();
        let started = started_at(ticks).unwrap();
        assert_eq!(started_at(ticks), Some(started));
        let now = timestamp(clock_gettime(ClockId::Realtime)).seconds;
        assert!(started.seconds <= now && started.age().unwrap() < 86_400, "{started:?}");
        assert_eq!(started_at(u64::MAX), None);
    }

    #[test]
    fn offsets_of_the_children_s_namespace_are_not_one_s_own() {
        let root = tempfile::tempdir().unwrap();
        let ns = root.path().join("self/ns");
        std::fs::create_dir_all(&ns).unwrap();
        std::fs::write(root.path().join("self/timens_offsets"), "boottime 1 0\n").unwrap();
        symlink("time:[1]", ns.join("time")).unwrap();
        symlink("time:[2]", ns.join("time_for_children")).unwrap();
        let proc = Proc::new(root.path());
        assert_eq!(sample(&proc).boottime_offset, None);
        std::fs::remove_file(ns.join("time")).unwrap();
        symlink("time:[2]", ns.join("time")).unwrap();
        assert_eq!(sample(&proc).boottime_offset, Some(1_000_000_000));
    }

    #[test]
    fn the_boot_clock_never_goes_back() {
        let proc = Proc::new("/proc");
        assert!(sample(&proc).boottime <= sample(&proc).boottime);
    }
}
