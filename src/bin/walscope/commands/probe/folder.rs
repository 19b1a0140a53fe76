//! A trial on a folder, for a volume that has no database yet.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use walscope::compare::{Met, probe};
use walscope::linux::challenge::trial;
use walscope::report::probe::{Action, Latency, On, ProbeDocument, SCHEMA, nonce};

use crate::exit::{Exit, exit_of};
use crate::options::Global;
use crate::output;
use crate::stop::Stop;

/// Meets another side in a folder.
pub fn meet(source: &Path, token: &str, timeout: Duration, stop: &Stop, global: &Global) -> anyhow::Result<Exit> {
    let folder = File::open(source).with_context(|| source.display().to_string())?;
    let trial = trial::meet(&folder, token, timeout, &|| stop.asked())
        .with_context(|| format!("{}: a scratch file in it", source.display()))?;
    let verdict = probe(Met::Folder(trial.file_system.value()), &trial.live);
    let document = ProbeDocument {
        schema: SCHEMA,
        action: Action::Meet,
        on: On::ScratchFile,
        source: source.display().to_string(),
        nonce: nonce(trial.nonce),
        peer_nonce: trial.peer.map(nonce),
        other_nonces: trial.others.iter().copied().map(nonce).collect(),
        acknowledged: trial.peer.map(|_| trial.live.coherence.is_some()),
        held_throughout: None,
        latency: Latency::of(&trial.live),
        verdict: None,
        explanation: String::new(),
        findings: Vec::new(),
        left_behind: trial.left_behind.iter().copied().map(nonce).collect(),
    }
    .judged(&verdict);
    output::document(global, &document, |width| document.draw(width))?;
    Ok(exit_of(verdict.sharing.into()))
}
