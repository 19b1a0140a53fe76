//! `walscope snapshot`.
use crate::args::Global;
use crate::exit::Exit;

/// Arguments of `snapshot`.
#[derive(Debug, clap::Args)]
pub struct SnapshotArgs {}

/// Runs it.
pub fn run(_args: &SnapshotArgs, _global: &Global) -> anyhow::Result<Exit> {
    anyhow::bail!("in the making")
}
