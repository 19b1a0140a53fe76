//! The sharing verdict: every rule by name, what holds for any two sides, and the recorded scenarios.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod contact;
mod content;
mod contradiction;
mod directory_identity;
mod every_field;
mod findings;
mod fixtures;
mod groups;
mod kernel_identity;
mod lineage;
mod live;
mod lock_pairing;
mod pieces;
mod process_mappings;
mod properties;
#[cfg(target_os = "linux")]
mod scenarios;
mod temporal;

use fixtures::*;
use walscope::compare::*;
use walscope::evidence::{LockState, Observation};

fn items(comparison: &Comparison, kind: Kind) -> Vec<(About, Says)> {
    comparison.verdict.because().filter(|item| item.kind == kind).map(|item| (item.about, item.says)).collect()
}

fn says(comparison: &Comparison, kind: Kind) -> Says {
    items(comparison, kind)[0].1
}

/// The only fact of a kind.
fn fact(comparison: &Comparison, kind: Kind) -> &Fact {
    &comparison.verdict.because().find(|item| item.kind == kind).unwrap().fact
}

/// The verdict in a sentence.
fn explained(comparison: &Comparison) -> String {
    walscope::say::verdict::explain(comparison)
}

const WRITER: SideIndex = SideIndex(0);
const READER: SideIndex = SideIndex(1);
const THIRD: SideIndex = SideIndex(2);

fn codes(comparison: &Comparison) -> Vec<&str> {
    comparison.findings.iter().map(|finding| finding.code().name()).collect()
}

fn unmap(sides: &mut [Side]) {
    for side in sides {
        side.evidence.mappings = Observation::denied("EACCES");
    }
}

/// Every observation of the `-shm`'s generation gone, as on tmpfs and overlay.
fn on(sides: &mut [Side], file_system: &walscope::evidence::FileSystem) {
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
    use Answer::{Proven, Refuted, Undecided};
    let together = |memory, locks| Answer::of_both(memory, locks);
    assert_eq!(together(Proven, Proven), Proven);
    for (memory, locks) in [(Proven, Undecided), (Undecided, Proven), (Undecided, Undecided)] {
        assert_eq!(together(memory, locks), Undecided);
    }
    for other in [Proven, Refuted, Undecided] {
        assert_eq!(together(Refuted, other), Refuted);
        assert_eq!(together(other, Refuted), Refuted);
    }
}
