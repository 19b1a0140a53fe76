//! The table in docs/evidence.md.

use std::fs;
use std::path::Path;

use crate::means::{Answer, Means};
use crate::setups::{Reasons, Setup};

const BEGIN: &str = "<!-- healthy set-ups: begin -->\n";
const END: &str = "<!-- healthy set-ups: end -->\n";

pub fn block(rows: &[(&Setup, &[Answer])], reasons: &Reasons) -> String {
    let headings = Means::ALL.map(Means::heading);
    let mut block = format!("| set-up | {} |\n|{}\n", headings.join(" | "), "---|".repeat(headings.len() + 1));
    for (setup, answers) in rows {
        let cells = answers.iter().zip(Means::ALL);
        let cells: Vec<String> =
            cells.map(|(answer, means)| answer.cell.clone() + &reasons.note(setup.other_than_usual(means))).collect();
        block += &format!("| {} | {} |\n", setup.name, cells.join(" | "));
    }
    block + "\n" + &reasons.list()
}

/// Compares the table with the document, or writes it there (`WALSCOPE_TABLE=1`).
pub fn compare_with_document(here: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/evidence.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (there, after) = rest.split_once(END).unwrap();
    if std::env::var_os("WALSCOPE_TABLE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{here}{END}{after}")).unwrap();
        return;
    }
    let new: Vec<&str> = here.lines().filter(|line| !there.lines().any(|other| other == *line)).collect();
    assert!(
        here == there,
        "docs/evidence.md differs. If the answers are right: WALSCOPE_TABLE=1 cargo test --test healthy\n{}",
        new.join("\n")
    );
}
