//! The sentences about whether SQLite can open the database here.

use std::borrow::Cow;

use super::words::many;
use crate::evidence::{Bar, Unsure};
use crate::finding::obstacle::{Aim, Cause, Obstacle, What};
use crate::finding::openable::{Answer, NotAsked, Openable};
use crate::finding::{Finding, Found};

/// Who asks.
fn user(uid: Option<u32>, process: Option<u32>) -> String {
    let user = uid.map_or_else(|| "the user".to_owned(), |uid| format!("user {uid}"));
    process.map_or_else(|| user.clone(), |pid| format!("{user} of process {pid}"))
}

/// The line of the page. `None`: there is nothing to say, because the user can read and write, or because a finding says what else
/// is wrong.
#[must_use]
pub fn line(openable: &Openable) -> Option<String> {
    let Openable { process, uid, read, write, obstacles, .. } = openable;
    let told_elsewhere = |one: &Obstacle| matches!(one.what, What::Finding(_) | What::Format | What::Locked);
    if *read == Answer::Yes && *write == Answer::Yes || obstacles.iter().all(told_elsewhere) {
        return None;
    }
    let who = user(*uid, *process);
    let why = |aims: &[Aim], certain: bool| {
        let of = obstacles.iter().filter(|one| aims.contains(&one.aim) && one.certain == certain);
        reasons(&of.copied().collect::<Vec<_>>())
    };
    let both = [Aim::Read, Aim::Write];
    Some(match (read, write) {
        (Answer::No, _) => format!("{who} cannot open it, not even to read: {}", why(&[Aim::Read], true)),
        (Answer::Yes, Answer::No) => {
            format!("{who} can read it, and cannot write to it: {}", why(&[Aim::Write], true))
        }
        (Answer::Yes, _) => {
            format!("{who} can read it; whether it can write to it is not known: {}", why(&[Aim::Write], false))
        }
        (Answer::Unknown, Answer::No) => format!(
            "whether {who} can read it is not known: {}; it cannot write to it: {}",
            why(&[Aim::Read], false),
            why(&[Aim::Write], true)
        ),
        (Answer::Unknown, _) => format!("whether {who} can open it is not known: {}", why(&both, false)),
    })
}

/// Why there is no answer.
#[must_use]
pub fn not_asked(why: NotAsked) -> &'static str {
    match why {
        NotAsked::NoPath => "asked only of a database that is looked at by its path, at this moment",
        NotAsked::NoDatabase => "there is no database",
        NotAsked::Changed => "the files changed while they were looked at",
    }
}

/// One obstacle in words, without a full stop.
#[must_use]
pub fn obstacle(one: &Obstacle) -> String {
    reasons(std::slice::from_ref(one))
}

/// Obstacles in words. Files that one thing is said of are named together.
fn reasons(all: &[Obstacle]) -> String {
    let alike = |a: &Obstacle, b: &Obstacle| {
        let kind = |what| match what {
            What::File(_) | What::Make(_) => Some(std::mem::discriminant(&what)),
            _ => None,
        };
        let of = |one: &Obstacle| (one.aim, one.certain, one.cause, kind(one.what));
        kind(a.what).is_some() && of(a) == of(b)
    };
    let told: Vec<String> = all.chunk_by(alike).map(group_in_words).collect();
    told.join("; ")
}

fn group_in_words(group: &[Obstacle]) -> String {
    let Some(one) = group.first() else { return String::new() };
    let files: Vec<&str> = group.iter().filter_map(|one| one.what.subject()).collect();
    let text = match one.what {
        What::Make(_) => {
            let them = if files.len() > 1 { "they" } else { "it" };
            let made = match one.certain {
                true => format!("{them} cannot be made"),
                false => format!("it is not known whether {them} can be made"),
            };
            format!("there is no {}, and {made}", files.join(" and no "))
        }
        What::Way => "a folder on the way to it may not be searched".to_owned(),
        What::File(_) => {
            let done = if one.aim == Aim::Read { "read" } else { "written to" };
            match one.certain {
                true => format!("the {} may not be {done}", files.join(", the ")),
                false => format!("it is not known whether the {} may be {done}", files.join(", the ")),
            }
        }
        What::HotJournal(part) => {
            let so = match part {
                "folder" => "deleted",
                "database" => "written back into the database",
                _ => "opened for writing",
            };
            match one.certain {
                true => format!("a -journal with content waits, and may not be {so}"),
                false => format!("it is not known whether a -journal waits, and may be {so}"),
            }
        }
        What::SharedMapping if one.certain => "the file system does not map files shared".to_owned(),
        What::SharedMapping => "it was not tried whether the file system maps files shared for writing".to_owned(),
        What::Room => "the file system has no room".to_owned(),
        What::Locked => "a process holds the whole database exclusively at this moment".to_owned(),
        What::Recovery => "the wal-index cannot be read, and may not be written to".to_owned(),
        What::Format => "the header does not say whether it is in WAL mode".to_owned(),
        What::Finding(code) => format!("see the finding {code}"),
        What::OpenAlready => "the process has it open already, and goes on".to_owned(),
    };
    text + &cause(one.cause)
}

