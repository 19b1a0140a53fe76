//! Damage that real SQLite silently pays for with rows: it is said, and nobody is told that all is well.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::Value;

use crate::common::command::walscope;
use crate::common::synthetic::sum;
use crate::sqlite::{child, codes, copy, verify};
use crate::sqlite_child::judge;

/// Bytes of a frame of the child's databases.
const FRAME: usize = 24 + 1024;

/// Files as `kill -9` leaves them after ten commits more, and a bit of a frame's page flipped that stands before the last
/// nine. Gives that frame.
fn damaged(folder: &Path) -> u64 {
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.join("t.db").display()));
    sqlite.run("create WAL");
    let frame = committed(folder) + 1;
    for _ in 0..10 {
        sqlite.run("insert 1");
    }
    sqlite.kill();
    let mut wal = fs::read(folder.join("t.db-wal")).unwrap();
    wal[32 + (frame as usize - 1) * FRAME + 24 + 500] ^= 1;
    fs::write(folder.join("t.db-wal"), wal).unwrap();
    frame
}

fn committed(folder: &Path) -> u64 {
    walscope(folder, &["inspect", "t.db", "--json"]).json()["wal"]["frames"]["committed"].as_u64().unwrap()
}

#[test]
fn a_frame_damaged_before_the_end_is_an_error_at_rest_too() {
    let (folder, opened) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let frame = damaged(folder.path());
    let (code, document) = verify(folder.path());
    let found = [("shm_beyond_wal", "error"), ("wal_commits_behind_break", "warning")]
        .map(|(code, severity)| (code.to_owned(), severity.to_owned()));
    assert_eq!((code, codes(&document).as_slice()), (1, found.as_slice()), "{document:#}");
    let beyond = &document["findings"][0];
    assert_eq!(beyond["evidence"]["end_frame"], frame);
    assert!(beyond["advice"].as_str().unwrap().contains("before anything opens"), "{beyond:#}");
    // SQLite takes the commits before the damage, and says nothing of those behind it.
    copy(folder.path(), opened.path());
    assert_eq!(judge(&opened.path().join("t.db")).unwrap().0, "ok");
    let rows = rusqlite::Connection::open(opened.path().join("t.db")).unwrap();
    let rows: i64 = rows.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 60, "of 70");
}

/// Without the -shm nothing but the checksum tells that the last commit was whole.
#[test]
fn one_flipped_bit_of_the_last_commit_is_found_and_set_back_sqlite_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("insert 1");
    sqlite.kill();
    fs::remove_file(folder.path().join("t.db-shm")).unwrap();
    let at = folder.path().join("t.db-wal");
    let whole = fs::read(&at).unwrap();
    let last = whole.len() - FRAME;
    let rows = |wal: &[u8]| {
        let opened = tempfile::tempdir().unwrap();
        copy(folder.path(), opened.path());
        fs::write(opened.path().join("t.db-wal"), wal).unwrap();
        let db = rusqlite::Connection::open(opened.path().join("t.db")).unwrap();
        db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let mut certain = 0;
    // Page number, commit size, salts, checksum, page.
    for (byte, bit) in [(3, 1), (7, 0), (8, 7), (15, 0), (16, 6), (23, 2), (24, 5), (500, 3), (FRAME - 1, 7)] {
        let mut wal = whole.clone();
        wal[last + byte] ^= 1 << bit;
        fs::write(&at, &wal).unwrap();
        let (code, document) = verify(folder.path());
        let found = [("wal_commits_behind_break".to_owned(), "warning".to_owned())];
        assert_eq!((code, codes(&document).as_slice()), (0, found.as_slice()), "{byte}: {document:#}");
        assert_eq!(document["verdict"]["result"], "doubtful");
        let flipped = &document["findings"][0]["evidence"]["flipped"];
        assert!(rows(&wal) < rows(&whole), "{byte}");
        if flipped["places"] == 1 {
            assert_eq!([&flipped["byte"], &flipped["bit"]], [byte, bit], "{document:#}");
            certain += 1;
        }
        wal[last + flipped["byte"].as_u64().unwrap() as usize] ^= 1 << flipped["bit"].as_u64().unwrap();
        assert!(flipped["places"] != 1 || rows(&wal) == rows(&whole), "{byte}");
    }
    assert!(certain >= 5, "{certain}");
    // Two bits are what a killed writer may leave as well.
    let mut wal = whole;
    wal[last + 100] ^= 1;
    wal[last + 200] ^= 1;
    fs::write(&at, &wal).unwrap();
    assert!(codes(&verify(folder.path()).1).iter().all(|(_, severity)| severity == "notice"));
}

