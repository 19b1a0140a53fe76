//! Code that several test binaries need. Each binary includes it with these two lines in its `main.rs`:
//!
//! ```text
//! #[path = "../common/mod.rs"]
//! mod common;
//! ```
//!
//! | module | holds |
//! |---|---|
//! | this one | what a test needs (else it is skipped with a message); a folder in memory; how a test binary starts itself as a child; the pause of a poll |
//! | `command` | running the real `walscope`, and a database to run it on |
//! | `synthetic` | a writer and a reader of `-wal` and `-shm` that share no constants with the library |
//! | `restore` | a capture turned back into files that SQLite opens |
//! | `contradictions` | which sentence and which finding must not stand on one page |
//! | `rewritten` | a bundle with one member changed |
//! | `random` | seeded numbers, the same everywhere |
//! | `docker` | containers without a registry |
//! | `btrfs` | a btrfs that a test makes for itself |
//!
//! Three more files beside this one hold a test function that a parent starts in a process of its own. Only the binaries
//! that have such a parent include them, so that no binary lists the part of a child that nobody starts:
//!
//! | file | holds |
//! |---|---|
//! | `sqlite.rs` | SQLite in a child process that runs SQL statements |
//! | `sqlite_child.rs` | SQLite in a child process that runs short commands and answers each with a digest |
//! | `rescued.rs` | a process that writes all the time, what happens to its files, and what a rescued copy must have |
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod btrfs;
pub mod command;
pub mod contradictions;
pub mod docker;
pub mod random;
pub mod restore;
pub mod rewritten;
pub mod synthetic;

/// Whether something that a test needs is there. If not, the test is skipped with a message, unless `WALSCOPE_REQUIRE`
/// forbids that (a list such as `docker,fuse,root,userns`).
pub fn have(what: &str, there: bool) -> bool {
    let required = std::env::var("WALSCOPE_REQUIRE").unwrap_or_default();
    assert!(
        there || !required.split(',').any(|item| item == what),
        "{what} is required (WALSCOPE_REQUIRE) and not here"
    );
    if !there {
        // Written around the test harness, which would hide it.
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: this test needs {what}\n").as_bytes());
    }
    there
}

/// What a child has to do that a test started by [`only_test`]: the value of its variable. `None`: this is the plain run of all
/// tests. Then the function that asks returns at once, because it is no test.
pub fn task(variable: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(variable)
}

/// A new folder in memory, where that is possible: many commits that wait for no disk.
pub fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Arguments with which a test binary, started again, runs only one test function: `function` in the module whose
/// `module_path!()` is given. The caller has to check that the child did its work: libtest does not fail when no test
/// has this name.
pub fn only_test(module_path: &str, function: &str) -> [String; 4] {
    // The first part is the name of the binary, which libtest omits.
    let name = match module_path.split_once("::") {
        Some((_, module)) => format!("{module}::{function}"),
        None => function.to_owned(),
    };
    ["--exact".to_owned(), name, "--nocapture".to_owned(), "--test-threads=1".to_owned()]
}

/// The pause between two looks at something that another process brings about and cannot announce. Without it the loop
/// takes a processor from that very process.
pub fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(1));
}
