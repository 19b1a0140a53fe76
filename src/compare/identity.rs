//! Whether a file is one inode of one kernel: the rules of kernel identity, for the `-shm` and for the other files.
//!
//! One inode of a file system on the allow-list has one page cache and one list of locks. Equal numbers alone do not
//! show one inode: numbers are reused, and on FUSE and overlay one inode number was seen with memory that was not
//! shared.

use std::cmp::Ordering;

use super::{About, Because, Fact, Pair, Placed, Says, Side, contact, continuity, kernel};
use crate::evidence::file_system::{FileSystemKind, Inodes, SharedMappings};
use crate::evidence::{Evidence, FileSystem, FileView, InodeId, Observation};
use crate::sides::{
    BothLooks, Difference, Identity, NoProof, Part, Recorded, Replaced, ReuseUnseen, SecondSign, SeenFile, Unknown,
    Unseen, What,
};

/// Clock differences up to this are ignored: two clocks are read one after the other, and clocks are adjusted slowly.
const CLOCKS_AGREE: i128 = 1_000_000_000;
/// folklore: the clock of inode times does not change between ticks, so a birth time can be up to 10 ms (CONFIG_HZ=100)
/// before the event. Held by `a_birth_within_a_tick_of_the_look_refutes_nothing`.
const TICK: i128 = 20_000_000;

/// Whether the `-shm` of a side is on a file system of the allow-list.
pub(super) fn shm_is_local(side: &Side) -> bool {
    let file_system = side.evidence.files.shm.value().and_then(|file| file.file_system.value());
    file_system.is_some_and(|found| FileSystemKind::of(found).mappings == SharedMappings::OneCache)
}

/// What one side saw of one file.
struct Look<'a> {
    of: Placed<'a>,
    file: &'a FileView,
    id: InodeId,
    file_system: &'a FileSystem,
    kind: &'static FileSystemKind,
}

impl Look<'_> {
    fn seen(&self) -> SeenFile {
        SeenFile {
            side: self.of.index,
            id: self.id,
            file_system: self.file_system.clone(),
            generation: self.file.generation.value().copied(),
            born: self.file.birth_time.value().copied(),
        }
    }
}

fn both(a: &Look<'_>, b: &Look<'_>, part: Part) -> BothLooks {
    BothLooks { part, a: Box::new(a.seen()), b: Box::new(b.seen()) }
}

/// What a missing value would have shown, and why it is missing.
fn unseen<T>(of: Placed<'_>, what: What, observation: &Observation<T>) -> Unseen {
    Unseen { side: of.index, what, reason: Recorded::of(observation) }
}

/// Judges the identity of one file of both sides.
pub(super) fn judge(pair: &Pair<'_>, part: Part) -> Identity {
    weigh(pair, part).unwrap_or_else(Identity::Unknown)
}

/// Whether the path still led to this part when the capture ended. A folder stays when its files are replaced.
fn still_there(evidence: &Evidence, file: &FileView, part: Part) -> bool {
    evidence.reachable(file) || part == Part::Directory && evidence.folder_unchanged && file.links > 0
}

fn weigh(pair: &Pair<'_>, part: Part) -> Result<Identity, Unknown> {
    kernel::one_kernel(pair).map_err(Unknown::Kernel)?;
    let (a, b) = (look(pair.a, part)?, look(pair.b, part)?);
    for side in [&a, &b] {
        if !still_there(&side.of.side.evidence, side.file, part) {
            return match part {
                Part::Shm => Ok(Identity::Replaced(Replaced::DuringCapture(part, side.of.index))),
                _ => Err(Unknown::Gone(part, side.of.index)),
            };
        }
    }
    match (a.kind.inodes, b.kind.inodes) {
        (Inodes::Unreliable, _) | (_, Inodes::Unreliable) => elsewhere(&a, &b, part),
        (Inodes::Overlay, _) | (_, Inodes::Overlay) => overlay(pair, &a, &b, part),
        _ => local(pair, &a, &b, part),
    }
}