/// Why no checkpoint is advised: a connection reads the damaged page, and copies it.
#[test]
fn a_checkpoint_copies_a_page_with_a_flipped_bit_and_none_is_advised() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("checkpoint TRUNCATE");
    sqlite.run("insert 1");
    let at = folder.path().join("t.db-wal");
    let mut wal = fs::read(&at).unwrap();
    let last = wal.len() - FRAME;
    let page = u32::from_be_bytes(wal[last..last + 4].try_into().unwrap()) as usize;
    wal[last + 24 + 1000] ^= 1;
    fs::write(&at, &wal).unwrap();
    let document = verify(folder.path()).1;
    let findings = document["findings"].as_array().unwrap();
    let advice = |code: &str| {
        let found = findings.iter().find(|finding| finding["code"] == code);
        found.unwrap_or_else(|| panic!("{document:#}"))["advice"].as_str().unwrap()
    };
    assert!(advice("wal_commits_behind_break").contains("Run no checkpoint"), "{document:#}");
    for finding in findings {
        assert!(!finding["advice"].as_str().unwrap().contains("let one of them checkpoint"), "{finding:#}");
    }
    sqlite.run("checkpoint PASSIVE");
    let database = fs::read(folder.path().join("t.db")).unwrap();
    assert_eq!(&database[(page - 1) * 1024..page * 1024], &wal[last + 24..], "the damaged page was copied");
    // At rest, where the last commit is the damaged one, nothing stands behind it.
    sqlite.kill();
    fs::remove_file(folder.path().join("t.db-shm")).unwrap();
    let told = walscope(folder.path(), &["inspect", "t.db", "--json"]).json();
    let told = told["checkpoint"]["explanation"].as_str().unwrap();
    assert!(told.contains("at the break or behind it"), "{told}");
}

