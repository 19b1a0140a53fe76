//! The wal-index against its WAL.
//!
//! What is wrong in a wal-index is an error only while somebody uses it and it stood still to be judged: a `-shm` that
//! nobody has open is rebuilt by the next opener, whatever it says.

use serde_json::{Value, json};

use crate::finding::{Finding, Severity};
use crate::format::checksum::ChecksumOrder;
use crate::format::shm::IndexHeader;
use crate::look::Examined;
use crate::wal::WalFacts;

/// What to do about a live wal-index that is wrong.
const LIVE: &str = "Copy the database, -wal and -shm before anything closes or checkpoints it; then stop every process \
                    that has it open, and let the next one rebuild the wal-index from the WAL.";
/// What to do about one that nobody was seen to use.
const LEFT: &str =
    "Nothing to do if nobody has the database open: the next to open it rebuilds the wal-index from the WAL.";
/// What to do about damage in the middle of the WAL: the -shm is the only witness of the commits behind it.
const KEEP: &str = "Copy the database, -wal and -shm before anything opens, closes or checkpoints the database: the next \
                    to open it recovers the WAL only up to the damage, and the commits behind it are lost.";

pub(super) fn findings(examined: &Examined) -> Vec<Finding> {
    let wal = examined.wal.as_ref();
    let behind_break = wal.and_then(|wal| commits_behind_break(examined, wal));
    // A WAL in use can restart between two looks: only looks that agree say something about it.
    if examined.look_again() {
        return behind_break.into_iter().collect();
    }
    // Without a header that a reader would use there is nothing to hold against the WAL.
    let of_header = examined.trusted().zip(wal);
    let of_header = of_header.map(|(header, wal)| against_wal(examined, header, wal)).unwrap_or_default();
    let of_entries =
        [pages_wrong(examined), frames_unreachable(examined), slots_misordered(examined), slots_duplicate(examined)];
    of_header.into_iter().chain(of_entries.into_iter().flatten()).chain(behind_break).collect()
}

