//! Why a file could not be opened.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file could not be opened for examination.
#[derive(Debug, Error)]
#[error("{}: {what}: {why}", path.display())]
pub struct OpenError {
    /// Which file.
    pub path: PathBuf,
    /// What was being done.
    pub what: &'static str,
    /// The error of the system, or which kind of file was found and which was needed.
    pub why: io::Error,
}

impl OpenError {
    pub(super) fn new(path: &Path, what: &'static str, why: io::Error) -> Self {
        Self { path: path.to_owned(), what, why }
    }
}
