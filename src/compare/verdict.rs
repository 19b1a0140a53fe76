//! The verdict as data.

use crate::finding::Finding;
use crate::sides::{
    BeaconFact, CoherenceFact, ContentFact, DirectoryFact, Doubt, EqualBytesFact, Identity, LineageFact, MappingFact,
    OneSide, PageFact, SideIndex, TemporalFact,
};

/// How far a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is so.
    Proven,
    /// It is not so.
    Refuted,
    /// The evidence does not reach.
    Undecided,
}

impl Answer {
    /// Whether a wal-index is shared: proven only if memory and locks both are, refuted if one of them is.
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
    /// What the next opener on either side would reach.
    Paths,
    /// What the running processes have mapped.
    Mappings,
}

/// The kinds of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// One page frame behind both mappings.
    PhysicalPages,
    /// One inode in one kernel.
    KernelIdentity,
    /// One directory of one kernel, in which either side would look up or create the `-shm`.
    DirectoryIdentity,
    /// Which wal-index the visible processes of each side have mapped.
    ProcessMappings,
    /// A lock pattern held by one side, seen by the other.
    LockBeacon,
    /// A number written through one mapping and read through the other.
    MappingCoherence,
    /// The order in time of what the sides showed.
    Temporal,
    /// What the frames say about a common past.
    ContentLineage,
    /// Equal bytes, which prove nothing.
    EqualBytes,
}

/// What a piece of evidence is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum About {
    /// The pages of the `-shm`.
    Memory,
    /// The byte-range locks on it.
    Locks,
    /// Both.
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
    /// Fits with sharing, decides nothing.
    Supports,
    /// Decides that it is shared.
    Proves,
    /// Decides that it is not.
    Refutes,
    /// Cannot speak; the fact tells why.
    Silent,
}

/// What was found by one kind of evidence, or why it is silent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// Page frames.
    PhysicalPages(PageFact),
    /// The identity of the `-shm`.
    KernelIdentity(Identity),
    /// On an overlay: whether the pages behind it are shared is open, whatever its locks are.
    OverlayPages,
    /// Both sides are one.
    OneSide(OneSide),
    /// The directory.
    DirectoryIdentity(DirectoryFact),
    /// What processes have mapped.
    ProcessMappings(MappingFact),
    /// A lock beacon.
    LockBeacon(BeaconFact),
    /// A trial by mapping.
    MappingCoherence(CoherenceFact),
    /// Samples in time.
    Temporal(TemporalFact),
    /// Frames.
    ContentLineage(ContentFact),
    /// Bytes of the `-shm`.
    EqualBytes(EqualBytesFact),
}

/// One piece of evidence about two sides. The silent ones are listed too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Because {
    /// The kind of evidence.
    pub kind: Kind,
    /// What it is about.
    pub about: About,
    /// What it says.
    pub says: Says,
    /// What was found, or why it is silent.
    pub fact: Fact,
}

impl Because {
    pub(super) fn new(about: About, says: Says, fact: Fact) -> Self {
        let kind = match fact {
            Fact::PhysicalPages(_) => Kind::PhysicalPages,
            Fact::KernelIdentity(_) | Fact::OverlayPages | Fact::OneSide(_) => Kind::KernelIdentity,
            Fact::DirectoryIdentity(_) => Kind::DirectoryIdentity,
            Fact::ProcessMappings(_) => Kind::ProcessMappings,
            Fact::LockBeacon(_) => Kind::LockBeacon,
            Fact::MappingCoherence(_) => Kind::MappingCoherence,
            Fact::Temporal(_) => Kind::Temporal,
            Fact::ContentLineage(_) => Kind::ContentLineage,
            Fact::EqualBytes(_) => Kind::EqualBytes,
        };
        Self { kind, about, says, fact }
    }
}

/// The verdict about two sides, and what it was drawn from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairVerdict {
    /// The two sides.
    pub sides: [SideIndex; 2],
    /// Memory and locks together.
    pub sharing: Answer,
    /// The `-shm` pages.
    pub memory: Answer,
    /// The locks.
    pub locks: Answer,
    /// What the verdict is about.
    pub subject: Subject,
    /// The kinds that decided.
    pub decided_by: Vec<Kind>,
    /// All evidence.
    pub because: Vec<Because>,
    /// Both sides are one: nothing was compared.
    pub one_side: Option<OneSide>,
    /// What the identity of the `-shm` came to.
    pub shm: Identity,
    /// The sides have two databases, or two `-wal` files, behind one `-shm`: what its identity came to.
    pub two_files: Option<Identity>,
    /// Why it is not known whether database and `-wal` are one.
    pub doubt: Option<Doubt>,
    /// What page frames say was seen between running processes.
    pub pages_of_processes: bool,
}

impl PairVerdict {
    /// Whether a piece of evidence is about running processes, not about what a path leads to.
    #[must_use]
    pub fn is_about_processes(&self, item: &Because) -> bool {
        match item.kind {
            Kind::ProcessMappings => true,
            Kind::PhysicalPages => self.pages_of_processes,
            _ => false,
        }
    }
}

/// The sharing verdict over all sides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Memory and locks together.
    pub sharing: Answer,
    /// The `-shm` pages.
    pub memory: Answer,
    /// The locks.
    pub locks: Answer,
    /// What the verdict is about.
    pub subject: Subject,
    /// The kinds that decided.
    pub decided_by: Vec<Kind>,
    /// The sides by sharing group; only of more than two sides. A group is proven: its sides share, or it is one side
    /// that shares with none of the others.
    pub groups: Vec<Vec<SideIndex>>,
    /// The sides that are in no group; only of more than two sides. They were proven to share with none, and with one or
    /// more neither proven nor refuted; or their proofs hang together over a pair that is refuted.
    pub undecided: Vec<SideIndex>,
    /// Each pair of sides.
    pub pairs: Vec<PairVerdict>,
}

impl Verdict {
    /// All evidence, pair by pair.
    pub fn because(&self) -> impl Iterator<Item = &Because> {
        self.pairs.iter().flat_map(|pair| &pair.because)
    }
}

/// What happened between two captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// The same last commit of the same generation.
    Identical,
    /// One goes on where the other ends, in the same generation.
    Continuation,
    /// The same commits, more of them in the database.
    Checkpointed,
    /// A new generation of the same database.
    Restarted,
    /// A common past, then different frames.
    Diverged,
    /// Nothing in common.
    Unrelated,
}

/// Lineage of two sides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lineage {
    /// The two sides.
    pub sides: [SideIndex; 2],
    /// Relation; `None` when too little was captured to tell.
    pub relation: Option<Relation>,
    /// The side that is ahead, if one is.
    pub ahead: Option<SideIndex>,
    /// Commits between the two, for a continuation.
    pub commits: Option<u64>,
    /// Frames between the two, for a continuation.
    pub frames: Option<u64>,
    /// What was found.
    pub fact: LineageFact,
}

/// A side as sentences need it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SideName {
    /// What the side is called.
    pub label: String,
    /// Whether its capture is of one moment.
    pub stable: bool,
}

/// Everything that comparing found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The sides; [`SideIndex`] counts them from 0.
    pub sides: Vec<SideName>,
    /// The verdict.
    pub verdict: Verdict,
    /// Lineage of each side and the next.
    pub lineage: Vec<Lineage>,
    /// Split-brain, database shared but wal-index not, and the like.
    pub findings: Vec<Finding>,
}
