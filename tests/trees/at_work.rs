//! Databases that are written to while `walscope verify` walks over them.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use walscope::look::{Bytes, Options, inspect};

use crate::common::command::walscope;
use crate::common::random::Random;

const LOOKS: u64 = 40;

/// Ends the work, when a look is not as it should be, too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn work(path: &Path, seed: u64, mode: &str, stop: &AtomicBool) -> u64 {
    let mut random = Random(seed);
    let sqlite = Connection::open(path).unwrap();
    sqlite.pragma_update(None, "journal_mode", mode).unwrap();
    sqlite.pragma_update(None, "synchronous", "off").unwrap();
    sqlite.pragma_update(None, "wal_autocheckpoint", 50).unwrap();
    let mut commits = 0;
    while !stop.load(Ordering::Relaxed) {
        let sql = match random.below(5) {
            0 | 1 => format!("INSERT INTO t(x) VALUES(randomblob({}))", random.below(9000)),
            2 => "DELETE FROM t WHERE id % 7 = 0 AND id < (SELECT max(id) FROM t) - 20".to_owned(),
            3 => format!("UPDATE t SET x = randomblob({}) WHERE id % 5 = 0", random.below(500)),
            _ => "DELETE FROM t WHERE id < (SELECT max(id) FROM t) - 200".to_owned(),
        };
        sqlite.execute_batch(&sql).unwrap();
        if random.one_in(40) {
            sqlite.execute_batch("VACUUM").unwrap();
        }
        commits += 1;
        // A look needs a moment without a restart of the WAL.
        std::thread::sleep(Duration::from_millis(random.below(12)));
    }
    commits
}

#[test]
fn a_database_at_work_has_no_fault_in_its_trees() {
    let looks = std::env::var("WALSCOPE_TREES").map_or(LOOKS, |number| number.parse().unwrap());
    for (seed, mode) in [(1, "wal"), (2, "delete"), (3, "persist"), (4, "memory"), (5, "truncate")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let sqlite = Connection::open(&path).unwrap();
        sqlite
            .execute_batch(
                "PRAGMA auto_vacuum = FULL; CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE INDEX i ON t(x)",
            )
            .unwrap();
        drop(sqlite);
        let stop = AtomicBool::new(false);
        let walked = std::thread::scope(|scope| {
            let writer = scope.spawn(|| work(&path, seed, mode, &stop));
            let work = Stop(&stop);
            let mut walked = 0;
            for _ in 0..looks {
                let ran = walscope(folder.path(), &["verify", "t.db", "--json"]);
                let document = ran.json();
                let checks = document["checks"].as_array().unwrap();
                let trees = checks.iter().find(|check| check["check"] == "trees").unwrap();
                assert!(trees["result"] == "passed" || trees["result"] == "skipped", "{mode}: {document:#}");
                walked += u64::from(trees["result"] == "passed");
            }
            drop(work);
            assert!(writer.join().unwrap() > 0);
            walked
        });
        eprintln!("{mode}: {walked} of {looks} looks walked over the trees");
        assert!(walked > 0 || mode != "wal", "no look at a database in WAL mode came to its end");
        let at_rest = walscope(folder.path(), &["verify", "t.db"]).text();
        assert!(at_rest.contains("cells: 0 faults"), "{at_rest}");
    }
}

#[test]
fn the_size_is_that_of_page_1() {
    // The last commit says five pages, and no page 1 in the WAL says so: to SQLite the database has the one page that page 1 says.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases/wal-residue");
    let read = |name: &str| fs::read(folder.join(name)).ok();
    let files = Bytes { database: read("t.db"), wal: read("t.db-wal"), ..Bytes::default() };
    let inspection = inspect(&files, &Options { trees: true, ..Options::default() }).unwrap();
    assert_eq!(inspection.wal.unwrap().last_commit.unwrap().database_pages, 5);
    let trees = inspection.trees.unwrap();
    assert_eq!((trees.pages, trees.never_used), (1, 0));
}
