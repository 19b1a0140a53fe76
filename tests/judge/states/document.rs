//! docs/states.md, written from the rows.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use walscope::say::checkpoint::Sentence;

use super::Seen;
use super::rows::ELSEWHERE;
use super::stage::{Checkpoint, Closed, Next, Reads, Writes};

const BEGIN: &str = "<!-- states: begin -->\n";

/// Compares the part behind the mark with the rows, or writes it there (`WALSCOPE_TABLE=1`).
pub fn compare(seen: &[Seen]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/states.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, there) = text.split_once(BEGIN).unwrap();
    let here = sections(seen);
    if std::env::var_os("WALSCOPE_TABLE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{here}")).unwrap();
        return;
    }
    let new: Vec<&str> = here.lines().filter(|line| !there.lines().any(|other| other == *line)).collect();
    assert!(
        here == there,
        "docs/states.md differs. If the sentences and rows are right: WALSCOPE_TABLE=1 cargo test --test judge states\n{}",
        new.join("\n")
    );
}

fn sections(seen: &[Seen]) -> String {
    let mut text = String::new();
    for sentence in Sentence::all() {
        write!(text, "\n## {}\n", sentence.name()).unwrap();
        for (_, told) in ELSEWHERE.iter().filter(|(elsewhere, _)| *elsewhere == sentence) {
            write!(text, "\n{told}").unwrap();
        }
        for Seen { row, said, .. } in seen.iter().filter(|seen| seen.row.sentence == sentence) {
            write!(
                text,
                "\n**Case:** {}\n\n> {}\n\n| next | |\n|---|---|\n{}\n**What to do:** {}\n",
                row.case,
                said.1,
                table(&row.next),
                row.to_do
            )
            .unwrap();
        }
    }
    text
}

fn table(next: &Next) -> String {
    let rows = [
        ("one that has it open reads", next.there.map(|there| reads(there, next.rows))),
        ("a new one reads", Some(reads(next.reader, next.rows))),
        ("a new one writes a row", Some(writes(next.writer, next.rows))),
        ("`PRAGMA wal_checkpoint`", Some(checkpoint(next.passive, "there is nothing to copy"))),
        ("`PRAGMA wal_checkpoint(TRUNCATE)`", Some(checkpoint(next.truncate, "the -wal is empty now"))),
        (
            if next.killed.is_some() { "all close it" } else { "one opens it, reads and closes" },
            Some(closed(next.close, next.rows)),
        ),
        ("all are killed, then one reads", next.killed.map(|killed| reads(killed, next.rows))),
    ];
    let line = |(what, does): (&str, Option<String>)| does.map(|does| format!("| {what} | {does} |\n"));
    rows.into_iter().filter_map(line).collect()
}

/// How many of the rows.
fn of(rows: i64, all: i64) -> String {
    if rows == all { format!("all {all} rows") } else { format!("{rows} of {all} rows") }
}

fn reads(reads: Reads, all: i64) -> String {
    match reads {
        Reads::Rows(rows) => of(rows, all),
        Reads::Faulty(rows) => format!("{}, and `PRAGMA integrity_check` names faults", of(rows, all)),
        Reads::Fails(code) => fails(code),
        Reads::Dies(signal) => format!("dies by signal {signal}"),
    }
}

fn fails(code: &str) -> String {
    match code {
        "SQLITE_ERROR" => "there is no table (SQLITE_ERROR)".to_owned(),
        _ => format!("fails: {code}"),
    }
}

fn writes(writes: Writes, all: i64) -> String {
    match writes {
        Writes::Then(read, frames) => {
            let read = match read {
                Reads::Rows(rows) => format!("one reads {}", of(rows, all + 1)),
                other => format!("reading {}", reads(other, all + 1)),
            };
            let frames = if frames < 0 { String::new() } else { format!("; the WAL has {frames} frames") };
            format!("it is written; then {read}{frames}")
        }
        Writes::Fails(code) => fails(code),
    }
}

fn checkpoint(checkpoint: Checkpoint, without_frames: &str) -> String {
    let (busy, frames, copied) = match checkpoint {
        Checkpoint::Returns(busy, frames, copied) => (busy, frames, copied),
        Checkpoint::Fails(code) => return fails(code),
    };
    let means = match (busy, frames, copied) {
        (1, -1, _) => "busy, and nothing is copied".to_owned(),
        (_, -1, _) => "the database is not in WAL mode".to_owned(),
        (0, 0, _) => without_frames.to_owned(),
        (1, 0, _) => "busy, and nothing was committed in the WAL".to_owned(),
        (0, _, _) if copied == frames => "all frames count as copied".to_owned(),
        (1, _, _) if copied == frames => "busy: all frames are copied, and the WAL cannot be emptied".to_owned(),
        (1, _, _) => format!("busy: {copied} of {frames} frames are copied"),
        _ => format!("{copied} of {frames} frames count as copied"),
    };
    format!("`{busy}, {frames}, {copied}`: {means}")
}

fn closed(Closed { wal, alone }: Closed, all: i64) -> String {
    let alone = match alone {
        Reads::Rows(rows) => format!("the database alone has {}", of(rows, all)),
        other => format!("of the database alone: {}", reads(other, all)),
    };
    format!("the -wal {}; {alone}", if wal { "stays" } else { "is deleted" })
}
