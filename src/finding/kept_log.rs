//! Logs that processes have open and that are not where their database is.

use std::collections::BTreeSet;

use super::value::{Evidence as Facts, Fact, Value};
use super::{Finding, Found, Severity};
use crate::evidence::{Evidence, JournalHolds, KeptLog, LogPlace, Part, Role, User};

impl Fact for Vec<KeptLog> {
    fn show(&self, name: &'static str, evidence: &mut Facts) {
        if self.is_empty() {
            return;
        }
        let each = self.iter().map(|one| {
            Value::Fields(vec![
                ("pid", u64::from(one.pid).into()),
                ("descriptor", u64::from(one.descriptors.0).into()),
                ("commits", one.commits.map_or(Value::Null, Value::from)),
                ("part", part(one.part).into()),
                ("place", place(one.place).into()),
                ("path", one.path.clone().map_or(Value::Null, Value::from)),
                ("database", one.database.clone().map_or(Value::Null, Value::from)),
                ("holds", one.holds.map_or(Value::Null, |holds| self::holds(holds).into())),
            ])
        });
        evidence.push((name, Value::List(each.collect())));
    }
}

fn part(part: Part) -> &'static str {
    part.suffix().strip_prefix('-').unwrap_or("database")
}

fn place(place: LogPlace) -> &'static str {
    match place {
        LogPlace::Gone => "gone",
        LogPlace::BesideAnother => "beside_another",
        LogPlace::InPlace => "in_place",
        LogPlace::BesideOtherName => "beside_other_name",
    }
}

fn holds(holds: JournalHolds) -> &'static str {
    match holds {
        JournalHolds::Transaction => "transaction",
        JournalHolds::NotWritten => "not_written",
        JournalHolds::Before => "before",
        JournalHolds::Nothing => "nothing",
        JournalHolds::Over => "over",
        JournalHolds::Emptied => "emptied",
    }
}

/// The journals of transactions that are not what the path shows. One that only looks like an idle one is none of them.
fn journals(evidence: &Evidence) -> impl Iterator<Item = &KeptLog> {
    evidence.journals.iter().filter(|log| match log.place {
        LogPlace::Gone | LogPlace::BesideOtherName => log.holds != Some(JournalHolds::Over),
        LogPlace::BesideAnother => true,
        LogPlace::InPlace => log.holds == Some(JournalHolds::Emptied),
    })
}

/// The processes whose transaction the `-journal` at the path is of, and that use it with another database.
pub(super) fn of_another_database(evidence: &Evidence) -> Vec<KeptLog> {
    journals(evidence).filter(|log| log.place == LogPlace::BesideAnother).cloned().collect()
}

/// Whether the `-journal` at the path was emptied: nothing can be rolled back from it.
pub(super) fn is_emptied(evidence: &Evidence) -> bool {
    journals(evidence).any(|log| log.place == LogPlace::InPlace)
}

/// Logs that only a process has, or that were emptied under it. A `-wal` is told here only of a process that has no wal-index, in
/// exclusive locking mode: where there is one, another finding has it. `users`: the processes that use the database.
pub(super) fn finding(label: &str, evidence: &Evidence, users: &[&User]) -> Option<Finding> {
    let exclusive: BTreeSet<u32> =
        users.iter().filter(|user| user.role() == Role::Exclusive).map(|user| user.pid).collect();
    let wals = evidence.deleted_wals.iter().filter(|log| exclusive.contains(&log.pid) && log.descriptors.1.is_none());
    // One that waits at the path is told by the finding about that.
    let told = |log: &&KeptLog| log.place != LogPlace::BesideAnother || log.holds == Some(JournalHolds::Nothing);
    let journals = journals(evidence).filter(told);
    let logs: Vec<KeptLog> = wals.chain(journals).cloned().collect();
    let severity = logs.iter().map(severity).max()?;
    Some(Finding::at(severity, Found::LogApart { side: label.to_owned(), logs }))
}

/// An error if something would be lost with the process.
fn severity(log: &KeptLog) -> Severity {
    let nothing_to_lose = match log.part {
        Part::Wal => log.commits == Some(0),
        // It is found by the other name.
        _ if log.place == LogPlace::BesideOtherName => true,
        // What it commits goes to another database than the path leads to.
        _ if log.place == LogPlace::BesideAnother => false,
        // Nothing of a transaction is in the database before its process holds that exclusively.
        _ => !log.exclusive || matches!(log.holds, Some(JournalHolds::Nothing | JournalHolds::NotWritten)),
    };
    if nothing_to_lose { Severity::Warning } else { Severity::Error }
}
