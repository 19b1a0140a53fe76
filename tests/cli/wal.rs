//! `walscope wal` on files of the synthetic writer and of a real SQLite.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common;
use crate::common::command::{EXE, connect, database, walscope};
use crate::common::synthetic::{self, WalWriter};

const SALTS: [u32; 2] = [0x51a7_0001, 0x51a7_0002];

fn json(folder: &Path, args: &[&str]) -> Value {
    let ran = walscope(folder, &[&["wal"], args, &["--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.json()
}

fn text(folder: &Path, args: &[&str]) -> String {
    let ran = walscope(folder, &[&["wal"], args].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.text()
}

fn column(list: &Value, name: &str) -> Vec<Value> {
    list.as_array().unwrap().iter().map(|row| row[name].clone()).collect()
}

/// Three transactions over five frames: 1 2 | 3 | 2 1.
fn sample(folder: &Path) -> WalWriter {
    let mut wal = WalWriter::new(512, false, SALTS);
    wal.frame(1, 0, 1).frame(2, 2, 2).frame(3, 3, 3).frame(2, 0, 4).frame(1, 3, 5);
    fs::write(folder.join("t.db-wal"), &wal.bytes).unwrap();
    wal
}

#[test]
fn a_wal_that_claims_terabytes_is_answered_by_what_is_stored_live_and_from_bundles() {
    const HUGE: u64 = 8 << 40;
    let folder = tempfile::tempdir().unwrap();
    let db = database(&folder.path().join("live.db"));
    // By another process: to read it here would drop SQLite's locks.
    for suffix in ["", "-wal", "-shm"] {
        let [from, to] = ["live.db", "t.db"].map(|name| folder.path().join(format!("{name}{suffix}")));
        assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
    }
    drop(db);
    let file = fs::File::options().write(true).open(folder.path().join("t.db-wal")).unwrap();
    let stored = (file.metadata().unwrap().len() - 32) / 4120;
    if !common::have("8 TiB sparse", file.set_len(HUGE).is_ok()) {
        return;
    }
    let frames = (HUGE - 32) / 4120;
    for tail in [false, true] {
        if tail {
            file.write_all_at(b"x", HUGE - 1).unwrap();
        }
        for (bundle, how) in [("full", "full"), ("headers", "headers")] {
            let arguments = ["snapshot", "t.db", "--force", "-o", bundle, "--wal", how];
            let ran = walscope(folder.path(), &arguments);
            assert_eq!(ran.code, 0, "{how}: {}", ran.stderr);
        }
        for source in ["t.db", "t.db-wal", "full", "headers"] {
            for command in [
                &["inspect"][..],
                &["verify"],
                &["wal"],
                &["wal", "--json"],
                &["wal", "--hex"],
                &["wal", "--transactions"],
                &["wal", "--page", "2"],
                &["wal", "--frame", "1000000000.."],
            ] {
                let ran = walscope(folder.path(), &[command, &[source]].concat());
                assert_eq!(ran.code, 0, "{command:?} {source}: {} {}", ran.stderr, ran.text());
                assert!(ran.stdout.len() < 1 << 20, "{command:?} {source}: {} bytes", ran.stdout.len());
            }
            let ran = walscope(folder.path(), &["wal", "--jsonl", source]);
            let rows: Vec<Value> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(rows.len() as u64, stored + 65, "{source}");
            assert_eq!(rows.iter().map(|row| row["alike"].as_u64().unwrap()).sum::<u64>(), frames, "{source}");
            assert_eq!(rows.last().unwrap()["class"], "unwritten", "{source}");
            assert!(text(folder.path(), &[source]).contains(": of zero bytes as well"), "{source}");
        }
    }
}

#[test]
fn the_document_keeps_the_names_of_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let wal = sample(folder.path());
    let document = json(folder.path(), &["t.db-wal"]);
    assert_eq!(document["schema"], "walscope/wal/1");
    assert_eq!(document["wal"]["frames"]["committed"], 5);
    assert_eq!(document["transactions"], Value::Null);
    let frame = document["frames"][3].clone();
    let expected = serde_json::json!({
        "frame": 4, "offset": wal.offset(4), "page": 2, "commit_pages": 0, "salt1": SALTS[0], "salt2": SALTS[1],
        "checksum1": frame["checksum1"], "checksum2": frame["checksum2"], "checksum_ok": true,
        "class": "committed", "transaction": 3, "superseded": false, "alike": 1,
    });
    assert_eq!(frame, expected);
    let last = &document["frames"][4];
    assert_eq!([&last["checksum1"], &last["checksum2"]], wal.checksum().map(Value::from).each_ref());

    let document = json(folder.path(), &["t.db-wal", "--transactions"]);
    assert_eq!(document["frames"], Value::Null);
    let expected = serde_json::json!({
        "transaction": 3, "first_frame": 4, "last_frame": 5, "commit_frame": 5, "commit_points": 1,
        "database_pages": 3, "pages": [2, 1], "pages_left_out": 0,
    });
    assert_eq!(document["transactions"][2], expected);
}

#[test]
fn superseded_is_every_committed_frame_with_a_later_one_of_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let mut wal = sample(folder.path());
    // A newer image that is not committed supersedes nothing.
    wal.frame(3, 0, 9);
    fs::write(folder.path().join("t.db-wal"), &wal.bytes).unwrap();
    let frames = &json(folder.path(), &["t.db-wal"])["frames"];
    let expected: Vec<Value> =
        [Some(true), Some(true), Some(false), Some(false), Some(false), None].into_iter().map(Value::from).collect();
    assert_eq!(column(frames, "superseded"), expected);
    assert_eq!(column(frames, "transaction")[5], Value::Null);
}

#[test]
fn frames_are_chosen_by_number_and_by_page() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    for (range, numbers) in [("2..4", vec![2, 3, 4]), ("4..", vec![4, 5]), ("..2", vec![1, 2]), ("3", vec![3])] {
        let all = json(folder.path(), &["t.db-wal"]);
        let chosen = json(folder.path(), &["t.db-wal", "--frame", range]);
        assert_eq!(column(&chosen["frames"], "frame"), numbers, "{range}");
        // A frame says the same alone as among all: the seed of its checksum, its transaction, who supersedes it.
        for row in chosen["frames"].as_array().unwrap() {
            assert!(all["frames"].as_array().unwrap().contains(row), "{row}");
        }
    }
    let of_page = json(folder.path(), &["t.db-wal", "--page", "2"]);
    assert_eq!(column(&of_page["frames"], "frame"), [2, 4]);
    let touched = json(folder.path(), &["t.db-wal", "--transactions", "--frame", "3..4"]);
    assert_eq!(column(&touched["transactions"], "transaction"), [2, 3]);
    for bad in ["0", "4..2", "x", ".."] {
        assert_eq!(walscope(folder.path(), &["wal", "t.db-wal", "--frame", bad]).code, 2, "{bad}");
    }
}

#[test]
fn impossible_frames_and_pages_are_reported_as_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let there = json(folder.path(), &["t.db-wal"])["frames"].as_array().unwrap().len();
    for frames in ["4294967295..", "4294967295", &format!("{}..", there + 1)] {
        for more in [[].as_slice(), &["--transactions"], &["--json"], &["--jsonl"], &["--hex"]] {
            let ran = walscope(folder.path(), &[&["wal", "t.db-wal", "--frame", frames], more].concat());
            assert_eq!(ran.code, 2, "{frames} {more:?}: {}", ran.text());
            assert!(ran.stderr.contains(&format!("the -wal has {there} frames")), "{}", ran.stderr);
            assert!(ran.stdout.is_empty() && ran.stderr.lines().count() == 1, "{}", ran.stderr);
        }
    }
    assert_eq!(walscope(folder.path(), &["wal", "t.db-wal", "--frame", &format!("{there}..")]).code, 0);
    let ran = walscope(folder.path(), &["wal", "t.db-wal", "--page", "0"]);
    assert!(ran.code == 2 && ran.stderr.contains("--page"), "{}", ran.stderr);
    // A page that is in no frame is an answer.
    assert_eq!(walscope(folder.path(), &["wal", "t.db-wal", "--page", "4294967295"]).code, 0);
}

