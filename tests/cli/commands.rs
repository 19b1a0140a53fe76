//! The three commands on real databases: exit codes, the JSON contract, and what must not happen to files.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::command::{self, EXE, connect, database, walscope};

fn inspect(folder: &Path, name: &str) -> Value {
    let ran = walscope(folder, &["inspect", name, "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.json()
}

fn has_keys(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "{key} is missing in {value}");
    }
}

#[test]
fn inspect_keeps_the_names_of_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    let page = inspect(folder.path(), "t.db");
    assert_eq!(page["schema"], "walscope/inspect/1");
    let header = [
        "magic",
        "checksum_byte_order",
        "format_version",
        "page_size",
        "checkpoint_sequence",
        "salt1",
        "salt2",
        "checksum1",
        "checksum2",
        "checksum_ok",
    ];
    has_keys(&page["wal"]["header"], &header);
    let frames =
        ["in_file", "valid", "committed", "uncommitted", "residue", "stale", "unwritten", "unrelated", "torn_bytes"];
    has_keys(&page["wal"]["frames"], &frames);
    has_keys(&page["wal"]["end"], &["frame", "reason"]);
    has_keys(&page["wal"], &["commits", "database_pages", "last_checksum", "generations"]);
    has_keys(&page["wal"]["generations"][0], &["salt1", "salt2", "frames", "role"]);
    let copies = [
        "version",
        "change_counter",
        "initialized",
        "big_endian_checksums",
        "page_size",
        "mx_frame",
        "database_pages",
        "frame_checksum",
        "salt1",
        "salt2",
        "checksum",
        "checksum_ok",
    ];
    has_keys(&page["shm"]["headers"][1], &copies);
    has_keys(&page["shm"], &["byte_order", "headers_agree", "blocks", "checkpoint", "locks"]);
    has_keys(&page["shm"]["checkpoint"], &["backfilled", "backfill_attempted", "read_marks"]);
    has_keys(&page["shm"]["checkpoint"]["read_marks"][4], &["slot", "mark", "lock", "holders"]);
    let names: Vec<&str> =
        page["shm"]["locks"].as_array().unwrap().iter().map(|lock| lock["name"].as_str().unwrap()).collect();
    let expected = ["write", "checkpoint", "recover", "read0", "read1", "read2", "read3", "read4", "dead_man_switch"];
    assert_eq!(names, expected);
    let checkpoint = [
        "state",
        "committed",
        "backfilled",
        "pending",
        "safe_to",
        "can_restart",
        "blocked_by",
        "sentence",
        "explanation",
    ];
    has_keys(&page["checkpoint"], &checkpoint);
    assert_eq!(page["findings"], Value::Array(Vec::new()));
}

#[test]
fn a_reader_that_blocks_the_checkpoint_is_named_with_slot_frame_and_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let writer = database(&path);
    let reader = connect(&path);
    reader.execute_batch("BEGIN; SELECT count(*) FROM t;").unwrap();
    let mark = inspect(folder.path(), "t.db")["wal"]["frames"]["committed"].as_u64().unwrap();
    writer.execute_batch("INSERT INTO t VALUES(2); PRAGMA wal_checkpoint(PASSIVE);").unwrap();

    let page = inspect(folder.path(), "t.db");
    assert_eq!(page["checkpoint"]["state"], "blocked", "{page}");
    assert_eq!(page["checkpoint"]["safe_to"], mark);
    let blocker = &page["checkpoint"]["blocked_by"][0];
    assert_eq!(blocker["mark"], mark);
    assert_eq!(blocker["holders"][0]["pid"], std::process::id());
    let text = walscope(folder.path(), &["inspect", "t.db"]).text();
    assert!(text.contains(&format!("at frame {mark}, locked by pid {}", std::process::id())), "{text}");
    assert!(text.contains("cannot be copied now: read") && text.contains("Readers"), "{text}");

    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(inspect(folder.path(), "t.db")["checkpoint"]["state"], "pending");
    let text = walscope(folder.path(), &["inspect", "t.db"]).text();
    assert!(text.contains("leftover mark") && text.contains("no lock"), "{text}");
    writer.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").unwrap();
    assert_eq!(inspect(folder.path(), "t.db")["checkpoint"]["state"], "complete");
}

