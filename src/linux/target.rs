//! Where a path is looked up: from this process's root, or below the root of another process. The second way reaches
//! the files of a container from the host, without any program inside it.
//!
//! Below another root every link is followed as that process would follow it, and never out of that root:
//! openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS). The files there were made by others and are not trusted.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};
use rustix::io::Errno;

use crate::linux::file_id::same_file;
use crate::linux::open_error::OpenError;
use crate::linux::procfs::{Proc, Process};

/// So many times openat2 is tried: it fails with EAGAIN when folders on the way are renamed meanwhile.
const RENAMED_MEANWHILE: u32 = 64;

/// A path, and the process in whose view it is.
#[derive(Debug, Clone)]
pub struct Target {
    path: PathBuf,
    process: Option<Arc<Foreign>>,
    /// The container as the user named it, if the process was found by that name.
    container: Option<Arc<str>>,
}

/// Another process, held by descriptors. When it ends and its pid is reused, this still means the first process.
#[derive(Debug)]
struct Foreign {
    process: Process,
    root: OwnedFd,
    /// The path of its root as `readlink` prints it here. It is removed from paths that the kernel prints for us. Empty
    /// for the root of a mount namespace, which is printed as `/`.
    prefix: PathBuf,
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Target {
    /// The path as this process sees it.
    fn from(path: &P) -> Self {
        Self { path: path.as_ref().to_owned(), process: None, container: None }
    }
}

impl Target {
    /// The path as process `pid` sees it. It must be absolute.
    ///
    /// # Errors
    /// When there is no such process, when the path is relative, or when this user may not look into the process's
    /// root. That needs the permission to trace it: CAP_SYS_PTRACE, or the same user with at least its capabilities.
    pub fn of_process(pid: u32, path: &Path) -> Result<Self, OpenError> {
        let shown = || PathBuf::from(format!("pid:{pid}:{}", path.display()));
        if !path.is_absolute() {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "needed an absolute path");
            return Err(OpenError::new(&shown(), "cannot be looked up in another process", why));
        }
        let foreign = Foreign::bind(pid);
        let foreign = foreign.map_err(|why| OpenError::new(&shown(), "looking through the process's root", why))?;
        Ok(Self { path: path.to_owned(), process: Some(Arc::new(foreign)), container: None })
    }

