//! Whether two looks at a file met one inode, in sentences without a full stop.

use super::unseen::{MOVED, gap, no_common_kernel, replaced_during_capture, unseen};
use super::words::{self, Names};
use crate::sides::{
    BothLooks, Difference, Doubt, Identity, NoProof, NotOneFileSystem, PeerUnknown, Replaced, ReuseUnseen, SecondSign,
    SeenFile, Unknown, Unseen,
};

/// The result of comparing two looks at a file.
#[must_use]
pub fn identity(identity: &Identity, names: Names<'_>) -> String {
    match identity {
        Identity::OneInode(looks) => one_inode(looks),
        Identity::Alike(looks, NoProof::OtherFiles(doubt)) => {
            format!("{}, but {}", one_inode(looks), self::doubt(doubt, names))
        }
        Identity::Alike(looks, NoProof::NotOneFileSystem(why)) => {
            format!("{}, but {}", equal(looks, &described(&looks.a)), not_one_file_system(why, names))
        }
        Identity::Alike(looks, NoProof::NumbersAreReused(missing)) => {
            format!("{}, but {}", equal(looks, &described(&looks.a)), reuse_unseen(missing, names))
        }
        Identity::Alike(looks, NoProof::FileSystem) => format!(
            "{}, but on {} equal identity does not mean shared memory: on one FUSE mount everything was equal and memory was not shared",
            equal(looks, &looks.a.id.to_string()),
            file_systems(looks)
        ),
        Identity::Alike(looks, NoProof::Overlay) => format!(
            "{}, but on {} equal identity does not mean shared memory: around a copy-up everything was equal and memory was not shared",
            equal(looks, &looks.a.id.to_string()),
            file_systems(looks)
        ),
        Identity::Alike(looks, NoProof::Btrfs) => format!("{}; {BTRFS}", equal(looks, &looks.a.id.to_string())),
        Identity::TwoInodes(looks) => {
            // If the numbers differ, they are enough. If they are equal, generation and birth time distinguish the
            // files.
            let tell: fn(&SeenFile) -> String = if looks.a.id == looks.b.id { described } else { numbered };
            format!("{}: two inodes at the same time", two(looks, tell, names))
        }
        Identity::TwoLockInodes(looks) => {
            format!("{}: locks live on an overlay's own inode, and these are two", two(looks, described, names))
        }
        Identity::Replaced(Replaced::DuringCapture(file, side)) => replaced_during_capture(*file, *side, names),
        Identity::Replaced(Replaced::Between(looks, what)) => format!(
            "{}: the {} was made anew between the captures; take both while a connection stays open",
            difference(looks, *what, names),
            looks.part.name()
        ),
        Identity::Unknown(why) => unknown(why, names),
    }
}

const BTRFS: &str = "on btrfs st_dev is not the device that the kernel goes by";

fn unknown(why: &Unknown, names: Names<'_>) -> String {
    match why {
        Unknown::Kernel(why) => no_common_kernel(why, names),
        Unknown::Unseen(what) => unseen(what, names),
        Unknown::Gone(file, side) => replaced_during_capture(*file, *side, names),
        Unknown::FileSystem(looks, what) => format!(
            "{}, but on {} different numbers do not mean different memory or locks",
            difference(looks, *what, names),
            file_systems(looks)
        ),
        Unknown::Overlay(looks, what) => {
            format!("{}, which on one overlay a copy-up can bring about", difference(looks, *what, names))
        }
        Unknown::Btrfs(looks, what) => format!("{}; {BTRFS}", difference(looks, *what, names)),
        Unknown::MayBeMoved(looks, why) => {
            format!("{}, but {}; {}", differs(looks), gap(why, names), MOVED)
        }
        Unknown::MayBeReplaced(looks) => format!(
            "{}, but the captures are of different times and it may have been made anew between them: take both while a connection stays open",
            differs(looks)
        ),
        Unknown::Peer(PeerUnknown::Differs) => "the other side sees another identity, or sees less of it".to_owned(),
        Unknown::Peer(PeerUnknown::DiffersOrToken) => {
            "the other side was given another --token, or sees another identity, or sees less of it".to_owned()
        }
        Unknown::Peer(PeerUnknown::UnseenHere) => "the identity of the -shm was not seen here".to_owned(),
        Unknown::Peer(PeerUnknown::NotRead) => "no identity was read from a beacon of the other side".to_owned(),
        Unknown::Peer(PeerUnknown::ScratchFile) => "what was tried is a scratch file".to_owned(),
    }
}

