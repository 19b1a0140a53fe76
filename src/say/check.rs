//! What each check of `verify` looked at, in numbers, or why the check was not made.

use std::fmt;

use super::plural;
use crate::finding::checks::{Check, CheckName, NotChecked};
use crate::format::db::DatabaseHead;
use crate::look::{HotJournal, Inspection};

/// The numbers behind a check, or why it was not made.
#[must_use]
pub fn numbers(check: &Check, inspection: &Inspection) -> String {
    if let Some(why) = &check.not_checked {
        return why.to_string();
    }
    let told = match check.check {
        CheckName::WalHeader => wal_header(inspection),
        CheckName::WalFrames => wal_frames(inspection),
        CheckName::ShmHeaders => shm_headers(inspection),
        CheckName::ShmHeaderAgainstWal => shm_against_wal(inspection),
        CheckName::ShmPagesAgainstWal => shm_pages(inspection),
        CheckName::ShmHash => shm_hash(inspection),
        CheckName::DatabaseHeader => database(inspection),
        CheckName::WalAgainstDatabase => wal_against_database(inspection),
        CheckName::BackfilledInDatabase => backfilled(inspection),
        CheckName::Journal => match inspection.hot_journal {
            HotJournal::Waits => Some("with content".to_owned()),
            HotJournal::None => Some("none with content".to_owned()),
            HotJournal::NotLookedFor => None,
        },
    };
    told.unwrap_or_default()
}

impl fmt::Display for NotChecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WalNotSeen => "the -wal was not looked at",
            Self::NoWalHeader(bytes) => return write!(f, "no header: {bytes} bytes"),
            Self::NoFrames => "no frames",
            Self::TooShort(error) => return error.fmt(f),
            Self::NoShm => "no -shm seen",
            Self::NoIndexHeader => "no wal-index header that a reader would use",
            Self::NoFrameIndexed => "mxFrame is 0: it says nothing about the WAL",
            Self::NotCompared(why) => return why.fmt(f),
            Self::NoDatabase => "no database",
            Self::DatabaseNotSeen => "the database was not looked at",
            Self::NoDatabaseHeader => "no database header to compare with",
            Self::NothingCommitted => "nothing is committed in the WAL",
            Self::JournalNotSeen => "the -journal was not looked at",
        })
    }
}

fn many(n: u64, thing: &str) -> String {
    format!("{n} {}", plural(n, thing))
}

fn wal_header(inspection: &Inspection) -> Option<String> {
    let header = inspection.wal.as_ref()?.header?;
    let checksum = if header.checksum_ok { "right" } else { "wrong" };
    Some(format!("version {}, pages of {} bytes, checksum {checksum}", header.format_version, header.page_size))
}

fn wal_frames(inspection: &Inspection) -> Option<String> {
    let wal = inspection.wal.as_ref()?;
    let frames = &wal.frames;
    let outside = [
        (frames.residue, "residue"),
        (frames.stale, "stale"),
        (frames.unwritten, "unwritten"),
        (frames.unrelated, "unrelated"),
        (frames.torn_bytes, "bytes torn"),
    ];
    let outside: Vec<String> = outside.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    Some(format!(
        "{}: {} follow by checksum, {} of them committed in {}{}{}",
        many(frames.in_file, "frame"),
        frames.valid,
        frames.committed,
        many(wal.commits, "commit"),
        if outside.is_empty() { "" } else { "; " },
        outside.join(", ")
    ))
}

fn shm_headers(inspection: &Inspection) -> Option<String> {
    let head = inspection.shm.as_ref()?;
    let [first, second] = &head.headers;
    let right = [first, second].iter().filter(|header| header.checksum_ok).count();
    Some(format!(
        "copies {}, {right} of 2 checksums right, mxFrame {} and {}",
        if head.headers_agree { "agree" } else { "differ" },
        first.mx_frame,
        second.mx_frame
    ))
}

fn shm_against_wal(inspection: &Inspection) -> Option<String> {
    let header = inspection.trusted()?;
    Some(format!(
        "mxFrame {}, last commit {}, {} pages, salts {}{}",
        header.mx_frame,
        inspection.wal.as_ref()?.frames.committed,
        header.database_pages,
        if inspection.same_generation() { "equal" } else { "differ" },
        if inspection.in_use() && !inspection.settled { "; changing while it was read" } else { "" }
    ))
}

fn shm_pages(inspection: &Inspection) -> Option<String> {
    let index = inspection.index.as_ref().ok()?;
    let entries = if index.compared == 1 { "entry" } else { "entries" };
    Some(format!("{} {entries} compared, {} with another page", index.compared, index.wrong_pages))
}

fn shm_hash(inspection: &Inspection) -> Option<String> {
    let index = inspection.index.as_ref().ok()?;
    Some(format!(
        "{}: {} not found, {} without an entry, {} twice, {} out of order",
        many(index.blocks, "block"),
        many(index.unreachable, "frame"),
        index.unindexed,
        many(index.duplicate_slots, "slot"),
        index.misordered_slots
    ))
}

fn database(inspection: &Inspection) -> Option<String> {
    Some(match inspection.database.as_ref()? {
        DatabaseHead::Plain(header) => format!(
            "versions {} and {}, pages of {} bytes, SQLite {}",
            header.write_version,
            header.read_version,
            header.page_size,
            header.sqlite_release()
        ),
        DatabaseHead::Opaque => "no SQLite header".to_owned(),
        DatabaseHead::Empty => "0 bytes".to_owned(),
    })
}

fn wal_against_database(inspection: &Inspection) -> Option<String> {
    let Some(DatabaseHead::Plain(header)) = &inspection.database else { return None };
    let one = match &inspection.wal_page_one {
        Some(DatabaseHead::Plain(one)) => {
            format!("change counter {} and {} in the WAL's page 1", header.change_counter, one.change_counter)
        }
        Some(_) => "page 1 in the WAL has no header".to_owned(),
        None => "no page 1 in the WAL".to_owned(),
    };
    let of_wal = inspection.wal.as_ref()?.page_size().map_or(0, u32::from);
    Some(format!("page size {} and {of_wal}, {one}", header.page_size))
}

fn backfilled(inspection: &Inspection) -> Option<String> {
    let copied = inspection.backfill.as_ref().ok()?;
    let size = if inspection.database_size.is_some() { "" } else { ", only page 1 was there" };
    Some(format!(
        "nBackfill {}: {} pages compared, {} not in the database{size}",
        copied.up_to, copied.pages, copied.missing
    ))
}
