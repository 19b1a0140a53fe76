//! Real containers that run SQLite, seen from inside and from the host. Needs a Docker engine and /usr/bin/sqlite3.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;
mod host;
mod inside;
mod inspect;
mod proof;
mod rescue;
#[path = "../common/rescued.rs"]
mod rescued;
mod rescues;
