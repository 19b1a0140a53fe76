//! Faulty set-ups, staged by the lab with processes and files of its own. Nothing here is for files that are examined.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::challenge::beacon::{BASE, Locked};
use super::sys;
pub use super::sys::Forked;

/// Goes on as two processes, as fork(2) does. With `shared`, both have one table of descriptors (CLONE_FILES).
///
/// # Errors
/// When this process has more than one thread, and what the kernel said.
pub fn fork(shared: bool) -> io::Result<Forked> {
    sys::fork_alone(shared)
}

/// From now on the SQLite of this process keeps its wal-index at this path, as one does that was built with
/// SQLITE_SHM_DIRECTORY.
///
/// # Errors
/// When it was called before, or SQLite does not let its system calls be replaced.
pub fn keep_wal_index_at(path: &Path) -> io::Result<()> {
    sys::keep_wal_index_at(CString::new(path.as_os_str().as_bytes())?)
}

/// Something that stands between two files and copies locks from each to the other, far behind the bytes that SQLite
/// uses. What meets on the two files then sees each other's beacons, although nothing is shared.
#[derive(Debug)]
pub struct LockRelay {
    files: [File; 2],
    copied: [BTreeSet<(u64, u64)>; 2],
}

impl LockRelay {
    /// A relay between two files.
    #[must_use]
    pub fn between(files: [File; 2]) -> Self {
        Self { files, copied: [BTreeSet::new(), BTreeSet::new()] }
    }

    /// Makes each file's locks those that others hold on the other file.
    ///
    /// # Errors
    /// What fcntl(2) said.
    pub fn copy(&mut self) -> io::Result<()> {
        let [a, b] = &self.files;
        let [on_a, on_b] = &mut self.copied;
        for (from, to, copied) in [(a, b, on_b), (b, a, on_a)] {
            let found: BTreeSet<(u64, u64)> = Locked::look(from, BASE, BASE)?.ranges().collect();
            for (first, last) in copied.difference(&found) {
                sys::unlock(to, *first, last - first + 1)?;
            }
            for (first, last) in found.difference(copied) {
                sys::lock_shared(to, *first, last - first + 1)?;
            }
            *copied = found;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::challenge::beacon::{self, PATTERN, Word};

    #[test]
    fn a_relay_copies_beacons_both_ways_and_takes_them_away_again() {
        let files = [tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap()];
        let open = |at: usize| File::open(files[at].path()).unwrap();
        let mut relay = LockRelay::between([open(0), open(1)]);
        let sides = [open(0), open(1)];
        let seen = |at: usize| Locked::look(&sides[at], BASE, PATTERN).unwrap().word(BASE);
        for (holder, other) in [(0, 1), (1, 0)] {
            beacon::hold(&sides[holder], BASE, 0x1234_5678_9abc_def0).unwrap();
            relay.copy().unwrap();
            assert_eq!(seen(other), Word::Is(0x1234_5678_9abc_def0));
            beacon::release(&sides[holder], BASE).unwrap();
            relay.copy().unwrap();
            assert_eq!((seen(other), seen(holder)), (Word::Free, Word::Free));
        }
    }

    #[test]
    fn a_process_with_several_threads_is_not_forked() {
        std::thread::spawn(|| assert!(fork(false).is_err())).join().unwrap();
    }
}
