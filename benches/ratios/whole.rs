//! Whole processes: the command as users start it, and SQLite's recovery in a process of its own.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;

use crate::child::{Cost, cost};
use crate::generate::Wal;
use crate::{Shape, median};

fn walscope(command: &str, wal: &Path, more: &[&str]) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_walscope"));
    process.arg(command).arg(wal).args(more);
    process
}

fn sqlite(wal: &Wal) -> Command {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.arg("recover").arg(&wal.database);
    process
}

/// Median costs of each command over rounds in which all are run in turn.
fn rounds(rounds: usize, commands: &mut [Command]) -> Vec<Vec<Cost>> {
    let mut costs = vec![Vec::new(); commands.len()];
    for round in 0..=rounds {
        for (command, costs) in commands.iter_mut().zip(&mut costs) {
            let cost = cost(command);
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    costs
}

fn wall(costs: &[Cost]) -> Vec<f64> {
    costs.iter().map(|cost| cost.wall.as_secs_f64()).collect()
}

fn cpu(costs: &[Cost]) -> Vec<f64> {
    costs.iter().map(|cost| cost.cpu.as_secs_f64()).collect()
}

fn peak_mib(costs: &[Cost]) -> f64 {
    costs.iter().map(|cost| cost.peak_kib).max().unwrap_or(0) as f64 / 1024.0
}

pub fn run(shape: &Shape) {
    let folder = shape.folder();
    let wal = shape.generate(folder.path());
    let names = [
        "SQLite recovery",
        "inspect WAL --threads 1",
        "inspect WAL --threads 2",
        "inspect DATABASE --threads 2",
        "wal --jsonl",
        "wal --jsonl --superseded",
    ];
    let mut commands = [
        sqlite(&wal),
        walscope("inspect", &wal.path, &["--threads", "1"]),
        walscope("inspect", &wal.path, &["--threads", "2"]),
        walscope("inspect", &wal.database, &["--threads", "2"]),
        walscope("wal", &wal.path, &["--jsonl"]),
        walscope("wal", &wal.path, &["--jsonl", "--superseded"]),
    ];
    // The recovery comes first in each round and leaves a whole wal-index behind for `inspect DATABASE`.
    let costs = rounds(shape.rounds, &mut commands);
    println!(
        "{:32}{:>10}{:>10}{:>12}{:>10}{:>14}{:>12}",
        "whole process", "ms", "cpu ms", "x SQLite", "cpu", "frames/s", "peak MiB"
    );
    for (name, of) in names.iter().zip(&costs) {
        let against = |of: Vec<f64>, to: Vec<f64>| median(of.iter().zip(&to).map(|(of, to)| of / to).collect());
        let time = median(wall(of));
        println!(
            "{name:32}{:>10.1}{:>10.1}{:>12.2}{:>10.2}{:>14.0}{:>12.1}",
            time * 1e3,
            median(cpu(of)) * 1e3,
            1.0 / against(wall(of), wall(&costs[0])),
            against(cpu(of), cpu(&costs[0])),
            wal.frames as f64 / time,
            peak_mib(of)
        );
    }
}

pub fn scaling(shape: &Shape) {
    println!("{:>8}{:>12}{:>14}{:>14}{:>12}", "MiB", "frames", "inspect ms", "ns a frame", "peak MiB");
    for mib in [64, 256, 1024, 4096] {
        let shape = Shape { mib, ..shape.clone() };
        let folder = shape.folder();
        let wal = crate::generate::wal(&folder.path().join("bench.db"), mib << 20, shape.page_size, false);
        let costs = rounds(shape.rounds, &mut [walscope("inspect", &wal.path, &["--threads", "2"])]);
        let time = median(wall(&costs[0]));
        println!(
            "{mib:>8}{:>12}{:>14.1}{:>14.0}{:>12.1}",
            wal.frames,
            time * 1e3,
            time * 1e9 / wal.frames as f64,
            peak_mib(&costs[0])
        );
    }
}

pub fn sparse(shape: &Shape) {
    let folder = shape.folder();
    let wal = crate::generate::wal(&folder.path().join("bench.db"), 1 << 20, shape.page_size, false);
    OpenOptions::new().write(true).open(&wal.path).unwrap().set_len(1 << 40).unwrap();
    let small = crate::generate::wal(&folder.path().join("small.db"), 1 << 16, shape.page_size, false);
    let commands = &mut [
        walscope("inspect", &wal.path, &[]),
        walscope("inspect", &wal.database, &[]),
        walscope("inspect", &small.database, &[]),
    ];
    let costs = rounds(shape.rounds, commands);
    let names = ["inspect WAL of 1 TiB, sparse", "inspect DATABASE beside it", "inspect a small database"];
    for (name, of) in names.iter().zip(&costs) {
        let (time, cpu) = (median(wall(of)) * 1e3, median(cpu(of)) * 1e3);
        println!("{name:32}{time:>10.2} ms{cpu:>10.2} ms of CPU{:>10.1} MiB", peak_mib(of));
    }
}
