//! What was checked, check by check: the numbers, and how grave what came out is.

use super::rules::Facts;
use crate::finding::{Code, Finding, Severity};
use crate::format::db::DatabaseHead;
use crate::look::{Inspection, Why};

/// The checks of `verify`, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckName {
    /// The header of the `-wal` by itself.
    WalHeader,
    /// The frames of the `-wal` by themselves.
    WalFrames,
    /// Both copies of the wal-index header by themselves.
    ShmHeaders,
    /// What the wal-index header says about the `-wal`.
    ShmHeaderAgainstWal,
    /// The page that each entry of the wal-index names, and the page that the frame holds.
    ShmPagesAgainstWal,
    /// Whether a search in the wal-index finds each frame.
    ShmHash,
    /// The header of the database by itself.
    DatabaseHeader,
    /// Whether the `-wal` belongs to the database.
    WalAgainstDatabase,
    /// Whether the frames that count as copied are in the database.
    BackfilledInDatabase,
    /// The `-journal` beside the database.
    Journal,
}

impl CheckName {
    /// The name in documents, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WalHeader => "wal_header",
            Self::WalFrames => "wal_frames",
            Self::ShmHeaders => "shm_headers",
            Self::ShmHeaderAgainstWal => "shm_header_against_wal",
            Self::ShmPagesAgainstWal => "shm_pages_against_wal",
            Self::ShmHash => "shm_hash",
            Self::DatabaseHeader => "database_header",
            Self::WalAgainstDatabase => "wal_against_database",
            Self::BackfilledInDatabase => "backfilled_in_database",
            Self::Journal => "journal",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    /// Checked, nothing to report.
    Passed,
    /// Checked, and a finding of `info` or `notice` came out, or the numbers want to be read.
    Noted,
    /// Checked, and a finding of `warning` or `error` came out.
    Failed,
    /// Not checked; the numbers say why.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Which.
    pub check: CheckName,
    /// How it ended.
    pub result: CheckResult,
    /// What was looked at, in numbers; or why it was not.
    pub numbers: String,
    /// Codes of the findings that came out.
    pub codes: Vec<Code>,
}

/// What was looked at, in numbers.
enum Looked {
    /// All is as it should be, unless a finding says otherwise.
    Right(String),
    /// No finding has to come out for these numbers to be worth reading.
    Odd(String),
    /// Nothing, for this reason.
    Not(String),
}

impl From<Result<String, String>> for Looked {
    fn from(looked: Result<String, String>) -> Self {
        looked.map_or_else(Self::Not, Self::Right)
    }
}

/// A check, and what was looked at for it.
type Row = (CheckName, Looked);

/// The table of checks. `findings` are all of the same look.
#[must_use]
pub fn checks(facts: &Facts<'_>, findings: &[Finding]) -> Vec<Check> {
    let Some(examined) = facts.examined else { return Vec::new() };
    rows(facts, examined).into_iter().map(|row| judge(row, findings)).collect()
}

fn rows(facts: &Facts<'_>, examined: &Inspection) -> [Row; 10] {
    [
        (CheckName::WalHeader, wal_header(examined).into()),
        (CheckName::WalFrames, wal_frames(examined)),
        (CheckName::ShmHeaders, shm_headers(examined).into()),
        (CheckName::ShmHeaderAgainstWal, shm_against_wal(examined).into()),
        (CheckName::ShmPagesAgainstWal, shm_pages(examined).into()),
        (CheckName::ShmHash, shm_hash(examined).into()),
        (CheckName::DatabaseHeader, database(examined).into()),
        (CheckName::WalAgainstDatabase, wal_against_database(examined).into()),
        (CheckName::BackfilledInDatabase, backfilled(examined).into()),
        (CheckName::Journal, journal(facts).into()),
    ]
}

fn judge((check, looked): Row, findings: &[Finding]) -> Check {
    let raised: Vec<&Finding> = findings.iter().filter(|finding| finding.code().check() == Some(check)).collect();
    let worst = raised.iter().map(|finding| finding.severity).max();
    let result = match (worst, &looked) {
        (Some(Severity::Warning | Severity::Error), _) => CheckResult::Failed,
        (Some(Severity::Info | Severity::Notice), _) => CheckResult::Noted,
        (None, Looked::Right(_)) => CheckResult::Passed,
        (None, Looked::Odd(_)) => CheckResult::Noted,
        (None, Looked::Not(_)) => CheckResult::Skipped,
    };
    let (Looked::Right(numbers) | Looked::Odd(numbers) | Looked::Not(numbers)) = looked;
    Check { check, result, numbers, codes: raised.iter().map(|finding| finding.code()).collect() }
}

fn wal_header(examined: &Inspection) -> Result<String, String> {
    let wal = examined.wal.as_ref().ok_or("the -wal was not looked at")?;
    let header = wal.header.ok_or_else(|| format!("no header: {} bytes", wal.file_size))?;
    let checksum = if header.checksum_ok { "right" } else { "wrong" };
    Ok(format!("version {}, pages of {} bytes, checksum {checksum}", header.format_version, header.page_size))
}