#[test]
fn a_wal_that_was_cut_or_replaced_at_rest_is_no_reason_to_do_nothing() {
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        let mut sqlite = child();
        sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
        sqlite.run("create WAL");
        sqlite.run("checkpoint TRUNCATE");
        (0..5).for_each(|_| _ = sqlite.run("insert 1"));
        sqlite.kill();
        folder
    };
    let rows = |folder: &Path| {
        let opened = tempfile::tempdir().unwrap();
        copy(folder, opened.path());
        let db = rusqlite::Connection::open(opened.path().join("t.db")).unwrap();
        db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let (folder, other) = (make(), make());
    let wal = fs::read(folder.path().join("t.db-wal")).unwrap();
    let whole = rows(folder.path());
    let replaced = fs::read(other.path().join("t.db-wal")).unwrap();
    let cases = [
        ("cut short", "shm_beyond_wal", wal[..wal.len() - 1].to_vec()),
        ("cut short", "shm_beyond_wal", wal[..wal.len() - 3 * FRAME].to_vec()),
        ("cut short", "shm_beyond_wal", wal[..32].to_vec()),
        ("of another generation", "shm_of_other_wal", replaced[..32 + FRAME].to_vec()),
        ("of another generation", "shm_of_other_wal", replaced),
    ];
    for (state, code, wal) in cases {
        fs::write(folder.path().join("t.db-wal"), &wal).unwrap();
        let document = verify(folder.path()).1;
        let findings = document["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["code"] == code).unwrap_or_else(|| panic!("{document:#}"));
        assert!(finding["evidence"]["frames_gone"]["frames"].as_u64().unwrap() > 0, "{finding:#}");
        let advice = finding["advice"].as_str().unwrap();
        assert!(advice.starts_with("Copy the database, -wal and -shm before anything opens"), "{advice}");
        if state == "cut short" {
            assert_eq!(finding["severity"], "warning");
            assert!(rows(folder.path()) < whole);
        }
        let told = walscope(folder.path(), &["inspect", "t.db", "--json"]).json();
        let told = told["checkpoint"]["explanation"].as_str().unwrap();
        assert!(told.contains(&format!("The -wal is {state}")) || told.contains("do not checkpoint"), "{told}");
    }
}

#[test]
fn a_tail_that_was_lost_is_a_warning_at_rest() {
    let folder = tempfile::tempdir().unwrap();
    let frame = damaged(folder.path());
    let wal = fs::read(folder.path().join("t.db-wal")).unwrap();
    fs::write(folder.path().join("t.db-wal"), &wal[..32 + (frame as usize - 1) * FRAME]).unwrap();
    let (code, document) = verify(folder.path());
    assert_eq!((code, codes(&document)), (0, vec![("shm_beyond_wal".to_owned(), "warning".to_owned())]));
}

fn check<'a>(document: &'a Value, name: &str) -> &'a Value {
    document["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).unwrap()
}

/// The verdict, as text and as JSON.
fn verdict(folder: &Path) -> (String, Value) {
    let text = walscope(folder, &["verify", "t.db", "--width", "200"]).text();
    let (_, said) = text.split_once("\nVerdict").unwrap();
    (said.split_whitespace().collect::<Vec<_>>().join(" "), verify(folder).1)
}

#[test]
fn frames_after_a_break_are_not_called_sound() {
    let folder = tempfile::tempdir().unwrap();
    damaged(folder.path());
    fs::remove_file(folder.path().join("t.db-shm")).unwrap();
    let (said, document) = verdict(folder.path());
    assert!(said.starts_with("doubtful: 1 warning.") && !said.contains("sound"), "{said}");
    assert!(said.contains("frames are not part of the WAL's chain: `walscope wal SOURCE` lists them."), "{said}");
    let frames = check(&document, "wal_frames");
    assert_eq!(frames["result"], "failed");
    assert!(frames["numbers"].as_str().unwrap().contains(" residue"), "{frames}");
    assert_eq!(document["verdict"]["result"], "doubtful");
}

#[test]
fn an_abandoned_tail_is_noted_and_an_older_generation_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("checkpoint RESTART");
    sqlite.run("insert 1");
    let (said, document) = verdict(folder.path());
    // Three frames are committed; the others in the file are of the generation before, and in no commit.
    assert!(
        said.starts_with("sound as far as it was checked: the -wal (3 frames in 1 commit), ")
            && said.contains("are not part of the WAL's chain"),
        "{said}"
    );
    assert!(document["explanation"].as_str().unwrap().contains("the -wal (3 frames in 1 commit), "));
    assert!(said.contains("; that each index has every row, constraints, and the SQL of the schema (sqlite3 COPY \"PRAGMA integrity_check\""), "{said}");
    assert_eq!(left_out(&document), ["backfilled_in_database", "one_time", "rows_and_tables"]);
    let frames = check(&document, "wal_frames");
    assert_eq!(frames["result"], "passed");
    assert!(frames["numbers"].as_str().unwrap().contains(" stale"), "{frames}");
    let counted = ["passed", "noted", "failed", "skipped"].map(|name| document["verdict"][name].as_u64().unwrap());
    assert_eq!(counted.iter().sum::<u64>(), 12, "{:#}", document["verdict"]);

    sqlite.run("spill");
    sqlite.run("rollback");
    sqlite.run("insert 1");
    let (said, document) = verdict(folder.path());
    assert!(said.starts_with("no fault found, 1 noted check: read it."), "{said}");
    assert_eq!((codes(&document), &check(&document, "wal_frames")["result"]), (Vec::new(), &"noted".into()));
    assert_eq!(document["verdict"]["result"], "noted");
}

