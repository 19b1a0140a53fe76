//! A proc file system made of plain files, for tests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::evidence::{Device, InodeId};
use crate::number::FileId;

/// The wal-index that the tests look for.
pub(in crate::linux) const ID: InodeId = InodeId { device: Device { major: 254, minor: 0 }, inode: 7 };

/// Makes a process with these maps, in a mount namespace.
pub(in crate::linux) fn process(root: &Path, pid: &str, mount: &str, maps: &str) {
    let folder = root.join(pid);
    fs::create_dir_all(folder.join("ns")).unwrap();
    fs::write(folder.join("maps"), maps).unwrap();
    fs::write(folder.join("comm"), "app\n").unwrap();
    fs::write(folder.join("stat"), "1 (app) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 77 20").unwrap();
    fs::write(folder.join("cgroup"), format!("0::/docker/{}", "a".repeat(64))).unwrap();
    symlink(mount, folder.join("ns/mnt")).unwrap();
    symlink(root, folder.join("root")).unwrap();
}

/// Takes the root of a process away: it cannot be seen.
pub(in crate::linux) fn rootless(root: &Path, pid: &str) {
    fs::remove_file(root.join(pid).join("root")).unwrap();
}

/// SHARED on a database.
pub(in crate::linux) const SHARED: &str = "lock:\t1: POSIX  ADVISORY  READ 1 fe:00:5 1073741826 1073742335\n";
/// The dead-man switch of a `-shm`.
pub(in crate::linux) const SWITCH: &str = "lock:\t1: POSIX  ADVISORY  READ 1 fe:00:8 128 128\n";

/// A process has a file open and holds these locks on it.
pub(in crate::linux) fn opens(root: &Path, pid: &str, path: &str, locks: &str) {
    let (fd, info) = (root.join(pid).join("fd"), root.join(pid).join("fdinfo"));
    fs::create_dir_all(&fd).unwrap();
    fs::create_dir_all(&info).unwrap();
    let number = fs::read_dir(&fd).unwrap().count().to_string();
    symlink(path, fd.join(&number)).unwrap();
    fs::write(info.join(number), locks).unwrap();
}

/// Gives a process a root folder.
pub(in crate::linux) fn root_of(proc: &Path, pid: &str, root: &Path) {
    let link = proc.join(pid).join("root");
    drop(fs::remove_file(&link));
    symlink(root, link).unwrap();
}

/// A line of `maps` with a shared mapping.
pub(in crate::linux) fn line(inode: u64, length: u64, path: &str) -> String {
    format!("10000-{:x} rw-s 00000000 fe:00 {inode}      {path}\n", 0x10000 + length)
}

/// Device and inode as `stat` says.
pub(in crate::linux) fn file_at(path: &Path) -> FileId {
    crate::linux::file_id::file_id(&fs::metadata(path).unwrap())
}
