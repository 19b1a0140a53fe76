//! The verdict as data.

use super::Side;
use crate::evidence::UnstableCause;
use crate::finding::Finding;
use crate::sides::{
    BeaconFact, BothLooks, CoherenceFact, ContactFact, ContentFact, DirectoryFact, Doubt, EqualBytesFact, HeldBack,
    Identity, LineageFact, MappingFact, OneSide, PageFact, PairingFact, SideIndex, TemporalFact, TriedFact,
};

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is true.
    Proven,
    /// It is false.
    Refuted,
    /// The evidence does not decide it.
    Undecided,
}

impl Answer {
    /// Whether a wal-index is shared: proven if memory and locks are both proven, refuted if one of them is refuted.
    #[must_use]
    pub fn of_both(memory: Self, locks: Self) -> Self {
        match (memory, locks) {
            (Answer::Refuted, _) | (_, Answer::Refuted) => Answer::Refuted,
            (Answer::Proven, Answer::Proven) => Answer::Proven,
            _ => Answer::Undecided,
        }
    }
}

/// What a verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// What a process reaches if it opens the database now, on either side.
    Paths,
    /// What the running processes have mapped.
    Mappings,
}

/// The kinds of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// One page frame behind the mappings of both sides.
    PhysicalPages,
    /// One inode of one kernel.
    KernelIdentity,
    /// One directory of one kernel, in which each side would look up or create the `-shm`.
    DirectoryIdentity,
    /// Which wal-index the visible processes of each side have mapped.
    ProcessMappings,
    /// Whether each process that uses the database holds the locks of this wal-index.
    LockPairing,
    /// Locks in a pattern that one side holds and the other side sees.
    LockBeacon,
    /// A beacon that one side held while it was captured, and that the other capture saw.
    Contact,
    /// Locks that one side held and the other tried to take.
    TriedLocks,
    /// Random numbers written through one mapping and read through the other.
    MappingCoherence,
    /// The order in time of what the sides showed.
    Temporal,
    /// What the frames show of a common history.
    ContentLineage,
    /// Equal bytes. They are listed to say that they prove nothing.
    EqualBytes,
}

/// What a proof from captures takes for granted. Captures that met take nothing for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Assumption {
    /// Both captures are of one running machine, not of two copies of it.
    OneMachine,
    /// Both captures are of one disk, not of two copies of it, or of an older content that was put back.
    OneDisk,
}

/// What a piece of evidence is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum About {
    /// The pages of the `-shm`.
    Memory,
    /// The byte-range locks on it.
    Locks,
    /// The pages and the locks.
    Both,
}

impl About {
    /// Whether evidence about `self` is also evidence about `aspect`.
    #[must_use]
    pub fn covers(self, aspect: Self) -> bool {
        self == Self::Both || self == aspect
    }
}

/// What a piece of evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Says {
    /// It fits with sharing, but decides nothing.
    Supports,
    /// It proves sharing.
    Proves,
    /// It refutes sharing.
    Refutes,
    /// It says nothing; the fact says why.
    Silent,
}

/// The facts of one kind of evidence, or why it is silent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// What the page frames show.
    PhysicalPages(PageFact),
    /// What is known of the identity of the `-shm`.
    KernelIdentity(Identity),
    /// The `-shm` is on an overlay. Whatever its locks are, it is not known whether the pages behind it are shared.
    OverlayPages,
    /// Both sides are one.
    OneSide(OneSide),
    /// What is known of the folder.
    DirectoryIdentity(DirectoryFact),
    /// What processes have mapped.
    ProcessMappings(MappingFact),
    /// What the processes that use the database hold.
    LockPairing(PairingFact),
    /// The result of a lock beacon.
    LockBeacon(BeaconFact),
    /// The beacons of captures.
    Contact(ContactFact),
    /// Locks that were tried.
    TriedLocks(TriedFact),
    /// The result of a trial by mapping.
    MappingCoherence(CoherenceFact),
    /// What samples in time show.
    Temporal(TemporalFact),
    /// What the frames show.
    ContentLineage(ContentFact),
    /// How the bytes of the `-shm` compare.
    EqualBytes(EqualBytesFact),
}

/// One piece of evidence about two sides. Silent ones are listed too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Because {
    /// The kind of evidence.
    pub kind: Kind,
    /// What it is about.
    pub about: About,
    /// What it says.
    pub says: Says,
    /// The facts, or why it is silent.
    pub fact: Fact,
}

impl Because {
    pub(super) fn new(about: About, says: Says, fact: Fact) -> Self {
        let kind = match fact {
            Fact::PhysicalPages(_) => Kind::PhysicalPages,
            Fact::KernelIdentity(_) | Fact::OverlayPages | Fact::OneSide(_) => Kind::KernelIdentity,
            Fact::DirectoryIdentity(_) => Kind::DirectoryIdentity,
            Fact::ProcessMappings(_) => Kind::ProcessMappings,
            Fact::LockPairing(_) => Kind::LockPairing,
            Fact::LockBeacon(_) => Kind::LockBeacon,
            Fact::Contact(_) => Kind::Contact,
            Fact::TriedLocks(_) => Kind::TriedLocks,
            Fact::MappingCoherence(_) => Kind::MappingCoherence,
            Fact::Temporal(_) => Kind::Temporal,
            Fact::ContentLineage(_) => Kind::ContentLineage,
            Fact::EqualBytes(_) => Kind::EqualBytes,
        };
        Self { kind, about, says, fact }
    }
}