/// Why it is not known that the database and the `-wal` are one file each.
#[must_use]
pub fn doubt(doubt: &Doubt, names: Names<'_>) -> String {
    match doubt {
        Doubt::Identity(found) => identity(found, names),
        Doubt::Refused(what) => unseen(what, names),
    }
}

fn one_inode(looks: &BothLooks) -> String {
    format!("the {} is one inode of one kernel: {}", looks.part.name(), described(&looks.a))
}

fn equal(looks: &BothLooks, file: &str) -> String {
    format!("the {} is {file} on both sides", looks.part.name())
}

fn differs(looks: &BothLooks) -> String {
    format!("the {} differs ({} and {})", looks.part.name(), looks.a.id, looks.b.id)
}

fn two(looks: &BothLooks, tell: fn(&SeenFile) -> String, names: Names<'_>) -> String {
    let (a, b) = (&looks.a, &looks.b);
    format!("the {} is {} on {} and {} on {}", looks.part.name(), tell(a), names.of(a.side), tell(b), names.of(b.side))
}

/// What distinguishes two files.
fn difference(looks: &BothLooks, difference: Difference, names: Names<'_>) -> String {
    let (a, b) = (&looks.a, &looks.b);
    let generation = |file: &SeenFile| file.generation.map(|n| n.to_string()).unwrap_or_default();
    let born = |file: &SeenFile| file.born.map(words::time).unwrap_or_default();
    let (what, x, y) = match difference {
        Difference::Numbers => ("the identity is", a.id.to_string(), b.id.to_string()),
        Difference::FileSystem => {
            ("with equal inode numbers the file system is", a.file_system.fsid.clone(), b.file_system.fsid.clone())
        }
        Difference::Generation => ("with equal inode numbers the inode generation is", generation(a), generation(b)),
        Difference::Birth => ("with equal inode numbers the birth time is", born(a), born(b)),
    };
    format!("{what} {x} on {} and {y} on {}", names.of(a.side), names.of(b.side))
}

fn numbered(file: &SeenFile) -> String {
    format!("{} ({})", file.id, file.file_system.name)
}

fn described(file: &SeenFile) -> String {
    let generation = file.generation.map(|generation| format!(", generation {generation}")).unwrap_or_default();
    let birth = file.born.map(|time| format!(", born {}", words::time(time))).unwrap_or_default();
    format!("{} ({}{generation}{birth})", file.id, file.file_system.name)
}

/// The types of both file systems, in alphabetical order, so that the order of the sides does not matter.
fn file_systems(looks: &BothLooks) -> String {
    let (a, b) = (&looks.a.file_system.name, &looks.b.file_system.name);
    if a == b { a.clone() } else { format!("{} and {}", a.min(b), a.max(b)) }
}

fn not_one_file_system(why: &NotOneFileSystem, names: Names<'_>) -> String {
    match why {
        NotOneFileSystem::OtherDisk([(a, x), (b, y)]) => format!(
            "another disk was attached under this device number meanwhile: its sequence is {x} on {} and {y} on {}",
            names.of(*a),
            names.of(*b)
        ),
        NotOneFileSystem::NothingShowsIt { disk, mount } => {
            let (disk, mount) = (&disk.0, mount.as_ref().map_or("the mounts differ", |mount| mount.0.as_str()));
            format!(
                "nothing shows that both captures met one mounted file system, and clones of a disk mounted one after the other differ in nothing else (disk: {disk}; mount: {mount}; no process was seen that maps the -shm of the later capture and is older than the earlier one): capture again with this walscope, or compare live"
            )
        }
    }
}

fn reuse_unseen(missing: &ReuseUnseen, names: Names<'_>) -> String {
    let of_side = |what: &str, unseen: &Unseen| {
        format!("the {what} of {} was not seen ({})", names.of(unseen.side), unseen.reason.0)
    };
    let birth = missing.birth.as_ref().map(|unseen| of_side("birth time", unseen));
    let second = missing.second.as_ref().map(|second| match second {
        SecondSign::Generation(unseen) => of_side("inode generation", unseen),
        SecondSign::FileSystemId => "this kernel gives its tmpfs mounts no fsid".to_owned(),
    });
    match (birth, second) {
        (Some(birth), Some(second)) => format!("{birth} and {second}"),
        (one, other) => format!("{}, and inode numbers are reused", one.or(other).unwrap_or_default()),
    }
}
