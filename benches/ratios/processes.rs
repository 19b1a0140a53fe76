//! A host full of processes: what a look at all of them costs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::child::{Cost, cost};
use crate::generate::open;
use crate::{Shape, median};

/// Processes that wait until their standard input ends: one shell and its children, which share their memory with it.
struct Waiting(Child);

impl Waiting {
    fn start(count: usize) -> Self {
        let line =
            format!("exec 3<&0; i=0; while [ $i -lt {count} ]; do (read x <&3) & i=$((i+1)); done; echo ready; read x");
        let mut shell = Command::new("sh");
        let mut shell =
            shell.args(["-c", &line]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let mut said = String::new();
        BufReader::new(shell.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "{count} processes could not be started");
        Self(shell)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

pub fn run(shape: &Shape, count: usize, gate: Option<f64>) {
    let folder = shape.folder();
    let database = folder.path().join("mapped.db");
    let db = open(&database);
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.execute_batch("CREATE TABLE t (x)").unwrap();
    let waiting = Waiting::start(count);
    let seen = std::fs::read_dir("/proc").unwrap().flatten();
    let seen = seen.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()).count();
    println!("{seen} processes");
    let mut worst: f64 = 0.0;
    for (name, arguments) in [("ps", vec![]), ("inspect DATABASE", vec![database.as_path()])] {
        let costs: Vec<Cost> = (0..shape.rounds).map(|_| cost(&mut walscope(name, &arguments))).collect();
        let cpu = median(costs.iter().map(|cost| cost.cpu.as_secs_f64()).collect());
        let wall = median(costs.iter().map(|cost| cost.wall.as_secs_f64()).collect());
        let peak = costs.iter().map(|cost| cost.peak_kib).max().unwrap_or(0) as f64 / 1024.0;
        let each = cpu / (seen as f64 / 1000.0);
        worst = worst.max(each);
        println!("{name:20}{cpu:>8.3} s of CPU{each:>8.4} s for each 1,000{wall:>8.3} s{peak:>8.1} MiB");
    }
    drop(waiting);
    if let Some(gate) = gate {
        assert!(worst <= gate, "{worst:.4} s of CPU for each 1,000 processes, more than {gate}");
    }
}

fn walscope(name: &str, arguments: &[&Path]) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_walscope"));
    process.args(name.split(' ').take(1)).args(arguments);
    process
}
