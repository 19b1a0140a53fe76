//! What each check of `verify` looked at, in numbers, or why the check was not made.

use std::fmt;

use super::words::{count, many, one_or};
use crate::finding::checks::{Check, CheckName, CheckResult, LeftOut, NotChecked};
use crate::format::db::DatabaseHead;
use crate::look::{HotJournal, Inspection, NotCompared};

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
        CheckName::StaleInDatabase => stale(inspection),
        CheckName::Trees => trees(inspection),
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
            Self::NoWal => "there is no -wal",
            Self::NoWalHeader(bytes) => return write!(f, "no header: {}", many(*bytes, "byte")),
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

/// What SQLite's own check of rows, tables and indexes is called.
pub const INTEGRITY_CHECK: &str = "sqlite3 COPY \"PRAGMA integrity_check\"";

/// The name of what is not checked where a database in WAL mode has no `-wal`.
pub const MISSING_WAL: &str = "missing_wal";

/// A database in WAL mode without a `-wal`: what that can mean.
pub const WITHOUT_WAL: &str = "A database that was closed properly has no -wal, and a copy that was made without its \
                               -wal looks the same: such a copy lacks the commits since the last checkpoint.";

/// A database of no bytes, with nothing beside it.
pub const EMPTY: &str = "empty: the database has 0 bytes. It was never written to, or it was emptied. To SQLite it is a database \
                         without tables.";

/// What nothing in the files tells, and what to do.
pub const OF_TWO_TIMES: &str = "Files that were copied at two moments may leave no trace: take copies with walscope \
                                snapshot --with-db, or sqlite3's .backup.";

/// The name of what is not checked where a journal waits.
pub const JOURNAL_ONE_TIME: &str = "journal_one_time";

/// A journal and a database that fit together both ways, or were not looked at both ways.
pub const JOURNAL_OF_TWO_TIMES: &str = "A -journal and a database of two moments may leave no trace: the pages of tables and indexes do \
                                        not always tell.";

