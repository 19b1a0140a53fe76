//! What somebody hostile can bring in: names and bundles that a terminal would obey, bundles that lie, and files so large
//! that memory would not do. And what walscope asks of the system (`strace`).
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod bundles;
#[path = "../common/mod.rs"]
mod common;
mod memory;
#[path = "../common/sqlite.rs"]
mod sqlite;
mod strace;
mod terminal;
