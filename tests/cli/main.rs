//! The command from outside: arguments, exit codes, messages, the JSON contract, the golden cases, and what the documents
//! show.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod amounts;
mod bad_input;
mod cases;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod first_words;
mod json_contract;
mod names;
mod over_time;
mod pasted;
mod printed_commands;
mod probe_try;
mod readme;
mod rescue;
mod rescue_pairs;
mod shm;
mod snapshot;
mod verify_many;
mod wal;
mod words_stay_whole;
