//! Passes over one WAL inside this process, in turn.

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use walscope::bytes::FileBytes;
use walscope::format::checksum::Kernel;
use walscope::wal::{EndReason, Scan};

use crate::generate::{Wal, open, sibling};
use crate::{Shape, median};

/// What plain reading reads at once.
const BLOCK: u64 = 512 << 10;

/// One way to pass over the WAL: a name, and what it takes.
type Pass<'a> = (&'static str, Box<dyn Fn() -> Duration + 'a>);

/// What this process has had of the processors so far, all threads together.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub fn run(shape: &Shape, gate: Option<f64>) {
    let folder = shape.folder();
    let wal = shape.generate(folder.path());
    let memory = vec![7_u64; 32 << 20];
    let passes: Vec<Pass<'_>> = vec![
        ("SQLite recovery", Box::new(|| recover(&wal.database))),
        ("plain pread, 1 thread", Box::new(|| pread(&wal, 1))),
        ("plain pread, 2 threads", Box::new(|| pread(&wal, 2))),
        ("pread and sum, 1 thread", Box::new(|| pread_and_sum(&wal, 1))),
        ("pread and sum, 2 threads", Box::new(|| pread_and_sum(&wal, 2))),
        ("walscope, 1 thread", Box::new(|| scan(&wal, 1, Kernel::best()))),
        ("walscope, 2 threads", Box::new(|| scan(&wal, 2, Kernel::best()))),
        ("walscope, 1 thread, no AVX2", Box::new(|| scan(&wal, 1, Kernel::DotProduct128))),
        ("walscope, 1 thread, recurrence", Box::new(|| scan(&wal, 1, Kernel::Recurrence))),
        ("memory sum, 1 thread", Box::new(|| sum(&memory, 1, wal.bytes))),
        ("memory sum, 2 threads", Box::new(|| sum(&memory, 2, wal.bytes))),
    ];
    let mut times = vec![Vec::new(); passes.len()];
    let mut cpu_times = times.clone();
    for round in 0..=shape.rounds {
        for ((_, pass), (times, cpu_times)) in passes.iter().zip(times.iter_mut().zip(&mut cpu_times)) {
            let before = cpu_time();
            let time = pass();
            // The first round warms the caches.
            if round > 0 {
                times.push(time.as_secs_f64());
                cpu_times.push((cpu_time() - before).as_secs_f64());
            }
        }
    }
    let ratio = |of: &[f64], to: &[f64]| median(of.iter().zip(to).map(|(of, to)| to / of).collect());
    println!(
        "{:32}{:>10}{:>10}{:>12}{:>16}{:>10}{:>18}",
        "", "ms", "MB/s", "x SQLite", "x pread alike", "cpu ms", "x SQLite, by cpu"
    );
    for ((name, _), (of, cpu)) in passes.iter().zip(times.iter().zip(&cpu_times)) {
        let alike = if name.contains("2 threads") { &times[2] } else { &times[1] };
        let time = median(of.clone());
        println!(
            "{name:32}{:>10.1}{:>10.0}{:>12.2}{:>16.2}{:>10.1}{:>18.2}",
            time * 1e3,
            wal.bytes as f64 / time / 1e6,
            ratio(of, &times[0]),
            ratio(of, alike),
            median(cpu.clone()) * 1e3,
            ratio(cpu, &cpu_times[0]),
        );
    }
    let one_thread = ratio(&times[5], &times[0]);
    if let Some(gate) = gate {
        assert!(one_thread >= gate, "one thread is {one_thread:.2} times as fast as SQLite's recovery, needed {gate}");
        println!("one thread: {one_thread:.2} times SQLite's recovery, needed {gate}");
    }
}

/// The first read of a database whose wal-index is gone.
pub fn recover(database: &Path) -> Duration {
    let _ = fs::remove_file(sibling(database, "-shm"));
    let db = open(database);
    let begun = Instant::now();
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    let time = begun.elapsed();
    assert_eq!(tables, 1);
    db.close().unwrap();
    time
}

fn scan(wal: &Wal, threads: usize, kernel: Kernel) -> Duration {
    let begun = Instant::now();
    let file = FileBytes::whole(Arc::new(File::open(&wal.path).unwrap())).unwrap();
    let facts = Scan::new(&file).threads(threads).kernel(kernel).facts().unwrap();
    let time = begun.elapsed();
    assert_eq!((facts.frames.valid, facts.end_reason), (wal.frames, EndReason::EndOfFile));
    time
}

/// Reads everything and looks at nothing.
fn pread(wal: &Wal, threads: u64) -> Duration {
    read(wal, threads, |bytes| {
        black_box(bytes);
    })
}

/// Reads everything and adds up its words: the least that anything does which looks at each byte.
fn pread_and_sum(wal: &Wal, threads: u64) -> Duration {
    read(wal, threads, |bytes| {
        let (words, _) = bytes.as_chunks();
        black_box(words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word))));
    })
}

fn read(wal: &Wal, threads: u64, look: impl Fn(&[u8]) + Sync) -> Duration {
    let file = File::open(&wal.path).unwrap();
    let next = AtomicU64::new(0);
    on(threads, &|| {
        let mut buffer = vec![0; BLOCK as usize];
        loop {
            let at = next.fetch_add(BLOCK, Ordering::Relaxed);
            if at >= wal.bytes {
                break;
            }
            let got = file.read_at(&mut buffer, at).unwrap();
            look(&buffer[..got]);
        }
    })
}

/// Adds up as many bytes as the WAL has, in memory.
fn sum(memory: &[u64], threads: u64, bytes: u64) -> Duration {
    let next = AtomicU64::new(0);
    let part = 1 << 20;
    on(threads, &|| {
        while next.fetch_add(part, Ordering::Relaxed) < bytes {
            let words = (part / 8) as usize;
            let at = (next.load(Ordering::Relaxed) / 8) as usize % (memory.len() - words);
            black_box(memory[at..at + words].iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)));
        }
    })
}

fn on(threads: u64, work: &(dyn Fn() + Sync)) -> Duration {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    begun.elapsed()
}
