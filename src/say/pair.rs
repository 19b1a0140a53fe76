//! The sentences about a `-wal` and a database that do not belong together.

use std::borrow::Cow;

use super::checkpoint::names;
use super::rescue;
use super::words::{LISTED, count, many, one_or, release};
use crate::finding::cut::Cut;
use crate::finding::newer::Newer;
use crate::finding::not_copied::NotCopied;
use crate::finding::overwritten_sign::OverwrittenSign;
use crate::finding::value::OtherSign;
use crate::finding::{Finding, Found, Severity};
use crate::look::SizeStated;
use crate::number::{FrameOfPage, PageNumber};

/// What to do with two files that do not belong together. Each of them may hold what is nowhere else.
macro_rules! keep_both {
    ($newer:literal) => {
        concat!(
            "Copy the database, -wal and -shm as they are, and open only copies with SQLite: it mixes the two or calls them malformed, and when it closes, it overwrites the database and deletes the -wal all the same. ",
            $newer,
            " Look at a copy of the database alone, and at a copy of the database with the -wal beside it. Find out which of the two was restored, replaced or copied alone, and look for the other file of its time. Put a restored database into a folder of its own, never beside an older -wal."
        )
    };
}
const KEEP_BOTH: &str =
    keep_both!("Which of the two is newer is not known; each may hold rows that the other does not have.");
const KEEP_NEWER_WAL: &str =
    keep_both!("If they are of one database, the -wal is the newer: it may hold rows that are nowhere else.");
const KEEP_NEWER_DATABASE: &str =
    keep_both!("If they are of one database, the database is the newer: the -wal would put old rows over it.");
/// What to do with a database that is cut off, and has no WAL.
const CUT_OFF: &str = "Keep this file, and work on copies: sqlite3's .recover finds the rows that are left. A full disk, an interrupted copy, and a copy made while a checkpoint was at work cut a database off. Copy it again from where it came from, together with its -wal, or take a backup.";
/// What to do with a database that is cut off, and a WAL beside it.
const CUT_BESIDE_WAL: &str = "Copy the database, -wal and -shm as they are, and open only copies with SQLite: when it closes, it makes up for missing pages with zeros and deletes the -wal. A full disk, an interrupted copy, and a copy made while a checkpoint was at work cut a database off. Copy it again from where it came from, together with its -wal, or take a backup. Until then keep both: the -wal may hold rows that are nowhere else, and sqlite3's .recover finds the rows that are left, in a copy of the two.";
/// What to do with a database of zeros.
const ZEROS: &str = "Keep this file and its -wal, if there is one, and work on copies. A machine that went down before the pages were on the disk, a copy that was interrupted, and a failed disk leave zeros. Copy the database again from where it came from, together with its -wal, or take a backup.";
/// What to do where only frames of the generation before do not fit.
macro_rules! copy_again {
    ($newer:literal) => {
        concat!(
            "Copy the database, -wal and -shm as they are before anything opens them. If they were copied one after the other while they were in use, or one of them was restored, copy both again at one moment: walscope snapshot --with-db, VACUUM INTO or the backup API. Until then keep these, and look at copies: ",
            $newer
        )
    };
}
const COPY_AGAIN: &str =
    copy_again!("whether the database or the frames in the -wal hold the newer content of these pages is not known.");
const COPY_NEWER_WAL: &str =
    copy_again!("if the two are of one database, the frames in the -wal hold the newer content of these pages.");
const COPY_NEWER_DATABASE: &str = copy_again!("if the two are of one database, the database is the newer.");

/// Detail and advice.
type Said = (Cow<'static, str>, &'static str);

/// That a file was cut, where its size shows that, before what else does not fit.
fn cut(cut: Option<Cut>) -> String {
    match cut {
        None => String::new(),
        Some(Cut::WithinPage { size, page_size }) => {
            format!("{} is not a whole number of pages of {}: the file was cut. ", many(size, "byte"), count(page_size))
        }
        Some(Cut::BeforeStated { pages, stated }) => format!(
            "The header of the database states {}, and the file ends after {}: it was cut, or it was copied while a checkpoint was at work. ",
            many(stated, "page"),
            count(pages)
        ),
    }
}

/// Some of the pages that differ, by number: `page 7`, `pages 7 and 9`, `pages 2, 3, 4, 5, 6 and 11 more`.
fn numbers(pages: impl Iterator<Item = PageNumber>, all: u64) -> String {
    let mut told: Vec<String> = pages.take(LISTED).map(|page| count(page.0)).collect();
    let more = all.saturating_sub(told.len() as u64);
    if more > 0 {
        told.push(format!("{} more", count(more)));
    }
    let pages = one_or(all, "page", "pages");
    match told.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{pages} {} and {last}", rest.join(", ")),
        _ => format!("{pages} {}", told.concat()),
    }
}

