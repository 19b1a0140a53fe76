//! Reading texts below `/proc`, bounded, from a folder that can be a fake one in tests.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, fstat, openat, openat2, readlinkat, statx};

use crate::evidence::Observation;
use crate::linux::file_id::device;
use crate::linux::text::{credentials, process as text};
use crate::linux::unseen::unseen;
use crate::number::{Device, FileId};

/// Longest text that is read from one file of `/proc`. A process may have 65,530 mappings, each with a path.
pub const TEXT_LIMIT: u64 = 32 << 20;

/// A proc file system, by its folder.
#[derive(Debug, Clone)]
pub struct Proc {
    root: PathBuf,
}

/// The folder of one process. It stays bound to that process: when the pid is reused, reading fails.
#[derive(Debug)]
pub struct Process {
    /// The process, in the PID namespace of the proc mount.
    pub pid: u32,
    folder: OwnedFd,
    /// The folder of one of its threads, if its first thread has ended.
    thread: Option<OwnedFd>,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What `/proc/PID` shows of the whole process, also if its first thread has ended.
const OF_THE_WHOLE_PROCESS: [&str; 5] = ["stat", "comm", "cgroup", "status", "map_files"];

impl Proc {
    /// Where Linux mounts its proc file system.
    #[must_use]
    pub fn system() -> Self {
        Self::new("/proc")
    }

    /// The proc file system at `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Reads the file at `relative`.
    ///
    /// # Errors
    /// What the system said, or that the text is longer than [`TEXT_LIMIT`].
    pub fn read(&self, relative: &str) -> io::Result<Vec<u8>> {
        read_bounded(File::open(self.root.join(relative))?)
    }

    /// Reads the file at `relative` as an observation.
    #[must_use]
    pub fn observe(&self, relative: &str) -> Observation<Vec<u8>> {
        match self.read(relative) {
            Ok(text) => Observation::seen(text),
            Err(error) => unseen(&self.root.join(relative).display().to_string(), &error),
        }
    }

    /// Whether this is where Linux mounts it: a folder made by a test has no processes.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.root == std::path::Path::new("/proc")
    }

    /// Whether there is a file at `relative`. Nothing is read.
    #[must_use]
    pub fn has(&self, relative: &str) -> bool {
        self.root.join(relative).exists()
    }

    /// The processes visible here, in ascending order.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn pids(&self) -> io::Result<Vec<u32>> {
        let mut pids = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            // An entry can be a pid or another text. An entry that vanished during the listing is skipped.
            let Ok(entry) = entry else { continue };
            if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                pids.push(pid);
            }
        }
        pids.sort_unstable();
        Ok(pids)
    }

    /// Binds to one process.
    ///
    /// # Errors
    /// When there is no such process, or it is hidden.
    pub fn process(&self, pid: u32) -> io::Result<Process> {
        self.bind(&pid.to_string(), pid)
    }

    /// Binds to this process, through `self`: its pid differs where the proc mount is of another PID namespace.
    ///
    /// # Errors
    /// When proc is not mounted.
    pub fn this_process(&self) -> io::Result<Process> {
        self.bind("self", std::process::id())
    }

    fn bind(&self, name: &str, pid: u32) -> io::Result<Process> {
        let mut process =
            Process { pid, folder: openat(CWD, self.root.join(name), FOLDER, Mode::empty())?, thread: None };
        process.thread =
            process.read("stat").is_ok_and(|stat| has_ended(&stat)).then(|| process.living_thread()).flatten();
        Ok(process)
    }
}

