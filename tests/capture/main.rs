//! Live files: opening them, their locks, mappings and surroundings, the order of a capture, and the bundle.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod bundle;
#[path = "../common/mod.rs"]
mod common;
mod full;
mod interference;
mod locks_and_mappings;
mod open;
mod opening;
mod sparse;
#[path = "../common/sqlite.rs"]
mod sqlite;
#[path = "../common/sqlite_child.rs"]
mod sqlite_child;
mod surroundings;
