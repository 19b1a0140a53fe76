//! Capturing one side: the order of reading, the stability rule, the bundle.
//!
//! Every capture is read back from a bundle, for live sources too. So there is only one kind of capture, and a bundle
//! that was made elsewhere serves as well as a capture made here.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::bytes::ReadAt;
use crate::linux::challenge::contact::Held;
use crate::linux::{self, Care, OpenedFiles, Target};
use crate::look::{DatabaseSeen, WalSeen};

mod archive;
mod capture;
mod look;
pub mod manifest;
mod read;
pub mod rescue;
mod seen;
mod sparse;
mod stability;
mod unstable;
mod watch;

pub(crate) use archive::is_bundle;
pub(crate) use look::is_hot_journal;
pub use manifest::{Manifest, Stability, WalMode, WalSummary};

/// The version of the bundle format that this walscope writes, and the newest it reads.
pub const BUNDLE_VERSION: u32 = 1;

/// Why a capture or a bundle could not be made or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The system refused.
    #[error("{path}: {action}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// It could not be opened for examination.
    #[error(transparent)]
    Open(#[from] crate::linux::OpenError),
    /// Another process or container may not be looked into by this user.
    #[error("{why}. Looking into it from outside takes root (CAP_SYS_PTRACE); as it is, {instead}")]
    NotPermitted {
        /// What was refused.
        why: crate::linux::OpenError,
        /// What can be done instead.
        instead: String,
    },
    /// The file is of no kind that can be captured or read.
    #[error("{path}: {message}")]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong: offset, needed and found where they apply.
        message: String,
    },
}

/// What to capture.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much of the `-wal`; `None`: full up to 64 MiB or with `with_db`, else headers.
    pub wal: Option<WalMode>,
    /// The whole database instead of its first page.
    pub with_db: bool,
    /// How many attempts are made in all, as long as the capture is unstable.
    pub attempts: u32,
    /// What an open may do to others.
    pub care: Care,
    /// Bytes that are copied at once; between two chunks of the database and of the `-wal` the hook is called.
    pub chunk_size: usize,
    /// Samples of the wal-index that are taken after the capture, besides those of the capture itself.
    pub samples: u32,
    /// Time between two samples.
    pub interval: Duration,
    /// The beacon that is held on the `-shm` meanwhile.
    pub hold: Option<Arc<Held>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wal: None,
            with_db: false,
            attempts: 5,
            care: Care::default(),
            chunk_size: 1 << 20,
            samples: 0,
            interval: Duration::from_millis(100),
            hold: None,
        }
    }
}

/// The steps of one attempt in their order; a hook is called before each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Header copies, checkpoint info, WAL header, identities.
    Before,
    /// The database, or its first page.
    Database,
    /// The next chunk of the database; the number of the first of these is 1.
    DatabaseChunk(u64),
    /// The `-shm` as a whole: S1, and the locks of the same moment.
    WalIndex,
    /// The WAL up to `S1.mxFrame`.
    WalCommitted,
    /// The next chunk of the WAL up to `S1.mxFrame`.
    WalChunk(u64),
    /// The WAL after `S1.mxFrame`.
    WalTail,
    /// Everything of `Before` once more.
    After,
    /// Namespaces and mappings: once, for the attempt that the manifest describes.
    Evidence,
}

/// One side, as captured.
#[derive(Clone)]
pub struct Capture {
    /// What the user typed, or the bundle's path.
    pub label: String,
    /// Everything but the bytes.
    pub manifest: Manifest,
    /// The `-shm` (S1).
    pub shm: Option<Arc<dyn ReadAt>>,
    /// The `-wal`; `NotSeen` when it was left out.
    pub wal: WalSeen,
    /// The database.
    pub database: DatabaseSeen,
    /// Mode bits of the bundle file that let others read it, if any.
    pub readable_by_others: bool,
}

