//! Copies made step by step, with what happens to the files in between.
#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt;

use rusqlite::Connection;

use super::*;
use crate::bundle::look::JOURNAL_MAGIC;
use crate::evidence::Parts;
use crate::linux::mapped::kept::KeptFile;
use crate::look::order::Steps;
use crate::number::{Device, FileId};

/// The files of a folder, by the names that follow `t.db`.
fn set(folder: &Path, parts: &[Part]) -> KeptSet {
    let kept = |part: Part| {
        let path = folder.join(format!("t.db{}", part.suffix()));
        let file = Arc::new(File::open(&path).unwrap());
        let id = FileId { device: Device { major: 0, minor: 1 }, inode: file.metadata().unwrap().ino() };
        KeptFile { file, id, path, gone: false, descriptor: None, access_time_may_move: false }
    };
    let files = Parts::new(|part| parts.contains(&part).then(|| kept(part)));
    KeptSet { files, at_path: true, ..KeptSet::default() }
}

fn folders() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    (folder, out)
}

#[test]
fn a_journal_that_came_meanwhile_makes_a_copy_without_it_worthless() {
    let (folder, out) = folders();
    fs::write(folder.path().join("t.db"), [1; 4096]).unwrap();
    let without = set(folder.path(), &[Part::Database]);
    fs::write(folder.path().join("t.db-journal"), JOURNAL_MAGIC).unwrap();
    let with = set(folder.path(), &[Part::Database, Part::Journal]);
    let saved = save(&without, &out, OsStr::new("t.db"), 1, |_| Some(with.clone())).unwrap();
    assert_eq!(saved.unstable, Some(Unstable::from(&Why::HotJournal)));
    // The next attempt takes the journal, too.
    let second = out.join("second");
    fs::create_dir(&second).unwrap();
    let saved = save(&without, &second, OsStr::new("t.db"), 2, |_| Some(with.clone())).unwrap();
    let names: Vec<_> = saved.files.iter().map(|file| file.part).collect();
    assert_eq!(names, [Part::Database, Part::Journal]);
}

#[test]
fn the_wal_is_copied_after_the_database() {
    let (folder, out) = folders();
    fs::write(folder.path().join("t.db"), [1; 4096]).unwrap();
    fs::write(folder.path().join("t.db-wal"), [2; 32]).unwrap();
    let set = set(folder.path(), &[Part::Database, Part::Wal]);
    let files = opened(&set).unwrap();
    let mut copies = Copies::new(&out, OsStr::new("t.db"));
    let mut attempt = Attempt::begin(&files, &set, &mut copies);
    attempt.before().unwrap();
    attempt.database().unwrap();
    assert!(!out.join("t.db-wal.part").exists(), "a commit that comes now would be missed");
    // The commit that comes now, and a checkpoint that takes it into the database.
    fs::write(folder.path().join("t.db"), [3; 4096]).unwrap();
    fs::write(folder.path().join("t.db-wal"), [4; 64]).unwrap();
    attempt.wal().unwrap();
    assert_eq!(fs::read(out.join("t.db.part")).unwrap(), [1; 4096]);
    assert_eq!(fs::read(out.join("t.db-wal.part")).unwrap(), [4; 64]);
    drop(copies);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "what is not finished is not left");
}

#[test]
fn holes_stay_holes() {
    let (folder, out) = folders();
    let path = folder.path().join("t.db");
    fs::write(&path, [1; 4096]).unwrap();
    let size = 1 << 34;
    OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
    save(&set(folder.path(), &[Part::Database]), &out, OsStr::new("t.db"), 1, |_| None).unwrap();
    let copy = fs::metadata(out.join("t.db")).unwrap();
    assert_eq!(copy.len(), size);
    assert!(copy.blocks() * 512 < 1 << 20, "{} blocks", copy.blocks());
}

/// A database of 200 rows in a transaction that has already written to it, and adds more.
fn in_transaction(path: &Path, mode: &str) -> Connection {
    let db = Connection::open(path).unwrap();
    db.execute_batch(&format!(
        "PRAGMA journal_mode={mode}; PRAGMA synchronous=OFF; PRAGMA cache_size=2; CREATE TABLE t(n INTEGER PRIMARY KEY, b BLOB);
         WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 200) INSERT INTO t SELECT n, randomblob(900) FROM c;"
    ))
    .unwrap();
    change(&db, 0);
    db
}

