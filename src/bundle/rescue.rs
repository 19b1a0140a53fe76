//! Copying files that processes still have open, so that the copies are of one moment.
//!
//! The files are read in the order of [`crate::look::order`], and a capture's rule holds: in one generation of the WAL
//! committed frames are never overwritten, and a checkpoint copies only frames of that generation into the database. So a
//! database that is copied before its `-wal` fits it, if the header of the `-wal` is the same before, between and after.
//! Without frames nobody may have written to the database meanwhile.
//!
//! Unlike a capture this needs no wal-index: the header alone tells the generation. A restart writes the header of the next
//! generation before its first frame (walFrames in wal.c), so frames are overwritten only after the header was. Held by
//! `what_a_rescue_saves_has_every_row_that_was_committed_before_it`.
//!
//! Copies get their names last: what a rescue that was ended in between leaves is `*.part`, which nobody takes for a database.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::copy_file_range;
use rustix::io::Errno;

use super::SnapshotError;
use super::archive::unreadable;
use super::look::{Look, Moment, is_hot_journal};
use super::unstable::Why;
use super::watch::{Watch, Writes};
use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{KeptBy, LockState, Observation, Part, Parts, RescueCause, SetFacts};
use crate::format::db::{self, DatabaseHead, JournalMode};
use crate::linux::mapped::kept::{KeptFile, KeptSet};
use crate::linux::{self, OpenedFiles, Target};
use crate::look::order;
use crate::number::FileId;

/// Bytes that are copied at once.
const CHUNK: usize = 1 << 20;
/// What the name of a copy that is not finished ends with.
const UNFINISHED: &str = ".part";

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

/// Copies the files of a set into new files of `folder`, named after the database. While the files change too much, the
/// next attempt begins anew, with the set that `again` gives.
///
/// # Errors
/// A file cannot be read, or a copy cannot be made or written.
pub fn save(
    set: &KeptSet,
    folder: &Path,
    name: &OsStr,
    attempts: u32,
    mut again: impl FnMut() -> Option<KeptSet>,
) -> Result<Saved, SnapshotError> {
    let mut copies = Copies::new(folder, name);
    let mut set = set.clone();
    let mut number = 1;
    loop {
        let files = opened(&set, folder)?;
        let mut attempt = Attempt::begin(&files, &set, &mut copies);
        order::read(&mut attempt)?;
        let verdict = attempt.verdict(&mut again);
        if verdict.is_ok() || number >= attempts {
            let unstable = verdict.err().as_ref().map(Unstable::from);
            let (files, by, at_path, facts) = (copies.finish(&set)?, set.by, set.at_path, set.facts);
            return Ok(Saved { files, by, at_path, facts, unstable, attempts: number });
        }
        number += 1;
        if let Some(now) = again() {
            set = now;
        }
    }
}