fn look(of: Placed<'_>, part: Part) -> Result<Look<'_>, Unknown> {
    let observed = part.of(&of.side.evidence.files);
    let file =
        observed.value().ok_or_else(|| Unknown::Unseen(unseen(of, What::unseen_file(part, observed), observed)))?;
    let id = if part.is_known_as_mapped() {
        let mapped = || Unknown::Unseen(unseen(of, What::MappedIdentity(part), &file.maps_identity));
        *file.maps_identity.value().ok_or_else(mapped)?
    } else {
        InodeId { device: file.device, inode: file.inode }
    };
    let no_file_system = || Unknown::Unseen(unseen(of, What::FileSystem(part), &file.file_system));
    let file_system = file.file_system.value().ok_or_else(no_file_system)?;
    Ok(Look { of, file, id, file_system, kind: FileSystemKind::of(file_system) })
}

/// File systems that promise nothing about identity.
fn elsewhere(a: &Look<'_>, b: &Look<'_>, part: Part) -> Result<Identity, Unknown> {
    match difference(a, b) {
        None => Ok(Identity::Alike(both(a, b, part), NoProof::FileSystem)),
        Some(difference) => Err(Unknown::FileSystem(both(a, b, part), difference)),
    }
}

/// At least one overlay, and the other side local. Locks belong to the inode of the overlay, pages to the inode behind
/// it.
fn overlay(pair: &Pair<'_>, a: &Look<'_>, b: &Look<'_>, part: Part) -> Result<Identity, Unknown> {
    if !locks_apart(a, b) {
        return match difference(a, b) {
            None => Ok(Identity::Alike(both(a, b, part), NoProof::Overlay)),
            Some(difference) => Err(Unknown::Overlay(both(a, b, part), difference)),
        };
    }
    at_one_moment(pair, a, b, part)?;
    Ok(Identity::TwoLockInodes(both(a, b, part)))
}

/// Whether the inodes that hold the locks are two.
///
/// folklore: the numbers of one overlay file can change with its copy-up (layers on several file systems without xino),
/// device and inode together. So on one overlay only another inode number on the same device counts. Held by
/// `one_overlay_with_other_devices_around_a_copy_up_refutes_nothing`.
fn locks_apart(a: &Look<'_>, b: &Look<'_>) -> bool {
    if a.kind.inodes != b.kind.inodes {
        return true;
    }
    let superblock = |look: &Look<'_>| {
        let id = look.file.mount_id.value()?;
        look.of.side.evidence.host.mounts.value()?.iter().find(|mount| mount.id == *id).map(|mount| mount.device)
    };
    let two_overlays = superblock(a).zip(superblock(b)).is_some_and(|(a, b)| a != b);
    two_overlays || (a.file.device == b.file.device && a.file.inode != b.file.inode)
}

/// Both on file systems of the allow-list.
fn local(pair: &Pair<'_>, a: &Look<'_>, b: &Look<'_>, part: Part) -> Result<Identity, Unknown> {
    let btrfs_by_stat = !part.is_known_as_mapped() && [a, b].iter().any(|look| look.kind.subvolumes);
    let looks = both(a, b, part);
    match difference(a, b) {
        None if btrfs_by_stat => Ok(Identity::Alike(looks, NoProof::Btrfs)),
        None => Ok(match missing_for_proof(pair, a, b, part) {
            None => Identity::OneInode(looks),
            Some(missing) => Identity::Alike(looks, missing),
        }),
        Some(difference) if btrfs_by_stat => Err(Unknown::Btrfs(looks, difference)),
        Some(difference) if made_anew(pair, a, b) => Ok(Identity::Replaced(Replaced::Between(looks, difference))),
        Some(_) => {
            at_one_moment(pair, a, b, part)?;
            Ok(Identity::TwoInodes(looks))
        }
    }
}

/// What distinguishes the two files; `None` if nothing does.
fn difference(a: &Look<'_>, b: &Look<'_>) -> Option<Difference> {
    if a.id != b.id {
        return Some(Difference::Numbers);
    }
    if a.file_system.magic != b.file_system.magic || a.file_system.fsid != b.file_system.fsid {
        return Some(Difference::FileSystem);
    }
    if a.file.generation.value().zip(b.file.generation.value()).is_some_and(|(x, y)| x != y) {
        return Some(Difference::Generation);
    }
    let births = a.file.birth_time.value().zip(b.file.birth_time.value());
    births.is_some_and(|(x, y)| x != y).then_some(Difference::Birth)
}

/// What is missing to call equal numbers one inode; `None` if nothing is missing.
fn missing_for_proof(pair: &Pair<'_>, a: &Look<'_>, b: &Look<'_>, part: Part) -> Option<NoProof> {
    let generations = a.kind.inodes == Inodes::Local { generations: true };
    // The fsid of a tmpfs is new for each mount, and there is no disk that could be copied.
    // Captures that met had one -shm open at one moment: then its number is not reused, and it is on one disk.
    let met = part == Part::Shm && contact::met(pair);
    if generations
        && !met
        && let Err(why) = continuity::one_file_system(pair, a.file, b.file)
    {
        return Some(NoProof::NotOneFileSystem(why));
    }
    let missing = [a, b].into_iter().find(|look| look.file.birth_time.value().is_none());
    let birth = missing.map(|look| unseen(look.of, What::BirthTime(part), &look.file.birth_time));
    let second = if generations {
        let missing = [a, b].into_iter().find(|look| look.file.generation.value().is_none());
        missing.map(|look| SecondSign::Generation(unseen(look.of, What::Generation(part), &look.file.generation)))
    } else {
        // folklore: older kernels give every tmpfs an f_fsid of zero. Held by `a_zero_fsid_of_tmpfs_is_no_evidence`.
        let zero = a.file_system.fsid.bytes().all(|digit| digit == b'0');
        zero.then_some(SecondSign::FileSystemId)
    };
    // While both descriptors are open the number cannot be reused, and one sign is enough. A sign that was refused
    // might have been different, so then it is not enough.
    let refused = |file: &FileView| {
        matches!(file.birth_time, Observation::Denied { .. })
            || (generations && matches!(file.generation, Observation::Denied { .. }))
    };
    let one_is_enough = (pair.simultaneous || met) && !refused(a.file) && !refused(b.file);
    let enough = match (&birth, &second) {
        (None, None) => true,
        (None, Some(_)) => one_is_enough,
        (Some(_), None) => one_is_enough && generations,
        (Some(_), Some(_)) => false,
    };
    (!enough).then_some(NoProof::NumbersAreReused(ReuseUnseen { birth, second }))
}

