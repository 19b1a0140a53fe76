//! The checks of `verify`: whether each check could be made, and how grave its findings are.

pub use super::check_name::CheckName;
use crate::finding::{Code, Finding, Severity};
use crate::format::ParseError;
use crate::format::db::DatabaseHead;
use crate::look::{BothWays, Depth, Fit, HotJournal, Inspection, NotCompared, Why};
use crate::number::FrameNumber;
use crate::wal::EndReason;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckResult {
    /// It was checked, and there is nothing to report.
    Passed,
    /// It was checked, and there is a finding of `info` or `notice`, or a person should read the numbers.
    Noted,
    /// It was checked, and there is a finding of `warning` or `error`.
    Failed,
    /// It was not checked.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// Which.
    pub check: CheckName,
    /// Its result.
    pub result: CheckResult,
    /// Why nothing was checked; `None` if something was.
    pub not_checked: Option<NotChecked>,
    /// Codes of its findings.
    pub codes: Vec<Code>,
}

/// Why a check was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotChecked {
    /// The `-wal` was not looked at.
    WalNotSeen,
    /// There is no `-wal`.
    NoWal,
    /// The `-wal` has fewer bytes than a header: this many.
    NoWalHeader(u64),
    /// The `-wal` has no frames.
    NoFrames,
    /// The file is too short to be decoded.
    TooShort(ParseError),
    /// No `-shm` was seen.
    NoShm,
    /// No header of the wal-index is one that a reader would use.
    NoIndexHeader,
    /// `mxFrame` is 0: the wal-index says nothing about the WAL.
    NoFrameIndexed,
    /// The files were not compared with each other.
    NotCompared(NotCompared),
    /// There is no database.
    NoDatabase,
    /// The database was not looked at.
    DatabaseNotSeen,
    /// The database has no header to compare with.
    NoDatabaseHeader,
    /// Nothing is committed in the WAL.
    NothingCommitted,
    /// Nobody looked for a `-journal`.
    JournalNotSeen,
}

/// What a look that checks everything still does not tell, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftOut {
    /// A check was not made.
    Check(CheckName, NotChecked),
    /// A database in WAL mode has no `-wal`. It was closed properly, or it is a copy that was made without its `-wal` and
    /// lacks the commits since the last checkpoint: nothing in the file tells.
    NoWalBeside,
    /// That the `-wal` and the database are of one time. Files of two moments may leave no trace: a page that only one of them
    /// has is not looked for in the other.
    OneTime,
    /// That the `-journal` that waits and the database are of one time: nothing that was looked at tells it.
    JournalOneTime,
    /// What the rows say: whether each index has every row, and constraints. Only SQLite reads that.
    Content {
        /// Whether the pages of all tables and indexes were checked.
        trees: bool,
    },
}

/// Everything that the checks do not tell.
#[must_use]
pub fn left_out(examined: &Inspection, checks: &[Check]) -> Vec<LeftOut> {
    let skipped = checks.iter().filter_map(|check| {
        let why = check.not_checked.as_ref().filter(|_| check.result == CheckResult::Skipped)?;
        Some(LeftOut::Check(check.check, why.clone()))
    });
    let alone = examined.without_wal().then_some(LeftOut::NoWalBeside);
    let compared = |check: &Check| check.check == CheckName::WalAgainstDatabase && check.not_checked.is_none();
    let one_time = checks.iter().any(compared).then_some(LeftOut::OneTime);
    let fit = examined.journal.as_ref().and_then(|journal| journal.both_ways.as_ref()).and_then(BothWays::fit);
    let told = matches!(fit, Some(Fit::Needed | Fit::OfAnotherTime));
    let journal = (examined.hot_journal == HotJournal::Waits && !told).then_some(LeftOut::JournalOneTime);
    let content = (examined.depth == Depth::CrossChecked).then_some(LeftOut::Content { trees: examined.trees.is_ok() });
    skipped.chain(alone).chain(one_time).chain(journal).chain(content).collect()
}

/// Whether a check was not made because something is in the way, and not because there is nothing to check; or whether there
/// is an empty database and nothing else.
#[must_use]
pub fn hindered(examined: &Inspection, checks: &[Check]) -> bool {
    let in_the_way = |check: &Check| match &check.not_checked {
        Some(NotChecked::NoWalHeader(bytes)) => *bytes > 0,
        Some(NotChecked::TooShort(_)) => check.check == CheckName::DatabaseHeader,
        _ => false,
    };
    examined.look_again() || examined.is_empty() || checks.iter().any(in_the_way)
}

/// What was checked.
enum Looked {
    /// Everything is as it should be, unless there is a finding.
    Right,
    /// A person should read the numbers even if there is no finding.
    Odd,
    /// Nothing was checked, for this reason.
    Not(NotChecked),
}

impl From<Result<(), NotChecked>> for Looked {
    fn from(looked: Result<(), NotChecked>) -> Self {
        looked.map_or_else(Self::Not, |()| Self::Right)
    }
}

/// The table of checks. It is empty for a look that did not compare the files. `findings` are all findings of the same
/// look.
#[must_use]
pub fn checks(examined: &Inspection, findings: &[Finding]) -> Vec<Check> {
    if examined.depth != Depth::CrossChecked {
        return Vec::new();
    }
    let rows = [
        (CheckName::WalHeader, wal_header(examined).into()),
        (CheckName::WalFrames, wal_frames(examined)),
        (CheckName::ShmHeaders, shm_headers(examined).into()),
        (CheckName::ShmHeaderAgainstWal, shm_against_wal(examined).into()),
        (CheckName::ShmPagesAgainstWal, index(examined).into()),
        (CheckName::ShmHash, index(examined).into()),
        (CheckName::DatabaseHeader, database(examined).into()),
        (CheckName::WalAgainstDatabase, wal_against_database(examined).into()),
        (CheckName::BackfilledInDatabase, backfilled(examined).into()),
        (CheckName::StaleInDatabase, stale(examined).into()),
        (CheckName::Trees, trees(examined)),
        (CheckName::Journal, journal(examined.hot_journal).into()),
    ];
    rows.into_iter().map(|(check, looked)| judge(check, looked, findings)).collect()
}

