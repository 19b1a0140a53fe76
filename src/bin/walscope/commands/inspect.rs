//! `walscope inspect`: one database on one page.

use std::path::PathBuf;

use walscope::report::inspect;

use crate::examined::Look;
use crate::exit::Exit;
use crate::options::{FailOn, Global};
use crate::output;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// A database, a -wal or -shm alone, or a bundle: PATH, NAME:/path in a container, or pid:N:/path
    #[arg(value_name = "SOURCE", long_help = crate::help::SOURCE)]
    source: PathBuf,
    /// Exit with 1 when a finding is at least this grave
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY")]
    fail_on: FailOn,
}

/// Runs it.
pub fn run(args: &InspectArgs, global: &Global) -> anyhow::Result<Exit> {
    let look = Look::at(args.source.as_os_str(), global)?;
    let document = inspect::build(look.source.clone(), look.sizes, &look.facts(), look.reasons.clone());
    output::document(global, &document, |width| document.draw(width))?;
    Ok(args.fail_on.judge(&document.findings))
}
