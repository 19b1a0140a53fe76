//! What belongs to one database: which mappings are of its wal-index, and which are of another under its path.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::limits::BLOCK;
use super::one_process::{OneProcess, RootId};
use super::scan::UnknownMappings;
use crate::evidence::{InodeId, Observation, Root, is_aside};
use crate::linux::file_id::id_of;
use crate::linux::mapped_identity::mapped_identity;
use crate::linux::open::OpenedFiles;
use crate::linux::path_leads::PathLeads;
use crate::linux::procfs::Proc;
use crate::linux::stat;
use crate::linux::target::Target;
use crate::linux::text::maps::{MapsLine, escaped};
use crate::number::FileId;

/// What to look for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The `-shm` as `maps` prints it, if there is one.
    pub identity: Option<InodeId>,
    /// `st_dev` and inode of the `-shm`, where `maps` cannot distinguish it from files of other subvolumes (btrfs).
    pub exact: Option<FileId>,
    /// `st_dev` and inode of the database, if there is one.
    pub database: Option<FileId>,
    /// `st_dev` and inode of the `-wal`, if there is one.
    pub wal: Option<FileId>,
    /// Whether there is no `-wal`. `false` with no `wal`: it was not seen.
    pub wal_absent: bool,
    /// `st_dev` and inode of the `-shm`, if there is one.
    pub shm: Option<FileId>,
    /// `st_dev` and inode of the `-journal`, if there is one.
    pub journal: Option<FileId>,
    /// Path of the `-shm`, escaped as `maps` prints it.
    pub(super) path: Vec<u8>,
    /// The prefix that paths of the target's process have when they are read from here.
    prefix: Vec<u8>,
    /// The mount namespace of the target's process.
    mount_namespace: Option<String>,
    /// Its root.
    root: Option<RootId>,
    /// The path of the `-shm`, as the target's process sees it.
    target: Target,
}

/// How a line of `maps` is related to the wanted `-shm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It maps the inode of the wanted `-shm`.
    This,
    /// It maps another file under the path of the wanted `-shm`, in the mount namespace and beneath the root of the
    /// target's process, as far as was seen.
    SamePath,
    /// The same, under that path with something behind it, as `t.db-shm.old`. SQLite makes no such name: the file was renamed while
    /// it was in use.
    MovedAside,
}

impl Wanted {
    /// The `-shm` at a canonical path, as seen from the mount namespace of the target's process.
    #[must_use]
    pub fn new(proc: &Proc, identity: Option<InodeId>, shm: &Target) -> Self {
        let process = shm.process(proc).ok();
        let mount_namespace = process.as_ref().and_then(|process| process.link("ns/mnt").value().cloned());
        let root = process.and_then(|process| RootId::of(&process).ok());
        let prefix = escaped(shm.prefix().as_os_str().as_bytes());
        let path = [prefix.clone(), escaped(shm.path().as_os_str().as_bytes())].concat();
        let (exact, database, wal) = (None, None, None);
        let target = shm.clone();
        Self {
            identity,
            exact,
            database,
            wal,
            wal_absent: false,
            shm: None,
            journal: None,
            path,
            prefix,
            mount_namespace,
            root,
            target,
        }
    }

    /// What to look for, from the opened files.
    pub(in crate::linux) fn of(proc: &Proc, files: &OpenedFiles) -> Self {
        let identity = files.shm.value().and_then(|file| mapped_identity(proc, file).value().copied());
        let file = |file: &Observation<Arc<File>>| file.value().and_then(|file| id_of(file).ok());
        let mut wanted = Self::new(proc, identity, &files.target.at(files.shm_path()));
        wanted.exact = files.shm.value().filter(|shm| stat::is_btrfs(shm)).and_then(|_| file(&files.shm));
        wanted.database = file(&files.database);
        wanted.wal = file(&files.wal);
        wanted.wal_absent = matches!(files.wal, Observation::Missing { .. });
        wanted.shm = file(&files.shm);
        wanted.journal = file(&files.journal);
        wanted
    }

    /// A path column as the target's process would see it, when it is of the same mount namespace.
    pub(super) fn shown(&self, path: &[u8]) -> String {
        String::from_utf8_lossy(path.strip_prefix(self.prefix.as_slice()).unwrap_or(path)).into_owned()
    }

    /// The path of the database, as `maps` would print it.
    pub(super) fn database_path(&self) -> &[u8] {
        self.path.strip_suffix(b"-shm").unwrap_or(&self.path)
    }

    /// Whether this is the mount namespace of the target's process.
    pub(super) fn own(&self, mount_namespace: &Observation<String>) -> bool {
        self.mount_namespace.is_some() && self.mount_namespace.as_ref() == mount_namespace.value()
    }