#[test]
fn an_absent_or_empty_wal_is_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    drop(database(&path));
    let page = inspect(folder.path(), "t.db");
    assert_eq!(page["wal"]["end"]["reason"], "no_file");
    assert_eq!(page["checkpoint"]["state"], "no_wal");
    assert_eq!(page["shm"], Value::Null);
    fs::write(folder.path().join("t.db-wal"), b"").unwrap();
    assert_eq!(inspect(folder.path(), "t.db")["wal"]["end"]["reason"], "empty_file");
}

#[test]
fn a_database_in_rollback_mode_is_reported_as_such() {
    let folder = tempfile::tempdir().unwrap();
    connect(&folder.path().join("r.db")).execute_batch("CREATE TABLE t(x)").unwrap();
    assert_eq!(inspect(folder.path(), "r.db")["database"]["header"]["journal_mode"], "rollback");
    let text = walscope(folder.path(), &["inspect", "r.db"]).text();
    assert!(text.contains("it does not use a WAL"), "{text}");
}

#[test]
fn a_wal_and_a_shm_alone_say_what_they_can() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    let wal = inspect(folder.path(), "t.db-wal");
    assert!(wal["wal"]["frames"]["committed"].as_u64().unwrap() > 0);
    assert!(wal["reasons"]["shm"].as_str().unwrap().contains("not looked at"));
    let shm = inspect(folder.path(), "t.db-shm");
    assert_eq!(shm["wal"], Value::Null);
    assert_eq!(shm["checkpoint"], Value::Null);
    assert_eq!(shm["shm"]["locks"][0]["lock"], "unknown");
}

#[test]
fn a_wal_of_another_version_is_an_error_finding_and_fail_on_decides_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let mut header = Vec::new();
    for word in [0x377f_0683u32, 3_007_001, 4096, 0, 1, 2] {
        header.extend(word.to_be_bytes());
    }
    let (mut s0, mut s1) = (0u32, 0u32);
    for pair in header.chunks(8) {
        s0 = s0.wrapping_add(u32::from_be_bytes(pair[..4].try_into().unwrap())).wrapping_add(s1);
        s1 = s1.wrapping_add(u32::from_be_bytes(pair[4..].try_into().unwrap())).wrapping_add(s0);
    }
    header.extend(s0.to_be_bytes());
    header.extend(s1.to_be_bytes());
    // Of exactly 32 bytes SQLite reads nothing.
    header.resize(32 + 24 + 4096, 0);
    fs::write(folder.path().join("v.db-wal"), &header).unwrap();
    let ran = walscope(folder.path(), &["inspect", "v.db-wal", "--json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.json()["findings"][0]["code"], "wal_version_unsupported");

    header[0] = 0x38;
    fs::write(folder.path().join("m.db"), [0x5a; 200]).unwrap();
    fs::write(folder.path().join("m.db-wal"), &header).unwrap();
    for (fail_on, code) in [("error", 0), ("warning", 1), ("notice", 1), ("info", 1)] {
        let ran = walscope(folder.path(), &["inspect", "m.db", "--json", "--fail-on", fail_on]);
        assert_eq!(ran.code, code, "{fail_on}");
        let codes: Vec<Value> =
            ran.json()["findings"].as_array().unwrap().iter().map(|finding| finding["code"].clone()).collect();
        assert_eq!(codes, ["wal_header_unusable", "database_opaque"]);
    }
}

#[test]
fn pages_fit_every_width() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a-database-with-quite-a-long-name-that-has-to-be-broken.db");
    let name = path.file_name().unwrap().to_str().unwrap();
    let (writer, _other) = (database(&path), database(&folder.path().join("o.db")));
    let reader = connect(&path);
    reader.execute_batch("BEGIN; SELECT count(*) FROM t;").unwrap();
    writer.execute_batch("INSERT INTO t VALUES(2); PRAGMA wal_checkpoint(PASSIVE);").unwrap();
    for width in ["20", "21", "40", "49", "50", "60", "80", "100", "200", "1000"] {
        for (args, code) in [
            (["inspect", name].as_slice(), 0),
            (&["compare", name, name], 3),
            (&["compare", name, "o.db"], 1),
            (&["compare", name, name, "o.db"], 1),
        ] {
            let ran = walscope(folder.path(), &[args, &["--width", width]].concat());
            assert_eq!(ran.code, code, "{}", ran.stderr);
            for line in ran.text().lines() {
                assert!(line.chars().count() <= width.parse().unwrap(), "{args:?} {width}: {line}");
            }
        }
    }
    let coloured = walscope(folder.path(), &["inspect", name, "--color", "always"]).text();
    assert!(coloured.contains('\u{1b}'));
    assert!(!walscope(folder.path(), &["inspect", name]).text().contains('\u{1b}'));
}