#[test]
fn json_lines_are_the_elements_of_the_document() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    for (list, args) in [("frames", vec!["t.db-wal"]), ("transactions", vec!["t.db-wal", "--transactions"])] {
        let document = json(folder.path(), &args);
        let lines = text(folder.path(), &[args, vec!["--jsonl"]].concat());
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(Value::from(lines), document[list]);
    }
}

#[test]
fn the_answers_do_not_depend_on_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let mut wal = WalWriter::new(4096, false, SALTS);
    for n in 1..=1500_u32 {
        wal.frame(1 + n % 90, if n.is_multiple_of(4) { 91 } else { 0 }, n as u8);
    }
    fs::write(folder.path().join("t.db-wal"), &wal.bytes).unwrap();
    let path = "t.db-wal";
    for args in
        [&["wal", path, "--jsonl"][..], &["wal", path, "--transactions", "--json"], &["inspect", path, "--json"]]
    {
        let with = |threads: &str| walscope(folder.path(), &[args, &["--threads", threads]].concat());
        let one = with("1");
        assert_eq!(one.code, 0, "{}", one.stderr);
        for threads in ["2", "3", "64"] {
            assert!(with(threads).text() == one.text(), "{args:?} with {threads} threads");
        }
    }
    assert_eq!(walscope(folder.path(), &["wal", path, "--threads", "0"]).code, 2);
}

