//! Opening files for examination: read-only, never blocking, without side effects on devices.
//!
//! A file is first opened with O_PATH, which touches nothing, and only reopened for reading when it is a regular file:
//! opening a FIFO would wait for a writer, opening a tape would rewind it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, OFlags, StatVfsMountFlags, fstatvfs, openat};
use rustix::io::Errno;

use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{Observation, SharedMapping};
use crate::linux::file_id::{file_id, same_file};
use crate::linux::mapped_identity::shared_mapping;
use crate::linux::open_error::OpenError;
use crate::linux::own_locks::{self, OwnLocks};
use crate::linux::path_leads::PathLeads;
use crate::linux::procfs::Proc;
use crate::linux::target::Target;
use crate::linux::unopened::{self, MappedFile, Way};
use crate::linux::unseen::unseen;
use crate::number::FileId;

/// At most so many symbolic links are followed in one path, as in the kernel.
const LINK_LIMIT: u32 = 40;

/// One regular file, open for reading.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The descriptor.
    pub file: Arc<File>,
    /// O_NOATIME was refused and the mount keeps access times: reading may change the access time of the file.
    pub access_time_may_move: bool,
}

/// The files of one database, opened together beside the resolved database.
#[derive(Debug)]
pub struct OpenedFiles {
    /// The path that was asked for, and the process in whose view it is.
    pub target: Target,
    /// The path of the database with symbolic links resolved, as its process sees it; also when there is no database.
    pub database_path: PathBuf,
    /// How many symbolic links were followed from the name of the database itself.
    pub links_followed: u32,
    /// The folder that holds these files.
    pub directory: File,
    /// The database.
    pub database: Observation<Arc<File>>,
    /// The `-wal`.
    pub wal: Observation<Arc<File>>,
    /// The `-shm`. With `shm_memory` it was opened with O_PATH: it can be identified, not read, and not asked for locks.
    pub shm: Observation<Arc<File>>,
    /// The bytes of a `-shm` that is not opened, because that would harm those that use it.
    pub shm_memory: Option<Arc<MappedFile>>,
    /// The `-journal`.
    pub journal: Observation<Arc<File>>,
    /// Paths of files whose access time may change by reading.
    pub access_time_moved: Vec<String>,
}

/// What an open may do to those who use a file, or to its access time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Care {
    /// Nothing is opened if reading might move its access time.
    pub strict_atime: bool,
    /// A `-shm` in use on FUSE is opened, although that can make the kernel drop what is cached of it.
    pub look_anyway: bool,
}

impl OpenedFiles {
    /// The bytes of the `-shm`, with the length that it has now. `None`: it was not seen.
    ///
    /// # Errors
    /// Its size cannot be read.
    pub fn shm_bytes(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        match (&self.shm_memory, self.shm.value()) {
            (Some(memory), _) => Ok(Some(Arc::clone(memory) as Arc<dyn ReadAt>)),
            (None, Some(file)) => Ok(Some(Arc::new(FileBytes::whole(Arc::clone(file))?))),
            (None, None) => Ok(None),
        }
    }

    /// The `-shm`, if locks on it can be taken and asked for.
    #[must_use]
    pub fn shm_to_lock(&self) -> Observation<&Arc<File>> {
        match self.shm_memory {
            Some(_) => Observation::unsupported(unopened::refusal_of_locks()),
            None => self.shm.as_ref(),
        }
    }

    /// The path of the `-shm` as the side sees it.
    #[must_use]
    pub fn shm_path(&self) -> PathBuf {
        let mut path = self.database_path.clone().into_os_string();
        path.push("-shm");
        path.into()
    }
}

