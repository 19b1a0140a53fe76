//! Logs that processes have open and that are not where their database is.

use std::borrow::Cow;

use super::rescue;
use super::words::{many, one_or};
use crate::evidence::{JournalHolds, KeptLog, LogPlace, Part};

/// At most so many processes are named.
const NAMED: usize = 5;

/// What is the case, and what to do.
pub(super) fn apart(side: &str, logs: &[KeptLog]) -> (Cow<'static, str>, &'static str) {
    let advice = match logs.iter().map(|log| (log.part, log.place)).next() {
        Some((Part::Journal, LogPlace::InPlace)) => rescue::JOURNAL_EMPTIED,
        Some((Part::Journal, LogPlace::BesideOtherName)) => rescue::JOURNAL_BESIDE_OTHER_NAME,
        Some((Part::Journal, LogPlace::BesideAnother)) => rescue::JOURNAL_OF_ANOTHER,
        Some((Part::Journal, _)) => rescue::JOURNAL_GONE,
        _ => rescue::WAL_GONE,
    };
    (format!("On {side} {}.", listed(logs, told)).into(), advice)
}

/// A `-journal` that waits, and whose transaction processes are in, with another database.
pub(super) fn of_another(logs: &[KeptLog]) -> (Cow<'static, str>, &'static str) {
    let one = |log: &KeptLog| {
        let database = log.database.as_deref().unwrap_or("another file");
        format!("{} is in that transaction, and has {database} open for it", name(log))
    };
    (
        format!(
            "A -journal with content lies beside the database, and it is of the transaction of another one, which lay here before: {}. Who opens the database here takes that -journal for its own, and writes pages of the other database into it: then it is malformed, and the process has no -journal.",
            listed(logs, one)
        )
        .into(),
        rescue::JOURNAL_OF_ANOTHER,
    )
}

/// A title that says more than that of the code.
pub(super) fn title(logs: &[KeptLog]) -> Option<&'static str> {
    let log = logs.first()?;
    Some(match (log.part, log.place) {
        (Part::Journal, LogPlace::InPlace) => {
            "The -journal was emptied or overwritten while a transaction is under way"
        }
        (Part::Journal, LogPlace::BesideOtherName) => {
            "The -journal of a transaction lies beside another name of the database"
        }
        (Part::Journal, LogPlace::BesideAnother) => "A process uses the -journal with another database",
        (Part::Wal, _) if log.path.is_some() => "The -wal was renamed while a process uses it",
        (Part::Journal, _) if log.path.is_some() => "The -journal was renamed while a process uses it",
        (Part::Journal, _) => "The -journal was deleted while a process uses it",
        _ => "The -wal was deleted while a process uses it",
    })
}

fn listed(logs: &[KeptLog], told: impl Fn(&KeptLog) -> String) -> String {
    let each: Vec<String> = logs.iter().take(NAMED).map(told).collect();
    let more = logs.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {}", many(more as u64, "more process")) } else { String::new() };
    format!("{}{more}", each.join("; "))
}

fn told(log: &KeptLog) -> String {
    let name = name(log);
    let place = format!("/proc/{}/fd/{}", log.pid, log.descriptors.0);
    if log.part == Part::Wal {
        let holds = match log.commits {
            Some(0) => format!("Nothing is committed in it so far. What is committed next is only in {place}"),
            Some(commits) => format!(
                "{} in it that {} not in the database: {place}",
                many(commits, "commit"),
                one_or(commits, "is", "are")
            ),
            None => format!("What was committed since the last checkpoint is only in {place}"),
        };
        return match &log.path {
            None => format!(
                "{name} has the database in exclusive locking mode, and its -wal was deleted. {holds}, and is gone when the process is killed"
            ),
            Some(path) => format!(
                "{name} has the database in exclusive locking mode, and its -wal has another name now, {path}. {holds}. Who opens the database does not find it"
            ),
        };
    }
    if log.place == LogPlace::InPlace {
        return format!(
            "{name} is in a transaction, and its -journal was emptied or overwritten meanwhile: it does not begin as a journal does, or has zeros there and what the process wrote since behind them. The pages as they were before are in no file. So only a COMMIT leaves a whole database: after a ROLLBACK, or if the process is killed, a part of the transaction stays in it, and tables can be malformed"
        );
    }
    if log.place == LogPlace::BesideAnother {
        let database = log.database.as_deref().unwrap_or("another file");
        return format!(
            "{name} uses the -journal at this path with {database}, which lay here before, and holds that exclusively: what it commits goes there, and not into the database at the path. In its next transaction the -journal here has pages of that database, and who opens the database at the path would write them into it"
        );
    }
    if log.place == LogPlace::BesideOtherName {
        let path = log.path.as_deref().unwrap_or("another name");
        return format!(
            "{name} is in a transaction by another name of the database, and the -journal is {path}: who opens the database by the name here does not find it. If the process is killed, a part of the transaction stays in the database for who opens it so, and tables can be malformed"
        );
    }
    let gone = match &log.path {
        Some(path) => format!("its -journal has another name now, {path}: who opens the database does not find it"),
        None => format!("its -journal was deleted: it is only in {place}, and is gone when the process ends"),
    };
    match (log.holds, log.exclusive) {
        (Some(JournalHolds::Nothing), _) => format!(
            "{name} keeps a -journal open between its transactions, and {gone}. It is in none now. If it is killed in the next one, a part of that stays in the database"
        ),
        (Some(JournalHolds::Before), true) => format!(
            "{name} is in a transaction, and {gone}. The database has all pages as they were before the transaction: the process has not written to it yet, or another one has rolled back what it wrote, as a forked child does when it ends. A COMMIT could leave a mixture of old and new pages"
        ),
        (Some(JournalHolds::Transaction | JournalHolds::Over | JournalHolds::Emptied) | None, true) => format!(
            "{name} is in a transaction that has written to the database, and {gone}. If the process is killed, a part of the transaction stays in the database, and tables can be malformed"
        ),
        (_, _) => format!(
            "{name} is in a transaction that has not written to the database yet, and {gone}. If the process is killed while it commits, a part of the transaction stays in the database, and tables can be malformed"
        ),
    }
}

fn name(log: &KeptLog) -> String {
    match &log.command {
        Some(command) => format!("pid {} ({command})", log.pid),
        None => format!("pid {}", log.pid),
    }
}
