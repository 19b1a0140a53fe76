//! A `-wal` whose header is zeroed or broken: SQLite takes it for empty. What stands behind the header is named, and a
//! header made anew gives SQLite the commits back.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;
use walscope::look::{self, NotCompared, Options, inspect};

use crate::common::command::walscope;
use crate::sqlite::{codes, verify};
use crate::statements::Sqlite;
use crate::world::{Moment, Moving, healthy};

/// A crashed database: 20 rows copied, then commits that are only in the WAL. Its `-shm` is gone.
fn crashed(folder: &Path, page_size: u32) {
    let path = folder.join("t.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(&format!("PRAGMA page_size={page_size}; PRAGMA journal_mode=WAL; CREATE TABLE t(x);")).unwrap();
    drop(db);
    let mut sqlite = Sqlite::open(&path);
    sqlite.run("PRAGMA wal_autocheckpoint=0");
    for _ in 0..20 {
        sqlite.run("INSERT INTO t VALUES(randomblob(300))");
    }
    sqlite.run("PRAGMA wal_checkpoint(TRUNCATE)");
    for _ in 0..30 {
        sqlite.run("INSERT INTO t VALUES(randomblob(300))");
    }
    drop(sqlite);
    fs::remove_file(folder.join("t.db-shm")).unwrap();
}

/// Rows that SQLite reads from copies of the database and of this `-wal`, and what it says of their integrity.
fn sqlite_reads(folder: &Path, wal: &[u8]) -> (u32, String) {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.join("t.db"), copy.path().join("c.db")).unwrap();
    fs::write(copy.path().join("c.db-wal"), wal).unwrap();
    let db = Connection::open(copy.path().join("c.db")).unwrap();
    let rows = db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    (rows, db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap())
}

fn salvaged(folder: &Path, source: &str) -> Value {
    walscope(folder, &["wal", "--salvage", source, "--json"]).json()
}

