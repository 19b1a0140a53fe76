//! `walscope verify`: every checksum again, every file held against the others.

use std::path::PathBuf;

use walscope::look::Depth;
use walscope::report::verify::VerifyDocument;

use crate::exit::Exit;
use crate::options::{FailOn, Global};
use crate::{look, output};

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// A database, a -wal or -shm alone, or a bundle: PATH, NAME:/path in a container, or pid:N:/path
    #[arg(value_name = "SOURCE", long_help = crate::help::SOURCE)]
    source: PathBuf,
    /// Exit with 1 if a finding is at least this grave
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY")]
    fail_on: FailOn,
}

/// Runs it.
pub fn run(args: &VerifyArgs, global: &Global) -> anyhow::Result<Exit> {
    let (_, inspection) = look::inspect(args.source.as_os_str(), Depth::CrossChecked, global)?;
    let document = VerifyDocument::new(&inspection);
    output::document(global, &document, |width| document.draw(width))?;
    Ok(args.fail_on.judge(&document.findings))
}