#[test]
fn a_snapshot_is_a_new_file_of_mode_0600_and_never_replaces_one_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    let ran = walscope(folder.path(), &["snapshot", "t.db", "-o", "b.walsnap", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let summary = ran.json();
    assert_eq!(summary["schema"], "walscope/snapshot/1");
    assert_eq!(summary["stable"], true);
    let bundle = folder.path().join("b.walsnap");
    let before = fs::metadata(&bundle).unwrap();
    assert_eq!(before.permissions().mode() & 0o777, 0o600);
    assert_eq!(summary["size"], before.len());

    let again = walscope(folder.path(), &["snapshot", "t.db", "-o", "b.walsnap"]);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("b.walsnap: exists already"), "{}", again.stderr);
    assert_eq!(fs::metadata(&bundle).unwrap().ino(), before.ino());
    assert_eq!(walscope(folder.path(), &["snapshot", "t.db", "-o", "b.walsnap", "--force"]).code, 0);
    assert_ne!(fs::metadata(&bundle).unwrap().ino(), before.ino());
    assert_eq!(fs::metadata(&bundle).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn a_streamed_snapshot_is_nothing_but_the_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    let ran = walscope(folder.path(), &["snapshot", "t.db", "-o", "-", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    fs::write(folder.path().join("s.walsnap"), &ran.stdout).unwrap();
    let summary: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(summary["file"], Value::Null);
    let page = inspect(folder.path(), "s.walsnap");
    assert_eq!(page["source"]["kind"], "bundle");
    assert_eq!(page["source"]["stable"], true);
    assert_eq!(page["findings"][0]["code"], "bundle_readable_by_others");
    fs::set_permissions(folder.path().join("s.walsnap"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(inspect(folder.path(), "s.walsnap")["findings"], Value::Array(Vec::new()));
}

#[test]
fn half_a_streamed_snapshot_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let db = database(&folder.path().join("t.db"));
    db.execute_batch("INSERT INTO t VALUES(zeroblob(1000000))").unwrap();
    let mut child = Command::new(EXE)
        .args(["snapshot", "t.db", "-o", "-"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(2), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_full_disk_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(EXE);
    command.args(["snapshot", "t.db", "-o", "-"]).current_dir(folder.path()).stdout(full);
    let out = command.output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert_eq!(said.matches("No space left").count(), 1, "{said}");
}

#[test]
fn a_bundle_is_not_written_to_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    // script(1) gives the command a terminal.
    let line = format!("{EXE} snapshot t.db -o -");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(folder.path());
    let ran = command::run(&mut command);
    assert_eq!(ran.code, 2, "{}", ran.text());
    assert!(ran.text().contains("not written to a terminal"), "{}", ran.text());
}

#[test]
fn wait_ends_when_all_three_files_exist() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(EXE)
        .args(["snapshot", "t.db", "-o", "w.walsnap", "--wait", "--json"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("waiting for t.db"), "{said}");
    let _db = database(&folder.path().join("t.db"));
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(0));
    let page = inspect(folder.path(), "w.walsnap");
    assert!(page["sizes"]["wal"].is_u64() && page["sizes"]["shm"].is_u64(), "{page}");
}

#[test]
fn compare_ends_with_the_exit_code_of_its_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("t.db");
    let other = folder.path().join("o.db");
    let (_db, _other) = (database(&shared), database(&other));
    for name in ["a.walsnap", "b.walsnap"] {
        assert_eq!(walscope(folder.path(), &["snapshot", "t.db", "-o", name]).code, 0);
    }
    let proven = walscope(folder.path(), &["compare", "a.walsnap", "b.walsnap", "--json"]);
    assert_eq!(proven.code, 0, "{}", proven.stderr);
    let document = proven.json();
    assert_eq!(document["schema"], "walscope/compare/1");
    assert_eq!(document["verdict"]["sharing"], "proven");
    assert_eq!(document["lineage"]["relation"], "identical");
    assert_eq!(document["lineages"].as_array().unwrap().len(), 1);
    assert_eq!(document["simultaneous"], false);
    has_keys(&document["sides"][0], &["label", "stable", "identities", "container", "host", "reasons"]);
    assert!(document["sides"][0]["identities"]["shm"]["inode"].is_string());

    let refuted = walscope(folder.path(), &["compare", "t.db", "o.db", "--json"]);
    assert_eq!(refuted.code, 1, "{}", refuted.stderr);
    assert_eq!(refuted.json()["verdict"]["sharing"], "refuted");
    assert_eq!(refuted.json()["simultaneous"], true);
    let three = walscope(folder.path(), &["compare", "a.walsnap", "t.db", "o.db", "--json"]);
    assert_eq!(three.code, 1, "{}", three.stderr);
    assert_eq!(three.json()["lineage"], Value::Null);
    assert_eq!(three.json()["lineages"].as_array().unwrap().len(), 2);
}

#[test]
fn one_source_given_twice_has_two_labels() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    let document = walscope(folder.path(), &["compare", "t.db", "t.db", "--json"]).json();
    assert_eq!(document["sides"][0]["label"], "t.db");
    assert_eq!(document["sides"][1]["label"], "t.db (2)");
    assert_eq!(document["verdict"]["sharing"], "undecided");
    let explanation = document["explanation"].as_str().unwrap();
    assert!(explanation.contains("one and the same path seen from one place: nothing was compared"), "{explanation}");
}

#[test]
fn looking_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let _db = database(&folder.path().join("t.db"));
    let state = || {
        ["t.db", "t.db-wal", "t.db-shm"].map(|name| {
            let file = fs::metadata(folder.path().join(name)).unwrap();
            (file.ino(), file.size(), file.mtime_nsec(), file.ctime_nsec(), file.atime_nsec())
        })
    };
    let before = state();
    walscope(folder.path(), &["inspect", "t.db"]);
    walscope(folder.path(), &["compare", "t.db", "t.db"]);
    walscope(folder.path(), &["snapshot", "t.db", "-o", "b.walsnap", "--with-db"]);
    assert_eq!(state(), before);
}

#[test]
fn a_wal_truncated_under_a_live_connection_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let db = database(&folder.path().join("t.db"));
    assert_eq!(walscope(folder.path(), &["snapshot", "t.db", "-o", "before.walsnap"]).code, 0);
    let found = |codes: &[&str]| {
        let ran = walscope(folder.path(), &["inspect", "t.db", "--json"]);
        assert_eq!(ran.code, 1, "{}", ran.text());
        let page = ran.json();
        let all = page["findings"].as_array().unwrap();
        let errors = all.iter().filter(|finding| finding["severity"] == "error");
        assert_eq!(errors.map(|finding| finding["code"].as_str().unwrap()).collect::<Vec<_>>(), codes, "{page:#}");
        assert!(page["checkpoint"]["explanation"].as_str().unwrap().contains("the -wal was cut short"));
        all.iter().find(|finding| finding["code"] == "wal_truncated").unwrap().clone()
    };
    // By another process: closing a descriptor in this one would drop SQLite's locks.
    let cut = |size: &str| {
        let cut = Command::new("truncate").args(["-s", size, "t.db-wal"]).current_dir(folder.path()).status();
        assert!(cut.unwrap().success());
    };
    // A reader of the state before keeps the next commit from restarting the WAL.
    let reader = connect(&folder.path().join("t.db"));
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT x FROM t", [], |_| Ok(())).unwrap();
    let frames = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(2)).unwrap();
    db.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    cut("0");
    let finding = found(&["wal_truncated"]);
    let detail = finding["detail"].as_str().unwrap();
    assert!(detail.contains("0 bytes and no header"), "{detail}");
    assert_eq!(finding["evidence"]["backfilled"], frames);
    assert!(detail.contains(&format!("Frame {} is neither", frames + 1)), "{detail}");
    // A capture says so, too, and nobody claims to know what happened between the two.
    let ran = walscope(folder.path(), &["snapshot", "t.db", "-o", "after.walsnap", "--attempts", "1"]);
    assert_eq!(ran.code, 1, "{}", ran.text());
    let lineage = walscope(folder.path(), &["compare", "before.walsnap", "after.walsnap", "--json"]).json();
    let lineage = &lineage["lineage"];
    assert_eq!(lineage["relation"], Value::Null, "{lineage:#}");
    assert!(
        lineage["explanation"].as_str().unwrap().contains("truncated, replaced or removed: commits are lost"),
        "{lineage:#}"
    );
    // The next commit makes the file long again, with nothing at its beginning.
    let _ = db.execute_batch("INSERT INTO t VALUES (3)");
    assert_ne!(fs::metadata(folder.path().join("t.db-wal")).unwrap().len(), 0);
    found(&["wal_truncated"]);
    drop(reader);
}