impl Capture {
    /// Reads a bundle.
    ///
    /// # Errors
    /// When the file cannot be read, is no bundle, is cut short, or was written by a newer walscope.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let opened = crate::linux::open_regular(path, Care::default())?;
        Self::from_file(&path.display().to_string(), opened.file)
    }

    /// Reads a bundle from an open file.
    ///
    /// # Errors
    /// When the file cannot be read, is no bundle, is cut short, or was written by a newer walscope.
    pub fn from_file(label: &str, file: Arc<File>) -> Result<Self, SnapshotError> {
        read::read(label, &file)
    }
}

/// Captures the database at `target` with its siblings and streams the bundle to `out`. `hook` is called before each step
/// with the attempt's number (1 for the first). It cannot end the capture.
///
/// # Errors
/// When nothing can be captured, or `out` fails.
pub fn write_bundle(
    target: impl Into<Target>,
    options: &Options,
    out: &mut dyn Write,
    hook: &mut dyn FnMut(u32, Step),
) -> Result<Manifest, SnapshotError> {
    capture::write_bundle(&target.into(), None, options, out, hook).map(|(manifest, _)| manifest)
}

/// Captures a live source as a [`Capture`]: writes a bundle to an unnamed temporary file and reads it back.
///
/// # Errors
/// When nothing can be captured, or the temporary file cannot be made, written or read.
pub fn capture_live(target: impl Into<Target>, options: &Options) -> Result<Capture, SnapshotError> {
    capture_opened(linux::open_database(target, options.care)?, options).map(|(capture, _)| capture)
}

/// Captures from descriptors that are already open. When a capture is unstable, the next attempt opens the path again.
/// Returns the capture and the descriptors that it was made from, still open.
///
/// # Errors
/// When nothing can be captured, or the temporary file cannot be made, written or read.
pub fn capture_opened(files: OpenedFiles, options: &Options) -> Result<(Capture, OpenedFiles), SnapshotError> {
    let target = files.target.clone();
    let scratch = |source| SnapshotError::Io { path: std::env::temp_dir(), action: "make a temporary file", source };
    let file = unnamed_file().map_err(scratch)?;
    let mut out = io::BufWriter::with_capacity(1 << 16, &file);
    let (_, files) = capture::write_bundle(&target, Some(files), options, &mut out, &mut |_, _| {})?;
    out.into_inner().map_err(|error| scratch(error.into_error()))?;
    let mut capture = Capture::from_file(&target.to_string(), Arc::new(file))?;
    // The scratch file has no name by which others could open it.
    capture.readable_by_others = false;
    Ok((capture, files))
}

/// What the wal-index of an opened database says now, with the clocks around it; `None` when it cannot be trusted.
///
/// # Errors
/// When it cannot be read.
pub fn sample(files: &OpenedFiles) -> Result<Option<crate::evidence::WalIndexSample>, SnapshotError> {
    Ok(look::Look::take(files)?.sample)
}

/// Whether the wal-index of an opened database is in use and counts frames that the `-wal` does not have, at each of three
/// looks: what a capture records as [`UnstableCause::WalCutOff`](crate::evidence::UnstableCause::WalCutOff).
///
/// # Errors
/// When the files cannot be read.
pub fn wal_is_cut_off(files: &OpenedFiles) -> Result<bool, SnapshotError> {
    let looks = [look::Look::take(files)?, look::Look::take(files)?, look::Look::take(files)?];
    Ok(stability::always_cut_off(looks.each_ref(), &linux::dead_man_switch(files)).is_some())
}

/// A file without a name, which nobody else can read. Where there is no folder for temporary files, as in an image with
/// one executable, it lives in memory.
fn unnamed_file() -> io::Result<File> {
    let file = tempfile::tempfile().or_else(|_| {
        let memory = rustix::fs::memfd_create("walscope", rustix::fs::MemfdFlags::CLOEXEC)?;
        io::Result::Ok(File::from(memory))
    })?;
    // A nameless file is made with the umask's mode, and can be opened through /proc.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}
