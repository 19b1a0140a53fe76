//! The wal-index compared with its WAL.
//!
//! A fault of a wal-index is an error only if a process uses it and it was stable enough to be judged. A `-shm` that
//! nobody has open is rebuilt by the next connection, whatever it contains.

use super::pair;
use crate::finding::frames_gone::FramesGone;
use crate::finding::value::Both;
use crate::finding::{Finding, Found, Severity, cut_shm};
use crate::format::shm::IndexHeader;
use crate::look::{BehindBreak, IndexCheck, Inspection};
use crate::number::{ByteOrder, FrameNumber};
use crate::wal::WalFacts;

pub(super) fn findings(examined: &Inspection) -> Vec<Finding> {
    let wal = examined.wal.as_ref();
    let behind_break = wal.and_then(|wal| commits_behind_break(examined, wal));
    // A WAL in use can restart between two looks. Only looks that agree show something about it.
    if examined.look_again() {
        return behind_break.into_iter().collect();
    }
    // Without a header that a reader would use, nothing can be compared with the WAL.
    let of_header = examined.trusted().zip(wal);
    let of_header = of_header.map(|(header, wal)| against_wal(examined, header, wal)).unwrap_or_default();
    let of_entries =
        [pages_wrong(examined), frames_unreachable(examined), slots_misordered(examined), slots_duplicate(examined)];
    of_header.into_iter().chain(of_entries.into_iter().flatten()).chain(behind_break).collect()
}

fn against_wal(examined: &Inspection, header: &IndexHeader, wal: &WalFacts) -> Vec<Finding> {
    // A wal-index that was just restarted or created names no frame. A commit on disk can be ahead of it all the same.
    if header.mx_frame == FrameNumber::NONE {
        // folklore: each connection opens the -wal, and makes it if there is none, before it opens the -shm (sqlite3WalOpen),
        // also one that may only read; the last one to close removes the -shm before the -wal (sqlite3WalClose). So a -shm
        // in use has a -wal beside it, whatever it counts. Held by
        // `a_wal_removed_from_beside_a_wal_index_without_frames_is_named`.
        if examined.must_hold() && wal.is_absent() {
            return vec![other_wal(examined, header, wal)];
        }
        let ahead = ahead(examined, wal).filter(|_| !wal.left_behind_by(header));
        return ahead.into_iter().collect();
    }
    let backfill = backfill_beyond(examined, header);
    if examined.shm.as_ref().is_some_and(|shm| wal.emptied_behind(shm)) {
        return Vec::new();
    }
    if let Some(truncated) = truncated(examined, header, wal) {
        return std::iter::once(truncated).chain(backfill).collect();
    }
    if !examined.same_generation() {
        return std::iter::once(other_wal(examined, header, wal)).chain(backfill).collect();
    }
    [beyond_wal(examined, header, wal), ahead(examined, wal), contradicts(examined, header, wal), backfill]
        .into_iter()
        .flatten()
        .collect()
}

/// A finding that is an error, or has the gravest severity of its code, only while the wal-index has to be right.
fn finding(examined: &Inspection, found: Found) -> Finding {
    let severity = if examined.must_hold() { found.code().gravest() } else { Severity::Notice };
    Finding::at(severity, found)
}

fn other_wal(examined: &Inspection, header: &IndexHeader, wal: &WalFacts) -> Finding {
    let frames_gone = frames_gone(examined, header, wal);
    let found = Found::ShmOfOtherWal {
        mx_frame: header.mx_frame,
        shm_salts: header.salts,
        wal_salts: wal.header.map(|wal| wal.salts),
        in_use: examined.in_use(),
        frames_gone,
        wal_size: (!wal.is_absent()).then_some(wal.file_size),
    };
    // A connection without a wal-index can have copied the frames, and then the database is as long as they leave it.
    if frames_gone.is_some_and(|gone| gone.missing_pages > 0) {
        Finding::at(Severity::Warning, found)
    } else {
        finding(examined, found)
    }
}

