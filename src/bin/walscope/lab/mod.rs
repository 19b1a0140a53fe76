//! `walscope lab`.
use crate::args::Global;
use crate::exit::Exit;

/// Arguments of `lab`.
#[derive(Debug, clap::Args)]
pub struct LabArgs {}

/// Runs it.
pub fn run(_args: &LabArgs, _global: &Global) -> anyhow::Result<Exit> {
    anyhow::bail!("in the making")
}