fn against_wal(examined: &Examined, header: &IndexHeader, wal: &WalFacts) -> Vec<Finding> {
    // A wal-index that was just restarted, or begins, names no frame: a commit on disk can be ahead of it all the same.
    if header.mx_frame == 0 {
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

fn severity(examined: &Examined) -> Severity {
    if examined.must_hold() { Severity::Error } else { Severity::Notice }
}

fn finding(examined: &Examined, code: &str, title: &str, detail: String) -> Finding {
    let severity = severity(examined);
    let advice = if severity == Severity::Error { LIVE } else { LEFT };
    Finding::new(code, severity, title, detail, advice)
}

fn other_wal(examined: &Examined, header: &IndexHeader, wal: &WalFacts) -> Finding {
    let has = match wal.header {
        Some(found) => format!("the WAL's header has {:08x} {:08x}", found.salt1, found.salt2),
        None => format!("there is no WAL header ({} bytes)", wal.file_size),
    };
    finding(
        examined,
        "shm_of_other_wal",
        "The wal-index speaks of another WAL",
        format!(
            "It counts {} frames under the salts {:08x} {:08x}, but {has}.",
            header.mx_frame, header.salts[0], header.salts[1]
        ),
    )
    .with("mx_frame", header.mx_frame)
    .with("shm_salts", header.salts.to_vec())
    .with("wal_salts", wal.header.map_or(Value::Null, |wal| json!(wal.salts())))
    .with("in_use", examined.in_use())
}

/// A wal-index in use that counts frames which the file cannot have: SQLite restarts the wal-index before it truncates
/// the WAL, so somebody else did.
fn truncated(examined: &Examined, header: &IndexHeader, wal: &WalFacts) -> Option<Finding> {
    if !examined.must_hold() || !wal.cut_short_of(header) {
        return None;
    }
    let counted = u64::from(header.mx_frame);
    let backfilled = examined.shm.as_ref().map_or(0, |shm| u64::from(shm.checkpoint.backfilled)).min(counted);
    let left = if examined.same_generation() { wal.frames.committed.min(counted) } else { 0 };
    let first_lost = left.max(backfilled) + 1;
    let lost = if first_lost > counted {
        "All of them are in the database: nothing that was committed is lost so far.".to_owned()
    } else {
        format!(
            "Frames {first_lost} to {counted} are neither in the WAL nor in the database: the commits in them are lost, and who reads their pages gets an error or another state."
        )
    };
    Some(
        Finding::new(
            "wal_truncated",
            Severity::Error,
            "The WAL was cut short while it is in use",
            format!(
                "The wal-index counts {counted} frames, which take {} bytes, {backfilled} of them in the database; {}. {lost}",
                header.wal_bytes(),
                match wal.header.filter(|_| examined.same_generation()) {
                    Some(_) => format!("the WAL has {} bytes", wal.file_size),
                    None => format!("the WAL has {} bytes and no header", wal.file_size),
                }
            ),
            "Copy the database, -wal and -shm at once, then stop every process that has it open. What was in the lost frames comes only from a backup or from those who wrote it. Then find what truncates the -wal: a `>` in a script, log rotation, a restore over files in use.",
        )
        .with("mx_frame", header.mx_frame)
        .with("backfilled", backfilled)
        .with("needed", header.wal_bytes())
        .with("found", wal.file_size)
        .with("committed", left),
    )
}

fn beyond_wal(examined: &Examined, header: &IndexHeader, wal: &WalFacts) -> Option<Finding> {
    let committed = wal.frames.committed;
    if u64::from(header.mx_frame) <= committed {
        return None;
    }
    let (title, detail) = (
        "The wal-index counts frames that the WAL does not have",
        format!("mxFrame is {}, and the WAL's last commit is frame {committed}.", header.mx_frame),
    );
    let found = if damaged_before_its_end(examined, header, wal) {
        let detail = format!(
            "{detail} Frame {} stands in the file as it was committed, so frame {} or one before it was damaged or never reached the disk.",
            header.mx_frame, wal.end_frame
        );
        Finding::new("shm_beyond_wal", Severity::Error, title, detail, KEEP)
    } else {
        finding(examined, "shm_beyond_wal", title, format!("{detail} Frames behind it are missing or damaged."))
    };
    Some(
        found
            .with("mx_frame", header.mx_frame)
            .with("committed", committed)
            .with("end_frame", wal.end_frame)
            .with("end_reason", json!(wal.end_reason)),
    )
}

/// Whether the frame that the wal-index names as its last commit is in the file as the wal-index remembers it, and the
/// chain does not reach it. A tail that was lost takes that frame along, and no writer of the same generation goes back
/// behind it: so a frame before it was lost, and this is wrong at rest too.
fn damaged_before_its_end(examined: &Examined, header: &IndexHeader, wal: &WalFacts) -> bool {
    examined.at_mx_frame.zip(wal.header).is_some_and(|(frame, wal)| {
        frame.salts() == wal.salts() && frame.is_commit() && frame.checksums() == header.frame_checksum
    })
}

/// A commit frame is on disk before `mxFrame` shows it; a slow fsync lies between the two.
fn ahead(examined: &Examined, wal: &WalFacts) -> Option<Finding> {
    let shown = u64::from(examined.mx_frame_after?);
    let committed = wal.frames.committed;
    if !examined.must_hold() || committed <= shown {
        return None;
    }
    let writing = examined.locks.as_ref().is_some_and(|locks| locks.shm.write.held());
    let severity = if writing { Severity::Info } else { Severity::Notice };
    Some(
        Finding::new(
            "wal_ahead_of_shm",
            severity,
            "The WAL holds a commit that the wal-index does not show yet",
            format!("The WAL's last commit is frame {committed}, and mxFrame is {shown}: readers see the state before."),
            "Usual while a commit is being synced. If it stays so with no writer at work, a writer died there: the commit was never confirmed, and the next writer overwrites it.",
        )
        .with("committed", committed)
        .with("mx_frame", shown),
    )
}

/// What the header repeats of the WAL, where it repeats it otherwise.
fn contradicts(examined: &Examined, header: &IndexHeader, wal: &WalFacts) -> Option<Finding> {
    if u64::from(header.mx_frame) > wal.frames.committed {
        return None;
    }
    let (frame, of_wal) = (examined.at_mx_frame?, wal.header?);
    let big_endian = of_wal.checksum_order() == Some(ChecksumOrder::Big);
    let differing: Vec<(&str, Value, Value)> = [
        ("commit_frame", json!(true), json!(frame.is_commit())),
        ("database_pages", json!(header.database_pages), json!(frame.commit_pages)),
        ("frame_checksum", json!(header.frame_checksum), json!(frame.checksums())),
        ("page_size", json!(header.page_size), json!(of_wal.page_size)),
        ("big_endian_checksums", json!(header.big_endian_checksums != 0), json!(big_endian)),
    ]
    .into_iter()
    .filter(|(_, shm, wal)| shm != wal)
    .collect();
    if differing.is_empty() {
        return None;
    }
    let names: Vec<&str> = differing.iter().map(|(name, ..)| *name).collect();
    let mut found = finding(
        examined,
        "shm_header_contradicts_wal",
        "The wal-index header contradicts the frame it names",
        format!("It names frame {} as the last commit and differs from it in {}.", header.mx_frame, names.join(", ")),
    )
    .with("mx_frame", header.mx_frame);
    for (name, shm, wal) in differing {
        found = found.with(name, json!({"shm": shm, "wal": wal}));
    }
    Some(found)
}

fn backfill_beyond(examined: &Examined, header: &IndexHeader) -> Option<Finding> {
    let backfilled = examined.shm.as_ref()?.checkpoint.backfilled;
    if backfilled <= header.mx_frame {
        return None;
    }
    Some(
        finding(
            examined,
            "shm_backfill_beyond_mx_frame",
            "More frames are claimed to be copied than there are",
            format!(
                "nBackfill is {backfilled}, and mxFrame is {}: the next {} frames would never be copied.",
                header.mx_frame,
                backfilled - header.mx_frame
            ),
        )
        .with("backfilled", backfilled)
        .with("mx_frame", header.mx_frame),
    )
}

fn pages_wrong(examined: &Examined) -> Option<Finding> {
    let index = examined.index.as_ref().ok().filter(|index| index.wrong_pages > 0)?;
    let listed: Vec<Value> =
        index.wrong_listed.iter().map(|(frame, shm, wal)| json!({"frame": frame, "shm": shm, "wal": wal})).collect();
    Some(
        finding(
            examined,
            "shm_pages_wrong",
            "The wal-index names other pages than the frames do",
            format!("{} of {} frames hold another page than their entry says.", index.wrong_pages, index.compared),
        )
        .with("wrong", index.wrong_pages)
        .with("compared", index.compared)
        .with("frames", listed),
    )
}

fn frames_unreachable(examined: &Examined) -> Option<Finding> {
    let index = examined.index.as_ref().ok().filter(|index| index.unreachable > 0 || index.unindexed > 0)?;
    let full = match index.full_blocks {
        0 => "",
        _ => " Of a block no hash slot is empty: a search there fails with SQLITE_CORRUPT.",
    };
    Some(
        finding(
            examined,
            "shm_frames_unreachable",
            "Readers cannot find frames that the wal-index counts",
            format!(
                "A search by page misses {} frames, and {} have no entry because the file is too short: readers get older content for them.{full}",
                index.unreachable, index.unindexed
            ),
        )
        .with("unreachable", index.unreachable)
        .with("unindexed", index.unindexed)
        .with("full_blocks", index.full_blocks)
        .with("frames", index.unreachable_listed.clone()),
    )
}

fn slots_misordered(examined: &Examined) -> Option<Finding> {
    let index = examined.index.as_ref().ok().filter(|index| index.misordered_slots > 0)?;
    let listed: Vec<Value> =
        index.misordered_listed.iter().map(|(page, frame)| json!({"page": page, "frame": frame})).collect();
    Some(
        finding(
            examined,
            "shm_slots_out_of_order",
            "Readers find an older frame of a page than its newest",
            format!(
                "A search takes the last slot that it comes across, and {} stand behind the slot of a newer frame of the same page.",
                index.misordered_slots
            ),
        )
        .with("misordered_slots", index.misordered_slots)
        .with("frames", listed),
    )
}

fn slots_duplicate(examined: &Examined) -> Option<Finding> {
    let index = examined.index.as_ref().ok().filter(|index| index.duplicate_slots > 0)?;
    // A second slot for the same entry changes no answer, unless it is out of order: that is told by itself.
    let severity = severity(examined).min(Severity::Warning);
    Some(
        Finding::new(
            "shm_slots_duplicate",
            severity,
            "Several hash slots lead to one frame",
            format!("{} slots repeat another; SQLite never leaves that behind.", index.duplicate_slots),
            if severity == Severity::Warning { LIVE } else { LEFT },
        )
        .with("duplicate_slots", index.duplicate_slots),
    )
}

fn commits_behind_break(examined: &Examined, wal: &WalFacts) -> Option<Finding> {
    let commits = Some(examined.commits_behind_break).filter(|commits| *commits > 0 && wal.page_size().is_some())?;
    Some(
        Finding::new(
            "wal_commits_behind_break",
            Severity::Notice,
            "Commits behind a break in the WAL",
            format!(
                "Frame {} does not follow the one before it; behind it {commits} commit frames of the same generation stand, and SQLite does not read them.",
                wal.end_frame
            ),
            "If a disk or a copy damaged that frame, keep the file before anything opens the database: recovery drops what is behind. A writer that died after its commit frame and was overwritten by a shorter transaction leaves the same.",
        )
        .with("end_frame", wal.end_frame)
        .with("commits", commits),
    )
}