/// Frames of an older generation, and room that the file grew ahead, lie behind the chain of a healthy WAL. Everything else
/// outside of the chain is what a transaction left that was given up - or what damage cut off.
fn wal_frames(examined: &Inspection) -> Looked {
    let Some(wal) = &examined.wal else { return Looked::Not("the -wal was not looked at".to_owned()) };
    let frames = &wal.frames;
    if frames.in_file == 0 && frames.torn_bytes == 0 {
        return Looked::Not("no frames".to_owned());
    }
    let outside = [
        (frames.residue, "residue"),
        (frames.stale, "stale"),
        (frames.unwritten, "unwritten"),
        (frames.torn_bytes, "bytes torn"),
    ];
    let outside: Vec<String> = outside.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let numbers = format!(
        "{}: {} follow by checksum, {} of them committed in {}{}{}",
        many(frames.in_file, "frame"),
        frames.valid,
        frames.committed,
        many(wal.commits, "commit"),
        if outside.is_empty() { "" } else { "; " },
        outside.join(", ")
    );
    if frames.residue > 0 || frames.torn_bytes > 0 || frames.valid == 0 {
        Looked::Odd(numbers)
    } else {
        Looked::Right(numbers)
    }
}

fn many(n: u64, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

fn too_short(why: Option<&Why>) -> Option<String> {
    why.filter(|why| matches!(why, Why::TooShort(_))).map(ToString::to_string)
}

fn shm_headers(examined: &Inspection) -> Result<String, String> {
    let absent = || too_short(examined.reasons.shm.as_ref()).unwrap_or_else(|| "no -shm seen".to_owned());
    let head = examined.shm.as_ref().ok_or_else(absent)?;
    let [first, second] = &head.headers;
    let right = [first, second].iter().filter(|header| header.checksum_ok).count();
    Ok(format!(
        "copies {}, {right} of 2 checksums right, mxFrame {} and {}",
        if head.headers_agree { "agree" } else { "differ" },
        first.mx_frame,
        second.mx_frame
    ))
}

fn shm_against_wal(examined: &Inspection) -> Result<String, String> {
    examined.of_one_time().map_err(|why| why.to_string())?;
    let header = examined.trusted().ok_or("no wal-index header that a reader would use")?;
    let wal = examined.wal.as_ref().ok_or("the -wal was not looked at")?;
    if header.mx_frame == 0 {
        return Err("mxFrame is 0: it says nothing about the WAL".to_owned());
    }
    Ok(format!(
        "mxFrame {}, last commit {}, {} pages, salts {}{}",
        header.mx_frame,
        wal.frames.committed,
        header.database_pages,
        if examined.same_generation() { "equal" } else { "differ" },
        if examined.in_use() && !examined.settled { "; changing while it was read" } else { "" }
    ))
}

fn shm_pages(examined: &Inspection) -> Result<String, String> {
    let index = examined.index.as_ref().map_err(ToString::to_string)?;
    let entries = if index.compared == 1 { "entry" } else { "entries" };
    Ok(format!("{} {entries} compared, {} with another page", index.compared, index.wrong_pages))
}

fn shm_hash(examined: &Inspection) -> Result<String, String> {
    let index = examined.index.as_ref().map_err(ToString::to_string)?;
    Ok(format!(
        "{}: {} not found, {} without an entry, {} twice, {} out of order",
        many(index.blocks, "block"),
        many(index.unreachable, "frame"),
        index.unindexed,
        many(index.duplicate_slots, "slot"),
        index.misordered_slots
    ))
}

fn database(examined: &Inspection) -> Result<String, String> {
    let absent = || {
        let why = if examined.database_absent { "no database" } else { "the database was not looked at" };
        too_short(examined.reasons.database.as_ref()).unwrap_or_else(|| why.to_owned())
    };
    match examined.database.as_ref().ok_or_else(absent)? {
        DatabaseHead::Plain(header) => Ok(format!(
            "versions {} and {}, pages of {} bytes, SQLite {}",
            header.write_version,
            header.read_version,
            header.page_size,
            header.sqlite_release()
        )),
        DatabaseHead::Opaque => Ok("no SQLite header".to_owned()),
        DatabaseHead::Empty => Ok("0 bytes".to_owned()),
    }
}

fn wal_against_database(examined: &Inspection) -> Result<String, String> {
    examined.of_one_time().map_err(|why| why.to_string())?;
    let wal = examined.wal.as_ref().ok_or("the -wal was not looked at")?;
    if wal.frames.committed == 0 {
        return Err("nothing is committed in the WAL".to_owned());
    }
    let Some(DatabaseHead::Plain(header)) = &examined.database else {
        return Err("no database header to compare with".to_owned());
    };
    let one = match &examined.wal_page_one {
        Some(DatabaseHead::Plain(one)) => {
            format!("change counter {} and {} in the WAL's page 1", header.change_counter, one.change_counter)
        }
        Some(_) => "page 1 in the WAL has no header".to_owned(),
        None => "no page 1 in the WAL".to_owned(),
    };
    let of_wal = wal.page_size().map_or(0, u32::from);
    Ok(format!("page size {} and {of_wal}, {one}", header.page_size))
}

fn backfilled(examined: &Inspection) -> Result<String, String> {
    let copied = examined.backfill.as_ref().map_err(ToString::to_string)?;
    let size = examined.database_size.map_or_else(|| ", only page 1 was there".to_owned(), |_| String::new());
    Ok(format!(
        "nBackfill {}: {} pages compared, {} not in the database{size}",
        copied.up_to, copied.pages, copied.missing
    ))
}

fn journal(facts: &Facts<'_>) -> Result<String, String> {
    let hot = facts.hot_journal.ok_or("the -journal was not looked at")?;
    Ok(if hot { "with content" } else { "none with content" }.to_owned())
}
