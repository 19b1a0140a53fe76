//! `walscope shm` on files of the synthetic writer, of a real SQLite, and of a SQLite on a big-endian machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

use crate::common;
use crate::common::command::{connect, database, walscope};
use crate::common::synthetic::{self, Shm};

fn json(folder: &Path, args: &[&str]) -> Value {
    let ran = walscope(folder, &[&["shm"], args, &["--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.json()
}

fn text(folder: &Path, args: &[&str]) -> String {
    let ran = walscope(folder, &[&["shm"], args].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.text()
}

/// A wal-index of three blocks; pages repeat so that hash chains grow, and two entries lie behind mxFrame.
fn three_blocks() -> Shm {
    let pages: Vec<u32> = (0..8302_u32).map(|i| i * 7919 % 3000 + 1).collect();
    Shm { mx_frame: 8300, database_pages: 3000, pages, ..Shm::default() }
}

fn all<'a>(document: &'a Value, list: &str) -> Vec<&'a Value> {
    document["blocks"].as_array().unwrap().iter().flat_map(|block| block[list].as_array().unwrap()).collect()
}

#[test]
fn a_wal_index_that_claims_terabytes_is_listed_by_what_is_stored_in_it() {
    const HUGE: u64 = 8 << 40;
    const BLOCK: u64 = 32 << 10;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db-shm");
    // Three blocks with entries. Far behind them one that is no hole, and after it the hole goes on.
    fs::write(&path, three_blocks().bytes(false)).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    if !common::have("8 TiB sparse", file.set_len(HUGE).is_ok()) {
        return;
    }
    file.write_all_at(&[1, 0, 0, 0], (1 << 40) + 4).unwrap();
    let far = (1 << 40) / BLOCK;
    for arguments in [&[][..], &["--pages"], &["--hash"], &["--block", "9000"]] {
        assert!(text(folder.path(), &[&["t.db-shm"], arguments].concat()).len() < 1 << 20, "{arguments:?}");
    }
    let document = json(folder.path(), &["t.db-shm"]);
    let rows: Vec<[u64; 3]> = document["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| ["block", "alike", "last_frame"].map(|name| row[name].as_u64().unwrap()))
        .collect();
    // 3 with entries, 64 empty ones, the rest of them; the one that is no hole, 64 empty ones, the rest.
    assert_eq!(rows.len(), 3 + 65 + 1 + 65);
    assert!(rows.iter().zip(&rows[1..]).all(|(a, b)| a[0] + a[1] == b[0]), "{rows:?}");
    let last_frame = |block: u64| 4062 + block * 4096;
    assert_eq!(rows[67], [67, far - 67, last_frame(far - 1)]);
    assert_eq!(rows[68], [far, 1, last_frame(far)]);
    assert_eq!(rows[133], [far + 65, HUGE / BLOCK - far - 65, last_frame(HUGE / BLOCK - 1)]);
}

#[test]
fn a_wal_index_of_three_blocks_lists_every_frame_and_slot() {
    let folder = tempfile::tempdir().unwrap();
    let index = three_blocks();
    fs::write(folder.path().join("t.db-shm"), index.bytes(false)).unwrap();
    let document = json(folder.path(), &["t.db-shm", "--pages", "--hash"]);
    assert_eq!(document["schema"], "walscope/shm/1");
    assert_eq!(document["blocks"].as_array().unwrap().len(), 3);
    let entries = all(&document, "pages");
    let expected: Vec<Value> = (1_u64..)
        .zip(&index.pages)
        .map(|(frame, page)| serde_json::json!({"frame": frame, "page": page, "noise": frame > 8300}))
        .collect();
    assert_eq!(entries, expected.iter().collect::<Vec<_>>());
    let slots = all(&document, "slots");
    assert_eq!(slots.len(), 8302);
    let mut seen = BTreeMap::new();
    for slot in slots {
        let (frame, page) = (slot["frame"].as_u64().unwrap(), slot["page"].as_u64().unwrap());
        assert_eq!(page, u64::from(index.pages[frame as usize - 1]), "{slot}");
        let ideal = page * 383 % 8192;
        assert_eq!(slot["ideal_slot"], ideal, "{slot}");
        let displaced = (slot["slot"].as_u64().unwrap() + 8192 - ideal) % 8192;
        assert_eq!(slot["displacement"], displaced, "{slot}");
        assert_eq!(slot["kind"], if frame > 8300 { "noise" } else { "live" }, "{slot}");
        assert_eq!((&slot["reachable"], &slot["duplicate"]), (&true.into(), &false.into()), "{slot}");
        seen.insert(frame, page);
    }
    assert_eq!(seen.len(), 8302);

    let second = json(folder.path(), &["t.db-shm", "--pages", "--hash", "--block", "1"]);
    assert_eq!(second["blocks"], Value::from(vec![document["blocks"][1].clone()]));
    let shown = text(folder.path(), &["t.db-shm", "--pages", "--hash", "--block", "2"]);
    let noise = shown.lines().filter(|line| line.ends_with("noise")).count();
    assert_eq!(noise, 4, "two entries and two slots: {shown}");
    let lines = text(folder.path(), &["t.db-shm", "--jsonl"]);
    assert_eq!(lines.lines().count(), 3);
    let ran = walscope(folder.path(), &["shm", "t.db-shm", "--block", "3"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("has 3 blocks"), "{}", ran.stderr);
}

/// A wal-index of several blocks from a real SQLite: 8,200 frames and more, one commit each.
#[test]
fn a_wal_index_of_sqlite_lists_the_pages_of_its_wal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = connect(&path);
    db.execute_batch(
        "PRAGMA page_size=512; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF;
         CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
         WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<8300)
         INSERT INTO t SELECT i, zeroblob(400) FROM n;",
    )
    .unwrap();
    let document = json(folder.path(), &["t.db", "--pages", "--hash"]);
    let mx_frame = document["noise_behind"].as_u64().unwrap();
    assert!(mx_frame > 8200, "{mx_frame}");
    assert_eq!(document["blocks"].as_array().unwrap().len(), 3);
    let lines = walscope(folder.path(), &["wal", "t.db", "--jsonl"]).text();
    let frames: Vec<(u64, u64)> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|frame| (frame["frame"].as_u64().unwrap(), frame["page"].as_u64().unwrap()))
        .collect();
    let pair = |row: &&Value| (row["frame"].as_u64().unwrap(), row["page"].as_u64().unwrap());
    let entries: Vec<(u64, u64)> = all(&document, "pages").iter().map(pair).collect();
    assert_eq!(entries, frames);
    let mut slots: Vec<(u64, u64)> = all(&document, "slots").iter().map(pair).collect();
    slots.sort_unstable();
    assert_eq!(slots, frames);
    for block in document["blocks"].as_array().unwrap() {
        assert_eq!((&block["unreachable_frames"], &block["duplicate_slots"]), (&0.into(), &0.into()));
    }
}

/// Two machines recovered the same database and WAL. The header's own `checksum` is summed over words in native order, so
/// it differs by nature; all else that the files say is the same.
#[test]
fn a_big_endian_file_and_its_little_endian_twin_differ_in_byte_order_alone() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/big-endian");
    let document = |order: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(recorded.join("big.db"), folder.path().join("t.db")).unwrap();
        fs::copy(recorded.join("big.db-wal"), folder.path().join("t.db-wal")).unwrap();
        fs::copy(recorded.join(format!("recovered-{order}.db-shm")), folder.path().join("t.db-shm")).unwrap();
        let mut document = json(folder.path(), &["t.db", "--pages", "--hash"]);
        document["source"]["path"] = Value::Null;
        document
    };
    let (big, mut little) = (document("big"), document("little"));
    assert_eq!((&big["shm"]["byte_order"], &little["shm"]["byte_order"]), (&"big".into(), &"little".into()));
    for copy in 0..2 {
        assert_eq!(big["shm"]["headers"][copy]["checksum_ok"], true);
        assert_eq!(little["shm"]["headers"][copy]["checksum_ok"], true);
        assert_ne!(big["shm"]["headers"][copy]["checksum"], little["shm"]["headers"][copy]["checksum"]);
        little["shm"]["headers"][copy]["checksum"] = big["shm"]["headers"][copy]["checksum"].clone();
    }
    assert_eq!(big["shm"]["headers"][0]["mx_frame"], 10);
    assert!(!all(&big, "slots").is_empty());
    little["shm"]["byte_order"] = "big".into();
    assert_eq!(big, little);
}

