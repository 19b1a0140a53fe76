//! The databases that processes of a container have open, by the container's name alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::other_format::is_named_as_database;
use crate::evidence::Part;
use crate::format::db::MAGIC;
use crate::linux::runtimes::{self, OpenFiles, Unknown};
use crate::linux::{self, Care, Target};

/// What the name of a container leads to.
#[derive(Debug)]
pub enum InContainer {
    /// It cannot be the name of a container, or no runtime is here to be asked.
    NotAsked,
    /// There is no container of this name.
    NoSuchContainer,
    /// Why the container could not be looked into, or why it is not known whether there is one.
    NotSeen(String),
    /// The databases that its processes have open, as SOURCEs (`NAME:/path`), sorted. Perhaps none.
    Databases {
        /// Those to which a path leads.
        there: Vec<OsString>,
        /// Those that were deleted, each with a process that still has it open.
        deleted: Vec<(OsString, u32)>,
    },
}

/// Looks for a running container of this name, and for the databases that its processes have open.
#[must_use]
pub fn in_container(name: &OsStr, care: Care) -> InContainer {
    let Some(name) = name.to_str().filter(|name| runtimes::is_name(name)) else { return InContainer::NotAsked };
    match runtimes::open_files(name) {
        Ok((root, OpenFiles { there: files, deleted: gone })) => {
            let found = databases(&files, |path| is_database(&root.beneath(path), care));
            let gone = deleted(&gone, |path| found.contains(path) || root.beneath(path).exists());
            let source = |path: PathBuf| {
                let mut source = OsString::from(format!("{name}:"));
                source.push(path);
                source
            };
            let deleted = gone.into_iter().map(|(path, pid)| (source(path), pid)).collect();
            InContainer::Databases { there: found.into_iter().map(source).collect(), deleted }
        }
        Err(refused) => match refused.unknown {
            Unknown::NobodyToAsk => InContainer::NotAsked,
            Unknown::ByAll => InContainer::NoSuchContainer,
            Unknown::NotSaid => InContainer::NotSeen(refused.why.to_string()),
        },
    }
}

/// The databases among open files: what begins as one, and what has its open `-wal` or `-shm` beside it.
fn databases(files: &BTreeSet<PathBuf>, is_database: impl Fn(&PathBuf) -> bool) -> BTreeSet<PathBuf> {
    let beside = |path: &PathBuf| {
        let with = |suffix: &[u8]| PathBuf::from(OsString::from_vec([path.as_os_str().as_bytes(), suffix].concat()));
        files.contains(&with(b"-wal")) || files.contains(&with(b"-shm"))
    };
    // What has the name of a sidecar is not opened.
    let named = |path: &PathBuf| Part::of_name(path.as_os_str().as_bytes()).0 == Part::Database;
    files.iter().filter(|path| beside(path) || named(path) && is_database(path)).cloned().collect()
}

/// The databases among deleted files, by their names: what has a deleted `-wal`, `-shm` or `-journal`, or a name as databases have
/// it.
fn deleted(files: &BTreeMap<PathBuf, u32>, is_there: impl Fn(&PathBuf) -> bool) -> BTreeMap<PathBuf, u32> {
    let base = |path: &Path| {
        let (part, base) = Part::of_name(path.as_os_str().as_bytes());
        let base = PathBuf::from(OsStr::from_bytes(base));
        (part != Part::Database || is_named_as_database(base.as_os_str())).then_some(base)
    };
    files.iter().filter_map(|(path, pid)| Some((base(path)?, *pid))).filter(|(base, _)| !is_there(base)).collect()
}

/// Nobody named these files: none is read whose access time that would move.
fn is_database(target: &Target, care: Care) -> bool {
    let mut head = [0; 16];
    linux::open_regular(target.clone(), Care { strict_atime: true, ..care })
        .is_ok_and(|opened| opened.file.read_exact_at(&mut head, 0).is_ok() && head.starts_with(MAGIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_wal_tells_the_database_beside_it() {
        let files = ["/data/a.db", "/data/b.db", "/data/b.db-wal", "/data/b.db-shm", "/log", "/x-wal"];
        let files = files.iter().map(PathBuf::from).collect();
        let found = databases(&files, |path| path.ends_with("a.db"));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [PathBuf::from("/data/a.db"), PathBuf::from("/data/b.db")]);
    }
}
