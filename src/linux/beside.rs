//! Files beside a database whose names are those of sidecars of a database that is missing, or of its own when it was moved aside.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Dir, Mode, OFlags, openat};

use super::file_id::id_of;
use super::lock_view::state_of;
use super::mapped::pause;
use super::open::{OpenedFiles, open_regular_by};
use super::procfs::Proc;
use super::{own_locks, unopened};
use crate::evidence::{LockSlot, LockState, Part};

/// A folder with more entries is not looked into.
const ENTRIES: usize = 10_000;
/// At most so many such files are opened.
const FILES: usize = 16;
/// Looks that must agree.
const LOOKS: usize = 6;

/// A sidecar whose database is missing.
#[derive(Debug)]
pub struct Sidecar {
    /// What it is by its name.
    pub part: Part,
    /// Its path, as the side's process sees it.
    pub path: String,
    /// The file.
    pub file: Arc<File>,
    /// Whether it is a `-shm` whose dead-man switch is held.
    pub in_use: bool,
    /// Whether its name is that of the database before both were moved aside, with the same behind it.
    pub moved_aside: bool,
}

/// The sidecars in the folder of a database whose own database is missing, and those that were moved aside as this database was. A `-shm` that should not be opened is left out.
#[must_use]
pub fn sidecars_of_missing(opened: &OpenedFiles) -> Vec<Sidecar> {
    let names = names(opened).unwrap_or_default();
    let own = opened.database_path.file_name().unwrap_or_default().as_bytes();
    // Both may have been moved aside: `t.db.old` and `t.db-wal.old`.
    let moved_with_it = |name: &[u8]| {
        let (part, base, behind) = Part::moved_aside(name)?;
        (part != Part::Shm && own.strip_prefix(base) == Some(behind)).then_some(part)
    };
    let lone = names.iter().filter_map(|name| {
        let (part, base) = Part::of_name(name);
        let of_missing = (part != Part::Database && !names.contains(base)).then_some(part);
        let aside = || moved_with_it(name).map(|part| (part, true));
        let (part, moved_aside) = of_missing.map(|part| (part, false)).or_else(aside)?;
        Some((part, name, moved_aside))
    });
    // A close of a file drops the locks of this process on it.
    let held = own_locks::all(&Proc::system());
    let folder = opened.database_path.parent().unwrap_or(Path::new("/"));
    let sidecar = |(part, name, moved_aside): (Part, &Vec<u8>, bool)| {
        let open =
            |flags| Ok(openat(&opened.directory, OsStr::from_bytes(name), flags | OFlags::NOFOLLOW, Mode::empty())?);
        // Nobody named these files: none is opened that it could harm, or whose access time it would move.
        let place = File::from(open(OFlags::PATH).ok()?);
        if held.contains(&id_of(&place).ok()?) || unopened::kept_closed(name, false, open).is_some() {
            return None;
        }
        let file = open_regular_by(open).ok().filter(|found| !found.access_time_may_move)?.file;
        let in_use = part == Part::Shm && state_of(LockSlot::DeadManSwitch, &file) == LockState::Shared;
        let path = folder.join(OsStr::from_bytes(name)).to_string_lossy().into_owned();
        Some(Sidecar { part, path, file, in_use, moved_aside })
    };
    lone.take(FILES).filter_map(sidecar).collect()
}

fn names(opened: &OpenedFiles) -> io::Result<BTreeSet<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOATIME;
    let folder = openat(&opened.directory, c".", flags, Mode::empty())?;
    let mut names = BTreeSet::new();
    for entry in Dir::new(folder)? {
        if names.len() >= ENTRIES {
            return Ok(BTreeSet::new());
        }
        names.insert(entry?.file_name().to_bytes().to_vec());
    }
    Ok(names)
}

/// Whether this is so at each of several looks within a quarter of a second.
pub fn holds_all_the_time(mut is_so: impl FnMut() -> bool) -> bool {
    (0..LOOKS).all(|look| {
        if look > 0 {
            pause();
        }
        is_so()
    })
}