impl Process {
    /// Makes a second descriptor of the same process.
    ///
    /// # Errors
    /// When this process has no more descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        let thread = self.thread.as_ref().map(OwnedFd::try_clone).transpose()?;
        Ok(Self { pid: self.pid, folder: self.folder.try_clone()?, thread })
    }

    /// The folder of a thread that goes on.
    ///
    /// folklore: the first thread of a process can end while others go on (`pthread_exit` in main). Then `/proc/PID` is that
    /// of a zombie: `maps` and `fd` are empty, and `root` leads nowhere. `/proc/PID/task/TID` of another thread has them all
    /// but `map_files`. Seen with a thread that held a database; held by
    /// `a_process_whose_first_thread_has_ended_is_looked_at_through_another_one`.
    fn living_thread(&self) -> Option<OwnedFd> {
        let threads = self.names("task").ok()?;
        let going_on = |name: &String| self.read(&format!("task/{name}/stat")).is_ok_and(|stat| !has_ended(&stat));
        let name = threads.iter().find(|name| going_on(name))?;
        openat(&self.folder, format!("task/{name}"), FOLDER, Mode::empty()).ok()
    }

    /// The folder in which a file of the process is looked up.
    fn folder_of(&self, relative: &str) -> &OwnedFd {
        let first = relative.split('/').next().unwrap_or(relative);
        self.thread.as_ref().filter(|_| !OF_THE_WHOLE_PROCESS.contains(&first)).unwrap_or(&self.folder)
    }

    /// Opens the root folder of the process, as a start for looking up paths.
    ///
    /// # Errors
    /// EACCES without the permission to trace the process; ENOENT or ESRCH when it has ended.
    pub(super) fn open_root(&self) -> io::Result<OwnedFd> {
        Ok(openat(self.folder_of("root"), "root", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Opens the file of one of its mappings, named `START-END` as in `map_files`.
    ///
    /// # Errors
    /// EPERM without CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the initial user namespace.
    pub(super) fn open_mapped(&self, range: &str, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(openat(&self.folder, format!("map_files/{range}"), flags | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Opens what one of its links leads to: `fd/3`.
    ///
    /// # Errors
    /// EACCES without the permission to trace the process; ENOENT when it has closed the file; ENXIO for a socket.
    pub(super) fn open_link(&self, link: &str, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(openat(self.folder_of(link), link, flags | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Effective user and group, from `status`.
    #[must_use]
    pub fn effective_ids(&self) -> Option<(u32, u32)> {
        let [[_, uid, ..], [_, gid, ..]] = credentials::ids(&self.read("status").ok()?)?;
        Some((uid, gid))
    }

    /// Reads one of its texts.
    ///
    /// # Errors
    /// What the system said, or that the text is longer than [`TEXT_LIMIT`]; ESRCH when the process has ended.
    pub fn read(&self, relative: &str) -> io::Result<Vec<u8>> {
        read_bounded(self.open(relative)?)
    }

    /// Opens one of its files for reading.
    ///
    /// # Errors
    /// What the system said; ESRCH when the process has ended.
    pub fn open(&self, relative: &str) -> io::Result<File> {
        Ok(File::from(openat(self.folder_of(relative), relative, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Reads one of its texts as an observation.
    #[must_use]
    pub fn observe(&self, relative: &str) -> Observation<Vec<u8>> {
        match self.read(relative) {
            Ok(text) => Observation::seen(text),
            Err(error) => unseen(&format!("{}/{relative}", self.pid), &error),
        }
    }

    /// The text of one of its links.
    #[must_use]
    pub fn link(&self, relative: &str) -> Observation<String> {
        match readlinkat(self.folder_of(relative), relative, Vec::new()) {
            Ok(text) => Observation::seen(text.to_string_lossy().into_owned()),
            Err(errno) => unseen(&format!("{}/{relative}", self.pid), &errno.into()),
        }
    }

    /// Every byte of one of its links.
    ///
    /// # Errors
    /// What the system said: EACCES without the permission to trace the process.
    pub fn link_bytes(&self, relative: &str) -> io::Result<Vec<u8>> {
        Ok(readlinkat(self.folder_of(relative), relative, Vec::new())?.into_bytes())
    }

    /// Names in one of its folders.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn names(&self, relative: &str) -> io::Result<Vec<String>> {
        let folder = openat(self.folder_of(relative), relative, FOLDER, Mode::empty())?;
        let entries = rustix::fs::Dir::read_from(folder)?;
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str().ok()?.to_owned()));
        Ok(names.filter(|name| name != "." && name != "..").collect())
    }

    /// Device and inode of the file that one of its links leads to: `fd/3`, `map_files/1000-9000`.
    ///
    /// folklore: stat(2) of a file on FUSE or NFS asks the server. When the server has died or cannot be reached, the
    /// call waits without a limit: one descriptor of any process would stop walscope. Device and inode are known
    /// without asking the server. Held by `a_descriptor_on_a_dead_fuse_mount_stops_nobody`.
    ///
    /// # Errors
    /// What the system said: for `map_files` EPERM without CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN.
    pub fn file_behind(&self, link: &str) -> io::Result<FileId> {
        let found = statx(self.folder_of(link), link, AtFlags::STATX_DONT_SYNC, StatxFlags::INO)?;
        let device = Device { major: found.stx_dev_major, minor: found.stx_dev_minor };
        Ok(FileId { device, inode: found.stx_ino })
    }

    /// Device and inode of the file that a path leads to below the root of this process. The lookup never leaves this
    /// root.
    ///
    /// # Errors
    /// What the system said: EACCES without the permission to trace the process.
    pub fn file_beneath_root(&self, path: &[u8]) -> io::Result<FileId> {
        let place = OFlags::PATH | OFlags::CLOEXEC;
        let root = openat(self.folder_of("root"), "root", place | OFlags::DIRECTORY, Mode::empty())?;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let file = openat2(&root, path, place | OFlags::NOFOLLOW, Mode::empty(), within)?;
        let found = fstat(&file)?;
        Ok(FileId { device: device(found.st_dev), inode: found.st_ino })
    }

    /// `comm`: the command's name, at most 15 bytes.
    #[must_use]
    pub fn command(&self) -> Option<String> {
        Some(text::command(&self.read("comm").ok()?))
    }

    /// Field 22 of `stat`: start of the process in clock ticks since boot. With the pid it names one process.
    #[must_use]
    pub fn start_time(&self) -> Option<u64> {
        text::start_time(&self.read("stat").ok()?)
    }
}

/// Whether a thread has ended, by its `stat`.
pub(super) fn has_ended(stat: &[u8]) -> bool {
    matches!(text::state(stat), Some('Z' | 'X' | 'x'))
}

fn read_bounded(file: File) -> io::Result<Vec<u8>> {
    // The buffer has capacity from the start: std would begin with a read of 32 bytes, and a text that comes in several
    // reads may be of several moments.
    let mut text = Vec::with_capacity(16 * 1024);
    file.take(TEXT_LIMIT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > TEXT_LIMIT {
        let message = format!("longer than {TEXT_LIMIT} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::unseen::vanished;

    #[test]
    fn a_fake_folder_lists_only_pids() {
        let root = tempfile::tempdir().unwrap();
        for name in ["12", "3", "self", "99999999999"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        std::fs::write(root.path().join("3/comm"), "sqlite3\n").unwrap();
        let proc = Proc::new(root.path());
        assert_eq!(proc.pids().unwrap(), [3, 12]);
        assert_eq!(proc.process(3).unwrap().command().as_deref(), Some("sqlite3"));
        assert!(vanished(&proc.process(4).unwrap_err()));
        assert!(matches!(proc.observe("locks"), Observation::Missing { .. }));
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_is_looked_at_through_another_one() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let stat = |state: char, start: u32| {
            format!("7 (app) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 {start} 20")
        };
        for (thread, state, maps) in [("7", 'Z', ""), ("8", 'X', ""), ("9", 'S', "of a thread")] {
            write(&format!("7/task/{thread}/stat"), &stat(state, 99));
            write(&format!("7/task/{thread}/maps"), maps);
            write(&format!("7/task/{thread}/fd/3"), "");
        }
        write("7/maps", "");
        std::fs::create_dir(root.path().join("7/fd")).unwrap();
        let proc = Proc::new(root.path());
        for (state, maps, descriptors) in [('Z', "of a thread", 1), ('S', "", 0)] {
            write("7/stat", &stat(state, 77));
            let process = proc.process(7).unwrap();
            assert_eq!((process.read("maps").unwrap(), process.start_time()), (maps.as_bytes().to_vec(), Some(77)));
            assert_eq!(process.names("fd").unwrap().len(), descriptors);
        }
    }
}
