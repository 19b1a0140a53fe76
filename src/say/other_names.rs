//! Sidecars that may be those of a database by an old name of it.

use std::borrow::Cow;

use super::rescue;
use super::words::{count, many};

/// What was seen, and what to do. `pages`: pages of a journal or a WAL that were compared, and those that are the same or alike.
/// `commits`: those of the WAL.
pub(super) fn told(
    files: &[String],
    locked: bool,
    pages: Option<(u64, u64)>,
    commits: Option<u64>,
) -> (Cow<'static, str>, &'static str) {
    let named = files.join(", ");
    if let Some((commits, (compared, akin))) = commits.zip(pages) {
        return (
            format!(
                "{named} has {}, and there is no database beside which SQLite would find it. Of the {} of it that this database has, {} much like the page here, and what was committed last is not in this database. So it seems to have been renamed or copied without its -wal, and its processes have ended.",
                many(commits, "commit"),
                many(compared, "page"),
                all_or_some(akin, compared)
            )
            .into(),
            "Copy the database and that -wal before anything opens either name. In the copy give the -wal the name of the database with -wal after it, without a -shm: the next to open the copy reads these commits. walscope verify of the copy, PRAGMA integrity_check and the rows tell whether that is right.",
        );
    }
    if let Some((compared, same)) = pages.filter(|_| !locked) {
        return (
            format!(
                "{named} waits to be rolled back, and there is no database beside which SQLite would find it. Of the {} pages that were compared {} are in this database as they were before the transaction, and others are not. So this database seems to have been renamed in the middle of that transaction: a part of it was written, and SQLite does not find the journal by the new name.",
                count(compared),
                count(same)
            )
            .into(),
            "Copy the database and that journal before anything opens the database. In the copy give the journal the name of the database with -journal after it: the next to open the copy takes the transaction back. PRAGMA integrity_check and the rows tell whether that is right.",
        );
    }
    let beside = match files {
        [] => String::new(),
        _ => format!(" In the same folder and in use, without a database: {named}."),
    };
    (
        format!(
            "The database is in WAL mode, somebody who is not visible from here has it open, and there is neither a -wal nor a -shm beside it: they were deleted, or they have another name because the database was renamed.{beside} What is committed stands there and not in this database, and who opens the database by this name makes another -wal and -shm: each then overwrites what the other wrote."
        )
        .into(),
        rescue::UNSEEN_NAME,
    )
}

fn all_or_some(akin: u64, compared: u64) -> String {
    match akin {
        _ if akin == compared && compared == 1 => "it is".to_owned(),
        _ if akin == compared => "all are".to_owned(),
        1 => "1 is".to_owned(),
        _ => format!("{} are", count(akin)),
    }
}
