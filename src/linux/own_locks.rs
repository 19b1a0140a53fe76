//! POSIX locks that walscope's own process holds: closing any descriptor of the file would drop them all (man 2 fcntl).

use std::collections::BTreeSet;

use thiserror::Error;

use crate::linux::procfs::Proc;
use crate::linux::text::fdinfo;
use crate::linux::text::locks::LockKind;
use crate::number::FileId;

/// Refused: the file must not be opened in this process.
#[derive(Debug, Error)]
#[error(
    "this very process holds POSIX locks on it, as SQLite takes them, and closing the file again would drop them; \
     look from another process, such as the walscope command"
)]
pub(super) struct OwnLocks;

/// Whether this process holds a POSIX lock on the file, through any descriptor.
///
/// A descriptor's fdinfo lists the locks that were taken through it; a lock is released with its descriptor, so none is
/// missed. When proc is not mounted, no lock is found.
pub(super) fn held(proc: &Proc, file: &FileId) -> bool {
    through_descriptors(proc, |found| found == file).next().is_some()
}

/// Every file on which this process holds a POSIX lock.
pub(super) fn all(proc: &Proc) -> BTreeSet<FileId> {
    through_descriptors(proc, |_| true).collect()
}

fn through_descriptors(proc: &Proc, wanted: impl Fn(&FileId) -> bool) -> impl Iterator<Item = FileId> {
    let process = proc.this_process().ok();
    let names = process.as_ref().and_then(|process| process.names("fd").ok()).unwrap_or_default();
    names.into_iter().filter_map(move |name| {
        let process = process.as_ref()?;
        let file = process.file_behind(&format!("fd/{name}")).ok().filter(&wanted)?;
        process.read(&format!("fdinfo/{name}")).is_ok_and(|text| holds(&text)).then_some(file)
    })
}

fn holds(fdinfo: &[u8]) -> bool {
    fdinfo::locks(fdinfo).iter().any(|line| line.kind == LockKind::Posix && !line.waiting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posix_locks_count_and_those_of_descriptions_do_not() {
        let posix = "pos:\t0\nlock:\t1: POSIX  ADVISORY  READ 77 fe:00:1234 124 124\n";
        assert!(holds(posix.as_bytes()));
        assert!(!holds(posix.replace("POSIX ", "OFDLCK").as_bytes()));
        assert!(!holds(posix.replace("1: POSIX", "1: -> POSIX").as_bytes()));
        assert!(!holds(b"pos:\t0\n"));
    }
}
