//! Copies of a database and its `-wal` that were made one after the other, while processes worked: how many of those that
//! lost something are found. Of whole copies nothing is said.
//!
//! ```sh
//! WALSCOPE_TORN=1000 cargo test --release --test judge torn_copies -- --nocapture
//! ```

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use crate::common::in_memory;
use crate::common::random::Random;
use crate::pairs_at_random::{Tally, Worker, count, database, look, read};

/// Copies of each kind in a plain test run.
const COPIES: u64 = 40;

/// Everything that SQLite finds in a database and its `-wal`; `None` if it finds them malformed.
fn content(folder: &Path, database: &[u8], wal: Option<&[u8]>) -> Option<Vec<String>> {
    let path = folder.join("copy.db");
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    fs::write(&path, database).unwrap();
    if let Some(wal) = wal {
        fs::write(format!("{}-wal", path.display()), wal).unwrap();
    }
    let read = || -> rusqlite::Result<Option<Vec<String>>> {
        let db = Connection::open(&path)?;
        if db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))? != "ok" {
            return Ok(None);
        }
        let mut schema = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
        let tables: Vec<String> = schema.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut content = tables.clone();
        for table in tables {
            let mut rows = db.prepare(&format!("SELECT rowid, * FROM {table}"))?;
            let last = rows.column_count() - 1;
            let rows = rows.query_map([], |row| Ok(format!("{:?} {:?}", row.get_ref(0)?, row.get_ref(last)?)))?;
            content.extend(rows.collect::<Result<Vec<String>, _>>()?);
        }
        Ok(Some(content))
    };
    read().ok().flatten()
}

/// The two files at one moment, and what SQLite finds in them.
struct Moment {
    database: Vec<u8>,
    wal: Option<Vec<u8>>,
    content: Option<Vec<String>>,
}

impl Moment {
    fn now(path: &Path, folder: &Path) -> Self {
        let (database, wal) = (read(path, "").unwrap(), read(path, "-wal"));
        let content = content(folder, &database, wal.as_deref());
        Self { database, wal, content }
    }
}

#[test]
fn most_copies_of_two_moments_that_lost_something_are_found() {
    let copies = std::env::var("WALSCOPE_TORN").map_or(COPIES, |number| number.parse().unwrap());
    let (folder, mut tally) = (in_memory(), Tally::new());
    let path = folder.path().join("t.db");
    let of = |tally: &Tally, what: &str| tally.get(what).copied().unwrap_or_default();
    let mut seed = 0;
    while of(&tally, "whole") < copies || of(&tally, "lost") < copies {
        let mut random = Random(seed);
        database(&path, &mut random);
        let workers = 1 + random.below(3);
        let mut workers: Vec<Worker> =
            (0..workers).map(|_| Worker::start(&path, random.below(1 << 30), random.below(3))).collect();
        let mut moments: Vec<Moment> = Vec::new();
        for _ in 0..8 {
            for _ in 0..1 + random.below(8) {
                let worker = random.below(workers.len() as u64) as usize;
                workers[worker].steps(1 + random.below(6));
            }
            let now = Moment::now(&path, folder.path());
            assert!(now.content.is_some(), "seed {seed}: SQLite finds a copy of one moment malformed");
            let whole = look(now.database.clone(), now.wal.clone()).1;
            assert!(whole.is_empty(), "seed {seed}, a whole copy: {whole:#?}");
            count(&mut tally, "whole");
            // Mostly the moment just before.
            let back = random.pick(&[1, 1, 1, 2, 3]);
            if let Some(before) = moments.len().checked_sub(back).map(|at| &moments[at]) {
                for (order, database, wal) in
                    [("the database first", &before.database, &now.wal), ("the -wal first", &now.database, &before.wal)]
                {
                    let got = content(folder.path(), database, wal.as_deref());
                    let what = match &got {
                        _ if got == now.content || got == before.content => "nothing lost",
                        None => "malformed",
                        Some(_) => "other content",
                    };
                    let found = look(database.clone(), wal.clone()).1;
                    count(&mut tally, format!("{order}: {what}"));
                    if what != "nothing lost" {
                        count(&mut tally, "lost");
                    }
                    for finding in &found {
                        count(&mut tally, format!("{order}: {what}: {}", finding.code()));
                    }
                    if !found.is_empty() {
                        count(&mut tally, format!("{order}: {what}: found"));
                        if what != "nothing lost" {
                            count(&mut tally, "lost: found");
                        }
                    }
                }
            }
            moments.push(now);
        }
        seed += 1;
    }
    println!("{seed} histories: {tally:#?}");
    assert!(of(&tally, "lost: found") * 4 >= of(&tally, "lost") * 3, "{tally:#?}");
}
