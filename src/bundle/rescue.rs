//! Copying files that processes still have open, so that the copies are of one moment.
//!
//! The files are read in the order of [`crate::look::order`], and a capture's rule holds: in one generation of the WAL
//! committed frames are never overwritten, and a checkpoint copies only frames of that generation into the database. So a
//! database that is copied before its `-wal` fits it, if the header of the `-wal` is the same before, between and after.
//!
//! Unlike a capture this needs no wal-index: the header alone tells the generation. A restart writes the header of the next
//! generation before its first frame (walFrames in wal.c), so frames are overwritten only after the header was. Held by
//! `what_a_rescue_saves_has_every_row_that_was_committed_before_it`.
//!
//! In rollback mode a copy may also be made while one transaction goes on: the journal, which is copied after the database, takes
//! back what it wrote. With neither, nobody may have written meanwhile.
//!
//! Copies get their names last: what a rescue that was ended in between leaves is `*.part`, which nobody takes for a database.

mod attempt;
mod copies;
mod in_use;
mod journals;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SnapshotError;
use super::unstable::Why;
use crate::evidence::{KeptBy, Observation, Part, RescueCause, SetFacts};
use crate::linux::mapped::kept::KeptSet;
use crate::linux::{OpenedFiles, Target};
use crate::look::order;
use crate::number::FileId;
use attempt::{Attempt, Held};
use copies::Copies;
pub use in_use::look_in_use;
pub use journals::{Apart, Whose, look, save_apart};

/// A file that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedFile {
    /// Which one.
    pub part: Part,
    /// The copy.
    pub copy: PathBuf,
    /// Bytes of the copy.
    pub size: u64,
    /// The path by which the file was opened, or that it has now, as the kernel prints it.
    pub path: PathBuf,
    /// The file.
    pub id: FileId,
    /// Whether no path leads to it any more.
    pub deleted: bool,
    /// The process and the number of its descriptor. `None`: it was opened by its path.
    pub descriptor: Option<(u32, u32)>,
    /// Whose it is, and who may do what with it: st_uid, st_gid and the permission bits of st_mode. The copy is the caller's
    /// alone.
    pub owner: Owner,
    /// Whether reading may have changed its access time.
    pub access_time_may_have_moved: bool,
}

/// A journal that was copied apart from the sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedApart {
    /// The copy.
    pub file: SavedFile,
    /// What is known of the database that it belongs to.
    pub whose: Whose,
}

/// Owner and permissions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The permission bits.
    pub mode: u32,
}

/// What was copied of one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The copies, in order.
    pub files: Vec<SavedFile>,
    /// Who has the files open. Empty: nobody was seen.
    pub by: Vec<KeptBy>,
    /// Whether at least one of them lies at the path that was asked for.
    pub at_path: bool,
    /// What else is known of the files.
    pub facts: SetFacts,
    /// Why it is not shown that the copies are of one moment; `None`: they are.
    pub unstable: Option<Unstable>,
    /// Number of attempts.
    pub attempts: u32,
}

/// Why it is not shown that copies are of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unstable {
    /// What kind of reason it is.
    pub cause: RescueCause,
    /// The reason, without a full stop.
    pub reason: String,
}

impl From<&Why> for Unstable {
    fn from(why: &Why) -> Self {
        let cause = match why {
            Why::Unwatched(_) => RescueCause::Unwatched,
            Why::ExclusiveWithoutJournal => RescueCause::HalfTransaction,
            Why::SuperJournal => RescueCause::SeveralDatabases,
            _ => RescueCause::Changing,
        };
        Self { cause, reason: why.to_string() }
    }
}

/// What was copied of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescue {
    /// What was asked for.
    pub source: String,
    /// The path of the database, with links resolved.
    pub path: PathBuf,
    /// The folder of the copies.
    pub folder: PathBuf,
    /// The copies.
    pub sets: Vec<Saved>,
    /// Journals that are in no set.
    pub apart: Vec<SavedApart>,
    /// Files that are open and could not be opened here, with the reason.
    pub refused: Vec<String>,
    /// Processes that were looked at.
    pub processes_read: u32,
    /// Processes whose descriptors could not be seen.
    pub processes_denied: u32,
    /// Processes that ended meanwhile.
    pub processes_ended: u32,
    /// Why, for the first of them.
    pub denied_reason: Option<String>,
    /// Whether every process of the machine was visible, and its descriptors too.
    pub every_process: bool,
    /// Whether walscope ran as root.
    pub as_root: bool,
}

