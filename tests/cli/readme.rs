//! What README.md and the documents print is what the command prints.
//!
//! The blocks run against the recorded bundles, so no Docker is needed. trycmd ignores `cargo run` blocks: the main
//! command has tests of its own in `tests/lab`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn console_blocks_are_exact() {
    // As `snapshot` makes them. A checkout has them readable by others, which is said with each of them.
    for scenario in ["shared", "copied", "file-mount"] {
        for side in ["writer", "reader"] {
            let bundle = Path::new("testdata/bundles").join(scenario).join(format!("{side}.walsnap"));
            fs::set_permissions(bundle, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    trycmd::TestCases::new().case("README.md").case("docs/*.md");
}

#[test]
fn the_readme_names_its_two_commands() {
    let readme = fs::read_to_string("README.md").unwrap();
    for command in ["cargo run --release -- lab", "cargo test"] {
        assert!(readme.lines().any(|line| line.trim() == command), "README.md does not have the line {command:?}");
    }
}
