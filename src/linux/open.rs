//! Opening files for examination: read-only, never blocking, without side effects on devices.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::evidence::Observation;

/// Why a file could not be opened for examination.
#[derive(Debug, Error)]
#[error("{}: {what}: {why}", path.display())]
pub struct OpenError {
    /// Which file.
    pub path: PathBuf,
    /// What was being done.
    pub what: &'static str,
    /// Why not: what the system said, or which kind of file was found and needed.
    #[source]
    pub why: io::Error,
}

/// One regular file, open for reading.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The descriptor.
    pub file: Arc<File>,
    /// O_NOATIME was refused and the mount keeps access times: reading may move the file's.
    pub access_time_may_move: bool,
}

/// The files of one database, opened together beside the resolved database.
#[derive(Debug)]
pub struct OpenedFiles {
    /// The path that was asked for.
    pub asked: PathBuf,
    /// The database's path with symbolic links resolved, whether or not there is a database.
    pub database_path: PathBuf,
    /// The folder that holds them all.
    pub directory: File,
    /// The database.
    pub database: Observation<Arc<File>>,
    /// The `-wal`.
    pub wal: Observation<Arc<File>>,
    /// The `-shm`.
    pub shm: Observation<Arc<File>>,
    /// The `-journal`.
    pub journal: Observation<Arc<File>>,
    /// Files whose access time reading may move, by path.
    pub access_time_moved: Vec<String>,
}

/// Opens a database with its siblings as SQLite would find them: symbolic links of the database are resolved, the
/// siblings lie beside the target and are not followed. Each of the files may be missing, but not all.
///
/// # Errors
/// When nothing can be opened, when the database is no regular file, or, with `strict_atime`, when reading one of the
/// files might move its access time.
pub fn open_database(path: &Path, strict_atime: bool) -> Result<OpenedFiles, OpenError> {
    let _ = (path, strict_atime);
    todo!()
}

/// Opens one regular file, following symbolic links: a bundle, or a `-wal` or `-shm` given by its own path.
///
/// # Errors
/// When it cannot be opened, is no regular file, or, with `strict_atime`, when reading might move its access time.
pub fn open_regular(path: &Path, strict_atime: bool) -> Result<Opened, OpenError> {
    let _ = (path, strict_atime);
    todo!()
}
