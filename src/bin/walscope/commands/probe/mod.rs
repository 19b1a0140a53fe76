//! `walscope probe`: a live challenge between two sides that need no privilege and nothing from each other.

mod folder;
mod wal_index;

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use crate::exit::Exit;
use crate::help;
use crate::options::Global;
use crate::stop::Stop;

/// Arguments of `probe`.
#[derive(Debug, clap::Args)]
pub struct ProbeArgs {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

/// The token if none is given.
const TOKEN: &str = "walscope";

/// What to do.
#[derive(Debug, Subcommand)]
enum Action {
    #[command(after_help = help::PROBE)]
    /// Hold a lock beacon on the -shm and print its nonce, until standard input ends; the exit code is 3, because only `seek` learns the verdict
    Hold {
        /// The database
        source: PathBuf,
        /// A token that is equal on both sides; who does not know it cannot stand between them
        #[arg(long, value_name = "TOKEN", default_value = TOKEN)]
        token: String,
        /// Hold it for this time, even if standard input ends
        #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
        seconds: Option<u32>,
    },
    #[command(after_help = help::PROBE)]
    /// Look once for the beacon that another side holds
    Seek {
        /// The database
        source: PathBuf,
        /// The nonce that `probe hold` printed on the other side
        #[arg(value_parser = parse_nonce)]
        nonce: u64,
        /// The token that was given to `probe hold`
        #[arg(long, value_name = "TOKEN", default_value = TOKEN)]
        token: String,
    },
    #[command(after_help = help::PROBE)]
    /// Run this on both sides: they find each other by lock beacons on the -shm, or try a scratch file in a folder
    Meet {
        /// A database, or a folder in which both sides map a scratch file that is removed at the end
        source: PathBuf,
        /// A token that is equal on both sides, if several pairs meet; who does not know it cannot stand between them
        #[arg(long, value_name = "TOKEN", default_value = TOKEN)]
        token: String,
        /// How long to wait for the other side
        #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
        timeout: u32,
    },
    #[command(after_help = help::PROBE_TRY)]
    /// Start both sides by itself: do locks and shared memory work between two processes in this folder?
    Try {
        /// A folder, or a database: its folder. A scratch file is made there and removed at the end
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
}

/// Runs it.
pub fn run(args: &ProbeArgs, global: &Global) -> anyhow::Result<Exit> {
    match &args.action {
        Action::Hold { source, token, seconds } => {
            wal_index::hold(source, token, seconds.map(|n| Duration::from_secs(n.into())), global)
        }
        Action::Seek { source, nonce, token } => wal_index::seek(source, *nonce, token, global),
        Action::Try { folder } => folder::try_alone(folder, &Stop::listen()?, global),
        Action::Meet { source, token, timeout } => {
            let timeout = Duration::from_secs((*timeout).into());
            // A scratch file is removed before the end.
            let stop = Stop::listen()?;
            if source.is_dir() {
                folder::meet(source, token, timeout, &stop, global)
            } else {
                wal_index::meet(source, token, timeout, &stop, global)
            }
        }
    }
}

/// A text that is no nonce.
#[derive(Debug, thiserror::Error)]
#[error("needed 16 hexadecimal digits, found {}", walscope::report::line(.0))]
struct NoNonce(String);

fn parse_nonce(text: &str) -> Result<u64, NoNonce> {
    let sixteen = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    sixteen.then(|| u64::from_str_radix(text, 16).ok()).flatten().ok_or_else(|| NoNonce(text.to_owned()))
}
