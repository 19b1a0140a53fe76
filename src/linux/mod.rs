//! What Linux shows: one file per source, a pure parser each, and one place that touches the system.
//!
//! Nothing here decodes SQLite's formats or judges. What could not be seen is an [`Observation`] with its reason.
//!
//! Everything is read through descriptors opened by [`open_database`], so that identities, bytes and locks speak of the
//! same files even when the paths are replaced meanwhile.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use crate::evidence::{
    ClockSample, FileView, FilesView, HostView, InodeId, LocksView, MappingsView, Mount, Observation,
};

pub mod cgroup;
pub mod clocks;
mod elsewhere;
pub mod fdinfo;
pub mod host;
pub mod lock_view;
pub mod locks;
pub mod mappings;
pub mod maps;
pub mod mountinfo;
pub mod namespaces;
pub mod open;
pub mod procfs;
mod settle;
pub mod stat;
mod sys;

pub use open::{OpenError, Opened, OpenedFiles, open_database, open_regular};
pub use procfs::Proc;

/// Where Linux mounts its proc file system.
fn system() -> Proc {
    Proc::new("/proc")
}

/// What the open descriptors say about their files, at this moment.
#[must_use]
pub fn identities(files: &OpenedFiles) -> FilesView {
    let proc = system();
    let mounts = mounts(&proc);
    let look = |file: &Observation<Arc<File>>| and_then(file, |file| file_view(&proc, file, &mounts));
    let mut shm = look(&files.shm);
    if let (Observation::Seen { value: view }, Some(file)) = (&mut shm, files.shm.value()) {
        view.maps_identity = maps::identity(&proc, file);
    }
    FilesView {
        database_path: files.database_path.to_string_lossy().into_owned(),
        directory: file_view(&proc, &files.directory, &mounts),
        database: look(&files.database),
        wal: look(&files.wal),
        shm,
        journal: look(&files.journal),
    }
}

fn file_view(proc: &Proc, file: &File, mounts: &Observation<Vec<Mount>>) -> Observation<FileView> {
    match stat::file_view(proc, file, mounts) {
        Ok(view) => Observation::seen(view),
        Err(error) => procfs::unseen("fstat", &error),
    }
}

/// An observation made through another one; the reason of the first is kept.
fn and_then<T, U>(first: &Observation<T>, then: impl FnOnce(&T) -> Observation<U>) -> Observation<U> {
    match first {
        Observation::Seen { value } => then(value),
        Observation::Denied { reason } => Observation::denied(reason),
        Observation::Missing { reason } => Observation::missing(reason),
        Observation::Unsupported { reason } => Observation::unsupported(reason),
    }
}

fn mounts(proc: &Proc) -> Observation<Vec<Mount>> {
    and_then(&proc.observe("self/mountinfo"), |text| match mountinfo::parse(text) {
        Ok(mounts) => Observation::seen(mounts),
        Err(error) => Observation::unsupported(format!("self/mountinfo: {error}")),
    })
}

/// Whether each path still leads to the file that was opened, with at least one link, and whether what was missing is
/// still missing. `false` for a `-shm` that was replaced.
#[must_use]
pub fn paths_unchanged(files: &OpenedFiles) -> bool {
    open::unchanged(files)
}

/// Kernel, namespaces, container and user of this process, and the mounts that the files were reached through.
#[must_use]
pub fn host_view(files: &OpenedFiles) -> HostView {
    let proc = system();
    let opened = [&files.database, &files.wal, &files.shm, &files.journal].into_iter().filter_map(Observation::value);
    let opened = opened.map(Arc::as_ref).chain([&files.directory]);
    let used: Vec<u64> = opened.filter_map(|file| stat::mount_id(&proc, file).value().copied()).collect();
    host::view(&proc, &mounts(&proc), &used)
}

/// Which visible processes map the opened `-shm`, or another wal-index for the same path or the same database: looked
/// for by path also when there is no `-shm` to open. Where a process seems cut off, this looks several times, over a
/// quarter of a second.
#[must_use]
pub fn mappings_view(files: &OpenedFiles) -> Observation<MappingsView> {
    let proc = system();
    let wanted = wanted(&proc, files);
    let look = || {
        let leads = open::shm_leads(files);
        (leads, mappings::scan(&proc, &wanted, leads))
    };
    settle::settle(look, || std::thread::sleep(Duration::from_millis(settle::PAUSE)))
}

fn wanted(proc: &Proc, files: &OpenedFiles) -> mappings::Wanted {
    let identity: Option<InodeId> = files.shm.value().and_then(|file| maps::identity(proc, file).value().copied());
    let mut path = files.database_path.as_os_str().as_bytes().to_vec();
    path.extend(b"-shm");
    let file = |file: &Observation<Arc<File>>| file.value().and_then(|file| stat::device_and_inode(file).ok());
    let mut wanted = mappings::Wanted::new(proc, identity, &path);
    wanted.exact = files.shm.value().filter(|shm| stat::is_btrfs(shm)).and_then(|_| file(&files.shm));
    wanted.database = file(&files.database);
    wanted
}

/// Who holds SQLite's locks now. Takes no lock.
#[must_use]
pub fn locks_view(files: &OpenedFiles) -> Observation<LocksView> {
    let proc = system();
    lock_view::view(&proc, &files.shm, &files.database, &mounts(&proc))
}

/// The clocks, now.
#[must_use]
pub fn clock_sample() -> ClockSample {
    clocks::sample(&system())
}

/// The raw texts behind the evidence, as `(name, bytes)`: names are relative paths below `/proc` (`self/mountinfo`,
/// `locks`, `412/maps`) or `uname`. Of other processes' `maps` only the lines that [`mappings_view`] looks at. They are
/// read anew, so a process of the view may have ended. Each is bounded by [`procfs::TEXT_LIMIT`].
#[must_use]
pub fn raw_texts(files: &OpenedFiles, mappings: &Observation<MappingsView>) -> Vec<(String, Observation<Vec<u8>>)> {
    let proc = system();
    let texts = ["self/mountinfo", "locks", "self/cgroup", host::BOOT_ID, "self/timens_offsets"];
    let mut texts: Vec<_> = texts.iter().map(|name| ((*name).to_owned(), proc.observe(name))).collect();
    texts.push(("uname".to_owned(), Observation::seen(host::uname_text())));
    let wanted = wanted(&proc, files);
    let mut pids: Vec<u32> = mappings.value().iter().flat_map(|view| &view.mappings).map(|found| found.pid).collect();
    pids.dedup();
    texts.extend(pids.into_iter().map(|pid| (format!("{pid}/maps"), mappings::raw_lines(&proc, pid, &wanted))));
    texts
}
