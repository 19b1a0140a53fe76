//! What to do where processes have files open that are wrong, or that no path leads to any more. One order for all
//! advice: let nothing new open the database, copy what the processes have open, then stop them, then put the files
//! right, then start again.
//!
//! folklore: a deleted or replaced file lives only as long as a process has it open; the last connection to close copies
//! its -wal into whatever database it has open and deletes the -wal by name. So a copy that is made after the stop
//! lacks rows. Seen with a restored backup, a deleted -wal and a file mount. Held by
//! `no_sentence_outside_this_file_tells_to_stop_a_process` and `every_advice_copies_before_it_stops`.

mod journal;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod next;

pub(super) use journal::*;
#[cfg(all(feature = "cli", target_os = "linux"))]
pub(crate) use next::Saved;

/// The first two steps: nothing new opens the database, and everything is copied while the processes live.
macro_rules! copy_first {
    ($($then:expr)?) => {
        concat!(
            "Let nothing new open the database, and do not stop its processes yet. First save what they have open: \
             `walscope rescue SOURCE -o DIR` copies the database, -wal and -shm of each process, also those that are \
             deleted: what is only there is gone when the process ends. kill -STOP holds a process meanwhile."
            $(, " ", $then)?
        )
    };
}
use copy_first;

/// How processes are ended that use files which the path does not lead to: what they commit after a copy is only there.
/// `$hold` is the command that holds them.
macro_rules! end_them {
    ($hold:literal) => {
        concat!(
            "Switch off what starts the processes again (systemd, a restart policy). Let each process end its transaction, and hold it \
             with ",
            $hold,
            ". Save again then, into another folder, and check that: what was committed meanwhile is only there. Only then end the \
             processes that use the database, with kill -KILL, so that they write nothing when they end; let those that only read the \
             files, as a backup does, go on with kill -CONT."
        )
    };
}
#[cfg(all(feature = "cli", target_os = "linux"))]
use end_them;

/// How copies come to the path: nothing may lie beside them that is not theirs.
macro_rules! put_back {
    ($files:literal) => {
        concat!(
            "Move all that lies at the path into a new folder, the database, -wal, -shm and -journal: SQLite takes what is left beside a \
             database for its own. Put the last copies of ",
            $files,
            " there, not the -shm"
        )
    };
}
#[cfg(all(feature = "cli", target_os = "linux"))]
use put_back;

/// The last steps, where files were deleted, renamed or replaced.
macro_rules! start_again {
    () => {
        concat!(end_them!("kill -STOP"), " ", put_back!("the set that you go on with"), ", and start again.")
    };
}

/// Processes use other files than the path leads to.
pub(super) const START_AGAIN: &str = copy_first!(concat!(
    start_again!(),
    " Never delete, rename or replace the database, its -wal or its -shm while it is in use."
));
/// Where the finding with the whole advice stands on the same page.
pub(super) const SEE_FINDING: &str =
    "First save what the processes have open, as the finding says, and stop them only then.";
/// What the next to open the database would do has to be kept off, and processes have it open.
pub(super) const COPY_IN_USE: &str = copy_first!();
/// What the next to open the database would do has to be kept off, and nobody is known to have it open.
pub(super) const COPY_AT_REST: &str =
    "Copy the database, -wal and -shm before anything opens the database, and work on the copies.";
