//! The sentences about a rollback journal that waits.

use std::borrow::Cow;

use super::rescue;
use super::words::{count, many};
use crate::finding::journal_sign::JournalSign;
use crate::finding::{Finding, Found, Severity};
use crate::look::Fit;

/// What to do with a journal that belongs to the database.
const KEEP: &str = "Keep the journal together with the database; deleting it can corrupt the database.";
/// What to do with a journal of which it is not known whether it is of the time of the database.
const KEEP_BOTH: &str = "Keep the -journal together with the database, and delete neither. If the two are of one time, deleting the -journal corrupts the database. If one of them was copied, restored or moved without the other, rolling back corrupts it: then copy both before anything opens the database, and look at a copy of the database alone.";
/// What to do where nobody walked over the tables, either.
const KEEP_BOTH_UNTIL_KNOWN: &str = "Keep the -journal together with the database, and delete neither. If the two are of one time, deleting the -journal corrupts the database. If one of them was copied, restored or moved without the other, rolling back corrupts it: then copy both before anything opens the database, and look at a copy of the database alone. walscope verify walks over the tables and indexes as they are and as they are after rolling back, which often tells.";
/// What to do with a journal of another time beside a database that is whole.
const OF_ANOTHER_TIME: &str = "Open the database nowhere as it lies here, also not to read: SQLite writes the pages of the -journal into it, and makes it malformed. Copy both files first, and keep both. Look at a copy of the database alone, without the -journal and by another name: PRAGMA integrity_check, and whether it has what it should have. If it is the right one, put it in the place of the database after the -journal was moved away. Else look for the database of the time of the -journal.";
/// What to do with a journal without a database.
const NO_DATABASE: &str = "Copy the -journal, and let nothing open a database by this name. Look for the database: the name of the -journal without \"-journal\" was its name. Put copies of the two beside each other in a folder of their own, by the names that they had, and open that copy: SQLite rolls the transaction back. Whoever opened the database without the -journal meanwhile has read a half transaction, and what was written to it since is not to be mixed with the -journal.";
/// What to do where nothing is whole.
const BOTH_DAMAGED: &str = "Copy the database and the -journal before anything opens the database, and keep both: the next to open it writes the pages of the -journal into it and deletes the -journal. Look for a backup, and for the other file of the time of each. Without one, try on copies which of the two has more: the database alone, and the database with the -journal, each by sqlite3 COPY .recover | sqlite3 NEW.db.";
/// What to do with a journal that may be of another database.
const OF_OTHER: &str = "Copy the database and the -journal, and its -wal if there is one, before anything opens the database: the next to open it writes the pages of the -journal into it and cuts it off to the old size. Find out which of the two was restored, replaced or copied alone, and look for the other file of its time. A -journal belongs only to the database that it lay beside.";

/// What to do with a journal of a transaction over several databases.
const OF_SEVERAL: &str = "Copy the database and the -journal before anything opens the database, and also the super-journal, if it is still there, and the other databases that it names, each with its -journal. They belong together: keep all their names and paths.";

