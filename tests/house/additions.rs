//! What is added in one place is not forgotten in the others: kinds of evidence, documents, scenarios.

use std::collections::BTreeSet;
use std::fs;

use crate::tidy::{code, root, sources};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of the files and folders in a folder.
fn entries(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Every text between `begin` and the next `end`, in order.
fn all_between<'a>(text: &'a str, begin: &'a str, end: char) -> impl Iterator<Item = &'a str> {
    text.split(begin).skip(1).filter_map(move |rest| rest.split(end).next())
}

/// The first cell of each row of the table that begins with this line, without backticks.
fn first_cells<'a>(document: &'a str, heading: &str) -> Vec<&'a str> {
    let rows = document.lines().skip_while(|line| *line != heading).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').nth(1).unwrap().trim().trim_matches('`')).collect()
}

/// The schema of `compare` is made from the types, which `the_schemas_are_those_of_the_types` holds.
#[test]
fn every_kind_of_evidence_has_a_row_in_the_document() {
    let schema: serde_json::Value = serde_json::from_str(&read("docs/schema/compare.json")).unwrap();
    let kinds: Vec<&str> = schema["$defs"]["Kind"]["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["const"].as_str().unwrap())
        .collect();
    let page = read("docs/evidence.md");
    assert_eq!(first_cells(&page, "| evidence | what it is | what it can say |"), kinds);
}

/// The name of a document is a text in the code. Its row names the file of its schema, and
/// `the_schemas_are_those_of_the_types` holds that `walscope schema` prints each of these files.
#[test]
fn every_document_has_a_row_and_a_schema() {
    let texts: Vec<String> = sources("").iter().map(|path| code(path)).collect();
    let names: BTreeSet<&str> = texts.iter().flat_map(|text| all_between(text, "\"walscope/", '/')).collect();
    let page = read("docs/json.md");
    let rows = first_cells(&page, "| document | schema | printed by |");
    let documented: BTreeSet<&str> = rows.iter().map(|row| row.split('/').nth(1).unwrap()).collect();
    assert_eq!(documented, names);
    assert_eq!(rows.len(), names.len(), "a document has two rows: {rows:?}");
    let linked: BTreeSet<String> = all_between(&page, "](schema/", ')').map(str::to_owned).collect();
    assert_eq!(linked, entries("docs/schema"), "files that docs/json.md links, and those in docs/schema");
}

/// The names of the lab's scenarios, in the order of its tables.
fn scenarios() -> Vec<String> {
    let folder = root().join("src/bin/walscope/lab/scenarios");
    let text = code(&folder.join("mod.rs"));
    let (_, order) = text.split_once("fn all()").unwrap();
    let mut names = Vec::new();
    // What stands before each `::SCENARIOS` ends with the name of a file.
    let befores: Vec<&str> = order.split("::SCENARIOS").collect();
    for before in &befores[..befores.len() - 1] {
        let table = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap();
        let text = code(&folder.join(format!("{table}.rs")));
        let (_, table) = text.split_once("SCENARIOS: [Scenario").unwrap();
        let rows = table.split("    Scenario {\n").skip(1);
        names.extend(rows.map(|row| all_between(row, "name: \"", '"').next().unwrap().to_owned()));
    }
    assert!(names.len() >= 26, "found only {names:?}");
    names
}

#[test]
fn every_scenario_of_the_lab_was_recorded_and_is_judged() {
    let judged = read("tests/verdict/scenarios.rs");
    assert_eq!(
        all_between(&judged, "recorded!(\"", '"').collect::<Vec<_>>(),
        scenarios(),
        "tests/verdict/scenarios.rs"
    );
    let mut recorded = entries("testdata/scenarios");
    recorded.retain(|name| name != "record.sh");
    assert_eq!(recorded, scenarios().into_iter().collect(), "testdata/scenarios");
}

#[test]
fn every_scenario_of_the_lab_has_a_row_in_the_readme() {
    let readme = read("README.md");
    let (_, table) = readme.split_once("\n scenario ").expect("README.md has the table of `lab --all`");
    let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
    // A line that begins with two spaces continues the row above.
    let names: Vec<&str> =
        rows.filter(|row| !row.starts_with("  ")).filter_map(|row| row.split_whitespace().next()).collect();
    assert_eq!(names, scenarios());
    assert!(table.contains(&format!("\n{} as expected\n", names.len())), "the count below the table");
}
