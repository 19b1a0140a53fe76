//! What running processes have mapped, and what live sides showed each other: page frames, locks, numbers.

use std::collections::BTreeSet;

use super::history::Parting;
use super::identity::NoCommonClock;
use super::{Part, Recorded, SideIndex, Unseen};
use crate::evidence::live::{Mapper, NoFrame};
use crate::evidence::{CutOff, InodeId, Mapping, MappingProcess, OtherDatabase, OtherIndex, Role, User};

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process {
    /// The pid in the PID namespace of the observer.
    pub pid: u32,
    /// The name of its command, from `/proc/PID/comm`.
    pub command: Option<String>,
}

impl From<&Mapping> for Process {
    fn from(mapping: &Mapping) -> Self {
        Self { pid: mapping.pid, command: mapping.command.clone() }
    }
}

impl From<&MappingProcess> for Process {
    fn from(process: &MappingProcess) -> Self {
        Self { pid: process.pid, command: process.command.clone() }
    }
}

impl From<&User> for Process {
    fn from(user: &User) -> Self {
        Self { pid: user.pid, command: user.command.clone() }
    }
}

/// A process that uses the database, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenUser {
    /// The process.
    pub process: Process,
    /// How it uses the database.
    pub role: Role,
    /// Another wal-index that it seems to use.
    pub other_index: Option<OtherIndex>,
    /// Another database with which it uses this wal-index.
    pub other_database: Option<OtherDatabase>,
}

/// The processes that use the database of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersOf {
    /// The side.
    pub side: SideIndex,
    /// The processes.
    pub users: Vec<SeenUser>,
    /// Further processes whose descriptors could not be read: only their locks would tell.
    pub processes_denied: u32,
    /// Why the first of them could not be read.
    pub denied_reason: Option<Recorded>,
    /// Number of processes that came and went.
    pub passing: u32,
    /// Number of processes that are not listed.
    pub not_listed: u64,
    /// Why nobody looked.
    pub unseen: Option<Recorded>,
}

/// What the locks of the processes say that use the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairingFact {
    /// The database of this side is in rollback mode: there is no wal-index.
    NotWal(SideIndex),
    /// The processes of both sides.
    Users([UsersOf; 2]),
}

/// What is missing beside a `-shm` that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WalGone {
    /// There is no `-wal`.
    Absent,
    /// There is no `-wal`, and whether the `-shm` is in use was not seen.
    AbsentMaybeInUse,
    /// The `-wal` does not have the frames that the `-shm` counts.
    Frames,
}

/// Why sharing is undecided although memory and locks of one wal-index are proven to be shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBack {
    /// Identity says that the files are one, and what the captures show does not fit together.
    Contradicted(Parting),
    /// The database of this side is in rollback mode: there is no wal-index.
    Rollback(SideIndex),
    /// Processes hold the whole database exclusively: nobody else can open it. No process: somebody who is not visible.
    Exclusive(SideIndex, Vec<Process>),
    /// On this side the `-shm` can only be read, and nobody was seen who keeps it alive.
    ReadOnly(SideIndex),
    /// The `-shm` of this side is in use, and what belongs to it is not in a `-wal` beside it.
    WithoutItsWal(SideIndex, WalGone),
    /// Processes go on with files that lay at the path of this side before.
    OnReplacedFiles(SideIndex, Vec<Process>),
    /// Processes use the wal-index of this side with another database file than its path leads to.
    OtherDatabase(SideIndex, Vec<Process>, Option<OtherDatabase>),
    /// Processes use the wal-index of this side with another `-wal` than its path leads to.
    OtherWal(SideIndex, Vec<Process>),
    /// Processes may use another wal-index for this database.
    MayBeElsewhere(SideIndex, Vec<Process>),
    /// The processes of both sides have one wal-index mapped to which no path leads any more.
    OnOneOther(InodeId, Vec<Process>),
    /// Processes of the earlier capture used a `-shm` that is another one by now, and nobody saw them end.
    MadeAnew(SideIndex, Vec<Process>),
}

impl HeldBack {
    /// Whether it means that not even memory or locks are known to be shared: there is no wal-index that both sides can
    /// use, or all that was seen may be of two machines.
    #[must_use]
    pub const fn leaves_nothing_shared(&self) -> bool {
        match self {
            Self::Contradicted(_) | Self::Rollback(_) | Self::Exclusive(..) | Self::ReadOnly(_) => true,
            Self::OnReplacedFiles(..)
            | Self::OtherDatabase(..)
            | Self::OtherWal(..)
            | Self::MayBeElsewhere(..)
            | Self::OnOneOther(..)
            | Self::WithoutItsWal(..)
            | Self::MadeAnew(..) => false,
        }
    }
}

