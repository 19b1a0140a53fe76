//! The options of the command line. The arguments of each command are in the command's own file.

use clap::{Args, Parser, Subcommand, ValueEnum};
use walscope::finding::Severity;
use walscope::linux::Care;
use walscope::report::finding::FindingDocument;

use crate::exit::Exit;
use crate::help;

/// Shows what SQLite's -wal and -shm really hold, and proves or refutes that containers share one wal-index.
#[derive(Debug, Parser)]
#[command(name = "walscope", version, max_term_width = 100, after_help = help::WALSCOPE)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Print one JSON document
    #[arg(long, global = true)]
    pub json: bool,
    /// Columns of the output [default: those of the terminal, or 100]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(20..=1000))]
    pub width: Option<u16>,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Threads that verify a long WAL [default: one for each core, at most 8]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Refuse to read a file if reading would change its access time
    #[arg(long, global = true)]
    pub strict_atime: bool,
    /// Open a -shm in use on FUSE, although the kernel then drops its cached pages, and two mounts of one folder can lose
    /// commits
    #[arg(long, global = true)]
    pub look_anyway: bool,
}

impl Global {
    /// What an open may do to others.
    pub fn care(&self) -> Care {
        Care { strict_atime: self.strict_atime, look_anyway: self.look_anyway }
    }
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// If the output is a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The lowest severity of a finding that makes the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Any finding.
    Info,
    /// Notices and above.
    Notice,
    /// Warnings and errors.
    Warning,
    /// Errors.
    Error,
}

impl FailOn {
    /// The exit code of an answer with these findings.
    pub fn judge(self, findings: &[FindingDocument]) -> Exit {
        let limit = match self {
            Self::Info => Severity::Info,
            Self::Notice => Severity::Notice,
            Self::Warning => Severity::Warning,
            Self::Error => Severity::Error,
        };
        if findings.iter().any(|finding| finding.severity >= limit) { Exit::Bad } else { Exit::Good }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the files, the WAL, the wal-index, what the checkpoint is doing and which reader blocks it
    #[command(after_help = help::INSPECT)]
    Inspect(crate::commands::inspect::InspectArgs),
    /// Recompute every checksum, and compare -wal, -shm and database with each other
    #[command(after_help = help::VERIFY)]
    Verify(crate::commands::verify::VerifyArgs),
    /// List the frames of the WAL, each with its class, or its transactions
    #[command(after_help = help::WAL)]
    Wal(crate::commands::wal::WalArgs),
    /// Show the wal-index: both header copies, checkpoint info, locks, and what each block holds
    #[command(after_help = help::SHM)]
    Shm(crate::commands::shm::ShmArgs),
    /// Capture a database's -shm and -wal with evidence from the kernel into one bundle
    #[command(after_help = help::SNAPSHOT)]
    Snapshot(crate::commands::snapshot::SnapshotArgs),
    /// Prove or refute that two or more sides share one wal-index
    #[command(after_help = help::COMPARE)]
    Compare(crate::commands::compare::CompareArgs),
    /// Challenge the other side live, without privileges: lock beacons on the -shm, or a trial in a folder
    #[command(after_help = help::PROBE)]
    Probe(crate::commands::probe::ProbeArgs),
    /// List every mapped wal-index on this host: its processes and locks, and whether it is split or deleted
    #[command(after_help = help::PS)]
    Ps(crate::commands::ps::PsArgs),
    /// Copy the files that processes still have open, also deleted and renamed ones, so that they open in SQLite
    #[command(after_help = help::RESCUE)]
    Rescue(crate::commands::rescue::RescueArgs),
    /// Explain a finding, an error of SQLite, or a word of the output (a state, a lock, a class of frames): what it means, its causes, and what to do
    Explain(crate::commands::explain::ExplainArgs),
    /// Run the two-container experiment with real SQLite on this machine, and judge it
    #[cfg(feature = "lab")]
    #[command(after_help = help::LAB)]
    Lab(crate::lab::LabArgs),
    /// Print the JSON Schema of a command's document
    Schema(crate::commands::schema::SchemaArgs),
}
