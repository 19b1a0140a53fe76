//! Every rule by name.

mod content;
mod directory_identity;
mod findings;
mod groups;
mod kernel_identity;
mod lineage;
mod live;
mod process_mappings;
mod temporal;

use super::fixtures::*;
use super::*;
use crate::evidence::{LockState, Observation};

fn items(comparison: &Comparison, kind: Kind) -> Vec<(About, Says)> {
    comparison.verdict.because.iter().filter(|item| item.kind == kind).map(|item| (item.about, item.says)).collect()
}

fn says(comparison: &Comparison, kind: Kind) -> Says {
    items(comparison, kind)[0].1
}

fn codes(comparison: &Comparison) -> Vec<&str> {
    comparison.findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn unmap(sides: &mut [Side]) {
    for side in sides {
        side.evidence.mappings = Observation::denied("EACCES");
    }
}

/// Every observation of the `-shm`'s generation gone, as on tmpfs and overlay.
fn on(sides: &mut [Side], file_system: &crate::evidence::FileSystem) {
    for side in sides {
        for file in [
            &mut side.evidence.files.shm,
            &mut side.evidence.files.wal,
            &mut side.evidence.files.database,
            &mut side.evidence.files.directory,
        ] {
            seen(file).file_system = Observation::seen(file_system.clone());
            if file_system.name != "ext4" {
                seen(file).generation = Observation::unsupported("ENOTTY");
            }
        }
    }
}

#[test]
fn sharing_needs_memory_and_locks() {
    use super::verdict::together;
    use Answer::{Proven, Refuted, Undecided};
    assert_eq!(together(Proven, Proven), Proven);
    for (memory, locks) in [(Proven, Undecided), (Undecided, Proven), (Undecided, Undecided)] {
        assert_eq!(together(memory, locks), Undecided);
    }
    for other in [Proven, Refuted, Undecided] {
        assert_eq!(together(Refuted, other), Refuted);
        assert_eq!(together(other, Refuted), Refuted);
    }
}
