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
mod states;

use std::collections::BTreeMap;

use walscope::tree::{Fault, TreeFault};

use crate::common::random::Random;
use crate::databases::Files;
use crate::judge::{Said, integrity, schema_of, walked};

fn trials(plain: u64) -> u64 {
    std::env::var("WALSCOPE_TREES").map_or(plain, |number| number.parse().unwrap())
}

#[test]
fn healthy_databases_of_every_form_have_no_fault() {
    let mut cells = 0;
    for seed in 0..trials(80) {
        let files = Files::random(seed);
        let said = integrity(&files, &None);
        assert_eq!(said, Said::Sound, "seed {seed}: the generator made a database that SQLite finds fault with");
        let trees = walked(&files).unwrap();
        assert_eq!((&trees.faults[..], trees.never_used), (&[][..], 0), "seed {seed}");
        cells += trees.cells;
    }
    assert!(cells > 0);
}

/// What SQLite and the walk say of the same files, counted.
#[derive(Debug, Default)]
struct Tally {
    counts: BTreeMap<&'static str, u64>,
    differ: Vec<String>,
}

impl Tally {
    fn take(&mut self, name: &str, of_whole: &Option<Vec<Option<String>>>, files: &Files) {
        let (said, trees) = (integrity(files, of_whole), walked(files));
        let found = trees.as_ref().is_none_or(|trees| trees.fault_count > 0 || trees.never_used > 0);
        // SQLite reads only the values that it compares with an index or a constraint.
        let is_record = |one: &TreeFault| matches!(one.fault, Fault::Record { .. });
        let stored_wrongly = trees.as_ref().is_some_and(|trees| trees.faults.iter().all(is_record));
        let agree = match (&said, found) {
            (Said::Sound, false) => "both find nothing",
            (Said::Damaged(_), true) => "both find a fault",
            (Said::Schema(_), false) => "only the SQL of the schema is wrong",
            (Said::Schema(_), true) => "both find a fault",
            (Said::Content(_), false) => "only rows and indexes differ",
            (Said::Sound | Said::Content(_), true) if stored_wrongly => {
                "a value that SQLite does not read is stored wrongly"
            }
            (Said::Sound | Said::Content(_), true) | (Said::Damaged(_), false) => {
                self.differ.push(format!("{name}: SQLite says {said:?}, the walk {trees:?}"));
                "they differ"
            }
        };
        *self.counts.entry(agree).or_default() += 1;
    }

    fn judge(&self) {
        eprintln!("{:#?}", self.counts);
        assert!(self.differ.is_empty(), "{}", self.differ.join("\n"));
        assert!(self.counts["both find a fault"] > 0 && self.counts["both find nothing"] > 0);
    }
}

#[test]
fn damaged_databases_have_the_faults_that_sqlite_finds() {
    let mut tally = Tally::default();
    let first = std::env::var("WALSCOPE_SEED").map_or(0, |seed| seed.parse().unwrap());
    for seed in first..first + trials(200) {
        let mut random = Random(seed ^ 0xda3a_9e00);
        let mut files = Files::random(seed);
        let of_whole = schema_of(&files);
        files.damage(&mut random);
        tally.take(&format!("seed {seed}"), &of_whole, &files);
    }
    tally.judge();
}

#[test]
fn small_databases_with_any_bit_flipped_have_the_faults_that_sqlite_finds() {
    let step = if std::env::var_os("WALSCOPE_EVERY_BIT").is_some() { 1 } else { 97 };
    let mut tally = Tally::default();
    for auto_vacuum in [0, 1] {
        let whole = Files::small(auto_vacuum);
        let of_whole = schema_of(&whole);
        // The header of the database has checks of its own.
        for bit in (100 * 8..whole.database.len() * 8).step_by(step) {
            let mut files = whole.clone();
            files.database[bit / 8] ^= 1 << (bit % 8);
            tally.take(&format!("auto_vacuum {auto_vacuum}, bit {} of byte {}", bit % 8, bit / 8), &of_whole, &files);
        }
    }
    tally.judge();
}
