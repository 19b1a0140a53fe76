//! Whether two looks at a file met one inode of one kernel, and whether both sides were seen within one life.

use super::{Part, Recorded, SideIndex, Unseen};
use crate::evidence::{FileSystem, InodeId, Timestamp};

/// Why it is not known that both sides are of one kernel. It refutes nothing, because another file can be mounted over
/// that of the boot id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoCommonKernel {
    /// A side does not show its boot id.
    Unseen(Unseen),
    /// The boot ids differ.
    Different,
}

/// Why the times of two captures cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoCommonClock {
    /// It is not known that both sides are of one kernel.
    Kernel(NoCommonKernel),
    /// According to its own clock this side's capture ended before it began.
    EndedBeforeItBegan(SideIndex),
    /// The clock offset of this side was not seen.
    OffsetUnseen(SideIndex),
}

/// Why it is not known that both sides were seen within one life of the files that they have open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
pub enum NotOneFileSystem {
    /// Another disk was attached under the device number. These are the sequence numbers of the disk on each side.
    OtherDisk([(SideIndex, u64); 2]),
    /// Neither the disk nor the mount nor a process shows it.
    NothingShowsIt {
        /// Why the disk does not show it.
        disk: Recorded,
        /// Why the mount does not show it; `None`: the mounts differ.
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

/// What both sides saw of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BothLooks {
    /// The file.
    pub part: Part,
    /// What the first side saw.
    pub a: Box<SeenFile>,
    /// What the second side saw.
    pub b: Box<SeenFile>,
}

/// What distinguishes two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Difference {
    /// The device or the inode.
    Numbers,
    /// The file system, although the numbers are equal.
    FileSystem,
    /// The inode generation, although the numbers are equal.
    Generation,
    /// The birth time, although the numbers are equal.
    Birth,
}

/// The result of comparing two looks at a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identity {
    /// It is one inode of one kernel.
    OneInode(BothLooks),
    /// Everything that was seen is equal, but that is no proof.
    Alike(BothLooks, NoProof),
    /// They are two inodes that existed at the same moment.
    TwoInodes(BothLooks),
    /// On at least one overlay: the inodes that hold the locks are two. The pages may be shared all the same.
    TwoLockInodes(BothLooks),
    /// Another inode replaced the first one, after the first was looked at or while it was.
    Replaced(Replaced),
    /// It cannot be determined.
    Unknown(Unknown),
}

/// Why equal numbers do not prove one inode.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoProof {
    /// The inode numbers of this file system prove nothing.
    FileSystem,
    /// On an overlay two inodes around a copy-up have equal numbers.
    Overlay,
    /// On btrfs `st_dev` is not the device that the kernel prints for a mapping.
    Btrfs,
    /// Nothing shows that both captures met one mounted file system.
    NotOneFileSystem(NotOneFileSystem),
    /// A value that shows whether an inode number was reused was not seen.
    NumbersAreReused(ReuseUnseen),
    /// It is one inode, but the database or the `-wal` is two files, or may be two.
    OtherFiles(Box<Doubt>),
}

/// Values that show whether an inode number was reused, and were not seen: one of the two, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReuseUnseen {
    /// The birth time, if it is missing.
    pub birth: Option<Unseen>,
    /// The other value, if it is missing.
    pub second: Option<SecondSign>,
}

/// The value that, besides the birth time, shows whether an inode number was reused; and why it is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecondSign {
    /// The inode generation.
    Generation(Unseen),
    /// The id of the file system. Some kernels leave it empty for tmpfs.
    FileSystemId,
}

/// How a file was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replaced {
    /// It was deleted or replaced while this side was captured.
    DuringCapture(Part, SideIndex),
    /// It was created again between the captures.
    Between(BothLooks, Difference),
}

/// Why the identity cannot be determined.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unknown {
    /// It is not known that both sides are of one kernel.
    Kernel(NoCommonKernel),
    /// Something was not seen.
    Unseen(Unseen),
    /// The file was deleted or replaced while this side was captured.
    Gone(Part, SideIndex),
    /// The numbers differ, but on this file system that does not mean different memory or locks.
    FileSystem(BothLooks, Difference),
    /// The numbers differ on one overlay, where a copy-up can change them.
    Overlay(BothLooks, Difference),
    /// The numbers differ on btrfs, where `st_dev` is not the device that the kernel prints for a mapping.
    Btrfs(BothLooks, Difference),
    /// The files differ and existed at the same time, but a folder may have been moved or a volume switched in between.
    MayBeMoved(BothLooks, Gap),
    /// The files differ, but the captures are of different times, and the file may have been created again between
    /// them.
    MayBeReplaced(BothLooks),
    /// The other side is known only by its beacon.
    Peer(PeerUnknown),
}

/// Why a beacon does not show whether the other side has the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerUnknown {
    /// The other side sees another identity, or a part of it was not seen there.
    Differs,
    /// The same, or it was bound to another token: the holder of a beacon is not asked which one it was given.
    DiffersOrToken,
    /// The identity was not seen on this side.
    UnseenHere,
    /// No identity was read from a beacon of the other side.
    NotRead,
    /// The trial was on a scratch file.
    ScratchFile,
}

/// Why it is not known that the database and the `-wal` are one file each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doubt {
    /// What was found about the identity of the file.
    Identity(Identity),
    /// A value that might have distinguished two files was refused.
    Refused(Unseen),
}

/// What the folder shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectoryFact {
    /// It is one folder. A process that opens this name next, on either side, looks up or creates the `-shm` there.
    OpenersMeet(Identity, String),
    /// The identity of the folder, which decides nothing in this case.
    Identity(Identity),
    /// There are two folders, and no `-shm` in either. Each side would create its own.
    OpenersPart(Identity),
    /// It is one folder, but it is not known that both sides would find the same file in it, or could use it.
    Silent(NotReached),
}

/// Why one folder does not lead to one `-shm` in use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotReached {
    /// The database has another name on each side.
    Names([(SideIndex, String); 2]),
    /// A file of this side is a mount of its own.
    OwnMount(Part, SideIndex),
    /// The header of the database of this side does not say WAL: there is no wal-index.
    NotWal(SideIndex),
    /// Somebody holds the database of this side exclusively: nobody else can open it.
    Exclusive(SideIndex),
    /// The folder is mounted read-only on this side: nobody there can make a `-shm`.
    ReadOnly(SideIndex),
    /// The user with this number, whose files were looked at on this side, cannot write in the folder.
    FolderClosed(SideIndex, u32),
    /// A `-shm` was removed while the `-wal` stayed: a process may go on with it.
    RemovedAlone,
    /// Something was not seen.
    Unseen(Unseen),
}
