//! Whether two looks at a file met one inode of one kernel, and whether both sides were seen within one life.

use super::{Part, Recorded, SideIndex, Unseen};
use crate::evidence::{FileSystem, InodeId, Timestamp};

/// Why it is not known that both sides are of one kernel. It refutes nothing: the file of the boot id can be mounted over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCommonKernel {
    /// A side does not show its boot id.
    Unseen(Unseen),
    /// The boot ids differ.
    Different,
}

/// Why the times of two captures cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCommonClock {
    /// One kernel is not known.
    Kernel(NoCommonKernel),
    /// By its own clock this side's capture ended before it began.
    EndedBeforeItBegan(SideIndex),
    /// The clock offset of this side was not seen.
    OffsetUnseen(SideIndex),
}

/// Why it is not known that both sides were seen within one life of what they have open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// The times cannot be compared.
    Clock(NoCommonClock),
    /// On this side, the later one, no process was seen that maps its `-shm` and is older than the other capture.
    NoProcessThroughout(SideIndex),
    /// The `-shm` of this side, the later one, may be younger than the other capture.
    ShmMayBeYounger(SideIndex),
}

/// Why it is not known that both captures met one mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotOneFileSystem {
    /// Another disk was attached under the device number: the sequence number of the disk on each side.
    OtherDisk([(SideIndex, u64); 2]),
    /// Neither disk, mount nor process shows it.
    NothingShowsIt {
        /// Why the disk does not.
        disk: Recorded,
        /// Why the mount does not; `None`: the mounts differ.
        mount: Option<Recorded>,
    },
}

/// What one side's descriptor says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenFile {
    /// The side.
    pub side: SideIndex,
    /// Device and inode.
    pub id: InodeId,
    /// The file system.
    pub file_system: FileSystem,
    /// Inode generation, where it was shown.
    pub generation: Option<u32>,
    /// Birth time, where it was shown.
    pub born: Option<Timestamp>,
}

/// Both sides' looks at one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BothLooks {
    /// The file.
    pub part: Part,
    /// The first side's.
    pub a: Box<SeenFile>,
    /// The second side's.
    pub b: Box<SeenFile>,
}

/// What tells two files apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Difference {
    /// Device or inode.
    Numbers,
    /// The file system, beneath equal numbers.
    FileSystem,
    /// The inode generation, beneath equal numbers.
    Generation,
    /// The birth time, beneath equal numbers.
    Birth,
}

/// What two looks at a file come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// One inode in one kernel.
    OneInode(BothLooks),
    /// Equal as far as could be seen, which is short of a proof.
    Alike(BothLooks, NoProof),
    /// Two inodes that existed at the same moment.
    TwoInodes(BothLooks),
    /// Behind at least one overlay: the inodes that hold the locks are two; the pages may still be shared.
    TwoLockInodes(BothLooks),
    /// Another inode took the place of the first, after the first was looked at or while it was.
    Replaced(Replaced),
    /// Cannot be told.
    Unknown(Unknown),
}

/// Why equal numbers are no proof of one inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoProof {
    /// The file system promises nothing about its numbers.
    FileSystem,
    /// On an overlay two inodes around a copy-up have equal numbers.
    Overlay,
    /// On btrfs `st_dev` is not the device that the kernel goes by.
    Btrfs,
    /// Nothing shows that both captures met one mounted file system.
    NotOneFileSystem(NotOneFileSystem),
    /// What would tell whether a number was used again was not seen.
    NumbersAreReused(ReuseUnseen),
    /// It is one inode; the database or the `-wal` is two files, or may be.
    OtherFiles(Box<Doubt>),
}

/// What would tell whether an inode number was used again, and was not seen: one of the two, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReuseUnseen {
    /// The birth time, if it is missing.
    pub birth: Option<Unseen>,
    /// The second sign, if it is missing.
    pub second: Option<SecondSign>,
}

/// What tells, beside the birth time, whether an inode number was used again; and why it was not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecondSign {
    /// The inode generation.
    Generation(Unseen),
    /// The id of the file system, which this kernel leaves empty for tmpfs.
    FileSystemId,
}

/// How a file was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// It was deleted or replaced while this side was captured.
    DuringCapture(Part, SideIndex),
    /// It was made anew between the captures.
    Between(BothLooks, Difference),
}

/// Why identity cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// One kernel is not known.
    Kernel(NoCommonKernel),
    /// Something was not seen.
    Unseen(Unseen),
    /// The file was deleted or replaced while this side was captured.
    Gone(Part, SideIndex),
    /// The numbers differ on a file system on which that does not mean different memory or locks.
    FileSystem(BothLooks, Difference),
    /// The numbers differ on one overlay, where a copy-up can bring that about.
    Overlay(BothLooks, Difference),
    /// The numbers differ on btrfs, where `st_dev` is not the device that the kernel goes by.
    Btrfs(BothLooks, Difference),
    /// The files differ and lived at the same time, but a folder may have been moved or a volume switched in between.
    MayBeMoved(BothLooks, Gap),
    /// The files differ, but the captures are of different times and the file may have been made anew between them.
    MayBeReplaced(BothLooks),
    /// The other side is known by its beacon only.
    Peer(PeerUnknown),
}

/// Why a beacon does not tell whether the other side has the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerUnknown {
    /// The other side sees another identity, or sees less of it.
    Differs,
    /// The identity was not seen on this side.
    UnseenHere,
    /// No identity was read from a beacon of the other side.
    NotRead,
    /// What was tried is a scratch file.
    ScratchFile,
}

/// Why it is not known that database and `-wal` are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// What the identity of the file came to.
    Identity(Identity),
    /// Something was refused that might have told two files apart.
    Refused(Unseen),
}

/// What the directory says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryFact {
    /// One directory: whoever opens this name next, on either side, looks up or creates the `-shm` there.
    OpenersMeet(Identity, String),
    /// The identity of the directory, which decides nothing here.
    Identity(Identity),
    /// Two directories, and a `-shm` in neither: each side would create its own.
    OpenersPart(Identity),
    /// One directory, but it is not known that openers on both sides would find the same file in it.
    Silent(OtherName),
}

/// Why one directory does not lead to one `-shm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherName {
    /// The database has another name on each side.
    Names([(SideIndex, String); 2]),
    /// A file of this side is a mount of its own.
    OwnMount(Part, SideIndex),
    /// Something was not seen.
    Unseen(Unseen),
}
