//! Other processes of this program that look at files at the same moment.

use std::sync::OnceLock;

use super::procfs::{Proc, Process};
use super::text::fdinfo::locks;
use super::unseen::vanished;
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
        && holds_no_lock(process)
}

/// What it looks at it opens and closes all the time: a descriptor that is gone before it was read carries no lock.
fn holds_no_lock(process: &Process) -> bool {
    let carries_none = |name: &String| match process.read(&format!("fdinfo/{name}")) {
        Ok(info) => locks(&info).is_empty(),
        Err(error) => vanished(&error),
    };
    process.names("fdinfo").is_ok_and(|names| names.iter().all(carries_none))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::linux::mapped::fake_proc::process;

    #[test]
    fn a_look_that_closes_a_file_meanwhile_is_a_look_all_the_same() {
        let root = tempfile::tempdir().unwrap();
        process(root.path(), "10", "mnt:[1]", "");
        let fdinfo = root.path().join("10/fdinfo");
        fs::create_dir_all(&fdinfo).unwrap();
        fs::write(fdinfo.join("3"), "pos:\t0\nflags:\t02100000\n").unwrap();
        // It is listed, and not there any more.
        symlink("gone", fdinfo.join("4")).unwrap();
        let proc = Proc::new(root.path());
        let holds_none = || holds_no_lock(&proc.process(10).unwrap());
        assert!(holds_none());
        fs::write(fdinfo.join("5"), "lock:\t1: POSIX  ADVISORY  READ 10 fe:00:7 128 128\n").unwrap();
        assert!(!holds_none());
    }
}