/// The names of what the verdict says nothing about.
fn left_out(document: &Value) -> Vec<&str> {
    document["not_checked"].as_array().unwrap().iter().map(|left| left["what"].as_str().unwrap()).collect()
}

#[test]
fn a_database_without_its_wal_is_not_called_sound_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("checkpoint TRUNCATE");
    sqlite.run("insert 20");
    sqlite.kill();
    for name in ["t.db-wal", "t.db-shm"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let rows = || {
        let copy = tempfile::tempdir().unwrap();
        fs::copy(folder.path().join("t.db"), copy.path().join("t.db")).unwrap();
        let rows = rusqlite::Connection::open(copy.path().join("t.db")).unwrap();
        rows.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(rows(), 60, "of 80: SQLite says nothing");
    let looks_the_same = "a copy that was made without its -wal looks the same";
    let (said, document) = verdict(folder.path());
    assert!(said.starts_with("nothing wrong was found in what was checked: the header of the database,"), "{said}");
    assert!(said.contains(looks_the_same) && said.contains("the frames of the -wal (there is no -wal)"), "{said}");
    assert_eq!((codes(&document), &document["verdict"]["result"]), (Vec::new(), &"sound".into()));
    assert!(left_out(&document).ends_with(&["missing_wal", "rows_and_tables"]), "{document:#}");
    let inspected = walscope(folder.path(), &["inspect", "t.db", "--json"]).json();
    assert!(inspected["checkpoint"]["explanation"].as_str().unwrap().contains(looks_the_same), "{inspected:#}");
    // In rollback mode there is no -wal to miss.
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("mode DELETE");
    sqlite.run("close");
    let (said, document) = verdict(folder.path());
    assert!(!said.contains(looks_the_same) && !left_out(&document).contains(&"missing_wal"), "{said}");
}

#[test]
fn a_wal_without_a_valid_frame_and_a_torn_one_are_not_sound() {
    let folder = tempfile::tempdir().unwrap();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases");
    for (case, result, numbers) in [
        ("wal-salt-mismatch", "doubtful", "4 frames: 0 follow by checksum, 0 of them committed in 0 commits; 4 stale"),
        ("wal-torn-frame", "noted", "bytes torn"),
        ("wal-page-zero", "noted", "residue"),
    ] {
        for name in ["t.db", "t.db-wal"] {
            fs::copy(cases.join(case).join(name), folder.path().join(name)).unwrap();
        }
        let (said, document) = verdict(folder.path());
        let begins = if result == "noted" { "no fault found" } else { result };
        assert!(said.starts_with(begins), "{case}: {said}");
        let frames = check(&document, "wal_frames");
        assert_eq!((&document["verdict"]["result"], &frames["result"]), (&result.into(), &"noted".into()), "{case}");
        assert!(frames["numbers"].as_str().unwrap().contains(numbers), "{case}: {frames}");
    }
}

/// Finds the slots of two frames of one page in the first block, and swaps them.
fn swap_two_slots_of_a_page(shm: &Path) {
    let file = File::options().read(true).write(true).open(shm).unwrap();
    let mut bytes = vec![0; 32768];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let u32_at = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    let slot = |slot: usize| u16::from_ne_bytes(bytes[16384 + slot * 2..16386 + slot * 2].try_into().unwrap());
    let page = |slot: u16| u32_at(136 + (usize::from(slot) - 1) * 4);
    // The last two frames of page 1 in the order of its search.
    let mut of_page_one: Vec<usize> =
        (383..).take_while(|at| slot(*at) != 0).filter(|at| page(slot(*at)) == 1).collect();
    let (last, before) = (of_page_one.pop().unwrap(), of_page_one.pop().unwrap());
    file.write_all_at(&slot(before).to_ne_bytes(), 16384 + 2 * last as u64).unwrap();
    file.write_all_at(&slot(last).to_ne_bytes(), 16384 + 2 * before as u64).unwrap();
}

#[test]
fn sqlite_reads_the_older_of_two_slots_that_changed_places() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("mark 1");
    sqlite.run("mark 2");
    assert_eq!(sqlite.run("marked"), 2);
    // No descriptor of this process is closed that could drop a lock of SQLite's: it runs in the child.
    swap_two_slots_of_a_page(&folder.path().join("t.db-shm"));
    assert_eq!(sqlite.run("marked"), 1, "a connection that opens now sees the state before");
    let (code, document) = verify(folder.path());
    assert_eq!((code, codes(&document)), (1, vec![("shm_slots_out_of_order".to_owned(), "error".to_owned())]));
    let shown = walscope(folder.path(), &["shm", "t.db"]).text();
    assert!(shown.contains("takes the older"), "{shown}");
    sqlite.kill();
    let (code, document) = verify(folder.path());
    assert_eq!((code, codes(&document)), (0, vec![("shm_slots_out_of_order".to_owned(), "notice".to_owned())]));
}

