//! The sentences about a `-wal` and a database that do not belong together.

use std::borrow::Cow;

use super::checkpoint::names;
use super::rescue;
use super::words::{count, many, one_or};
use crate::finding::value::OtherSign;
use crate::finding::{Finding, Found, Severity};
use crate::look::SizeStated;

/// What to do with two files that do not belong together, and that nobody was seen to use. Each of them may hold what is
/// nowhere else.
const KEEP_BOTH: &str = "Copy the database, -wal and -shm as they are, and open only copies with SQLite: it mixes the two or calls them malformed, and when it closes, it overwrites the database and deletes the -wal all the same. The -wal may hold newer rows than the database. Find out which of them was restored, replaced or copied alone, and look for the other file of its time. Put a restored database into a folder of its own, never beside an older -wal.";
/// What to do with a database that is cut off, and has no WAL.
const CUT_OFF: &str = "Keep this file, and work on copies: sqlite3's .recover finds the rows that are left. A full disk, an interrupted copy, and a copy made while a checkpoint was at work cut a database off. Copy it again from where it came from, together with its -wal, or take a backup.";
/// What to do with a database of zeros.
const ZEROS: &str = "Keep this file and its -wal, if there is one, and work on copies. A machine that went down before the pages were on the disk, a copy that was interrupted, and a failed disk leave zeros. Copy the database again from where it came from, together with its -wal, or take a backup.";
/// What to do where only frames of the generation before do not fit.
const COPY_AGAIN: &str = "Copy the database, -wal and -shm as they are before anything opens them. If they were copied one after the other while they were in use, or one of them was restored, copy both again at one moment: walscope snapshot --with-db, VACUUM INTO or the backup API. Until then keep these: the frames in the -wal hold the newer content of these pages.";

/// Detail and advice.
type Said = (Cow<'static, str>, &'static str);

/// Pages that are in neither file.
pub(super) fn pages_nowhere(finding: &Finding) -> Said {
    let Found::DatabaseTooShort {
        size,
        expected,
        database_pages,
        missing,
        first_missing,
        stated,
        within_page,
        in_use,
        holders: who,
        ..
    } = &finding.found
    else {
        return Said::default();
    };
    let pages = many(*missing, "page");
    let (have, are) = (one_or(*missing, "has", "have"), one_or(*missing, "is", "are"));
    let (must, takes, has) = (many(*database_pages, "page"), many(*expected, "byte"), many(*size, "byte"));
    let first = first_missing.map(|page| format!(" The first of them is page {}.", count(page.0))).unwrap_or_default();
    let (detail, advice) = match stated {
        SizeStated::ByCommit { frame } => (
            format!(
                "The last commit of the -wal, frame {}, counts on {must} or {takes}. The database has {has}, and {pages} behind them {have} no committed frame either: what was there is in neither file.{first}",
                count(*frame)
            ),
            if *in_use { rescue::OVERWRITTEN } else { KEEP_BOTH },
        ),
        SizeStated::ByHeader => (
            format!(
                "The header of the database states {must} or {takes}. It has {has}, and nothing is committed in a -wal that could make up for it: {pages} {are} nowhere.{first}{}",
                if *within_page {
                    " The file ends within a page: SQLite reads zeros for the rest of it."
                } else {
                    " SQLite calls such a database malformed."
                }
            ),
            if *in_use { rescue::OVERWRITTEN } else { CUT_OFF },
        ),
    };
    let why = match (finding.severity, in_use) {
        (Severity::Error, true) => format!(
            " It was overwritten or cut off in place while it is open: {}.",
            names(who.iter())
        ),
        (Severity::Error, false) => String::new(),
        (_, _) if *stated == SizeStated::ByHeader => " Nothing is wrong if the file ended with zeros that a copy left out, or if a program writes at this moment without a journal on the disk (PRAGMA journal_mode=MEMORY or OFF): look again.".to_owned(),
        _ => " The database has no SQLite header. If it is compressed, and not encrypted page by page, its length shows nothing.".to_owned(),
    };
    (format!("{detail}{why}").into(), advice)
}

/// Nothing but zeros behind page 1.
pub(super) fn pages_zero(pages: u64, tables: bool, severity: Severity) -> Said {
    let so = if tables {
        "Page 1 has tables, so what was in them is nowhere: SQLite calls the database malformed as soon as it reads one."
    } else {
        "Page 1 has no table, and the header does not call these pages free."
    };
    let innocent = if severity == Severity::Error || !tables {
        ""
    } else {
        " Nothing is wrong if a program writes at this moment without a journal on the disk (PRAGMA journal_mode=MEMORY or OFF): look again."
    };
    let zeros = super::words::all(pages, "page", "behind page 1 is zeros", "behind page 1 are zeros");
    (format!("{zeros}, and nothing is committed in a -wal that could make up for it. {so}{innocent}").into(), ZEROS)
}

