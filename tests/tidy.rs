//! The house rules that a compiler does not check: who may use whom, where unsafe may stand, and that the documents name real tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

/// Room (a path below `src`, a file or a folder) and the rooms whose code it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("bytes.rs", &[]),
    ("evidence", &["evidence"]),
    ("format", &["format"]),
    ("wal", &["wal", "format", "bytes"]),
    ("shm", &["shm", "format", "bytes"]),
    ("look", &["look", "wal", "shm", "format", "evidence", "bytes"]),
    ("finding", &["finding", "look", "wal", "shm", "format", "evidence", "bytes"]),
    ("linux", &["linux", "evidence"]),
    ("bundle", &["bundle", "linux", "look", "wal", "shm", "format", "evidence", "bytes"]),
    ("source.rs", &["source", "bundle", "linux", "format", "evidence", "bytes"]),
    ("compare", &["compare", "bundle", "look", "wal", "shm", "format", "evidence", "finding", "bytes"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(at: &Path, ending: &str) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Code without comments, and without the unit tests at a file's end: those may use what they need.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every `crate::ROOM` that a text names.
fn rooms_used(text: &str) -> Vec<String> {
    text.match_indices("crate::")
        .filter(|(at, _)| !text[..*at].ends_with('$'))
        .flat_map(|(at, found)| {
            let rest = &text[at + found.len()..];
            let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
            match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap().split(',').map(|item| word(item.trim())).collect(),
                None => vec![word(rest)],
            }
        })
        .filter(|room| !room.is_empty())
        .collect()
}

#[test]
fn data_flows_one_way() {
    let mut broken = Vec::new();
    for (room, allowed) in MAY_USE {
        for path in files(&root().join("src").join(room), "rs") {
            for used in rooms_used(&code(&path)) {
                if !allowed.contains(&used.as_str()) {
                    broken.push(format!("{} uses crate::{used}", path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_room_has_a_rule() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let free = ["lib.rs", "bin", "report"].contains(&name.as_str());
        assert!(free || MAY_USE.iter().any(|(room, _)| *room == name), "src/{name} has no rule in MAY_USE");
    }
}

#[test]
fn the_command_uses_only_the_public_library() {
    for path in files(&root().join("src/bin"), "rs") {
        assert!(!code(&path).contains("#[path"), "{} reaches into the library's files", path.display());
    }
}

#[test]
fn format_touches_no_files_and_knows_no_serde() {
    for path in files(&root().join("src/format"), "rs") {
        for word in ["std::fs", "std::io", "serde", "File::open"] {
            assert!(!code(&path).contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn facts_and_verdicts_touch_no_system() {
    for room in ["src/wal", "src/shm", "src/look", "src/finding", "src/compare"] {
        for path in files(&root().join(room), "rs") {
            for word in ["std::fs", "File::open", "std::process", "rustix::", "SystemTime", "Instant"] {
                assert!(!code(&path).contains(word), "{} uses {word}", path.display());
            }
        }
    }
}

#[test]
fn report_reads_nothing() {
    for path in files(&root().join("src/report"), "rs") {
        for word in ["std::fs", "File::open", "rustix::", "std::process"] {
            assert!(!code(&path).contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn unsafe_stands_in_one_file() {
    for path in files(&root().join("src"), "rs") {
        let unsafe_code = code(&path).lines().any(|line| line.contains("unsafe {") || line.contains("unsafe fn"));
        assert!(!unsafe_code || path.ends_with("src/linux/sys.rs"), "{} holds unsafe code", path.display());
    }
}

/// Tests within a file count here, too.
#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let mut blocks = 0;
    for path in files(&root().join("src"), "rs") {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let comment = |line: &str| line.trim_start().starts_with("//");
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| !comment(line) && line.contains("unsafe {")) {
            blocks += 1;
            let above = lines[..at].iter().rev().take_while(|line| comment(line));
            let says = above.into_iter().any(|line| line.trim_start().starts_with("// SAFETY: "));
            assert!(says, "{}:{}: an unsafe block without its reason: {line}", path.display(), at + 1);
        }
    }
    assert!(blocks >= 5, "found only {blocks} blocks");
}

#[test]
fn sqlite_is_never_opened_outside_of_the_lab() {
    for path in files(&root().join("src"), "rs") {
        let lab = path.components().any(|part| part.as_os_str() == "lab");
        assert!(lab || !code(&path).contains("rusqlite"), "{} uses SQLite", path.display());
    }
}

/// Names of all tests in the tree.
fn tests() -> Vec<String> {
    let mut names = Vec::new();
    for folder in ["src", "tests"] {
        for path in files(&root().join(folder), "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let tests = text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn "));
            names
                .extend(tests.map(|(_, rest)| {
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
                }));
        }
    }
    names
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let names = tests();
    let mut invariants = 0;
    for line in text.lines().filter(|line| line.trim_start_matches(['*', '-', ' ']).starts_with("Invariant:")) {
        invariants += 1;
        let (_, held_by) = line.rsplit_once("Held by").unwrap_or_else(|| panic!("names no test: {line}"));
        for name in held_by.split('`').skip(1).step_by(2) {
            assert!(names.iter().any(|known| known == name), "there is no test {name}: {line}");
        }
        assert!(held_by.contains('`'), "names no test: {line}");
    }
    assert!(invariants >= 8, "found only {invariants} invariants");
}

#[test]
fn every_promise_of_security_names_a_test_that_exists() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let names = tests();
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise")).collect();
    for row in &rows {
        let held_by = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        assert!(held_by.contains('`'), "names no test: {row}");
        for name in held_by.split('`').skip(1).step_by(2) {
            assert!(names.iter().any(|known| known == name), "there is no test {name}: {row}");
        }
    }
    assert!(rows.len() >= 12, "found only {} promises", rows.len());
}

#[test]
fn every_test_that_reliability_promises_exists() {
    let text = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let names = tests();
    let rows = text.lines().skip_while(|line| !line.starts_with("| promise")).skip(2);
    let mut named = 0;
    for row in rows.take_while(|line| line.starts_with('|')) {
        let held_by = row.split('|').nth(2).unwrap();
        for name in held_by.split('`').skip(1).step_by(2) {
            named += 1;
            let there = if name.contains('/') { root().join(name).exists() } else { names.iter().any(|n| n == name) };
            assert!(there, "there is no {name}: {row}");
        }
    }
    assert!(named >= 15, "found only {named} tests");
}

#[test]
fn files_can_be_read_in_one_sitting() {
    for folder in ["src", "tests"] {
        for path in files(&root().join(folder), "rs") {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 600, "{} has {lines} lines", path.display());
        }
    }
}
