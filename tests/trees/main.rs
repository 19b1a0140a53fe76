//! The walk over the trees of a database, beside what SQLite's `PRAGMA integrity_check` says of structure.
//!
//! `WALSCOPE_TREES=2000 cargo test --release --test trees -- --nocapture` is the long run; see docs/reliability.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod at_work;
#[path = "../common/mod.rs"]
mod common;
mod databases;
mod judge;

use std::collections::BTreeMap;

use walscope::tree::{Fault, Trees};

use crate::common::random::Random;
use crate::databases::Files;
use crate::judge::{Said, integrity, walked};

fn trials(plain: u64) -> u64 {
    std::env::var("WALSCOPE_TREES").map_or(plain, |number| number.parse().unwrap())
}

#[test]
fn healthy_databases_of_every_form_have_no_fault() {
    let mut cells = 0;
    for seed in 0..trials(80) {
        let files = Files::random(seed);
        let said = integrity(&files);
        assert_eq!(said, Said::Sound, "seed {seed}: the generator made a database that SQLite finds fault with");
        let trees = walked(&files).unwrap();
        assert_eq!((&trees.faults[..], trees.never_used), (&[][..], 0), "seed {seed}");
        cells += trees.cells;
    }
    assert!(cells > 0);
}

/// Whether nothing was found but rows whose heads do not account for their bytes.
fn stored_wrongly(trees: Option<&Trees>) -> bool {
    trees.is_some_and(|trees| trees.faults.iter().all(|one| matches!(one.fault, Fault::Record { .. })))
}

#[test]
fn damaged_databases_have_the_faults_that_sqlite_finds() {
    let mut tally: BTreeMap<&str, u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    let first = std::env::var("WALSCOPE_SEED").map_or(0, |seed| seed.parse().unwrap());
    for seed in first..first + trials(200) {
        let mut random = Random(seed ^ 0xda3a_9e00);
        let mut files = Files::random(seed);
        files.damage(&mut random);
        let said = integrity(&files);
        let trees = walked(&files);
        let found = trees.as_ref().is_none_or(|trees| trees.fault_count > 0 || trees.never_used > 0);
        if let Some(keep) = std::env::var_os("WALSCOPE_KEEP") {
            std::fs::write(keep, &files.database).unwrap();
        }
        let agree = match (&said, found) {
            (Said::Sound, false) => "both find nothing",
            (Said::Damaged(_), true) => "both find a fault",
            (Said::Content(_), false) => "only rows and indexes differ",
            // SQLite compares the entries of an index with rows, and does not look at how they are stored.
            (Said::Content(_), true) if stored_wrongly(trees.as_ref()) => "an entry of an index is stored wrongly",
            (Said::Sound | Said::Content(_), true) | (Said::Damaged(_), false) => {
                wrong.push(format!("seed {seed}: SQLite says {said:?}, the walk {trees:?}"));
                "they differ"
            }
        };
        *tally.entry(agree).or_default() += 1;
    }
    eprintln!("{tally:#?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tally["both find a fault"] > 0);
}
