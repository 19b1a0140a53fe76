//! What belongs to one database: which mappings are of its wal-index, and which are of another under its path.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::limits::BLOCK;
use super::scan::Untold;
use crate::evidence::{CutOff, InodeId, Observation};
use crate::linux::file_id::id_of;
use crate::linux::mapped_identity::mapped_identity;
use crate::linux::open::OpenedFiles;
use crate::linux::path_leads::PathLeads;
use crate::linux::procfs::{Proc, Process};
use crate::linux::stat;
use crate::linux::target::Target;
use crate::linux::text::maps::{MapsLine, escaped};
use crate::number::FileId;

/// What to look for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The `-shm` as `maps` prints it, if there is one.
    pub identity: Option<InodeId>,
    /// `st_dev` and inode of the `-shm`, where `maps` does not tell it from files of other subvolumes (btrfs).
    pub exact: Option<FileId>,
    /// `st_dev` and inode of the database, if there is one.
    pub database: Option<FileId>,
    /// `st_dev` and inode of the `-wal`, if there is one.
    pub wal: Option<FileId>,
    /// Path of the `-shm`, escaped as `maps` prints it.
    pub(super) path: Vec<u8>,
    /// What stands before paths of the target's process when they are read from here.
    prefix: Vec<u8>,
    /// The mount namespace of the target's process.
    mount_namespace: Option<String>,
}

/// What a line of `maps` is to the `-shm` in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Its inode.
    This,
    /// Another file, mapped under its path in the observer's mount namespace.
    SamePath,
}

impl Wanted {
    /// The `-shm` at a canonical path, as seen from the mount namespace of the target's process.
    #[must_use]
    pub fn new(proc: &Proc, identity: Option<InodeId>, shm: &Target) -> Self {
        let mount_namespace = shm.process(proc).ok().and_then(|process| process.link("ns/mnt").value().cloned());
        let prefix = escaped(shm.prefix().as_os_str().as_bytes());
        let path = [prefix.clone(), escaped(shm.path().as_os_str().as_bytes())].concat();
        Self { identity, exact: None, database: None, wal: None, path, prefix, mount_namespace }
    }

    /// What belongs to the opened files.
    pub(in crate::linux) fn of(proc: &Proc, files: &OpenedFiles) -> Self {
        let identity = files.shm.value().and_then(|file| mapped_identity(proc, file).value().copied());
        let file = |file: &Observation<Arc<File>>| file.value().and_then(|file| id_of(file).ok());
        let mut wanted = Self::new(proc, identity, &files.target.at(files.shm_path()));
        wanted.exact = files.shm.value().filter(|shm| stat::is_btrfs(shm)).and_then(|_| file(&files.shm));
        wanted.database = file(&files.database);
        wanted.wal = file(&files.wal);
        wanted
    }

    /// A path column as the target's process would read it, where it is of the same namespace.
    pub(super) fn shown(&self, path: &[u8]) -> String {
        String::from_utf8_lossy(path.strip_prefix(self.prefix.as_slice()).unwrap_or(path)).into_owned()
    }

    /// Whether this is the mount namespace of the target's process.
    pub(super) fn own(&self, mount_namespace: &Observation<String>) -> bool {
        self.mount_namespace.is_some() && self.mount_namespace.as_ref() == mount_namespace.value()
    }

    /// A mapping of the same inode, or one under the same path in the same mount namespace. In another mount namespace
    /// the same path means nothing: two containers' own `/data/t.db-shm` read alike here.
    ///
    /// # Errors
    /// Why it could not be told whether it is the same inode.
    pub(super) fn claim(
        &self,
        process: &Process,
        line: &MapsLine<'_>,
        mount_namespace: &Observation<String>,
    ) -> Result<Option<Claim>, Untold> {
        if line.length() < BLOCK || line.inode.inode == 0 {
            return Ok(None);
        }
        if self.identity == Some(line.inode) && self.is_exactly(process, line)? {
            return Ok(Some(Claim::This));
        }
        Ok((self.own(mount_namespace) && line.path == self.path).then_some(Claim::SamePath))
    }

    /// folklore: `maps` prints one device for all subvolumes of a btrfs, and a snapshot of a subvolume keeps the inode
    /// numbers. fs/proc/task_mmu.c prints the superblock's device; held by
    /// `on_btrfs_a_mapping_counts_only_if_the_file_behind_it_is_the_same`.
    fn is_exactly(&self, process: &Process, line: &MapsLine<'_>) -> Result<bool, Untold> {
        let Some(exact) = self.exact else { return Ok(true) };
        match process.file_behind(&format!("map_files/{}", line.range())) {
            Ok(found) => Ok(found == exact),
            // What the path leads to speaks for it; against it that says nothing, the file may have been replaced.
            Err(_) if process.file_beneath_root(line.path).is_ok_and(|found| found == exact) => Ok(true),
            Err(why) => Err(Untold::Behind { pid: process.pid, why }),
        }
    }

    /// What a mapping seems to be cut off from, while the path leads there.
    pub(super) fn cut_off(&self, claim: Claim, line: &MapsLine<'_>, own: bool, leads: PathLeads) -> Option<CutOff> {
        let cut_off = line.shared
            && match (claim, leads) {
                (Claim::This, PathLeads::Elsewhere(..) | PathLeads::Nowhere) => own,
                (Claim::SamePath, PathLeads::Here) => true,
                (Claim::SamePath, PathLeads::Nowhere) => self.identity.is_none() && line.deleted_suffix,
                _ => false,
            };
        cut_off.then_some(CutOff::Path)
    }
}
