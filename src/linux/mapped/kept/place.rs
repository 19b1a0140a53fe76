//! Where a file is, in a form that does not depend on who looks: the device, and the path inside of the file system.
//!
//! One folder can have several paths: bind mounts, and a container's volume. `/proc/PID/fd/N` prints the path by which the
//! process opened the file; `mnt_id` in fdinfo tells the mount, and mountinfo which folder of which file system is mounted
//! there. Numbers of mounts are those of the whole system.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::evidence::Mount;
use crate::linux::file_id::id_of;
use crate::linux::procfs::{Proc, Process};
use crate::linux::stat;
use crate::linux::target::{Target, printed};
use crate::linux::text::{fdinfo, mountinfo};
use crate::number::Device;

/// A path inside of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::linux::mapped) struct Place {
    device: Device,
    pub(super) path: PathBuf,
}

impl Place {
    /// Whether it is below a folder.
    pub(super) fn is_beneath(&self, folder: &Self) -> bool {
        self.device == folder.device && self.path != folder.path && self.path.starts_with(&folder.path)
    }

    /// The place of a name with something after it.
    pub(super) fn with_suffix(&self, suffix: &str) -> Self {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        Self { device: self.device, path: path.into() }
    }
}

type Mounts = BTreeMap<u64, Mount>;

fn mounts(process: &Process) -> Mounts {
    let text = process.read("mountinfo").unwrap_or_default();
    mountinfo::parse(&text).unwrap_or_default().into_iter().map(|mount| (mount.id, mount)).collect()
}

/// The mounts of this process, and those of all mount namespaces.
pub(in crate::linux::mapped) struct Here {
    own: Mounts,
    all: OnceCell<Mounts>,
}

impl Here {
    pub(in crate::linux::mapped) fn new(proc: &Proc) -> Self {
        let own = proc.this_process().map(|this| mounts(&this)).unwrap_or_default();
        Self { own, all: OnceCell::new() }
    }

    /// The mounts of every visible process. A process can have a file open through the root of another one, on a mount that is
    /// none of its own.
    fn all(&self) -> &Mounts {
        self.all.get_or_init(|| {
            let proc = Proc::system();
            let processes = proc.pids().unwrap_or_default().into_iter().filter_map(|pid| proc.process(pid).ok());
            let (mut known, mut all) = (BTreeSet::new(), Mounts::new());
            for process in processes {
                if let Some(namespace) = process.link("ns/mnt").value()
                    && known.insert(namespace.clone())
                {
                    all.extend(mounts(&process));
                }
            }
            all
        })
    }

    /// The device of the folder of a path that exists.
    pub(super) fn device_of(target: &Target, path: &Path) -> Option<Device> {
        Some(id_of(&existing(target, path)?.1).ok()?.device)
    }

    /// The place of a path, as far as its folders exist; `None`: not known.
    pub(in crate::linux::mapped) fn place_of(&self, proc: &Proc, target: &Target, path: &Path) -> Option<Place> {
        let (folder, at) = existing(target, path)?;
        let mount = *stat::mount_id(proc, &at).value()?;
        let process = target.process(proc).ok()?;
        let mut place = View::of(self, &process).place(mount, &printed(&at)?)?;
        place.path.push(path.strip_prefix(folder).ok()?);
        Some(place)
    }
}

/// The path if it is a folder, or else the nearest folder above it that exists.
fn existing<'a>(target: &Target, path: &'a Path) -> Option<(&'a Path, File)> {
    path.ancestors().find_map(|folder| {
        let opened = target.at(folder.to_owned()).open(OFlags::PATH | OFlags::DIRECTORY).ok()?;
        Some((folder, File::from(opened)))
    })
}

/// The mounts of one process.
pub(in crate::linux::mapped) struct View<'p> {
    here: &'p Here,
    process: &'p Process,
    theirs: OnceCell<Mounts>,
    target: OnceCell<Option<Target>>,
}

impl<'p> View<'p> {
    pub(in crate::linux::mapped) fn of(here: &'p Here, process: &'p Process) -> Self {
        Self { here, process, theirs: OnceCell::new(), target: OnceCell::new() }
    }

