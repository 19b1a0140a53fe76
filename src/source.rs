//! The SOURCE syntax: which files a command looks at, wherever they are.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bundle::{self, Capture, SnapshotError};
use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{LocksView, Observation};
use crate::format::shm::begins_wal_index;
use crate::linux::{self, OpenedFiles, Target, runtimes};

/// A SOURCE, resolved.
// A command holds a handful of these; a box would only be in the way of whoever takes the descriptors out.
#[allow(clippy::large_enum_variant)]
pub enum Source {
    /// A database with its siblings, or one of them alone, on this machine.
    Files(Box<Files>),
    /// A bundle.
    Bundle(Box<Capture>),
}

/// Files on this machine, opened read-only, without following the last link of siblings, never blocking.
///
/// A file that exists but could not be opened is absent here; [`Files::opened`] has the reason.
pub struct Files {
    /// What the user typed.
    pub label: String,
    /// The database's resolved path, also when it is missing. Of a `-wal` or a `-shm` alone, its own path.
    pub database_path: PathBuf,
    /// The database.
    pub database: Option<Arc<dyn ReadAt>>,
    /// The `-wal`.
    pub wal: Option<Arc<dyn ReadAt>>,
    /// The `-shm`.
    pub shm: Option<Arc<dyn ReadAt>>,
    /// Whether a `-journal` with content lies beside them; `None` when it was not looked for, as beside one file alone.
    pub hot_journal: Option<bool>,
    /// Files whose access time the reading may have moved.
    pub access_time_moved: Vec<String>,
    /// The open descriptors of a database and its siblings; `None` for a `-wal` or a `-shm` alone.
    pub opened: Option<OpenedFiles>,
}

/// Why the locks of one file alone are not known.
pub const NO_LOCKS: &str = "one file alone was given; locks were not looked at";

impl Files {
    /// Who holds the locks now.
    #[must_use]
    pub fn locks(&self) -> Observation<LocksView> {
        match &self.opened {
            Some(opened) => linux::locks_view(opened),
            None => Observation::missing(NO_LOCKS),
        }
    }

    /// Which locks are held now, without a search for who holds them: see [`linux::lock_states`]. `None` without a `-shm`
    /// beside a database.
    #[must_use]
    pub fn lock_states(&self) -> Option<LocksView> {
        self.opened.as_ref().filter(|_| self.shm.is_some()).map(linux::lock_states)
    }

    /// The same with every holder that can be seen.
    #[must_use]
    pub fn name_holders(&self, locks: LocksView) -> LocksView {
        match &self.opened {
            Some(opened) => linux::name_holders(opened, locks),
            None => locks,
        }
    }

    /// Whether the names of database, `-wal` and `-shm` still lead to what was opened.
    #[must_use]
    pub fn in_place(&self) -> bool {
        self.opened.as_ref().is_none_or(linux::in_place)
    }

    /// Whether a `-journal` that waited to be rolled back when the files were opened still does. One that is gone was of a
    /// transaction that has ended.
    #[must_use]
    pub fn journal_still_hot(&self) -> Option<bool> {
        let hot = |opened: &OpenedFiles| {
            linux::journal_in_place(opened) && opened.journal.value().is_some_and(bundle::is_hot_journal)
        };
        self.hot_journal.map(|was_hot| was_hot && self.opened.as_ref().is_none_or(hot))
    }
}

/// Where a SOURCE that is no bundle is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    /// `PATH`.
    Here(&'a Path),
    /// `pid:N:/path`.
    Process(u32, &'a Path),
    /// `NAME:/path`.
    Container(&'a str, &'a Path),
    /// `pid:` and no number.
    NoNumber,
}

/// What a SOURCE's text means. A file that is called so wins over everything.
fn place(argument: &OsStr, exists: impl Fn(&Path) -> bool) -> Place<'_> {
    let here = Place::Here(Path::new(argument));
    // Folders and `.` cannot begin another form, and what is not UTF-8 can only be a path.
    let (Some((whose, path)), false) = (split(argument), exists(Path::new(argument))) else { return here };
    match whose.strip_prefix("pid:").map(str::parse) {
        Some(Ok(pid)) => Place::Process(pid, path),
        Some(Err(_)) => Place::NoNumber,
        None if runtimes::is_name(whose) => Place::Container(whose, path),
        _ => here,
    }
}

/// The process whose view a SOURCE asks for by its number: `pid:N:/path`.
#[must_use]
pub fn process(argument: &OsStr) -> Option<u32> {
    match place(argument, |path| path.symlink_metadata().is_ok()) {
        Place::Process(pid, _) => Some(pid),
        Place::Here(_) | Place::Container(..) | Place::NoNumber => None,
    }
}

