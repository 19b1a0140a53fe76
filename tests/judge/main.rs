//! The cross-checks: every code has a case that raises it and nothing else, what is normal raises nothing, and files
//! that change while they are read are not called damaged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod behind_break;
mod broken_header;
mod codes;
#[path = "../common/mod.rs"]
mod common;
mod contradictions;
mod cut_database;
mod cut_shm;
mod damaged;
mod errors_of_sqlite;
mod every_bit;
mod first_page;
mod footprint;
mod fresh;
mod garbage;
mod header;
mod innocent;
mod journal;
mod journal_both_ways;
mod journal_damage;
mod mangled;
mod moments;
mod overwritten;
mod pair_sizes;
mod pairs;
mod pairs_at_random;
mod schedules;
mod sqlite;
#[path = "../common/sqlite_child.rs"]
mod sqlite_child;
#[path = "../common/sqlite.rs"]
mod statements;
mod states;
mod torn_copies;
mod tree;
mod world;