/// Who maps a page of the `-shm`, and on which side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedBy {
    /// The side.
    pub side: SideIndex,
    /// Who.
    pub mapper: Mapper,
}

/// What page frames show.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageFact {
    /// One page frame at one moment.
    OneFrame {
        /// The page of the `-shm`.
        page: usize,
        /// Its page frame.
        frame: u64,
        /// Who maps it.
        by: [MappedBy; 2],
        /// Whether pages of other processes, which a proof would need, were not seen.
        others_unseen: bool,
    },
    /// Two page frames, again and again.
    TwoFrames {
        /// The page of the `-shm`.
        page: usize,
        /// Its page frames, in the order of `by`.
        frames: [u64; 2],
        /// Who maps it.
        by: [MappedBy; 2],
        /// How often they were seen, at least.
        times: u32,
    },
    /// Page frames show nothing.
    Silent(NoPages),
}

/// Why page frames show nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoPages {
    /// The sides are not both live.
    NotLive,
    /// Page tables were not read.
    Unread(Recorded),
    /// The `-shm` of a side was deleted or replaced while page tables were read.
    Replaced,
    /// On an overlay only mappings of running processes count, and none was seen on both sides.
    NoProcess,
    /// Both sides have only one mapping, and it is the same.
    OneMapping,
    /// No page was read three times in turn.
    TooFewReads,
    /// The kernel moved the pages meanwhile.
    Moved,
    /// The entries of the page tables name no page.
    NoFrame(NoFrame),
    /// The page tables name no page, and no page was touched, because the file system did not answer.
    NotAnswered,
}

/// Processes of one side that are cut off from a process that opens the path next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutOffProcesses {
    /// The side.
    pub side: SideIndex,
    /// Their mappings.
    pub mappings: Vec<Mapping>,
    /// What the path leads to. `None`: there is no `-shm`, or it was deleted or replaced.
    pub path_leads_to: Option<InodeId>,
}

impl CutOffProcesses {
    /// The processes that map another wal-index.
    #[must_use]
    pub fn pids(&self) -> BTreeSet<u32> {
        self.mappings.iter().map(|mapping| mapping.pid).collect()
    }

    /// The mappings of processes that are cut off in this way.
    pub fn by(&self, cut_off: CutOff) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().filter(move |mapping| mapping.cut_off == Some(cut_off))
    }
}

/// Processes that map the `-shm` that the path of their side leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mappers {
    /// The side.
    pub side: SideIndex,
    /// The processes, sorted by pid.
    pub processes: Vec<Process>,
    /// Further processes that could not be looked at.
    pub processes_denied: u32,
    /// Further mappings that are not listed.
    pub mappings_not_listed: u64,
    /// Further mappings that could not be looked at.
    pub mappings_unknown: u64,
}

/// What running processes have mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MappingFact {
    /// Processes of one or both sides are cut off from their path.
    CutOff(Vec<CutOffProcesses>),
    /// Processes of both sides map the `-shm` that their path leads to.
    Mapped([Mappers; 2], MappedInodes),
    /// On one or both sides this was not seen.
    Unseen(Vec<NotMapped>),
}

/// Whether what the processes of both sides map is one inode.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MappedInodes {
    /// It is one inode, and the processes used it at the same time.
    One,
    /// It is one inode, but it is not known that processes of both sides used it at the same time.
    NotAtWork(NotAtWork),
    /// They are two inodes.
    Two,
    /// It is undecided.
    Undecided,
}

/// Why no process is known that maps the `-shm` of a side.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotMapped {
    /// Something was not seen.
    Unseen(Unseen),
    /// The `-shm` was deleted or replaced while this side was captured.
    Replaced(SideIndex),
    /// A process maps another file under the path of the `-shm`, and was not seen to use it for this database: it may have
    /// been closing, hold no lock, or have another root.
    SeenOnce(SideIndex),
    /// No process was seen that maps it.
    Nobody {
        /// The side.
        side: SideIndex,
        /// Number of mappings that came and went.
        passing: u32,
        /// Number of processes that could not be looked at.
        denied: u32,
        /// The recorded reason why they could not be looked at.
        reason: Option<Recorded>,
        /// Number of mappings that are not listed.
        not_listed: u64,
        /// Number of mappings that could not be looked at.
        unknown: u64,
        /// The recorded reason why they could not be looked at.
        unknown_reason: Option<Recorded>,
    },
}

