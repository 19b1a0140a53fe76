//! What Linux shows: one file per source, a pure parser each, and one place that touches the system.
//!
//! Nothing here decodes SQLite's formats or judges. What could not be seen is an [`Observation`] with its reason.
//!
//! Everything is read through descriptors opened by [`open_database`], so that identities, bytes and locks speak of the
//! same files even when the paths are replaced meanwhile.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use crate::evidence::{
    ByteLock, ClockSample, Evidence, FileView, FilesView, HostView, InodeId, LocksView, MappingsView, Mount,
    Observation, live,
};

pub mod beacon;
mod card;
pub mod cgroup;
pub mod clocks;
mod elsewhere;
pub mod fdinfo;
pub mod host;
pub mod lock_view;
pub mod locks;
pub mod mappings;
pub mod maps;
pub mod meet;
pub mod mountinfo;
pub mod namespaces;
pub mod open;
mod own_locks;
pub mod pagemap;
pub mod procfs;
pub mod ps;
pub mod runtimes;
mod settle;
pub mod stat;
mod sys;
pub mod target;
pub mod trial;

pub use open::{OpenError, Opened, OpenedFiles, open_database, open_regular};
pub use procfs::Proc;
pub use sys::{ignores_signal, share_one_heap};
pub use target::Target;

/// Where Linux mounts its proc file system.
fn system() -> Proc {
    Proc::new("/proc")
}

