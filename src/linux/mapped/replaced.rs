//! Which processes go on with a file that lay at the path of a database before: it was deleted, or another one was put there.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::descriptors::{self, Descriptors, Info, covers, locks_of, place_of};
use super::kept::{Here, Place, View};
use super::one_process::OneProcess;
use super::wanted::Wanted;
use crate::evidence::{Container, LockSlot, Root};
use crate::linux::container;
use crate::linux::open::OpenedFiles;
use crate::linux::procfs::{Proc, Process};
use crate::linux::target::Target;
use crate::linux::text::maps::escaped;
use crate::linux::text::process::parent;
use crate::number::{Device, FileId};

/// How a process has such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Replaced {
    /// It has it open for writing, and not locked.
    Open,
    /// It has it locked.
    Locked,
}

/// What tells a file that lay at the path of a database before.
#[derive(Default)]
pub(super) struct Before {
    /// The process whose files were looked at: its root and its container.
    root: Option<FileId>,
    container: Option<Container>,
    /// The devices of the mounts on the way to the database: such a file is on one of them.
    devices: BTreeSet<Device>,
    path: Option<(Target, PathBuf)>,
    /// The place of the path inside of its file system, once that was asked for.
    place: OnceCell<Option<(Here, Place)>>,
}

impl Before {
    pub(super) fn of(proc: &Proc, files: &OpenedFiles, devices: BTreeSet<Device>) -> Self {
        let process = files.target.process(proc).ok();
        Self {
            root: process.as_ref().and_then(|process| process.file_behind("root").ok()),
            container: process.as_ref().and_then(container::by_cgroup),
            devices,
            path: Some((files.target.clone(), files.database_path.clone())),
            place: OnceCell::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn of_test(proc: &Proc, database: Option<FileId>) -> Self {
        let root = proc.this_process().and_then(|process| process.file_behind("root")).ok();
        Self { root, devices: database.map(|database| database.device).into_iter().collect(), ..Self::default() }
    }

    fn place(&self, proc: &Proc) -> Option<&(Here, Place)> {
        let find = || {
            let (target, path) = self.path.as_ref()?;
            let here = Here::new(proc);
            let place = here.place_of(proc, target, path)?;
            Some((here, place))
        };
        self.place.get_or_init(find).as_ref()
    }

    /// Whether a process goes on with a file that lay at the path of the database before.
    ///
    /// folklore: in rollback mode a connection holds a lock only during a transaction, and has the database open for writing all the
    /// time. A program that copies or looks at a file has it open for reading. Held by
    /// `an_idle_process_in_rollback_mode_that_has_a_replaced_database_open_is_named`.
    pub(super) fn replaced(
        &self,
        proc: &Proc,
        wanted: &Wanted,
        process: &Process,
        files: &Descriptors,
    ) -> Option<Replaced> {
        wanted.database?;
        let how = |(name, file): &(String, FileId)| {
            let found = place_of(process, name)?;
            let by_path = || self.has_its_path(wanted, process, *file, &found);
            if base(&escaped(found.path.as_bytes())) != base(wanted.database_path()) {
                return None;
            }
            if !by_path() && !self.has_its_place(proc, process, name, &found.path) {
                return None;
            }
            match locks_of(process, name).iter().any(|line| covers(line, LockSlot::Database)) {
                true => Some(Replaced::Locked),
                false => is_connection(proc, process, name, *file).then_some(Replaced::Open),
            }
        };
        files.others.iter().filter_map(how).max()
    }

    /// Whether a file had the path of the database. Another file system can be mounted over the folder by now.
    fn has_its_path(&self, wanted: &Wanted, process: &Process, file: FileId, found: &descriptors::Place) -> bool {
        escaped(found.path.as_bytes()) == wanted.database_path()
            && self.devices.contains(&file.device)
            && self.is_of_same_place(wanted, process, found.deleted)
    }

    /// Whether the path of a descriptor is that of the database inside of its file system, whatever it is called there: the folder can
    /// be mounted elsewhere for the process, as a volume is in a container.
    fn has_its_place(&self, proc: &Proc, process: &Process, descriptor: &str, path: &str) -> bool {
        let place = || {
            let (here, wanted) = self.place(proc)?;
            let view = View::of(here, process);
            let mount = view.mount_of(descriptor.parse().ok()?)?;
            Some(view.place(mount, Path::new(path))? == *wanted)
        };
        place().unwrap_or(false)
    }

    /// Whether a path of a process is a path of this database's place.
    ///
    /// folklore: a service with PrivateTmp has a mount namespace of its own and the root of all others: its /tmp/app.db is
    /// another file under the same path. But a file that is deleted lay where its path says, in one of the mount namespaces of
    /// that root. systemd.exec(5); held by `a_service_with_its_own_tmp_is_innocent`.
    fn is_of_same_place(&self, wanted: &Wanted, process: &Process, deleted: bool) -> bool {
        let one = OneProcess::of(process);
        if wanted.own(&one.mount_namespace) {
            return matches!(wanted.root_of(&one), Root::Same | Root::Beneath);
        }
        let same_root = || self.root.is_some_and(|root| process.file_behind("root").is_ok_and(|found| found == root));
        deleted && same_root() || self.container.is_some() && container::by_cgroup(process) == self.container
    }
}

/// Whether a descriptor without a lock may be that of a connection: it is open for writing, there is something in the file, and the
/// parent of the process, from which it would have it, has not the same.
fn is_connection(proc: &Proc, process: &Process, descriptor: &str, file: FileId) -> bool {
    let link = format!("fd/{descriptor}");
    let opened = || process.open_link(&link, OFlags::PATH).ok().map(std::fs::File::from);
    let parent = || proc.process(parent(&process.read("stat").ok()?)?).ok();
    Info::read(process, descriptor).is_some_and(|info| info.is_writable())
        && opened().and_then(|file| file.metadata().ok()).is_some_and(|found| found.len() > 0)
        && !parent().is_some_and(|parent| parent.file_behind(&link).is_ok_and(|found| found == file))
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}
