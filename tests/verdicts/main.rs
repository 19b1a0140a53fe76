//! The campaign of verdicts: seeded set-ups of two sides that reach one database, or two, by many ways. walscope gives its
//! verdicts, and then SQLite shows what is true.
//!
//! `WALSCOPE_SETUPS=2000 cargo test --test verdicts` runs more of them, `WALSCOPE_SEED=n` one; see docs/reliability.md.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod accidents;
mod child;
#[path = "../common/mod.rs"]
mod common;
mod judge;
mod means;
mod namespaces;
#[path = "../verdict/pieces.rs"]
mod pieces;
mod place;
mod setup;
mod subsets;
mod tally;
mod truth;
mod users;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::place::Ground;
use crate::setup::Outcome;
use crate::tally::Tally;

const SETUPS: u64 = 250;
/// What must have been seen, at least once in so many set-ups each.
const COVERAGE: &[(&str, u64)] = &[
    ("accident AllKilled", 120),
    ("accident AllRemoved", 120),
    ("accident AllReopened", 120),
    ("accident BothRemoved", 120),
    ("accident Checkpoint", 30),
    ("accident DatabaseReplaced", 120),
    ("accident FolderReplaced", 120),
    ("accident Killed", 120),
    ("accident Reopened", 60),
    ("accident RestoredByRename", 120),
    ("accident RestoredInPlace", 120),
    ("accident RestoredWhole", 120),
    ("accident ShmRemoved", 60),
    ("accident Vacuum", 120),
    ("accident WalRemoved", 120),
    ("bundles by uid 1000: proven paths", 10),
    ("bundles by uid 1000: undecided ", 20),
    ("early and late bundles: refuted mappings", 120),
    ("guards tried: false", 240),
    ("guards tried: true", 3),
    ("healthy set-ups", 4),
    ("late and early bundles: proven mappings", 60),
    ("live: proven mappings", 10),
    ("live: proven paths", 5),
    ("live: refuted mappings", 10),
    ("live: refuted paths", 60),
    ("live: undecided ", 20),
    ("meet at the database: proven paths", 60),
    ("meet at the folder: proven paths", 60),
    ("process Bystander", 10),
    ("process DotFile", 60),
    ("process Excl", 240),
    ("process Exclusive", 240),
    ("process ExclusiveLater", 240),
    ("process Forked", 60),
    ("process Heir", 120),
    ("process Idle", 10),
    ("process Immutable", 60),
    ("process LostBoth", 60),
    ("process LostDatabase", 60),
    ("process LostShm", 60),
    ("process NoLocks", 60),
    ("reach Copy", 60),
    ("reach FileMount", 60),
    ("reach HardLink", 60),
    ("reach Jail", 10),
    ("reach Overlay", 60),
    ("reach OwnMounts", 10),
    ("reach OwnNamespace", 10),
    ("reach ReadOnly", 60),
    ("truth of paths: Apart", 20),
    ("truth of paths: NoIndex", 60),
    ("truth of paths: Shared", 3),
];

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")))
}

#[test]
fn verdicts_agree_with_sqlite() {
    if !common::have("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let one = number("WALSCOPE_SEED");
    let seeds = one.map_or(0..number("WALSCOPE_SETUPS").unwrap_or(SETUPS), |seed| seed..seed + 1);
    let (next, total, wrong) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    let work = || {
        namespaces::own_mounts().unwrap();
        let (ground, mut tally) = (Ground::new(), Tally::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let ran = catch_unwind(AssertUnwindSafe(|| setup::run(seed, &ground, &mut tally)));
            let outcome = ran.unwrap_or_else(|_| Outcome { wrong: vec!["it panicked".to_owned()], log: Vec::new() });
            tally.setups += 1;
            if !outcome.wrong.is_empty() || one.is_some() {
                let (log, faults) = (outcome.log.join("\n    "), outcome.wrong.join("\n  "));
                println!("seed {seed}:\n    {log}\n  {faults}");
            }
            if !outcome.wrong.is_empty() {
                wrong.lock().unwrap().push((seed, outcome.wrong));
            }
        }
        total.lock().unwrap().add(tally);
    };
    thread::scope(|scope| {
        // A set-up waits for walscope, which looks again and again, more than it computes.
        for _ in 0..2 * thread::available_parallelism().map_or(1, usize::from).min(8) {
            scope.spawn(work);
        }
    });
    let total = total.into_inner().unwrap();
    println!("{total}");
    // A few set-ups cannot meet everything.
    for (what, often) in COVERAGE.iter().filter(|_| total.setups >= SETUPS) {
        assert!(total.of(what) * often >= total.setups, "{what}: only {} times", total.of(what));
    }
    let wrong = wrong.into_inner().unwrap();
    for (seed, faults) in &wrong {
        println!("seed {seed}: {}", faults.join("; "));
    }
    assert!(wrong.is_empty(), "{} set-ups with false verdicts", wrong.len());
}

/// Not a test: the processes that use SQLite.
#[test]
fn verdicts_child() {
    child::serve();
}