/// The verdict about two sides, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairVerdict {
    /// The two sides.
    pub sides: [SideIndex; 2],
    /// The answer for memory and locks together.
    pub sharing: Answer,
    /// The answer for the pages of the `-shm`.
    pub memory: Answer,
    /// The answer for the locks.
    pub locks: Answer,
    /// What the verdict is about.
    pub subject: Subject,
    /// The kinds of evidence that decided.
    pub decided_by: Vec<Kind>,
    /// All pieces of evidence.
    pub because: Vec<Because>,
    /// How both sides are one, if nothing was compared for this reason.
    pub one_side: Option<OneSide>,
    /// The sides have two volumes or folders, or reach the database through two mounts. `None`: neither was seen.
    pub apart: Option<Apart>,
    /// What was found about the identity of the `-shm`.
    pub shm: Identity,
    /// What was found about the identity of the database or the `-wal`, if the sides have two of them behind one
    /// `-shm`.
    pub two_files: Option<Identity>,
    /// Why it is not known whether the database and the `-wal` are one file each.
    pub doubt: Option<Doubt>,
    /// Why sharing is undecided although both aspects are proven.
    pub held_back: Option<HeldBack>,
    /// What the proof takes for granted; empty unless sharing is proven.
    pub assuming: Vec<Assumption>,
    /// Whether the page frames were seen between running processes.
    pub pages_of_processes: bool,
}

impl PairVerdict {
    /// Whether a piece of evidence is about running processes, and not about what a path leads to.
    #[must_use]
    pub fn is_about_processes(&self, item: &Because) -> bool {
        match item.kind {
            Kind::ProcessMappings | Kind::LockPairing => true,
            Kind::PhysicalPages => self.pages_of_processes,
            _ => false,
        }
    }
}

/// The sharing verdict over all sides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The answer for memory and locks together.
    pub sharing: Answer,
    /// The answer for the pages of the `-shm`.
    pub memory: Answer,
    /// The answer for the locks.
    pub locks: Answer,
    /// What the verdict is about.
    pub subject: Subject,
    /// The kinds of evidence that decided.
    pub decided_by: Vec<Kind>,
    /// What the proof takes for granted: all assumptions of the pairs that made it. Empty unless sharing is proven.
    pub assuming: Vec<Assumption>,
    /// The sides by sharing group, if there are more than two sides. Each group is proven: its sides share one
    /// wal-index, or it is one side that shares with none of the others.
    pub groups: Vec<Vec<SideIndex>>,
    /// The sides that are in no group, if there are more than two sides. Such a side was not proven to share with any
    /// other, and for one or more others it is undecided. Or it belongs to a chain of proven pairs within which another
    /// pair is refuted.
    pub undecided: Vec<SideIndex>,
    /// Each pair of sides.
    pub pairs: Vec<PairVerdict>,
}

impl Verdict {
    /// All pieces of evidence, pair by pair.
    pub fn because(&self) -> impl Iterator<Item = &Because> {
        self.pairs.iter().flat_map(|pair| &pair.because)
    }
}

/// Where the databases of two sides lie, if that is why they are two: a user knows volumes and mounts, not inodes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Apart {
    /// The database lies in two folders, on two file systems if their devices differ. What is mounted on each side, where
    /// that was seen.
    Folders(BothLooks, [Option<String>; 2]),
    /// The folder is reached through two mounts of a file system whose mounts have memory of their own.
    Mounts(BothLooks),
}

/// What happened between two captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// Both have the last commit of one generation in common.
    Identical,
    /// One continues where the other ends, in one generation.
    Continuation,
    /// Both have the same commits; one has more of them in the database.
    Checkpointed,
    /// One has a new generation of the other's database.
    Restarted,
    /// They have a common history, and then different frames.
    Diverged,
    /// They have nothing in common.
    Unrelated,
}

/// Lineage of two sides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lineage {
    /// The two sides.
    pub sides: [SideIndex; 2],
    /// The relation; `None` if too little was captured.
    pub relation: Option<Relation>,
    /// The side that is ahead; `None` if none is.
    pub ahead: Option<SideIndex>,
    /// Number of commits between the two, for a continuation.
    pub commits: Option<u64>,
    /// Number of frames between the two, for a continuation.
    pub frames: Option<u64>,
    /// The facts.
    pub fact: LineageFact,
}

/// A side as sentences need it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideName {
    /// Its name.
    pub label: String,
    /// Whether its capture is of one moment.
    pub stable: bool,
    /// Why it is not, where that was recorded.
    pub unstable: Option<UnstableCause>,
}

impl SideName {
    pub(super) fn of(side: &Side) -> Self {
        Self { label: side.label.clone(), stable: side.stable, unstable: side.unstable }
    }
}

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The sides; [`SideIndex`] counts them from 0.
    pub sides: Vec<SideName>,
    /// The verdict.
    pub verdict: Verdict,
    /// Lineage of each side and the next.
    pub lineage: Vec<Lineage>,
    /// Findings about the sides and pairs.
    pub findings: Vec<Finding>,
}
