//! Whether live sides share one wal-index, tested with real processes: `compare`, `probe` and `ps`.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod actor;
#[path = "../common/mod.rs"]
mod common;
mod compare_live;
mod covered;
mod dangers;
mod deleted_wal;
mod forked;
mod idle;
mod links;
mod locked;
mod log_apart;
mod looks;
mod places;
mod proof;
mod ps;
mod renamed;
mod replaced;
mod rescued_journal;
#[path = "../common/sqlite.rs"]
mod sqlite;
mod stopped;
mod unopened;
mod users;
mod waits;
mod wal_gone;
