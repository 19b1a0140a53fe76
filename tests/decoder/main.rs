//! The decoder against files from a synthetic writer with its own constants, and against SQLite (`differential`).
//!
//! `WALSCOPE_DIFFERENTIAL=1000 cargo test --release --test decoder differential` is the long run; see docs/reliability.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod checkpoint;
#[path = "../common/mod.rs"]
mod common;
mod dead;
mod differential;
mod examples;
mod frames;
mod hostile;
mod salvage;
mod scan;
mod shm;
mod transactions;
mod wal;
