//! What watching costs the watched: a writer's rate with and without a loop of `snapshot` beside it.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::generate::open;
use crate::{Shape, median};

/// How long the writer is measured each time.
const SPAN: Duration = Duration::from_secs(2);
/// From one snapshot to the next.
const PAUSE: Duration = Duration::from_secs(1);

pub fn run(shape: &Shape) {
    let folder = shape.folder();
    let database = folder.path().join("watched.db");
    let db = open(&database);
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "synchronous", "NORMAL").unwrap();
    db.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)").unwrap();
    let mut insert = db.prepare("INSERT OR REPLACE INTO t VALUES (?1, randomblob(500))").unwrap();
    let mut rate = |n: &mut i64| {
        let begun = Instant::now();
        let first = *n;
        while begun.elapsed() < SPAN {
            *n += 1;
            insert.execute([*n % 10_000]).unwrap();
        }
        (*n - first) as f64 / begun.elapsed().as_secs_f64()
    };
    let watching = AtomicBool::new(false);
    let ended = AtomicBool::new(false);
    let taken = AtomicU64::new(0);
    let mut n = 0;
    let mut rates = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                if watching.load(Ordering::Relaxed) {
                    let bundle = folder.path().join("watched.walsnap");
                    let _ = std::fs::remove_file(&bundle);
                    let mut snapshot = Command::new(env!("CARGO_BIN_EXE_walscope"));
                    snapshot.arg("snapshot").arg(&database).arg("-o").arg(&bundle).args(["--wal", "headers"]);
                    assert!(snapshot.output().unwrap().status.success());
                    taken.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(PAUSE);
            }
        });
        rate(&mut n);
        for _ in 0..shape.rounds {
            let alone = rate(&mut n);
            watching.store(true, Ordering::Relaxed);
            let watched = rate(&mut n);
            watching.store(false, Ordering::Relaxed);
            rates.push((alone, watched));
        }
        ended.store(true, Ordering::Relaxed);
    });
    println!("commits a second alone     {:>10.0}", median(rates.iter().map(|rate| rate.0).collect()));
    println!("beside a loop of snapshot  {:>10.0}", median(rates.iter().map(|rate| rate.1).collect()));
    println!("ratio, median of rounds    {:>10.3}", median(rates.iter().map(|rate| rate.1 / rate.0).collect()));
    println!("snapshots taken            {:>10}", taken.into_inner());
}
