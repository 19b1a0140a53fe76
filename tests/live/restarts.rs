//! Looks at a healthy database whose WAL restarts all the time: none says that the `-wal` is not the one in use.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;

use crate::common::command::{self, Ran};
use crate::common::random::Random;

const VARIABLE: &str = "WALSCOPE_TEST_LIVE_RESTARTS";
/// Processes that write.
const WRITERS: u64 = 3;

/// The child's part, until it is killed; returns at once in the parent.
pub fn serve() {
    let Ok(task) = std::env::var(VARIABLE) else { return };
    let (seed, path) = task.split_once(' ').unwrap();
    let mut random = Random(seed.parse().unwrap());
    loop {
        let db = Connection::open(path).unwrap();
        let frames = 1 + random.below(3);
        // A small cache writes frames of transactions that are rolled back.
        db.execute_batch(&format!("PRAGMA synchronous=OFF; PRAGMA cache_size=3; PRAGMA wal_autocheckpoint={frames}"))
            .unwrap();
        for _ in 0..random.below(2000) {
            let sql = match random.below(10) {
                0 => "PRAGMA wal_checkpoint(RESTART)",
                1 => "PRAGMA wal_checkpoint(TRUNCATE)",
                2 => "PRAGMA wal_checkpoint(PASSIVE)",
                3 => "BEGIN IMMEDIATE; UPDATE t SET x = randomblob(900); ROLLBACK",
                _ => "UPDATE t SET x = randomblob(300) WHERE rowid = 1 + abs(random()) % 20",
            };
            // SQLITE_BUSY, because the others write too.
            if db.execute_batch(sql).is_err() && !db.is_autocommit() {
                db.execute_batch("ROLLBACK").unwrap();
            }
        }
    }
}

/// The processes. All are killed at the end.
struct Writers(Vec<Child>);

impl Writers {
    fn start(path: &Path, seed: u64) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["restarts", "--exact", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, format!("{seed} {}", path.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn kill(&mut self) {
        for mut child in self.0.drain(..) {
            assert!(child.try_wait().unwrap().is_none(), "a process has ended");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const ALARMS: &[&str] =
    &["shm_of_other_wal", "wal_index_shared_wal_not", "wal_truncated", "shm_beyond_wal", "wal_cut_off"];

fn no_alarm(what: &str, ran: &Ran) {
    let text = ran.text();
    for alarm in ALARMS.iter().chain(&["cut off while it was in use", "frames that the -wal there does not have"]) {
        assert!(!text.contains(alarm), "{what}: {text} {}", ran.stderr);
    }
}

/// Of twelve looks eight are beside the processes; then all are killed, and four are at files that nobody uses.
#[test]
fn writers_that_restart_the_wal_all_the_time_lose_no_wal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = Connection::open(&path).unwrap();
    let twenty = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < 20)";
    db.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; CREATE TABLE t(x); {twenty} INSERT INTO t SELECT randomblob(300) FROM n"
    ))
    .unwrap();
    drop(db);
    let mut writers = Writers(Vec::new());
    let (mut proven, mut compared) = (0, 0);
    for number in 0..crate::number() / 10 {
        if number % 12 == 0 {
            writers.0.extend((0..WRITERS).map(|writer| Writers::start(&path, number * WRITERS + writer)));
        }
        let pid = writers.0.first().map_or(std::process::id(), Child::id);
        let of_process = format!("pid:{pid}:{}", path.display());
        let command: &[&str] = match number % 4 {
            0 => &["compare", "t.db", &of_process, "--json"],
            1 => &["inspect", "t.db", "--json"],
            2 => &["snapshot", "t.db", "-o", "b.walsnap", "--force", "--attempts", "1", "--json"],
            _ => &["verify", "t.db", "--json"],
        };
        let ran = command::walscope(folder.path(), command);
        no_alarm(command[0], &ran);
        if number % 4 == 0 {
            compared += 1;
            proven += u32::from(ran.json()["verdict"]["sharing"] == "proven");
        }
        if number % 4 == 2 {
            no_alarm("compare of bundles", &command::walscope(folder.path(), &["inspect", "b.walsnap", "--json"]));
        }
        if number % 12 == 7 {
            writers.kill();
        }
    }
    eprintln!("beside writers that restart the WAL: {proven} of {compared} proven");
    assert!(proven > 0);
}