    /// Where a process looks its paths up, compared with the target's process.
    ///
    /// folklore: `maps`, and the links in `/proc/PID/fd`, print a path from the reader's root if the file lies beneath it,
    /// and else from the root of the mount namespace (d_path in fs/d_path.c). So in a chroot jail a file of the jail and one
    /// outside of it can print alike. Held by `two_jails_with_equal_paths_are_not_split_by_a_database_outside_of_them`.
    pub(super) fn root_of(&self, one: &OneProcess<'_>) -> Root {
        if one.mount_namespace.value().is_some() && self.mount_namespace.is_some() && !self.own(&one.mount_namespace) {
            return Root::Another;
        }
        let (Some(own), Ok(found)) = (self.root, RootId::of(one.process)) else { return Root::NotKnown };
        if own == found {
            return Root::Same;
        }
        let beneath = || {
            let path = PathBuf::from(OsString::from_vec(one.process.link_bytes("root").ok()?));
            let folder = |path: PathBuf| {
                let folder = self.target.at(path).open(OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW).ok()?;
                RootId::of_folder(&folder).ok()
            };
            let leads_there = folder(self.target.take_off_prefix(&path))? == found;
            (leads_there && folder("/".into())? == own).then_some(Root::Beneath)
        };
        beneath().unwrap_or(Root::Another)
    }

    /// A path that was printed for this process, as the target's process would see it.
    pub(super) fn as_target_sees(&self, printed: &str) -> String {
        self.target.take_off_prefix(Path::new(printed)).to_string_lossy().into_owned()
    }

    /// Whether a line maps the same inode, or another file under the same path in the same mount namespace, beneath the same
    /// root. In another mount namespace the same path means nothing: `/data/t.db-shm` of two containers looks the same here.
    ///
    /// # Errors
    /// Why it is not known whether it is the same inode.
    pub(super) fn claim(&self, one: &OneProcess<'_>, line: &MapsLine<'_>) -> Result<Option<Claim>, UnknownMappings> {
        if line.length() < BLOCK || line.inode.inode == 0 {
            return Ok(None);
        }
        if let Some(this) = self.claim_of_inode(one, line)? {
            return Ok(Some(this));
        }
        let by_path = match line.path.strip_prefix(self.path.as_slice()) {
            Some([]) => Claim::SamePath,
            Some(behind) if is_aside(behind) => Claim::MovedAside,
            _ => return Ok(None),
        };
        let same_place = self.own(&one.mount_namespace) && self.root_of(one) != Root::Another;
        Ok(same_place.then_some(by_path))
    }

    /// Whether a line maps the same inode, whatever its path is.
    ///
    /// # Errors
    /// Why that is not known.
    pub(super) fn claim_of_inode(
        &self,
        one: &OneProcess<'_>,
        line: &MapsLine<'_>,
    ) -> Result<Option<Claim>, UnknownMappings> {
        let this = self.identity == Some(line.inode) && self.is_exactly(one, line)?;
        Ok(this.then_some(Claim::This))
    }

    /// folklore: `maps` prints one device for all subvolumes of a btrfs, and a snapshot of a subvolume keeps the inode
    /// numbers. fs/proc/task_mmu.c prints the superblock's device; held by
    /// `on_btrfs_a_mapping_counts_only_if_the_file_behind_it_is_the_same`.
    fn is_exactly(&self, one: &OneProcess<'_>, line: &MapsLine<'_>) -> Result<bool, UnknownMappings> {
        let Some(exact) = self.exact else { return Ok(true) };
        let why = match one.process.file_behind(&format!("map_files/{}", line.range())) {
            Ok(found) => return Ok(found == exact),
            Err(why) => why,
        };
        match one.file_under_name_of(line) {
            Some(found) => Ok(found == exact),
            // A path that leads to the wanted file is evidence for it. A path that leads elsewhere is no evidence
            // against it: the file may have been replaced.
            None if one.process.file_beneath_root(line.path).is_ok_and(|found| found == exact) => Ok(true),
            None => Err(UnknownMappings::Behind { pid: one.process.pid, why }),
        }
    }

    /// Whether a mapping of a process of the target's place seems to be cut off from the path, when that leads where `leads`
    /// says.
    pub(super) fn seems_cut_off(&self, claim: Claim, line: &MapsLine<'_>, leads: PathLeads) -> bool {
        line.shared
            && match (claim, leads) {
                (Claim::This, PathLeads::Elsewhere(..) | PathLeads::Nowhere) | (Claim::SamePath, PathLeads::Here) => {
                    true
                }
                (Claim::SamePath, PathLeads::Nowhere) => self.identity.is_none() && line.deleted_suffix,
                (Claim::MovedAside, PathLeads::Here | PathLeads::Nowhere) => true,
                _ => false,
            }
    }
}
