//! The lab's folder on this machine, for volumes that are folders, and for bundles. It is removed when the lab ends.

use std::env;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use walscope::evidence::file_system::FileSystemKind;

use crate::output;

/// A folder that only this user can read, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder in the first of the usual places with a file system where identity decides; in the temporary
    /// folder if there is none.
    pub fn create(id: &str) -> anyhow::Result<Self> {
        let places = [env::temp_dir(), PathBuf::from("/dev/shm"), PathBuf::from("/var/tmp")];
        let made = places.iter().filter(|place| decisive(place)).find_map(|place| Self::create_in(place, id).ok());
        made.map_or_else(|| Self::create_in(&env::temp_dir(), id), Ok)
    }

    fn create_in(place: &Path, id: &str) -> anyhow::Result<Self> {
        // The path is resolved, because it is used as a mount source elsewhere.
        let place = place.canonicalize().with_context(|| place.display().to_string())?;
        let folder = Self(place.join(format!("walscope-lab-{id}")));
        folder.make(&folder.0)?;
        Ok(folder)
    }

    /// A folder in it, which is made if it does not exist.
    pub fn sub(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.join(name);
        if !path.is_dir() {
            self.make(&path)?;
        }
        Ok(path)
    }

    fn make(&self, path: &Path) -> anyhow::Result<()> {
        DirBuilder::new().mode(0o700).create(path).with_context(|| path.display().to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            output::complain(&format!("walscope: {} is left behind: {error}\n", self.0.display()));
        }
    }
}

/// Whether one inode is one page cache and one list of locks there. Anywhere else (overlay, as in a container's own
/// `/tmp`) the verdict could only be undecided.
fn decisive(place: &Path) -> bool {
    rustix::fs::statfs(place)
        .is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|magic| FileSystemKind::by_magic(magic).is_local()))
}