/// Begins a transaction and changes a half of the rows: 0 or 1.
fn change(db: &Connection, half: u32) {
    let begin = if db.is_autocommit() { "BEGIN;" } else { "" };
    db.execute_batch(&format!("{begin} UPDATE t SET b = randomblob(1100) WHERE n / 100 = {half} AND n < 200")).unwrap();
}

#[test]
fn a_journal_that_is_copied_after_the_database_takes_back_what_was_written_meanwhile() {
    let (folder, out) = folders();
    let path = folder.path().join("t.db");
    let db = in_transaction(&path, "DELETE");
    let set = set(folder.path(), &[Part::Database, Part::Journal]);
    let files = opened(&set).unwrap();
    let mut copies = Copies::new(&out, OsStr::new("t.db"));
    let mut attempt = Attempt::begin(&files, &set, &mut copies);
    attempt.before().unwrap();
    // Page after page: some are written to the database before they are copied, and some afterwards.
    change(&db, 1);
    attempt.copy(Part::Database).unwrap();
    change(&db, 0);
    attempt.copy(Part::Journal).unwrap();
    attempt.index_with_locks().unwrap();
    attempt.wal().unwrap();
    attempt.after().unwrap();
    assert_eq!(attempt.verdict(|_| None), Ok(Held::Journal));
    drop(attempt);
    copies.finish(&set).unwrap();
    let copy = Connection::open(out.join("t.db")).unwrap();
    let one = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(one("PRAGMA integrity_check"), "ok");
    assert_eq!(one("SELECT count(*) || ' ' || sum(length(b)) FROM t"), "200 180000", "as before the transaction");
}

#[test]
fn a_journal_of_the_next_transaction_takes_nothing_back() {
    let (folder, out) = folders();
    let path = folder.path().join("t.db");
    let db = in_transaction(&path, "PERSIST");
    let set = set(folder.path(), &[Part::Database, Part::Journal]);
    let files = opened(&set).unwrap();
    let mut copies = Copies::new(&out, OsStr::new("t.db"));
    let mut attempt = Attempt::begin(&files, &set, &mut copies);
    attempt.before().unwrap();
    db.execute_batch("COMMIT").unwrap();
    change(&db, 1);
    attempt.database().unwrap();
    attempt.index_with_locks().unwrap();
    attempt.after().unwrap();
    assert_eq!(attempt.verdict(|_| None), Err(Why::HotJournal));
}

#[test]
fn a_transaction_over_several_databases_is_not_taken_for_saved() {
    let (folder, out) = folders();
    fs::write(folder.path().join("t.db"), [1; 4096]).unwrap();
    fs::write(
        folder.path().join("t.db-journal"),
        [JOURNAL_MAGIC.as_slice(), b"\0\0\0\0/mj", &[0, 0, 0, 3, 0, 0, 1, 6], JOURNAL_MAGIC.as_slice()].concat(),
    )
    .unwrap();
    let set = set(folder.path(), &[Part::Database, Part::Journal]);
    let saved = save(&set, &out, OsStr::new("t.db"), 1, |_| None).unwrap();
    assert_eq!(saved.unstable, Some(Unstable::from(&Why::SuperJournal)));
}

#[test]
fn a_process_that_came_meanwhile_may_have_a_journal_that_was_not_looked_for() {
    let (folder, out) = folders();
    fs::write(folder.path().join("t.db"), [1; 4096]).unwrap();
    let set = set(folder.path(), &[Part::Database]);
    let by = vec![KeptBy { pid: 1, command: None, start_time: None }];
    let with = KeptSet { by, ..set.clone() };
    let saved = save(&set, &out, OsStr::new("t.db"), 1, |_| Some(with.clone())).unwrap();
    assert_eq!(saved.unstable, Some(Unstable::from(&Why::OpenedMeanwhile)));
}
