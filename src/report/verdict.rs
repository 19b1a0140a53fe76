//! The sharing verdict and the lineage as the JSON contract has them: the facts of `compare` with their sentences.

use schemars::JsonSchema;
use serde::Serialize;

use crate::compare;
use crate::say::{self, Names};

/// How far a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is so.
    Proven,
    /// It is not so.
    Refuted,
    /// The evidence does not reach.
    Undecided,
}

/// What a verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// What the next opener on either side would reach.
    Paths,
    /// What the running processes have mapped.
    Mappings,
}

/// The kinds of evidence. Stronger proofs join here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One page frame behind both mappings.
    PhysicalPages,
    /// One inode in one kernel.
    KernelIdentity,
    /// The same directory of one kernel, in which either side would look up or create the `-shm`.
    DirectoryIdentity,
    /// Which wal-index the visible processes of each side have mapped.
    ProcessMappings,
    /// A lock pattern held by one side, seen by the other.
    LockBeacon,
    /// A nonce written through one mapping and read through the other.
    MappingCoherence,
    /// Order of what the sides showed in time.
    Temporal,
    /// What the frames say about a common past.
    ContentLineage,
    /// Equal bytes: listed to say that they prove nothing.
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
    /// Both.
    Both,
}

/// What a piece of evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Fits with sharing, decides nothing.
    Supports,
    /// Decides that it is shared.
    Proves,
    /// Decides that it is not.
    Refutes,
    /// Cannot speak; see the reason.
    Silent,
}

/// One piece of evidence, silent ones included.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Because {
    /// Kind.
    pub kind: Kind,
    /// What it is about.
    pub about: About,
    /// What it says.
    pub says: Says,
    /// Why it is silent.
    pub reason: Option<String>,
    /// The facts, in a sentence.
    pub detail: String,
}

/// The sharing verdict.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
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
    /// Labels of the sides, by sharing group; of more than two sides. A group is proven: its sides share, or a side
    /// shares with none of the others.
    pub groups: Vec<Vec<String>>,
    /// Labels of the sides that are in no group, of more than two: they were proven to share with none, and with one or more
    /// neither proven nor refuted; or their proofs hang together over a pair that is refuted.
    pub undecided: Vec<String>,
    /// All evidence.
    pub because: Vec<Because>,
}

/// What happened between two captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Lineage {
    /// Relation; `None` when too little was captured to tell.
    pub relation: Option<Relation>,
    /// Label of the side that is ahead, if one is.
    pub ahead: Option<String>,
    /// Commits between the two, for a continuation.
    pub commits: Option<u64>,
    /// Frames between the two, for a continuation.
    pub frames: Option<u64>,
    /// One sentence.
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
            compare::Kind::LockBeacon => Self::LockBeacon,
            compare::Kind::MappingCoherence => Self::MappingCoherence,
            compare::Kind::Temporal => Self::Temporal,
            compare::Kind::ContentLineage => Self::ContentLineage,
            compare::Kind::EqualBytes => Self::EqualBytes,
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
