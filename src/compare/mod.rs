//! Two or more sides: do they share memory and locks, and what happened between them.
//!
//! Sharing is two facts, shared memory and shared locks; it is proven only if both are. A verdict has a subject: what
//! the next opener would reach (`paths`), or what the running processes have mapped (`mappings`). Every piece of
//! evidence is listed, also the silent ones. Missing evidence never strengthens a verdict.

mod beacon;
mod continuity;
mod directory;
pub mod findings;
mod groups;
mod history;
mod identity;
mod lineage;
mod mappings;
mod pages;
mod probe;
mod sentence;
#[cfg(target_os = "linux")]
mod side;
mod temporal;
mod verdict;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::bytes::ReadAt;
use crate::evidence::Evidence;
use crate::evidence::live::Live;
use crate::finding::rules::{self, Facts};
use crate::finding::{Finding, surroundings};
use crate::format::shm::IndexHead;
use crate::look::Inspection;
use crate::number::Stride;
use crate::wal::WalFacts;

pub use probe::{Met, probe};

/// One side of a comparison.
#[derive(Clone)]
pub struct Side {
    /// As the user named it.
    pub label: String,
    /// The process whose view the user asked for by its number; `None` where it was any of a container, or this one.
    pub process: Option<u32>,
    /// Whether the capture is of one moment.
    pub stable: bool,
    /// What was seen besides the bytes.
    pub evidence: Evidence,
    /// The head of the `-shm`.
    pub shm: Option<IndexHead>,
    /// The `-wal`.
    pub wal: WalFacts,
    /// Whether what `wal` says is about the side. Not where the `-wal` was left out of the capture.
    pub wal_captured: bool,
    /// Frame headers to look up by number, when they were captured.
    pub frame_headers: Option<FrameHeaders>,
}

/// Where frame headers are.
#[derive(Clone)]
pub struct FrameHeaders {
    /// The `-wal`, or its headers only.
    pub bytes: Arc<dyn ReadAt>,
    /// How far apart: headers alone, or headers with their pages.
    pub stride: Stride,
}

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

/// Everything that comparing found.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The verdict.
    pub verdict: Verdict,
    /// One plain sentence that never says more than the verdict's subject, and what to do.
    pub explanation: String,
    /// Lineage of the first two sides; of more sides, one for each neighbouring pair.
    pub lineage: Vec<Lineage>,
    /// Split-brain, database shared but wal-index not, and the like.
    pub findings: Vec<Finding>,
}

/// Compares two or more sides. `simultaneous`: the descriptors of all sides were open at the same time, and the paths
/// were checked again after the last was opened.
///
/// Of fewer than two sides nothing can be said: undecided.
#[must_use]
pub fn compare(sides: &[Side], simultaneous: bool) -> Comparison {
    compare_live(sides, simultaneous, &[])
}

/// What two live sides showed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePair {
    /// Positions of the two among the sides, the lower one first.
    pub at: (usize, usize),
    /// What was tried.
    pub live: Live,
}

/// The same with what live sides showed together.
#[must_use]
pub fn compare_live(sides: &[Side], simultaneous: bool, live: &[LivePair]) -> Comparison {
    let pairs = groups::pairs(sides, simultaneous, live);
    let verdict = groups::verdict(sides, &pairs);
    Comparison {
        explanation: sentence::explain(sides, &verdict, &pairs),
        lineage: sides
            .windows(2)
            .filter_map(|pair| match pair {
                [a, b] => Some(lineage::lineage(&Pair { a, b, simultaneous, live: None })),
                _ => None,
            })
            .collect(),
        findings: findings::findings(sides, &pairs),
        verdict,
    }
}

/// What the running processes of one side say by themselves: whether they are cut off from whoever opens the path next.
#[must_use]
pub fn of_one(label: &str, evidence: &Evidence) -> Vec<Finding> {
    let side = Side {
        label: label.to_owned(),
        process: None,
        stable: true,
        evidence: evidence.clone(),
        shm: None,
        wal: WalFacts::absent(),
        wal_captured: false,
        frame_headers: None,
    };
    findings::of_side(&side)
}

/// Every finding about one look: what the files say, how they are mounted, linked and owned, and whether running
/// processes have others mapped. The gravest come first.
#[must_use]
pub fn findings_of(inspection: &Inspection) -> Vec<Finding> {
    let mut around = Vec::new();
    if let Some(evidence) = &inspection.surroundings {
        around.extend(of_one(&inspection.origin.label, evidence));
        around.extend(surroundings::findings(evidence));
        around.extend(inspection.origin.of_other_process.then(|| surroundings::user_cannot_write(evidence)).flatten());
    }
    rules::findings(&Facts { around: &around, ..Facts::of(inspection) })
}

/// Two sides to be judged.
#[derive(Clone, Copy)]
struct Pair<'a> {
    a: &'a Side,
    b: &'a Side,
    simultaneous: bool,
    live: Option<&'a Live>,
}

impl Because {
    fn new(kind: Kind, about: About, says: Says, detail: impl Into<String>) -> Self {
        Self { kind, about, says, reason: None, detail: detail.into() }
    }

    fn silent(kind: Kind, about: About, reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, about, says: Says::Silent, reason: Some(reason.into()), detail: detail.into() }
    }
}
