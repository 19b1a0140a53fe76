//! Every state that the sentence about the checkpoint can say has a row: real files, and real processes, are brought into
//! that state, `inspect` says its sentence, and SQLite does next what the row promises. docs/states.md is written from the
//! same rows: `WALSCOPE_TABLE=1 cargo test --test judge states`.

mod actor;
mod against;
mod at_rest;
mod document;
mod doubted;
mod in_use;
mod rows;
mod stage;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use walscope::say::checkpoint::Sentence;

use rows::Row;
use stage::{Next, Stage};

/// Each scene waits for disks and processes most of the time.
const WORKERS: usize = 6;

/// A row, and what came of it.
pub struct Seen {
    pub row: Row,
    /// The kind of the sentence, and the sentence.
    pub said: (String, String),
    next: Next,
}

fn seen() -> &'static [Seen] {
    static SEEN: LazyLock<Vec<Seen>> = LazyLock::new(|| {
        let (rows, next, seen) = (rows::all(), AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut stage = Stage::new();
                (row.make)(&mut stage);
                let said = (stage.inspect(), stage.rows);
                drop(stage);
                seen.lock().unwrap().push((row.case, said, stage::next(row.make)));
            }
        };
        std::thread::scope(|scope| (0..WORKERS).for_each(|_| drop(scope.spawn(work))));
        let mut seen = seen.into_inner().unwrap();
        let of = |row: Row| {
            let at = seen.iter().position(|(case, _, _)| *case == row.case).unwrap();
            let (_, (said, rows), next) = seen.swap_remove(at);
            assert_eq!(rows, row.next.rows, "committed rows: {}", row.case);
            Seen { row, said, next }
        };
        rows.into_iter().map(of).collect()
    });
    &SEEN
}

/// What differs, one line each.
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_sentence_about_the_checkpoint_has_a_row() {
    let rows = rows::all();
    let elsewhere = |sentence: &Sentence| rows::ELSEWHERE.iter().any(|(other, _)| other == sentence);
    let missing = Sentence::all()
        .into_iter()
        .filter(|sentence| rows.iter().all(|row| row.sentence != *sentence) && !elsewhere(sentence));
    let wrong: Vec<String> =
        missing.map(|sentence| format!("tests/judge/states/rows has no row of {sentence:?}")).collect();
    assert_none(&wrong);
}

#[test]
fn every_state_has_the_sentence_of_its_row() {
    let other = seen().iter().filter(|seen| seen.said.0 != seen.row.sentence.name());
    let wrong: Vec<String> =
        other.map(|seen| format!("{:?}: {}: {:?}", seen.row.sentence, seen.row.case, seen.said)).collect();
    assert_none(&wrong);
}

#[test]
fn sqlite_does_in_every_state_what_its_row_promises() {
    let other = seen().iter().filter(|seen| seen.next != seen.row.next);
    let wrong: Vec<String> = other
        .map(|seen| {
            let Row { sentence, case, next, .. } = &seen.row;
            format!("{sentence:?}: {case}\n  promised {next:?}\n  seen     {:?}", seen.next)
        })
        .collect();
    assert_none(&wrong);
}

#[test]
fn the_document_of_the_states_is_that_of_the_rows() {
    document::compare(seen());
}
