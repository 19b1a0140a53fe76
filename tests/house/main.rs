//! The house rules that a compiler does not check, and that the documents say what the code does. It needs no SQLite and runs
//! in a second.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod additions;
mod features;
mod format_tables;
mod imports;
mod tidy;
