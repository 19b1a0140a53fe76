//! What the open descriptors of a database's files say about them.

use std::fs::File;
use std::sync::Arc;

use crate::evidence::{FileView, FilesView, Mount, Observation};
use crate::linux::mapped_identity::mapped_identity;
use crate::linux::open::OpenedFiles;
use crate::linux::procfs::Proc;
use crate::linux::unseen::{and_then, unseen};
use crate::linux::{mounts, stat};

/// What the open descriptors say about their files, at this moment.
#[must_use]
pub fn identities(files: &OpenedFiles) -> FilesView {
    let proc = Proc::system();
    let mounts = mounts::of(&proc, &files.target);
    let look = |file: &Observation<Arc<File>>| and_then(file, |file| file_view(&proc, file, &mounts));
    let mut shm = look(&files.shm);
    if let (Observation::Seen { value: view }, Some(file)) = (&mut shm, files.shm.value()) {
        view.maps_identity = mapped_identity(&proc, file);
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
        Err(error) => unseen("fstat", &error),
    }
}
