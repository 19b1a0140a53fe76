//! On btrfs one device and inode in `maps` can stand for several files.
//!
//! folklore: `maps` prints the superblock's device for every subvolume, and a snapshot of a subvolume keeps the inode
//! numbers. So two databases that share nothing are printed alike. Only st_dev distinguishes them. Held by
//! `files_of_two_btrfs_subvolumes_with_equal_numbers_are_distinguished`.

use std::collections::BTreeMap;
use std::fs::File;

use rustix::fs::OFlags;

use super::names;
use super::scan::Candidate;
use crate::evidence::InodeId;
use crate::linux::file_id::id_of;
use crate::linux::mapped_identity::mapped_identity;
use crate::linux::procfs::Proc;
use crate::linux::stat;
use crate::number::FileId;

/// One mapped file, and who maps it.
pub(super) struct OneFile {
    pub id: InodeId,
    /// `st_dev` and inode, on btrfs.
    pub subvolume: Option<FileId>,
    pub candidates: Vec<Candidate>,
}

impl OneFile {
    /// Whether an open file is this one; `None`: not known.
    pub(super) fn is(&self, proc: &Proc, file: &File) -> Option<bool> {
        if let Some(subvolume) = self.subvolume {
            return Some(id_of(file).ok()? == subvolume);
        }
        Some(*mapped_identity(proc, file).value()? == self.id)
    }
}

/// Splits mappings that print alike but belong to different files.
///
/// When the file of a mapping was not seen, and all other mappings have one file, the mapping is added to that file.
/// When they have several files, it stays separate.
pub(super) fn divide(id: InodeId, candidates: Vec<Candidate>) -> Vec<OneFile> {
    // Only file systems without a device of their own, such as btrfs, have a major number of 0.
    if id.device.major != 0 {
        return vec![OneFile { id, subvolume: None, candidates }];
    }
    let mut files: BTreeMap<Option<FileId>, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        files.entry(on_btrfs(id, &candidate)).or_default().push(candidate);
    }
    if files.len() == 2
        && let Some(unseen) = files.remove(&None)
        && let Some(seen) = files.values_mut().next()
    {
        seen.extend(unseen);
    }
    files.into_iter().map(|(subvolume, candidates)| OneFile { id, subvolume, candidates }).collect()
}

/// `st_dev` and inode of the mapped file, if it can be seen and is on btrfs.
fn on_btrfs(id: InodeId, candidate: &Candidate) -> Option<FileId> {
    let by_mapping = || candidate.process.open_mapped(&candidate.range, OFlags::PATH).ok();
    // The path may lead to another file by now. Its inode number then differs, unless the number was reused.
    let by_path = || names::target(candidate).ok()?.0.open(OFlags::PATH | OFlags::NOFOLLOW).ok();
    let file = File::from(by_mapping().or_else(by_path)?);
    let found = id_of(&file).ok().filter(|found| found.inode == id.inode)?;
    stat::is_btrfs(&file).then_some(found)
}
