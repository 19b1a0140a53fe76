//! Is it one inode in one kernel? The rules of kernel identity, for the `-shm` and for other files.
//!
//! One inode on a file system of the allow-list has one page cache and one list of locks. Equal numbers alone are not
//! one inode: numbers are reused, and elsewhere (FUSE, overlay) one inode number stood for memory that was not shared.

use std::cmp::Ordering;

use super::{About, Because, Kind, Pair, Says, Side, continuity};
use crate::evidence::file_system::{FileSystemKind, Inodes};
use crate::evidence::{Evidence, FileSystem, FileView, FilesView, InodeId, Observation, Timestamp};

/// What two looks at a file come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// One inode in one kernel.
    One(String),
    /// Equal as far as could be seen, which is short of a proof.
    Alike(String),
    /// Two inodes that existed at the same moment.
    Two(String),
    /// Behind at least one overlay: the inodes that hold the locks are two; the pages may still be shared.
    LocksApart(String),
    /// Another inode took the place of the first, after the first was looked at or while it was.
    MadeAnew(String),
    /// Cannot be told.
    Unknown(String),
}

/// A file of a side, and where its numbers come from.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// As it is called in sentences.
    pub name: &'static str,
    /// Where it stands.
    pub of: fn(&FilesView) -> &Observation<FileView>,
    /// Device and inode as the kernel prints them for a mapping; else as stat(2) says. The `-shm`.
    pub by_mapping: bool,
    /// It is the folder.
    pub is_directory: bool,
}

/// The `-shm`, by the numbers that the kernel prints for a mapping of it.
pub(super) const SHM: Part = Part { name: "-shm", of: |files| &files.shm, by_mapping: true, is_directory: false };
/// The `-wal`.
pub(super) const WAL: Part = Part { name: "-wal", of: |files| &files.wal, by_mapping: false, is_directory: false };
/// The database.
pub(super) const DATABASE: Part =
    Part { name: "database", of: |files| &files.database, by_mapping: false, is_directory: false };
/// The directory.
pub(super) const DIRECTORY: Part =
    Part { name: "directory", of: |files| &files.directory, by_mapping: false, is_directory: true };

/// Clock differences up to this are put down to reading two clocks one after the other and to slewing.
const CLOCKS_AGREE: i128 = 1_000_000_000;
/// folklore: inode times are taken from a clock that stands still between ticks, so a birth time can be up to 10 ms
/// (CONFIG_HZ=100) before the moment itself. Held by `a_birth_within_a_tick_of_the_look_refutes_nothing`.
const TICK: i128 = 20_000_000;

/// Whether the `-shm` of a side is on a file system of the allow-list.
pub(super) fn shm_is_local(side: &Side) -> bool {
    let file_system = side.evidence.files.shm.value().and_then(|file| file.file_system.value());
    file_system.is_some_and(|found| FileSystemKind::of(found).is_local())
}

/// One side's look at one file.
struct Look<'a> {
    side: &'a Side,
    file: &'a FileView,
    id: InodeId,
    file_system: &'a FileSystem,
    kind: &'static FileSystemKind,
}

/// Judges one file of both sides.
pub(super) fn judge(pair: &Pair<'_>, part: Part) -> Identity {
    weigh(pair, part).unwrap_or_else(Identity::Unknown)
}

/// Boot ids of both sides: seen and equal.
///
/// # Errors
/// Why nothing can be compared. Different boot ids refute nothing: the file can be mounted over.
pub(super) fn same_kernel(pair: &Pair<'_>) -> Result<(), String> {
    let of = |side: &'_ Side| match &side.evidence.host.boot_id {
        Observation::Seen { value } => Ok(value.clone()),
        other => Err(format!("the boot id of {} was not seen: {}", side.label, other.reason().unwrap_or_default())),
    };
    if of(pair.a)? == of(pair.b)? {
        return Ok(());
    }
    Err("the boot ids differ: two kernels, or one of the two was mounted over; identities cannot be compared"
        .to_owned())
}