/// Opens a database with its siblings as SQLite would find them, from here or in another process's root. Symbolic links
/// of the database are resolved. The siblings lie beside the target, and links there are not followed. Each file may be
/// missing, but one of database, `-wal` and `-shm` must be there.
///
/// Never call this in a process that uses the database through SQLite: closing the descriptors would drop SQLite's
/// locks. When this process already holds such locks, this function refuses before it opens anything that could drop
/// them. But a connection that is opened while the descriptors live loses its locks when they are closed.
///
/// # Errors
/// When nothing can be opened, when the database is no regular file, when this process itself holds POSIX locks on one of
/// the files, or, with [`Care::strict_atime`], when reading one of the files might move its access time.
pub fn open_database(target: impl Into<Target>, care: Care) -> Result<OpenedFiles, OpenError> {
    let target = target.into();
    let place = Place::resolve(&target)?;
    let mut moved = Vec::new();
    let mut entry = |suffix: &str| {
        let strict_atime = care.strict_atime;
        let name = with_suffix(&place.name, suffix);
        let path = place.folder_path.join(&name);
        // In an error, the path is written as a SOURCE.
        let named = || PathBuf::from(target.at(path.clone()).to_string());
        match open_regular_by(|flags| place.open(&name, flags)) {
            Ok(opened) if opened.access_time_may_move && strict_atime => Err(refused_by_strict_atime(&named())),
            Ok(opened) => {
                if opened.access_time_may_move {
                    moved.push(path.display().to_string());
                }
                Ok(Observation::seen(opened.file))
            }
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<OwnLocks>()) => {
                Err(OpenError::new(&named(), "not opened", error))
            }
            // A database of a wrong kind is an error; a sibling of a wrong kind is an observation.
            Err(error) if suffix.is_empty() && error.kind() == io::ErrorKind::InvalidInput => {
                Err(OpenError::new(&named(), "cannot be examined", error))
            }
            Err(error) => Ok(unseen(&path.display().to_string(), &error)),
        }
    };
    let (database, wal) = (entry("")?, entry("-wal")?);
    let name = with_suffix(&place.name, "-shm");
    let shm_path = place.folder_path.join(&name);
    let mut shm_memory = None;
    let shm = match way_to_shm(&|flags| place.open(&name, flags), &database, care) {
        Way::Open => entry("-shm")?,
        Way::Memory(memory) => {
            let file = Arc::clone(memory.place());
            shm_memory = Some(Arc::new(memory));
            Observation::seen(file)
        }
        Way::Closed(why) => Observation::unsupported(format!("{}: {}", shm_path.display(), unopened::refusal(&why))),
    };
    let journal = entry("-journal")?;
    // A -journal with content was left by a database that is elsewhere now.
    let left = journal.value().is_some_and(|file| file.metadata().is_ok_and(|found| found.len() > 0));
    let alone = !left && [&wal, &shm].iter().all(|file| file.value().is_none());
    if let Some(reason) = alone.then(|| database.reason()).flatten() {
        let kind = match database {
            Observation::Missing { .. } => io::ErrorKind::NotFound,
            Observation::Denied { .. } => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::Other,
        };
        let why = io::Error::new(kind, format!("{reason}, and no -wal or -shm beside it can be read"));
        return Err(OpenError::new(Path::new(&target.to_string()), "opening the database", why));
    }
    Ok(OpenedFiles {
        target,
        links_followed: place.links_followed,
        database_path: place.folder_path.join(&place.name),
        directory: place.folder,
        database,
        wal,
        shm,
        shm_memory,
        journal,
        access_time_moved: moved,
    })
}

/// How the `-shm` is looked at. Where an open harms nobody, it is opened.
fn way_to_shm(open: &dyn Fn(OFlags) -> io::Result<OwnedFd>, database: &Observation<Arc<File>>, care: Care) -> Way {
    let Some(file) = unopened::kept_closed(b"-shm", care.look_anyway, open) else { return Way::Open };
    match unopened::way(&Proc::system(), Arc::new(file), database.value()) {
        // A -shm that cannot be mapped has no pages that the kernel could drop.
        // Then nobody has pages of it, or of the files beside it.
        Way::Closed(_) if database.value().is_some_and(|file| shared_mapping(file) == SharedMapping::Refused) => {
            Way::Open
        }
        way => way,
    }
}

/// Opens a regular file to learn which one it is. On FUSE it is only found, because an open can harm those that use it.
pub(super) fn find_regular_by(by_name: impl Fn(OFlags) -> io::Result<OwnedFd>) -> io::Result<Arc<File>> {
    let place = File::from(by_name(OFlags::PATH)?);
    if place.metadata()?.is_file() && unopened::open_drops_pages(&place) {
        return Ok(Arc::new(place));
    }
    open_regular_by(by_name).map(|opened| opened.file)
}

/// Opens one regular file, following symbolic links: a bundle, or a `-wal` or `-shm` given by its own path.
///
/// # Errors
/// When it cannot be opened, is no regular file, when this process itself holds POSIX locks on it, or, with
/// [`Care::strict_atime`], when reading might move its access time.
pub fn open_regular(target: impl Into<Target>, care: Care) -> Result<Opened, OpenError> {
    let target = target.into();
    let path = PathBuf::from(target.to_string());
    if path.as_os_str().as_bytes().ends_with(b"-shm")
        && let Way::Memory(_) | Way::Closed(_) =
            way_to_shm(&|flags| target.open(flags), &Observation::missing(""), care)
    {
        let why = io::Error::other(unopened::refusal(&format!("{}, as far as can be told", unopened::IN_USE)));
        return Err(OpenError::new(&path, "opening for examination", why));
    }
    let opened = open_regular_by(|flags| target.open(flags))
        .map_err(|error| OpenError::new(&path, "opening for examination", error))?;
    if care.strict_atime && opened.access_time_may_move {
        return Err(refused_by_strict_atime(&path));
    }
    Ok(opened)
}