#[test]
fn a_few_frames_of_a_sparse_file_of_a_tebibyte_are_listed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let file = fs::OpenOptions::new().write(true).open(folder.path().join("t.db-wal")).unwrap();
    file.set_len(1 << 40).unwrap();
    let frames = |range: &str| json(folder.path(), &["t.db-wal", "--frame", range])["frames"].clone();
    assert_eq!(column(&frames("4..6"), "class"), ["committed", "committed", "unwritten"]);
    assert_eq!(column(&frames("2000000000"), "class"), ["unwritten"]);
    let transactions = json(folder.path(), &["t.db-wal", "--transactions"]);
    assert_eq!(transactions["transactions"].as_array().unwrap().len(), 3);
    assert_eq!(transactions["wal"]["frames"]["unwritten"], ((1_u64 << 40) - 32) / 536 - 5);
}

#[test]
fn hex_shows_every_field_and_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let mut wal = WalWriter::new(512, false, SALTS);
    wal.frame(7, 7, b'K');
    fs::write(folder.path().join("t.db-wal"), &wal.bytes).unwrap();
    let shown = text(folder.path(), &["t.db-wal", "--hex", "--width", "120"]);
    let layouts = [&walscope::format::layout::WAL_HEADER, &walscope::format::layout::FRAME_HEADER];
    for layout in layouts {
        let start = shown.find(layout.name).unwrap_or_else(|| panic!("no {}", layout.name));
        for field in layout.fields {
            assert!(shown[start..].contains(field.name), "{} has no {}", layout.name, field.name);
        }
    }
    assert!(shown.contains("51 a7 00 01   salt1"), "{shown}");
    // The page begins at 56 and is one byte 512 times: the first line, a star, the last line.
    let line = "4b 4b 4b 4b 4b 4b 4b 4b  4b 4b 4b 4b 4b 4b 4b 4b  |KKKKKKKKKKKKKKKK|";
    assert!(shown.contains(&format!("00000038  {line}\n*\n00000228  {line}\n")), "{shown}");
    assert_eq!(walscope(folder.path(), &["wal", "t.db-wal", "--hex", "--json"]).code, 2);
}

#[test]
fn pages_of_a_real_database_are_annotated_to_their_cells() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    let shown = text(folder.path(), &["t.db", "--page", "1", "--hex", "--width", "140"]);
    for words in ["database header at offset", "b-tree leaf page header at offset", "cells at ", "|SQLite format 3."] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn no_line_is_wider_than_the_width() {
    let folder = tempfile::tempdir().unwrap();
    let mut wal = sample(folder.path());
    wal.frame(u32::MAX, u32::MAX, 6);
    fs::write(folder.path().join("t.db-wal"), &wal.bytes).unwrap();
    for width in [20, 33, 40, 60, 80, 97, 100, 130] {
        for more in [vec![], vec!["--transactions"], vec!["--hex"]] {
            let width_text = width.to_string();
            let shown = text(folder.path(), &[vec!["t.db-wal", "--width", &width_text], more.clone()].concat());
            let widest = shown.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width.max(21), "{more:?} width {width}: {widest}\n{shown}");
        }
    }
}

#[test]
fn a_live_wal_shows_its_readers_under_the_bar() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let writer = database(&path);
    let reader = connect(&path);
    reader.execute_batch("BEGIN; SELECT count(*) FROM t;").unwrap();
    writer.execute_batch("INSERT INTO t VALUES(2)").unwrap();
    let shown = text(folder.path(), &["t.db"]);
    let marks = shown.lines().skip(1).take_while(|line| !line.is_empty());
    let pid = format!("locked by pid {}", std::process::id());
    assert!(marks.into_iter().any(|line| line.contains('^') && line.contains(&pid)), "{shown}");
}

