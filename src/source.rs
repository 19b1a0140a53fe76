//! The SOURCE syntax: which files a command looks at, wherever they are.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{LocksView, Observation};
use crate::linux::{self, OpenedFiles};
use crate::snapshot::{self, Capture, SnapshotError};

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
    /// Whether a `-journal` with content lies beside them.
    pub hot_journal: bool,
    /// Files whose access time the reading may have moved.
    pub access_time_moved: Vec<String>,
    /// The open descriptors of a database and its siblings; `None` for a `-wal` or a `-shm` alone.
    pub opened: Option<OpenedFiles>,
}

impl Files {
    /// Who holds the locks now. Read the `-shm` before and after.
    #[must_use]
    pub fn locks(&self) -> Observation<LocksView> {
        match &self.opened {
            Some(opened) => linux::locks_view(opened),
            None => Observation::missing("locks are looked at for a database with its -shm, not for one file alone"),
        }
    }
}

/// Opens a SOURCE: a path to a database, a `-wal` or a `-shm` (told by content), or to a bundle.
///
/// # Errors
/// When it cannot be read or is none of these.
pub fn open(argument: &str, strict_atime: bool) -> Result<Source, SnapshotError> {
    let path = Path::new(argument);
    // The database may be missing while its siblings are there: then there is no content to tell it by.
    if std::fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
        return database(argument, path, strict_atime);
    }
    let opened = linux::open_regular(path, strict_atime)?;
    let unreadable = |source| SnapshotError::Io { path: path.to_owned(), action: "read", source };
    let bytes = FileBytes::whole(Arc::clone(&opened.file)).map_err(unreadable)?;
    let mut head = [0; 512];
    let n = bytes.read_at(&mut head, 0).map_err(unreadable)?;
    let alone = |wal, shm| {
        let access_time_moved = if opened.access_time_may_move { vec![argument.to_owned()] } else { Vec::new() };
        Source::Files(Box::new(Files {
            label: argument.to_owned(),
            database_path: path.to_owned(),
            database: None,
            wal,
            shm,
            hot_journal: false,
            access_time_moved,
            opened: None,
        }))
    };
    match kind(head.get(..n).unwrap_or_default()) {
        Kind::Bundle => Ok(Source::Bundle(Box::new(Capture::from_file(argument, opened.file)?))),
        Kind::Wal => Ok(alone(Some(Arc::new(bytes)), None)),
        Kind::WalIndex => Ok(alone(None, Some(Arc::new(bytes)))),
        Kind::Database => database(argument, path, strict_atime),
    }
}

fn database(label: &str, path: &Path, strict_atime: bool) -> Result<Source, SnapshotError> {
    let opened = linux::open_database(path, strict_atime)?;
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
        hot_journal: opened.journal.value().is_some_and(snapshot::is_hot_journal),
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
    // iVersion of either header copy: one of them may be torn. In the byte order of whichever machine wrote it.
    let is_version = |word: [u8; 4]| u32::from_le_bytes(word) == 3_007_000 || u32::from_be_bytes(word) == 3_007_000;
    if snapshot::is_bundle(head) {
        Kind::Bundle
    } else if head.starts_with(b"SQLite format 3\0") {
        Kind::Database
    } else if word(0).map(u32::from_be_bytes).is_some_and(|magic| magic | 1 == 0x377f_0683) {
        Kind::Wal
    } else if [0, 48].into_iter().filter_map(word).any(is_version) {
        Kind::WalIndex
    } else {
        Kind::Database
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
