//! How fast a WAL is verified, as ratios to what bounds it and to SQLite's own recovery.
//!
//! Everything is measured in turn, round after round, and each ratio is taken within one round: a machine that slows down
//! or is shared moves both sides. The median of the rounds counts. See docs/performance.md for commands and figures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod child;
mod generate;
mod passes;
mod processes;
mod watch;
mod whole;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use generate::Wal;

#[derive(Parser)]
#[command(name = "cargo bench --bench ratios --")]
struct Cli {
    /// What cargo adds.
    #[arg(long, global = true, hide = true)]
    bench: bool,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    shape: Shape,
}

#[derive(Subcommand)]
enum Command {
    /// Passes over one WAL inside this process, in turn
    Passes {
        #[command(flatten)]
        shape: Shape,
        /// Fail when one thread is less than this many times as fast as SQLite's recovery
        #[arg(long, value_name = "RATIO")]
        gate: Option<f64>,
    },
    /// Whole processes: time, CPU time and peak memory of the command and of SQLite's recovery
    Whole {
        #[command(flatten)]
        shape: Shape,
    },
    /// The same work for 64 MiB to 4 GiB
    Scaling {
        #[command(flatten)]
        shape: Shape,
    },
    /// A host full of processes, at least this many: what a look at all of them costs
    Processes {
        #[command(flatten)]
        shape: Shape,
        /// How many are started
        #[arg(long, default_value_t = 10_000)]
        count: usize,
        /// Fail when 1,000 processes cost more seconds of CPU
        #[arg(long, value_name = "SECONDS")]
        gate: Option<f64>,
    },
    /// A sparse file of 1 TiB
    Sparse {
        #[command(flatten)]
        shape: Shape,
    },
    /// A writer's rate with and without a loop of `snapshot` beside it
    Watch {
        #[command(flatten)]
        shape: Shape,
    },
    /// Writes a large WAL with SQLite and leaves it
    Generate {
        /// The database
        path: PathBuf,
        #[command(flatten)]
        shape: Shape,
    },
    /// Lets SQLite recover a WAL: the process that others are compared with
    #[command(hide = true)]
    Recover { path: PathBuf },
}

/// What is measured on.
#[derive(Args, Clone)]
pub struct Shape {
    /// Size of the WAL
    #[arg(long, default_value_t = 256)]
    mib: u64,
    /// Bytes a page
    #[arg(long, default_value_t = 4096)]
    page_size: u32,
    /// Word order of the checksums; SQLite writes its machine's, the other is made by computing them anew
    #[arg(long, value_enum, default_value_t = Order::Little)]
    order: Order,
    /// Rounds
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Folder for the files; they are removed afterwards
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Little,
    Big,
}

impl Shape {
    fn generate(&self, dir: &Path) -> Wal {
        let wal = generate::wal(&dir.join("bench.db"), self.mib << 20, self.page_size, self.order == Order::Big);
        println!(
            "{} MiB, {} frames of {} bytes, {}-endian checksums",
            self.mib,
            wal.frames,
            self.page_size,
            if self.order == Order::Big { "big" } else { "little" }
        );
        wal
    }

    fn folder(&self) -> tempfile::TempDir {
        tempfile::Builder::new().prefix("walscope-bench-").tempdir_in(&self.dir).unwrap()
    }
}

fn main() {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Passes { shape: cli.shape, gate: None }) {
        Command::Passes { shape, gate } => passes::run(&shape, gate),
        Command::Whole { shape } => whole::run(&shape),
        Command::Scaling { shape } => whole::scaling(&shape),
        Command::Processes { shape, count, gate } => processes::run(&shape, count, gate),
        Command::Sparse { shape } => whole::sparse(&shape),
        Command::Watch { shape } => watch::run(&shape),
        Command::Generate { path, shape } => {
            generate::wal(&path, shape.mib << 20, shape.page_size, shape.order == Order::Big);
        }
        Command::Recover { path } => {
            passes::recover(&path);
        }
    }
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