fn header(document: &Value) -> Vec<u8> {
    let hex = document["made_anew_hex"].as_str().unwrap();
    (0..64).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn frames_behind_a_broken_header_are_counted_and_a_header_made_anew_gives_them_back() {
    for (page_size, damage) in
        [(4096, 0..32), (512, 0..4), (1024, 8..12), (65536, 16..24), (8192, 24..32), (4096, 12..13)]
    {
        let folder = tempfile::tempdir().unwrap();
        crashed(folder.path(), page_size);
        let wal = folder.path().join("t.db-wal");
        let whole = fs::read(&wal).unwrap();
        assert_eq!(sqlite_reads(folder.path(), &whole), (50, "ok".to_owned()));
        let mut broken = whole.clone();
        for byte in &mut broken[damage.clone()] {
            *byte = if page_size == 4096 && damage.len() > 1 { 0 } else { !*byte };
        }
        fs::write(&wal, &broken).unwrap();
        assert_eq!(sqlite_reads(folder.path(), &broken), (20, "ok".to_owned()), "{damage:?}");

        let (code, document) = verify(folder.path());
        assert_eq!(code, 1, "{damage:?}");
        let found = &document["findings"][0];
        assert_eq!((found["code"].as_str(), found["severity"].as_str()), (Some("wal_header_unusable"), Some("error")));
        let frames = (whole.len() as u64 - 32) / (24 + u64::from(page_size));
        assert_eq!(
            (&found["evidence"]["frames_behind"], &found["evidence"]["commits_behind"]),
            (&frames.into(), &30.into())
        );
        assert!(found["advice"].as_str().unwrap().contains("walscope wal --salvage"));
        let inspected = walscope(folder.path(), &["inspect", "t.db", "--json"]);
        assert_eq!((inspected.code, &inspected.json()["checkpoint"]["sentence"]), (1, &"behind_header".into()));

        // The same from the database and from the -wal alone.
        for source in ["t.db", "t.db-wal"] {
            let document = salvaged(folder.path(), source);
            assert_eq!(document["page_size"], page_size, "{source}");
            assert_eq!(document["runs"].as_array().unwrap().len(), 1);
            let run = &document["runs"][0];
            assert_eq!(
                (&run["first_frame"], &run["last_frame"], &run["commits"]),
                (&1.into(), &frames.into(), &30.into())
            );
            assert_eq!((run["class"].as_str(), &run["first_frame_proven"]), (Some("salvage"), &true.into()));
            let said = document["explanation"].as_str().unwrap();
            assert!(said.contains("Write the 32 bytes over the first 32 bytes of a copy of the -wal"), "{said}");
            let anew = [header(&document), broken[32..].to_vec()].concat();
            assert!(anew == whole, "{damage:?}: the header is not the one that was there");
            assert_eq!(sqlite_reads(folder.path(), &anew), (50, "ok".to_owned()));
        }
    }
}

#[test]
fn frames_behind_a_broken_header_that_are_all_in_the_database_are_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    crashed(folder.path(), 4096);
    let wal = folder.path().join("t.db-wal");
    let mut bytes = fs::read(&wal).unwrap();
    // SQLite copies them; the -wal lies there again, with a header that the machine did not finish.
    let db = Connection::open(folder.path().join("t.db")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);
    bytes[..32].fill(0);
    fs::write(&wal, &bytes).unwrap();
    assert_eq!(sqlite_reads(folder.path(), &bytes).0, 50);
    let (code, document) = verify(folder.path());
    let found = codes(&document);
    assert!(found.contains(&("wal_header_unusable".to_owned(), "warning".to_owned())), "{found:?}");
    assert_eq!(code, 0);
    assert_eq!(document["findings"][0]["evidence"]["missing"], 0);
    // One page of the database is older: then a commit may be missing.
    let mut database = fs::read(folder.path().join("t.db")).unwrap();
    let last = database.len() - 10;
    database[last] ^= 1;
    fs::write(folder.path().join("t.db"), database).unwrap();
    let (code, document) = verify(folder.path());
    assert_eq!((code, &document["findings"][0]["evidence"]["missing"]), (1, &1.into()));
}

/// The database after SQLite has copied this `-wal` into it.
fn checkpointed(folder: &Path, wal: &[u8]) -> Vec<u8> {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.join("t.db"), copy.path().join("c.db")).unwrap();
    fs::write(copy.path().join("c.db-wal"), wal).unwrap();
    let db = Connection::open(copy.path().join("c.db")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);
    fs::read(copy.path().join("c.db")).unwrap()
}

/// `wal_header_unusable`: its severity, and how many pages were compared and are missing.
fn unusable(folder: &Path) -> (String, Option<u64>, Option<u64>) {
    let document = verify(folder).1;
    let mut findings = document["findings"].as_array().unwrap().iter();
    let found = findings.find(|finding| finding["code"] == "wal_header_unusable").unwrap();
    let evidence = &found["evidence"];
    (found["severity"].as_str().unwrap().to_owned(), evidence["compared"].as_u64(), evidence["missing"].as_u64())
}

const FRAME: usize = 24 + 4096;

/// Ends of the commits, in bytes.
fn commits(wal: &[u8]) -> Vec<usize> {
    let ends = (32..wal.len()).step_by(FRAME).filter(|at| wal[at + 4..at + 8] != [0; 4]);
    ends.map(|at| at + FRAME).collect()
}