/// What was checked, in short: a list after "checked:". Empty if nothing was.
#[must_use]
pub fn covered(checks: &[Check], inspection: &Inspection) -> String {
    let made = |name| {
        let check = checks.iter().find(|check| check.check == name);
        check.is_some_and(|check| check.result != CheckResult::Skipped && check.not_checked.is_none())
    };
    let frames = || {
        let wal = inspection.wal.as_ref()?;
        // The other frames of the file are in no commit.
        Some(match wal.frames.committed {
            0 => "the -wal (nothing is committed in it)".to_owned(),
            committed => format!("the -wal ({} in {})", many(committed, "frame"), many(wal.commits, "commit")),
        })
    };
    let index = || {
        let index = inspection.index.as_ref().ok()?;
        Some(format!("the -shm ({} of {})", many(index.blocks, "block"), many(index.compared, "frame")))
    };
    let copied = || Some(many(inspection.backfill.as_ref().ok()?.pages, "page") + " that count as copied");
    let before = || Some(many(inspection.stale.as_ref().ok()?.pages, "page") + " of the generation before");
    let trees_walked = || {
        let trees = inspection.trees.as_ref().ok()?;
        Some(format!("the pages of {}", tables_and_indexes(trees.trees)))
    };
    let word = |name, word: &str| made(name).then(|| word.to_owned());
    let all = [
        frames()
            .filter(|_| made(CheckName::WalFrames))
            .or_else(|| word(CheckName::WalHeader, "the header of the -wal")),
        index().filter(|_| made(CheckName::ShmHash)).or_else(|| word(CheckName::ShmHeaders, "the header of the -shm")),
        word(CheckName::DatabaseHeader, "the header of the database"),
        word(CheckName::WalAgainstDatabase, "signs that the -wal is of another database or time"),
        copied().filter(|_| made(CheckName::BackfilledInDatabase)),
        before().filter(|_| made(CheckName::StaleInDatabase)),
        trees_walked().filter(|_| made(CheckName::Trees)),
        word(CheckName::Journal, "whether a -journal waits"),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What was not checked, and why: a list after "not checked:". A check that another one on the list needs is not repeated.
#[must_use]
pub fn left_out(all: &[LeftOut]) -> String {
    let skipped = |name| all.iter().any(|left| matches!(left, LeftOut::Check(check, _) if *check == name));
    let told = |left: &LeftOut| match left {
        LeftOut::Check(name, why) => {
            let implied = match name {
                CheckName::WalHeader | CheckName::WalAgainstDatabase => skipped(CheckName::WalFrames),
                CheckName::ShmHeaderAgainstWal | CheckName::ShmPagesAgainstWal => {
                    skipped(CheckName::ShmHeaders) || skipped(CheckName::ShmHash)
                }
                CheckName::ShmHash => skipped(CheckName::ShmHeaders),
                CheckName::BackfilledInDatabase => {
                    skipped(CheckName::ShmHeaders) || skipped(CheckName::ShmHash) || skipped(CheckName::WalFrames)
                }
                CheckName::StaleInDatabase => {
                    let nothing = matches!(
                        why,
                        NotChecked::NotCompared(NotCompared::NoFramesOfGenerationBefore | NotCompared::AllWrittenAgain)
                    );
                    nothing || skipped(CheckName::WalFrames) || skipped(CheckName::DatabaseHeader)
                }
                // What is not checked of rows says it.
                CheckName::Trees => *why == NotChecked::NotCompared(NotCompared::NotAsked),
                _ => false,
            };
            (!implied).then(|| format!("{} ({why})", subject(*name)))
        }
        LeftOut::NoWalBeside => None,
        LeftOut::OneTime => Some("that the -wal and the database are of one time".to_owned()),
        LeftOut::JournalOneTime => Some("that the -journal and the database are of one time".to_owned()),
        LeftOut::Content { trees: false } => Some(format!("rows and tables ({INTEGRITY_CHECK} on a copy does that)")),
        LeftOut::Content { trees: true } => Some(format!(
            "that each index has every row, constraints, and the SQL of the schema ({INTEGRITY_CHECK} on a copy does that)"
        )),
    };
    all.iter().filter_map(told).collect::<Vec<_>>().join("; ")
}

/// What a check is about.
fn subject(name: CheckName) -> &'static str {
    match name {
        CheckName::WalHeader => "the header of the -wal",
        CheckName::WalFrames => "the frames of the -wal",
        CheckName::ShmHeaders => "the -shm",
        CheckName::ShmHeaderAgainstWal | CheckName::ShmPagesAgainstWal | CheckName::ShmHash => {
            "the -shm against the -wal"
        }
        CheckName::DatabaseHeader => "the database",
        CheckName::WalAgainstDatabase => "signs that the -wal is of another database or time",
        CheckName::BackfilledInDatabase => "pages that count as copied",
        CheckName::StaleInDatabase => "frames of the generation before",
        CheckName::Trees => "the pages of tables and indexes",
        CheckName::Journal => "the -journal",
    }
}

/// The name of what was left out, in documents.
#[must_use]
pub fn left_out_name(left: &LeftOut) -> &'static str {
    match left {
        LeftOut::Check(name, _) => name.name(),
        LeftOut::NoWalBeside => MISSING_WAL,
        LeftOut::OneTime => "one_time",
        LeftOut::JournalOneTime => JOURNAL_ONE_TIME,
        LeftOut::Content { .. } => "rows_and_tables",
    }
}

/// Why it was left out.
#[must_use]
pub fn left_out_why(left: &LeftOut) -> String {
    match left {
        LeftOut::Check(_, why) => why.to_string(),
        LeftOut::NoWalBeside => WITHOUT_WAL.to_owned(),
        LeftOut::OneTime => OF_TWO_TIMES.to_owned(),
        LeftOut::JournalOneTime => JOURNAL_OF_TWO_TIMES.to_owned(),
        LeftOut::Content { trees: false } => "only SQLite reads them".to_owned(),
        LeftOut::Content { trees: true } => {
            "whether each index has every row, constraints, and the SQL of the schema: only SQLite checks them"
                .to_owned()
        }
    }
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
        (frames.torn_bytes, one_or(frames.torn_bytes, "byte torn", "bytes torn")),
    ];
    let outside: Vec<String> =
        outside.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", count(*n))).collect();
    Some(format!(
        "{}: {} {} by checksum, {} of them committed in {}{}{}",
        many(frames.in_file, "frame"),
        count(frames.valid),
        one_or(frames.valid, "follows", "follow"),
        count(frames.committed),
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
        count(first.mx_frame),
        count(second.mx_frame)
    ))
}

