//! The name under which a process has a file mapped.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::scan::Candidate;
use crate::linux::target::Target;

/// A path as its process sees it.
pub(super) struct Name {
    pub path: PathBuf,
    /// The path with the process's root before it.
    pub place: PathBuf,
    /// Whether this spelling is certain.
    pub certain: bool,
}

/// Where one candidate's path is looked up, and the path.
pub(super) fn target(candidate: &Candidate) -> io::Result<(Target, Name)> {
    let target = Target::of_bound(&candidate.process)?;
    let (printed, certain) = printed(candidate);
    let place = PathBuf::from(OsStr::from_bytes(&printed));
    let path = target.take_off_prefix(&place);
    Ok((target.at(path.clone()), Name { path, place, certain }))
}

/// folklore: `maps` prints a newline as `\012`, and a backslash unchanged, so `\012` has two meanings. Only the link in
/// `map_files`, which has every byte unchanged, shows which one is meant. Reading the link needs no more permission
/// than reading `maps`; following it would. fs/proc/task_mmu.c, fs/proc/base.c; held by
/// `a_newline_and_its_escape_in_a_name_are_distinguished`.
fn printed(candidate: &Candidate) -> (Vec<u8>, bool) {
    if !candidate.path.windows(4).any(|four| four == b"\\012") {
        return (candidate.path.clone(), true);
    }
    match candidate.process.link_bytes(&format!("map_files/{}", candidate.range)) {
        Ok(link) => (link.strip_suffix(b" (deleted)").unwrap_or(&link).to_vec(), true),
        Err(_) => (candidate.path.clone(), false),
    }
}
