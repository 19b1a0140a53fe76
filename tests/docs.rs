//! The documents say what the code does.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

use walscope::format::layout::{self, Layout};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Rows (offset, size, field) of the first table below the heading that has the structure's name.
fn rows(document: &str, layout: &Layout) -> Vec<(usize, usize, String)> {
    let heading =
        |line: &str| line.starts_with('#') && line.trim_start_matches(['#', ' ']).eq_ignore_ascii_case(layout.name);
    document
        .lines()
        .skip_while(|line| !heading(line))
        .skip_while(|line| !line.starts_with("| offset"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            (cells[0].parse().unwrap(), cells[1].parse().unwrap(), cells[2].to_owned())
        })
        .collect()
}

fn held(name: &str, layouts: &[&Layout]) {
    let text = document(name);
    for layout in layouts {
        let fields: Vec<_> = layout.fields.iter().map(|f| (f.offset, f.size, f.name.to_owned())).collect();
        assert_eq!(rows(&text, layout), fields, "docs/{name}: {}", layout.name);
    }
}

#[test]
fn the_wal_tables_are_those_of_the_decoder() {
    held("format-wal.md", &[&layout::WAL_HEADER, &layout::FRAME_HEADER]);
}

#[test]
fn the_wal_index_tables_are_those_of_the_decoder() {
    held(
        "format-shm.md",
        &[&layout::INDEX_HEADER, &layout::CHECKPOINT_INFO, &layout::FIRST_BLOCK, &layout::LATER_BLOCK],
    );
}