/// Frames that are in no file, and how much shorter the two files are than these leave the database.
fn frames_gone(examined: &Inspection, header: &IndexHeader, wal: &WalFacts) -> Option<FramesGone> {
    let frames = examined.frames_gone()?;
    let in_file = examined.database_size.and_then(|bytes| bytes.checked_div(header.page_size.into()));
    let by_commit = wal.last_commit.map_or(0, |commit| u64::from(commit.database_pages));
    let missing = |pages: u64| u64::from(header.database_pages).saturating_sub(pages.max(by_commit));
    Some(FramesGone { frames, missing_pages: in_file.map_or(0, missing) })
}

/// A wal-index in use that counts frames which the file cannot have. SQLite restarts the wal-index before it truncates
/// the WAL, so another program cut the file.
fn truncated(examined: &Inspection, header: &IndexHeader, wal: &WalFacts) -> Option<Finding> {
    if !examined.must_hold() || !wal.cut_short_of(header) {
        return None;
    }
    let same_generation = examined.same_generation();
    let backfilled = examined.shm.as_ref().map_or(FrameNumber::NONE, |shm| shm.checkpoint.backfilled);
    Some(Finding::new(Found::WalTruncated {
        mx_frame: header.mx_frame,
        backfilled: backfilled.min(header.mx_frame),
        needed: header.wal_bytes(),
        found: wal.file_size,
        committed: if same_generation { wal.frames.committed.min(header.mx_frame.count()) } else { 0 },
        deleted_wals: examined.surroundings.as_ref().map(|evidence| evidence.deleted_wals.clone()).unwrap_or_default(),
        has_header: same_generation && wal.header.is_some(),
    }))
}

fn beyond_wal(examined: &Inspection, header: &IndexHeader, wal: &WalFacts) -> Option<Finding> {
    let committed = wal.frames.committed;
    if header.mx_frame <= committed {
        return None;
    }
    let damaged_before_its_end = damaged_before_its_end(examined, header, wal);
    let frames_gone = frames_gone(examined, header, wal);
    let found = Found::ShmBeyondWal {
        mx_frame: header.mx_frame,
        committed,
        end_frame: wal.end_frame,
        end_reason: wal.end_reason,
        frames_gone: frames_gone.filter(|_| !damaged_before_its_end),
        damaged_before_its_end,
    };
    // No connection leaves fewer frames of one generation than a wal-index counts.
    Some(match (damaged_before_its_end, frames_gone) {
        (true, _) => Finding::new(found),
        (false, Some(_)) => Finding::at(Severity::Warning, found),
        (false, None) => finding(examined, found),
    })
}

/// Whether the frame that the wal-index names as its last commit is in the file as the wal-index describes it, while
/// the valid chain does not reach it. If the tail had been lost, this frame would be lost too, and no writer of one
/// generation writes before it again. So an earlier frame was damaged, and this is a fault at rest too.
fn damaged_before_its_end(examined: &Inspection, header: &IndexHeader, wal: &WalFacts) -> bool {
    examined.at_mx_frame.zip(wal.header).is_some_and(|(frame, wal)| {
        frame.salts == wal.salts && frame.is_commit() && frame.checksum == header.frame_checksum
    })
}

/// A commit frame is on disk before `mxFrame` names it. A slow fsync can come between the two.
fn ahead(examined: &Inspection, wal: &WalFacts) -> Option<Finding> {
    let shown = examined.mx_frame_after?;
    let committed = wal.frames.committed;
    if !examined.must_hold() || shown >= committed {
        return None;
    }
    let writing = examined.locks.as_ref().is_some_and(|locks| locks.shm.write.held());
    let severity = if writing { Severity::Info } else { Severity::Notice };
    Some(Finding::at(severity, Found::WalAheadOfShm { committed, mx_frame: shown }))
}