fn cause(cause: Option<Cause>) -> String {
    let why = match cause {
        None => return String::new(),
        Some(Cause::Bar(Bar::ReadOnlyMount)) => "read-only mount",
        Some(Cause::Bar(Bar::Rights)) => "rights of the file or folder",
        Some(Cause::Bar(Bar::Attribute)) => "attribute immutable or append-only",
        Some(Cause::Bar(Bar::StickyFolder)) => "a file of another user in a sticky folder, fs.protected_regular",
        Some(Cause::Unsure(Unsure::AccessList)) => "an access list",
        Some(Cause::Unsure(Unsure::UserNamespace)) => "another user namespace",
        Some(Cause::Unsure(Unsure::OtherKernel)) => "a daemon, a server or another kernel decides",
        Some(Cause::Unsure(Unsure::NotSeen)) => "not seen",
    };
    format!(" ({why})")
}

/// Detail and advice about a database that cannot be opened.
pub(super) fn cannot_open(finding: &Finding) -> (Cow<'static, str>, &'static str) {
    let Found::CannotOpenHere { process, uid, reasons: all, left_out, in_use, .. } = &finding.found else {
        return (Cow::Borrowed(""), "");
    };
    let mount = all.iter().any(|one| one.cause == Some(Cause::Bar(Bar::ReadOnlyMount)));
    let made = all.iter().any(|one| matches!(one.what, What::Make(_)));
    let hot = all.iter().any(|one| matches!(one.what, What::HotJournal(_)));
    let who = user(*uid, *process);
    let who = match mount {
        true => "Nobody can open the database through this mount".to_owned(),
        false => format!(
            "{}{} cannot open the database",
            who.get(..1).unwrap_or_default().to_uppercase(),
            who.get(1..).unwrap_or_default()
        ),
    };
    let needed = if made { " SQLite needs both files in WAL mode, also with mode=ro." } else { "" };
    let error = all.iter().find_map(|one| one.error).unwrap_or_default();
    let message = match error {
        "SQLITE_CANTOPEN" => "unable to open database file",
        "SQLITE_IOERR_DELETE" => "disk I/O error",
        _ => "attempt to write a readonly database",
    };
    let mut detail =
        format!("{who} as it is, not even to read: {}.{needed} It fails with \"{message}\" ({error}).", reasons(all));
    if *left_out > 0 && made {
        let commits = many(*left_out, "commit");
        detail.push_str(&format!(" With immutable=1 it would leave out {commits} of the -wal."));
    } else if *in_use && made {
        detail.push_str(" A process has the database open: immutable=1 would not see what it commits.");
    }
    let advice = if hot {
        "Let a process that may write open the database once: it rolls the -journal back. Never delete the -journal: without it the database stays half changed."
    } else if made && mount {
        MOUNT
    } else if made {
        FOLDER
    } else {
        "Give the user, or a group of it, the right to read the database, its -wal and its -shm, and to search the folders on the way. SQLite gives -wal and -shm the mode of the database when it makes them."
    };
    (detail.into(), advice)
}

const MOUNT: &str = "Mount the folder writable, or let a process elsewhere keep the database open: while its -wal and -shm are there, this mount can read. With immutable=1 SQLite uses neither file: only where nobody writes, and nothing waits in a -wal.";
const FOLDER: &str = "Give a group of the user the right to write in the folder, or let a writer keep the database open: while -wal and -shm are there and may be read, the user reads without any right to write. With immutable=1 SQLite uses neither file: only where nobody writes, and nothing waits in a -wal.";

/// Detail and advice about a user who cannot write.
pub(super) fn cannot_write(uid: u32, gid: u32, files: &[&str]) -> (Cow<'static, str>, &'static str) {
    let reads = if files == ["folder"] {
        "It can read as long as no file has to be made there."
    } else {
        "In WAL mode it can read where -wal and -shm are there and may be read, for example while a writer keeps them; where one of them is missing, it must be able to make it."
    };
    (
        format!(
            "User {uid}:{gid} may not write to: {}. SQLite as this user cannot write to the database. {reads}",
            files.join(", ")
        )
        .into(),
        "If the process is meant to write, give it the files' user or group. A process that only reads can go on so while a writer keeps the database open.",
    )
}

/// Detail and advice about a file system without shared mappings.
pub(super) fn no_shared_mappings(file_system: Option<&str>) -> (Cow<'static, str>, &'static str) {
    let named = file_system.map_or_else(String::new, |name| format!(", {name},"));
    (
        format!("The file system{named} refuses to map the database shared, and so the -shm: WAL mode does not work here. Who opens the database fails at the first read with \"disk I/O error\" (SQLITE_IOERR_SHMMAP), and leaves a -shm of zeros. No disk is broken, nothing is under way, and waiting does not help.").into(),
        "Put the database on a local disk, or change the options of this mount so that files can be mapped (FUSE: no direct_io; 9p, virtiofs: another cache mode). Or open it where mappings work, and leave WAL mode there: PRAGMA journal_mode=DELETE. One process alone can use WAL mode here with PRAGMA locking_mode=EXCLUSIVE, set before its first access.",
    )
}

/// The checkpoint, where files are not mapped shared.
pub(super) const CHECKPOINT: &str = "The file system does not map files shared, so SQLite cannot use a wal-index here: no connection can be opened in WAL mode, to read or to checkpoint, unless it is in exclusive locking mode. Open the database through another path, where mappings work";