#[test]
fn a_foreign_byte_order_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = cfg!(target_endian = "little");
    fs::write(folder.path().join("t-shm"), Shm::default().bytes(foreign)).unwrap();
    fs::write(folder.path().join("own-shm"), Shm::default().bytes(!foreign)).unwrap();
    let words = if foreign { "written on a big-endian machine" } else { "written on a little-endian machine" };
    assert!(text(folder.path(), &["t-shm"]).contains(words));
    assert!(!text(folder.path(), &["own-shm"]).contains("machine"));
}

#[test]
fn holders_leftovers_and_unknown_locks_are_shown_differently() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let writer = database(&path);
    let reader = connect(&path);
    reader.execute_batch("BEGIN; SELECT count(*) FROM t;").unwrap();
    let pid = std::process::id();
    let shown = text(folder.path(), &["t.db", "--width", "120"]);
    let row = |shown: &str, name: &str| {
        shown.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {shown}")).to_owned()
    };
    assert!(row(&shown, "read1").contains(&format!("pid {pid}")), "{shown}");
    assert!(row(&shown, "dead man switch").contains("connections have the database open"), "{shown}");
    let document = json(folder.path(), &["t.db"]);
    assert_eq!(document["shm"]["checkpoint"]["read_marks"][1]["holders"][0]["pid"], pid);

    reader.execute_batch("COMMIT").unwrap();
    let shown = text(folder.path(), &["t.db", "--width", "120"]);
    assert!(row(&shown, "read1").contains("leftover, blocks nothing"), "{shown}");
    drop((writer, reader));

    fs::write(folder.path().join("alone-shm"), Shm { marks: [0, 7, 0, 0, 0], ..three_blocks() }.bytes(false)).unwrap();
    let shown = text(folder.path(), &["alone-shm"]);
    assert!(shown.contains("unknown: one file alone was given; locks were not looked at"), "{shown}");
    assert!(row(&shown, "read1").contains("a reader, or a leftover"), "{shown}");
}