/// That pages hold nothing but zeros, as the end of a sentence.
fn zeros(zeros: &[PageNumber]) -> String {
    let are = match zeros {
        [] => return String::new(),
        [_] => "is",
        _ => "are",
    };
    format!("; {} of the database {are} all zeros", numbers(zeros.iter().copied(), zeros.len() as u64))
}

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
        cut: cut_at,
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
            match cut_at {
                _ if *in_use => rescue::OVERWRITTEN,
                Some(_) => CUT_BESIDE_WAL,
                None => KEEP_BOTH,
            },
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
    // What the header states is told behind it already, and an end within the last page may be zeros that a copy left out.
    let first = match (finding.severity, stated) {
        (Severity::Error, SizeStated::ByCommit { .. }) => cut(*cut_at),
        (Severity::Error, SizeStated::ByHeader) => {
            cut(cut_at.filter(|cut_at| matches!(cut_at, Cut::WithinPage { .. })))
        }
        _ => String::new(),
    };
    (format!("{first}{detail}{why}").into(), advice)
}

/// A database that is not as the last commit of the wal-index in use left it.
pub(super) fn overwritten(found: &Found) -> Said {
    let Found::DatabaseOverwritten {
        signs,
        wal_index_pages,
        wal_index_page_size,
        database_pages,
        database_page_size,
        size,
        holders,
    } = found
    else {
        return Said::default();
    };
    let (left, states) = (many(*wal_index_pages, "page"), many(database_pages.unwrap_or_default(), "page"));
    let told: Vec<String> = signs
        .iter()
        .map(|sign| match sign {
            OverwrittenSign::PageSize => format!(
                "the wal-index has pages of {} bytes, and the header of the database states {}",
                count(*wal_index_page_size),
                count(database_page_size.unwrap_or_default())
            ),
            OverwrittenSign::MorePages => {
                format!("the last commit left {left}, and the header of the database states {states}")
            }
            OverwrittenSign::FewerPages => format!(
                "the last commit left {left}, the header of the database states {states}, and the file has {}",
                many(*size, "byte")
            ),
            OverwrittenSign::Shorter => format!(
                "the last commit left {left} of {} bytes, and the file has {}",
                count(*wal_index_page_size),
                many(*size, "byte")
            ),
            OverwrittenSign::RollbackMode => {
                "the header of the database says rollback mode, and processes use it in WAL mode".to_owned()
            }
        })
        .collect();
    let cause = if signs.as_slice() == [OverwrittenSign::RollbackMode] {
        "Either it was overwritten in place, for example by a backup that was copied over it, or it was put beside a -wal of another database before they opened it"
    } else {
        "It was overwritten in place while it is open, for example by a backup that was copied over it, or somebody writes to it who does not use this wal-index"
    };
    let open = if holders.is_empty() { String::new() } else { format!(" It is open: {}.", names(holders.iter())) };
    (format!("Every frame that the wal-index counts is in the database, but {}. {cause}.{open} Processes mix pages that they remember with those that are there now.", told.join("; ")).into(), rescue::OVERWRITTEN)
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
        newer,
        stated_in_wal,
        cut: cut_at,
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
    (
        format!("{}A WAL carries no mark of its database, but here {}. {so}{innocent}", cut(*cut_at), told.join("; "))
            .into(),
        match newer {
            None if cut_at.is_some() => CUT_BESIDE_WAL,
            None => KEEP_BOTH,
            Some(Newer::Wal) => KEEP_NEWER_WAL,
            Some(Newer::Database) => KEEP_NEWER_DATABASE,
        },
    )
}

/// Frames of the generation before that are not in the database.
pub(super) fn stale(found: &Found) -> Said {
    let Found::StaleFramesNotInDatabase { compared, missing, pages, newer, zeros: empty, cut: cut_at, behind_end } =
        found
    else {
        return Said::default();
    };
    let all_zeros = *missing > 0 && empty.len() as u64 == *missing;
    let (so, advice) = match newer {
        // The size of the file explains all of it.
        _ if *behind_end && cut_at.is_some() => ("they are behind the end of the file", CUT_BESIDE_WAL),
        None if all_zeros => ("they were not written, or were lost from the disk", ZEROS),
        None => {
            ("the two are of different times, or of two databases, and which of them is newer is not known", COPY_AGAIN)
        }
        Some(Newer::Wal) => {
            ("page 1 shows that the database is older than the -wal, or that they are of two databases", COPY_NEWER_WAL)
        }
        Some(Newer::Database) => (
            "page 1 shows that the database is newer than the -wal, or that they are of two databases",
            COPY_NEWER_DATABASE,
        ),
    };
    let innocent = if *behind_end && cut_at.is_some() {
        ""
    } else {
        " A writer that was killed between its commit frame and the wal-index leaves the same, and then nothing is missing."
    };
    (
        format!(
            "{}A WAL starts over only when all of its frames are in the database. Of {} that frames of the generation before hold, and that nothing changed since, the database has {} otherwise ({}): {so}{}.{innocent}",
            cut(*cut_at),
            many(*compared, "page"),
            count(*missing),
            numbers(pages.iter().map(|one: &FrameOfPage| one.page), *missing),
            zeros(empty)
        )
        .into(),
        advice,
    )
}

