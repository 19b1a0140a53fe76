//! `walscope ps`: every wal-index that visible processes have mapped.

use anyhow::Context;
use walscope::format::shm::begins_wal_index;
use walscope::linux;
use walscope::report::ps::PsDocument;

use crate::exit::Exit;
use crate::options::{FailOn, Global};
use crate::output;

/// Arguments of `ps`.
#[derive(Debug, clap::Args)]
pub struct PsArgs {
    /// Exit with 1 if a finding is at least this grave
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY")]
    fail_on: FailOn,
}

/// Runs it.
pub fn run(args: &PsArgs, global: &Global) -> anyhow::Result<Exit> {
    let mapped = linux::mapped::every_wal_index(&begins_wal_index).context("listing the processes")?;
    let document = PsDocument::new(&mapped);
    output::document(global, &document, |width| document.draw(width))?;
    Ok(args.fail_on.judge(&document.findings))
}
