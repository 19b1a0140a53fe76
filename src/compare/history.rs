//! Where the history of a side ends, and the checksums of frames in it. The lineage and the content evidence use both.

use super::{About, Because, Fact, Pair, Says, Side, continuity};
use crate::evidence::{LockState, UnstableCause};
use crate::format::shm::IndexHeader;
use crate::format::wal::{FRAME_HEADER_SIZE, FrameHeader, WalHeader, parse_frame_header};
use crate::number::{Checksum, FrameNumber, Salts};
use crate::sides::{ContentFact, EqualBytesFact, Identity, NotRefuted, Parting, TemporalFact};
use crate::wal::EndReason;

/// The last commit that counts on a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// The generation.
    pub salts: Salts,
    /// Frame of the last commit; 0: none in this generation yet.
    pub frame: FrameNumber,
    /// Commit frames up to that frame, if they were counted.
    pub commits: Option<u64>,
    /// `nBackfill`, if the `-shm` counts.
    pub backfilled: Option<FrameNumber>,
    /// The WAL header's checkpoint sequence.
    pub sequence: Option<u32>,
}

/// If the `-shm` is in use, it says how far the WAL counts. At rest, or if the `-shm` cannot be trusted, the last
/// commit of the WAL decides.
pub(super) fn end(side: &Side) -> Option<End> {
    if lost(side) {
        return None;
    }
    let index = live_index(side);
    let backfilled = |index: Option<&IndexHeader>| index.and(side.shm.as_ref()).map(|shm| shm.checkpoint.backfilled);
    let Some(header) = usable_header(side) else {
        // The -wal was left out of the capture, or is still empty after TRUNCATE.
        let index = index?;
        return Some(End {
            salts: index.salts,
            frame: index.mx_frame,
            commits: None,
            backfilled: backfilled(Some(index)),
            sequence: None,
        });
    };
    let salts = header.salts;
    let committed = side.wal.last_commit.map_or(FrameNumber::NONE, |commit| commit.frame);
    if let Some(index) = index.filter(|index| index.salts != salts && index.mx_frame == 0) {
        // Restarted: the wal-index knows the new generation. The first frame will write it to the WAL header.
        return Some(End {
            salts: index.salts,
            frame: FrameNumber::NONE,
            commits: Some(0),
            backfilled: Some(FrameNumber::NONE),
            sequence: None,
        });
    }
    let index = index.filter(|index| index.salts == salts);
    let frame = index.map_or(committed, |index| index.mx_frame.min(committed));
    let commits = match frame {
        FrameNumber::NONE => Some(0),
        _ if frame == committed => Some(side.wal.commits),
        _ => None,
    };
    Some(End { salts, frame, commits, backfilled: backfilled(index), sequence: Some(header.checkpoint_sequence) })
}

/// Whether the `-wal` does not have the frames that the wal-index in use counts: each look of the capture showed it, or what
/// was captured does. Then it is not known where the history ends.
pub(super) fn lost(side: &Side) -> bool {
    let gone = |index: &IndexHeader| index.mx_frame > 0 && side.wal.end_reason == EndReason::NoFile;
    // At one moment each frame up to mxFrame is in the WAL. An older WAL of the same generation that was put in the place of
    // this one has fewer, and is as long as this one after the next commit.
    let misses = |index: &IndexHeader| {
        let of_it = side.wal.header.is_some_and(|header| header.salts == index.salts);
        side.stable && of_it && index.mx_frame > side.wal.frames.committed
    };
    let does = |index: &IndexHeader| gone(index) || side.wal.cut_short_of(index) || misses(index);
    side.unstable == Some(UnstableCause::WalCutOff) || side.wal_captured && live_index(side).is_some_and(does)
}

/// The wal-index header that counts: it can be trusted, and is not known to be left over.
fn live_index(side: &Side) -> Option<&IndexHeader> {
    let at_rest = side.evidence.locks.value().is_some_and(|locks| locks.shm.dead_man_switch.state == LockState::Free);
    side.shm.as_ref().filter(|_| !at_rest)?.trusted()
}

fn usable_header(side: &Side) -> Option<&WalHeader> {
    side.wal.page_size()?;
    side.wal.header.as_ref()
}

/// The cumulative checksum stored in a frame of the generation `salts` that is a commit, or at least part of the valid
/// chain.
pub(super) fn checksum_at(side: &Side, salts: Salts, frame: FrameNumber) -> Option<Checksum> {
    let chain = usable_header(side).filter(|header| header.salts == salts);
    let commit = chain.and(side.wal.last_commit).filter(|commit| commit.frame == frame);
    let index = || {
        let index = live_index(side)?;
        (index.salts == salts && index.mx_frame == frame).then_some(index.frame_checksum)
    };
    let sample = || {
        let at = side.evidence.samples.iter().find(|at| at.salts == salts && at.mx_frame == frame)?;
        Some(at.frame_checksum)
    };
    let looked_up = || {
        let header = chain.filter(|_| frame <= side.wal.frames.valid).and_then(|_| frame_header(side, frame))?;
        (header.salts == salts).then_some(header.checksum)
    };
    commit.map(|commit| commit.checksum).or_else(looked_up).or_else(index).or_else(sample)
}

