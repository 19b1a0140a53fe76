//! A file system without room: what walscope says before SQLite tries is what SQLite then does.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::{Connection, ffi};
use serde_json::{Value, json};

use crate::common;
use crate::common::command::walscope;
use crate::sqlite::Sqlite;

/// Bytes of a block of tmpfs.
const BLOCK: u64 = 4096;

/// A small tmpfs, mounted for one test.
struct Small {
    folder: tempfile::TempDir,
}

impl Small {
    fn mount(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path()).stderr(Stdio::null());
        let there = rustix::process::geteuid().is_root() && command.status().is_ok_and(|status| status.success());
        common::have("root", there).then_some(Self { folder })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes all blocks, and gives so many back.
    fn leave(&self, blocks: u64) {
        let mut filler = File::create(self.at("filler")).unwrap();
        while filler.write_all(&[1; BLOCK as usize]).is_ok() {}
        let size = filler.metadata().unwrap().len() / BLOCK * BLOCK;
        filler.set_len(size - blocks * BLOCK).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.at("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

/// A database in WAL mode that was closed properly: two pages.
fn closed(path: &Path) {
    let db = Connection::open(path).unwrap();
    db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1);").unwrap();
}

fn extended(result: Result<i64, rusqlite::Error>) -> Result<i64, i32> {
    result.map_err(|error| match error {
        rusqlite::Error::SqliteFailure(error, _) => error.extended_code,
        other => panic!("{other}"),
    })
}

fn read(db: &Connection) -> Result<i64, i32> {
    extended(db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)))
}

/// Changes one page.
fn write(db: &Connection) -> Result<i64, i32> {
    extended(db.execute("UPDATE t SET x = x + 1", []).map(|n| n as i64))
}

struct Said {
    /// The severity, and the names of what is lacking.
    full: Option<(String, Vec<String>)>,
    codes: Vec<String>,
    explanation: String,
}

