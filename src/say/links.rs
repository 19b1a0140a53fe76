//! The sentences about databases with several names.

use std::borrow::Cow;

use super::words::{self, Names, count};
use super::{rescue, sides};
use crate::evidence::Mapping;
use crate::finding::processes::of_mappings;
use crate::finding::{Found, Severity};
use crate::sides::CutOffProcesses;

/// A database or its sidecars with several hard links, and what to do.
pub(super) fn hard_linked(found: &Found) -> (Cow<'static, str>, &'static str) {
    let Found::DatabaseHardLinked { links, sidecars_linked, files } = found else {
        return (Cow::Borrowed(""), rescue::HARD_LINKED);
    };
    match (links, sidecars_linked) {
        (0..=1, _) => linked_sidecars(files),
        (_, true) => (
            format!("{} hard links lead to the database, and its -wal and -shm have more than one name too. While these are names of one file each, all that open the database share one wal-index. But the last one to close deletes only the -wal and -shm of its own name: who opens another name later finds the old -wal there, and writes its frames over newer pages.", count(*links)).into(),
            "Open the database by one name everywhere; find FOLDER -xdev -samefile FILE lists the names of each file. First let all processes close it in the usual way, then put away the -wal and -shm of the other names. Remove none of them while the database is open.",
        ),
        (_, false) => (
            format!("{} hard links lead to the database. SQLite puts -wal and -shm beside the name that it was opened by: two names, two wal-indexes, one database that both overwrite.", count(*links)).into(),
            rescue::HARD_LINKED,
        ),
    }
}

/// A `-wal` or `-shm` that is that of another database as well, and what to do.
fn linked_sidecars(files: &[&'static str]) -> (Cow<'static, str>, &'static str) {
    let (has, are) = if files.len() == 1 { ("has", "it is that") } else { ("have", "they are those") };
    (
        format!(
            "The {} {has} more than one name, and the database has one: so {are} of another database as well, as a backup leaves it that links what did not change (rsync --link-dest). Who opens one of the databases writes over what the other one has there: its commits are lost, or it reads pages that are not its own.",
            files.join(" and the ")
        )
        .into(),
        "Before anything opens one of these databases, copy each of them with its -wal into a folder of its own, without the -shm, and work on the copies: cp makes new files. find FOLDER -xdev -samefile FILE lists the names of a file. Make backups with the backup API or VACUUM INTO, into a new file each time.",
    )
}

/// What is wrong, or only worth knowing.
pub(super) fn title(severity: Severity) -> &'static str {
    match severity {
        Severity::Info | Severity::Notice => "Processes go on with a database that had this name before",
        Severity::Warning | Severity::Error => "The database is in use by another name",
    }
}

/// A database that is in use by another of its hard links, or another one that had its name before, and what to do.
pub(super) fn by_other_name(
    side: &str,
    found: &CutOffProcesses,
    severity: Severity,
) -> (Cow<'static, str>, &'static str) {
    if severity <= Severity::Notice {
        let all: Vec<&Mapping> = found.mappings.iter().collect();
        let processes = of_mappings(&all);
        let path = all.first().map_or("", |mapping| mapping.path.as_str());
        return (
            format!(
                "{} {} {path} mapped, and none of the files that lie at this path open: the database that lay here was moved aside with its -wal and -shm, and is in use by that name. The one that lies here now is another one.",
                words::processes(&processes),
                words::verb(&processes, "has", "have"),
            )
            .into(),
            "Nothing has to be done to the database here. Look at the one that was moved aside by its new name, before its processes end: what they commit stands in a -wal that SQLite does not find by that name.",
        );
    }
    (
        format!(
            "{}. The database is in use by that other name: the -wal and -shm beside it count, and beside this name there are none. Who opens the database by this name makes another -wal and -shm, and each overwrites what the other wrote.",
            sides::cut_off(found, Names::of_some(&[found.side], &[side]))
        )
        .into(),
        "Do not open the database by this name, and put nothing away: use, copy and check it by the name whose -shm is mapped. Where a second name is needed, make a symbolic link to the database: SQLite then takes the -wal and -shm of what it leads to.",
    )
}
