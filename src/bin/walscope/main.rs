//! The command line. Each command has a file of its own; this one is the table of contents.

mod bundle_file;
mod commands;
mod exit;
mod first_words;
mod forbidden;
mod harmless;
mod help;
mod holding;
mod kept_open;
#[cfg(feature = "lab")]
mod lab;
mod live;
mod look;
mod options;
mod output;
mod stop;
mod wrong_command;

use clap::Parser;

use commands::{compare, explain, inspect, probe, ps, rescue, schema, shm, snapshot, verify, wal};
use exit::Exit;
use options::{Cli, Command};

fn main() -> std::process::ExitCode {
    walscope::linux::settle_inheritance();
    walscope::linux::share_one_heap();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    exit::conclude(run(&cli).map_err(|error| first_words::advise(&cli, error)))
}

fn run(cli: &Cli) -> anyhow::Result<Exit> {
    match &cli.command {
        Command::Inspect(args) => inspect::run(args, &cli.global),
        Command::Verify(args) => verify::run(args, &cli.global),
        Command::Wal(args) => wal::run(args, &cli.global),
        Command::Shm(args) => shm::run(args, &cli.global),
        Command::Snapshot(args) => snapshot::run(args, &cli.global),
        Command::Compare(args) => compare::run(args, &cli.global),
        Command::Probe(args) => probe::run(args, &cli.global),
        Command::Ps(args) => ps::run(args, &cli.global),
        Command::Rescue(args) => rescue::run(args, &cli.global),
        Command::Explain(args) => explain::run(args, &cli.global),
        #[cfg(feature = "lab")]
        Command::Lab(args) => lab::run(args, &cli.global),
        Command::Schema(args) => schema::run(args, &cli.global),
    }
}
