//! Two containers made by hand: each has user, mount and PID namespaces and its own root. Volumes are folders.
//!
//! Two stages, each a fresh single-threaded process: `enter` makes the namespaces, and its child `inside`, the first
//! process of the new PID namespace, builds the root and becomes the actor.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_remount, unmount,
};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use super::actor;
use super::folder::Folder;
use super::payload::{LIBRARIES, PROGRAM, Payload};
use super::peer::{Peer, Start};
use super::protocol::{CopiedFile, Reply, Request};
use super::runtime::{ALSO, DATA, DATABASE, Kind, Runtime, Unavailable, View};
use super::volume::{Volume, Volumes};
use crate::stop::Stop;

/// Where bundles are written, inside.
const BUNDLES: &str = "/bundles";

/// What the inside of one container looks like.
#[derive(Debug, Serialize, Deserialize)]
struct Inside {
    /// `writer` or `reader`.
    side: String,
    /// An empty folder that becomes the root.
    root: OsString,
    /// Files and folders to mount, outside and inside, in this order.
    mounts: Vec<(OsString, OsString)>,
    /// Whether `/data` is mounted read-only.
    read_only: bool,
}

/// Namespaces.
pub struct Namespaces {
    volumes: Volumes,
    bundles: PathBuf,
    root: PathBuf,
    payload: Payload,
    stop: Stop,
}

impl Namespaces {
    /// Tests the namespaces with a container that does nothing. The inner error says why they are not possible.
    pub fn new(folder: &Folder, stop: &Stop) -> anyhow::Result<Result<Self, Unavailable>> {
        let this = Self {
            volumes: Volumes::new(folder, stop)?,
            bundles: folder.sub("bundles")?,
            root: folder.sub("root")?,
            payload: Payload::of_this_program()?,
            stop: stop.clone(),
        };
        Ok(match this.enter("trial", Vec::new(), false)? {
            Start::Ready(_) => Ok(this),
            Start::Unavailable(reason) => Err(Unavailable(reason)),
        })
    }

    fn enter(&self, name: &'static str, own: Vec<(PathBuf, PathBuf)>, read_only: bool) -> anyhow::Result<Start> {
        let mounts = with_payload(&self.payload, own).map(|(outside, inside)| (outside.into(), inside.into()));
        let (side, root) = (name.to_owned(), self.root.clone().into());
        let inside = serde_json::to_string(&Inside { side, root, mounts: mounts.collect(), read_only })?;
        let mut command = Command::new(std::env::current_exe()?);
        Peer::start(name, command.args(["lab", "enter", &inside]), &self.stop)
    }
}

impl Runtime for Namespaces {
    fn kind(&self) -> Kind {
        Kind::Namespaces
    }

    fn volume(&mut self, volume: &Volume) -> anyhow::Result<()> {
        self.volumes.make(volume)
    }

    fn copy(&mut self, from: &'static str, to: &'static str) -> anyhow::Result<Vec<CopiedFile>> {
        self.volumes.copy(from, to)
    }

    fn start(&mut self, view: &View) -> anyhow::Result<Peer> {
        if view.jailed_at.is_some() {
            return self.volumes.jail(view);
        }
        let mut mounts = vec![(self.bundles.clone(), BUNDLES.into()), (self.volumes.path(view.volume), DATA.into())];
        mounts.extend(view.database_of.map(|other| (self.volumes.path(other).join(DATABASE), self.database(view))));
        mounts.extend(view.also.map(|also| (self.volumes.path(also), ALSO.into())));
        self.enter(view.name, mounts, view.read_only)?.ready()
    }

    fn data(&self, view: &View) -> PathBuf {
        view.jailed_at.map_or_else(|| DATA.into(), |at| self.volumes.path(at))
    }

    fn also(&self, _view: &View) -> PathBuf {
        ALSO.into()
    }

    fn program(&self, _view: &View) -> anyhow::Result<PathBuf> {
        Ok(PROGRAM.into())
    }

    fn volumes(&mut self) -> Option<&mut Volumes> {
        Some(&mut self.volumes)
    }

    fn snapshot(&mut self, peer: &mut Peer, view: &View, bundle: &Path) -> anyhow::Result<()> {
        if view.jailed_at.is_some() {
            return self.volumes.snapshot_in_jail(peer, view, bundle);
        }
        let name = format!("{}.part", view.name);
        let request = Request::Snapshot {
            program: PROGRAM.into(),
            database: self.database(view).into(),
            bundle: Path::new(BUNDLES).join(&name).into(),
        };
        peer.demand(&request)?;
        deliver(&self.bundles.join(name), bundle)
    }

    fn source(&self, peer: &Peer, view: &View) -> OsString {
        peer.source(&self.database(view))
    }
}

/// What a root has to have so that this program runs there, and what it has besides: outside and inside.
pub fn with_payload(payload: &Payload, own: Vec<(PathBuf, PathBuf)>) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    // SQLite gets its salts from one of the two devices; the other is the standard input of a child.
    let devices = ["/dev/null", "/dev/urandom"].map(|device| (PathBuf::from(device), PathBuf::from(device)));
    let files = payload.files.iter().map(|(inside, outside)| (outside.clone(), inside.clone()));
    files.chain(devices).chain(own)
}

