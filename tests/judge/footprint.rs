//! The footprint of the wal-reset bug, made on purpose: `nBackfill` claims frames that were never copied.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use walscope::finding::Code;

use crate::common::command::walscope;
use crate::sqlite::{child, codes, shm, verify};
use crate::sqlite_child::SqliteChild;

/// A child with the database open, everything copied, then a commit that touches every page.
fn updated(folder: &Path) -> SqliteChild {
    let mut sqlite = child();
    sqlite.run(&format!("at {}", folder.join("t.db").display()));
    sqlite.run("create WAL");
    sqlite.run("checkpoint PASSIVE");
    sqlite.run("update");
    sqlite
}

/// Claims that everything was copied. This process has no lock on the file: SQLite runs in the child.
fn forge(folder: &Path) {
    let file = File::options().read(true).write(true).open(shm(folder)).unwrap();
    let mut mx_frame = [0; 4];
    file.read_exact_at(&mut mx_frame, 16).unwrap();
    file.write_all_at(&mx_frame, 96).unwrap();
}

fn found(code: i32, document: &serde_json::Value) {
    assert_eq!(code, 1, "{document:#}");
    assert_eq!(codes(document), [("backfill_not_in_database".to_owned(), "error".to_owned())], "{document:#}");
    assert!(document["findings"][0]["evidence"]["missing"].as_u64().unwrap() > 1);
}

#[test]
fn frames_never_copied_are_found_live_and_at_rest_and_in_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let sqlite = updated(at);
    let (code, document) = verify(at);
    assert_eq!((code, codes(&document)), (0, Vec::new()), "before: {document:#}");

    forge(at);
    let (code, document) = verify(at);
    found(code, &document);
    assert_eq!(document["in_use"], true);
    let page = walscope(at, &["inspect", "t.db", "--json"]);
    found(page.code, &page.json());
    let text = walscope(at, &["verify", "t.db"]).text();
    assert!(text.contains("backfilled in database") && text.contains("failed"), "{text}");

    assert_eq!(walscope(at, &["snapshot", "t.db", "-o", "b.walsnap", "--with-db"]).code, 0);
    fs::set_permissions(at.join("b.walsnap"), Permissions::from_mode(0o600)).unwrap();
    let bundle = walscope(at, &["verify", "b.walsnap", "--json"]);
    found(bundle.code, &bundle.json());

    sqlite.kill();
    let (code, document) = verify(at);
    found(code, &document);
    assert_eq!(document["in_use"], false);
}

#[test]
fn a_bundle_made_while_a_checkpoint_ran_is_no_footprint() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut sqlite = updated(at);
    sqlite.run("checkpoint PASSIVE");
    assert_eq!(walscope(at, &["snapshot", "t.db", "-o", "b.walsnap", "--with-db"]).code, 0);
    let ran = walscope(at, &["verify", "b.walsnap", "--json"]);
    assert_eq!((ran.code, codes(&ran.json())), (0, Vec::new()));
}

#[test]
fn explain_knows_every_finding_and_refuses_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let all = walscope(folder.path(), &["explain", "--json"]).json();
    assert_eq!(all["schema"], "walscope/explain/1");
    let listed: Vec<&str> =
        all["findings"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(listed, Code::ALL.iter().map(|code| code.name()).collect::<Vec<_>>());
    let one = walscope(folder.path(), &["explain", "backfill_not_in_database", "--json"]).json();
    assert!(one["findings"][0]["rests_on"].as_str().unwrap().contains("before the database"));
    let text = walscope(folder.path(), &["explain", "backfill_not_in_database"]).text();
    assert!(text.contains("What to do"), "{text}");
    let none = walscope(folder.path(), &["explain", "nonsense\u{1b}[2J"]);
    assert_eq!(none.code, 2);
    assert!(!none.stderr.contains('\u{1b}') && none.stderr.contains("walscope explain"), "{}", none.stderr);
}
