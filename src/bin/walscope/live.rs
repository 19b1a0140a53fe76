//! What live sides show together: sampled in turn, then tried in pairs.

use walscope::bundle::{self, Capture};
use walscope::compare::LivePair;
use walscope::linux::{self, LiveSide, OpenedFiles};

/// Samples of each side, taken in turn.
const SAMPLES: usize = 8;
/// At most so many sides are tried in pairs, because the time grows with the square of the number.
const SIDES: usize = 16;

/// Tries every pair of live sides. `held` has their descriptors, and their positions in `captures`. The samples are
/// added to the captures.
pub fn tried(held: &[(usize, OpenedFiles)], captures: &mut [Capture]) -> anyhow::Result<Vec<LivePair>> {
    if held.len() < 2 {
        return Ok(Vec::new());
    }
    for _ in 0..SAMPLES {
        for (at, files) in held {
            let sample = bundle::sample(files)?;
            if let Some(capture) = captures.get_mut(*at) {
                capture.manifest.evidence.samples.extend(sample);
            }
        }
    }
    let sides: Vec<_> =
        held.iter().take(SIDES).filter_map(|(at, files)| Some((*at, side(files, captures.get(*at)?)))).collect();
    let mut pairs = Vec::new();
    for (i, (x, a)) in sides.iter().enumerate() {
        for (y, b) in sides.iter().skip(i + 1) {
            pairs.push(LivePair { at: (*x, *y), live: linux::live(a, b) });
        }
    }
    Ok(pairs)
}

fn side<'a>(files: &'a OpenedFiles, capture: &'a Capture) -> LiveSide<'a> {
    let evidence = &capture.manifest.evidence;
    LiveSide { files, mappings: &evidence.mappings, mount_namespace: &evidence.host.namespaces.mount }
}
