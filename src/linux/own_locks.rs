//! POSIX locks that walscope's own process holds: closing any descriptor of the file would drop them all (man 2 fcntl).

use std::fs::Metadata;

use thiserror::Error;

use crate::linux::file_id::file_id;
use crate::linux::procfs::Proc;
use crate::linux::text::fdinfo;
use crate::linux::text::locks::LockKind;

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
pub(super) fn held(proc: &Proc, file: &Metadata) -> bool {
    let Ok(process) = proc.this_process() else { return false };
    let identity = file_id(file);
    process.names("fd").unwrap_or_default().iter().any(|descriptor| {
        process.file_behind(&format!("fd/{descriptor}")).is_ok_and(|found| found == identity)
            && process.read(&format!("fdinfo/{descriptor}")).is_ok_and(|text| holds(&text))
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
