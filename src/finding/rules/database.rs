//! The WAL against its database: whether they belong together, and whether what was copied is there.

use serde_json::{Value, json};

use super::versions;
use crate::finding::{Finding, Severity};
use crate::format::db::{DatabaseHead, DatabaseHeader, JournalMode};
use crate::format::wal::FRAME_HEADER_SIZE;
use crate::look::Examined;
use crate::look::checkpoint::{self, CheckpointFacts, CheckpointState};
use crate::wal::WalFacts;

/// From this file size on, a WAL that holds little is worth a notice: what autocheckpoint leaves is about 4 MiB.
const LARGE: u64 = 64 << 20;
/// Little: less than this part of the file.
const LITTLE: u64 = 4;

pub(super) fn findings(examined: &Examined) -> Vec<Finding> {
    let Some(wal) = &examined.wal else { return Vec::new() };
    let plain = match &examined.database {
        Some(DatabaseHead::Plain(header)) => Some(header),
        _ => None,
    };
    let committed = wal.frames.committed > 0;
    let belongs = plain
        .filter(|_| committed && !examined.changed)
        .map(|header| [page_size_differs(header, wal), other_database(header, examined), beside_rollback(header, wal)]);
    let checkpoint = checkpoint::diagnose(wal, examined.shm.as_ref(), examined.locks.as_ref());
    belongs
        .into_iter()
        .flatten()
        .chain([
            without_database(examined, wal),
            not_in_database(examined),
            too_short(examined),
            large_little_live(wal, &checkpoint),
            plain.and_then(versions::written_in_wal_reset_range),
        ])
        .flatten()
        .collect()
}

fn page_size_differs(header: &DatabaseHeader, wal: &WalFacts) -> Option<Finding> {
    let of_wal = wal.page_size().filter(|size| *size != header.page_size)?;
    Some(
        Finding::new(
            "page_size_differs",
            Severity::Error,
            "The WAL has another page size than the database",
            format!(
                "Frames hold {of_wal} bytes, and the database has pages of {}. The page size cannot change in WAL mode, so this WAL is of another database.",
                header.page_size
            ),
            "Open the database only after putting the right -wal beside it, or none if it was complete without: SQLite would take this one's pages for its own.",
        )
        .with("wal", of_wal)
        .with("database", header.page_size),
    )
}

/// What the WAL's latest page 1 says about the database that it belongs to.
///
/// The change counter of a page 1 in the WAL is at least that of the database: each writer counts on from the page it
/// has read, and a checkpoint copies a page 1 of the same WAL.
fn other_database(header: &DatabaseHeader, examined: &Examined) -> Option<Finding> {
    // Without page size and change counter alike, any database has some page 1: there is nothing more to compare.
    let (detail, counter) = match examined.wal_page_one.as_ref()? {
        DatabaseHead::Opaque | DatabaseHead::Empty => {
            ("the database is plain, and the WAL's page 1 has no SQLite header".to_owned(), Value::Null)
        }
        DatabaseHead::Plain(one) => {
            let behind = header.change_counter.wrapping_sub(one.change_counter);
            if behind == 0 || behind > u32::MAX / 2 {
                return None;
            }
            let detail = format!(
                "the database's change counter is {}, and the WAL's latest page 1 has {}, which is older",
                header.change_counter, one.change_counter
            );
            (detail, json!(one.change_counter))
        }
    };
    Some(
        Finding::new(
            "wal_of_other_database",
            Severity::Warning,
            "This WAL may not belong to this database",
            format!("A WAL carries no mark of its database, but here {detail}. SQLite replays it all the same."),
            "Find out whether the database or the -wal was restored, replaced or copied alone. Keep both before anything opens them.",
        )
        .with("database_change_counter", header.change_counter)
        .with("wal_change_counter", counter),
    )
}

fn beside_rollback(header: &DatabaseHeader, wal: &WalFacts) -> Option<Finding> {
    (header.journal_mode() == JournalMode::Rollback).then(|| {
        Finding::new(
            "wal_beside_rollback_database",
            Severity::Warning,
            "A WAL with commits beside a database in rollback mode",
            format!(
                "Bytes 18 and 19 of the database say rollback journal, but {} committed frames lie beside it. SQLite replays a -wal that exists, whatever the database says.",
                wal.frames.committed
            ),
            "Find out where the -wal comes from before anything opens the database: leaving WAL mode deletes it.",
        )
        .with("write_version", header.write_version)
        .with("read_version", header.read_version)
        .with("committed", wal.frames.committed)
    })
}

