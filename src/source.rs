//! The SOURCE syntax: which files a command looks at, wherever they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::ReadAt;
use crate::evidence::{LocksView, Observation};
use crate::snapshot::{Capture, SnapshotError};

/// A SOURCE, resolved.
pub enum Source {
    /// A database with its siblings, or one of them alone, on this machine.
    Files(Files),
    /// A bundle.
    Bundle(Box<Capture>),
}

/// Files on this machine, opened read-only, without following the last link of siblings, never blocking.
pub struct Files {
    /// What the user typed.
    pub label: String,
    /// The database's resolved path, also when it is missing.
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
}

impl Files {
    /// Who holds the locks now. Read the `-shm` before and after.
    #[must_use]
    pub fn locks(&self) -> Observation<LocksView> {
        todo!()
    }
}

/// Opens a SOURCE: a path to a database, a `-wal` or a `-shm` (told by content), or to a bundle.
///
/// # Errors
/// When it cannot be read or is none of these.
pub fn open(argument: &str, strict_atime: bool) -> Result<Source, SnapshotError> {
    let _ = (Path::new(argument), strict_atime);
    todo!()
}
