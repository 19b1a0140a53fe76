//! Healthy set-ups, and what each means of asking answers there. Two real SQLite processes share one wal-index in every
//! set-up; an answer that is less than that has a reason in `setups.rs`. The answers stand as a table in docs/evidence.md.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod build;
#[path = "../common/mod.rs"]
mod common;
mod machine;
mod means;
mod setups;
mod side;
mod table;

use std::sync::Mutex;

use means::Means;

/// The answers are independent of each other. More at a time would only wait for the processors.
const WORKERS: usize = 3;

#[test]
fn healthy_set_ups_get_the_answers_of_the_table() {
    let Some(mut machine) = machine::Machine::make() else { return };
    let (_shells, setups) = build::all(&mut machine);
    let next = Mutex::new(0);
    let rows = Mutex::new(Vec::new());
    let ask = || {
        loop {
            let at = {
                let mut next = next.lock().unwrap();
                *next += 1;
                *next - 1
            };
            let Some(setup) = setups.get(at) else { return };
            let answers = Means::ALL.map(|means| means.ask(setup));
            rows.lock().unwrap().push((at, answers));
        }
    };
    std::thread::scope(|scope| (0..WORKERS).for_each(|_| drop(scope.spawn(ask))));
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|(at, _)| *at);
    let mut wrong = Vec::new();
    for (at, answers) in &rows {
        for (means, answer) in Means::ALL.iter().zip(answers) {
            wrong.extend(setups[*at].judge(*means, answer));
        }
    }
    let rows: Vec<_> = rows.iter().map(|(at, answers)| (&setups[*at], answers.as_slice())).collect();
    let block = table::block(&rows, &setups::Reasons::of(&setups));
    println!("{block}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    table::compare_with_document(&block);
}