    /// The place of a path that the kernel printed here, on a mount with this number. `None`: not known, because the mount was
    /// taken away (`umount -l`).
    pub(in crate::linux::mapped) fn place(&self, mount: u64, printed: &Path) -> Option<Place> {
        let within = |mount: &Mount, path: &Path| {
            let rest = path.strip_prefix(&mount.mount_point).ok()?;
            // A file can be mounted, too.
            let path =
                if rest.as_os_str().is_empty() { mount.root.clone().into() } else { Path::new(&mount.root).join(rest) };
            Some(Place { device: mount.device, path })
        };
        if let Some(mount) = self.here.own.get(&mount) {
            return within(mount, printed);
        }
        match self.mounts().get(&mount) {
            Some(mount) => within(mount, &self.seen(printed)),
            None => within(self.here.all().get(&mount)?, printed),
        }
    }

    fn mounts(&self) -> &Mounts {
        self.theirs.get_or_init(|| mounts(self.process))
    }

    /// Whether its mounts could be read. Those of a process that is ending cannot.
    pub(super) fn knows_mounts(&self) -> bool {
        !self.mounts().is_empty()
    }

    /// The number of the mount of a descriptor; `None`: it was closed meanwhile.
    pub(in crate::linux::mapped) fn mount_of(&self, descriptor: u32) -> Option<u64> {
        fdinfo::mount_id(&self.process.read(&format!("fdinfo/{descriptor}")).ok()?)
    }

    /// A path that the kernel printed here, as the process sees it.
    pub(super) fn seen(&self, printed: &Path) -> PathBuf {
        let target = self.target.get_or_init(|| Target::of_bound(self.process).ok());
        target.as_ref().map_or_else(|| printed.to_owned(), |target| target.take_off_prefix(printed))
    }
}

/// At most so many symbolic links are followed in one path, as in the kernel.
const LINK_LIMIT: u32 = 40;

/// A path whose folder does not exist any more, without links and `..`, as far as that is known: what exists is looked up,
/// and the rest is taken as it is written.
pub(super) fn without_links(target: &Target) -> PathBuf {
    let mut path = std::path::absolute(target.path()).unwrap_or_else(|_| target.path().to_owned());
    for _ in 0..LINK_LIMIT {
        let Some((there, rest)) = split(target, &path) else { break };
        let mut names = rest.iter();
        let next = names.next().map(|name| there.join(name));
        let Some(link) = next.and_then(|next| target.at(next).read_link().ok()) else {
            return names_only(there, &rest);
        };
        path = names.fold(there.join(link), |path, name| path.join(name));
    }
    path
}

/// The longest beginning of a path that exists as a folder, without links, and the names after it.
fn split(target: &Target, path: &Path) -> Option<(PathBuf, Vec<OsString>)> {
    let names: Vec<OsString> = path.iter().map(OsStr::to_owned).collect();
    (1..names.len()).rev().find_map(|length| {
        let folder = target.at(names.iter().take(length).collect());
        let opened = File::from(folder.open(OFlags::PATH | OFlags::DIRECTORY).ok()?);
        let rest = names.iter().skip(length).cloned().collect();
        Some((folder.canonical(&opened).unwrap_or_else(|| folder.path().to_owned()), rest))
    })
}

fn names_only(mut path: PathBuf, rest: &[OsString]) -> PathBuf {
    for name in rest {
        match name.as_bytes() {
            b".." => drop(path.pop()),
            b"." | b"" => {}
            _ => path.push(name),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_followed_as_far_as_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(root.join("there")).unwrap();
        symlink("gone/data", root.join("link")).unwrap();
        symlink("there", root.join("other")).unwrap();
        let of = |path: &str| without_links(&Target::from(&root.join(path)));
        assert_eq!(of("x/../x/app.db"), root.join("x/app.db"));
        assert_eq!(of("link/app.db"), root.join("gone/data/app.db"));
        assert_eq!(of("other/./x/../y/app.db"), root.join("there/y/app.db"));
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(of("loop/app.db"), root.join("loop/app.db"));
    }

    #[test]
    fn a_place_is_below_a_folder_of_its_own_device_only() {
        let place = |minor, path: &str| Place { device: Device { major: 0, minor }, path: path.into() };
        assert!(place(1, "/a/b").is_beneath(&place(1, "/a")));
        assert!(!place(2, "/a/b").is_beneath(&place(1, "/a")) && !place(1, "/ab").is_beneath(&place(1, "/a")));
        assert_eq!(place(1, "/a").with_suffix("-wal"), place(1, "/a-wal"));
    }
}
