//! The WAL compared with its database: whether SQLite can use the two together, and whether what was copied is there.

use super::pair::holders;
use super::versions;
use crate::finding::cut;
use crate::finding::newer::{self, Newer};
use crate::finding::not_copied::NotCopied;
use crate::finding::{Finding, Found};
use crate::format::db::{DatabaseHead, DatabaseHeader, JournalMode};
use crate::look::checkpoint::{CheckpointFacts, CheckpointState};
use crate::look::{Inspection, Schema};
use crate::number::PageSize;
use crate::wal::WalFacts;

/// From this file size on, a WAL that holds little raises a notice. Automatic checkpoints usually leave about 4 MiB.
const LARGE: u64 = 64 << 20;
/// Little means less than this part of the file.
const LITTLE: u64 = 4;

pub(super) fn findings(examined: &Inspection) -> Vec<Finding> {
    let Some(wal) = &examined.wal else { return Vec::new() };
    let plain = examined.database.as_ref().and_then(DatabaseHead::plain);
    let committed = wal.frames.committed > 0;
    let belongs = plain
        .filter(|_| committed && !examined.changed)
        .map(|header| [page_size_differs(header, wal), beside_rollback(header, wal)]);
    belongs
        .into_iter()
        .flatten()
        .chain([
            without_database(examined, wal),
            not_in_database(examined),
            examined.checkpoint.as_ref().and_then(|checkpoint| large_little_live(wal, checkpoint)),
            plain.and_then(versions::written_in_wal_reset_range),
        ])
        .flatten()
        .collect()
}

fn page_size_differs(header: &DatabaseHeader, wal: &WalFacts) -> Option<Finding> {
    // An impossible size is damage, and tells nothing about the WAL.
    PageSize::new(header.page_size)?;
    let of_wal = wal.page_size().filter(|size| size.bytes() != header.page_size)?;
    Some(Finding::new(Found::PageSizeDiffers { wal: of_wal.bytes(), database: header.page_size }))
}

fn beside_rollback(header: &DatabaseHeader, wal: &WalFacts) -> Option<Finding> {
    (header.journal_mode() == JournalMode::Rollback).then(|| {
        Finding::new(Found::WalBesideRollbackDatabase {
            write_version: header.write_version,
            read_version: header.read_version,
            committed: wal.frames.committed,
        })
    })
}

fn without_database(examined: &Inspection, wal: &WalFacts) -> Option<Finding> {
    let empty = matches!(examined.database, Some(DatabaseHead::Empty));
    if examined.changed || !(examined.database_absent || empty) || wal.frames.committed == 0 {
        return None;
    }
    Some(Finding::new(Found::WalWithoutDatabase { committed: wal.frames.committed, empty }))
}

fn not_in_database(examined: &Inspection) -> Option<Finding> {
    let copied = examined.backfill.as_ref().ok().filter(|copied| copied.missing > 0)?;
    let header = examined.database.as_ref().and_then(DatabaseHead::plain);
    Some(Finding::new(Found::BackfillNotInDatabase {
        backfilled: copied.up_to,
        compared: copied.pages,
        missing: copied.missing,
        pages: copied.listed.clone(),
        causes: causes(examined),
        zeros: copied.zeros.clone(),
        cut: cut::of(examined),
        in_use: examined.in_use(),
        sqlite_version: header.map(|header| header.sqlite_version),
        holders: examined.locks.as_ref().map(holders).unwrap_or_default(),
    }))
}

/// What fits the frames that are missing. The bug leaves the database as the generation before left it.
fn causes(examined: &Inspection) -> Vec<NotCopied> {
    let older = examined.stale.as_ref().is_ok_and(|stale| stale.missing > 0)
        || newer::of_pair(examined) == Some(Newer::Wal)
        || examined.page_ones.as_ref().is_ok_and(|ones| ones.schema == Schema::Differs);
    let all = [
        (NotCopied::OtherContent, true),
        (NotCopied::OfTwoTimes, !examined.in_use()),
        (NotCopied::WalResetBug, !older),
    ];
    all.into_iter().filter(|(_, fits)| *fits).map(|(cause, _)| cause).collect()
}

fn large_little_live(wal: &WalFacts, checkpoint: &CheckpointFacts) -> Option<Finding> {
    let frame = wal.page_size()?.frame_size();
    let live = checkpoint.pending.saturating_add(wal.frames.uncommitted).saturating_mul(frame);
    if wal.file_size < LARGE || live > wal.file_size / LITTLE {
        return None;
    }
    Some(Finding::new(Found::WalLargeLittleLive {
        file_size: wal.file_size,
        live_bytes: live,
        pending: checkpoint.pending,
        in_file: wal.frames.in_file,
        complete: checkpoint.state == CheckpointState::Complete,
        restart: checkpoint.restart,
    }))
}
