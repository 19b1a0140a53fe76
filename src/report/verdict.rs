//! The sharing verdict and the lineage as the JSON contract has them: the facts of `compare` with their sentences.

use schemars::JsonSchema;
use serde::Serialize;

use crate::compare;
use crate::say::{self, Names};

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is true.
    Proven,
    /// It is false.
    Refuted,
    /// The evidence does not decide it.
    Undecided,
}

/// What a verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// What a process reaches if it opens the database now, on either side.
    Paths,
    /// What the running processes have mapped.
    Mappings,
}

/// The kinds of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// Locks on a scratch file that one side holds and the other side tries to take.
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

/// What a piece of evidence is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The pages of the `-shm`.
    Memory,
    /// The byte-range locks on it.
    Locks,
    /// The pages and the locks.
    Both,
}

/// What a piece of evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// It fits with sharing, but decides nothing.
    Supports,
    /// It proves sharing.
    Proves,
    /// It refutes sharing.
    Refutes,
    /// It says nothing; `reason` says why.
    Silent,
}

/// One piece of evidence. Silent ones are listed too.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Because {
    /// The kind.
    pub kind: Kind,
    /// What it is about.
    pub about: About,
    /// What it says.
    pub says: Says,
    /// Why it is silent; null if it is not.
    pub reason: Option<String>,
    /// The facts, as a sentence.
    pub detail: String,
}

/// What a proof from captures takes for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Assumption {
    /// Both captures are of one running machine, not of two copies of it.
    OneMachine,
    /// Both captures are of one disk, not of two copies of it, or of an older content that was put back.
    OneDisk,
}

/// The sharing verdict.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
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
    /// Labels of the sides by sharing group, if there are more than two sides. Each group is proven: its sides share
    /// one wal-index, or it is one side that shares with none of the others.
    pub groups: Vec<Vec<String>>,
    /// Labels of the sides that are in no group, if there are more than two sides. Such a side was not proven to share
    /// with any other, and for one or more others it is undecided. Or it belongs to a chain of proven pairs within
    /// which another pair is refuted.
    pub undecided: Vec<String>,
    /// What the proof takes for granted: all assumptions of the pairs that made it. Empty unless sharing is proven, and
    /// empty if the sides were looked at by one process or the captures met.
    pub assuming: Vec<Assumption>,
    /// All pieces of evidence.
    pub because: Vec<Because>,
}

/// What happened between two captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Lineage {
    /// The relation; null if too little was captured.
    pub relation: Option<Relation>,
    /// The label of the side that is ahead; null if none is.
    pub ahead: Option<String>,
    /// Number of commits between the two, for a continuation.
    pub commits: Option<u64>,
    /// Number of frames between the two, for a continuation.
    pub frames: Option<u64>,
    /// What happened, as one sentence.
    pub explanation: String,
}

impl From<compare::Answer> for Answer {
    fn from(answer: compare::Answer) -> Self {
        match answer {
            compare::Answer::Proven => Self::Proven,
            compare::Answer::Refuted => Self::Refuted,
            compare::Answer::Undecided => Self::Undecided,
        }
    }
}

impl From<compare::Subject> for Subject {
    fn from(subject: compare::Subject) -> Self {
        match subject {
            compare::Subject::Paths => Self::Paths,
            compare::Subject::Mappings => Self::Mappings,
        }
    }
}

impl From<compare::Kind> for Kind {
    fn from(kind: compare::Kind) -> Self {
        match kind {
            compare::Kind::PhysicalPages => Self::PhysicalPages,
            compare::Kind::KernelIdentity => Self::KernelIdentity,
            compare::Kind::DirectoryIdentity => Self::DirectoryIdentity,
            compare::Kind::ProcessMappings => Self::ProcessMappings,
            compare::Kind::LockPairing => Self::LockPairing,
            compare::Kind::LockBeacon => Self::LockBeacon,
            compare::Kind::Contact => Self::Contact,
            compare::Kind::TriedLocks => Self::TriedLocks,
            compare::Kind::MappingCoherence => Self::MappingCoherence,
            compare::Kind::Temporal => Self::Temporal,
            compare::Kind::ContentLineage => Self::ContentLineage,
            compare::Kind::EqualBytes => Self::EqualBytes,
        }
    }
}

impl From<compare::Assumption> for Assumption {
    fn from(assumption: compare::Assumption) -> Self {
        match assumption {
            compare::Assumption::OneMachine => Self::OneMachine,
            compare::Assumption::OneDisk => Self::OneDisk,
        }
    }
}

impl From<compare::About> for About {
    fn from(about: compare::About) -> Self {
        match about {
            compare::About::Memory => Self::Memory,
            compare::About::Locks => Self::Locks,
            compare::About::Both => Self::Both,
        }
    }
}

impl From<compare::Says> for Says {
    fn from(says: compare::Says) -> Self {
        match says {
            compare::Says::Supports => Self::Supports,
            compare::Says::Proves => Self::Proves,
            compare::Says::Refutes => Self::Refutes,
            compare::Says::Silent => Self::Silent,
        }
    }
}

impl From<compare::Relation> for Relation {
    fn from(relation: compare::Relation) -> Self {
        match relation {
            compare::Relation::Identical => Self::Identical,
            compare::Relation::Continuation => Self::Continuation,
            compare::Relation::Checkpointed => Self::Checkpointed,
            compare::Relation::Restarted => Self::Restarted,
            compare::Relation::Diverged => Self::Diverged,
            compare::Relation::Unrelated => Self::Unrelated,
        }
    }
}

impl Because {
    fn new(pair: &compare::PairVerdict, item: &compare::Because, names: Names<'_>) -> Self {
        Self {
            kind: item.kind.into(),
            about: item.about.into(),
            says: item.says.into(),
            reason: say::evidence::reason(item, names),
            detail: say::evidence::detail_of_pair(pair, item, names),
        }
    }
}

impl Verdict {
    /// From what comparing found. `names`: what the sides are called.
    #[must_use]
    pub fn new(verdict: &compare::Verdict, names: Names<'_>) -> Self {
        let labels =
            |sides: &[compare::SideIndex]| sides.iter().map(|side| names.of(*side).to_owned()).collect::<Vec<_>>();
        let of_pair = |pair| {
            let pair: &compare::PairVerdict = pair;
            pair.because.iter().map(|item| Because::new(pair, item, names)).collect::<Vec<_>>()
        };
        Self {
            sharing: verdict.sharing.into(),
            memory: verdict.memory.into(),
            locks: verdict.locks.into(),
            subject: verdict.subject.into(),
            decided_by: verdict.decided_by.iter().map(|kind| Kind::from(*kind)).collect(),
            assuming: verdict.assuming.iter().map(|assumed| Assumption::from(*assumed)).collect(),
            groups: verdict.groups.iter().map(|group| labels(group)).collect(),
            undecided: labels(&verdict.undecided),
            because: verdict.pairs.iter().flat_map(of_pair).collect(),
        }
    }
}

impl Lineage {
    /// From what comparing found. `names`: what the sides are called.
    #[must_use]
    pub fn new(lineage: &compare::Lineage, names: Names<'_>) -> Self {
        Self {
            relation: lineage.relation.map(Relation::from),
            ahead: lineage.ahead.map(|side| names.of(side).to_owned()),
            commits: lineage.commits,
            frames: lineage.frames,
            explanation: say::lineage::lineage(lineage, names),
        }
    }
}
