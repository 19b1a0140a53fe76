//! What somebody hostile can bring in: names and bundles that a terminal would obey, bundles that lie, and files so large
//! that memory would not do.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bundles;
#[path = "../cli/mod.rs"]
mod cli;
#[path = "../common/mod.rs"]
mod common;
mod memory;
#[path = "../support/rewritten.rs"]
mod rewritten;
#[path = "../support/mod.rs"]
mod support;
mod terminal;

#[test]
fn sqlite_in_a_child() {
    common::sqlite::serve();
}
