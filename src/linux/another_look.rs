//! Other processes of this program that look at files at the same moment.

use std::sync::OnceLock;

use super::procfs::{Proc, Process};
use super::text::fdinfo::locks;
use crate::number::FileId;

/// Whether a process is another one of this program that only looks, as `ps` or `inspect` of somebody else: it has files of
/// databases open, and is no user of them. It holds no lock. `lab` runs SQLite, so it does not count.
#[must_use]
pub fn is_another_look(proc: &Proc, process: &Process) -> bool {
    static OWN: OnceLock<Option<FileId>> = OnceLock::new();
    let own = || Proc::system().process(std::process::id()).ok().and_then(|own| own.file_behind("exe").ok());
    let is_same = || process.file_behind("exe").ok().is_some_and(|exe| Some(exe) == *OWN.get_or_init(own));
    proc.is_system()
        && process.command().is_some_and(|command| command.starts_with("walscope"))
        && is_same()
        && process.read("cmdline").is_ok_and(|words| words.split(|byte| *byte == 0).all(|word| word != b"lab"))
        && process.names("fdinfo").is_ok_and(|names| {
            names.iter().all(|name| process.read(&format!("fdinfo/{name}")).is_ok_and(|info| locks(&info).is_empty()))
        })
}
