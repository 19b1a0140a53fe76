//! What walscope sees on both sides while they have the database open.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use walscope::bundle::Capture;
use walscope::bytes::read_all;
use walscope::evidence::live::Live;
use walscope::linux::Care;
use walscope::look::Options;
use walscope::report::checkpoint::CheckpointDocument;
use walscope::report::compare::CompareDocument;
use walscope::report::inspect::InspectDocument;
use walscope::source;

use super::experiment::Both;
use super::means::{Means, Said};
use crate::commands::compare::{Captured, capture_all};
use crate::output;

/// The experiment may look where that does harm: it shows what a look does on two FUSE mounts.
const CARE: Care = Care { strict_atime: false, look_anyway: true };

/// A limit that is larger than any `-shm` that `--rows` can make.
const MOST_SHM: u64 = 64 << 20;

/// What was seen.
#[derive(Debug)]
pub struct Looked {
    /// The comparison of the two live sides, seen from outside, or of the two snapshots if that is not possible.
    pub comparison: CompareDocument,
    /// Why the comparison is of the snapshots.
    pub reason: Option<String>,
    /// What walscope said of the live sides, and of the snapshots.
    pub said: Vec<Said>,
    /// What the two live sides showed together.
    pub live: Option<Live>,
    /// Whether the two captured `-shm` are byte for byte equal; `None` when one is missing.
    pub hex_dump_equal: Option<bool>,
    /// The checkpoint as `inspect` of the writer diagnoses it from outside.
    pub checkpoint: Option<CheckpointDocument>,
}

/// Looks at `sources` from outside if that is possible, else at the snapshots.
pub fn look(sources: &Both<OsString>, bundles: &Both<PathBuf>) -> anyhow::Result<Looked> {
    let options = Options::default();
    let snapshots = snapshots(bundles)?;
    let of_snapshots = snapshots.document(&options)?;
    let mut said = vec![Said::of_compare(Means::Bundles, &of_snapshots)];
    let (captured, comparison, reason) = match live(sources) {
        Ok(captured) => {
            let comparison = captured.document(&options)?;
            said.insert(0, Said::of_compare(Means::Live, &comparison));
            (captured, comparison, None)
        }
        Err(error) => {
            let reason = format!("the two snapshots are compared: from outside, {error:#}");
            (snapshots, of_snapshots, Some(reason))
        }
    };
    Ok(Looked {
        comparison,
        said,
        hex_dump_equal: equal_shm(&captured.captures)?,
        checkpoint: if reason.is_none() { checkpoint(&sources.writer)? } else { None },
        live: captured.live.into_iter().next().map(|pair| pair.live),
        reason,
    })
}

fn live(sources: &Both<OsString>) -> anyhow::Result<Captured> {
    let mut captured = capture_all(&[sources.writer.clone(), sources.reader.clone()], CARE)?;
    label(&mut captured.captures);
    Ok(captured)
}

fn snapshots(bundles: &Both<PathBuf>) -> anyhow::Result<Captured> {
    let mut captures = vec![Capture::open(&bundles.writer)?, Capture::open(&bundles.reader)?];
    label(&mut captures);
    let processes = vec![None; captures.len()];
    Ok(Captured { captures, simultaneous: false, live: Vec::new(), processes })
}

fn label(captures: &mut [Capture]) {
    for (capture, label) in captures.iter_mut().zip(["writer", "reader"]) {
        label.clone_into(&mut capture.label);
    }
}

fn equal_shm(captures: &[Capture]) -> anyhow::Result<Option<bool>> {
    let [Some(writer), Some(reader)] = [0, 1].map(|at| captures.get(at).and_then(|capture| capture.shm.as_ref()))
    else {
        return Ok(None);
    };
    Ok(Some(read_all(writer.as_ref(), MOST_SHM)? == read_all(reader.as_ref(), MOST_SHM)?))
}

/// What `walscope inspect` says of the checkpoint.
fn checkpoint(source: &OsString) -> anyhow::Result<Option<CheckpointDocument>> {
    let (_, inspection) = source::inspect(source, CARE, &Options::default())?;
    Ok(InspectDocument::new(&inspection).checkpoint)
}

/// Keeps what the two live sides showed together beside their bundles.
pub fn keep(live: &Live, bundles: &Path) -> anyhow::Result<()> {
    let path = kept(bundles);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    output::write_json(file.with_context(|| path.display().to_string())?, live)
}

/// The file that [`keep`] writes.
pub fn kept(bundles: &Path) -> PathBuf {
    bundles.join("live.json")
}
