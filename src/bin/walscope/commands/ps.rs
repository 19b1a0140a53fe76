//! `walscope ps`: every wal-index that visible processes have mapped, and databases that they have locked without one.

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
    // What could not be seen is worth a notice: a script must not take the list for complete.
    let blind = document.sight.processes_denied > 0 && matches!(args.fail_on, FailOn::Info | FailOn::Notice);
    Ok(if blind { Exit::Bad } else { args.fail_on.judge(&document.findings) })
}