/// 0 from `compare` means proven: nobody may get it for the answer "refuted" because a pipe was closed.
#[test]
fn a_reader_that_goes_away_does_not_change_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let _one = database(&folder.path().join("t.db"));
    let _other = database(&folder.path().join("o.db"));
    let damaged = fs::canonicalize("testdata/cases/wal-bad-header-checksum/t.db-wal").unwrap();
    let damaged = damaged.to_str().unwrap();
    let answers: [(i32, &[&str]); 8] = [
        (1, &["compare", "t.db", "o.db"]),
        (1, &["compare", "t.db", "o.db", "--json"]),
        (0, &["inspect", "t.db"]),
        (1, &["inspect", damaged, "--fail-on", "notice"]),
        (1, &["verify", damaged, "--fail-on", "notice", "--json"]),
        (1, &["wal", damaged, "--fail-on", "notice"]),
        (1, &["wal", damaged, "--fail-on", "notice", "--json"]),
        (0, &["shm", "t.db"]),
    ];
    for (code, args) in answers {
        assert_eq!(walscope(folder.path(), args).code, code, "{args:?}, with a reader");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = Command::new(EXE).args(args).current_dir(folder.path()).stdout(writer).output().unwrap();
        assert_eq!(ran.status.code(), Some(code), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        assert!(ran.stderr.is_empty(), "{args:?}");
    }
}

/// The -shm is that of the database, the -wal is another's with commits: who opens it has them replayed.
#[test]
fn a_foreign_wal_beside_the_right_shm_is_never_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (own, foreign) = (database(&at("own.db")), database(&at("foreign.db")));
    foreign.execute_batch("INSERT INTO t VALUES (2); INSERT INTO t VALUES (3);").unwrap();
    // All is copied, so that no frame is missing.
    own.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    // By another process: closing a descriptor in this one would drop SQLite's locks.
    for (from, to) in [("own.db", "t.db"), ("own.db-shm", "t.db-shm"), ("foreign.db-wal", "t.db-wal")] {
        assert!(Command::new("cp").args([from, to]).current_dir(folder.path()).status().unwrap().success());
    }
    for command in ["inspect", "verify"] {
        let ran = walscope(folder.path(), &[command, "t.db", "--width", "1000"]);
        let text = ran.text();
        assert!(!text.contains("Nothing to do"), "{command}: {text}");
        assert!(text.contains("opy the database, -wal and -shm before anything opens"), "{command}: {text}");
    }
    drop((own, foreign));
}
