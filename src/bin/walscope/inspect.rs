//! `walscope inspect`.
use crate::args::Global;
use crate::exit::Exit;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {}

/// Runs it.
pub fn run(_args: &InspectArgs, _global: &Global) -> anyhow::Result<Exit> {
    anyhow::bail!("in the making")
}
