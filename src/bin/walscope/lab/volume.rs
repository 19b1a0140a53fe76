//! Volumes on this machine: folders, and mounts over folders that only the lab sees.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::process::Signal;

use super::actor;
use super::disk::{Disk, FileSystem};
use super::folder::Folder;
use super::jail::Jail;
use super::peer::Peer;
use super::protocol::CopiedFile;
use super::runtime::Unavailable;
use super::scenario::Need;
use crate::output;
use crate::stop::Stop;

/// How long a FUSE daemon may take to mount.
const MOUNTING: Duration = Duration::from_secs(30);
/// Time between two checks whether the daemon has ended or the user wants to stop.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A volume.
#[derive(Debug)]
pub struct Volume {
    /// Its name in views.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
}

/// What a volume is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A folder.
    Folder,
    /// An overlay mount with upper and work folders of its own.
    Overlay {
        /// The volume that is the lower layer.
        lower: &'static str,
    },
    /// A FUSE mount of another volume, by bindfs.
    Fuse {
        /// The other volume.
        of: &'static str,
        /// Whether it forwards locks to the folder. Otherwise the kernel keeps the locks of each mount separately.
        forwards_locks: bool,
    },
    /// A disk of its own, with this file system.
    Disk(&'static FileSystem),
    /// A place where a disk is mounted later.
    Place,
}

impl Kind {
    /// What it needs of the machine.
    pub fn needs(self) -> &'static [Need] {
        match self {
            Self::Folder | Self::Place => &[],
            Self::Overlay { .. } => &[Need::Root],
            Self::Fuse { .. } => &[Need::Root, Need::Fuse],
            Self::Disk(file_system) => file_system.needs,
        }
    }
}

impl Volume {
    /// Whether it is more than a folder.
    pub fn is_mount(&self) -> bool {
        !self.kind.needs().is_empty()
    }
}

/// Gives this process, and the processes that it starts, a private mount namespace. Its mounts vanish with the last of
/// these processes. Call this before any thread is started: only later threads of the caller get the namespace.
pub fn private_mounts() -> anyhow::Result<()> {
    let refused = |what: &str| Unavailable(format!("its mounts need root ({what})"));
    super::namespaces::new_mounts().map_err(|error| refused(&format!("unshare: {error}")))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| refused(&format!("mount --make-rprivate /: {error}")))?;
    Ok(())
}

/// Volumes in the lab's folder. Their mounts are removed when this is dropped.
pub struct Volumes {
    pub(super) place: PathBuf,
    pub(super) stop: Stop,
    mounts: Vec<Mount>,
    pub(super) disks: BTreeMap<&'static str, Disk>,
    pub(super) jails: BTreeMap<&'static str, Jail>,
}

/// A mount, and the daemon that serves it.
struct Mount {
    target: PathBuf,
    daemon: Option<Child>,
}

impl Volumes {
    /// No volumes yet; they will be in `folder`.
    pub fn new(folder: &Folder, stop: &Stop) -> anyhow::Result<Self> {
        Ok(Self {
            place: folder.sub("volumes")?,
            stop: stop.clone(),
            mounts: Vec::new(),
            disks: BTreeMap::new(),
            jails: BTreeMap::new(),
        })
    }

    /// Starts an actor that is a process of this machine, in no container.
    pub fn process(&self, name: &'static str) -> anyhow::Result<Peer> {
        let program = std::env::current_exe()?;
        Peer::start(name, Command::new(program).args(["lab", "actor", name]), &self.stop)?.ready()
    }

    /// The path of a volume.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// Copies the database with its `-wal` and `-shm` from one volume to another, while nobody writes.
    pub fn copy(&self, from: &str, to: &str) -> anyhow::Result<Vec<CopiedFile>> {
        actor::copy(&self.path(from), &self.path(to))
    }

