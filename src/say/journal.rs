//! The sentences about a rollback journal that waits.

use std::borrow::Cow;

use super::words::count;
use crate::finding::journal_sign::JournalSign;
use crate::finding::{Finding, Found};

/// What to do with a journal that belongs to the database.
const KEEP: &str = "Keep the journal together with the database; deleting it can corrupt the database.";
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
        used_by,
    } = &finding.found
    else {
        return (Cow::Borrowed(""), KEEP);
    };
    if signs.contains(&JournalSign::OfProcess) {
        return super::log_apart::of_another(used_by);
    }
    let number = |number: &Option<u32>| count(number.unwrap_or_default());
    let told: Vec<String> = signs
        .iter()
        .map(|sign| match sign {
            JournalSign::OfProcess => String::new(),
            JournalSign::ChangeCounter => format!("the page 1 that it keeps has the change counter {}, and the database has {}, where only the same or one more can be: the -journal is of another database or of another time", number(journal), number(database)),
            JournalSign::SuperJournal => format!("its transaction writes to several databases: it names the super-journal {}", super_journal.as_deref().unwrap_or_default()),
            JournalSign::PageSize => format!("its pages have {} bytes, and those of the database {}", number(journal_page_size), number(database_page_size)),
        })
        .collect();
    if told.is_empty() {
        return (
            "A -journal with content lies beside the database: a transaction in rollback mode is under way, or one was cut off and the next opener rolls it back.".into(),
            KEEP,
        );
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
    let innocent = if signs.contains(&JournalSign::ChangeCounter) {
        ""
    } else {
        " Nothing is wrong if VACUUM was changing the page size."
    };
    (
        format!(
            "A -journal with content lies beside the database, and {}. The next to open the database rolls it back all the same.{innocent}",
            told.join("; ")
        )
        .into(),
        OF_OTHER,
    )
}
