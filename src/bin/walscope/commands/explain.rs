//! `walscope explain`: what a finding means.

use anyhow::bail;
use walscope::report::explain;

use crate::exit::Exit;
use crate::options::Global;
use crate::output;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The code of a finding; without one, all are listed
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// Runs it.
pub fn run(args: &ExplainArgs, global: &Global) -> anyhow::Result<Exit> {
    let document = match &args.code {
        None => explain::all(),
        Some(code) => match explain::one(code) {
            Some(document) => document,
            None => bail!("no finding has the code `{code}`; `walscope explain` lists them all"),
        },
    };
    output::document(global, &document, |width| document.draw(width))?;
    Ok(Exit::Good)
}
