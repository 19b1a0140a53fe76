//! walscope beside databases at work, and under faults: what it calls stable is a committed state, and whoever uses the
//! database does not notice.
//!
//! `WALSCOPE_CAPTURES=10000 cargo test --release --test live -- --nocapture` is the long run; see docs/reliability.md.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod accidents;
mod actor;
mod captures;
#[path = "../common/mod.rs"]
mod common;
mod crew;
mod faults;
mod freezer;
mod host;
mod ledger;
mod lives;
mod rescue;
#[path = "../common/rescued.rs"]
mod rescued;
mod restarts;
#[path = "../common/sqlite.rs"]
mod sqlite;

use actor::{Count, Role};
use captures::{Tally, captures};

/// Captures of a plain test run: half of them beside writers that stay, a quarter beside each other kind.
const CAPTURES: u64 = 500;

#[test]
fn accidents() {
    accidents::serve();
}

#[test]
fn actor() {
    actor::serve();
}

#[test]
fn host() {
    host::serve();
}

#[test]
fn lives() {
    lives::serve();
}

#[test]
fn restarts() {
    restarts::serve();
}

fn number() -> u64 {
    let number = std::env::var("WALSCOPE_CAPTURES");
    number.map_or(CAPTURES, |number| number.parse().expect("WALSCOPE_CAPTURES is a number"))
}

/// A run that never met something says nothing about it.
fn report(name: &str, tally: &Tally, often: &[Count]) {
    eprintln!("{name}: {tally:#?}");
    assert!(tally.stable > 0 && tally.unstable > 0 && tally.by_command > 0, "{tally:?}");
    for count in often {
        assert!(tally.counts[*count as usize] > 0, "{count:?}: {tally:?}");
    }
}

fn killed(tally: &Tally) {
    assert!(tally.killed > 0 && tally.crashes > 0 && tally.at_rest > 0, "{tally:?}");
}

#[test]
fn captures_beside_writers_that_stay_are_of_one_committed_state_or_say_that_they_are_not() {
    let roles = [Role::Writer(0), Role::Writer(1), Role::Reader];
    let tally = captures(&roles, number() / 2, 1);
    use Count::{Committed, Full, Passive, Read, Restart, Rollback, Truncate, Vacuum};
    report("writers that stay", &tally, &[Committed, Passive, Full, Restart, Truncate, Rollback, Vacuum, Read]);
    killed(&tally);
}

#[test]
fn captures_beside_writers_that_come_and_go_are_of_one_committed_state_or_say_that_they_are_not() {
    let tally = captures(&[Role::ShortLived(0), Role::ShortLived(1)], number() / 4, 1_000_001);
    report("writers that come and go", &tally, &[Count::Committed, Count::Opened]);
    killed(&tally);
}

#[test]
fn captures_beside_writers_that_change_the_journal_mode_are_of_one_committed_state_or_say_that_they_are_not() {
    let tally = captures(&[Role::ModeChanger(0), Role::ModeChanger(1)], number() / 4, 2_000_001);
    report("writers that change the journal mode", &tally, &[Count::Committed, Count::JournalMode]);
}
