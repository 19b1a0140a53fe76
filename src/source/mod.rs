//! A SOURCE: what a command looks at, wherever it is, as something that can be looked at.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::bundle::{self, Capture, SnapshotError};
use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::Observation;
use crate::format::journal::{self, JournalHeader};
use crate::format::wal::HEADER_SIZE;
use crate::linux::{self, Care, Target};
use crate::look::{HotJournal, Seen, Why, is_another_form};
use crate::shell_word::walscope;
use crate::wal::salvage::begins_with_frames;

mod commits;
mod files;
mod in_container;
mod inspect;
mod other_format;
mod other_names;
mod syntax;
mod tree;

pub use files::Files;
pub use in_container::{InContainer, in_container};
pub use inspect::{inspect, inspect_found, inspect_frames};
pub use syntax::{is_container_name, process, target};
pub use tree::{Found, Other, Tree, Unread, is_beside, tree, tree_until};

/// A SOURCE, resolved.
// A command holds a handful of these. A box would only make it harder to take the descriptors out.
#[allow(clippy::large_enum_variant)]
pub enum Source {
    /// A database with its siblings, or one of them alone, on this machine.
    Files(Box<Files>),
    /// A bundle.
    Bundle(Box<Capture>),
}

impl Source {
    /// What is looked at.
    #[must_use]
    pub fn seen(&self) -> &dyn Seen {
        match self {
            Self::Files(files) => files.as_ref(),
            Self::Bundle(capture) => capture.as_ref(),
        }
    }

    /// What the user called it.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Files(files) => &files.label,
            Self::Bundle(capture) => &capture.label,
        }
    }

    /// Whether the files are live: another look may see something else.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Files(_))
    }
}

/// Why a SOURCE could not be looked at.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] SnapshotError),
    /// Reading failed.
    #[error("{label}: {source}")]
    Read {
        /// What the user called it.
        label: String,
        /// Why.
        source: io::Error,
    },
    /// A file is there and may not be read.
    #[error("{path}: {reason}", path = .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The reason as the system gave it.
        reason: String,
    },
    /// Neither the database nor one of its siblings is there.
    #[error("{label}: {why}")]
    NothingThere {
        /// What the user called it.
        label: String,
        /// Why the database was not seen.
        why: Why,
    },
}

/// Opens a SOURCE: a database, a `-wal`, a `-shm` or a bundle, recognized by its content. It lies here, in the view of
/// process N (`pid:N:/path`), or in a running container (`NAME:/path`).
///
/// # Errors
/// When it cannot be read, or is none of these kinds.
pub fn open(argument: &OsStr, care: Care) -> Result<Source, SnapshotError> {
    open_target(argument, target(argument)?, care)
}

/// Opens what lies at a target; the label is what the user calls it.
fn open_target(label: &OsStr, target: Target, care: Care) -> Result<Source, SnapshotError> {
    let label = &*label.to_string_lossy();
    // The database may be missing while its siblings are there: then there is no content to recognize it by.
    if !target.exists() {
        return database(label, target, care);
    }
    let opened = linux::open_regular(target.clone(), care)?;
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
            hot_journal: HotJournal::NotLookedFor,
            access_time_moved,
            opened: None,
        }))
    };
    // To SQLite an empty file is an empty database, and beside a database an empty -wal.
    if n == 0 && path.as_os_str().as_encoded_bytes().ends_with(b"-wal") {
        return Ok(alone(Some(Arc::new(bytes)), None));
    }
    match kind(head.get(..n).unwrap_or_default()) {
        Kind::Bundle => Ok(Source::Bundle(Box::new(Capture::from_file(label, opened.file)?))),
        Kind::Wal => Ok(alone(Some(Arc::new(bytes)), None)),
        Kind::WalIndex => Ok(alone(None, Some(Arc::new(bytes)))),
        Kind::Database => {
            let source = database(label, target.clone(), care)?;
            let by_itself = matches!(&source, Source::Files(files) if files.wal.is_none() && files.shm.is_none());
            let head = head.get(..n).unwrap_or_default();
            if by_itself && is_broken_wal(path, head, &bytes).map_err(unreadable)? {
                return Ok(alone(Some(Arc::new(bytes)), None));
            }
            let format = other_format::format(head).map(|format| format.name);
            if by_itself && head.starts_with(journal::MAGIC) {
                return Err(SnapshotError::Unusable { path: path.to_owned(), message: of_journal(path, head) });
            }
            match is_nothing_of_sqlites(head, bytes.len()) || bytes.len() >= 100 && format.is_some() {
                true if by_itself => Err(SnapshotError::Unusable {
                    path: path.to_owned(),
                    message: format!(
                        "neither a database, a -wal, a -shm nor a bundle: needed one of their headers at offset 0, or whole \
                         pages of an encrypted database; found {} bytes {}, and no -wal or -shm beside them",
                        bytes.len(),
                        format.map_or_else(
                            || "without a header".to_owned(),
                            |format| format!("of another format ({format})")
                        )
                    ),
                }),
                _ => Ok(source),
            }
        }
    }
}

