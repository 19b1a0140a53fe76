//! The decoder against files from a synthetic writer with its own constants.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod checkpoint;
mod frames;
mod hostile;
mod scan;
mod shm;
mod transactions;
mod wal;
