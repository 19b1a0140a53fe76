//! A database, or its sidecars, that were renamed while a process had them open.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::rescue;
use super::words::many;
use crate::evidence::{Renamed, RenamedPart};
use crate::finding::renamed::RenamedFound;

/// What happened, and what to do.
pub(super) fn renamed(found: &RenamedFound) -> (Cow<'static, str>, &'static str) {
    let mut by_names: BTreeMap<(RenamedPart, &str, &str, bool), Vec<&Renamed>> = BTreeMap::new();
    for one in &found.renamed {
        by_names.entry((one.here, &one.database, &one.opened_as, one.wal_deleted)).or_default().push(one);
    }
    let in_transaction = found.renamed.iter().all(|one| one.journal.is_some());
    let told: Vec<String> = by_names.into_values().map(|all| of_one_database(&all, found.both_names)).collect();
    (
        format!("On {} {}", found.side, told.join(" ")).into(),
        if in_transaction { rescue::RENAMED_IN_TRANSACTION } else { rescue::RENAMED },
    )
}

fn of_one_database(all: &[&Renamed], both_names: bool) -> String {
    let Some(first) = all.first() else { return String::new() };
    let Renamed { database, opened_as, here, .. } = first;
    let who = all.iter().map(|one| name(one)).collect::<Vec<_>>().join(", ");
    let place = place(first);
    let commits = match all.iter().filter_map(|one| one.commits).max() {
        Some(0) => {
            format!(
                "what is committed in {place} is in the database so far, and what is committed next stands there first"
            )
        }
        Some(commits) => {
            let stand = if commits == 1 { "stands" } else { "stand" };
            format!("{} that {} not in the database {stand} in {place}", many(commits, "commit"), is(commits))
        }
        None => format!("what it commits stands in {place}"),
    };
    if let Some(journal) = &first.journal {
        let (has, is) = if all.len() == 1 { ("has", "is") } else { ("have", "are") };
        let gone = if first.wal_deleted { ", which was deleted: it is gone when the process ends" } else { "" };
        return format!(
            "{who} {has} this database open with the -journal of another name, {opened_as}, and {is} in a transaction: one of the two was renamed meanwhile, and the rollback journal is {journal}{gone}. Who opens the database by the name that it has here does not find the journal. So if the process is killed, a part of the transaction stays in the database, and tables can be malformed."
        );
    }
    let close = "A close copies nothing of it into the database: SQLite notices that the file has moved.";
    let has = if all.len() == 1 { "has" } else { "have" };
    match here {
        RenamedPart::Database => {
            let others = match both_names {
                true => {
                    "There is a -wal beside the name that it has here as well: who opens the database by this name uses that one, and each overwrites what the other wrote."
                }
                false => {
                    "Who opens the database by the name that it has here makes another -wal and -shm: each then overwrites what the other wrote."
                }
            };
            format!(
                "{who} {has} this database open with the -wal of another name, {opened_as}: one of the two was renamed while they were in use, and {commits}. {close} {others}"
            )
        }
        RenamedPart::Wal => {
            let others = match both_names {
                true => {
                    "Another database lies here now, to which this -wal does not belong: who opens it mixes the two."
                }
                false => "Make no database here: SQLite would use this -wal with it, or delete it.",
            };
            format!(
                "the database of this -wal is {database}: one of the two was renamed while {who} had them open, and {commits}. {close} {others}"
            )
        }
        RenamedPart::Shm => {
            let others = match both_names {
                true => {
                    "Another database lies here now, to which this -shm does not belong: who opens it uses one wal-index for two databases."
                }
                false => "Make no database here: SQLite would use this -shm with it.",
            };
            format!(
                "the database of this -shm is {database}: one of the two was renamed while {who} had them open, and {commits}. {close} {others}"
            )
        }
    }
}

/// Where the `-wal` is.
fn place(one: &Renamed) -> String {
    match (&one.wal, one.wal_deleted) {
        (Some(wal), true) => {
            format!("{wal} alone (its -wal was deleted: no path leads to it, and it is gone when the process ends)")
        }
        (Some(wal), false) => wal.clone(),
        (None, _) => format!("{}-wal", one.opened_as),
    }
}

fn is(n: u64) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

fn name(one: &Renamed) -> String {
    let container = one.container.as_ref().map(|container| format!("container {container}"));
    let more: Vec<String> = one.command.clone().into_iter().chain(container).collect();
    if more.is_empty() { format!("pid {}", one.pid) } else { format!("pid {} ({})", one.pid, more.join(", ")) }
}
