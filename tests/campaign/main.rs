//! The campaign: seeded histories, written by SQLite in other processes, while walscope looks on. At many points of
//! each history SQLite is asked to do what walscope predicted.
//!
//! `WALSCOPE_HISTORIES=10000 cargo test --test campaign` runs more of them, `WALSCOPE_SEED=n` one; see docs/reliability.md.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod accidents;
mod check;
mod child;
#[path = "../common/mod.rs"]
mod common;
mod full_disk;
mod history;
mod lies;
mod look;
mod model;
mod moments;
mod rest;
mod tally;
mod traces;
mod trial;

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::history::{Crew, History};
use crate::moments::Bench;
use crate::tally::Tally;
use crate::trial::Trial;

const HISTORIES: u64 = 500;
/// Histories with accidents about files, in a plain test run.
const WITH_ACCIDENTS: u64 = 40;
/// What must have been seen, at least once in so many histories each.
const COVERAGE: &[(&str, u64)] = &[
    ("state Empty", 20),
    ("state Pending", 5),
    ("state Blocked", 5),
    ("state Complete", 5),
    ("state Restarted", 20),
    ("state InProgress", 20),
    ("state Interrupted", 20),
    ("at rest Pending", 20),
    ("at rest Complete", 50),
    ("at rest Interrupted", 250),
    ("at rest NoWal", 5),
    ("frames of an older generation", 5),
    ("read0 held", 5),
    ("read1 held", 5),
    ("read2 held", 5),
    ("read3 held", 20),
    ("read4 held", 50),
    ("slots shared by processes", 10),
    ("leftover marks that block nothing", 20),
    ("foretold PASSIVE stopped by slot 0", 50),
    ("foretold PASSIVE stopped by a mark", 10),
    ("foretold PASSIVE copied all", 5),
    ("foretold PASSIVE 1|-1|-1", 20),
    ("foretold the next writer restarts", 5),
    ("foretold the next writer does not restart", 5),
    ("checkpoint cut, the process lives", 20),
    ("checkpoint cut, the process dies", 20),
    ("commit cut, the process lives", 50),
    ("commit cut, the process dies", 50),
    ("killed by update", 50),
    ("killed by commit", 50),
    ("killed by wal", 50),
    ("killed by progress", 50),
    ("all killed, recovered", 20),
    ("exclusive mode without -shm", 50),
    ("exclusive mode with -shm", 50),
    ("exclusive mode beside a left-over -shm", 50),
    ("reader on a mark below its own frame", 100),
    ("a reader became the writer", 20),
    ("a reader was too old to write", 20),
    ("WAL ahead of the wal-index", 250),
    ("page size 512", 100),
    ("page size 1024", 100),
    ("page size 2048", 250),
    ("page size 4096", 100),
    ("page size 8192", 250),
    ("page size 16384", 250),
    ("page size 32768", 250),
    ("page size 65536", 250),
    ("synchronous=OFF", 10),
    ("synchronous=NORMAL", 50),
    ("synchronous=FULL", 50),
    ("synchronous=EXTRA", 50),
    ("wal_checkpoint(NOOP)", 50),
    ("wal_checkpoint(PASSIVE)", 5),
    ("wal_checkpoint(FULL)", 50),
    ("wal_checkpoint(RESTART)", 50),
    ("wal_checkpoint(TRUNCATE)", 50),
    ("wal-index held against the WAL", 1),
    ("copied frames held against the database", 2),
    ("each page looked for in both files", 1),
    ("page 1 held against the WAL", 2),
    ("frames of the generation before held against the database", 10),
    ("torn frame", 100),
    ("uncommitted frames", 10),
    ("vacuum", 20),
    ("the command says the same", 50),
];

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")))
}

#[test]
fn histories_agree_with_sqlite() {
    if let Some(seed) = number("WALSCOPE_SEED") {
        let mut tally = Tally::default();
        History::run(seed, &mut Crew::start(), &mut tally);
        println!("seed {seed}: {tally}");
        return;
    }
    let histories = number("WALSCOPE_HISTORIES").unwrap_or(HISTORIES);
    let total = in_threads(histories, || {
        let mut crew = Crew::start();
        move |seed, tally: &mut Tally| History::run(seed, &mut crew, tally)
    });
    println!("{total}");
    assert_eq!(total.histories, histories);
    // A few histories cannot meet everything.
    for (what, often) in COVERAGE.iter().filter(|_| histories >= HISTORIES) {
        assert!(total.of(what) * often >= histories, "{what}: only {} times\n{total}", total.of(what));
    }
}

/// Runs so many histories, each in one of some threads. `begin` makes what a thread needs.
fn in_threads<F: FnMut(u64, &mut Tally)>(histories: u64, begin: impl Fn() -> F + Sync) -> Tally {
    let (next, total) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    let work = || {
        let (mut run, mut tally) = (begin(), Tally::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= histories {
                break;
            }
            run(seed, &mut tally);
        }
        total.lock().unwrap().add(tally);
    };
    let threads = number("WALSCOPE_THREADS")
        .map_or_else(|| thread::available_parallelism().map_or(1, usize::from).min(8), |n| n as usize);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    total.into_inner().unwrap()
}

#[test]
fn accidents_about_files_are_told_and_whole_copies_are_not() {
    let wrong = Mutex::new(Vec::new());
    let with_accidents = |seed: u64, crew: &mut Crew, bench: &Bench, tally: &mut Tally| {
        wrong.lock().unwrap().extend(Trial::run(seed, crew, bench, tally));
    };
    let check = || {
        let wrong = wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    };
    if let Some(seed) = number("WALSCOPE_SEED") {
        let mut tally = Tally::default();
        with_accidents(seed, &mut Crew::start(), &Bench::new(), &mut tally);
        println!("seed {seed}: {tally}");
        check();
    } else {
        let histories = number("WALSCOPE_HISTORIES").unwrap_or(WITH_ACCIDENTS);
        let total = in_threads(histories, || {
            let (mut crew, bench) = (Crew::start(), Bench::new());
            move |seed, tally: &mut Tally| with_accidents(seed, &mut crew, &bench, tally)
        });
        println!("{total}\n{}", trial::table(&total));
        check();
        assert_eq!(total.histories, histories);
        for (accident, _) in lies::ALL.iter().filter(|_| histories >= WITH_ACCIDENTS) {
            assert!(total.of(&format!("{accident:?}: made")) > 0, "{accident:?} never happened\n{total}");
        }
    }
}

/// Not a test: the processes that use SQLite.
#[test]
fn campaign_child() {
    child::serve();
}
