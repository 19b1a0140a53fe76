//! The mounts of a process, from its `mountinfo`.

use crate::evidence::{Mount, Observation};
use crate::linux::procfs::Proc;
use crate::linux::target::Target;
use crate::linux::text::mountinfo;
use crate::linux::unseen::{and_then, unseen};

/// The mounts of the target's process.
pub(super) fn of(proc: &Proc, target: &Target) -> Observation<Vec<Mount>> {
    let text = match target.process(proc) {
        Ok(process) => process.observe("mountinfo"),
        Err(error) => unseen("mountinfo", &error),
    };
    and_then(&text, |text| match mountinfo::parse(text) {
        Ok(mounts) => Observation::seen(mounts),
        Err(error) => Observation::unsupported(format!("mountinfo: {error}")),
    })
}
