//! What Linux shows: one file per source, a pure parser each, and one place that touches the system.
//!
//! Nothing here decodes SQLite's formats or judges. What could not be seen is an [`Observation`] with its reason.
//!
//! Everything is read through descriptors opened by [`open_database`], so that identities, bytes and locks speak of the
//! same files even when the paths are replaced meanwhile.

use crate::evidence::{ClockSample, FilesView, HostView, LocksView, MappingsView, Observation};

pub mod open;
pub mod procfs;

pub use open::{OpenError, Opened, OpenedFiles, open_database, open_regular};
pub use procfs::Proc;

/// What the open descriptors say about their files, at this moment.
#[must_use]
pub fn identities(files: &OpenedFiles) -> FilesView {
    let _ = files;
    todo!()
}

/// Whether each path still leads to the file that was opened, with at least one link, and whether what was missing is
/// still missing. `false` for a `-shm` that was replaced.
#[must_use]
pub fn paths_unchanged(files: &OpenedFiles) -> bool {
    let _ = files;
    todo!()
}

/// Kernel, namespaces, container and user of this process, and the mounts that the files were reached through.
#[must_use]
pub fn host_view(files: &OpenedFiles) -> HostView {
    let _ = files;
    todo!()
}

/// Which visible processes map the opened `-shm`, or another file under its path.
#[must_use]
pub fn mappings_view(files: &OpenedFiles) -> Observation<MappingsView> {
    let _ = files;
    todo!()
}

/// Who holds SQLite's locks now. Takes no lock.
#[must_use]
pub fn locks_view(files: &OpenedFiles) -> Observation<LocksView> {
    let _ = files;
    todo!()
}

/// The clocks, now.
#[must_use]
pub fn clock_sample() -> ClockSample {
    todo!()
}

/// The raw texts behind the evidence, as `(name, bytes)`: names are relative paths below `/proc` (`self/mountinfo`,
/// `locks`, `412/maps`) or `uname`. Of other processes' `maps` only the lines that [`mappings_view`] looks at. Each is
/// bounded in size.
#[must_use]
pub fn raw_texts(files: &OpenedFiles, mappings: &Observation<MappingsView>) -> Vec<(String, Observation<Vec<u8>>)> {
    let _ = (files, mappings);
    todo!()
}
