//! What several test binaries need. Each binary takes it in with the same two lines in its `main.rs`:
//!
//! ```text
//! #[path = "../common/mod.rs"]
//! mod common;
//! ```
//!
//! | module | holds |
//! |---|---|
//! | this one | what a test needs, or it is skipped aloud; how a test binary starts itself as a child |
//! | `command` | running the real `walscope`, and a database to run it on |
//! | `synthetic` | a writer and a reader of `-wal` and `-shm` that share no constants with the library |
//! | `sqlite` | SQLite in a process of its own, SQL statement by SQL statement |
//! | `sqlite_child` | SQLite in a process of its own, by short commands, each answered with a digest of the committed state |
//! | `restore` | a capture turned back into files that SQLite opens |
//! | `rewritten` | a bundle with one member changed |
//! | `random` | seeded numbers, the same everywhere |
//! | `docker` | containers without a registry |
//! | `btrfs` | a file system of a test's own |
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod btrfs;
pub mod command;
pub mod docker;
pub mod random;
pub mod restore;
pub mod rewritten;
pub mod sqlite;
pub mod sqlite_child;
pub mod synthetic;

/// Whether something a test needs is here. If not, the test is skipped aloud, unless `WALSCOPE_REQUIRE` forbids that
/// (a list such as `docker,fuse,root,userns`).
pub fn have(what: &str, there: bool) -> bool {
    let required = std::env::var("WALSCOPE_REQUIRE").unwrap_or_default();
    assert!(
        there || !required.split(',').any(|item| item == what),
        "{what} is required (WALSCOPE_REQUIRE) and not here"
    );
    if !there {
        // Written past the test harness, which would swallow it.
        let _ =
            std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: this test needs {what}\n").as_bytes());
    }
    there
}

/// Arguments with which a test binary, started again, runs nothing but one test function: `function` in the module that
/// says `module_path!()`. Whoever starts it has to see that the child did its work: libtest is content with no test, too.
pub fn only_test(module_path: &str, function: &str) -> [String; 4] {
    // The first name is the binary's, which libtest leaves away.
    let name = match module_path.split_once("::") {
        Some((_, module)) => format!("{module}::{function}"),
        None => function.to_owned(),
    };
    ["--exact".to_owned(), name, "--nocapture".to_owned(), "--test-threads=1".to_owned()]
}
