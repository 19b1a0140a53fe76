//! The folder that `/proc` is mounted on; a fake one in tests.

use std::path::PathBuf;

/// A proc file system, by its folder.
#[derive(Debug, Clone)]
pub struct Proc {
    root: PathBuf,
}

impl Proc {
    /// The proc file system at `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}
