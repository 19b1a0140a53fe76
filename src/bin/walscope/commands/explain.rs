//! `walscope explain`: what a finding, an error of SQLite, or a word of the output means.

use anyhow::bail;
use walscope::report::explain;

use crate::exit::Exit;
use crate::options::Global;
use crate::output;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The code of a finding, an error of SQLite (name, number or message), a state, a lock or another word of the output; without one, all are listed
    #[arg(value_name = "WHAT")]
    what: Vec<String>,
}

/// Runs it.
pub fn run(args: &ExplainArgs, global: &Global) -> anyhow::Result<Exit> {
    // A message may come without quotes, as several words.
    let what = args.what.join(" ");
    let document = match explain::about(&what) {
        _ if args.what.is_empty() => explain::all(),
        Some(document) => document,
        None => bail!(
            "`{what}` is no code of a finding, no error of SQLite that has a section, no state and no lock; `walscope explain` lists all"
        ),
    };
    output::document(global, &document, |width| document.draw(width))?;
    Ok(Exit::Good)
}