    /// Makes a volume.
    pub fn make(&mut self, volume: &Volume) -> anyhow::Result<()> {
        let target = self.folder(volume.name)?;
        match volume.kind {
            Kind::Folder | Kind::Place => Ok(()),
            Kind::Disk(kind) => {
                let disk = Disk::make(kind, self.place.join(format!("{}.img", volume.name)), target)?;
                self.disks.insert(volume.name, disk);
                Ok(())
            }
            Kind::Overlay { lower } => self.overlay(volume.name, lower, target),
            Kind::Fuse { of, forwards_locks } => self.fuse(of, forwards_locks, target),
        }
    }

    /// A folder for this volume.
    pub(super) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    fn overlay(&mut self, name: &str, lower: &str, target: PathBuf) -> anyhow::Result<()> {
        let (upper, work) = (self.folder(&format!("{name}-upper"))?, self.folder(&format!("{name}-work"))?);
        let mut options = Vec::new();
        for (option, path) in [("lowerdir=", &self.path(lower)), (",upperdir=", &upper), (",workdir=", &work)] {
            options.extend(option.bytes());
            options.extend(escaped(path));
        }
        let options = CString::new(options)?;
        mount("overlay", &target, "overlay", MountFlags::empty(), options.as_c_str())
            .map_err(|error| Unavailable(format!("no overlay can be mounted here: {error}")))?;
        self.mounts.push(Mount { target, daemon: None });
        Ok(())
    }

    fn fuse(&mut self, of: &str, forwards_locks: bool, target: PathBuf) -> anyhow::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["lab", "attend", "bindfs", "-f"]);
        command.args(forwards_locks.then_some(["--enable-lock-forwarding", "--multithreaded"]).into_iter().flatten());
        command.args([self.path(of).as_path(), &target]).process_group(0);
        let pipes = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = pipes.spawn().context("starting bindfs")?;
        let mut made = Mount { target, daemon: Some(daemon) };
        made.wait(&self.stop)?;
        self.mounts.push(made);
        Ok(())
    }
}

impl Mount {
    /// Waits until the daemon has mounted. The kernel reports changes of the mount table to processes that poll it.
    fn wait(&mut self, stop: &Stop) -> anyhow::Result<()> {
        let deadline = Instant::now() + MOUNTING;
        let device = |path: &Path| rustix::fs::stat(path).map(|stat| stat.st_dev);
        let parent = self.target.parent().map(device).transpose()?;
        while Instant::now() < deadline {
            let table = File::open("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
            if device(&self.target).ok() != parent {
                return Ok(());
            }
            if let Some(status) = self.daemon.as_mut().map(Child::try_wait).transpose()?.flatten() {
                return Err(Unavailable(format!("bindfs mounts nothing here: {status}")).into());
            }
            stop.check()?;
            match poll(&mut [PollFd::from_borrowed_fd(table.as_fd(), PollFlags::PRI)], Some(&GLANCE)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("/proc/self/mountinfo"),
            }
        }
        bail!("bindfs: nothing mounted within {} s", MOUNTING.as_secs())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // The daemon is ended first, so that it does not mount after the unmounting.
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // Processes that have files open there keep them, but no path leads there any more. A daemon may have mounted
        // nothing yet.
        if let Err(error) = unmount(&self.target, UnmountFlags::DETACH)
            && self.daemon.is_none()
        {
            output::complain(&format!("walscope: {} is left mounted: {error}\n", self.target.display()));
        }
    }
}

/// The role `attend`: becomes a program that dies with the lab, however the lab ends.
pub fn attend(program: &[std::ffi::OsString]) -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let (name, arguments) = program.split_first().context("a program")?;
    Err(Command::new(name).args(arguments).exec()).with_context(|| name.display().to_string())
}

/// Escapes a path for mount options: there a comma ends an option and a colon ends a folder, unless a backslash
/// precedes them.
fn escaped(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes().iter();
    bytes.flat_map(|byte| b",:\\".contains(byte).then_some(b'\\').into_iter().chain([*byte])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_end_a_mount_option() {
        assert_eq!(escaped(Path::new("/a,b:c\\d")), b"/a\\,b\\:c\\\\d");
    }
}