fn refused_by_strict_atime(path: &Path) -> OpenError {
    OpenError::new(path, "refused by strict access times", access_time_would_move())
}

pub(super) fn access_time_would_move() -> io::Error {
    let why = "reading may move its access time: O_NOATIME needs the file's owner or CAP_FOWNER";
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Whether database, `-wal` and `-shm` all exist now.
#[must_use]
pub fn complete(target: &Target) -> bool {
    let Ok(place) = Place::resolve(target) else { return false };
    ["", "-wal", "-shm"].iter().all(|suffix| place.open(&with_suffix(&place.name, suffix), OFlags::PATH).is_ok())
}

/// Whether each path still leads to the file that was opened, with at least one link, and whether each missing file is
/// still missing. `false` when the `-shm` was replaced.
#[must_use]
pub fn paths_unchanged(files: &OpenedFiles) -> bool {
    all_lead_to_opened(
        files,
        &[("", &files.database), ("-wal", &files.wal), ("-shm", &files.shm), ("-journal", &files.journal)],
    )
}

/// Whether the paths of database, `-wal` and `-shm` still lead to what was opened. The `-journal` is left out: it comes
/// and goes with every transaction in rollback mode.
#[must_use]
pub fn in_place(files: &OpenedFiles) -> bool {
    all_lead_to_opened(files, &[("", &files.database), ("-wal", &files.wal), ("-shm", &files.shm)])
}

/// Whether the path of the `-wal` still leads to the opened file, or there still is none.
pub(super) fn wal_in_place(files: &OpenedFiles) -> bool {
    all_lead_to_opened(files, &[("-wal", &files.wal)])
}

/// Whether the path of the `-journal` still leads to the opened file, or there still is none.
#[must_use]
pub fn journal_in_place(files: &OpenedFiles) -> bool {
    all_lead_to_opened(files, &[("-journal", &files.journal)])
}

fn all_lead_to_opened(files: &OpenedFiles, entries: &[(&str, &Observation<Arc<File>>)]) -> bool {
    let Ok(place) = Place::resolve(&files.target) else { return false };
    same_place(&place, files)
        && entries.iter().all(|(suffix, file)| entry_unchanged(&place, &with_suffix(&place.name, suffix), file))
}

/// Whether the path still leads to the same name in the same folder, even if the files have changed.
#[must_use]
pub fn folder_unchanged(files: &OpenedFiles) -> bool {
    Place::resolve(&files.target).is_ok_and(|place| same_place(&place, files))
}

fn same_place(place: &Place, files: &OpenedFiles) -> bool {
    place.folder_path.join(&place.name) == files.database_path && same_file(&place.folder, &files.directory)
}

/// Where the path of the `-shm` leads now, and a descriptor of the file there. As long as the descriptor is held, no
/// other file gets its inode number.
pub(super) fn shm_leads(files: &OpenedFiles) -> (PathLeads, Option<File>) {
    let Ok(place) = Place::resolve(&files.target) else { return (PathLeads::Unknown, None) };
    let found = || {
        let file = File::from(place.open(&with_suffix(&place.name, "-shm"), OFlags::PATH)?);
        Ok((file.metadata()?, file))
    };
    let (now, file) = match found() {
        Ok(found) => found,
        Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => return (PathLeads::Nowhere, None),
        Err(_) => return (PathLeads::Unknown, None),
    };
    let opened = files.shm.value().and_then(|opened| opened.metadata().ok());
    let here = opened.is_some_and(|then| (then.dev(), then.ino()) == (now.dev(), now.ino()));
    let leads = if here { PathLeads::Here } else { PathLeads::Elsewhere(file_id(&now)) };
    (leads, Some(file))
}

fn entry_unchanged(place: &Place, name: &OsStr, opened: &Observation<Arc<File>>) -> bool {
    let now = || place.open(name, OFlags::PATH).map(File::from);
    match (now(), opened) {
        (Ok(found), Observation::Seen { value }) => {
            let exists = || value.metadata().is_ok_and(|then| then.nlink() > 0);
            // A file without a name that is found once more is mounted there: the name that it had is in another folder.
            same_file(&found, value) && (exists() || now().is_ok_and(|again| same_file(&again, value)))
        }
        (Err(error), Observation::Missing { .. }) => error.kind() == io::ErrorKind::NotFound,
        (now, Observation::Denied { .. } | Observation::Unsupported { .. }) => now.is_ok(),
        _ => false,
    }
}

/// A database's folder and its name in it.
struct Place {
    folder: File,
    folder_path: PathBuf,
    name: OsString,
    links_followed: u32,
}

impl Place {
    fn resolve(target: &Target) -> Result<Self, OpenError> {
        let (found, links_followed) = follow(target)?;
        let (Some(parent), Some(name)) = (found.path().parent(), found.path().file_name()) else {
            let why = match target.path().as_os_str().is_empty() {
                true => io::Error::from(io::ErrorKind::NotFound),
                false => not_a_regular_file(FileType::Directory),
            };
            return Err(OpenError::new(Path::new(&target.to_string()), "cannot be examined", why));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let at = found.at(parent.to_owned());
        let folder = open_folder(&at)
            .map_err(|error| OpenError::new(Path::new(&at.to_string()), "opening the folder", error))?;
        let folder_path = at.canonical(&folder).or_else(|| std::path::absolute(parent).ok());
        let folder_path = folder_path.unwrap_or_else(|| parent.to_owned());
        Ok(Self { folder_path, folder, name: name.to_owned(), links_followed })
    }

    /// Opens a name in the folder; a link there is not followed.
    fn open(&self, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(openat(&self.folder, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
    }
}

/// Follows the symbolic links at the last component of the path, and counts them. A dangling link leads to the place
/// where SQLite would create the database.
fn follow(target: &Target) -> Result<(Target, u32), OpenError> {
    let mut found = target.clone();
    for links in 0..LINK_LIMIT {
        match found.read_link() {
            Ok(link) => found = found.at(found.path().parent().unwrap_or(Path::new("")).join(link)),
            // EINVAL: not a symbolic link. Any other error will appear again when the file is opened.
            Err(_) => return Ok((found, links)),
        }
    }
    let why = io::Error::other(format!("more than {LINK_LIMIT} symbolic links"));
    Err(OpenError::new(Path::new(&found.to_string()), "resolving the database", why))
}

/// Opens a folder for reading, or with O_PATH when it may not be read: search permission is then enough.
pub(super) fn open_folder(target: &Target) -> io::Result<File> {
    let place = target.open(OFlags::DIRECTORY | OFlags::PATH)?;
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(File::from(openat(&place, ".", flags, Mode::empty()).unwrap_or(place)))
}

fn with_suffix(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}

/// Opens one regular file for reading. `by_name` opens it with flags.
pub(super) fn open_regular_by(by_name: impl Fn(OFlags) -> io::Result<OwnedFd>) -> io::Result<Opened> {
    open_regular_unless(by_name, |id| own_locks::held(&Proc::system(), id))
}

/// Opens one regular file for reading, unless this process itself holds locks on it.
pub(super) fn open_regular_unless(
    by_name: impl Fn(OFlags) -> io::Result<OwnedFd>,
    held: impl Fn(&FileId) -> bool,
) -> io::Result<Opened> {
    let place = File::from(by_name(OFlags::PATH)?);
    let metadata = place.metadata()?;
    let kind = FileType::from_raw_mode(metadata.mode());
    if kind != FileType::RegularFile {
        return Err(not_a_regular_file(kind));
    }
    // For the kernel an O_PATH descriptor is no open file: closing it drops no locks.
    if held(&file_id(&metadata)) {
        return Err(io::Error::other(OwnLocks));
    }
    let reading = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let reopen = |flags: OFlags| {
        // Leads to the same inode that was looked at. When proc is not mounted, the name has to be enough.
        match openat(CWD, format!("/proc/self/fd/{}", place.as_raw_fd()), reading | flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) => by_name(reading | flags),
            other => Ok(other?),
        }
    };
    let (file, noatime) = match reopen(OFlags::NOATIME) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => (reopen(OFlags::empty())?, false),
        other => (other?, true),
    };
    let file = File::from(file);
    if !same_file(&place, &file) {
        return Err(io::Error::other("replaced by another file while it was being opened"));
    }
    let access_time_may_move = !noatime && !keeps_no_access_times(&file);
    Ok(Opened { file: Arc::new(file), access_time_may_move })
}

pub(super) fn keeps_no_access_times(file: &File) -> bool {
    let quiet = StatVfsMountFlags::NOATIME | StatVfsMountFlags::RDONLY;
    fstatvfs(file).is_ok_and(|mount| mount.f_flag.intersects(quiet))
}

fn not_a_regular_file(kind: FileType) -> io::Error {
    let found = match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Symlink => "a symbolic link",
        _ => "something else",
    };
    io::Error::new(io::ErrorKind::InvalidInput, format!("needed a regular file, found {found}"))
}
