//! One row, or several, for each kind of sentence: how to bring the state about, what SQLite does next, and what to do.

mod against;
mod files;
mod in_use;

use walscope::say::checkpoint::Sentence;

use super::stage::{Next, Stage};

pub struct Row {
    pub sentence: Sentence,
    /// Brings the state about.
    pub make: fn(&mut Stage),
    /// How, in words.
    pub case: &'static str,
    pub next: Next,
    pub to_do: &'static str,
}

fn row(sentence: Sentence, make: fn(&mut Stage), case: &'static str, next: Next, to_do: &'static str) -> Row {
    Row { sentence, make, case, next, to_do }
}

/// All rows, in the order of the kinds.
pub fn all() -> Vec<Row> {
    let mut rows: Vec<Row> = [files::rows(), in_use::rows(), against::rows()].into_iter().flatten().collect();
    let order = Sentence::all();
    rows.sort_by_key(|row| order.iter().position(|sentence| *sentence == row.sentence));
    rows
}