/// Whether the path still led to this file when the capture ended.
pub(super) fn reachable(evidence: &Evidence, file: &FileView) -> bool {
    evidence.paths_unchanged && file.links > 0
}

/// Whether the path still led to this part when the capture ended. A folder stays where its files come and go.
fn still_there(evidence: &Evidence, file: &FileView, part: Part) -> bool {
    reachable(evidence, file) || part.is_directory && evidence.folder_unchanged && file.links > 0
}

fn weigh(pair: &Pair<'_>, part: Part) -> Result<Identity, String> {
    same_kernel(pair)?;
    let (a, b) = (look(pair.a, part)?, look(pair.b, part)?);
    for side in [&a, &b] {
        if !still_there(&side.side.evidence, side.file, part) {
            let gone =
                format!("the {} of {} was deleted or replaced while it was captured", part.name, side.side.label);
            return if part.by_mapping { Ok(Identity::MadeAnew(gone)) } else { Err(gone) };
        }
    }
    match (a.kind.inodes, b.kind.inodes) {
        (Inodes::Unreliable, _) | (_, Inodes::Unreliable) => elsewhere(&a, &b, part),
        (Inodes::Overlay, _) | (_, Inodes::Overlay) => overlay(pair, &a, &b, part),
        _ => local(pair, &a, &b, part),
    }
}

fn look<'a>(side: &'a Side, part: Part) -> Result<Look<'a>, String> {
    let unseen = |what: &str, reason: Option<&str>| {
        format!("{what} of the {} of {} was not seen: {}", part.name, side.label, reason.unwrap_or_default())
    };
    let observed = (part.of)(&side.evidence.files);
    let Some(file) = observed.value() else {
        let reason = observed.reason().unwrap_or_default();
        return Err(format!("the {} of {} was not seen: {reason}", part.name, side.label));
    };
    let id = if part.by_mapping {
        *file.maps_identity.value().ok_or_else(|| unseen("the identity as mapped", file.maps_identity.reason()))?
    } else {
        InodeId { device: file.device, inode: file.inode }
    };
    let file_system = file.file_system.value().ok_or_else(|| unseen("the file system", file.file_system.reason()))?;
    Ok(Look { side, file, id, file_system, kind: FileSystemKind::of(file_system) })
}

/// File systems that promise nothing about identity.
fn elsewhere(a: &Look<'_>, b: &Look<'_>, part: Part) -> Result<Identity, String> {
    let names = names(a, b);
    match difference(a, b) {
        None => Ok(Identity::Alike(format!(
            "the {} is {} on both sides, but on {names} equal identity does not mean shared memory: on one FUSE mount everything was equal and memory was not shared",
            part.name, a.id
        ))),
        Some(difference) => {
            Err(format!("{difference}, but on {names} different numbers do not mean different memory or locks"))
        }
    }
}

/// At least one overlay, the other local. Locks live on the overlay's own inode, pages on another.
fn overlay(pair: &Pair<'_>, a: &Look<'_>, b: &Look<'_>, part: Part) -> Result<Identity, String> {
    if !locks_apart(a, b) {
        return match difference(a, b) {
            None => Ok(Identity::Alike(format!(
                "the {} is {} on both sides, but on {} equal identity does not mean shared memory: around a copy-up everything was equal and memory was not shared",
                part.name,
                a.id,
                names(a, b)
            ))),
            Some(difference) => Err(format!("{difference}, which on one overlay a copy-up can bring about")),
        };
    }
    at_one_moment(pair, a, b, part)?;
    Ok(Identity::LocksApart(format!(
        "the {} is {} on {} and {} on {}: locks live on an overlay's own inode, and these are two",
        part.name,
        described(a),
        a.side.label,
        described(b),
        b.side.label
    )))
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
        look.side.evidence.host.mounts.value()?.iter().find(|mount| mount.id == *id).map(|mount| mount.device)
    };
    let two_overlays = superblock(a).zip(superblock(b)).is_some_and(|(a, b)| a != b);
    two_overlays || (a.file.device == b.file.device && a.file.inode != b.file.inode)
}