/// Who is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Every process.
    Everybody,
    /// Those that had files of the database, or of another one that was asked for, at the last look at everybody. A `-journal`
    /// may live for less time than a look at everybody takes, and to know whose it is takes all of these.
    Known,
}

/// Copies the files of a set into new files of `folder`, named after the database. While the files change too much, the
/// next attempt begins anew, with the set that `again` gives.
///
/// What was copied in rollback mode counts only if a look at everybody shows then that nobody else has come.
///
/// # Errors
/// A file cannot be read, or a copy cannot be made or written.
pub fn save(
    set: &KeptSet,
    folder: &Path,
    name: &OsStr,
    attempts: u32,
    mut again: impl FnMut(Again) -> Option<KeptSet>,
) -> Result<Saved, SnapshotError> {
    let mut copies = Copies::new(folder, name);
    let mut set = set.clone();
    let mut number = 1;
    loop {
        let files = opened(&set)?;
        let mut attempt = Attempt::begin(&files, &set, &mut copies);
        order::read(&mut attempt)?;
        let mut verdict = attempt.verdict(&mut again);
        // The end of a watch takes some milliseconds: not between a look and the next attempt.
        drop(attempt);
        let mut everyone = None;
        if verdict.is_ok() || number >= attempts {
            everyone = again(Again::Everybody);
            if let (Ok(Held::NoWrites | Held::Journal), Some(now)) = (&verdict, &everyone)
                && now.by.iter().any(|by| set.by.iter().all(|known| known.pid != by.pid))
            {
                verdict = Err(Why::OpenedMeanwhile);
            }
        }
        if verdict.is_ok() || number >= attempts {
            let unstable = verdict.err().as_ref().map(Unstable::from);
            let files = copies.finish(&set)?;
            // A look at some processes does not know who else holds a lock.
            let KeptSet { by, at_path, facts, .. } = everyone.filter(|_| number > 1).unwrap_or(set);
            return Ok(Saved { files, by, at_path, facts, unstable, attempts: number });
        }
        number += 1;
        if let Some(now) = everyone.or_else(|| again(Again::Known)) {
            set = now;
        }
    }
}

/// The files of a set as a look takes them. No path is looked up.
fn opened(set: &KeptSet) -> Result<OpenedFiles, SnapshotError> {
    let part = |part: Part| match set.files.get(part) {
        Some(kept) => Observation::seen(Arc::clone(&kept.file)),
        None => Observation::missing("nobody has it open"),
    };
    let database_path = named_after(set).unwrap_or_default();
    // None is used: it stands for the folder that the files may not be in any more.
    let nowhere = Path::new("/");
    let directory = File::open(nowhere).map_err(|source| unusable(nowhere, "open the folder", source))?;
    Ok(OpenedFiles {
        target: Target::from(&database_path),
        links_followed: 0,
        directory,
        database: part(Part::Database),
        wal: part(Part::Wal),
        shm: part(Part::Shm),
        shm_memory: None,
        journal: part(Part::Journal),
        access_time_moved: Vec::new(),
        database_path,
    })
}

/// The path of the database of a set, or the one that its `-wal` or `-shm` is named after.
#[must_use]
pub fn named_after(set: &KeptSet) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Part::ALL.iter().find_map(|part| {
        let path = set.files.get(*part)?.path.as_os_str().as_bytes();
        Some(OsStr::from_bytes(path.strip_suffix(part.suffix().as_bytes()).unwrap_or(path)).into())
    })
}

fn unusable(path: &Path, action: &'static str, source: io::Error) -> SnapshotError {
    SnapshotError::Io { path: path.to_owned(), action, source }
}

#[cfg(test)]
mod tests;