/// A WAL that is not of this database, by page 1.
pub(super) fn other_database(finding: &Finding) -> Said {
    let Found::WalOfOtherDatabase {
        signs,
        database_change_counter: of_database,
        wal_change_counter: of_wal,
        first_wal_change_counter: first,
        database_schema_cookie: cookie,
        wal_schema_cookie: wal_cookie,
        database_pages,
        committed_pages,
        stated_in_wal,
    } = &finding.found
    else {
        return Said::default();
    };
    let number = |number: &Option<u32>| count(number.unwrap_or_default());
    let pages = |number: &Option<u32>| many(number.unwrap_or_default(), "page");
    let (of_database, most, cookie) = (count(*of_database), count(of_database.wrapping_add(1)), count(*cookie));
    let (page_one, damaged) = if *stated_in_wal {
        ("page 1 in the -wal", "the frames are of two databases, or another program than SQLite wrote them")
    } else {
        (
            "the header of the database",
            "the -wal is of another database or of another time, or bytes 28 to 31 of the database are damaged",
        )
    };
    let told: Vec<String> = signs
        .iter()
        .map(|sign| match sign {
            OtherSign::NoHeader => "the database is plain, and the WAL's page 1 has no SQLite header".to_owned(),
            OtherSign::CounterBehind => format!("the database's change counter is {of_database}, and the WAL's latest page 1 has {}: the -wal is older than the database", number(of_wal)),
            OtherSign::CounterAhead => format!("the database's change counter is {of_database}, and the WAL's first page 1 has {}, where at most {most} can be: the -wal is of a later time, or of another database", number(first)),
            OtherSign::CounterOfNone => format!("the database's change counter is {of_database}, that of a page 1 in the -wal, and its page 1 is none of those: the two are of different times, or page 1 is damaged"),
            OtherSign::CookieBehind => format!("the database's schema cookie is {cookie}, and the WAL's latest page 1 has {}: the -wal is older than the database, or of another one", number(wal_cookie)),
            OtherSign::SchemaDiffers => format!("both have the schema cookie {cookie}, and their schemas differ: the two are not of one database, they went different ways, or page 1 of the database is damaged"),
            OtherSign::FewerPages => format!("{page_one} states {}, and a commit of the -wal counts on {}, without a page 1 that says so: {damaged}", pages(database_pages), number(committed_pages)),
            OtherSign::MorePages => format!("{page_one} states {}, and a commit of the -wal makes the database larger, to {}, without a page 1 that says so: {damaged}", pages(database_pages), number(committed_pages)),
        })
        .collect();
    // Held by `a_wal_without_page_1_has_the_size_that_the_header_states`.
    let so = if signs.contains(&OtherSign::FewerPages) {
        "SQLite calls the two together malformed. When it closes them, it copies the frames into the database all the same, and cuts the database off to the size of the last commit."
    } else {
        "SQLite replays it all the same."
    };
    let innocent = match (finding.severity, signs.as_slice()) {
        (Severity::Error, _) | (_, [OtherSign::NoHeader]) => "",
        (_, [OtherSign::MorePages]) => " Nothing is wrong if sqlite_dbpage wrote the pages.",
        (_, [OtherSign::SchemaDiffers]) => {
            " Nothing is wrong if somebody edited the schema by hand (PRAGMA writable_schema)."
        }
        _ => {
            " Nothing is wrong if somebody set PRAGMA schema_version by hand, or sqlite3_rsync or sqlite_dbpage wrote the pages."
        }
    };
    (format!("A WAL carries no mark of its database, but here {}. {so}{innocent}", told.join("; ")).into(), KEEP_BOTH)
}

/// Frames of the generation before that are not in the database.
pub(super) fn stale(compared: u64, missing: u64) -> Said {
    (
        format!("A WAL starts over only when all of its frames are in the database. Of {} that frames of the generation before hold, and that nothing changed since, the database has {} otherwise: it is older than the -wal, or another one. A writer that was killed between its commit frame and the wal-index leaves the same, and then nothing is missing.", many(compared, "page"), count(missing)).into(),
        COPY_AGAIN,
    )
}