/// Both on file systems of the allow-list.
fn local(pair: &Pair<'_>, a: &Look<'_>, b: &Look<'_>, part: Part) -> Result<Identity, String> {
    let btrfs_by_stat = !part.by_mapping && [a, b].iter().any(|look| look.kind.subvolumes);
    match difference(a, b) {
        None if btrfs_by_stat => Ok(Identity::Alike(format!(
            "the {} is {} on both sides; on btrfs st_dev is not the device that the kernel goes by",
            part.name, a.id
        ))),
        None => Ok(match missing_for_proof(pair, a, b) {
            None => Identity::One(format!("the {} is one inode of one kernel: {}", part.name, described(a))),
            Some(missing) => {
                Identity::Alike(format!("the {} is {} on both sides, but {missing}", part.name, described(a)))
            }
        }),
        Some(difference) if btrfs_by_stat => {
            Err(format!("{difference}; on btrfs st_dev is not the device that the kernel goes by"))
        }
        Some(difference) => {
            if made_anew(pair, a, b) {
                return Ok(Identity::MadeAnew(format!(
                    "{difference}: the {} was made anew between the captures; take both while a connection stays open",
                    part.name
                )));
            }
            at_one_moment(pair, a, b, part)?;
            // Where the numbers differ they say enough; where they are equal, generation and birth time tell them apart.
            let tell: fn(&Look<'_>) -> String = if a.id == b.id { described } else { numbered };
            Ok(Identity::Two(format!(
                "the {} is {} on {} and {} on {}: two inodes at the same time",
                part.name,
                tell(a),
                a.side.label,
                tell(b),
                b.side.label
            )))
        }
    }
}

/// What tells the two apart, if anything does.
fn difference(a: &Look<'_>, b: &Look<'_>) -> Option<String> {
    let both = |what: &str, x: &dyn std::fmt::Display, y: &dyn std::fmt::Display| {
        Some(format!("{what} {x} on {} and {y} on {}", a.side.label, b.side.label))
    };
    if a.id != b.id {
        return both("the identity is", &a.id, &b.id);
    }
    if a.file_system.magic != b.file_system.magic || a.file_system.fsid != b.file_system.fsid {
        return both("with equal inode numbers the file system is", &a.file_system.fsid, &b.file_system.fsid);
    }
    if let Some((x, y)) = a.file.generation.value().zip(b.file.generation.value()).filter(|(x, y)| x != y) {
        return both("with equal inode numbers the inode generation is", x, y);
    }
    let births = a.file.birth_time.value().zip(b.file.birth_time.value());
    let (x, y) = births.filter(|(x, y)| x != y)?;
    both("with equal inode numbers the birth time is", &shown(*x), &shown(*y))
}

/// What is missing to call equal numbers one inode; `None`: nothing.
fn missing_for_proof(pair: &Pair<'_>, a: &Look<'_>, b: &Look<'_>) -> Option<String> {
    let generations = a.kind.inodes == Inodes::Local { generations: true };
    // The fsid of a tmpfs is made anew for each, and there is no disk to copy.
    if generations && let Err(why) = continuity::one_file_system(pair, a.file, b.file) {
        return Some(why);
    }
    let birth = unseen(a, b, "birth time", |file| file.birth_time.reason());
    let second = if generations {
        unseen(a, b, "inode generation", |file| file.generation.reason())
    } else {
        // folklore: older kernels give every tmpfs an f_fsid of zero. Held by `a_zero_fsid_of_tmpfs_is_no_evidence`.
        let zero = a.file_system.fsid.bytes().all(|digit| digit == b'0');
        zero.then(|| "this kernel gives its tmpfs mounts no fsid".to_owned())
    };
    // While both descriptors are open the number cannot be reused, and one witness is enough. One that was refused
    // might have spoken against it, so there it is not.
    let refused = |file: &FileView| {
        matches!(file.birth_time, Observation::Denied { .. })
            || (generations && matches!(file.generation, Observation::Denied { .. }))
    };
    let one_is_enough = pair.simultaneous && !refused(a.file) && !refused(b.file);
    match (birth, second) {
        (None, None) => None,
        (None, Some(_)) if one_is_enough => None,
        (Some(_), None) if one_is_enough && generations => None,
        (Some(birth), Some(second)) => Some(format!("{birth} and {second}")),
        (Some(one), None) | (None, Some(one)) => Some(format!("{one}, and inode numbers are reused")),
    }
}

/// Which side did not show something, and why.
fn unseen(a: &Look<'_>, b: &Look<'_>, what: &str, reason: fn(&FileView) -> Option<&str>) -> Option<String> {
    [a, b].iter().find_map(|look| {
        reason(look.file).map(|reason| format!("the {what} of {} was not seen ({reason})", look.side.label))
    })
}

/// Whether both inodes provably were what their paths led to at one moment: the lifetimes of both say that they existed,
/// and the life of what is open on the later side that it did not take the other's place.
///
/// # Errors
/// Why that cannot be said.
fn at_one_moment(pair: &Pair<'_>, a: &Look<'_>, b: &Look<'_>, part: Part) -> Result<(), String> {
    if pair.simultaneous {
        return Ok(());
    }
    // folklore: a file system that is mounted anew can come back under another device number, with the same inodes.
    // What cannot change is an inode's birth. Held by `a_file_system_mounted_anew_refutes_nothing`.
    let differ = |x: Option<String>, y: Option<String>| x.zip(y).is_some_and(|(x, y)| x != y);
    let birth = |look: &Look<'_>| look.file.birth_time.value().map(|time| format!("{time:?}"));
    let generation = |look: &Look<'_>| look.file.generation.value().map(u32::to_string);
    let two = differ(birth(a), birth(b)) || differ(generation(a), generation(b));
    let overlap = two && order(a, b).is_some_and(|order| order.born.is_some_and(|born| born < order.begun));
    if overlap {
        return continuity::unbroken(pair).map_err(|why| {
            format!("the {} differs ({} and {}), but {why}; {}", part.name, a.id, b.id, continuity::MOVED)
        });
    }
    Err(format!(
        "the {} differs ({} and {}), but the captures are of different times and it may have been made anew between them: take both while a connection stays open",
        part.name, a.id, b.id
    ))
}

/// Whether the file seen later was born after the earlier look had ended.
fn made_anew(pair: &Pair<'_>, a: &Look<'_>, b: &Look<'_>) -> bool {
    !pair.simultaneous && order(a, b).is_some_and(|order| order.born.is_some_and(|born| born > order.ended))
}

/// Two captures on one wall clock, nanoseconds; margins are already in.
struct Order {
    /// Birth of the file that was seen later.
    born: Option<i128>,
    /// The earlier capture began, at the earliest.
    begun: i128,
    /// The earlier capture ended, at the latest.
    ended: i128,
}

/// What was refused to be shown of one file of either side, and might have told it from the other's.
pub(super) fn refused(pair: &Pair<'_>, part: Part) -> Option<String> {
    [pair.a, pair.b].iter().find_map(|side| {
        let file = (part.of)(&side.evidence.files).value()?;
        let denied = |what: &str, reason: Option<&str>| {
            format!("the {what} of the {} of {} was not seen: {}", part.name, side.label, reason.unwrap_or_default())
        };
        match (&file.birth_time, &file.generation, &file.mount_id, &side.evidence.host.mounts) {
            (it @ Observation::Denied { .. }, ..) => Some(denied("birth time", it.reason())),
            (_, it @ Observation::Denied { .. }, ..) => Some(denied("inode generation", it.reason())),
            (_, _, it @ Observation::Denied { .. }, _) => Some(denied("mount", it.reason())),
            (.., it @ Observation::Denied { .. }) => Some(denied("mount", it.reason())),
            _ => None,
        }
    })
}

/// Puts two captures in order. `None` when the clocks cannot be compared, when neither is the later one, or the wall clock
/// was set in between.
fn order(a: &Look<'_>, b: &Look<'_>) -> Option<Order> {
    let time = |look: &Look<'_>| {
        let evidence = &look.side.evidence;
        Some((evidence.ended.host_boottime()?, evidence.begun.host_boottime()?))
    };
    let (earlier, later) = match time(a)?.cmp(&time(b)?) {
        Ordering::Less => (a, b),
        Ordering::Greater => (b, a),
        Ordering::Equal => return None,
    };
    let mut differences = Vec::with_capacity(4);
    for look in [a, b] {
        for clock in [look.side.evidence.begun, look.side.evidence.ended] {
            differences.push(clock.realtime.since_1970() - i128::from(clock.host_boottime()?));
        }
    }
    let drift = differences.iter().max()? - differences.iter().min()?;
    if drift > CLOCKS_AGREE {
        return None;
    }
    Some(Order {
        born: later.file.birth_time.value().map(|time| time.since_1970()),
        begun: earlier.side.evidence.begun.realtime.since_1970() - drift - TICK,
        ended: earlier.side.evidence.ended.realtime.since_1970() + drift,
    })
}