/// Number of commit frames in `after + 1 ..= upto`. One header is read at a time, and the length of the chain limits
/// the loop.
pub(super) fn commits_between(side: &Side, after: FrameNumber, upto: FrameNumber) -> Option<u64> {
    let mut commits = 0;
    for frame in after.next().count()..=upto.count().min(side.wal.frames.valid) {
        commits += u64::from(frame_header(side, FrameNumber(frame))?.is_commit());
    }
    (upto <= side.wal.frames.valid).then_some(commits)
}

/// The header of one frame.
fn frame_header(side: &Side, frame: FrameNumber) -> Option<FrameHeader> {
    let headers = side.frame_headers.as_ref().filter(|_| frame != FrameNumber::NONE)?;
    let offset = headers.stride.offset_of(frame);
    let mut bytes = [0; FRAME_HEADER_SIZE];
    let read = headers.bytes.read_at(&mut bytes, offset).ok()?;
    parse_frame_header(bytes.get(..read)?, offset).ok()
}

/// What two histories have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Common {
    /// One generation, with equal content up to this frame, the smaller one of both ends.
    UpTo(FrameNumber),
    /// One generation, with different content at this frame.
    DifferentAt(FrameNumber),
    /// One generation, but a side has no checksum of this frame.
    Unknown(FrameNumber),
    /// Two generations.
    OtherSalts,
}

/// Compares two ends. Checksums are cumulative: if they are equal at one frame, everything before it is equal.
pub(super) fn common(pair: &Pair<'_>, a: &End, b: &End) -> Common {
    if a.salts != b.salts {
        return Common::OtherSalts;
    }
    let frame = a.frame.min(b.frame);
    if frame == FrameNumber::NONE {
        return Common::UpTo(frame);
    }
    match (checksum_at(pair.a.side, a.salts, frame), checksum_at(pair.b.side, a.salts, frame)) {
        (Some(x), Some(y)) if x == y => Common::UpTo(frame),
        (Some(_), Some(_)) => Common::DifferentAt(frame),
        _ => Common::Unknown(frame),
    }
}

/// Content, or an order in time, that does not fit together and refutes nothing; and why.
pub(super) fn parting(because: &[Because]) -> Option<(Parting, &NotRefuted)> {
    let different = because.iter().find_map(|item| match &item.fact {
        Fact::ContentLineage(ContentFact::DifferentAt(frame, Some(why))) => Some((Parting::DifferentAt(*frame), why)),
        _ => None,
    });
    let behind = || {
        because.iter().find_map(|item| match &item.fact {
            Fact::Temporal(TemporalFact::FellBehind(found, Some(why))) => Some((Parting::FellBehind(*found), why)),
            _ => None,
        })
    };
    different.or_else(behind)
}

/// Content as evidence. It can refute; equal content may be a copy. `shm` and `one`: see [`continuity::refutable`].
pub(super) fn content(pair: &Pair<'_>, shm: &Identity, one: bool) -> Because {
    let (says, fact) = match end(pair.a.side).zip(end(pair.b.side)).map(|(a, b)| common(pair, &a, &b)) {
        None => (Says::Silent, ContentFact::NoHistory),
        Some(Common::UpTo(FrameNumber::NONE)) => (Says::Silent, ContentFact::NoCommonFrame),
        Some(Common::UpTo(frame)) => (Says::Supports, ContentFact::EqualUpTo(frame)),
        Some(Common::DifferentAt(frame)) => match continuity::refutable(pair, shm, one) {
            Ok(()) => (Says::Refutes, ContentFact::DifferentAt(frame, None)),
            Err(why) => (Says::Silent, ContentFact::DifferentAt(frame, Some(why))),
        },
        Some(Common::Unknown(frame)) => (Says::Silent, ContentFact::ChecksumUnknown(frame)),
        Some(Common::OtherSalts) => (Says::Silent, ContentFact::OtherGenerations),
    };
    Because::new(About::Both, says, Fact::ContentLineage(fact))
}

/// Equal bytes are listed so that nobody takes them for a proof.
pub(super) fn equal_bytes(pair: &Pair<'_>) -> Because {
    let fact = match (&pair.a.side.shm, &pair.b.side.shm) {
        (Some(a), Some(b)) if a == b => EqualBytesFact::Equal,
        (Some(_), Some(_)) => EqualBytesFact::Different,
        _ => EqualBytesFact::NotTwo,
    };
    Because::new(About::Both, Says::Silent, Fact::EqualBytes(fact))
}
