//! The features in Cargo.toml, in the crate's root and in docs/architecture.md are the same ones with the same rooms.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

fn read(path: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The lines from `begin` up to the next line that starts with `end`.
fn between<'a>(text: &'a str, begin: &str, end: &'a str) -> impl Iterator<Item = &'a str> {
    let from = text.find(&format!("{begin}\n")).unwrap_or_else(|| panic!("no line {begin}")) + begin.len() + 1;
    text[from..].lines().take_while(move |line| !line.starts_with(end))
}

/// Features and the rooms they add, from the table in docs/architecture.md.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("docs/architecture.md");
    let rows = between(&page, "## Features", "## ").filter(|line| line.starts_with("| `"));
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        (names(cells[1]).pop_first().unwrap(), names(cells[2]))
    })
    .collect()
}

#[test]
fn the_documents_list_the_features_of_cargo_toml_in_order() {
    let manifest = read("Cargo.toml");
    let features: Vec<(&str, &str)> =
        between(&manifest, "[features]", "[").filter_map(|line| line.split_once(" = ")).collect();
    let names: BTreeSet<String> = features.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut expected: BTreeSet<String> = documented().into_keys().collect();
    expected.insert("default".to_owned());
    assert_eq!(names, expected);
    for pair in features[1..].windows(2) {
        assert!(pair[1].1.contains(&format!("{:?}", pair[0].0)), "{} does not hold {}", pair[1].0, pair[0].0);
    }
}

#[test]
fn the_documents_list_the_rooms_of_each_feature() {
    let mut rooms: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let root = read("src/lib.rs");
    let mut feature = "decode";
    for line in root.lines() {
        if let Some((_, rest)) = line.strip_prefix("#[cfg(").and_then(|line| line.split_once("feature = \"")) {
            feature = ["capture", "cli"].into_iter().find(|name| rest.starts_with(name)).unwrap();
        } else if let Some(room) = line.strip_prefix("pub mod ") {
            rooms.entry(feature).or_default().insert(room.trim_end_matches(';').to_owned());
            feature = "decode";
        }
    }
    for (feature, mut listed) in documented() {
        listed.retain(|room| !room.starts_with("src/"));
        assert_eq!(listed, rooms.remove(feature.as_str()).unwrap_or_default(), "{feature}");
    }
}