/// Whether it is proven that both inodes were at their paths at one moment. The lifetimes of both have to show that
/// they existed, and the life of the files that are open on the later side that one did not replace the other.
///
/// # Errors
/// Why that cannot be said.
fn at_one_moment(pair: &Pair<'_>, a: &Look<'_>, b: &Look<'_>, part: Part) -> Result<(), Unknown> {
    if pair.simultaneous {
        return Ok(());
    }
    // folklore: a file system that is mounted again can get another device number and has the same inodes. The birth
    // time of an inode cannot change. Held by `a_file_system_mounted_anew_refutes_nothing`.
    let (x, y) = (a.file, b.file);
    let births = x.birth_time.value().zip(y.birth_time.value());
    let generations = x.generation.value().zip(y.generation.value());
    let two = births.is_some_and(|(x, y)| x != y) || generations.is_some_and(|(x, y)| x != y);
    let overlap = two && order(a, b).is_some_and(|order| order.born.is_some_and(|born| born < order.begun));
    if !overlap {
        return Err(Unknown::MayBeReplaced(both(a, b, part)));
    }
    continuity::unbroken(pair).map_err(|gap| Unknown::MayBeMoved(both(a, b, part), gap))
}

/// Whether the file that was seen later was created after the earlier look had ended.
fn made_anew(pair: &Pair<'_>, a: &Look<'_>, b: &Look<'_>) -> bool {
    !pair.simultaneous && order(a, b).is_some_and(|order| order.born.is_some_and(|born| born > order.ended))
}

/// Two captures on one wall clock, in nanoseconds. Margins are included.
struct Order {
    /// Birth of the file that was seen later.
    born: Option<i128>,
    /// The earlier capture began, at the earliest.
    begun: i128,
    /// The earlier capture ended, at the latest.
    ended: i128,
}

/// What was refused for one file of either side, and might have distinguished it from the other's.
pub(super) fn refused(pair: &Pair<'_>, part: Part) -> Option<Unseen> {
    [pair.a, pair.b].into_iter().find_map(|of| {
        let file = part.of(&of.side.evidence.files).value()?;
        match (&file.birth_time, &file.generation, &file.mount_id, &of.side.evidence.host.mounts) {
            (it @ Observation::Denied { .. }, ..) => Some(unseen(of, What::BirthTime(part), it)),
            (_, it @ Observation::Denied { .. }, ..) => Some(unseen(of, What::Generation(part), it)),
            (_, _, it @ Observation::Denied { .. }, _) => Some(unseen(of, What::Mount(part), it)),
            (.., it @ Observation::Denied { .. }) => Some(unseen(of, What::Mount(part), it)),
            _ => None,
        }
    })
}

/// Puts two captures in order. `None` if the clocks cannot be compared, if neither capture is later, or if the wall
/// clock was set between them.
fn order(a: &Look<'_>, b: &Look<'_>) -> Option<Order> {
    let time = |look: &Look<'_>| {
        let evidence = &look.of.side.evidence;
        Some((evidence.ended.host_boottime()?, evidence.begun.host_boottime()?))
    };
    let (earlier, later) = match time(a)?.cmp(&time(b)?) {
        Ordering::Less => (a, b),
        Ordering::Greater => (b, a),
        Ordering::Equal => return None,
    };
    let mut differences = Vec::with_capacity(4);
    for look in [a, b] {
        for clock in [look.of.side.evidence.begun, look.of.side.evidence.ended] {
            differences.push(clock.realtime.since_1970() - i128::from(clock.host_boottime()?));
        }
    }
    let drift = differences.iter().max()? - differences.iter().min()?;
    if drift > CLOCKS_AGREE {
        return None;
    }
    Some(Order {
        born: later.file.birth_time.value().map(|time| time.since_1970()),
        begun: earlier.of.side.evidence.begun.realtime.since_1970() - drift - TICK,
        ended: earlier.of.side.evidence.ended.realtime.since_1970() + drift,
    })
}

/// Kernel identity of the `-shm` as evidence.
pub(super) fn because(identity: &Identity) -> Vec<Because> {
    let one = |about, says| Because::new(about, says, Fact::KernelIdentity(identity.clone()));
    match identity {
        Identity::OneInode(_) => vec![one(About::Both, Says::Proves)],
        Identity::Alike(..) => vec![one(About::Both, Says::Supports)],
        Identity::TwoInodes(_) => vec![one(About::Both, Says::Refutes)],
        Identity::TwoLockInodes(_) => {
            vec![one(About::Locks, Says::Refutes), Because::new(About::Memory, Says::Silent, Fact::OverlayPages)]
        }
        Identity::Replaced(_) | Identity::Unknown(_) => vec![one(About::Both, Says::Silent)],
    }
}
