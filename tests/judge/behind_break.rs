//! Commits behind a break of the chain: those that others continued are a warning, those that a killed writer may have
//! left are a notice.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use walscope::finding::{Code, Found, Severity, findings};
use walscope::look::{Options, inspect};

use crate::common::command::walscope;
use crate::common::have;
use crate::sqlite::{codes, copy, verify};
use crate::world::{Moment, Moving, PAGE, World, healthy, index, page_one};

/// Four committed frames, which the wal-index names, and what `change` writes behind them.
fn behind(change: impl FnOnce(&mut World)) -> World {
    let mut world = healthy();
    let index = index(world.wal());
    change(&mut world);
    world.shm = Some(index.bytes(false));
    world
}

fn severity(world: &World) -> Option<Severity> {
    let found = world.findings();
    found.iter().find(|finding| finding.code() == Code::WalCommitsBehindBreak).map(|finding| finding.severity)
}

/// A writer dies after its commit frame, and before the wal-index names it: the next writer begins where it began.
fn overwritten(world: &mut World, dead: &[(u32, u32, u8)]) {
    let mut before = world.wal().clone();
    for (page, commit, fill) in dead {
        world.wal().frame(*page, *commit, *fill);
    }
    before.frame(2, 4, 7);
    let at = before.offset(5);
    let frame = before.bytes[at..].to_vec();
    world.wal().bytes[at..at + frame.len()].copy_from_slice(&frame);
}

#[test]
fn a_commit_of_a_killed_writer_under_a_shorter_one_is_a_notice() {
    let world = behind(|world| overwritten(world, &[(3, 0, 1), (2, 0, 1), (3, 4, 1)]));
    assert_eq!(severity(&world), Some(Severity::Notice), "{:?}", world.codes());
    // Without powersafe overwrite the commit frame is repeated up to the end of the sector.
    let padded = behind(|world| overwritten(world, &[(3, 0, 1), (2, 4, 1), (2, 4, 1), (2, 4, 1)]));
    assert_eq!(severity(&padded), Some(Severity::Notice), "{:?}", padded.codes());
    // Two that were killed, the second one within the frames of the first.
    let twice = behind(|world| {
        let mut second = world.wal().clone();
        overwritten(world, &[(3, 0, 1), (2, 0, 1), (3, 0, 1), (2, 0, 1), (3, 4, 1)]);
        let third = world.wal().bytes[second.offset(5)..second.offset(6)].to_vec();
        second.frame(3, 0, 8).frame(2, 0, 8).frame(3, 4, 8);
        let (from, to) = (second.offset(5), second.offset(8));
        world.wal().bytes[from..to].copy_from_slice(&second.bytes[from..to]);
        world.wal().bytes[from..from + third.len()].copy_from_slice(&third);
    });
    assert_eq!(severity(&twice), Some(Severity::Notice), "{:?}", twice.codes());
}

/// The commits behind the break, and whether a flipped bit was found there.
fn counted(world: &World) -> Option<(u64, bool)> {
    world.findings().iter().find_map(|finding| match finding.found {
        Found::WalCommitsBehindBreak { commits, flipped, .. } => Some((commits, flipped.is_some())),
        _ => None,
    })
}

#[test]
fn a_frame_with_a_flipped_bit_counts_as_what_it_was() {
    // Frame 5 is a commit or none, and two commits stand behind it.
    for (commit, byte, bit, commits) in [
        // A bit of the page, of the salts, and of the checksum.
        (4, 100, 3, 3),
        (0, 100, 3, 2),
        (4, 9, 0, 3),
        (0, 9, 0, 2),
        (4, 18, 5, 3),
        // The bit that makes it a commit, another one, and one that makes a commit of it.
        (4, 7, 2, 3),
        (4, 7, 0, 3),
        (0, 7, 2, 2),
    ] {
        let world = behind(|world| {
            world.wal().frame(3, commit, 1).frame(2, 4, 2).frame(3, 4, 3);
            let at = world.wal().offset(5) + byte;
            world.wal().bytes[at] ^= 1 << bit;
        });
        assert_eq!(counted(&world), Some((commits, true)), "commit {commit}, bit {bit} of byte {byte}");
    }
}

#[test]
fn a_commit_behind_the_break_that_the_database_has_is_a_warning() {
    // Frame 1 is page 1, and the change counter of the database is one more than there.
    let mut world = behind(|world| overwritten(world, &[(3, 0, 1), (2, 0, 1), (3, 4, 1)]));
    world.shm = None;
    world.database()[..PAGE].copy_from_slice(&page_one(2, 6, 3_053_000));
    assert_eq!(severity(&world), Some(Severity::Warning), "{:?}", world.codes());
}

#[test]
fn a_commit_that_others_continued_is_a_warning() {
    for continued in [(3, 4, 2), (3, 0, 1), (2, 4, 1)] {
        let world = behind(|world| overwritten(world, &[(3, 0, 1), (2, 0, 1), (3, 4, 1), continued]));
        assert_eq!(severity(&world), Some(Severity::Warning), "{continued:?}: {:?}", world.codes());
    }
}

