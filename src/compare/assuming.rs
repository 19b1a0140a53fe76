//! What a proof from captures takes for granted.
//!
//! Two copies of a machine have equal boot ids, clocks, processes and files. A disk whose content is put back has equal
//! inodes, generations and birth times. Captures cannot tell them from one machine and one disk, unless they met.

use super::{Answer, Assumption, Because, Kind, Pair, Says, contact, continuity};
use crate::evidence::file_system::{FileSystemKind, Inodes};
use crate::evidence::{FileView, Observation};
use crate::sides::Part;

/// What the proof about a pair takes for granted.
pub(super) fn of_pair(pair: &Pair<'_>, sharing: Answer, because: &[Because]) -> Vec<Assumption> {
    let known = sharing != Answer::Proven || pair.looked_at_by_one_process() || contact::met(pair);
    if known {
        return Vec::new();
    }
    let by_shm = because.iter().any(|item| item.kind == Kind::KernelIdentity && item.says == Says::Proves);
    let part = if by_shm { Part::Shm } else { Part::Directory };
    // No process ties two captures to one machine: a copy of a machine has copies of its processes, with their numbers
    // and start times. Within one machine, one mount ties them to one disk, and so does one moment.
    let assumed = [Some(Assumption::OneMachine), (!on_one_disk(pair, part)).then_some(Assumption::OneDisk)];
    assumed.into_iter().flatten().collect()
}

/// Whether no other disk can have been put in the place of the first one.
fn on_one_disk(pair: &Pair<'_>, part: Part) -> bool {
    let [a, b] = [pair.a, pair.b].map(|of| part.of(&of.side.evidence.files).value());
    let Some((a, b)) = a.zip(b) else { return false };
    let mounts = |file: &FileView| file.unique_mount_id.value().copied();
    let one_mount = mounts(a).is_some_and(|mount| mounts(b) == Some(mount));
    continuity::at_one_moment(pair) || one_mount || [a, b].into_iter().all(|file| in_memory(&file.file_system))
}

/// Whether a file system lives in the memory of the kernel: it cannot be copied without the machine.
fn in_memory(file_system: &Observation<crate::evidence::FileSystem>) -> bool {
    let kind = file_system.value().map(FileSystemKind::of);
    kind.is_some_and(|kind| kind.inodes == Inodes::Local { generations: false })
}

/// What the proof about more than two sides takes for granted: of the pairs that join them, the fewest. `pairs` are
/// positions of both sides, and what is assumed of them.
pub(super) fn of_all(sides: usize, mut pairs: Vec<([usize; 2], Vec<Assumption>)>) -> Vec<Assumption> {
    pairs.sort_by_key(|(_, assumed)| assumed.len());
    let mut group: Vec<usize> = (0..sides).collect();
    let mut all = Vec::new();
    for ([i, j], assumed) in pairs {
        let (Some(&x), Some(&y)) = (group.get(i), group.get(j)) else { continue };
        if x != y {
            group.iter_mut().filter(|member| **member == y).for_each(|member| *member = x);
            all.extend(assumed);
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}