#[test]
fn absent_and_empty_are_answers_and_a_wal_index_alone_is_none() {
    let folder = tempfile::tempdir().unwrap();
    drop(database(&folder.path().join("t.db")));
    let document = json(folder.path(), &["t.db"]);
    assert_eq!(
        (&document["wal"]["end"]["reason"], &document["frames"]),
        (&"no_file".into(), &Value::from(Vec::<u8>::new()))
    );
    assert!(text(folder.path(), &["t.db"]).contains("No frames to list."));
    fs::write(folder.path().join("alone-shm"), synthetic::Shm::default().bytes(false)).unwrap();
    let ran = walscope(folder.path(), &["wal", "alone-shm"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("alone-shm"), "{}", ran.stderr);
}

#[test]
fn fail_on_decides_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let mut wal = sample(folder.path());
    wal.bytes[15] ^= 1;
    fs::write(folder.path().join("t.db-wal"), &wal.bytes).unwrap();
    // Frames behind a broken header are an error, a broken header alone is a warning.
    assert_eq!(walscope(folder.path(), &["wal", "t.db-wal"]).code, 1);
    wal.bytes[32..].fill(0);
    fs::write(folder.path().join("t.db-wal"), &wal.bytes).unwrap();
    assert_eq!(walscope(folder.path(), &["wal", "t.db-wal"]).code, 0);
    assert_eq!(walscope(folder.path(), &["wal", "t.db-wal", "--fail-on", "warning"]).code, 1);
}

/// What a bundle of headers tells must be what the whole WAL tells, wherever it can be told.
#[test]
fn a_bundle_of_headers_gives_the_same_answers_without_content() {
    let folder = tempfile::tempdir().unwrap();
    let mut wal = WalWriter::new(512, true, SALTS);
    wal.frame(1, 0, 1).frame(2, 2, 2).frame(2, 2, 2).frame(2, 2, 2).frame(3, 3, 3);
    // An uncommitted frame, one that does not follow it, and one that follows that.
    wal.frame(4, 0, 4).frame(5, 0, 5).frame(6, 0, 6);
    let at = wal.offset(7) + 24;
    wal.bytes[at] ^= 1;
    fs::write(folder.path().join("t.db-wal"), &wal.bytes).unwrap();
    fs::write(folder.path().join("t.db"), b"").unwrap();
    let ran = walscope(folder.path(), &["snapshot", "t.db", "--wal", "headers", "-o", "t.walsnap"]);
    assert!(ran.code <= 1, "{}", ran.stderr);

    let whole = json(folder.path(), &["t.db"]);
    let bundle = json(folder.path(), &["t.walsnap"]);
    let mut frames = whole["frames"].clone();
    for frame in frames.as_array_mut().unwrap() {
        if frame["frame"].as_u64().unwrap() > 6 {
            frame["checksum_ok"] = Value::Null;
        }
    }
    assert_eq!(bundle["frames"], frames);
    assert_eq!(bundle["wal"], whole["wal"]);
    assert!(bundle["reasons"]["frames.checksum_ok"].is_string());
    // That frames 2 to 4 are one commit, repeated, shows in their checksums alone.
    let transactions = &json(folder.path(), &["t.walsnap", "--transactions"])["transactions"];
    assert_eq!(transactions, &json(folder.path(), &["t.db", "--transactions"])["transactions"]);
    assert_eq!(column(transactions, "commit_points"), [3, 1]);
    assert_eq!(json(folder.path(), &["t.walsnap", "--frame", "5.."])["frames"][0], frames[4]);
    assert!(text(folder.path(), &["t.walsnap", "--hex"]).contains("The page is not in this bundle"));
}

/// A reader that goes away ends the listing: it does not read on to the end of the file.
#[test]
fn a_closed_pipe_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut wal = WalWriter::new(512, false, SALTS);
    for frame in 1..20_000 {
        wal.frame(frame, frame, 7);
    }
    fs::write(folder.path().join("t.db-wal"), &wal.bytes).unwrap();
    for format in ["--jsonl", "--json", "--color=never"] {
        let mut child = Command::new(EXE)
            .args(["wal", "t.db-wal", format])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{format}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(out.stderr.is_empty(), "{format}");
    }
}

#[test]
fn names_from_outside_reach_the_terminal_without_control_characters() {
    let folder = tempfile::tempdir().unwrap();
    let name = "a\u{1b}[31mb\nc-wal";
    fs::write(folder.path().join(name), b"").unwrap();
    for command in ["wal", "shm"] {
        let ran = walscope(folder.path(), &[command, name]);
        let shown = ran.text() + &ran.stderr;
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
