//! Looks at a database that is healthy all the time, while connections come and go: none of them is an alarm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rusqlite::Connection;

use crate::common::command;

const VARIABLE: &str = "WALSCOPE_TEST_LIVE_LIVES";
/// The child's part; returns at once in the parent.
pub fn serve() {
    let Ok(task) = std::env::var(VARIABLE) else { return };
    let (kind, path) = task.split_once(' ').unwrap();
    let path = Path::new(path);
    let modes = if kind == "modes" { ["WAL", "DELETE", "WAL", "TRUNCATE"] } else { ["WAL"; 4] };
    let mut stays = (kind == "one").then(|| open(path, "WAL"));
    for mode in modes.iter().cycle() {
        match &mut stays {
            Some(db) => {
                let begun = Instant::now();
                db.execute_batch("UPDATE t SET x = randomblob(500 + abs(random()) % 500)").unwrap();
                // Half of the time without a transaction: the mark is left behind then, at the commit before.
                std::thread::sleep(begun.elapsed());
            }
            None => update(&open(path, mode)),
        }
        if !go(path).exists() {
            return;
        }
    }
}

/// As long as it is there the process goes on.
fn go(path: &Path) -> PathBuf {
    path.with_extension("go")
}

fn open(path: &Path, mode: &str) -> Connection {
    let db = Connection::open(path).unwrap();
    db.execute_batch(&format!("PRAGMA synchronous=OFF; PRAGMA journal_mode={mode};")).unwrap();
    db
}

fn update(db: &Connection) {
    db.execute_batch("UPDATE t SET x = randomblob(500) WHERE rowid % 5 = abs(random()) % 5").unwrap();
}

/// Starts one beside a database of some pages.
fn start(kind: &str, path: &Path) -> Child {
    let db = open(path, "WAL");
    db.execute_batch(
        "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < 60)
         INSERT INTO t SELECT randomblob(500) FROM n;",
    )
    .unwrap();
    drop(db);
    fs::write(go(path), "").unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["lives", "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, format!("{kind} {}", path.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Looks beside such a process, a set number of times.
fn looks(kind: &str, mut look: impl FnMut(&Path, u64)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut child = start(kind, &path);
    for number in 0..crate::number() / 12 {
        assert!(child.try_wait().unwrap().is_none(), "the process has ended");
        look(folder.path(), number);
    }
    fs::remove_file(go(&path)).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn looks_while_connections_come_and_go_raise_no_alarm() {
    const COMMANDS: [&str; 5] = ["verify", "inspect", "verify", "wal", "shm"];
    for kind in ["short", "modes"] {
        looks(kind, |folder, number| {
            let command = COMMANDS[number as usize % COMMANDS.len()];
            let ran = command::walscope(folder, &[command, "t.db", "--json"]);
            assert_eq!(ran.code, 0, "{kind}: {command}: {} {}", ran.text(), ran.stderr);
            for finding in ran.json()["findings"].as_array().unwrap() {
                // A -journal is hot while a transaction in rollback mode is under way.
                let true_then = kind == "modes" && finding["code"] == "hot_journal";
                let grave = finding["severity"] == "warning" || finding["severity"] == "error";
                assert!(true_then || !grave, "{kind}: {command}: {finding:#}");
            }
        });
    }
}

#[test]
fn looks_and_captures_beside_one_connection_show_no_blocking_reader() {
    // From the moment at which a commit is published to the end of its transaction the connection is one: so now and then
    // it is seen as that, and not every third time.
    let (mut blocked, mut all) = (0, 0);
    looks("one", |folder, number| {
        if number % 4 > 0 {
            let ran = command::walscope(folder, &["snapshot", "t.db", "-o", "b.walsnap", "--force", "--attempts", "1"]);
            assert!(ran.code <= 1, "{}", ran.stderr);
        }
        let source = if number % 4 > 0 { "b.walsnap" } else { "t.db" };
        let ran = command::walscope(folder, &["inspect", source, "--json"]);
        assert_eq!(ran.code, 0, "{} {}", ran.text(), ran.stderr);
        blocked += u32::from(ran.json()["checkpoint"]["state"] == "blocked");
        all += 1;
    });
    eprintln!("beside one connection: {blocked} of {all} blocked");
    assert!(blocked <= 1 + all / 16, "{blocked} of {all}");
}