/// In UTC, to the nanosecond; as a number where no calendar reaches.
fn shown(time: Timestamp) -> String {
    let nanoseconds = i32::try_from(time.nanoseconds).ok();
    let moment = nanoseconds.and_then(|nanoseconds| jiff::Timestamp::new(time.seconds, nanoseconds).ok());
    moment.map_or_else(|| format!("{}.{:09}", time.seconds, time.nanoseconds), |moment| moment.to_string())
}

fn numbered(look: &Look<'_>) -> String {
    format!("{} ({})", look.id, look.file_system.name)
}

fn described(look: &Look<'_>) -> String {
    let generation =
        look.file.generation.value().map(|generation| format!(", generation {generation}")).unwrap_or_default();
    let birth = look.file.birth_time.value().map(|time| format!(", born {}", shown(*time))).unwrap_or_default();
    format!("{} ({}{generation}{birth})", look.id, look.file_system.name)
}

fn names(a: &Look<'_>, b: &Look<'_>) -> String {
    if a.file_system.name == b.file_system.name {
        return a.file_system.name.clone();
    }
    // In one order, whichever side is named first.
    let (x, y) =
        (a.file_system.name.as_str().min(&b.file_system.name), a.file_system.name.as_str().max(&b.file_system.name));
    format!("{x} and {y}")
}

/// Kernel identity of the `-shm` as evidence.
pub(super) fn because(identity: &Identity) -> Vec<Because> {
    let kind = Kind::KernelIdentity;
    match identity {
        Identity::One(detail) => vec![Because::new(kind, About::Both, Says::Proves, detail)],
        Identity::Alike(detail) => vec![Because::new(kind, About::Both, Says::Supports, detail)],
        Identity::Two(detail) => vec![Because::new(kind, About::Both, Says::Refutes, detail)],
        Identity::LocksApart(detail) => vec![
            Because::new(kind, About::Locks, Says::Refutes, detail),
            Because::silent(
                kind,
                About::Memory,
                "an overlay path and its own upper folder share pages under different identities",
                "whether the pages behind the overlay are shared is open",
            ),
        ],
        Identity::MadeAnew(reason) | Identity::Unknown(reason) => {
            vec![Because::silent(kind, About::Both, reason, "the identity of the -shm decides nothing here")]
        }
    }
}