/// What the header repeats from the WAL, if it is different there.
fn contradicts(examined: &Inspection, header: &IndexHeader, wal: &WalFacts) -> Option<Finding> {
    if header.mx_frame > wal.frames.committed {
        return None;
    }
    let (frame, of_wal) = (examined.at_mx_frame?, wal.header?);
    let big_endian = of_wal.checksum_order() == Some(ByteOrder::Big);
    let commit_frame = Both { shm: true, wal: frame.is_commit() };
    let database_pages = Both { shm: header.database_pages, wal: frame.commit_pages };
    let frame_checksum = Both { shm: header.frame_checksum, wal: frame.checksum };
    let page_size = Both { shm: header.page_size, wal: of_wal.page_size };
    let big_endian_checksums = Both { shm: header.big_endian_checksums != 0, wal: big_endian };
    let differ = commit_frame.differ()
        || database_pages.differ()
        || frame_checksum.differ()
        || page_size.differ()
        || big_endian_checksums.differ();
    let mx_frame = header.mx_frame;
    differ.then(|| {
        finding(
            examined,
            Found::ShmHeaderContradictsWal {
                mx_frame,
                commit_frame,
                database_pages,
                frame_checksum,
                page_size,
                big_endian_checksums,
            },
        )
    })
}

fn backfill_beyond(examined: &Inspection, header: &IndexHeader) -> Option<Finding> {
    let backfilled = examined.shm.as_ref()?.checkpoint.backfilled;
    if backfilled <= header.mx_frame {
        return None;
    }
    Some(finding(examined, Found::ShmBackfillBeyondMxFrame { backfilled, mx_frame: header.mx_frame }))
}

fn pages_wrong(examined: &Inspection) -> Option<Finding> {
    let index = examined.index.as_ref().ok().filter(|index| index.wrong_pages > 0)?;
    let frames = index.wrong_listed.clone();
    Some(finding(examined, Found::ShmPagesWrong { wrong: index.wrong_pages, compared: index.compared, frames }))
}

fn frames_unreachable(examined: &Inspection) -> Option<Finding> {
    // A -shm in use that was cut off has a finding of its own.
    let cut = cut_shm::too_short_for_its_frames(examined).is_some();
    let missed = |index: &&IndexCheck| index.unreachable > 0 || (index.unindexed > 0 && !cut);
    let index = examined.index.as_ref().ok().filter(missed)?;
    Some(finding(
        examined,
        Found::ShmFramesUnreachable {
            unreachable: index.unreachable,
            unindexed: index.unindexed,
            full_blocks: index.full_blocks,
            frames: index.unreachable_listed.clone(),
        },
    ))
}

fn slots_misordered(examined: &Inspection) -> Option<Finding> {
    let index = examined.index.as_ref().ok().filter(|index| index.misordered_slots > 0)?;
    let frames = index.misordered_listed.clone();
    Some(finding(examined, Found::ShmSlotsOutOfOrder { misordered_slots: index.misordered_slots, frames }))
}

/// A second slot for one entry changes no answer unless it is out of order, which has a finding of its own.
fn slots_duplicate(examined: &Inspection) -> Option<Finding> {
    let index = examined.index.as_ref().ok().filter(|index| index.duplicate_slots > 0)?;
    Some(finding(examined, Found::ShmSlotsDuplicate { duplicate_slots: index.duplicate_slots }))
}

fn commits_behind_break(examined: &Inspection, wal: &WalFacts) -> Option<Finding> {
    let behind = Some(examined.behind_break).filter(|behind| behind.commits > 0 && wal.page_size().is_some())?;
    let BehindBreak { commits, continued, by_rollback_to, flipped, .. } = behind;
    // Nobody copies a commit that the wal-index never named.
    let copied = pair::database_is_ahead(examined);
    // Without one of the four, a writer that was killed before the wal-index named its commit leaves the same.
    let certain = (continued || by_rollback_to || copied || flipped.is_some()) && !examined.changed;
    let severity = if certain { Severity::Warning } else { Severity::Notice };
    let end_frame = wal.end_frame;
    let found = Found::WalCommitsBehindBreak { end_frame, commits, continued, by_rollback_to, copied, flipped };
    Some(Finding::at(severity, found))
}
