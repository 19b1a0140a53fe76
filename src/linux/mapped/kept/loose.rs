//! Journals with content that lie in the folder of a database: beside its name, or beside a name that has no database.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, openat};

use super::held;
use super::set::KeptFile;
use crate::evidence::Part;
use crate::linux::file_id::file_id;
use crate::linux::open::{open_folder, open_regular_by};
use crate::linux::target::Target;

/// A folder with more entries is not looked into.
const ENTRIES: usize = 10_000;
/// At most so many journals of other names are opened.
const FILES: usize = 16;

/// A journal with content, found by its name.
#[derive(Debug, Clone)]
pub struct LooseJournal {
    /// The journal.
    pub file: KeptFile,
    /// Whether it has the name of the database that was asked for, or another one under which that is open. Else no database has its
    /// name.
    pub own_name: bool,
}

/// The journals with content in the folder of a database.
pub(super) fn journals(target: &Target, database: &Path, strict_atime: bool) -> Vec<LooseJournal> {
    let (Some(folder), Some(name)) = (database.parent(), database.file_name()) else { return Vec::new() };
    let Ok(opened) = open_folder(&target.at(folder.to_owned())) else { return Vec::new() };
    let suffix = Part::Journal.suffix();
    let journal = |base: &[u8], own_name: bool| {
        let name = OsString::from_vec([base, suffix.as_bytes()].concat());
        let by_name = |flags| Ok(openat(&opened, &name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
        let found = open_regular_by(by_name).ok()?;
        // Nobody named the others: no access time of theirs is moved.
        let unread = found.access_time_may_move && (strict_atime || !own_name);
        if unread && !own_name || !unread && Part::of_content(&held::head(&found, strict_atime)) != Some(Part::Journal)
        {
            return None;
        }
        let id = file_id(&found.file.metadata().ok()?);
        let path: PathBuf = folder.join(&name);
        let (file, access_time_may_move) = (found.file, found.access_time_may_move);
        let file = KeptFile { file, id, path, gone: false, descriptor: None, access_time_may_move };
        Some(LooseJournal { file, own_name })
    };
    let names = names(&opened).unwrap_or_default();
    let lone = names.iter().filter_map(|found| found.strip_suffix(suffix.as_bytes()));
    let lone = lone.filter(|base| !base.is_empty() && *base != name.as_bytes() && !names.contains(*base));
    journal(name.as_bytes(), true).into_iter().chain(lone.take(FILES).filter_map(|base| journal(base, false))).collect()
}

fn names(folder: &File) -> io::Result<BTreeSet<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOATIME;
    let folder = openat(folder, OsStr::new("."), flags, Mode::empty())?;
    let mut names = BTreeSet::new();
    for entry in Dir::new(folder)? {
        if names.len() >= ENTRIES {
            return Ok(BTreeSet::new());
        }
        names.insert(entry?.file_name().to_bytes().to_vec());
    }
    Ok(names)
}