#[test]
fn a_frame_that_was_not_yet_written_when_it_was_read_is_no_break() {
    let mut world = behind(|world| {
        world.wal().frame(3, 4, 1).frame(3, 4, 2).frame(3, 4, 3);
    });
    let (from, to) = (world.wal().offset(5), world.wal().offset(6));
    let frame = world.wal().bytes[from..to].to_vec();
    world.wal().bytes[from..to].fill(0);
    assert_eq!(severity(&world), Some(Severity::Warning));
    let written = Moving::new(world, Moment::WalAgain, move |world| {
        world.wal().bytes[from..to].copy_from_slice(&frame);
    });
    let found = findings(&inspect(&written, &Options::default()).unwrap());
    assert!(written.happened() && found.is_empty(), "{found:?}");
}

#[test]
fn a_chain_that_sqlite_broke_itself_is_a_warning() {
    // Frame 5 without salts and checksum; frame 6 continues a checksum of zero and is the only commit.
    let world = behind(|world| {
        let mut own = crate::common::synthetic::WalWriter::new(PAGE, false, crate::world::SALTS);
        own.frame(3, 0, 1);
        let at = own.offset(1);
        let mut frame = own.bytes[at..].to_vec();
        frame[8..24].fill(0);
        world.wal().bytes.extend(frame);
        let mut commit = vec![0; 24 + PAGE];
        commit[3] = 3;
        commit[7] = 4;
        commit[8..16].copy_from_slice(&[0, 0, 0, 11, 0, 0, 0, 22]);
        let (a, b) = crate::common::synthetic::sum(false, (0, 0), &commit[..8]);
        let (a, b) = crate::common::synthetic::sum(false, (a, b), &commit[24..]);
        commit[16..20].copy_from_slice(&a.to_be_bytes());
        commit[20..24].copy_from_slice(&b.to_be_bytes());
        world.wal().bytes.extend(commit);
    });
    assert_eq!(severity(&world), Some(Severity::Warning), "{:?}", world.codes());
}

/// Writes pages to the WAL for want of cache, some of them twice, goes back, and commits.
const SPILLED_AND_BACK: &str = "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=10;
    CREATE TABLE t(id INTEGER PRIMARY KEY, d BLOB); CREATE TABLE log(n);
    WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<60) INSERT INTO t(d) SELECT randomblob(3000) FROM n;
    BEGIN; SAVEPOINT s; UPDATE t SET d=randomblob(3000); UPDATE t SET d=randomblob(3000) WHERE id>40; ROLLBACK TO s;
    INSERT INTO log VALUES(1); COMMIT; INSERT INTO log VALUES(2);\n";

/// The test that needs a SQLite with the fault: the program of the machine, if it is old enough.
#[test]
fn sqlite_before_3_50_2_breaks_its_chain_after_rollback_to() {
    let old = Command::new("sqlite3").arg("-version").output().ok().and_then(|out| {
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let numbers: Vec<u32> = text.split([' ', '.']).take(3).map_while(|part| part.parse().ok()).collect();
        (numbers.len() == 3).then(|| numbers < vec![3, 50, 2])
    });
    if !have("a sqlite3 before 3.50.2", old == Some(true)) {
        return;
    }
    let (folder, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut sqlite = Command::new("sqlite3")
        .arg(folder.path().join("t.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The program says "ready" when all is committed, and then waits for more.
    sqlite.stdin.as_mut().unwrap().write_all(format!("{SPILLED_AND_BACK}SELECT 'ready';\n").as_bytes()).unwrap();
    let mut said = std::io::BufReader::new(sqlite.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut said, &mut line).unwrap(), 0, "sqlite3 ended");
    }
    let (code, document) = verify(folder.path());
    let found: Vec<_> = codes(&document).into_iter().filter(|(_, severity)| severity != "info").collect();
    let expected = [("shm_beyond_wal", "error"), ("wal_commits_behind_break", "warning")];
    assert_eq!((code, found), (1, expected.map(|(code, severity)| (code.to_owned(), severity.to_owned())).to_vec()));
    copy(folder.path(), left.path());
    sqlite.kill().unwrap();
    sqlite.wait().unwrap();
    // Nobody has it open, and the -shm is lost: only the WAL tells.
    fs::remove_file(left.path().join("t.db-shm")).unwrap();
    let (code, document) = verify(left.path());
    let found = document["findings"].as_array().unwrap().iter().find(|one| one["code"] == "wal_commits_behind_break");
    let found = found.unwrap_or_else(|| panic!("{document:#}"));
    assert_eq!((code, &found["severity"]), (0, &"warning".into()), "{found:#}");
    assert_eq!((&found["evidence"]["by_rollback_to"], &found["evidence"]["commits"]), (&true.into(), &2.into()));
    assert!(found["detail"].as_str().unwrap().contains("SQLite before 3.50.2 itself broke the chain"), "{found:#}");
    assert!(found["advice"].as_str().unwrap().starts_with("First copy"), "{found:#}");
    let page = walscope(left.path(), &["verify", "t.db"]).text();
    assert!(page.contains("doubtful: 1 warning"), "{page}");
    let rows = rusqlite::Connection::open(left.path().join("t.db")).unwrap();
    let rows: i64 = rows.query_row("SELECT count(*) FROM log", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0, "SQLite loses both commits and says nothing");
}
