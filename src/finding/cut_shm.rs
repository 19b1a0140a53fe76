//! A `-shm` that is too short for those who use it.
//!
//! folklore: SQLite maps the `-shm` in blocks of 32 KiB, after it has made the file long enough. Where somebody else cuts the
//! file, the mapping stays and the pages behind the new end are gone: the kernel kills the process with SIGBUS when it
//! touches one of them, and it touches the first at each statement. The first connection to open a `-shm` cuts it to 3
//! bytes itself (`unixLockSharedMemory`), and nobody has it mapped then. Held by
//! `a_shm_that_was_cut_off_in_use_kills_its_process`.

use std::collections::BTreeSet;

use super::mappers::Mappers;
use super::{Finding, Found, Severity};
use crate::evidence::{ByteLock, Evidence, MappedIndex};
use crate::format::shm::{BLOCK_SIZE, block_of};
use crate::look::{Inspection, MappedHead};
use crate::number::FrameNumber;
use crate::sides::Process;

/// Bytes of a wal-index that counts this many frames.
fn needed(mx_frame: FrameNumber) -> u64 {
    let blocks = if mx_frame == FrameNumber::NONE { 1 } else { u64::from(block_of(mx_frame)).saturating_add(1) };
    blocks.saturating_mul(BLOCK_SIZE as u64)
}

/// The size of a `-shm` in use that is shorter than the frames that its header counts need, and what they need.
#[must_use]
pub fn too_short_for_its_frames(examined: &Inspection) -> Option<(u64, u64)> {
    let (size, header) = (examined.sizes.shm?, examined.trusted()?);
    let needed = needed(header.mx_frame);
    (examined.must_hold() && size < needed).then_some((size, needed))
}

/// The finding about one look.
#[must_use]
pub fn of_look(examined: &Inspection) -> Option<Finding> {
    if examined.changed {
        return None;
    }
    let size = examined.sizes.shm?;
    let evidence = examined.surroundings.as_ref();
    // Read again after the look at the processes: a `-shm` that grew meanwhile was only being made.
    let still = |needed: u64| size < needed && evidence.is_none_or(|evidence| size_later(evidence) < Some(needed));
    let (mapped, end) = evidence.map(mapped_beyond_the_end).unwrap_or_default();
    if !mapped.is_empty() && still(end) {
        let mappers = Mappers::Here(mapped.into_iter().collect());
        return Some(Finding::new(Found::ShmTruncated { size, needed: end, mappers }));
    }
    let block = BLOCK_SIZE as u64;
    // A reader locks a slot after it has read the header in its mapping.
    let reads = || examined.locks.as_ref().is_some_and(|locks| locks.shm.read.iter().any(ByteLock::held));
    let (severity, needed) = match too_short_for_its_frames(examined) {
        Some((_, needed)) => (Severity::Error, needed),
        None if still(block) && examined.in_use() && reads() => (Severity::Error, block),
        // If there is a head, others say what is wrong with it.
        None if still(block) && examined.in_use() && examined.shm.is_none() => (Severity::Notice, block),
        None => return None,
    };
    Some(Finding::at(severity, Found::ShmTruncated { size, needed, mappers: Mappers::Here(holders(examined)) }))
}

/// The finding about a wal-index that was found by its mappings.
#[must_use]
pub fn of_mapped(index: &MappedIndex) -> Option<Finding> {
    let (size, first) = (index.size?, index.processes.first()?);
    let counted = MappedHead::of(index).header.map_or(FrameNumber::NONE, |header| header.mx_frame);
    let needed = needed(counted);
    (size < needed).then(|| {
        let (mapped, path, processes) = (index.identity, first.path.clone(), index.processes.clone());
        Finding::new(Found::ShmTruncated { size, needed, mappers: Mappers::Index { mapped, path, processes } })
    })
}

fn size_later(evidence: &Evidence) -> Option<u64> {
    Some(evidence.files.shm.value()?.size)
}

/// Processes that have more of the `-shm` mapped than there is of it, and up to where.
fn mapped_beyond_the_end(evidence: &Evidence) -> (BTreeSet<Process>, u64) {
    let shm = evidence.files.shm.value().and_then(|file| Some((*file.maps_identity.value()?, file.size)));
    let Some((identity, size)) = shm else { return <_>::default() };
    let all = evidence.mappings.value().into_iter().flat_map(|view| &view.mappings);
    let of_this = all.filter(|mapping| mapping.shared && mapping.inode == identity && mapping.cut_off.is_none());
    let beyond = of_this.map(|mapping| (mapping, mapping.offset.saturating_add(mapping.length)));
    let beyond: Vec<_> = beyond.filter(|(_, end)| *end > size).collect();
    let end = beyond.iter().map(|(_, end)| *end).max().unwrap_or_default();
    (beyond.into_iter().map(|(mapping, _)| Process::from(mapping)).collect(), end)
}

/// Who was seen to hold the dead-man switch.
fn holders(examined: &Inspection) -> Vec<Process> {
    let switch = examined.locks.iter().flat_map(|locks| &locks.shm.dead_man_switch.holders);
    switch.filter_map(|holder| Some(Process { pid: holder.pid?, command: holder.command.clone() })).collect()
}