/// `WHOSE:/path`, at the first colon before a slash.
fn split(argument: &OsStr) -> Option<(&str, &Path)> {
    let bytes = argument.as_bytes();
    let at = bytes.windows(2).position(|pair| pair == b":/")?;
    let whose = std::str::from_utf8(bytes.get(..at)?).ok()?;
    Some((whose, Path::new(OsStr::from_bytes(bytes.get(at + 1..)?))))
}

/// Where a SOURCE is: a path here, `pid:N:/path` as process N sees it, or `NAME:/path` as the first process of a
/// running container (docker, podman or nerdctl; by name or id) sees it.
///
/// # Errors
/// When there is no such process or container, or it may not be looked into.
pub fn target(argument: &OsStr) -> Result<Target, SnapshotError> {
    let refused = |why: linux::OpenError, instead: String| match why.why.kind() {
        io::ErrorKind::PermissionDenied => SnapshotError::NotPermitted { why, instead },
        _ => SnapshotError::Open(why),
    };
    match place(argument, |path| path.symlink_metadata().is_ok()) {
        Place::Here(path) => Ok(Target::from(path)),
        Place::NoNumber => Err(SnapshotError::Unusable {
            path: PathBuf::from(argument),
            message: "needed pid:N:/path with the number of a process".to_owned(),
        }),
        Place::Process(pid, path) => Target::of_process(pid, path)
            .map_err(|why| refused(why, format!("run walscope as the user of process {pid}, or inside its container"))),
        Place::Container(name, path) => {
            runtimes::target(name, path).map_err(|error| refused(error.why, inside(error.runtime, name, path)))
        }
    }
}

/// What to run inside instead, by the runtime that was found.
fn inside(runtime: Option<&str>, name: &str, path: &Path) -> String {
    let Some(runtime) = runtime else { return "run walscope inside of the container".to_owned() };
    let path = path.to_string_lossy();
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+,=@".contains(&byte));
    let path = if plain { path.into_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) };
    format!(
        "run inside: {runtime} exec {name} walscope snapshot {path} -o - > {name}.walsnap, and give {name}.walsnap in place of {name}:{path}"
    )
}

/// Opens a SOURCE: a database, a `-wal` or a `-shm` (told by content), or a bundle; here, as process N sees it
/// (`pid:N:/path`), or in a running container (`NAME:/path`).
///
/// # Errors
/// When it cannot be read or is none of these.
pub fn open(argument: &OsStr, strict_atime: bool) -> Result<Source, SnapshotError> {
    let target = target(argument)?;
    let label = &*argument.to_string_lossy();
    // The database may be missing while its siblings are there: then there is no content to tell it by.
    if !target.exists() {
        return database(label, target, strict_atime);
    }
    let opened = linux::open_regular(target.clone(), strict_atime)?;
    let path = target.path();
    let unreadable = |source| SnapshotError::Io { path: path.to_owned(), action: "read", source };
    let bytes = FileBytes::whole(Arc::clone(&opened.file)).map_err(unreadable)?;
    let mut head = [0; 512];
    let n = bytes.read_at(&mut head, 0).map_err(unreadable)?;
    let alone = |wal, shm| {
        let access_time_moved = if opened.access_time_may_move { vec![label.to_owned()] } else { Vec::new() };
        Source::Files(Box::new(Files {
            label: label.to_owned(),
            database_path: path.to_owned(),
            database: None,
            wal,
            shm,
            hot_journal: None,
            access_time_moved,
            opened: None,
        }))
    };
    match kind(head.get(..n).unwrap_or_default()) {
        Kind::Bundle => Ok(Source::Bundle(Box::new(Capture::from_file(label, opened.file)?))),
        Kind::Wal => Ok(alone(Some(Arc::new(bytes)), None)),
        Kind::WalIndex => Ok(alone(None, Some(Arc::new(bytes)))),
        Kind::Database => {
            let source = database(label, target.clone(), strict_atime)?;
            let alone = matches!(&source, Source::Files(files) if files.wal.is_none() && files.shm.is_none());
            match is_nothing_of_sqlites(head.get(..n).unwrap_or_default(), bytes.len()) {
                true if alone => Err(SnapshotError::Unusable {
                    path: path.to_owned(),
                    message: format!(
                        "neither a database, a -wal, a -shm nor a bundle: needed one of their headers at offset 0, or whole \
                         pages of an encrypted database; found {} bytes without a header, and no -wal or -shm beside them",
                        bytes.len()
                    ),
                }),
                _ => Ok(source),
            }
        }
    }
}

