//! What samples in time and frames show of a common history.

use super::SideIndex;
use super::identity::{Gap, Identity, NoCommonKernel};
use crate::number::FrameNumber;

/// One side showed less than the other had shown before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FellBehind {
    /// The side that showed more, and its frame.
    pub ahead: (SideIndex, FrameNumber),
    /// The side that showed less afterwards, and its frame.
    pub behind: (SideIndex, FrameNumber),
    /// Time between the two looks, nanoseconds.
    pub after: u64,
}

/// Content of two sides that does not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parting {
    /// One generation has different content at this frame.
    DifferentAt(FrameNumber),
    /// One side showed less than the other had shown before.
    FellBehind(FellBehind),
    /// The WAL of the later capture ends before that of the earlier one, or is an older generation of it.
    WentBack {
        /// The earlier capture.
        earlier: SideIndex,
        /// The later one.
        later: SideIndex,
    },
    /// The change counter of the database is smaller in the later capture than in the earlier one.
    ChangeCounter {
        /// The earlier capture, and its counter.
        earlier: (SideIndex, u32),
        /// The later one, and its counter.
        later: (SideIndex, u32),
    },
}

/// Why content that does not fit together refutes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotRefuted {
    /// The two may be different lives of the database.
    Gap(Gap),
    /// Identity says that the files are one, or does not distinguish them: they can have been overwritten in place.
    InPlace,
}

/// What the order of samples in time says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemporalFact {
    /// A side fell behind; with the reason if that refutes nothing.
    FellBehind(FellBehind, Option<NotRefuted>),
    /// Samples of both sides alternate and increase together.
    AdvanceTogether,
    /// It is not known that both sides are of one kernel.
    Kernel(NoCommonKernel),
    /// This side has no samples on a comparable clock.
    NoSamples(SideIndex),
    /// The samples do not alternate while frames are added.
    NotInterleaved,
    /// No two samples are of one generation with one completely after the other.
    NoOrder,
}

/// What the frames show.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentFact {
    /// One generation, with equal content up to this frame.
    EqualUpTo(FrameNumber),
    /// One generation, with different content at this frame; with the reason if that refutes nothing.
    DifferentAt(FrameNumber, Option<NotRefuted>),
    /// One generation; the checksum of this frame was not captured on both sides.
    ChecksumUnknown(FrameNumber),
    /// One generation, and no frame in common.
    NoCommonFrame,
    /// The sides have different generations.
    OtherGenerations,
    /// A side has neither a usable `-wal` nor a wal-index in use.
    NoHistory,
}

/// What happened between two captures, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineageFact {
    /// The history of one or both sides has no known end.
    NoEnd(Vec<(SideIndex, NoEnd)>),
    /// One generation, but the checksum of this frame was not captured on both sides.
    ChecksumUnknown(FrameNumber),
    /// One generation with different content at this frame. `gap`: a lost tail or a restored backup would look the
    /// same.
    DifferentAt {
        /// The frame.
        frame: FrameNumber,
        /// Whether something else than two writers can be the reason.
        gap: bool,
    },
    /// One side continues where the other ends, at this frame.
    GoesOn(FrameNumber),
    /// Both sides have the same last commit, at this frame.
    SameCommit(FrameNumber),
    /// Both sides have the same commits up to `frame`; one has more of them in the database.
    Checkpointed {
        /// The last commit.
        frame: FrameNumber,
        /// Frames in the database on the side that is behind.
        less: FrameNumber,
        /// Frames in the database on the side that is ahead.
        more: FrameNumber,
    },
    /// The file of the second side still has frames of the generation of the first side.
    LeftoverFrames(SideIndex, SideIndex),
    /// Each file has frames of the other's generation.
    LeftoversOnBoth,
    /// Salt-1 increases from one to the other as restarts increase it.
    SaltCountsUp,
    /// There are different salts beside one database file.
    OtherSalts,
    /// The generations have nothing in common, and there are two `-wal` files.
    TwoWals(Identity),
    /// The generations have nothing in common.
    NothingInCommon,
}

/// Why it is not known where the history of a side ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoEnd {
    /// The `-wal` does not have the frames that the wal-index in use counts.
    FramesLost,
    /// There is no usable `-wal`, and no wal-index in use.
    NoWal,
    /// The `-wal` was not captured, and there is no wal-index in use.
    NotCaptured,
}