/// What the open descriptors say about their files, at this moment.
#[must_use]
pub fn identities(files: &OpenedFiles) -> FilesView {
    let proc = system();
    let mounts = mounts(&proc, &files.target);
    let look = |file: &Observation<Arc<File>>| and_then(file, |file| file_view(&proc, file, &mounts));
    let mut shm = look(&files.shm);
    if let (Observation::Seen { value: view }, Some(file)) = (&mut shm, files.shm.value()) {
        view.maps_identity = maps::identity(&proc, file);
    }
    FilesView {
        database_path: files.database_path.to_string_lossy().into_owned(),
        links_followed: files.links_followed,
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

/// The mounts of the target's process.
fn mounts(proc: &Proc, target: &Target) -> Observation<Vec<Mount>> {
    let text = match target.process(proc) {
        Ok(process) => process.observe("mountinfo"),
        Err(error) => procfs::unseen("mountinfo", &error),
    };
    and_then(&text, |text| match mountinfo::parse(text) {
        Ok(mounts) => Observation::seen(mounts),
        Err(error) => Observation::unsupported(format!("mountinfo: {error}")),
    })
}

/// Whether each path still leads to the file that was opened, with at least one link, and whether what was missing is
/// still missing. `false` for a `-shm` that was replaced.
#[must_use]
pub fn paths_unchanged(files: &OpenedFiles) -> bool {
    open::unchanged(files)
}

/// The same of database, `-wal` and `-shm`, which are held against each other.
#[must_use]
pub fn in_place(files: &OpenedFiles) -> bool {
    open::in_place(files)
}

/// The same of the `-journal`.
#[must_use]
pub fn journal_in_place(files: &OpenedFiles) -> bool {
    open::journal_in_place(files)
}

/// Whether the path still leads to the same name in the same folder, whatever became of the files.
#[must_use]
pub fn folder_unchanged(files: &OpenedFiles) -> bool {
    open::folder_unchanged(files)
}

/// Kernel, namespaces, container and user of the process whose files they are, and the mounts they were reached through.
#[must_use]
pub fn host_view(files: &OpenedFiles) -> HostView {
    let proc = system();
    let opened = [&files.database, &files.wal, &files.shm, &files.journal].into_iter().filter_map(Observation::value);
    let opened = opened.map(Arc::as_ref).chain([&files.directory]);
    let used: Vec<u64> = opened.filter_map(|file| stat::mount_id(&proc, file).value().copied()).collect();
    host::view(&proc, &files.target, &mounts(&proc, &files.target), &used)
}

/// Which visible processes map the opened `-shm`, or another wal-index for the same path or the same database: looked
/// for by path also when there is no `-shm` to open. Where a process seems cut off, this looks several times, over a
/// quarter of a second.
#[must_use]
pub fn mappings_view(files: &OpenedFiles) -> Observation<MappingsView> {
    let proc = system();
    let wanted = wanted(&proc, files);
    // Where inode numbers are used again at once, another file would look like the one that was there before.
    let mut places = Vec::new();
    let mut leads = || {
        let (leads, place) = open::shm_leads(files);
        places.extend(place);
        leads
    };
    let look = || {
        let before = leads();
        let seen = mappings::scan(&proc, &wanted, before);
        ((leads() == before).then_some(before), seen)
    };
    settle::settle(look, || std::thread::sleep(Duration::from_millis(settle::PAUSE)))
}

fn wanted(proc: &Proc, files: &OpenedFiles) -> mappings::Wanted {
    let identity: Option<InodeId> = files.shm.value().and_then(|file| maps::identity(proc, file).value().copied());
    let file = |file: &Observation<Arc<File>>| file.value().and_then(|file| stat::device_and_inode(file).ok());
    let mut wanted = mappings::Wanted::new(proc, identity, &files.target.at(shm_path(files)));
    wanted.exact = files.shm.value().filter(|shm| stat::is_btrfs(shm)).and_then(|_| file(&files.shm));
    wanted.database = file(&files.database);
    wanted.wal = file(&files.wal);
    wanted
}

/// The path of the `-shm` as the side sees it.
fn shm_path(files: &OpenedFiles) -> std::path::PathBuf {
    let mut path = files.database_path.clone().into_os_string();
    path.push("-shm");
    path.into()
}

/// A side that is looked at now.
#[derive(Debug, Clone, Copy)]
pub struct LiveSide<'a> {
    /// Its open descriptors.
    pub files: &'a OpenedFiles,
    /// The mappings that were found for them.
    pub mappings: &'a Observation<MappingsView>,
    /// The mount namespace that counts as its own.
    pub mount_namespace: &'a Observation<String>,
}

/// Tries two live sides against each other: page frames read in turn, a lock beacon both ways. Nothing is written, and no
/// byte that SQLite uses is locked.
#[must_use]
pub fn live(a: &LiveSide<'_>, b: &LiveSide<'_>) -> live::Live {
    live::Live {
        pages: pagemap::in_turn(&system(), a, b),
        beacon: beacon::challenge(a.files, b.files),
        coherence: None,
    }
}

/// The page tables of one side's mappings, read once.
#[must_use]
pub fn page_tables(side: &LiveSide<'_>) -> Observation<Vec<live::PageTable>> {
    pagemap::once(&system(), side)
}

/// Who holds SQLite's locks now. Takes no lock.
#[must_use]
pub fn locks_view(files: &OpenedFiles) -> Observation<LocksView> {
    Observation::seen(name_holders(files, lock_states(files)))
}

/// Which of SQLite's locks are held now, with the one holder of each that the kernel names in passing: quick enough to be
/// of one moment with the head of the `-shm`. Takes no lock.
#[must_use]
pub fn lock_states(files: &OpenedFiles) -> LocksView {
    lock_view::states(&files.shm, &files.database)
}

/// The same with every holder that can be seen.
#[must_use]
pub fn name_holders(files: &OpenedFiles, locks: LocksView) -> LocksView {
    let proc = system();
    lock_view::name_holders(&proc, &files.shm, &files.database, &mounts(&proc, &files.target), locks)
}

/// The lock that everybody holds shared who has the `-shm` open, without a search for who that is. Takes no lock.
#[must_use]
pub fn dead_man_switch(files: &OpenedFiles) -> ByteLock {
    lock_view::dead_man_switch(&files.shm)
}

/// The clocks, now.
#[must_use]
pub fn clock_sample() -> ClockSample {
    clocks::sample(&system())
}

/// All evidence about the opened files at this moment: what a capture records, without the capture and its samples.
#[must_use]
pub fn evidence(files: &OpenedFiles) -> Evidence {
    gather(files, locks_view)
}

/// The same, but who holds a lock is named only as far as the kernel does in passing: a list of all can take it tens of
/// milliseconds.
#[must_use]
pub fn evidence_without_holders(files: &OpenedFiles) -> Evidence {
    gather(files, |files| Observation::seen(lock_states(files)))
}

fn gather(files: &OpenedFiles, locks: impl Fn(&OpenedFiles) -> Observation<LocksView>) -> Evidence {
    let begun = clock_sample();
    let mappings = mappings_view(files);
    let locks = locks(files);
    let identities = identities(files);
    Evidence {
        begun,
        host: host_view(files),
        files: identities,
        paths_unchanged: paths_unchanged(files),
        folder_unchanged: folder_unchanged(files),
        mappings,
        locks,
        samples: Vec::new(),
        page_tables: Observation::missing("not looked at"),
        ended: clock_sample(),
    }
}

/// The raw texts behind the evidence, as `(name, bytes)`: names are relative paths below `/proc` (`self/mountinfo`,
/// `locks`, `412/maps`) or `uname`. Of other processes' `maps` only the lines that [`mappings_view`] looks at. They are
/// read anew, so a process of the view may have ended. Of another process's files the names begin with its pid instead of `self`. Each is bounded by [`procfs::TEXT_LIMIT`].
#[must_use]
pub fn raw_texts(files: &OpenedFiles, mappings: &Observation<MappingsView>) -> Vec<(String, Observation<Vec<u8>>)> {
    let proc = system();
    let texts = ["locks", host::BOOT_ID, "self/timens_offsets"];
    let mut texts: Vec<_> = texts.iter().map(|name| ((*name).to_owned(), proc.observe(name))).collect();
    let whose = files.target.pid().map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    texts.extend(["mountinfo", "cgroup"].map(|name| {
        let text = match files.target.process(&proc) {
            Ok(process) => process.observe(name),
            Err(error) => procfs::unseen(name, &error),
        };
        (format!("{whose}/{name}"), text)
    }));
    texts.push(("uname".to_owned(), Observation::seen(host::uname_text())));
    let wanted = wanted(&proc, files);
    let mut pids: Vec<u32> = mappings.value().iter().flat_map(|view| &view.mappings).map(|found| found.pid).collect();
    pids.dedup();
    texts.extend(pids.into_iter().map(|pid| (format!("{pid}/maps"), mappings::raw_lines(&proc, pid, &wanted))));
    texts
}
