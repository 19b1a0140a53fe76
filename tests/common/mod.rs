//! What several integration tests need: permission to skip, and containers without a registry.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod btrfs;
pub mod docker;
pub mod sqlite;

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

/// Copies an executable to run it from there.
///
/// Another process does it: a descriptor for writing in this one could be inherited by what another test starts at that
/// moment, and the copy could not be run (ETXTBSY) until that had called exec.
pub fn copy_executable(from: impl AsRef<std::path::Path>, to: &std::path::Path) {
    let from = from.as_ref();
    let copied = std::process::Command::new("cp").arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "cp {}", from.display());
}
