//! The documents say what the code does.

use std::fs;
use std::path::Path;

use walscope::evidence::LockSlot;
use walscope::format::layout::{self, Layout};
use walscope::format::{shm, wal};
use walscope::number::PAGE_SIZES;

const SHM_LOCKS: u64 = LockSlot::Write.bytes().start;

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

#[test]
fn the_database_tables_are_those_of_the_decoder() {
    held(
        "format-db.md",
        &[
            &layout::DATABASE_HEADER,
            &layout::LEAF_PAGE,
            &layout::INTERIOR_PAGE,
            &layout::FREELIST_TRUNK,
            &layout::POINTER_MAP_ENTRY,
        ],
    );
}

/// Every number in the tables of a document, line by line; digits within a name (salt1) are no numbers.
fn numbers(document: &str) -> Vec<(String, Vec<u64>)> {
    let number = |word: &str| match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    };
    document
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            // A version (3.7.0) is one word, and none of these.
            let words =
                line.split(|c: char| !c.is_ascii_alphanumeric() && !"_.".contains(c)).map(|w| w.trim_matches('.'));
            (line.to_owned(), words.filter_map(number).collect::<Vec<_>>())
        })
        .filter(|(_, numbers)| !numbers.is_empty())
        .collect()
}

/// Offset and size of each field, and behind them the numbers that its meaning may name.
fn fields(layout: &Layout, said: &[(&str, &[u64])]) -> Vec<Vec<u64>> {
    for (name, _) in said {
        assert!(layout.fields.iter().any(|field| field.name == *name), "{}: {name}", layout.name);
    }
    let extra = |name| said.iter().filter(move |(of, _)| *of == name).flat_map(|(_, numbers)| numbers.iter().copied());
    let row = |field: &layout::Field| [field.offset as u64, field.size as u64].into_iter().chain(extra(field.name));
    layout.fields.iter().map(|field| row(field).collect()).collect()
}

#[track_caller]
fn assert_numbers(name: &str, expected: Vec<Vec<u64>>) {
    let found = numbers(&document(name));
    for ((line, found), expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "docs/{name}: {line}");
    }
    assert_eq!(found.len(), expected.len(), "docs/{name}: rows with numbers");
}

#[test]
fn every_number_in_a_wal_table_is_the_decoders() {
    let (header, frame) = (wal::HEADER_SIZE as u64, wal::FRAME_HEADER_SIZE as u64);
    let (little, big) = (u64::from(wal::MAGIC_LITTLE), u64::from(wal::MAGIC_BIG));
    let (smallest, largest) = (u64::from(*PAGE_SIZES.start()), u64::from(*PAGE_SIZES.end()));
    let mut expected = vec![vec![header, frame, frame]];
    expected.extend(fields(
        &layout::WAL_HEADER,
        &[
            ("magic", &[little, big]),
            ("format_version", &[u64::from(wal::FORMAT_VERSION)]),
            ("page_size", &[smallest, largest, largest, 1]),
            ("checksum1", &[wal::HEADER_CHECKSUMMED as u64]),
            ("checksum2", &[wal::HEADER_CHECKSUMMED as u64, 1]),
        ],
    ));
    // Page number 0 and commit field 0.
    expected.extend(fields(&layout::FRAME_HEADER, &[("page", &[0]), ("commit_pages", &[0])]));
    assert_numbers("format-wal.md", expected);
}

#[test]
fn every_number_in_a_wal_index_table_is_the_decoders() {
    let (version, largest) = (u64::from(wal::FORMAT_VERSION), u64::from(*PAGE_SIZES.end()));
    let (slots, slot_size) = (shm::HASH_SLOTS as u64, (layout::LATER_BLOCK.fields[1].size / shm::HASH_SLOTS) as u64);
    let entry_size = (layout::LATER_BLOCK.fields[0].size / shm::BLOCK_FRAMES) as u64;
    let (unused_mark, checksummed) = (u64::from(shm::READMARK_NOT_USED), shm::HEADER_CHECKSUMMED as u64);
    let checkpoint = layout::FIRST_BLOCK.fields[2].offset as u64;
    let switch = checkpoint + layout::CHECKPOINT_INFO.fields[3].offset as u64;
    assert_eq!(SHM_LOCKS, checkpoint + layout::CHECKPOINT_INFO.fields[2].offset as u64, "the locks are on aLock");
    let hash_slots: (&str, &[u64]) = ("hash_slots", &[slots, slot_size]);
    let mut expected = fields(
        &layout::FIRST_BLOCK,
        // Copy 0 and copy 1; frame 1 to the last of the block.
        &[
            ("header 0", &[0]),
            ("header 1", &[1, 0]),
            ("page_numbers", &[1, shm::FIRST_BLOCK_FRAMES as u64]),
            hash_slots,
        ],
    );
    expected
        .extend(fields(&layout::LATER_BLOCK, &[("page_numbers", &[shm::BLOCK_FRAMES as u64, entry_size]), hash_slots]));
    expected.extend(fields(
        &layout::INDEX_HEADER,
        &[
            ("version", &[version]),
            ("page_size", &[1, largest, 0]),
            ("mx_frame", &[0]),
            ("frame_checksum", &[0]),
            ("checksum", &[checksummed]),
        ],
    ));
    // aReadMark[5], slot 0 is always 0; READ0 is a name.
    expected.extend(fields(
        &layout::CHECKPOINT_INFO,
        &[
            ("read_marks", &[shm::READ_MARKS as u64, unused_mark, 0, 0]),
            ("lock_bytes", &[SHM_LOCKS]),
            ("backfill_attempted", &[switch]),
        ],
    ));
    let readers = SHM_LOCKS + 4;
    expected.extend([[0], [1], [2], [3]].map(|[slot]| vec![SHM_LOCKS + slot]));
    expected.extend([vec![readers, readers + shm::READ_MARKS as u64 - 2], vec![switch]]);
    assert_numbers("format-shm.md", expected);
}