#[test]
fn absent_and_short_are_answers_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(&folder.path().join("t.db")));
    let document = json(folder.path(), &["t.db"]);
    assert_eq!((&document["shm"], &document["reasons"]["shm"]), (&Value::Null, &"absent".into()));
    for len in [0, 3, 135] {
        fs::write(folder.path().join("t.db-shm"), &Shm::default().bytes(false)[..len]).unwrap();
        let document = json(folder.path(), &["t.db", "--pages", "--hash"]);
        assert_eq!(document["blocks"], Value::from(Vec::<u8>::new()));
        let reason = document["reasons"]["shm"].as_str().unwrap();
        assert!(reason.contains("needed 136 bytes") && reason.contains(&format!("found {len} bytes")), "{reason}");
    }
    fs::write(folder.path().join("t.db-wal"), synthetic::WalWriter::new(512, false, [1, 2]).bytes).unwrap();
    assert_eq!(walscope(folder.path(), &["shm", "t.db-wal"]).code, 2);
}

#[test]
fn no_line_is_wider_than_the_width() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = three_blocks().bytes(false);
    bytes[16..20].fill(0xff);
    bytes[16384..16384 + 4000].fill(0xff);
    fs::write(folder.path().join("t-shm"), bytes).unwrap();
    for width in [20, 33, 60, 80, 100, 130] {
        let shown = text(folder.path(), &["t-shm", "--pages", "--hash", "--width", &width.to_string()]);
        let widest = shown.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(widest.chars().count() <= width, "width {width}: {widest}");
    }
}

/// Hostile numbers in the head must cost neither memory nor time, and no search may run in circles.
#[test]
fn hostile_numbers_are_shown_and_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = Shm { mx_frame: u32::MAX, database_pages: u32::MAX, backfilled: u32::MAX, ..three_blocks() };
    let mut bytes = hostile.bytes(false);
    for block in 0..3 {
        bytes[block * 32768 + 16384..][..16384].fill(0x01);
    }
    fs::write(folder.path().join("t-shm"), bytes).unwrap();
    let document = json(folder.path(), &["t-shm", "--pages", "--hash"]);
    assert_eq!(document["noise_behind"], u32::MAX);
    let block = &document["blocks"][0];
    assert_eq!((&block["empty_slots"], &block["duplicate_slots"]), (&0.into(), &8191.into()), "{block}");
    // A search ends only at an empty slot: in a full table SQLite gives each one up.
    assert_eq!(block["unreachable_frames"], 4062);
    let shown = text(folder.path(), &["t-shm"]);
    assert!(shown.contains("mxFrame 4,294,967,295 needs 1,048,577 blocks"), "{shown}");
}

#[test]
fn slots_that_mislead_a_search_are_marked() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Shm { mx_frame: 3, database_pages: 9, pages: vec![5, 5, 9, 6], ..Shm::default() }.bytes(false);
    let mut set = |slot: usize, position: u16| {
        bytes[16384 + 2 * slot..][..2].copy_from_slice(&position.to_le_bytes());
    };
    // Page 5 begins at 1915: without its first slot, the second is behind an empty one.
    set(1915, 0);
    set(100, 3);
    set(101, 5000);
    fs::write(folder.path().join("t-shm"), bytes).unwrap();
    let shown = text(folder.path(), &["t-shm", "--hash"]);
    let note = |slot: &str| {
        let row = |line: &&str| line.split_whitespace().nth(1) == Some(slot) && line.trim_start().starts_with("0 ");
        let line = shown.lines().rfind(row).unwrap_or_else(|| panic!("{slot}: {shown}"));
        line.split_whitespace().skip(7).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(note("1,916"), "unreachable");
    // The first slot of frame 3 is the one at 100; its proper one comes second.
    assert_eq!(note("100"), "unreachable");
    assert_eq!(note("3,447"), "duplicate");
    assert_eq!(note("101"), "garbage");
    assert_eq!(note("2,298"), "noise");
    assert!(shown.contains("no search for its page comes across frame 1, 2"), "{shown}");
    assert!(shown.contains("1 slot points to an entry that another slot points to"), "{shown}");
}