fn ask(path: &Path) -> Said {
    let document = walscope(Path::new("/"), &["inspect", "--json", path.to_str().unwrap()]).json();
    let findings = document["findings"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let full = findings.iter().find(|finding| finding["code"] == "file_system_full").map(|finding| {
        let lacks = finding["evidence"]["lacks"].as_array().unwrap();
        (text(&finding["severity"]), lacks.iter().map(|lack| text(&lack["what"])).collect())
    });
    let verdict = walscope(Path::new("/"), &["verify", "--json", path.to_str().unwrap()]).json();
    assert!(full.is_none() || ["doubtful", "wrong"].contains(&verdict["verdict"]["result"].as_str().unwrap()));
    Said {
        full,
        codes: findings.iter().map(|finding| text(&finding["code"])).collect(),
        explanation: text(&document["checkpoint"]["explanation"]),
    }
}

impl Said {
    fn lacks(&self, what: &str) -> bool {
        self.full.as_ref().is_some_and(|(_, lacks)| lacks.iter().any(|lack| lack == what))
    }
}

#[test]
fn a_full_file_system_is_named_and_sqlite_agrees() {
    let Some(small) = Small::mount("size=160k") else { return };
    let mut seen = [0; 3];
    for blocks in 0..=14 {
        let path = small.at("t.db");
        closed(&path);
        small.leave(blocks);
        let said = ask(&path);
        let db = Connection::open(&path).unwrap();
        let reads = read(&db);
        let before = said.lacks("frame");
        assert_eq!(said.lacks("shm"), reads == Err(ffi::SQLITE_IOERR_SHMSIZE), "{blocks} blocks: {reads:?}");
        match reads {
            Err(_) => {
                seen[0] += 1;
                // The failed connection is still there. The short -shm and its missing mapping are no faults of their own.
                let said = ask(&path);
                assert_eq!(said.full.as_ref().unwrap().0, "error", "{blocks} blocks");
                let signs = ["shm_truncated", "used_without_wal_index", "shm_header_checksum_wrong"];
                assert!(!said.codes.iter().any(|code| signs.contains(&&**code)), "{:?}", said.codes);
                let states = include_str!("../../docs/states.md");
                assert!(states.contains(&format!("\n> {}\n", said.explanation)), "{}", said.explanation);
                small.free();
                assert_eq!(read(&db), Ok(1));
            }
            Ok(rows) => {
                assert_eq!(rows, 1);
                let said = ask(&path);
                let written = write(&db);
                assert_eq!(said.lacks("frame"), written == Err(ffi::SQLITE_FULL), "{blocks} blocks: {written:?}");
                // Also before there was a -shm, which takes its room first.
                assert_eq!(before, written == Err(ffi::SQLITE_FULL), "{blocks} blocks: {written:?}");
                if written.is_err() {
                    seen[1] += 1;
                    assert_eq!(said.full.unwrap().0, "error");
                } else {
                    seen[2] += 1;
                    assert_eq!(said.full, None, "{blocks} blocks");
                }
                small.free();
            }
        }
        assert!(write(&db).is_ok());
        drop(db);
        fs::remove_file(path).unwrap();
    }
    assert!(seen.iter().all(|n| *n > 0), "{seen:?}");
}

#[test]
fn a_wal_with_room_ahead_and_a_shm_of_full_size_need_no_room() {
    let Some(small) = Small::mount("size=192k") else { return };
    let path = small.at("t.db");
    closed(&path);
    let db = Connection::open(&path).unwrap();
    for _ in 0..3 {
        write(&db).unwrap();
    }
    let checkpoint = || db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    checkpoint();
    small.leave(0);
    // The next writer begins the -wal anew, and two frames of the old generation are ahead of it.
    for frame in 1..=3 {
        assert_eq!(ask(&path).full, None, "before frame {frame}");
        assert_eq!(write(&db), Ok(1));
    }
    let said = ask(&path);
    assert_eq!(said.full, Some(("error".into(), vec!["frame".into()])));
    assert!(said.explanation.contains("no room for one more frame"), "{}", said.explanation);
    assert_eq!(write(&db), Err(ffi::SQLITE_FULL));
    assert_eq!(read(&db), Ok(1));
    // As the sentence says: a checkpoint that does not make the database longer needs no room.
    checkpoint();
    assert_eq!(ask(&path).full, None);
    assert_eq!(write(&db), Ok(1));
}

#[test]
fn what_a_killed_process_left_is_opened_without_new_room() {
    let Some(small) = Small::mount("size=192k") else { return };
    let path = small.at("t.db");
    let mut killed = Sqlite::open(&path);
    killed.run("INSERT INTO t VALUES(1)");
    drop(killed);
    small.leave(0);
    let said = ask(&path);
    assert_eq!(said.full, Some(("warning".into(), vec!["frame".into()])));
    let db = Connection::open(&path).unwrap();
    assert_eq!((read(&db), write(&db)), (Ok(1), Err(ffi::SQLITE_FULL)));
}

#[test]
fn without_an_inode_for_the_wal_and_the_shm_nobody_can_open_the_database() {
    let Some(small) = Small::mount("size=1m,nr_inodes=8") else { return };
    for taken in 4..=6 {
        let path = small.at("t.db");
        closed(&path);
        // The folder and the database have one each.
        let others: Vec<PathBuf> = (0..taken).map(|n| small.at(&format!("other{n}"))).collect();
        others.iter().for_each(|other| drop(File::create(other).unwrap()));
        let said = ask(&path);
        let opened = read(&Connection::open(&path).unwrap());
        assert_eq!(said.lacks("new_files"), opened.is_err(), "{taken}: {opened:?}");
        if let Err(code) = opened {
            assert_eq!(code & 0xff, ffi::SQLITE_CANTOPEN);
            assert_eq!(said.full.unwrap().0, "warning");
        }
        others.iter().for_each(|other| fs::remove_file(other).unwrap());
        fs::remove_file(path).unwrap();
    }
}

/// Whether the user who asks can write, and whether the room is what keeps it from that.
fn writes_here(path: &Path) -> (String, bool) {
    let document = walscope(Path::new("/"), &["inspect", "--json", path.to_str().unwrap()]).json();
    assert_eq!(document["open"]["read"], "yes", "{document:#}");
    let of_room = |one: &Value| one["what"] == "room";
    let room = document["open"]["reasons"].as_array().unwrap().iter().any(of_room);
    (document["open"]["write"].as_str().unwrap().to_owned(), room)
}

#[test]
fn a_rollback_journal_needs_room_and_sqlite_agrees() {
    let Some(small) = Small::mount("size=160k") else { return };
    let mut seen = [0; 3];
    for (mode, page) in [("DELETE", 4096), ("DELETE", 1024), ("PERSIST", 4096), ("TRUNCATE", 4096), ("DELETE", 16384)] {
        for blocks in 0..=12 {
            let path = small.at("t.db");
            let db = Connection::open(&path).unwrap();
            db.execute_batch(&format!(
                "PRAGMA page_size={page}; PRAGMA journal_mode={mode}; CREATE TABLE t(x); INSERT INTO t VALUES(1); UPDATE t SET x = 1"
            ))
            .unwrap();
            small.leave(blocks);
            let said = ask(&path);
            let (answer, room) = writes_here(&path);
            let written = write(&db);
            let what = format!("{mode} {page}, {blocks} blocks: {written:?}");
            assert!(read(&db).is_ok(), "{what}");
            if let Some((severity, lacks)) = said.full {
                seen[0] += 1;
                assert_eq!((severity.as_str(), lacks), ("warning", vec!["journal".to_owned()]), "{what}");
                assert_eq!((answer.as_str(), room, written), ("no", true, Err(ffi::SQLITE_FULL)), "{what}");
            } else {
                assert_eq!((answer.as_str(), room), ("yes", false), "{what}");
                // How many pages a transaction changes is not known before it: that of this one are two, and the first is counted.
                let left = (512 + 2 * (page + 8)) as u64;
                let enough = blocks * BLOCK >= left.div_ceil(BLOCK) * BLOCK;
                assert!(written.is_ok() || !enough, "{what}");
                seen[1 + usize::from(written.is_err())] += 1;
            }
            small.free();
            assert!(write(&db).is_ok());
            drop(db);
            fs::remove_file(&path).unwrap();
            let _ = fs::remove_file(small.at("t.db-journal"));
        }
    }
    assert!(seen[0] > 4 && seen[1] > 20, "{seen:?}");
}

#[test]
fn without_an_inode_for_the_journal_nobody_can_write() {
    let Some(small) = Small::mount("size=1m,nr_inodes=8") else { return };
    for (mode, taken) in [("DELETE", 5), ("DELETE", 6), ("PERSIST", 5)] {
        let path = small.at("t.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(&format!("PRAGMA journal_mode={mode}; CREATE TABLE t(x); INSERT INTO t VALUES(1)")).unwrap();
        // The folder and the database have one each.
        let others: Vec<PathBuf> = (0..taken).map(|n| small.at(&format!("other{n}"))).collect();
        others.iter().for_each(|other| drop(File::create(other).unwrap()));
        let (said, (answer, _)) = (ask(&path), writes_here(&path));
        let written = write(&db);
        let what = format!("{mode} {taken}: {written:?}");
        assert_eq!((said.lacks("new_journal"), answer == "no"), (written.is_err(), written.is_err()), "{what}");
        assert_eq!(taken == 6, written.is_err(), "{what}");
        assert!(written.is_ok() || written.is_err_and(|code| code & 0xff == ffi::SQLITE_CANTOPEN), "{what}");
        others.iter().for_each(|other| fs::remove_file(other).unwrap());
        drop(db);
        fs::remove_file(path).unwrap();
        let _ = fs::remove_file(small.at("t.db-journal"));
    }
}

#[test]
fn where_nothing_is_made_a_full_file_system_raises_nothing() {
    let Some(small) = Small::mount("size=160k") else { return };
    let rollback = small.at("rollback.db");
    Connection::open(&rollback).unwrap().execute_batch("CREATE TABLE t(x)").unwrap();
    let path = small.at("t.db");
    closed(&path);
    small.leave(0);
    assert!(ask(&path).full.is_some());
    // A bundle says what was so when it was made.
    let bundles = tempfile::tempdir().unwrap();
    let made = walscope(bundles.path(), &["snapshot", path.to_str().unwrap(), "-o", "b.walsnap"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let document = walscope(bundles.path(), &["inspect", "--json", "b.walsnap"]).json();
    assert!(
        document["findings"].as_array().unwrap().iter().any(|finding| finding["code"] == json!("file_system_full"))
    );
    let status = Command::new("mount").args(["-o", "remount,ro"]).arg(small.folder.path()).status().unwrap();
    assert!(status.success());
    assert_eq!(ask(&path).full, None);
    assert_eq!(ask(&rollback).full, None);
}