/// The files of a set as a look takes them. No path is looked up.
fn opened(set: &KeptSet, folder: &Path) -> Result<OpenedFiles, SnapshotError> {
    let part = |part: Part| match set.files.get(part) {
        Some(kept) => Observation::seen(Arc::clone(&kept.file)),
        None => Observation::missing("nobody has it open"),
    };
    let database_path = named_after(set).unwrap_or_default();
    let directory = File::open(folder).map_err(|source| unusable(folder, "open the folder", source))?;
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

/// The new files. Those that were not finished are removed again.
struct Copies<'a> {
    folder: &'a Path,
    name: &'a OsStr,
    files: Parts<File>,
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
    fn new(folder: &'a Path, name: &'a OsStr) -> Self {
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
    fn copy(&mut self, part: Part, kept: &KeptFile) -> Result<(), SnapshotError> {
        let path = self.unfinished(part);
        let to = match self.files.slot(part) {
            Some(file) => file,
            slot => {
                let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
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
    fn finish(mut self, set: &KeptSet) -> Result<Vec<SavedFile>, SnapshotError> {
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

/// One attempt.
struct Attempt<'a, 'c> {
    files: &'a OpenedFiles,
    set: &'a KeptSet,
    copies: &'a mut Copies<'c>,
    database_watch: Watch,
    wal_watch: Watch,
    before: Option<Moment>,
    between: Option<Look>,
    after: Option<Moment>,
    /// Whether somebody held the database exclusively before or after, in rollback mode.
    exclusive: bool,
}

impl<'a, 'c> Attempt<'a, 'c> {
    fn begin(files: &'a OpenedFiles, set: &'a KeptSet, copies: &'a mut Copies<'c>) -> Self {
        let watched = |part, file: &Observation<Arc<File>>| Watch::start(part, file.value().map(Arc::as_ref));
        Self {
            files,
            set,
            copies,
            database_watch: watched(Part::Database, &files.database),
            wal_watch: watched(Part::Wal, &files.wal),
            before: None,
            between: None,
            after: None,
            exclusive: false,
        }
    }

    fn moment(&mut self) -> Result<Moment, SnapshotError> {
        self.exclusive |= self.held_exclusively()?;
        Moment::take(self.files)
    }

    /// Whether somebody may write to the database in rollback mode: pages go there before the end of a transaction, and only
    /// under this lock. In WAL mode a connection with locking_mode=exclusive holds it, too.
    fn held_exclusively(&self) -> Result<bool, SnapshotError> {
        let held = linux::lock_states(self.files).database.state == LockState::Exclusive;
        let Some(database) = self.set.files.get(Part::Database).filter(|_| held) else { return Ok(false) };
        let mut head = [0; db::HEADER_SIZE];
        let read = FileBytes::whole(Arc::clone(&database.file)).and_then(|bytes| bytes.read_at(&mut head, 0));
        read.map_err(|e| unreadable(&database.path, e))?;
        Ok(match db::parse_head(&head) {
            Ok(DatabaseHead::Plain(header)) => header.journal_mode() != JournalMode::Wal,
            _ => true,
        })
    }

    fn copy(&mut self, part: Part) -> Result<(), SnapshotError> {
        match self.set.files.get(part) {
            Some(kept) => self.copies.copy(part, kept),
            None => Ok(()),
        }
    }

    /// Whether the copies are of one moment.
    fn verdict(&self, now: impl FnOnce() -> Option<KeptSet>) -> Result<(), Why> {
        let (Some(before), Some(between), Some(after)) = (&self.before, &self.between, &self.after) else {
            return Err(Why::Replaced);
        };
        if before.hot_journal || after.hot_journal {
            // A transaction that goes on, or was cut off: the database and the journal go together as they are.
            return match before.journal == after.journal && self.journal_stays() {
                true => self.unwritten(before, after),
                false => Err(Why::HotJournal),
            };
        }
        let looks = [&before.look, between, &after.look];
        let sizes = looks.map(|look| look.wal.as_ref().map_or(0, |wal| wal.size));
        if !sizes.is_sorted() {
            return Err(Why::WalShorter(sizes));
        }
        match looks.map(Look::salts_of_wal) {
            [Some(a), Some(c), Some(e)] if a == c && c == e => Ok(()),
            [None, None, None] if self.journal_came(now) => Err(Why::HotJournal),
            [None, None, None] if self.exclusive => Err(Why::ExclusiveWithoutJournal),
            [None, None, None] => self.unwritten(before, after),
            [Some(_), Some(_), Some(_)] => Err(Why::WalRestarted),
            _ => Err(Why::GenerationCameOrWent),
        }
    }

    /// Whether the `-journal` is still the one of the transaction that goes on: it has a name, or the process still has it
    /// open.
    fn journal_stays(&self) -> bool {
        self.set.files.get(Part::Journal).is_some_and(|journal| !journal.deleted() || journal.still_open())
    }

    /// Whether a `-journal` came after the files were looked for. A page is in the journal before it is written to the
    /// database. So without one at the end, what was written before is committed.
    fn journal_came(&self, now: impl FnOnce() -> Option<KeptSet>) -> bool {
        let now = now();
        let journal = now.as_ref().and_then(|now| now.files.get(Part::Journal));
        journal.is_some_and(|journal| is_hot_journal(&journal.file))
    }

    fn unwritten(&self, before: &Moment, after: &Moment) -> Result<(), Why> {
        for (part, same, watch) in [
            (Part::Database, before.database == after.database, &self.database_watch),
            (Part::Wal, before.wal == after.wal, &self.wal_watch),
        ] {
            if !same {
                return Err(Why::Changed(part));
            }
            match watch.writes() {
                Writes::None => {}
                Writes::Seen(part) => return Err(Why::Written(part)),
                Writes::Unknown(reason) => return Err(reason.into()),
            }
        }
        Ok(())
    }
}

impl order::Steps for Attempt<'_, '_> {
    type Error = SnapshotError;

    fn before(&mut self) -> Result<(), SnapshotError> {
        self.before = Some(self.moment()?);
        Ok(())
    }

    fn database(&mut self) -> Result<(), SnapshotError> {
        self.copy(Part::Database)?;
        // Each page that is written to the database is in the journal before.
        self.copy(Part::Journal)
    }

    fn index_with_locks(&mut self) -> Result<(), SnapshotError> {
        self.between = Some(Look::take(self.files)?);
        self.copy(Part::Shm)
    }

    fn wal(&mut self) -> Result<(), SnapshotError> {
        self.copy(Part::Wal)
    }

    fn after(&mut self) -> Result<(), SnapshotError> {
        self.after = Some(self.moment()?);
        Ok(())
    }

    fn names(&mut self) -> Result<(), SnapshotError> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::bundle::look::JOURNAL_MAGIC;
    use crate::look::order::Steps;
    use crate::number::Device;

    /// The files of a folder, by the names that follow `t.db`.
    fn set(folder: &Path, parts: &[Part]) -> KeptSet {
        let kept = |part: Part| {
            let path = folder.join(format!("t.db{}", part.suffix()));
            let file = Arc::new(File::open(&path).unwrap());
            let id = FileId { device: Device { major: 0, minor: 1 }, inode: file.metadata().unwrap().ino() };
            KeptFile { file, id, path, gone: false, descriptor: None, access_time_may_move: false }
        };
        let files = Parts::new(|part| parts.contains(&part).then(|| kept(part)));
        KeptSet { files, at_path: true, ..KeptSet::default() }
    }

    fn folders() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        (folder, out)
    }

    #[test]
    fn a_journal_that_came_meanwhile_makes_a_copy_without_it_worthless() {
        let (folder, out) = folders();
        fs::write(folder.path().join("t.db"), [1; 4096]).unwrap();
        let without = set(folder.path(), &[Part::Database]);
        fs::write(folder.path().join("t.db-journal"), JOURNAL_MAGIC).unwrap();
        let with = set(folder.path(), &[Part::Database, Part::Journal]);
        let saved = save(&without, &out, OsStr::new("t.db"), 1, || Some(with.clone())).unwrap();
        assert_eq!(saved.unstable, Some(Unstable::from(&Why::HotJournal)));
        // The next attempt takes the journal, too.
        let second = out.join("second");
        fs::create_dir(&second).unwrap();
        let saved = save(&without, &second, OsStr::new("t.db"), 2, || Some(with.clone())).unwrap();
        let names: Vec<_> = saved.files.iter().map(|file| file.part).collect();
        assert_eq!(names, [Part::Database, Part::Journal]);
    }

    #[test]
    fn the_wal_is_copied_after_the_database() {
        let (folder, out) = folders();
        fs::write(folder.path().join("t.db"), [1; 4096]).unwrap();
        fs::write(folder.path().join("t.db-wal"), [2; 32]).unwrap();
        let set = set(folder.path(), &[Part::Database, Part::Wal]);
        let files = opened(&set, &out).unwrap();
        let mut copies = Copies::new(&out, OsStr::new("t.db"));
        let mut attempt = Attempt::begin(&files, &set, &mut copies);
        attempt.before().unwrap();
        attempt.database().unwrap();
        assert!(!out.join("t.db-wal.part").exists(), "a commit that comes now would be missed");
        // The commit that comes now, and a checkpoint that takes it into the database.
        fs::write(folder.path().join("t.db"), [3; 4096]).unwrap();
        fs::write(folder.path().join("t.db-wal"), [4; 64]).unwrap();
        attempt.wal().unwrap();
        assert_eq!(fs::read(out.join("t.db.part")).unwrap(), [1; 4096]);
        assert_eq!(fs::read(out.join("t.db-wal.part")).unwrap(), [4; 64]);
        drop(copies);
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "what is not finished is not left");
    }

    #[test]
    fn holes_stay_holes() {
        let (folder, out) = folders();
        let path = folder.path().join("t.db");
        fs::write(&path, [1; 4096]).unwrap();
        let size = 1 << 34;
        OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
        save(&set(folder.path(), &[Part::Database]), &out, OsStr::new("t.db"), 1, || None).unwrap();
        let copy = fs::metadata(out.join("t.db")).unwrap();
        assert_eq!(copy.len(), size);
        assert!(copy.blocks() * 512 < 1 << 20, "{} blocks", copy.blocks());
    }
}