/// Frames that count as copied and are not in the database.
pub(super) fn not_copied(found: &Found) -> Said {
    let Found::BackfillNotInDatabase {
        backfilled,
        compared,
        missing,
        pages,
        causes,
        zeros: empty,
        cut: cut_at,
        in_use,
        sqlite_version,
        holders,
    } = found
    else {
        return Said::default();
    };
    let fits: Vec<String> = causes
        .iter()
        .map(|cause| match cause {
            NotCopied::OtherContent if *in_use => "older content, or that of another database, was written over the database while it is open (a backup that was copied over it)".to_owned(),
            NotCopied::OtherContent => "the database was overwritten or replaced by older content, or by that of another database".to_owned(),
            NotCopied::OfTwoTimes => "the files were copied one after the other while they were in use, or the -wal and the -shm are of another time than the database".to_owned(),
            NotCopied::WalResetBug => format!(
                "the wal-reset bug of SQLite before 3.51.3{}",
                sqlite_version.map(|version| format!(" (SQLite {} wrote page 1 last)", release(version))).unwrap_or_default()
            ),
        })
        .collect();
    let open = if holders.is_empty() { String::new() } else { format!(" It is open: {}.", names(holders.iter())) };
    (
        format!(
            "{}nBackfill claims every frame up to {}; of the {} it vouches for, the database holds {} otherwise ({}){}. Readers of the database alone see other content, and a checkpoint will not copy {}. What fits: {}.{open}",
            cut(*cut_at),
            count(*backfilled),
            many(*compared, "page"),
            count(*missing),
            numbers(pages.iter().map(|one| one.page), *missing),
            zeros(empty),
            one_or(*missing, "it", "them"),
            fits.join("; ")
        )
        .into(),
        if *in_use {
            "Copy the database, the -wal and the -shm now, before any connection closes: the last to close deletes the -wal. If only these pages were lost, a copy of the database and the -wal, without the -shm, recovers with every commit. If an older backup was copied over the database, it does not: what was committed before the first frame of this -wal is then not in these files. PRAGMA integrity_check does not tell the two apart; compare the rows."
        } else {
            "Keep the -wal with the database, and copy both before anything opens them: opening a copy without the -shm recovers every commit of the WAL, but none from before it, if the database is an older one."
        },
    )
}

/// An empty database beside files that SQLite makes only for one with content.
pub(super) fn emptied(found: &Found) -> (Cow<'static, str>, &'static str) {
    let Found::DatabaseEmptied { wal, shm, wal_index_pages, in_use, holders } = found else { return <_>::default() };
    let of_wal = wal.map(|size| format!("a -wal of {}", many(size, "byte")));
    let of_shm = shm.map(|_| match wal_index_pages {
        Some(pages) => format!("a -shm that counts {}", many(u64::from(*pages), "page")),
        None => "a -shm".to_owned(),
    });
    let beside = of_wal.into_iter().chain(of_shm).collect::<Vec<_>>().join(" and ");
    let them = if wal.is_some() && shm.is_some() { "them" } else { "it" };
    let made = format!(
        "The database has 0 bytes, and beside it is {beside}. SQLite makes {them} only for a database that has content."
    );
    if *in_use {
        let open =
            if holders.is_empty() { "It is open".to_owned() } else { format!("It is open: {}", names(holders.iter())) };
        return (
            format!("{made} So the database was emptied while processes have it open in WAL mode. {open}.").into(),
            rescue::COPY_IN_USE,
        );
    }
    (
        format!("{made} So the database was emptied, or {them} was left over from another one. To SQLite it is a new database, and it deletes a -wal beside that.").replace("them was", "they were").into(),
        "If it had content: copy all files before anything opens the database, take a backup, and find what emptied it (a `>` in a script, a copy that did not finish). If it is a new database, nothing is wrong.",
    )
}
