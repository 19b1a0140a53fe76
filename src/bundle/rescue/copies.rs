//! The new files. They get their names when everything is on the disk.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::copy_file_range;
use rustix::io::Errno;

use super::{Owner, SavedFile, unusable};
use crate::bundle::SnapshotError;
use crate::bundle::archive::unreadable;
use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{Part, Parts};
use crate::linux::mapped::kept::{KeptFile, KeptSet};

/// Bytes that are copied at once.
const CHUNK: usize = 1 << 20;
/// What the name of a copy that is not finished ends with.
const UNFINISHED: &str = ".part";

/// The new files. Those that were not finished are removed again.
pub(super) struct Copies<'a> {
    folder: &'a Path,
    name: &'a OsStr,
    pub(super) files: Parts<File>,
}

impl Drop for Copies<'_> {
    fn drop(&mut self) {
        for part in Part::ALL.into_iter().filter(|part| self.files.get(*part).is_some()) {
            // Whoever cannot remove it sees by its name that it is not finished.
            let _ = std::fs::remove_file(self.unfinished(part));
        }
    }
}

impl<'a> Copies<'a> {
    pub(super) fn new(folder: &'a Path, name: &'a OsStr) -> Self {
        Self { folder, name, files: Parts::default() }
    }

    fn path(&self, part: Part) -> PathBuf {
        let mut name = self.name.to_owned();
        name.push(part.suffix());
        self.folder.join(name)
    }

    /// Its path while it is not finished.
    fn unfinished(&self, part: Part) -> PathBuf {
        let mut path = self.path(part).into_os_string();
        path.push(UNFINISHED);
        path.into()
    }

    /// Copies a file as it is now. A later attempt writes into the same new file.
    pub(super) fn copy(&mut self, part: Part, kept: &KeptFile) -> Result<(), SnapshotError> {
        let path = self.unfinished(part);
        let to = match self.files.slot(part) {
            Some(file) => file,
            slot => {
                let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
                slot.insert(made.map_err(|e| unusable(&path, "make a copy", e))?)
            }
        };
        to.set_len(0).map_err(|e| unusable(&path, "write a copy", e))?;
        let from = FileBytes::whole(Arc::clone(&kept.file)).map_err(|e| unreadable(&kept.path, e))?;
        let end = from.len();
        let mut at = from.next_data(0);
        while at < end {
            let hole = from.next_hole(at).min(end);
            // A file system that reports no holes.
            let until = if hole > at { hole } else { end };
            copy_range(&kept.file, to, at, until, &from, (&kept.path, &path))?;
            at = from.next_data(until).max(until);
        }
        to.set_len(end).map_err(|e| unusable(&path, "write a copy", e))
    }

    /// Gives the copies their names, when everything is on the disk. The database gets its name last.
    pub(super) fn finish(mut self, set: &KeptSet) -> Result<Vec<SavedFile>, SnapshotError> {
        let mut saved = Vec::new();
        for part in Part::ALL.into_iter().rev() {
            // A file of an earlier attempt that the last one did not have stays unfinished.
            let (Some(kept), Some(file)) = (set.files.get(part), self.files.get(part)) else { continue };
            let (path, unfinished) = (self.path(part), self.unfinished(part));
            let failed = |source| unusable(&path, "write a copy", source);
            file.sync_all().map_err(failed)?;
            let size = file.metadata().map_err(failed)?.len();
            std::fs::rename(&unfinished, &path).map_err(failed)?;
            self.files.slot(part).take();
            let original = kept.file.metadata().map_err(|e| unreadable(&kept.path, e))?;
            saved.push(SavedFile {
                part,
                copy: path,
                size,
                path: kept.path.clone(),
                id: kept.id,
                deleted: kept.deleted(),
                descriptor: kept.descriptor,
                owner: Owner { uid: original.uid(), gid: original.gid(), mode: original.mode() & 0o7777 },
                access_time_may_have_moved: kept.access_time_may_move,
            });
        }
        saved.reverse();
        Ok(saved)
    }
}

/// Copies one range, inside the kernel where that is possible.
fn copy_range(
    from: &File,
    to: &File,
    mut at: u64,
    end: u64,
    bytes: &FileBytes,
    (source, copy): (&Path, &Path),
) -> Result<(), SnapshotError> {
    while at < end {
        let (mut reads, mut writes) = (at, at);
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(CHUNK << 6);
        match copy_file_range(from, Some(&mut reads), to, Some(&mut writes), length) {
            Ok(0) => break,
            Ok(n) => at = at.saturating_add(n as u64),
            Err(Errno::INTR | Errno::AGAIN) => {}
            // Two file systems, or one that cannot: man 2 copy_file_range. Anything else the calls below say.
            Err(_) => break,
        }
    }
    let mut buffer = vec![0; if at < end { CHUNK } else { 0 }];
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let Some(room) = buffer.get_mut(..want) else { break };
        let n = bytes.read_at(room, at).map_err(|e| unreadable(source, e))?;
        if n == 0 {
            break;
        }
        to.write_all_at(room.get(..n).unwrap_or_default(), at).map_err(|e| unusable(copy, "write a copy", e))?;
        at = at.saturating_add(n as u64);
    }
    Ok(())
}
