//! At 80 columns no table breaks a name within a word, and each frame of `wal` stands on one line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::command::walscope;

fn cases() -> Vec<PathBuf> {
    let all = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases")).unwrap();
    let mut all: Vec<PathBuf> = all.map(|case| case.unwrap().path()).collect();
    all.sort();
    all
}

/// The source of a case: the database, or what there is of it.
fn source(case: &Path) -> &'static str {
    ["t.db", "t.db-wal", "t.db-shm"].into_iter().find(|name| case.join(name).exists()).unwrap()
}

#[test]
fn no_word_is_broken_at_80_columns() {
    let mut tried = 0;
    for case in cases() {
        let source = source(&case);
        for command in [
            vec!["inspect", source],
            vec!["verify", source],
            vec!["wal", source],
            vec!["wal", source, "--transactions"],
            vec!["wal", source, "--salvage"],
            vec!["shm", source],
            vec!["shm", source, "--pages"],
            vec!["shm", source, "--hash"],
            vec!["compare", source, source],
            vec!["verify", "."],
        ] {
            let at = |width: &str| walscope(&case, &[&command[..], &["--width", width]].concat());
            let (narrow, wide) = (at("80"), at("1000"));
            assert_eq!(narrow.code, wide.code);
            let (narrow, wide) = (narrow.text(), wide.text());
            let words: BTreeSet<&str> = wide.split_whitespace().collect();
            // Only at this width there is a word on what is not shown, and pictures are as wide as the page.
            let lines = narrow.lines().filter(|line| !line.starts_with("Not shown at this width"));
            for word in lines.flat_map(str::split_whitespace).filter(|word| word.chars().any(char::is_alphanumeric)) {
                tried += 1;
                assert!(
                    words.contains(word),
                    "{}: {command:?}: {word:?} is a part of a word:\n{narrow}",
                    case.display()
                );
            }
        }
    }
    assert!(tried > 10_000, "{tried}");
}

#[test]
fn each_frame_stands_on_one_line_of_80_columns() {
    let mut tried = 0;
    for case in cases().into_iter().filter(|case| case.join("t.db-wal").exists()) {
        let ran = walscope(&case, &["wal", "t.db-wal", "--width", "80"]);
        let text = ran.text();
        let mut rows = text.lines().skip_while(|line| !line.starts_with("frame ")).skip(1);
        let Some(rule) = rows.next() else { continue };
        assert!(rule.starts_with('─'), "{}: {text}", case.display());
        for row in rows.take_while(|row| row.starts_with(' ')) {
            let first = row.split_whitespace().next().unwrap().replace(',', "");
            assert!(
                first == "..." || first.parse::<u64>().is_ok(),
                "{}: {row:?} goes on from the line before",
                case.display()
            );
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried} rows");
}

/// At the width that the line under the table names everything is shown, and at one column less it is not.
#[test]
fn the_width_that_is_named_for_what_is_not_shown_is_enough_and_needed() {
    let folder = tempfile::tempdir().unwrap();
    let db = crate::common::command::database(&folder.path().join("t.db"));
    // Offsets of eight digits: the table needs more than 100 columns.
    db.execute_batch("PRAGMA wal_autocheckpoint=0; CREATE TABLE b(x); INSERT INTO b VALUES(zeroblob(12000000))")
        .unwrap();
    let mut named = 0;
    let of_cases = cases().into_iter().filter(|case| case.join("t.db-wal").exists());
    for folder in of_cases.chain([folder.path().to_owned()]) {
        let at = |width: &str| walscope(&folder, &["wal", "t.db-wal", "--frame", "1", "--width", width]).text();
        for width in ["66", "80", "100"] {
            let text = at(width);
            let Some((_, line)) = text.split_once("Not shown at this width: the salts") else { continue };
            let (_, needed) = line.split_once("(--width ").unwrap();
            let needed: usize = needed.split(',').next().unwrap().parse().unwrap();
            assert!(!at(&needed.to_string()).contains("Not shown"), "{needed} is not enough:\n{text}");
            assert!(at(&(needed - 1).to_string()).contains("Not shown"), "{needed} is more than is needed:\n{text}");
            named += usize::from(width == "100");
        }
    }
    assert!(named > 0, "no table that is wider than 100 columns");
}