/// An encrypted database has no header, but it has whole pages. Fewer bytes than a header takes are said to be too few.
fn is_nothing_of_sqlites(head: &[u8], size: u64) -> bool {
    !head.starts_with(b"SQLite format 3\0") && size >= 100 && !size.is_multiple_of(512)
}

fn database(label: &str, target: Target, strict_atime: bool) -> Result<Source, SnapshotError> {
    let opened = linux::open_database(target, strict_atime)?;
    let bytes = |file: &Observation<Arc<File>>| -> Result<Option<Arc<dyn ReadAt>>, SnapshotError> {
        let Some(file) = file.value() else { return Ok(None) };
        match FileBytes::whole(Arc::clone(file)) {
            Ok(bytes) => Ok(Some(Arc::new(bytes))),
            Err(source) => Err(SnapshotError::Io { path: opened.database_path.clone(), action: "read", source }),
        }
    };
    Ok(Source::Files(Box::new(Files {
        label: label.to_owned(),
        database_path: opened.database_path.clone(),
        database: bytes(&opened.database)?,
        wal: bytes(&opened.wal)?,
        shm: bytes(&opened.shm)?,
        hot_journal: opened.journal.known().map(|journal| journal.is_some_and(bundle::is_hot_journal)),
        access_time_moved: opened.access_time_moved.clone(),
        opened: Some(opened),
    })))
}

/// What a file is by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bundle,
    Wal,
    WalIndex,
    /// Also what is told by nothing: empty files are empty databases to SQLite, encrypted ones have no mark.
    Database,
}

fn kind(head: &[u8]) -> Kind {
    let word = |at: usize| head.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
    if bundle::is_bundle(head) {
        Kind::Bundle
    } else if head.starts_with(b"SQLite format 3\0") {
        Kind::Database
    } else if word(0).map(u32::from_be_bytes).is_some_and(|magic| magic | 1 == 0x377f_0683) {
        Kind::Wal
    } else if begins_wal_index(head) {
        Kind::WalIndex
    } else {
        Kind::Database
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_says_whose_path_it_is_unless_a_file_is_called_so() {
        let meant = |text: &'static str| place(OsStr::new(text), |_| false);
        let path = Path::new("/data/t.db");
        assert_eq!(meant("writer:/data/t.db"), Place::Container("writer", path));
        assert_eq!(meant("0a1b2c3d4e5f:/data/t.db"), Place::Container("0a1b2c3d4e5f", path));
        assert_eq!(meant("pid:31:/data/t.db"), Place::Process(31, path));
        assert_eq!(meant("pid:x:/t.db"), Place::NoNumber);
        assert_eq!(meant("writer:/a:/b.db"), Place::Container("writer", Path::new("/a:/b.db")));
        for text in ["t.db", "/data/t.db", "C:/t.db", "./a:/t.db", "/x:/t.db", "writer:t.db", ":/t.db", "", "-x:/t.db"]
        {
            assert_eq!(meant(text), Place::Here(Path::new(text)), "{text}");
        }
        assert_eq!(place(OsStr::new("writer:/data/t.db"), |_| true), Place::Here(Path::new("writer:/data/t.db")));
    }

    #[test]
    fn the_command_to_run_inside_can_be_pasted() {
        assert!(
            inside(Some("podman"), "w1", Path::new("/data/t.db"))
                .contains("podman exec w1 walscope snapshot /data/t.db -o - > w1.walsnap")
        );
        assert!(!inside(None, "w1", Path::new("/data/t.db")).contains("exec"));
        assert!(inside(Some("docker"), "w1", Path::new("/my $x's")).contains(r"snapshot '/my $x'\''s' -o"));
    }

    #[test]
    fn files_are_told_by_content() {
        assert_eq!(kind(b""), Kind::Database);
        assert_eq!(kind(b"x"), Kind::Database);
        assert_eq!(kind(b"SQLite format 3\0"), Kind::Database);
        assert_eq!(kind(&[0xe7; 512]), Kind::Database);
        assert_eq!(kind(&[0x37, 0x7f, 0x06, 0x82]), Kind::Wal);
        assert_eq!(kind(&[0x37, 0x7f, 0x06, 0x83, 0]), Kind::Wal);
        assert_eq!(kind(&[0x37, 0x7f, 0x06, 0x84]), Kind::Database);
        assert_eq!(kind(&3_007_000u32.to_le_bytes()), Kind::WalIndex);
        assert_eq!(kind(&3_007_000u32.to_be_bytes()), Kind::WalIndex);
        let mut torn = [0; 96];
        torn[48..52].copy_from_slice(&3_007_000u32.to_le_bytes());
        assert_eq!(kind(&torn), Kind::WalIndex);
    }
}