/// Moves a bundle to its destination, perhaps on another file system. Never overwrites a file.
pub fn deliver(from: &Path, to: &Path) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let mut file = file.with_context(|| to.display().to_string())?;
    std::io::copy(&mut File::open(from).with_context(|| from.display().to_string())?, &mut file)
        .with_context(|| to.display().to_string())?;
    fs::remove_file(from).with_context(|| from.display().to_string())
}

/// The stage `enter`: makes the namespaces and starts the stage `inside` in them; ends as that ends.
pub fn enter(inside: &str) -> anyhow::Result<()> {
    if let Err(error) = unshare() {
        return unavailable(&error);
    }
    let status = Command::new(std::env::current_exe()?).args(["lab", "inside", inside]).status()?;
    if status.success() { Ok(()) } else { bail!("the first process of the namespaces: {status}") }
}

/// The stage `inside`: builds the root and becomes the actor.
pub fn inside(inside: &str) -> anyhow::Result<()> {
    let inside: Inside = serde_json::from_str(inside)?;
    // The pid as seen from outside is read while /proc is still the one of the outside.
    let outside = fs::read_link("/proc/self").context("/proc/self")?;
    if let Err(error) = build(&inside) {
        return unavailable(&error);
    }
    let error = Command::new(PROGRAM)
        .args(["lab", "actor", &inside.side, "--pid"])
        .arg(outside)
        .env_clear()
        .env("LD_LIBRARY_PATH", OsString::from(LIBRARIES))
        .exec();
    unavailable(&anyhow::Error::new(error).context("running the executable inside"))
}

fn unavailable(error: &anyhow::Error) -> anyhow::Result<()> {
    actor::reply(&Reply::Unavailable { reason: format!("{error:#}") })
}

fn unshare() -> anyhow::Result<()> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let own = UnshareFlags::NEWNS | UnshareFlags::NEWPID;
    match new_namespaces(UnshareFlags::NEWUSER | own) {
        Ok(()) => {
            // An ordinary user may map a group only after setgroups(2) is denied.
            write("/proc/self/setgroups", "deny")?;
            write("/proc/self/uid_map", &format!("0 {uid} 1"))?;
            write("/proc/self/gid_map", &format!("0 {gid} 1"))
        }
        // Where user namespaces are switched off, root does not need them.
        Err(error) if uid.is_root() => new_namespaces(own).map_err(|_| error).context("unshare"),
        Err(error) => Err(error).context("unshare"),
    }
}

/// Gives the caller its own mount namespace.
pub fn new_mounts() -> Result<(), Errno> {
    new_namespaces(UnshareFlags::NEWNS)
}

#[expect(deprecated, reason = "its successor is unsafe for the sake of CLONE_FILES alone, which is not used here")]
fn new_namespaces(flags: UnshareFlags) -> Result<(), Errno> {
    rustix::thread::unshare(flags)
}

fn write(path: &str, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| path.to_owned())
}

/// Mounts everything below the new root and moves into it.
fn build(inside: &Inside) -> anyhow::Result<()> {
    let root = Path::new(&inside.root);
    // No mount made here may become visible outside.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("mount --make-rprivate /")?;
    furnish(root, inside.mounts.iter().map(|(outside, inside)| (Path::new(outside), Path::new(inside))))?;
    if inside.read_only {
        read_only(&below(root, Path::new(DATA))?)?;
    }
    std::env::set_current_dir(root)?;
    rustix::process::pivot_root(".", ".").context("pivot_root")?;
    unmount(".", UnmountFlags::DETACH).context("detaching the old root")?;
    std::env::set_current_dir("/").context("the new root")
}

/// Mounts a root, and everything in it.
pub fn furnish<'a>(root: &Path, mounts: impl Iterator<Item = (&'a Path, &'a Path)>) -> anyhow::Result<()> {
    mount("tmpfs", root, "tmpfs", MountFlags::NOSUID, c"mode=0755").context("mounting a tmpfs")?;
    for (outside, target) in mounts {
        bind(outside, &below(root, target)?)?;
    }
    // The new /proc is mounted while the old one is still visible: the kernel refuses it to a user namespace that sees
    // no /proc.
    let proc = below(root, Path::new("/proc"))?;
    fs::create_dir(&proc)?;
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", &proc, "proc", safe, None).context("mounting /proc")?;
    fs::create_dir_all(below(root, Path::new("/tmp"))?)?;
    Ok(())
}

/// Makes a bind mount read-only. In a user namespace the other flags of the mount have to stay.
fn read_only(target: &Path) -> anyhow::Result<()> {
    let found = rustix::fs::statvfs(target).with_context(|| target.display().to_string())?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = kept.into_iter().filter(|(there, _)| found.contains(*there)).map(|(_, flag)| flag);
    let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, |flags, flag| flags | flag);
    mount_remount(target, flags, "").with_context(|| format!("mounting {} read-only", target.display()))
}

/// The path outside of a root of what has this path inside.
pub fn below(root: &Path, inside: &Path) -> anyhow::Result<PathBuf> {
    Ok(root.join(inside.strip_prefix("/").context("a path inside")?))
}

fn bind(outside: &Path, target: &Path) -> anyhow::Result<()> {
    if outside.is_dir() {
        fs::create_dir_all(target).with_context(|| target.display().to_string())?;
    } else {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        // In a volume the file stays as a mount point, as it does with Docker.
        File::create(target).with_context(|| target.display().to_string())?;
    }
    mount_bind(outside, target).with_context(|| format!("mounting {}", outside.display()))
}