fn shm_against_wal(inspection: &Inspection) -> Option<String> {
    let header = inspection.trusted()?;
    Some(format!(
        "mxFrame {}, last commit {}, {}, salts {}{}",
        count(header.mx_frame),
        count(inspection.wal.as_ref()?.frames.committed),
        many(header.database_pages, "page"),
        if inspection.same_generation() { "equal" } else { "differ" },
        if inspection.in_use() && !inspection.settled { "; changing while it was read" } else { "" }
    ))
}

fn shm_pages(inspection: &Inspection) -> Option<String> {
    let index = inspection.index.as_ref().ok()?;
    let entries = one_or(index.compared, "entry", "entries");
    Some(format!("{} {entries} compared, {} with another page", count(index.compared), count(index.wrong_pages)))
}

fn shm_hash(inspection: &Inspection) -> Option<String> {
    let index = inspection.index.as_ref().ok()?;
    Some(format!(
        "{}: {} not found, {} without an entry, {} twice, {} out of order",
        many(index.blocks, "block"),
        many(index.unreachable, "frame"),
        count(index.unindexed),
        many(index.duplicate_slots, "slot"),
        count(index.misordered_slots)
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
        DatabaseHead::Opaque { zeros: true } => "zeros instead of a SQLite header".to_owned(),
        DatabaseHead::Opaque { zeros: false } => "no SQLite header".to_owned(),
        DatabaseHead::Empty => "empty".to_owned(),
    })
}

fn wal_against_database(inspection: &Inspection) -> Option<String> {
    let pages = inspection.pages.as_ref().ok().map(|pages| match pages.missing {
        0 => format!("all {} are there", many(pages.database_pages, "page")),
        missing => format!("{} of {} are nowhere", count(missing), many(pages.database_pages, "page")),
    });
    let told = [page_ones(inspection), pages];
    Some(told.into_iter().flatten().collect::<Vec<String>>().join(", "))
}

fn page_ones(inspection: &Inspection) -> Option<String> {
    let Some(DatabaseHead::Plain(header)) = &inspection.database else { return None };
    inspection.wal.as_ref().filter(|wal| wal.frames.committed > 0)?;
    let one = match &inspection.wal_page_one {
        Some(DatabaseHead::Plain(one)) => {
            let [database, wal] = [header.change_counter, one.change_counter].map(count);
            format!("change counter {database} and {wal} in the WAL's page 1")
        }
        Some(_) => "page 1 in the WAL has no header".to_owned(),
        None => "no page 1 in the WAL".to_owned(),
    };
    let of_wal = inspection.wal.as_ref()?.page_size().map_or(0, u32::from);
    Some(format!("page size {} and {of_wal}, {one}", header.page_size))
}

fn stale(inspection: &Inspection) -> Option<String> {
    let stale = inspection.stale.as_ref().ok()?;
    Some(format!(
        "{} of the generation before compared, {} not in the database",
        many(stale.pages, "page"),
        count(stale.missing)
    ))
}

/// Each of them is a tree; the table of the schema is one, too.
fn tables_and_indexes(trees: u64) -> String {
    if trees == 1 { "the schema alone".to_owned() } else { format!("{} tables and indexes", count(trees)) }
}

fn trees(inspection: &Inspection) -> Option<String> {
    let trees = inspection.trees.as_ref().ok()?;
    let rolled_back = inspection.journal.as_ref().is_some_and(|journal| journal.both_ways.is_some());
    let never = match trees.never_used {
        0 => String::new(),
        pages => format!(", {} that nothing leads to", many(pages, "page")),
    };
    Some(format!(
        "{}{}, {}, {} free, {}: {}{never}",
        if rolled_back { "once the -journal is rolled back: " } else { "" },
        tables_and_indexes(trees.trees),
        many(trees.pages, "page"),
        count(trees.free_pages),
        many(trees.cells, "cell"),
        many(trees.fault_count, "fault")
    ))
}

fn backfilled(inspection: &Inspection) -> Option<String> {
    let copied = inspection.backfill.as_ref().ok()?;
    let size = if inspection.database_size.is_some() { "" } else { ", only page 1 was there" };
    Some(format!(
        "nBackfill {}: {} compared, {} not in the database{size}",
        count(copied.up_to),
        many(copied.pages, "page"),
        count(copied.missing)
    ))
}
