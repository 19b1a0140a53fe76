//! Volumes that are disks: files on loop devices, each with a file system of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use walscope::linux::child;

use super::runtime::Unavailable;
use super::scenario::Need;
use super::volume::Volumes;
use crate::output;

/// How long a command may take, and how long a file system may stay in use after its last process has ended.
const AT_MOST: Duration = Duration::from_secs(60);
/// Time between two looks whether a device is still in use.
const GLANCE: Duration = Duration::from_millis(5);

/// The file system of a disk.
#[derive(Debug)]
pub struct FileSystem {
    name: &'static str,
    /// Bytes of a disk: little more than the smallest that its mkfs accepts.
    size: u64,
    /// What its mkfs is told besides the file.
    quiet: &'static [&'static str],
    /// The subvolume that is made in it.
    subvolume: Option<&'static str>,
    /// What it needs of the machine.
    pub needs: &'static [Need],
}

/// ext4.
pub static EXT4: FileSystem = FileSystem {
    name: "ext4",
    size: 16 << 20,
    quiet: &["-q", "-F"],
    subvolume: None,
    needs: &[Need::Root, Need::Loop],
};

/// btrfs, with the subvolume `v`.
pub static BTRFS: FileSystem = FileSystem {
    name: "btrfs",
    size: 128 << 20,
    quiet: &["-q", "-f"],
    subvolume: Some("v"),
    needs: &[Need::Root, Need::Loop, Need::Btrfs],
};

/// A file on a loop device that is mounted.
///
/// The device is told to vanish with its last user at once, and this value is a user. So it vanishes however the lab
/// ends.
#[derive(Debug)]
pub struct Disk {
    kind: &'static FileSystem,
    image: PathBuf,
    device: PathBuf,
    _user: File,
    mounted_at: Option<PathBuf>,
}

impl Disk {
    /// Makes a disk with an empty file system, and mounts it.
    pub fn make(kind: &'static FileSystem, image: PathBuf, target: PathBuf) -> anyhow::Result<Self> {
        let file = File::create_new(&image).with_context(|| image.display().to_string())?;
        file.set_len(kind.size)?;
        drop(file);
        run(Command::new(format!("mkfs.{}", kind.name)).args(kind.quiet).arg(&image))?;
        let mut disk = Self::attach(kind, image)?;
        disk.mount(target.clone())?;
        if let Some(name) = kind.subvolume {
            run(Command::new("btrfs").args(["--quiet", "subvolume", "create"]).arg(target.join(name)))?;
        }
        Ok(disk)
    }

    fn attach(kind: &'static FileSystem, image: PathBuf) -> anyhow::Result<Self> {
        let device = PathBuf::from(run(Command::new("losetup").args(["--find", "--show"]).arg(&image))?);
        let user = File::open(&device).with_context(|| device.display().to_string());
        // While it is in use, "detach" means: with the last user.
        run(Command::new("losetup").arg("--detach").arg(&device))?;
        Ok(Self { kind, image, device, _user: user?, mounted_at: None })
    }

    fn mount(&mut self, target: PathBuf) -> anyhow::Result<()> {
        mount(&self.device, &target, self.kind.name, MountFlags::empty(), None)
            .map_err(|error| Unavailable(format!("no {} can be mounted here: {error}", self.kind.name)))?;
        self.mounted_at = Some(target);
        Ok(())
    }

    /// Unmounts it, waits until no namespace of an ended process has it any more, and returns where it was mounted.
    fn unmount(&mut self) -> anyhow::Result<PathBuf> {
        let target = self.mounted_at.take().context("the disk is not mounted")?;
        unmount(&target, UnmountFlags::empty()).with_context(|| target.display().to_string())?;
        let begun = Instant::now();
        loop {
            // O_EXCL on a device: refused while a file system uses it.
            match rustix::fs::open(&self.device, OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC, Mode::empty()) {
                Ok(device) => {
                    rustix::fs::fsync(device)?;
                    return Ok(target);
                }
                Err(Errno::BUSY) if begun.elapsed() < AT_MOST => std::thread::sleep(GLANCE),
                Err(error) => return Err(error).with_context(|| self.device.display().to_string()),
            }
        }
    }

    /// Where a copy of its content is kept.
    fn kept(&self) -> PathBuf {
        self.image.with_extension("then")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(target) = &self.mounted_at
            && let Err(error) = unmount(target, UnmountFlags::DETACH)
        {
            output::complain(&format!("walscope: {} is left mounted: {error}\n", target.display()));
        }
    }
}

impl Volumes {
    fn disk(&mut self, name: &str) -> anyhow::Result<&mut Disk> {
        self.disks.get_mut(name).with_context(|| format!("{name} is no disk"))
    }

    /// Keeps a copy of the content of a disk.
    pub fn keep_content(&mut self, name: &str) -> anyhow::Result<()> {
        let disk = self.disk(name)?;
        let target = disk.unmount()?;
        fs::copy(&disk.image, disk.kept()).with_context(|| disk.image.display().to_string())?;
        disk.mount(target)
    }

    /// Puts the kept content back onto the device, and mounts that in the place `other`. What the disk has now goes on in
    /// its old place, on another device.
    pub fn put_back(&mut self, name: &'static str, other: &'static str) -> anyhow::Result<()> {
        let elsewhere = self.folder(other)?;
        let disk = self.disk(name)?;
        let target = disk.unmount()?;
        let now = disk.image.with_extension("now");
        fs::copy(&disk.image, &now).with_context(|| disk.image.display().to_string())?;
        let mut device = File::options().write(true).open(&disk.device)?;
        std::io::copy(&mut File::open(disk.kept())?, &mut device).with_context(|| disk.device.display().to_string())?;
        device.sync_all()?;
        drop(device);
        disk.mount(elsewhere)?;
        let mut goes_on = Disk::attach(disk.kind, now)?;
        goes_on.mount(target)?;
        if let Some(old) = self.disks.insert(name, goes_on) {
            self.disks.insert(other, old);
        }
        Ok(())
    }

    /// Makes the snapshot `s` of a btrfs disk's subvolume `v`.
    pub fn snapshot_subvolume(&mut self, name: &str) -> anyhow::Result<()> {
        let folder = self.path(name);
        let mut command = Command::new("btrfs");
        command.args(["--quiet", "subvolume", "snapshot"]).args([folder.join("v"), folder.join("s")]);
        run(&mut command).map(drop)
    }
}

/// Runs a command of the system to its end. One that is missing or fails cannot be had here.
fn run(command: &mut Command) -> anyhow::Result<String> {
    let name = Path::new(command.get_program()).display().to_string();
    let ended = match child::run(command, None, None, AT_MOST) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Unavailable(format!("it needs {name}: {error}")).into());
        }
        ended => ended.with_context(|| name.clone())?,
    };
    let said = ended.success(&name);
    match said {
        Ok(said) => Ok(said),
        Err(error) if name == "losetup" => Err(Unavailable(format!("it needs a loop device: {error}")).into()),
        Err(error) => bail!("{error}"),
    }
}