/// What a rollback journal is that was given by itself.
fn of_journal(path: &Path, head: &[u8]) -> String {
    let of = journal::parse(head).map_or(String::new(), |header| {
        let JournalHeader { database_pages, page_size, .. } = header;
        format!(" of a transaction over a database of {database_pages} pages of {} bytes", page_size.bytes())
    });
    let name = path.as_os_str().as_encoded_bytes();
    let database = name.strip_suffix(b"-journal").filter(|name| !name.is_empty());
    let look = database.map_or_else(
        || "give it the name that it had, that of its database and -journal, and look at the database".to_owned(),
        |database| format!("look at its database: {}", walscope("verify", OsStr::from_bytes(database), "")),
    );
    format!("a rollback journal{of}: {look}")
}

/// Whether the content cannot be SQLite's. An encrypted database has no header, but it has whole pages. Fewer bytes
/// than a header are reported as too few elsewhere. A database in another form, such as text, has its own finding.
fn is_nothing_of_sqlites(head: &[u8], size: u64) -> bool {
    !head.starts_with(b"SQLite format 3\0") && size >= 100 && !size.is_multiple_of(512) && !is_another_form(head)
}

/// Whether a file that nothing identifies is a `-wal` with a broken header: its frames follow one another, or it has the
/// name of one. An encrypted database has no frames.
fn is_broken_wal(path: &Path, head: &[u8], bytes: &dyn ReadAt) -> io::Result<bool> {
    if head.starts_with(b"SQLite format 3\0") || bytes.len() < HEADER_SIZE as u64 {
        return Ok(false);
    }
    Ok(path.as_os_str().as_encoded_bytes().ends_with(b"-wal") || begins_with_frames(bytes)?)
}

fn database(label: &str, target: Target, care: Care) -> Result<Source, SnapshotError> {
    let opened = linux::open_database(target, care)?;
    let unreadable = |source| SnapshotError::Io { path: opened.database_path.clone(), action: "read", source };
    let bytes = |file: &Observation<Arc<File>>| -> Result<Option<Arc<dyn ReadAt>>, SnapshotError> {
        let Some(file) = file.value() else { return Ok(None) };
        Ok(Some(Arc::new(FileBytes::whole(Arc::clone(file)).map_err(unreadable)?)))
    };
    Ok(Source::Files(Box::new(Files {
        label: label.to_owned(),
        database_path: opened.database_path.clone(),
        database: bytes(&opened.database)?,
        wal: bytes(&opened.wal)?,
        shm: opened.shm_bytes().map_err(unreadable)?,
        hot_journal: opened.journal.known().map(|journal| journal.is_some_and(bundle::is_hot_journal)).into(),
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
    /// Also what nothing identifies: to SQLite an empty file is an empty database, and an encrypted database has no
    /// magic.
    Database,
}

fn kind(head: &[u8]) -> Kind {
    let word = |at: usize| head.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
    // iVersion of either header copy, because one of them may be torn; in either byte order, that of the machine that
    // wrote it.
    let is_version = |word: [u8; 4]| u32::from_le_bytes(word) == 3_007_000 || u32::from_be_bytes(word) == 3_007_000;
    if bundle::is_bundle(head) {
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
