//! Damage that real SQLite silently pays for with rows: it is said, and nobody is told that all is well.

use std::fs;
use std::path::Path;

use crate::cli::walscope;
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
    let found = [("shm_beyond_wal", "error"), ("wal_commits_behind_break", "notice")]
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

#[test]
fn a_tail_that_was_lost_is_a_notice_at_rest() {
    let folder = tempfile::tempdir().unwrap();
    let frame = damaged(folder.path());
    let wal = fs::read(folder.path().join("t.db-wal")).unwrap();
    fs::write(folder.path().join("t.db-wal"), &wal[..32 + (frame as usize - 1) * FRAME]).unwrap();
    let (code, document) = verify(folder.path());
    assert_eq!((code, codes(&document)), (0, vec![("shm_beyond_wal".to_owned(), "notice".to_owned())]));
}