    /// The path, as its process sees it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pid of the process in whose view the path is; `None`: this process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|foreign| foreign.process.pid)
    }

    /// Whether something exists at this path, also a dangling link. `true` also when that is not known: opening will
    /// then give the reason.
    #[must_use]
    pub fn exists(&self) -> bool {
        let there = self.open(OFlags::PATH | OFlags::NOFOLLOW);
        !there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// The root folder of a process that is already held by a descriptor.
    pub(super) fn of_bound(process: &Process) -> io::Result<Self> {
        let foreign = Foreign::of(process.try_clone()?)?;
        Ok(Self { path: PathBuf::from("/"), process: Some(Arc::new(foreign)), container: None })
    }

    /// The same place, printed with the container's name as the user wrote it.
    pub(super) fn in_container(mut self, name: &str) -> Self {
        self.container = Some(Arc::from(name));
        self
    }

    /// Turns a path that the kernel printed for this process into the path that the target's process sees.
    pub(super) fn take_off_prefix(&self, printed: &Path) -> PathBuf {
        self.process.as_ref().map_or_else(|| printed.to_owned(), |foreign| foreign.take_off(printed))
    }

    /// What lies at a path below this one, in the view of the same process.
    #[must_use]
    pub fn beneath(&self, path: &Path) -> Self {
        self.at(self.path.join(path))
    }

    /// The target as a SOURCE, every byte of the path kept.
    pub(super) fn source(&self) -> OsString {
        let mut source = match (&self.container, self.pid()) {
            (Some(name), _) => OsString::from(format!("{name}:")),
            (None, Some(pid)) => OsString::from(format!("pid:{pid}:")),
            (None, None) => OsString::new(),
        };
        source.push(&self.path);
        source
    }

    /// Another path of the same process.
    pub(super) fn at(&self, path: PathBuf) -> Self {
        Self { path, process: self.process.clone(), container: self.container.clone() }
    }

    /// The process in whose view the path is.
    pub(super) fn process(&self, proc: &Proc) -> io::Result<Process> {
        match &self.process {
            Some(foreign) => foreign.process.try_clone(),
            None => proc.this_process(),
        }
    }

    /// Opens the path itself. Links on the way are followed; the last one is not with O_NOFOLLOW.
    pub(super) fn open(&self, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let Some(foreign) = &self.process else { return Ok(openat(CWD, &self.path, flags, Mode::empty())?) };
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut left = RENAMED_MEANWHILE;
        loop {
            match openat2(&foreign.root, &self.path, flags, Mode::empty(), within) {
                Err(Errno::AGAIN) if left > 0 => left -= 1,
                Err(Errno::NOSYS) => {
                    return Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel has no openat2 (Linux 5.6)"));
                }
                other => return Ok(other?),
            }
        }
    }

    /// Where the link at the path leads. Fails when the path is no link.
    pub(super) fn read_link(&self) -> io::Result<PathBuf> {
        if self.process.is_none() {
            return fs::read_link(&self.path);
        }
        let link = self.open(OFlags::PATH | OFlags::NOFOLLOW)?;
        Ok(PathBuf::from(OsString::from_vec(readlinkat(&link, "", Vec::new())?.into_bytes())))
    }

    /// The canonical path of a folder that the path led to, as the process sees it; checked by identity.
    ///
    /// folklore: `realpath` reads `/proc/PID/root` as a link to `/`, and then ends in another folder than the kernel.
    /// So its answer is checked by identity. man 5 proc_pid_root; held by `a_path_through_another_root_stays_there`.
    pub(super) fn canonical(&self, folder: &File) -> Option<PathBuf> {
        let canonical = match &self.process {
            None => fs::canonicalize(&self.path).ok()?,
            Some(foreign) => foreign.take_off(&printed(folder)?),
        };
        let other = self.at(canonical.clone()).open(OFlags::PATH | OFlags::DIRECTORY).ok()?;
        same_file(&File::from(other), folder).then_some(canonical)
    }

    /// The prefix that the kernel prints before paths of this process when they are read from here.
    pub(super) fn prefix(&self) -> &Path {
        self.process.as_ref().map_or(Path::new(""), |foreign| &foreign.prefix)
    }
}

impl Foreign {
    fn bind(pid: u32) -> io::Result<Self> {
        let process = Proc::system().process(pid).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                io::Error::new(io::ErrorKind::NotFound, format!("no process {pid} is seen from here"))
            }
            _ => error,
        })?;
        Self::of(process)
    }

    fn of(process: Process) -> io::Result<Self> {
        let root = process.open_root()?;
        let prefix = printed(&root).filter(|printed| printed != Path::new("/")).unwrap_or_default();
        Ok(Self { process, root, prefix })
    }

    fn take_off(&self, printed: &Path) -> PathBuf {
        match printed.strip_prefix(&self.prefix) {
            Ok(rest) if !self.prefix.as_os_str().is_empty() => Path::new("/").join(rest),
            _ => printed.to_owned(),
        }
    }
}

/// The path of an open file as the kernel prints it for this process.
pub(super) fn printed(file: &impl AsRawFd) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

impl std::fmt::Display for Target {
    /// Prints the target as a SOURCE: `PATH`, `NAME:PATH` or `pid:N:PATH`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", Path::new(&self.source()).display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_there_and_a_relative_path_are_named() {
        let gone = Target::of_process(u32::MAX, Path::new("/t.db")).unwrap_err().to_string();
        assert!(gone.contains("pid:4294967295:/t.db") && gone.contains("no process 4294967295"), "{gone}");
        let relative = Target::of_process(std::process::id(), Path::new("t.db")).unwrap_err().to_string();
        assert!(relative.contains("absolute"), "{relative}");
    }

    #[test]
    fn one_s_own_root_through_proc_is_the_same_root() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::of_process(std::process::id(), folder.path()).unwrap();
        let opened = File::from(target.open(OFlags::PATH | OFlags::DIRECTORY).unwrap());
        assert_eq!(target.canonical(&opened), Some(fs::canonicalize(folder.path()).unwrap()));
        assert_eq!(target.to_string(), format!("pid:{}:{}", std::process::id(), folder.path().display()));
    }
}
