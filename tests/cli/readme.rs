//! What README.md and the documents print is what the command prints.
//!
//! The blocks run against the recorded bundles, so no Docker is needed. trycmd ignores `cargo run` blocks: the main
//! command has tests of its own in `tests/lab`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::common::command::EXE;

#[test]
fn console_blocks_are_exact() {
    // As `snapshot` makes them. A checkout has them readable by others, which is said with each of them.
    for scenario in ["shared", "copied", "file-mount"] {
        for side in ["writer", "reader"] {
            let bundle = Path::new("testdata/bundles").join(scenario).join(format!("{side}.walsnap"));
            fs::set_permissions(bundle, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    trycmd::TestCases::new().case("README.md").case("docs/*.md");
}

#[test]
fn the_readme_names_its_two_commands() {
    let readme = fs::read_to_string("README.md").unwrap();
    for command in ["cargo run --release -- lab", "cargo test"] {
        assert!(readme.lines().any(|line| line.trim() == command), "README.md does not have the line {command:?}");
    }
}

/// What `--help` prints for a command.
fn help(command: &[&str]) -> String {
    let out = Command::new(EXE).args(command).arg("--help").output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// The lines below a heading of `--help` that begin with this indent and no deeper one.
fn listed<'a>(help: &'a str, heading: &str, indent: &str) -> Vec<&'a str> {
    let lines = help.lines().skip_while(|line| *line != heading).skip(1);
    let section = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    section.filter_map(|line| line.strip_prefix(indent)).filter(|line| !line.starts_with(' ')).collect()
}

/// The commands below a command, without `help`.
fn commands(help: &str) -> Vec<&str> {
    let names = listed(help, "Commands:", "  ").into_iter().filter_map(|line| line.split(' ').next());
    names.filter(|name| *name != "help").collect()
}

/// The long options below a heading, without `--help` and `--version`.
fn options(help: &str, heading: &str) -> BTreeSet<String> {
    // A short form stands before the long one: `  -o, --output <FILE>`, `      --force`.
    let short = listed(help, heading, "  ").into_iter().filter_map(|line| line.split_once(", ").map(|(_, long)| long));
    let long = listed(help, heading, "      ").into_iter();
    let names = short.chain(long).filter(|line| line.starts_with("--")).filter_map(|line| line.split(' ').next());
    names.filter(|name| !["--help", "--version"].contains(name)).map(str::to_owned).collect()
}

/// The rows of a table, each as its cells.
fn table<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let rows = document.lines().skip_while(|line| *line != heading).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect()).collect()
}

/// The texts in backticks.
fn marked(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// An examiner's build has no lab.
fn built(command: &str) -> bool {
    cfg!(feature = "lab") || command != "lab"
}

#[test]
fn the_readme_has_a_row_for_every_command() {
    let readme = fs::read_to_string("README.md").unwrap();
    let rows = table(&readme, "| command | answers |");
    let first = |row: &Vec<&str>| marked(row[0]).next().unwrap().split(' ').next().unwrap().to_owned();
    let rows: BTreeSet<String> = rows.iter().map(first).filter(|name| built(name)).collect();
    let all = help(&[]);
    assert_eq!(rows, commands(&all).into_iter().map(str::to_owned).collect());
}

#[test]
fn the_readme_names_every_option() {
    let readme = fs::read_to_string("README.md").unwrap();
    let mut named: BTreeSet<(String, String)> = BTreeSet::new();
    for row in table(&readme, "| options of | |") {
        let of: Vec<&str> = if row[0] == "every command" { vec![""] } else { marked(row[0]).collect() };
        for command in of.into_iter().filter(|name| built(name)) {
            let options = marked(row[1]).filter(|text| text.starts_with("--"));
            named.extend(options.map(|text| (command.to_owned(), text.split(' ').next().unwrap().to_owned())));
        }
    }
    let mut all: BTreeSet<(String, String)> = BTreeSet::new();
    let main = help(&[]);
    all.extend(options(&main, "Options of every command:").into_iter().map(|option| (String::new(), option)));
    for command in commands(&main) {
        let own = help(&[command]);
        let mut pages = vec![(command.to_owned(), own.clone())];
        pages.extend(commands(&own).iter().map(|below| (format!("{command} {below}"), help(&[command, below]))));
        for (name, page) in pages {
            all.extend(options(&page, "Options:").into_iter().map(|option| (name.clone(), option)));
        }
    }
    let missing: Vec<_> = all.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&all).collect();
    assert!(missing.is_empty(), "README.md does not name {missing:?}");
    assert!(unknown.is_empty(), "README.md names {unknown:?}, which do not exist");
    assert!(all.len() >= 30, "found only {all:?}");
}

/// Tests that try every command in some way, and the commands that have no part in it.
const TRY_EVERY_COMMAND: &[(&str, &[&str])] = &[
    // Names that are not UTF-8: of files.
    ("tests/cli/names.rs", &["ps", "explain", "schema"]),
    // Files that cannot be read.
    ("tests/cli/bad_input.rs", &["probe", "ps", "explain", "lab", "schema"]),
    ("tests/hostile/terminal.rs", &[]),
    // Only looking: these look at no file of others.
    ("tests/hostile/strace.rs", &["explain", "lab", "schema"]),
    // Files of ten million frames.
    ("tests/hostile/memory.rs", &["probe", "ps", "lab", "schema"]),
    ("tests/live/host.rs", &["explain", "lab", "schema"]),
];

#[test]
fn every_command_has_a_line_in_the_tests_that_try_every_command() {
    let help = help(&[]);
    for (file, without) in TRY_EVERY_COMMAND {
        let text = fs::read_to_string(file).unwrap();
        for command in commands(&help).into_iter().filter(|command| !without.contains(command)) {
            let named = [format!("\"{command}\""), format!("\"{command} ")].iter().any(|name| text.contains(name));
            assert!(named, "{file} does not try {command}");
        }
    }
}