/// Why it is not known that processes of both sides used one wal-index at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAtWork {
    /// A process maps the `-shm`, but has another file open than this one of its side.
    OtherFile(Process, Part, SideIndex),
    /// Whether a process has this file of its side open was not seen.
    FileUnseen(Process, Part, SideIndex),
    /// Only programs that look at the files map the `-shm` on this side: no SQLite.
    Bystanders(SideIndex),
    /// The process that the user named does not map the `-shm` itself.
    NamedProcess(u32, SideIndex),
    /// Both sides are in one mount namespace, and only one process that maps the `-shm` was seen there.
    OneProcess([SideIndex; 2]),
    /// The times of the captures cannot be compared.
    Clock(NoCommonClock),
    /// The processes seen on this side started after the other capture had ended.
    StartedLater(SideIndex),
}

/// What a lock beacon shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BeaconFact {
    /// One side read what the other held.
    Seen {
        /// Who held.
        holder: SideIndex,
        /// Who looked.
        seeker: SideIndex,
        /// What was held.
        nonce: u64,
        /// Why that does not prove that locks are shared; `None`: it does.
        doubt: Option<SeenIsNotEnough>,
    },
    /// One side held it all the time, and the other saw nothing.
    NotSeen {
        /// Who held.
        holder: SideIndex,
        /// Who looked.
        seeker: SideIndex,
    },
    /// The beacon shows nothing.
    Silent(NoBeacon),
}

/// What the beacons show that two captures held and saw.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContactFact {
    /// One capture held a beacon, and the other saw it.
    Seen {
        /// The side that held it.
        holder: SideIndex,
        /// The side that saw it.
        seeker: SideIndex,
        /// Its number.
        nonce: u64,
        /// Why it does not prove that locks are shared.
        doubt: Option<SeenIsNotEnough>,
    },
    /// They did not meet.
    Silent(NoContact),
}

/// Why two captures did not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoContact {
    /// One process looked at both sides, so nothing has to show it.
    Live,
    /// One side did not look for beacons.
    Unseen(Unseen),
    /// Neither side held one.
    NotHeld,
    /// This side held one, and the other did not see it.
    NotSeen(SideIndex),
}

/// Why a lock that is seen may stop nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeenIsNotEnough {
    /// The kernel does not keep the locks of this file system itself; its title.
    FileSystem(&'static str),
    /// The file system was not seen, or is in no table.
    UnknownFileSystem,
    /// It is not known that the other side has the same file: locks can be copied from one file to another.
    OtherFile,
}

/// Why a lock beacon shows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoBeacon {
    /// The sides are not both live.
    NotLive,
    /// There were other locks over the pattern.
    Garbled,
    /// It was not seen, but it may not have been held.
    MayNotHaveBeenThere,
    /// It was not seen, but on this file system not every lock is seen; its title, if it is in the table.
    NotAllAreSeen(Option<&'static str>),
    /// It was not tried, or could not be.
    Untried(Recorded),
}

/// What a trial by mapping shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CoherenceFact {
    /// Every number that was written through one mapping was read through the other, in both directions, this many
    /// times.
    RoundTrips(u32),
    /// What this side wrote was not there on the other side.
    LostThere,
    /// What the other side wrote was not there on this side.
    LostHere,
    /// Later numbers were not answered in time.
    Unanswered,
    /// The other side did not say what it saw.
    Unsaid,
    /// It was not tried, or could not be.
    Untried(Recorded),
}

/// What trying the other side's locks says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TriedFact {
    /// Every lock that one side held was refused to the other, both ways.
    Refused,
    /// A lock that the first side held was granted to the second.
    Granted {
        /// Who held.
        holder: SideIndex,
        /// Who tried.
        trier: SideIndex,
    },
    /// A lock was granted to this side, and it is not known that the other side held it.
    MayNotHaveBeenHeld(SideIndex),
    /// Locks were refused to this side that nobody should hold.
    EverythingRefused(SideIndex),
    /// It was not tried, or could not be.
    Untried(Recorded),
}
