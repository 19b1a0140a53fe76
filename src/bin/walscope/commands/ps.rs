//! `walscope ps`: every wal-index that visible processes have mapped, and databases that they have locked without one.

use std::collections::BTreeSet;
use std::ffi::OsString;

use anyhow::Context;
use walscope::evidence::Mapped;
use walscope::finding::{Code, Finding, Found, Severity, findings};
use walscope::format::shm::begins_wal_index;
use walscope::linux;
use walscope::linux::mapped::kept;
use walscope::look::Options;
use walscope::report::ps::PsDocument;
use walscope::source;

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
    let document = PsDocument::new(&mapped, closer(&mapped, global));
    output::document(global, &document, |width| document.draw(width))?;
    // What could not be seen is worth a notice: a script must not take the list for complete.
    let blind = document.sight.processes_denied > 0 && matches!(args.fail_on, FailOn::Info | FailOn::Notice);
    Ok(if blind { Exit::Bad } else { args.fail_on.judge(&document.findings) })
}

/// What `inspect` finds of databases whose files do not lie beside each other any more, as the names of what processes have open
/// show it. Usually there are none, and no database is read.
fn closer(mapped: &Mapped, global: &Global) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    // A database that is in use by two names is told as a split.
    let users = mapped.indexes.iter().flat_map(|index| &index.processes);
    let mut renamed: BTreeSet<u32> = users.filter(|user| user.split_database.is_some()).map(|user| user.pid).collect();
    for one in kept::out_of_place(mapped) {
        let mut name = OsString::from(format!("pid:{}:", one.pid));
        name.push(&one.path);
        let Ok((_, inspection)) = source::inspect(&name, global.care(), &Options::default()) else { continue };
        for mut finding in findings(&inspection).into_iter().filter(is_out_of_place) {
            // The others name their database.
            if finding.code() == Code::HotJournal {
                finding.source = Some(inspection.origin.label.clone());
            }
            // It is told by both names.
            let pids: Vec<u32> = match &finding.found {
                Found::DatabaseRenamed { renamed } => renamed.renamed.iter().map(|one| one.pid).collect(),
                _ => Vec::new(),
            };
            if pids.is_empty() || pids.iter().any(|pid| !renamed.contains(pid)) {
                renamed.extend(pids);
                found.push(finding);
            }
        }
    }
    found
}

fn is_out_of_place(finding: &Finding) -> bool {
    match finding.code() {
        Code::DatabaseRenamed | Code::LogApart | Code::WalIndexSharedDatabaseNot | Code::WorkerOnReplacedFiles => true,
        Code::HotJournal | Code::UsedWithoutWalIndex => finding.severity == Severity::Error,
        _ => false,
    }
}