fn judge(check: CheckName, looked: Looked, findings: &[Finding]) -> Check {
    let raised: Vec<&Finding> = findings.iter().filter(|finding| finding.code().check() == Some(check)).collect();
    let worst = raised.iter().map(|finding| finding.severity).max();
    let result = match (worst, &looked) {
        (Some(Severity::Warning | Severity::Error), _) => CheckResult::Failed,
        (Some(Severity::Info | Severity::Notice), _) => CheckResult::Noted,
        (None, Looked::Right) => CheckResult::Passed,
        (None, Looked::Odd) => CheckResult::Noted,
        (None, Looked::Not(_)) => CheckResult::Skipped,
    };
    let not_checked = match looked {
        Looked::Not(why) => Some(why),
        Looked::Right | Looked::Odd => None,
    };
    Check { check, result, not_checked, codes: raised.iter().map(|finding| finding.code()).collect() }
}

fn wal_header(examined: &Inspection) -> Result<(), NotChecked> {
    let wal = examined.wal.as_ref().ok_or(NotChecked::WalNotSeen)?;
    let absent =
        if wal.end_reason == EndReason::NoFile { NotChecked::NoWal } else { NotChecked::NoWalHeader(wal.file_size) };
    wal.header.map(|_| ()).ok_or(absent)
}

/// A healthy WAL can have frames of an older generation after its chain, and room for frames that are not written yet.
/// Every other frame outside of the chain was left by a transaction that was rolled back, or was cut off by damage.
fn wal_frames(examined: &Inspection) -> Looked {
    let Some(wal) = &examined.wal else { return Looked::Not(NotChecked::WalNotSeen) };
    let frames = &wal.frames;
    if wal.end_reason == EndReason::NoFile {
        Looked::Not(NotChecked::NoWal)
    } else if frames.in_file == 0 && frames.torn_bytes == 0 {
        Looked::Not(NotChecked::NoFrames)
    } else if frames.residue > 0 || frames.unrelated > 0 || frames.torn_bytes > 0 || frames.valid == 0 {
        Looked::Odd
    } else {
        Looked::Right
    }
}

fn too_short(why: Option<&Why>) -> Option<NotChecked> {
    match why {
        Some(Why::TooShort(error)) => Some(NotChecked::TooShort(error.clone())),
        _ => None,
    }
}

fn journal(hot: HotJournal) -> Result<(), NotChecked> {
    if hot == HotJournal::NotLookedFor { Err(NotChecked::JournalNotSeen) } else { Ok(()) }
}

fn shm_headers(examined: &Inspection) -> Result<(), NotChecked> {
    let absent = || too_short(examined.reasons.shm.as_ref()).unwrap_or(NotChecked::NoShm);
    examined.shm.as_ref().map(|_| ()).ok_or_else(absent)
}

fn shm_against_wal(examined: &Inspection) -> Result<(), NotChecked> {
    examined.of_one_time().map_err(NotChecked::NotCompared)?;
    let header = examined.trusted().ok_or(NotChecked::NoIndexHeader)?;
    let wal = examined.wal.as_ref().ok_or(NotChecked::WalNotSeen)?;
    // That a wal-index in use has a -wal at all is checked also if it counts nothing.
    let nothing = header.mx_frame == FrameNumber::NONE && !(examined.must_hold() && wal.is_absent());
    if nothing { Err(NotChecked::NoFrameIndexed) } else { Ok(()) }
}

fn index(examined: &Inspection) -> Result<(), NotChecked> {
    examined.index.as_ref().map(|_| ()).map_err(|why| NotChecked::NotCompared(*why))
}

fn database(examined: &Inspection) -> Result<(), NotChecked> {
    let absent = || {
        let why = if examined.database_absent { NotChecked::NoDatabase } else { NotChecked::DatabaseNotSeen };
        too_short(examined.reasons.database.as_ref()).unwrap_or(why)
    };
    examined.database.as_ref().map(|_| ()).ok_or_else(absent)
}

fn wal_against_database(examined: &Inspection) -> Result<(), NotChecked> {
    examined.of_one_time().map_err(NotChecked::NotCompared)?;
    let wal = examined.wal.as_ref().ok_or(NotChecked::WalNotSeen)?;
    match &examined.database {
        _ if examined.pages.is_ok_and(|pages| pages.missing > 0) => Ok(()),
        _ if wal.frames.committed == 0 => Err(NotChecked::NothingCommitted),
        Some(DatabaseHead::Plain(_)) => Ok(()),
        _ => Err(NotChecked::NoDatabaseHeader),
    }
}

fn stale(examined: &Inspection) -> Result<(), NotChecked> {
    examined.stale.as_ref().map(|_| ()).map_err(|why| NotChecked::NotCompared(*why))
}

fn trees(examined: &Inspection) -> Looked {
    match &examined.trees {
        // Where there is no finding, another one says that the database is damaged.
        Ok(trees) if trees.fault_count > 0 || trees.never_used > 0 => Looked::Odd,
        Ok(_) => Looked::Right,
        Err(why) => Looked::Not(NotChecked::NotCompared(*why)),
    }
}

fn backfilled(examined: &Inspection) -> Result<(), NotChecked> {
    examined.backfill.as_ref().map(|_| ()).map_err(|why| NotChecked::NotCompared(*why))
}