#[test]
fn one_file_alone_says_nothing_about_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    fs::write(folder.path().join("t.db-journal"), [1; 512]).unwrap();
    for name in ["t.db-wal", "t.db-shm"] {
        let text = walscope(folder.path(), &["verify", name, "--width", "200"]).text();
        let document = walscope(folder.path(), &["verify", name, "--json"]).json();
        assert!(text.contains("one file alone was given; locks were not looked at"), "{text}");
        assert!(!text.contains("nobody seen"), "{text}");
        let journal = check(&document, "journal");
        assert_eq!(
            (&journal["result"], &journal["numbers"]),
            (&"skipped".into(), &"the -journal was not looked at".into())
        );
        assert!(text.contains("the database (the database was not looked at)"), "{text}");
        let said = document["explanation"].as_str().unwrap();
        let sound =
            if name == "t.db-wal" { "sound as far as it was checked" } else { "nothing wrong was found in what" };
        assert!(said.starts_with(sound), "{said}");
        let skipped = document["verdict"]["skipped"].as_u64().unwrap() as usize;
        assert_eq!(document["not_checked"].as_array().unwrap().len(), skipped + 1, "{document:#}");
    }
    fs::write(folder.path().join("alone.db-wal"), &fs::read(folder.path().join("t.db-wal")).unwrap()[..4]).unwrap();
    let text = walscope(folder.path(), &["verify", "alone.db-wal", "--width", "200"]).text();
    assert!(text.contains("Verdict     nothing could be checked. 12 of 12 checks skipped."), "{text}");
}

#[test]
fn sqlite_cannot_open_beside_a_wal_index_of_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.path().join("t.db").display()));
    sqlite.run("create WAL");
    let index = File::options().read(true).write(true).open(folder.path().join("t.db-shm")).unwrap();
    let mut header = [0; 48];
    index.read_exact_at(&mut header, 0).unwrap();
    header[..4].copy_from_slice(&3_007_001u32.to_ne_bytes());
    let (a, b) = sum(cfg!(target_endian = "big"), (0, 0), &header[..40]);
    header[40..44].copy_from_slice(&a.to_ne_bytes());
    header[44..].copy_from_slice(&b.to_ne_bytes());
    index.write_all_at(&[header, header].concat(), 0).unwrap();
    assert!(sqlite.fails("marked").contains("unable to open database file"));
    let (code, document) = verify(folder.path());
    assert_eq!((code, codes(&document)), (1, vec![("shm_version_unsupported".to_owned(), "error".to_owned())]));
    let checkpoint = walscope(folder.path(), &["inspect", "t.db", "--json"]).json()["checkpoint"].clone();
    assert_eq!(checkpoint["state"], "unknown");
    assert!(checkpoint["explanation"].as_str().unwrap().contains("another version"), "{checkpoint:#}");
    sqlite.kill();
    let (code, document) = verify(folder.path());
    assert_eq!((code, codes(&document)), (0, vec![("shm_version_unsupported".to_owned(), "notice".to_owned())]));
    assert!(judge(&folder.path().join("t.db")).is_ok(), "the first to open it makes the wal-index anew");
}
