//! `testdata/cases`: one fault a folder. Each file is the one that the programs here make, each answer is golden.
//!
//! To write the folders anew: `WALSCOPE_RECORD=1 INSTA_UPDATE=always cargo test --test cli cases`.

mod made;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::command;
use made::{Case, cases};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases")
}

/// What `about.txt` says: the fault, and the findings that it comes to.
fn about(case: &Case) -> String {
    let findings = if case.findings.is_empty() { "none".to_owned() } else { case.findings.join(", ") };
    format!("{}\nFindings: {findings}\n", case.about)
}

#[test]
fn every_case_is_what_its_program_makes() {
    let record = std::env::var_os("WALSCOPE_RECORD").is_some();
    for case in cases() {
        let folder = root().join(case.name);
        let mut files = vec![("about.txt", about(&case).into_bytes())];
        files.extend(case.files.iter().map(|(name, bytes)| (*name, bytes.clone())));
        if record {
            fs::create_dir_all(&folder).unwrap();
        }
        for (name, made) in &files {
            let path = folder.join(name);
            if record {
                fs::write(&path, made).unwrap();
            }
            let kept = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(kept == *made, "{} is not what the program makes", path.display());
        }
        let known: BTreeSet<&str> = files.iter().map(|(name, _)| *name).collect();
        for entry in fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name.contains(".snap") || known.contains(name.as_str()), "{}/{name} is made by nothing", case.name);
        }
    }
}

#[test]
fn every_folder_is_a_case_and_stands_in_the_readme() {
    let made: BTreeSet<String> = cases().iter().map(|case| case.name.to_owned()).collect();
    let folders: BTreeSet<String> =
        fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(made, folders);
    let readme = fs::read_to_string(root().join("../README.md")).unwrap();
    let rows: Vec<String> = readme.lines().filter(|line| line.starts_with("| `cases/")).map(str::to_owned).collect();
    let expected: Vec<String> =
        cases().iter().map(|case| format!("| `cases/{}` | {} |", case.name, case.about)).collect();
    assert_eq!(rows, expected, "the table of testdata/README.md");
}

/// The case's files in a folder of their own: paths are short, and the files belong to whoever runs the tests.
fn unpacked(case: &Case) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in &case.files {
        fs::write(folder.path().join(name), fs::read(root().join(case.name).join(name)).unwrap()).unwrap();
    }
    folder
}

fn answer(case: &Case, command: &str) -> Value {
    let folder = unpacked(case);
    let ran = command::walscope(folder.path(), &[command, case.source, "--json", "--fail-on", "info"]);
    let mut json = ran.json();
    // `wal` and `shm` speak of their file; `inspect` holds the files against each other.
    let found = !json["findings"].as_array().unwrap().is_empty();
    assert_eq!(ran.code, i32::from(found), "{} {command}: {}", case.name, ran.stderr);
    let path = json["source"]["path"].as_str().unwrap();
    assert!(path.ends_with(case.source), "{path}");
    json["source"]["path"] = case.source.into();
    // The answers are those of whoever runs the tests.
    if json["open"].is_object() {
        assert_eq!(json["open"]["as_uid"], rustix::process::geteuid().as_raw());
        (json["open"]["as_uid"], json["open"]["as_gid"]) = (0.into(), 0.into());
    }
    json
}

fn settled(case: &Case, check: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join(case.name));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(check);
}

#[test]
fn every_case_is_answered_as_before() {
    for case in cases() {
        let inspected = answer(&case, "inspect");
        let codes: Vec<&str> =
            inspected["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect();
        assert_eq!(codes, case.findings, "{}", case.name);
        settled(&case, || {
            insta::assert_json_snapshot!("inspect", inspected);
            for command in case.commands {
                insta::assert_json_snapshot!(*command, answer(&case, command));
            }
        });
    }
}

#[test]
fn all_six_classes_are_shown_in_picture_and_table() {
    let case = cases().into_iter().find(|case| case.name == "six-classes-wal").unwrap();
    let folder = unpacked(&case);
    let text = command::walscope(folder.path(), &["wal", case.source, "--width", "100"]).text();
    for class in ["backfilled", "pending", "uncommitted", "residue", "stale", "unwritten", "torn"] {
        assert!(text.lines().take(5).any(|line| line.contains(class)), "{class} is not in the picture:\n{text}");
    }
    let table: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("frame")).skip(2).collect();
    let shown: Vec<&str> =
        table.iter().map_while(|line| line.split_whitespace().nth(4)).take(made::SIX_CLASSES.len()).collect();
    assert_eq!(shown, made::SIX_CLASSES, "{text}");
    assert!(text.contains("100 bytes of a torn frame"), "{text}");
    settled(&case, || insta::assert_snapshot!("page", text));
    let json = answer(&case, "wal");
    let classes: Vec<&str> =
        json["frames"].as_array().unwrap().iter().map(|frame| frame["class"].as_str().unwrap()).collect();
    assert_eq!(classes, made::SIX_CLASSES);
}
