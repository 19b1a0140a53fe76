//! What is looked for in each process.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::held::Open;
use super::place::{Here, Place, View};
use crate::evidence::{Observation, Part, Parts};
use crate::linux::file_id::file_id;
use crate::linux::mapped::one_process::RootId;
use crate::linux::open::OpenedFiles;
use crate::linux::procfs::{Proc, Process};
use crate::linux::target::Target;
use crate::number::{Device, FileId};

/// The database that was asked for.
pub(super) struct Asked {
    /// The files at the path.
    files: Parts<FileId>,
    /// The name of the database.
    name: OsString,
    /// Its place; `None`: not known.
    place: Option<Place>,
    /// The path as the kernel prints it here for processes of the mount namespace.
    printed: PathBuf,
    mount_namespace: Observation<String>,
    /// The root of the process whose path it is.
    root: Option<RootId>,
    device: Option<Device>,
}

impl Asked {
    pub(super) fn of(proc: &Proc, here: &Here, target: &Target, path: &Path, files: Option<&OpenedFiles>) -> Self {
        let beneath = path.strip_prefix("/").unwrap_or(path);
        let prefix = target.prefix();
        Self {
            files: Parts::new(|part| Some(file_id(&opened(files?, part)?.metadata().ok()?))),
            name: path.file_name().unwrap_or_default().to_owned(),
            place: here.place_of(proc, target, path),
            printed: if prefix.as_os_str().is_empty() { path.to_owned() } else { prefix.join(beneath) },
            mount_namespace: match target.process(proc) {
                Ok(process) => process.link("ns/mnt"),
                Err(error) => Observation::missing(error.to_string()),
            },
            root: target.process(proc).ok().and_then(|process| RootId::of(&process).ok()),
            device: Here::device_of(target, path),
        }
    }

    /// Whether this is the place of the database that was asked for.
    pub(super) fn is_place(&self, place: Option<&Place>) -> bool {
        place.is_some() && place == self.place.as_ref()
    }

    /// Whether a path means the same to a process as it does where it was asked for.
    pub(super) fn is_same_view(&self, process: &Process) -> bool {
        let theirs = process.link("ns/mnt");
        let same_root = || self.root.is_some() && self.root == RootId::of(process).ok();
        theirs.value().is_some() && theirs.value() == self.mount_namespace.value() && same_root()
    }

    /// Whether a file is one of those at the path.
    fn is_at_path(&self, open: &Open) -> bool {
        self.files.iter().any(|id| *id == open.file)
    }

    /// The part at the path with this identity.
    pub(super) fn part_at_path(&self, id: FileId) -> Option<Part> {
        Part::ALL.into_iter().find(|part| self.files.get(*part) == Some(&id))
    }

    /// Whether a descriptor is of the database that was asked for.
    pub(super) fn wants(&self, open: &Open) -> bool {
        self.is_at_path(open) || open.asked == Some(open.part)
    }

    /// Whether a descriptor may be of it, as far as name and identity tell.
    pub(super) fn may_want(&self, open: &Open) -> bool {
        self.is_at_path(open) || open.asked.is_some()
    }

    /// Whether a descriptor has the name of the database, wherever it is.
    pub(super) fn has_name(&self, open: &Open) -> bool {
        self.part_named(&open.path) == Some(Part::Database)
    }

    /// Which part has the name of a path, wherever it is.
    fn part_named(&self, path: &[u8]) -> Option<Part> {
        let name = Path::new(OsStr::from_bytes(path)).file_name()?.as_bytes();
        let suffix = name.strip_prefix(self.name.as_bytes())?;
        Part::ALL.into_iter().find(|part| part.suffix().as_bytes() == suffix)
    }

    /// Whether the kernel prints the path of a part for a descriptor.
    fn has_printed(&self, open: &Open, part: Part) -> bool {
        let base = open.path.strip_suffix(part.suffix().as_bytes());
        base == Some(self.printed.as_os_str().as_bytes())
    }

    /// Whether a path that cannot be followed has such a name.
    pub(super) fn is_named(&self, path: &str) -> bool {
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        self.part_named(path.as_bytes()).is_some()
    }

    /// Finds the descriptors that have the place of a part. Gives those of which the place is not known.
    pub(super) fn find<'o>(&self, view: &View<'_>, process: &Process, open: &'o mut [Open]) -> Vec<&'o Open> {
        let (mut same_mounts, mut same_view) = (None, None);
        let mut unknown = Vec::new();
        for one in open {
            let Some(part) = self.part_named(&one.path) else { continue };
            let place = self.place.as_ref().map(|place| place.with_suffix(part.suffix()));
            let Some(mount) = view.mount_of(one.number) else { continue };
            let same = match (place, view.place(mount, Path::new(OsStr::from_bytes(&one.path)))) {
                // A mount was put over the folder since: where nothing else is, the kernel prints that path of what is beneath.
                (Some(asked), Some(found)) => {
                    asked == found
                        || self.has_printed(one, part) && *same_view.get_or_insert_with(|| self.is_same_view(process))
                }
                (Some(_), None) if view.knows_mounts() => {
                    if self.device.is_none_or(|device| device == one.file.device) && !self.is_at_path(one) {
                        unknown.push(&*one);
                    }
                    continue;
                }
                // The mounts are not told, here or of a process that is ending: the path counts, if both have the same ones.
                _ => {
                    let same_mounts = *same_mounts.get_or_insert_with(|| {
                        let theirs = process.link("ns/mnt");
                        theirs.value().is_some() && theirs.value() == self.mount_namespace.value()
                    });
                    same_mounts && self.has_printed(one, part)
                }
            };
            one.asked = same.then_some(part);
        }
        unknown
    }
}

/// A part of what was opened at the path.
pub(super) fn opened(files: &OpenedFiles, part: Part) -> Option<&Arc<File>> {
    match part {
        Part::Database => &files.database,
        Part::Wal => &files.wal,
        // It is not opened, so it cannot be copied.
        Part::Shm if files.shm_memory.is_some() => return None,
        Part::Shm => &files.shm,
        Part::Journal => &files.journal,
    }
    .value()
}
