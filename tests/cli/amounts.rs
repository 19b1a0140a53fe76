//! Amounts have one form on every page, and verbs agree with them. Files of many frames, and of one.

use std::fs;
use std::path::Path;

use crate::common::command::walscope;
use crate::common::synthetic::{Shm, WalWriter};

/// In hexadecimal no number of digits alone.
const SALTS: [u32; 2] = [0xa, 0xb];
const PAGE: usize = 512;

fn page_one() -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    page[16..18].copy_from_slice(&(PAGE as u16).to_be_bytes());
    page[18..24].copy_from_slice(&[2, 2, 0, 64, 32, 32]);
    page
}

/// `frames` frames, of which `copied` count as copied, and a database of `pages` pages that holds other content.
fn files(folder: &Path, frames: u32, copied: u32, pages: u32) {
    let mut wal = WalWriter::new(PAGE, false, SALTS);
    wal.page_one = Some(page_one());
    let of = |frame: u32| 1 + (frame - 1) % pages;
    for frame in 1..=frames {
        wal.frame(of(frame), if frame == frames { pages } else { 0 }, 7);
    }
    let shm = Shm {
        page_size: PAGE as u32,
        change: 2,
        mx_frame: frames,
        database_pages: pages,
        frame_checksum: wal.checksum(),
        salts: SALTS,
        backfilled: copied,
        attempted: copied,
        marks: [0, frames, u32::MAX, u32::MAX, u32::MAX],
        pages: (1..=frames).map(of).collect(),
    };
    let mut database = page_one();
    database.resize(pages as usize * PAGE, 0);
    fs::write(folder.join("t.db"), database).unwrap();
    fs::write(folder.join("t.db-wal"), &wal.bytes).unwrap();
    fs::write(folder.join("t.db-shm"), shm.bytes(false)).unwrap();
}

/// The numbers of four digits and more that have no separators. What is a name, and what is given to other tools, has none;
/// 8 digits are hexadecimal.
fn bare(page: &str) -> Vec<&str> {
    let words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != ',' && c != '/');
    let numbers = words.filter(|word| word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_digit()));
    numbers.filter(|number| *number != "3007000" && number.len() != 8).collect()
}

fn pages(folder: &Path, commands: &[&[&str]]) -> Vec<String> {
    let show = |command: &&[&str]| {
        let ran = walscope(folder, &[*command, &["--width", "200"]].concat());
        assert!(ran.code <= 1, "{command:?}: {}", ran.stderr);
        ran.text()
    };
    commands.iter().map(show).collect()
}

#[test]
fn amounts_of_a_thousand_and_more_have_separators_on_every_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let commands: [&[&str]; 5] = [
        &["inspect", "t.db"],
        &["verify", "t.db"],
        &["wal", "t.db", "--transactions"],
        &["shm", "t.db"],
        &["wal", "t.db", "--frame", "12,340.."],
    ];
    for copied in [0, 1_234, 12_345] {
        files(path, 12_345, copied, 5_678);
        let shown = pages(path, &commands);
        for (page, command) in shown.iter().zip(&commands) {
            // The offsets of the frames are the only bare numbers of the last one.
            let offsets = if command.contains(&"--frame") { 6 } else { 0 };
            assert_eq!(bare(page).len(), offsets, "{command:?}: {:?}\n{page}", bare(page));
            assert!(page.contains("12,345"), "{page}");
        }
    }
    assert_eq!(bare("12345 of 12,345"), ["12345"]);
}

#[test]
fn one_frame_waits_and_all_but_one_wait() {
    for (frames, copied, words) in [
        (1, 0, "1 frame waits"),
        (7, 0, "7 frames wait"),
        (7, 6, "1 of 7 frames waits"),
        (7, 2, "5 of 7 frames wait"),
        (1, 1, "The only frame is in the database"),
        (7, 7, "All 7 frames are in the database"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        files(folder.path(), frames, copied, 1);
        // The database as a checkpoint leaves it.
        fs::write(folder.path().join("t.db"), page_one()).unwrap();
        let page = pages(folder.path(), &[&["inspect", "t.db"]]).concat();
        assert!(page.contains(words), "{words}: {page}");
        for wrong in ["1 frames", " 1 frame wait ", "frame 0", "only frame are"] {
            assert!(!page.contains(wrong), "{wrong}: {page}");
        }
    }
}

/// Nearly every database is written by such a release.
#[test]
fn the_note_on_the_wal_reset_bug_takes_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut page = page_one();
    page[96..100].copy_from_slice(&3_040_001_u32.to_be_bytes());
    fs::write(folder.path().join("t.db"), page).unwrap();
    for command in ["inspect", "verify", "wal", "shm"] {
        let shown = walscope(folder.path(), &[command, "t.db", "--width", "100"]).text();
        let about: Vec<&str> = shown.lines().filter(|line| line.contains("wal-reset")).collect();
        let expected =
            "info        Possible wal-reset bug. [written_in_wal_reset_range] Last writer: 3.40.1. Use 3.51.3.";
        assert_eq!(about, vec![expected; about.len()], "{shown}");
        assert_eq!(about.len(), usize::from(matches!(command, "inspect" | "verify")), "{shown}");
        assert_eq!(shown.matches("written_in_wal_reset_range").count(), about.len(), "{shown}");
    }
}

#[test]
fn files_that_are_not_there_have_no_size() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.db"), page_one()).unwrap();
    for page in pages(folder.path(), &[&["inspect", "t.db"], &["verify", "t.db"], &["wal", "t.db"]]) {
        assert!(!page.contains("0 bytes") && (page.contains("absent") || page.contains("no -wal")), "{page}");
    }
}

#[test]
fn of_the_first_frame_behind_another_generation_no_checksum_is_called_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let mut wal = WalWriter::new(PAGE, false, SALTS);
    wal.frame(1, 0, 1).frame(2, 2, 2).frame(3, 3, 3).frame(2, 3, 4);
    wal.set_salts([12, 33]);
    wal.frame_at(1, 1, 3, 9);
    fs::write(folder.path().join("t.db-wal"), &wal.bytes).unwrap();
    let json = walscope(folder.path(), &["wal", "t.db-wal", "--json"]).json();
    let ok: Vec<&serde_json::Value> =
        json["frames"].as_array().unwrap().iter().map(|frame| &frame["checksum_ok"]).collect();
    assert_eq!(ok, [true, false, true, true], "what follows from the frame before it, as it stands there");
    let page = pages(folder.path(), &[&["wal", "t.db-wal"]]).concat();
    let rows: Vec<Vec<&str>> = page.lines().map(|line| line.split_whitespace().collect()).collect();
    let shown: Vec<&str> =
        rows.iter().filter(|row| row.len() >= 11 && row[0].parse::<u32>().is_ok()).map(|row| row[10]).collect();
    assert_eq!(shown, ["yes", "-", "yes", "yes"], "{page}");
    for from in ["2", "2..3"] {
        let page = pages(folder.path(), &[&["wal", "t.db-wal", "--frame", from]]).concat();
        assert!(page.contains("  -\n") && !page.contains("  no\n"), "{page}");
    }
    let hex = pages(folder.path(), &[&["wal", "t.db-wal", "--frame", "2", "--hex"]]).concat();
    assert!(hex.contains("the frame before it has other salts") && !hex.contains("does not follow"), "{hex}");
}