#[test]
fn commits_behind_a_damaged_frame_that_the_database_lacks_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    crashed(folder.path(), 4096);
    let (path, wal) = (folder.path().join("t.db"), folder.path().join("t.db-wal"));
    let mut whole = fs::read(&wal).unwrap();
    let ends = commits(&whole);
    // The database has 20 of the 30 commits.
    let older = checkpointed(folder.path(), &whole[..ends[19]]);
    let newer = checkpointed(folder.path(), &whole);
    whole[..32].fill(0);
    // The salts of the frame behind them are damaged: the frames behind it are a run of their own.
    whole[ends[19] + 8] ^= 0xff;
    for (database, missing) in [(&older, true), (&newer, false)] {
        fs::write(&path, database).unwrap();
        fs::write(&wal, &whole).unwrap();
        let (severity, compared, lost) = unusable(folder.path());
        assert_eq!((severity == "error", lost > Some(0)), (missing, missing), "{compared:?}: {lost:?}");
        assert!(compared > Some(0));
    }
    // Only one frame is left behind it, which follows no other: it can be a commit that the database lacks.
    assert_eq!(ends[20] - ends[19], FRAME);
    fs::write(&path, &older).unwrap();
    fs::write(&wal, &whole[..ends[20]]).unwrap();
    assert_eq!(unusable(folder.path()).0, "warning", "it has the salts of no run");
    whole[ends[19] + 8] ^= 0xff;
    whole[ends[19] + 100] ^= 0xff;
    fs::write(&wal, &whole[..ends[20]]).unwrap();
    assert_eq!(unusable(folder.path()), ("error".to_owned(), None, None));
}

#[test]
fn frames_of_an_older_generation_behind_those_of_the_newest_are_older_pages() {
    let folder = tempfile::tempdir().unwrap();
    let (path, wal) = (folder.path().join("t.db"), folder.path().join("t.db-wal"));
    let mut sqlite = Sqlite::open(&path);
    sqlite.run("PRAGMA wal_autocheckpoint=0");
    for row in 0..40 {
        sqlite.run("INSERT INTO t VALUES(randomblob(300))");
        if row == 29 {
            sqlite.run("PRAGMA wal_checkpoint(RESTART)");
        }
    }
    drop(sqlite);
    fs::remove_file(folder.path().join("t.db-shm")).unwrap();
    let whole = fs::read(&wal).unwrap();
    let older = fs::read(&path).unwrap();
    let newer = checkpointed(folder.path(), &whole);
    for (database, severity) in [(older, "error"), (newer, "warning")] {
        fs::write(&path, database).unwrap();
        fs::write(&wal, [&[0; 32], &whole[32..]].concat()).unwrap();
        let said = unusable(folder.path());
        assert_eq!((said.0.as_str(), said.2 > Some(0)), (severity, severity == "error"), "{said:?}");
        let document = salvaged(folder.path(), "t.db");
        assert!(document["runs"].as_array().unwrap().len() >= 2, "{document:#}");
    }
}

#[test]
fn nothing_is_said_of_the_database_if_a_file_changed_while_it_was_compared() {
    let broken = || {
        let mut world = healthy();
        world.wal().bytes[..32].fill(0);
        world
    };
    let look = |seen: &dyn look::Seen| inspect(seen, &Options::default()).unwrap().behind_header.unwrap().in_database;
    assert!(look(&broken()).is_ok());
    let moving = Moving::new(broken(), Moment::DatabasePage, |world| world.wal().bytes[..32].fill(1));
    assert_eq!((look(&moving), moving.happened()), (Err(NotCompared::Changed), true));
}

#[test]
fn a_wal_of_zero_bytes_promises_nothing() {
    let folder = tempfile::tempdir().unwrap();
    crashed(folder.path(), 4096);
    let wal = folder.path().join("t.db-wal");
    let size = fs::read(&wal).unwrap().len();
    fs::write(&wal, vec![0; size]).unwrap();
    let (code, document) = verify(folder.path());
    assert_eq!(code, 0);
    let found = &document["findings"][0];
    assert_eq!((found["severity"].as_str(), &found["evidence"]["frames_behind"]), (Some("warning"), &0.into()));
    assert!(found["detail"].as_str().unwrap().contains("no frames follow one another"));
    for source in ["t.db", "t.db-wal"] {
        let document = salvaged(folder.path(), source);
        assert_eq!((&document["runs"], &document["made_anew"]), (&Value::Array(Vec::new()), &Value::Null));
        let said = document["explanation"].as_str().unwrap();
        assert!(said.contains("No frames follow one another at the usual offsets"), "{source}: {said}");
    }
}

