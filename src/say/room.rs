//! The sentences about a file system without room.

use std::borrow::Cow;

use super::words::{all, count, many, one_or, part};
use crate::finding::lacks::Lack;
use crate::finding::{Finding, Found};
use crate::look::checkpoint::{CheckpointFacts, CheckpointState};
use crate::wal::WalFacts;

/// What to do about it.
const MAKE_ROOM: &str = "Make room on this file system: remove or move other files, or make it larger. Remove neither the database nor its -wal, -shm or -journal. Then open the database again: what is committed is still there.";

/// Detail and advice.
pub(super) fn full(finding: &Finding) -> (Cow<'static, str>, &'static str) {
    let Found::FileSystemFull { lacks, available, available_to_root, free_inodes, root, .. } = &finding.found else {
        return (Cow::Borrowed(""), MAKE_ROOM);
    };
    // Who cannot open the database does not come to write a frame.
    let opens = lacks.iter().all(|lack| lack.only_of_writing());
    let told = lacks.iter().filter(|lack| opens || !lack.only_of_writing());
    let told: Vec<String> = told.map(|lack| one(*lack)).collect();
    let bytes = match (available, available_to_root) {
        (_, Some(bytes)) if *root => format!("{} free for root", many(*bytes, "byte")),
        (Some(bytes), Some(more)) if more > bytes => {
            format!("{} free, and {} for root", many(*bytes, "byte"), count(*more))
        }
        (Some(bytes), _) => format!("{} free", many(*bytes, "byte")),
        (None, _) => "not told how many bytes are free".to_owned(),
    };
    let inodes = free_inodes.map(|n| format!(" and {}", many(n, "inode"))).unwrap_or_default();
    let detail = format!(
        "{} The file system of the folder has {bytes}{inodes}; quotas, and blocks that are kept for certain users, are not known here.",
        told.join(" ")
    );
    (detail.into(), MAKE_ROOM)
}

fn one(lack: Lack) -> String {
    match lack {
        Lack::Shm { size, needed, more } => {
            let has = match size {
                None => "there is none".to_owned(),
                Some(size) => format!("it has {}", many(size, "byte")),
            };
            format!(
                "There is no room for the -shm: it needs {}, {has}, and {} more would have to fit. Who opens the database, or needs a longer -shm, fails with \"disk I/O error\" (SQLITE_IOERR_SHMSIZE), also to read. The disk is not broken.",
                many(needed, "byte"),
                count(more)
            )
        }
        Lack::NewFiles { files } => format!(
            "There is no inode for a new file, and SQLite has to make {}: who opens the database fails with \"unable to open database file\" (SQLITE_CANTOPEN).",
            if files == 1 { "the -wal or the -shm" } else { "the -wal and the -shm" }
        ),
        Lack::NewJournal => "There is no inode for a new file, and who writes to the database has to make a -journal beside it: that fails with \"unable to open database file\" (SQLITE_CANTOPEN). Reading goes on.".to_owned(),
        Lack::Journal { more } => format!(
            "There is no room for the -journal that who writes to the database has to make, which takes {} at least: a write fails with \"database or disk is full\" (SQLITE_FULL). Reading goes on.",
            many(more, "byte")
        ),
        Lack::Frame { more } => format!(
            "There is no room for one more frame of the -wal, which takes {}: a commit fails with \"database or disk is full\" (SQLITE_FULL).",
            many(more, "byte")
        ),
    }
}

/// The checkpoint, where there is no room.
pub(super) fn checkpoint(finding: &Finding, facts: &CheckpointFacts, wal: &WalFacts) -> String {
    let Found::FileSystemFull { lacks, in_use, .. } = &finding.found else { return String::new() };
    let opens = !lacks.iter().any(|lack| matches!(lack, Lack::Shm { .. } | Lack::NewFiles { .. }));
    let state = match facts.state {
        CheckpointState::Complete => all(facts.committed, "frame", "is in the database", "are in the database"),
        _ if facts.pending > 0 => part(facts.pending, facts.committed, "frame", "waits", "wait"),
        _ if wal.frames.committed > 0 => {
            let n = wal.frames.committed;
            format!("{} committed in the -wal", many(n, "frame") + one_or(n, " is", " are"))
        }
        _ => "Nothing waits in the -wal".to_owned(),
    };
    let pending = facts.pending > 0;
    let so = match (opens, in_use) {
        (false, _) => format!(
            "The file system has no room for what a new connection has to make, so none can be opened, to read or to checkpoint. Nothing is lost by that: {} when there is room again",
            if pending {
                format!("the next to open the database reads {}", one_or(facts.pending, "it", "them"))
            } else {
                "open the database".to_owned()
            }
        ),
        (true, true) if pending => "The file system has no room for one more frame. A checkpoint needs room only where the database becomes longer; else it copies, and the next writer may begin the -wal anew".to_owned(),
        (true, _) => "The file system has no room for one more frame: reading goes on, and a commit fails until there is room".to_owned(),
    };
    format!("{state}. {so}.")
}
