//! Locks that processes hold through their descriptors, from `/proc/PID/fdinfo` of every process.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use crate::linux::procfs::{Proc, Process};
use crate::linux::text::fdinfo::locks;
use crate::linux::text::locks::{LockLine, LockedFile};

/// At most so many descriptors are looked at in one search.
const DESCRIPTOR_LIMIT: usize = 200_000;

/// Every lock on one of `files` that a process holds, with the pid of the process. This includes open file description
/// locks; `/proc/locks` gives their pid as -1. Processes whose fdinfo cannot be read are left out.
#[must_use]
pub fn search(proc: &Proc, files: &[LockedFile]) -> Vec<(u32, LockLine)> {
    let mut found = Vec::new();
    let mut left = DESCRIPTOR_LIMIT;
    for pid in proc.pids().unwrap_or_default() {
        let Ok(process) = proc.process(pid) else { continue };
        for name in process.names("fdinfo").unwrap_or_default() {
            if left == 0 {
                return found;
            }
            left -= 1;
            let Ok(text) = process.read(&format!("fdinfo/{name}")) else { continue };
            let relevant = locks(&text).into_iter().filter(|line| line.file.is_some_and(|file| files.contains(&file)));
            found.extend(relevant.map(|line| (pid, line)));
        }
    }
    found
}

/// Whether a process holds a lock on any of `bytes` of a file through one of its descriptors. `files`: the names under which
/// the lock table may list the file.
///
/// # Errors
/// What the system said: EACCES without the permission to trace the process, ENOENT or ESRCH when it has ended.
pub fn holds(process: &Process, files: &[LockedFile], bytes: &Range<u64>) -> io::Result<bool> {
    let inodes = files.iter().map(|file| file.inode).collect();
    Ok(of_inodes(process, &inodes)?.iter().any(|line| is_on(line, files, bytes)))
}

/// The locks of processes on some files. Each process is read once, however many files it has locked.
#[derive(Debug, Default)]
pub struct HeldLocks {
    inodes: BTreeSet<u64>,
    read: RefCell<BTreeMap<u32, Vec<LockLine>>>,
}

impl HeldLocks {
    /// For files with these inode numbers.
    pub fn of(inodes: BTreeSet<u64>) -> Self {
        Self { inodes, read: RefCell::default() }
    }

    /// Whether a process holds a lock on any of `bytes` of a file, as [`holds`] says. A lock that was not there when the process
    /// was read is looked for again.
    ///
    /// # Errors
    /// As [`holds`].
    pub fn holds(&self, process: &Process, files: &[LockedFile], bytes: &Range<u64>) -> io::Result<bool> {
        let mut read = self.read.borrow_mut();
        let known = read.entry(process.pid).or_insert_with(|| of_inodes(process, &self.inodes).unwrap_or_default());
        if known.iter().any(|line| is_on(line, files, bytes)) {
            return Ok(true);
        }
        holds(process, files, bytes)
    }
}

/// The locks that a process holds on files with these inode numbers.
///
/// # Errors
/// What the system said: EACCES without the permission to trace the process, ENOENT or ESRCH when it has ended.
pub fn of_inodes(process: &Process, inodes: &BTreeSet<u64>) -> io::Result<Vec<LockLine>> {
    let mut found = Vec::new();
    if inodes.is_empty() {
        return Ok(found);
    }
    for name in process.names("fd")? {
        // Other files are told apart by the inode number, so that few texts are read.
        let behind = process.file_behind(&format!("fd/{name}"));
        if behind.is_ok_and(|behind| !inodes.contains(&behind.inode)) {
            continue;
        }
        match process.read(&format!("fdinfo/{name}")) {
            Ok(text) => found.extend(locks(&text)),
            Err(error) if crate::linux::unseen::refused(&error) => return Err(error),
            // The descriptor was closed meanwhile.
            Err(_) => {}
        }
    }
    Ok(found)
}

/// Whether a line is a lock on any of `bytes` of a file.
pub fn is_on(line: &LockLine, files: &[LockedFile], bytes: &Range<u64>) -> bool {
    files.iter().any(|file| line.holds(*file, bytes.start, bytes.end.saturating_sub(bytes.start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Device;

    const TEXT: &str = "pos:\t0\nlock:\t1: OFDLCK ADVISORY  READ -1 fe:00:1234 123 123\n";

    #[test]
    fn the_process_is_known_even_of_locks_without_a_pid() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("41/fdinfo")).unwrap();
        std::fs::write(root.path().join("41/fdinfo/5"), TEXT).unwrap();
        let file = LockedFile { device: Device { major: 254, minor: 0 }, inode: 1234 };
        let found = search(&Proc::new(root.path()), &[file]);
        assert_eq!(found.iter().map(|(pid, line)| (*pid, line.pid)).collect::<Vec<_>>(), [(41, -1)]);
        assert!(search(&Proc::new(root.path()), &[LockedFile { inode: 1, ..file }]).is_empty());
    }
}