/// Detail and advice.
pub(super) fn hot(finding: &Finding) -> (Cow<'static, str>, &'static str) {
    let Found::HotJournal {
        signs,
        database_change_counter: database,
        journal_change_counter: journal,
        database_page_size,
        journal_page_size,
        super_journal,
        database_pages_before,
        pages_right,
        pages_counted,
        under_way,
        walked,
        used_by,
        ..
    } = &finding.found
    else {
        return (Cow::Borrowed(""), KEEP);
    };
    if signs.contains(&JournalSign::OfProcess) {
        return super::log_apart::of_another(used_by);
    }
    let pages = database_pages_before.unwrap_or_default();
    if signs.contains(&JournalSign::DatabaseEmpty) {
        let size = u64::from(pages) * u64::from(journal_page_size.unwrap_or_default());
        return (emptied(pages, size, journal.is_some()).into(), rescue::DATABASE_EMPTY);
    }
    if signs.contains(&JournalSign::NoDatabase) {
        return ("There is no database beside this -journal: it was moved, renamed or deleted while a transaction was under way, or after one was cut off. Without the -journal a part of that transaction stays in the database, and tables can be malformed. Who makes a new database at this path deletes the -journal.".into(), NO_DATABASE);
    }
    let number = |number: &Option<u32>| count(number.unwrap_or_default());
    let told: Vec<String> = signs
        .iter()
        .map(|sign| match sign {
            JournalSign::OfProcess | JournalSign::DatabaseEmpty | JournalSign::NoDatabase => String::new(),
            JournalSign::Cut | JournalSign::Damaged => damaged(*sign, pages_right.unwrap_or_default(), *pages_counted),
            JournalSign::ChangeCounter => format!("the page 1 that it keeps has the change counter {}, and the database has {}, where only the same or one more can be: the -journal is of another database or of another time", number(journal), number(database)),
            JournalSign::RolledBackDamaged => "all tables and indexes of the database fit together as they are, and no more once the -journal is rolled back: the -journal is of another time".to_owned(),
            JournalSign::BothDamaged => "the tables and indexes do not fit together, neither as they are nor once the -journal is rolled back".to_owned(),
            JournalSign::DatabaseShorter => format!("the database had {} before the transaction and has fewer now, and the -journal does not have all that are missing: it is of another time, or the database was cut off", many(u64::from(pages), "page")),
            JournalSign::SuperJournal => format!("its transaction writes to several databases: it names the super-journal {}", super_journal.as_deref().unwrap_or_default()),
            JournalSign::PageSize => format!("its pages have {} bytes, and those of the database {}", number(journal_page_size), number(database_page_size)),
        })
        .collect();
    if told.is_empty() {
        return of_this_database(*walked, *under_way);
    }
    if signs == &[JournalSign::SuperJournal] {
        return (
            format!(
                "A -journal with content lies beside the database, and {}. If that file is there, the next opener rolls the transaction back. If not, SQLite takes the transaction for committed and deletes the -journal: that is right if the process ended at the end of its commit, and wrong if the files were copied or moved without the super-journal, for then half a transaction stays in the database.",
                told.join("; ")
            )
            .into(),
            OF_SEVERAL,
        );
    }
    if matches!(signs.first(), Some(JournalSign::Cut | JournalSign::Damaged)) {
        let who = if *under_way {
            "A process is in a transaction: if it is killed, or rolls back, a part of the transaction stays in the database. A COMMIT keeps its data whole."
        } else if finding.severity == Severity::Error {
            "The next to open the database takes back only the pages in front of that place, and deletes the -journal: a part of the transaction stays in the database, and tables can be malformed."
        } else {
            "The next to open the database takes back only the pages in front of that place, and deletes the -journal. That is right if the machine lost its power while the -journal was written, before the database was. Else a part of the transaction stays in the database."
        };
        let told = told.join("; ");
        return (
            format!("A -journal with content lies beside the database, and {told}. {who}").into(),
            rescue::JOURNAL_DAMAGED,
        );
    }
    let innocent =
        if signs == &[JournalSign::PageSize] { " Nothing is wrong if VACUUM was changing the page size." } else { "" };
    let advice = if signs.contains(&JournalSign::RolledBackDamaged) {
        OF_ANOTHER_TIME
    } else if signs.contains(&JournalSign::BothDamaged) {
        BOTH_DAMAGED
    } else {
        OF_OTHER
    };
    (
        format!(
            "A -journal with content lies beside the database, and {}. The next to open the database rolls it back all the same{}.{innocent}",
            told.join("; "),
            if super_journal.is_some() { ", if its super-journal is there, and else deletes it" } else { "" }
        )
        .into(),
        advice,
    )
}

/// A journal without a sign that it is of another database or time.
fn of_this_database(walked: Option<Fit>, under_way: bool) -> (Cow<'static, str>, &'static str) {
    let plain = "A -journal with content lies beside the database: a transaction in rollback mode is under way, or one was cut off and the next opener rolls it back.";
    match walked {
        Some(Fit::Needed) => (
            "A -journal with content lies beside the database, and the database needs it: its tables and indexes do not fit together as they are, and they do once the -journal is rolled back. A transaction was cut off, and the next opener rolls it back.".into(),
            KEEP,
        ),
        Some(Fit::BothWhole) => (
            format!("{plain} All tables and indexes fit together as they are and after that: that does not tell whether the two are of one time.").into(),
            KEEP_BOTH,
        ),
        // Who is in the transaction made the journal.
        _ if under_way => (plain.into(), KEEP),
        _ => (plain.into(), KEEP_BOTH_UNTIL_KNOWN),
    }
}

/// What is beside a database that was emptied.
fn emptied(pages: u32, size: u64, has_page_one: bool) -> String {
    let page_one = if has_page_one { "It has page 1." } else { "It does not have page 1." };
    format!(
        "The database has 0 bytes, and the -journal beside it is of a transaction that began when the database had {}, {}. The old pages that it keeps are in no other file. SQLite takes an empty database for a new one: the next to open it, also only to read, deletes the -journal and rolls nothing back. {page_one}",
        many(u64::from(pages), "page"),
        many(size, "byte"),
    )
}

/// Where the pages of a journal end.
fn damaged(sign: JournalSign, right: u64, counted: Option<u64>) -> String {
    let right = many(right, "page");
    match (sign, counted) {
        (JournalSign::Cut, counted) => {
            format!("its headers count {}, and the file ends after {right}", many(counted.unwrap_or_default(), "page"))
        }
        (_, Some(counted)) => {
            format!("its headers count {}, and after {right} stands one with a wrong checksum", many(counted, "page"))
        }
        (_, None) => format!("after {right} stands one with a wrong checksum, and right ones stand behind it"),
    }
}

/// Whether the journal is not rolled back, because the database is empty or not there.
pub(super) fn is_beside_empty_database(finding: &Finding) -> bool {
    let empty = |sign: &JournalSign| matches!(sign, JournalSign::DatabaseEmpty | JournalSign::NoDatabase);
    matches!(&finding.found, Found::HotJournal { signs, .. } if signs.iter().any(empty))
}
