//! Repeats a look at the processes: a process that seems cut off counts only when it stays cut off.
//!
//! folklore: at the last close SQLite unlinks the `-shm` first and unmaps it afterwards (`unixShmUnmap` in os_unix.c),
//! while the next process may have made a new one already. So a look at a busy database often shows such processes,
//! which look like two wal-indexes under one path. Held by `a_process_in_closing_is_no_split`,
//! `a_process_in_closing_is_no_split_group` and `short_lived_processes_never_look_like_a_split`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::limits::{LOOKS, PAUSE};

/// Looks again several times while there are suspects, and returns the suspects of every look. `look_again` gets the
/// current suspects and returns its own.
pub(super) fn settle<S: Ord>(
    mut suspects: BTreeSet<S>,
    mut pause: impl FnMut(),
    mut look_again: impl FnMut(&BTreeSet<S>) -> BTreeSet<S>,
) -> BTreeSet<S> {
    for _ in 0..LOOKS {
        if suspects.is_empty() {
            break;
        }
        pause();
        let now = look_again(&suspects);
        suspects.retain(|suspect| now.contains(suspect));
    }
    suspects
}

/// Waits between two looks.
pub(in crate::linux) fn pause() {
    std::thread::sleep(Duration::from_millis(PAUSE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_suspected_at_every_look_stands() {
        let mut looks = 0;
        let stands = settle(
            BTreeSet::from([1, 2, 3]),
            || {},
            |_| {
                looks += 1;
                if looks < 3 { BTreeSet::from([1, 2, 4]) } else { BTreeSet::from([1, 3, 4]) }
            },
        );
        assert_eq!((stands, looks), (BTreeSet::from([1]), LOOKS));
    }

    #[test]
    fn without_a_suspicion_nobody_looks_again() {
        let stands = settle(BTreeSet::<u8>::new(), || panic!("waits"), |_| panic!("looks"));
        assert!(stands.is_empty());
    }
}