fn without_database(examined: &Examined, wal: &WalFacts) -> Option<Finding> {
    let empty = matches!(examined.database, Some(DatabaseHead::Empty));
    if examined.changed || !(examined.database_absent || empty) || wal.frames.committed == 0 {
        return None;
    }
    Some(
        Finding::new(
            "wal_without_database",
            Severity::Warning,
            "A WAL with commits, but no database",
            format!(
                "The database is {}, and {} committed frames lie in its -wal. SQLite deletes a -wal beside an empty database.",
                if empty { "empty" } else { "missing" },
                wal.frames.committed
            ),
            "Copy the -wal before anything creates or opens the database under this name.",
        )
        .with("committed", wal.frames.committed),
    )
}

fn not_in_database(examined: &Examined) -> Option<Finding> {
    let copied = examined.backfill.as_ref().ok().filter(|copied| copied.missing > 0)?;
    let pages: Vec<Value> = copied.listed.iter().map(|(page, frame)| json!({"page": page, "frame": frame})).collect();
    let advice = if examined.in_use() {
        "Copy the database and its -wal now, before any connection closes: the last to close deletes the -wal. Without the -shm, a copy of both recovers with every commit."
    } else {
        "Keep the -wal with the database, and copy both before anything opens them: opening without the -shm recovers every commit of the WAL."
    };
    Some(
        Finding::new(
            "backfill_not_in_database",
            Severity::Error,
            "Frames that count as copied are not in the database",
            format!(
                "nBackfill claims every frame up to {}; of the {} pages it vouches for, the database holds {} otherwise. Readers of the database alone see older content, and a checkpoint will not copy them.",
                copied.up_to, copied.pages, copied.missing
            ),
            advice,
        )
        .with("backfilled", copied.up_to)
        .with("compared", copied.pages)
        .with("missing", copied.missing)
        .with("pages", pages),
    )
}

/// Once all is copied, the checkpoint has set the file's size.
fn too_short(examined: &Examined) -> Option<Finding> {
    let (size, wal) = (examined.database_size?, examined.wal.as_ref()?);
    let (copied, header) = (examined.backfill.as_ref().ok()?, examined.trusted()?);
    let expected = u64::from(header.database_pages) * u64::from(wal.page_size()?);
    // Longer is normal: SQLITE_FCNTL_CHUNK_SIZE rounds up.
    if copied.up_to != header.mx_frame || examined.mx_frame_after != Some(header.mx_frame) || size >= expected {
        return None;
    }
    Some(
        Finding::new(
            "database_too_short",
            Severity::Error,
            "The database is shorter than its complete checkpoint left it",
            format!(
                "All {} frames count as copied, which makes {} pages or {expected} bytes; the database has {size} bytes.",
                header.mx_frame, header.database_pages
            ),
            "The database was cut off or replaced. Keep it with its -wal, and restore from a backup beside, not over, them.",
        )
        .with("size", size)
        .with("expected", expected)
        .with("database_pages", header.database_pages),
    )
}

fn large_little_live(wal: &WalFacts, checkpoint: &CheckpointFacts) -> Option<Finding> {
    let frame = u64::from(wal.page_size()?) + FRAME_HEADER_SIZE as u64;
    let live = checkpoint.pending.saturating_add(wal.frames.uncommitted).saturating_mul(frame);
    if wal.file_size < LARGE || live > wal.file_size / LITTLE {
        return None;
    }
    let why = match (checkpoint.state, checkpoint.can_restart) {
        (_, Some(false)) => "readers keep the WAL from starting over, so it goes on growing",
        (CheckpointState::Complete, _) => "the next writer starts over at its beginning and reuses the space",
        _ => "SQLite reuses the space once all is copied",
    };
    Some(
        Finding::new(
            "wal_large_little_live",
            Severity::Notice,
            "A large WAL that holds little",
            format!(
                "Of its {} bytes, {live} wait to be copied ({} of {} frames). A -wal does not shrink by itself: {why}.",
                wal.file_size, checkpoint.pending, wal.frames.in_file
            ),
            "PRAGMA wal_checkpoint(TRUNCATE) empties it when no reader is in the way; PRAGMA journal_size_limit keeps it small from then on.",
        )
        .with("file_size", wal.file_size)
        .with("live_bytes", live)
        .with("pending", checkpoint.pending)
        .with("in_file", wal.frames.in_file),
    )
}
