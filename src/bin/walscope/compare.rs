//! `walscope compare`.
use crate::args::Global;
use crate::exit::Exit;

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {}

/// Runs it.
pub fn run(_args: &CompareArgs, _global: &Global) -> anyhow::Result<Exit> {
    anyhow::bail!("in the making")
}
