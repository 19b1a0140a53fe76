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