#[test]
fn frames_of_a_file_whose_header_is_missing_are_found_and_a_header_before_them_gives_them_back() {
    for (page_size, cut) in [(4096, 32), (512, 32), (65536, 32), (4096, 32 + 4120), (4096, 33), (4096, 512)] {
        let folder = tempfile::tempdir().unwrap();
        crashed(folder.path(), page_size);
        let wal = folder.path().join("t.db-wal");
        let whole = fs::read(&wal).unwrap();
        fs::write(&wal, &whole[cut..]).unwrap();
        for source in ["t.db", "t.db-wal"] {
            let document = salvaged(folder.path(), source);
            let said = document["explanation"].as_str().unwrap();
            if cut == 33 || cut == 512 {
                assert!(said.contains("Frames at other offsets are not looked for"), "{source}: {said}");
                assert_eq!(
                    (&document["header_missing"], &document["runs"]),
                    (&false.into(), &Value::Array(Vec::new()))
                );
                continue;
            }
            assert_eq!((&document["header_missing"], &document["page_size"]), (&true.into(), &page_size.into()));
            assert!(said.contains("the 32 bytes of the header are missing"), "{source}: {said}");
            let frames = (whole.len() - cut) as u64 / (24 + u64::from(page_size));
            assert_eq!(document["runs"][0]["last_frame"], frames);
            if cut == 32 {
                assert!(said.contains("Write the 32 bytes before the first byte of a copy of the -wal"), "{said}");
                let anew = [header(&document), whole[32..].to_vec()].concat();
                assert!(anew == whole);
                assert_eq!(sqlite_reads(folder.path(), &anew), (50, "ok".to_owned()));
            } else {
                assert_eq!(document["made_anew"], Value::Null);
            }
        }
    }
}

#[test]
fn of_a_long_wal_without_frames_it_is_said_what_was_not_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    crashed(folder.path(), 4096);
    let wal = folder.path().join("t.db-wal");
    let frames = fs::read(&wal).unwrap()[32..].to_vec();
    // 70 MiB, for the most part a hole, then whole frames.
    let file = fs::OpenOptions::new().write(true).open(&wal).unwrap();
    file.set_len(0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &frames, 32 + 4120 * 18_000).unwrap();
    let (_, document) = verify(folder.path());
    let detail = document["findings"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("In its first 64 MiB no frames") && detail.contains("not looked through"), "{detail}");
    let document = salvaged(folder.path(), "t.db");
    assert_eq!(document["runs"][0]["first_frame"], 18_001);
}

#[test]
fn the_page_of_salvage_names_its_runs_and_never_calls_them_committed() {
    let folder = tempfile::tempdir().unwrap();
    crashed(folder.path(), 4096);
    let wal = folder.path().join("t.db-wal");
    let mut bytes = fs::read(&wal).unwrap();
    bytes[..32].fill(0);
    // A break in the middle: two runs.
    let middle = 32 + 20 * 4120 + 2000;
    bytes[middle] ^= 1;
    fs::write(&wal, &bytes).unwrap();
    for width in ["40", "80", "100", "160"] {
        let ran = walscope(folder.path(), &["wal", "--salvage", "t.db-wal", "--width", width]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        let text = ran.text();
        assert!(text.lines().all(|line| line.chars().count() <= width.parse().unwrap()), "{text}");
        for words in ["salvage", "not proven", "Made anew"] {
            assert!(text.contains(words), "{width}: {words}: {text}");
        }
        assert!(!text.contains("  committed"), "{text}");
    }
    let lines = walscope(folder.path(), &["wal", "--salvage", "t.db-wal", "--jsonl"]).text();
    let runs: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ends: Vec<_> = runs.iter().map(|run| (run["first_frame"].as_u64(), run["last_frame"].as_u64())).collect();
    assert_eq!(ends.first(), Some(&(Some(1), Some(20))));
    assert_eq!(ends.len(), 2);
}