/// One bit of the `-wal` was flipped.
pub(super) const FLIPPED: &str = "Copy the database, -wal and -shm before anything opens, closes or checkpoints the database. In a copy of the -wal, set this bit back: SQLite then reads these commits. Run no checkpoint before: who has the database open reads the damaged page, and a checkpoint writes it into the database. Where several places fit, only one of them is right: PRAGMA integrity_check and the rows tell. Check the memory and the disk of the machine.";
/// There is no `-wal` at the path, and a wal-index in use counts its frames.
pub(super) const NO_WAL: &str = concat!(
    "There is no WAL at the path to rebuild the wal-index from; a process may still have it open. ",
    copy_first!(start_again!())
);
/// A wal-index in use is wrong, and the WAL beside it is right.
pub(super) const LIVE: &str = copy_first!(
    "Then stop the processes, and let the next one rebuild the wal-index from the WAL. If rows are missing after that, \
     open a copy of the copied database and -wal, without the -shm."
);
/// The wal-index in use has a version that SQLite does not know.
pub(super) const OTHER_VERSION: &str = copy_first!(
    "Then stop the processes: the next to open the database makes the wal-index anew. Find out what wrote this one."
);
/// The `-wal` in use was cut short.
pub(super) const TRUNCATED: &str = copy_first!(
    "Then stop the processes. What was in the lost frames comes only from a backup or from those who wrote it. Find what \
     truncates the -wal: a `>` in a script, log rotation, a restore over files in use."
);
/// The `-shm` was cut off under its processes.
pub(super) const SHM_TRUNCATED: &str = copy_first!(
    "Then stop the processes, and start them again: the next to open the database makes the wal-index anew from the -wal. \
     Find what truncates the -shm: a `>` in a script, a copy or a restore over files in use."
);
/// A database is open under two names.
pub(super) const ONE_NAME: &str = copy_first!(
    "Then stop the processes. If a -wal with content is left beside one name, open the database once by that name and close it: only so \
     its commits get into the database. If it is left beside several, only one of them fits: try each in a copy. Put away the others, and start \
     again so that all open the database in one folder by one name: a bind mount of the file alone, a hard link and a rename leave -wal and -shm behind."
);
/// One database has two wal-indexes, on two sides.
pub(super) const TWO_INDEXES: &str = copy_first!(
    "Do that on every side: each may have a -wal of its own. Then stop the processes. Mount the folder that holds the \
     database, not the single file, and reach it under one name: a bind mount of the file alone and hard links leave -wal \
     and -shm behind."
);
/// One wal-index stands over two sets of files.
pub(super) const ONE_FOLDER: &str = copy_first!(
    "Do that for each database. Then stop the processes, and put each -wal beside its own database. Then mount the folder \
     that holds the database, with everything in it, from one place into every container; never mount or link a -shm by \
     itself."
);
/// The database was overwritten or cut off in place while processes have it open.
pub(super) const OVERWRITTEN: &str = concat!(
    copy_first!(
        "Run no checkpoint: it mixes the two files. A process may still have pages in memory that are in no file: dump \
         through its own connection what it can read, into another file. Then stop the processes, and restore into a \
         folder of its own."
    ),
    " Never copy a backup over a database that is in use."
);
/// The sides of a verdict have two wal-indexes: one database has two, or the sides have files of their own.
#[cfg(feature = "capture")]
pub(super) const MOUNT_THE_FOLDER: &str = copy_first!(
    "Do that on every side: each may have a -wal of its own. Then stop the processes, and mount the folder that holds the \
     database, not the single file and not a copy, from one local file system into every container. Open the database by \
     one name everywhere."
);
/// The same, and the sides have two folders with a database in each.
#[cfg(feature = "capture")]
pub(super) const TWO_DATABASES: &str = concat!(
    "If they are meant to be two databases, this is as it should be. If they should be one: ",
    copy_first!(
        "Do that on every side: each has a database and a -wal of its own. Then stop the processes, and mount the folder that \
         holds the database, not the single file and not a copy, from one local file system into every container. Open the \
         database by one name everywhere."
    )
);
/// The same, and the sides reach it through two mounts that have memory and locks of their own each. No file was deleted or
/// replaced, so there is none to put away.
#[cfg(feature = "capture")]
pub(super) const ONE_WAY: &str = concat!(
    "If one folder is behind both: ",
    copy_first!(
        "Do that on every side: each can have commits in memory that the other does not see. Then stop the processes, and let \
         all of them use one way from then on, either one of the mounts or the folder itself."
    ),
    " If these are two folders with a database in each, this is as it should be."
);
/// The same, and no process was seen that uses the files of any side.
#[cfg(feature = "capture")]
pub(super) const COPIES_OR_MOUNTS: &str = "No process was seen that uses these files. If they are copies of each other, this is as it should be: copies have nothing in common. If two containers are to share the database, mount the folder that holds it, not the single file and not a copy, from one local file system into both, and open it by one name. Each side may have commits of its own: keep each -wal with its own database.";
/// The single file is mounted.
pub(super) const FILE_MOUNT: &str = concat!(
    "Mount the folder that holds the database instead of the file. Each container that has written has a -wal of its own, \
     which can go with the container. So if the database is open: ",
    copy_first!("Do that in every container. Then stop the containers, and change the mount.")
);
/// The database, or its sidecars, were renamed while processes have them open.
pub(super) const RENAMED: &str = concat!(
    copy_first!(
        "Do that for both names. If another database lies under the other name by now, or both names have a -wal, rename \
         nothing: go on with the copies that rescue made. Else give what was renamed its name back with mv -n, while the \
         process runs: the database; or the -wal and the -shm, if the database still has the name that the application \
         uses. The process goes on in the ordinary way then, and its close copies all. Or, if the database is to keep its \
         new name, stop the process, rename that -wal too, so that it stands beside the database, and \
         put away the -shm of the other name."
    ),
    " Never rename a database or its -wal while it is in use."
);
/// A process in exclusive locking mode has a `-wal` that was deleted.
pub(super) const WAL_GONE: &str = concat!(
    copy_first!(
        "Then let that process run PRAGMA wal_checkpoint, or close the database: it copies the -wal that it has open into the database. Do not kill it before that."
    ),
    " Never delete a -wal while the database is in use."
);
/// The database may have been renamed or lost its `-wal` while a process has it open that is not seen.
pub(super) const UNSEEN_NAME: &str = copy_first!(
    "Do that on the host, as root, where every process can be seen. Then stop the processes, or give the database its old name \
     back with mv -n while they run, if nothing has opened it by the new one."
);
/// The database has several names.
pub(super) const HARD_LINKED: &str = concat!(
    "Open it by one name everywhere; find FOLDER -xdev -samefile DATABASE lists the names. If it is open by several names \
     now: ",
    copy_first!(
        "Then let each process end its transaction and stop it. If a -wal or -journal with content is left beside one name, open the database \
         once by that name and close it; if beside several, only one of them fits: try each in a copy. Only then put away what is left."
    )
);
/// A process lost its locks: others may have deleted the `-wal` that it writes to.
pub(super) const WITHOUT_LOCKS: &str = copy_first!(
    "Then stop that process, and start it again. POSIX locks are dropped when a process closes any descriptor of a file: look for code in it \
     that opens and closes the database, the -wal or the -shm itself (a backup by copying, a checksum), or that forks with \
     the database open."
);
/// A process uses the database without this wal-index: what it commits may be in files that are deleted, or renamed.
pub(super) const WITHOUT_INDEX: &str = copy_first!(
    "Then find out how it opens the database, or with whose descriptors it was started: vfs=unix-none or unix-dotfile, a \
     SQLite that keeps its -shm in another folder, a reader that found the -shm left over and may not write to it, two SQLite \
     libraries in one process of which one has closed the database, or an old process on deleted or renamed files. Let it end its \
     transaction, hold it with kill -STOP, and save again: what it committed meanwhile may be only there. Then stop that process, put a database that was renamed back beside its -wal, and open it in the ordinary way \
     from every process."
);
/// A process may use another wal-index.
#[cfg(feature = "capture")]
pub(super) const MAY_BE_ELSEWHERE: &str = concat!(
    "Look as root to see which wal-index is in use. If that does not help: ",
    copy_first!("Then stop the processes.")
);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::evidence::{InodeId, Leads};
    use crate::finding::split_index::SplitIndex;
    use crate::finding::value::{GoneIndex, UsersFound};
    use crate::finding::{Code, Finding, Found};
    use crate::number::Device;
    use crate::say::finding::finding;

    const ALL: &[&str] = &[
        START_AGAIN,
        NO_WAL,
        LIVE,
        OTHER_VERSION,
        TRUNCATED,
        SHM_TRUNCATED,
        ONE_NAME,
        ONE_FOLDER,
        TWO_INDEXES,
        #[cfg(feature = "capture")]
        MOUNT_THE_FOLDER,
        #[cfg(feature = "capture")]
        TWO_DATABASES,
        #[cfg(feature = "capture")]
        ONE_WAY,
        FILE_MOUNT,
        HARD_LINKED,
        RENAMED,
        RENAMED_IN_TRANSACTION,
        UNSEEN_NAME,
        WITHOUT_LOCKS,
        WITHOUT_INDEX,
        #[cfg(feature = "capture")]
        MAY_BE_ELSEWHERE,
    ];

    /// Codes whose section in docs/findings.md tells to stop processes that use files.
    const IN_USE: &[&str] = &[
        "database_file_mount",
        "database_hard_linked",
        "database_overwritten",
        "database_renamed",
        "database_shared_wal_index_not",
        "hot_journal",
        "log_apart",
        "mapping_without_locks",
        "shm_backfill_beyond_mx_frame",
        "shm_deleted",
        "shm_frames_unreachable",
        "shm_header_contradicts_wal",
        "shm_of_other_wal",
        "shm_pages_wrong",
        "shm_slots_out_of_order",
        "shm_truncated",
        "shm_version_unsupported",
        "sidecars_under_other_name",
        "split_brain",
        "used_without_wal_index",
        "wal_index_shared_database_not",
        "wal_index_shared_wal_not",
        "wal_truncated",
        "worker_on_replaced_files",
    ];

    const TELLS: &[&str] = &[
        "stop every",
        "stop the",
        "stop these",
        "stop this",
        "stop that",
        "stop it",
        "stop them",
        "stop all",
        "restart that",
        "restart the process",
        "close every connection",
        "start them again",
        "start it again",
        "end the processes",
    ];

    /// Where a text first tells to stop a process.
    fn tells_to_stop(text: &str) -> Option<usize> {
        let text = text.to_lowercase();
        let whole = |at: usize, words: &str| {
            text.get(at + words.len()..).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
        };
        let found = TELLS.iter().flat_map(|words| text.match_indices(words));
        found.filter(|(at, words)| whole(*at, words)).map(|(at, _)| at).min()
    }

    fn copies_first(text: &str) -> bool {
        let text = text.to_lowercase();
        match (text.find("walscope rescue"), tells_to_stop(&text)) {
            (copy, Some(stop)) => copy.is_some_and(|copy| copy < stop),
            (_, None) => true,
        }
    }

    #[test]
    fn every_advice_copies_before_it_stops() {
        for advice in ALL {
            assert!(tells_to_stop(advice).is_some() && copies_first(advice), "{advice}");
            assert!(
                advice.starts_with("Let nothing new open")
                    || advice.contains(". Let nothing")
                    || advice.contains(": Let nothing"),
                "{advice}"
            );
        }
        assert!(!copies_first("Stop every process, keep a copy, then start them again."));
    }

    fn files(at: &Path) -> Vec<PathBuf> {
        fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn no_sentence_outside_this_file_tells_to_stop_a_process() {
        let say = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/say");
        let others = files(&say).into_iter().filter(|path| !path.ends_with("rescue.rs") && path.is_file());
        let mut read = 0;
        for path in others {
            for (at, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
                read += 1;
                let comment = line.trim_start().starts_with("//");
                assert!(comment || tells_to_stop(line).is_none(), "{}:{}: {line}", path.display(), at + 1);
            }
        }
        assert!(read > 1000);
    }

    #[test]
    fn the_document_copies_before_it_stops_and_does_so_for_these_codes() {
        let document = include_str!("../../docs/findings.md");
        let mut found = Vec::new();
        for section in document.split("\n## ").skip(1) {
            let code = section.lines().next().unwrap();
            let (_, advice) = section.split_once("**What to do:**").unwrap();
            let advice = advice.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(copies_first(&advice), "{code}: {advice}");
            if advice.contains("First save what they have open: `walscope rescue") {
                found.push(code);
            }
        }
        assert_eq!(found, IN_USE);
        assert!(IN_USE.iter().all(|name| Code::ALL.iter().any(|code| code.to_string() == *name)));
    }

    #[test]
    fn findings_of_deleted_and_split_files_copy_first() {
        let inode = || InodeId { device: Device { major: 0, minor: 1 }, inode: 1 };
        let told = |found| finding(&Finding::new(found)).advice;
        let gone =
            GoneIndex::Mapped { mapped: inode(), path: "/a-shm".into(), leads: Leads::Nowhere, processes: Vec::new() };
        let split = SplitIndex::Path { path: "/a-shm".into(), mapped: vec![(inode(), Vec::new())] };
        assert_eq!(told(Found::ShmDeleted { gone }), START_AGAIN);
        assert_eq!(told(Found::SplitBrain { split }), START_AGAIN);
        let users = || UsersFound::Unseen { side: "web".into() };
        assert_eq!(told(Found::WorkerOnReplacedFiles { users: users() }), START_AGAIN);
        assert_eq!(told(Found::MappingWithoutLocks { users: users() }), WITHOUT_LOCKS);
    }
}
