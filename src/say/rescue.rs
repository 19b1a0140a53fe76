//! What to do where processes have files open that are wrong, or that no path leads to any more. One order for all
//! advice: let nothing new open the database, copy what the processes have open, then stop them, then put the files
//! right, then start again.
//!
//! folklore: a deleted or replaced file lives only as long as a process has it open; the last connection to close copies
//! its -wal into whatever database it has open and deletes the -wal by name. So a copy that is made after the stop
//! lacks rows. Seen with a restored backup, a deleted -wal and a file mount. Held by
//! `no_sentence_outside_this_file_tells_to_stop_a_process` and `every_advice_copies_before_it_stops`.

#[cfg(all(feature = "cli", target_os = "linux"))]
use crate::evidence::RescueCause;

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

/// The last three steps, where files were deleted, renamed or replaced.
macro_rules! start_again {
    () => {
        "Then let each process end its transaction and stop it, put away each -wal, -shm and -journal that does not belong to the database at the path (or put the database back beside them: a -journal with content is its own), and start again."
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
    "Then stop the processes, put away each -wal and -shm beside another name, and start again so that all open the \
     database in one folder by one name: a bind mount of the file alone, a hard link and a rename leave -wal and -shm \
     behind."
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
/// The database, or its journal, was renamed in the middle of a transaction in rollback mode.
pub(super) const RENAMED_IN_TRANSACTION: &str = concat!(
    copy_first!(
        "Then let the transaction end: the process commits it, or rolls it back, with the files that it has open. Or give what \
         was renamed its name back with mv -n, while the process runs: the database; or the -journal, if the database still \
         has the name that the application uses. If the process has ended before that, rename the -journal, so that it \
         stands beside the database, before anything opens the database; then stop the processes that opened it since."
    ),
    " Never rename a database or its -journal while it is in use."
);
/// The `-journal` of a transaction that is under way is gone from the path.
pub(super) const JOURNAL_GONE: &str = concat!(
    copy_first!(
        "Then let the process end its transaction: a ROLLBACK takes all of it back. A COMMIT keeps all of it, although SQLite may say \"disk I/O error\", because it finds no -journal to delete. Do not kill the process before that. A -journal that only has another name can be given its own back with mv -n meanwhile."
    ),
    " Never delete or rename a -journal."
);
/// The `-journal` of a transaction that is under way was emptied.
pub(super) const JOURNAL_EMPTIED: &str = concat!(
    copy_first!(
        "Then let the process COMMIT: nothing else leaves a whole database. If it rolled back or was killed, use a backup, or look at the tables one by one: PRAGMA integrity_check does not show all of it."
    ),
    " Never empty a -journal."
);
/// The `-journal` of a transaction was cut, or overwritten in part.
pub(super) const JOURNAL_DAMAGED: &str = concat!(
    copy_first!(
        "Then, if the process of the transaction still runs, let it COMMIT: that keeps its data whole, and needs no -journal. Do not kill it, and do not let it ROLLBACK. If it has ended, look for a whole -journal or a backup before anything opens the database: to open a copy gives back what the -journal still has."
    ),
    " Never write to a -journal or copy a file over it."
);
/// The database has 0 bytes, and a `-journal` has old pages of it.
pub(super) const DATABASE_EMPTY: &str = concat!(
    copy_first!(
        "Neither a COMMIT nor a ROLLBACK of a process is sure to make such a database whole. So go on with other copies of these copies: give the copy of the database the size that it had before the transaction (truncate -s), with the copy of the -journal beside it, and open that one. If the -journal has page 1, SQLite writes back each page that the -journal has; the others are lost, unless there is a backup."
    ),
    " Never empty a database that is in use."
);
/// The `-journal` at the path is of the transaction of another database.
pub(super) const JOURNAL_OF_ANOTHER: &str = concat!(
    copy_first!(
        "Then let the process end its transaction, if it is in one: it commits, or rolls back, with the files that it has open. What it commits is in the database that it has open: decide which of the two is to stay at the path. If it ends in the middle of a transaction, the -journal stays: rename it, so that it stands beside its own database, before anything opens either of the two."
    ),
    " Never rename or replace a database while it is in use."
);
/// The `-journal` of a transaction is beside another name of the database.
pub(super) const JOURNAL_BESIDE_OTHER_NAME: &str = concat!(
    copy_first!(
        "Then let the process end its transaction. If it ended in the middle of it, the -journal stays: open the database by \
         that name, so that SQLite takes the transaction back, before anything opens it by another one."
    ),
    " Open a database by one name everywhere, and mount its folder."
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
        "Then let each process end its transaction and stop it. A -journal with content beside another name has to be rolled \
         back first: open the database once by that name. Then put away each -wal and -shm beside another name."
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
     libraries in one process of which one has closed the database, or an old process on deleted or renamed files. Stop that \
     process, put a database that was renamed back beside its -wal, and open it in the ordinary way \
     from every process."
);
/// A process may use another wal-index.
#[cfg(feature = "capture")]
pub(super) const MAY_BE_ELSEWHERE: &str = concat!(
    "Look as root to see which wal-index is in use. If that does not help: ",
    copy_first!("Then stop the processes.")
);

/// What was saved of the files of processes, for [`Saved::next`].
#[cfg(all(feature = "cli", target_os = "linux"))]
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Saved<'a> {
    /// The copy of the database.
    pub copy: Option<&'a str>,
    /// The processes that have the files open.
    pub pids: &'a [u32],
    /// Why the copies are not shown to be of one moment.
    pub unstable: Option<RescueCause>,
    /// Something that belongs to it was not found, or not copied.
    pub incomplete: bool,
    /// A process has them open for others, behind a FUSE mount.
    pub behind_fuse: bool,
    /// Walscope ran as root.
    pub as_root: bool,
    /// `verify` finds the copies wrong.
    pub contradict: bool,
    /// The database was overwritten in place while it is in use.
    pub overwritten: bool,
    /// Every file lies at the path.
    pub all_at_path: bool,
    /// It is one set of files.
    pub one: bool,
    /// There is a `-journal`.
    pub journal: bool,
    /// User, group and permissions of the database.
    pub owner: Option<(u32, u32, &'a str)>,
}

#[cfg(all(feature = "cli", target_os = "linux"))]
impl Saved<'_> {
    /// What to do now: nothing that could still be saved may be lost, also not what is committed after the copies.
    pub(crate) fn next(&self) -> String {
        let hold = self.hold();
        match self.unstable {
            None => {}
            Some(RescueCause::Unwatched) => {
                return format!(
                    "Do not rely on these copies alone: this file system does not tell whether somebody wrote to the files \
                     meanwhile. {hold}, save twice into other folders, and compare with cmp: equal copies are of one moment. \
                     Then kill -CONT."
                );
            }
            Some(RescueCause::HalfTransaction) => {
                return "Do not use these copies: they may have half of a transaction. Let it end, then save again. A process \
                        with locking_mode=exclusive holds the database all the time: only its own backup is sure."
                    .to_owned();
            }
            Some(RescueCause::SeveralDatabases) => {
                let pids = self.pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
                let first = match self.pids {
                    [] => "No process is seen that is in that transaction: c".to_owned(),
                    _ => format!(
                        "Let the process end that transaction, then save again: if it is stopped, kill -CONT {pids} lets it go on. If it \
                         cannot go on, c"
                    ),
                };
                return format!(
                    "Do not use these copies alone: a transaction writes to several databases, and the super-journal that the -journal \
                     names decides whether it counts. {first}opy each of these databases with its -journal, and the super-journal, and \
                     keep their names and paths: SQLite looks for the super-journal by its whole path."
                );
            }
            Some(RescueCause::Changing) => {
                return format!(
                    "Do not use these copies: they may be malformed. {hold}, save again into another folder, then kill -CONT."
                );
            }
        }
        if self.behind_fuse {
            return "Keep all processes running, also the server of the FUSE mount: what is written through it may still be on its way. Save \
                    from behind the mount, too, as a line below says, and go on with those copies: they have what the processes there have \
                    open."
                .to_owned();
        }
        if self.incomplete {
            return format!(
                "Keep the processes running: what is missing may be open in one of them. Save again {}, where every process can be seen.",
                if self.as_root { "on the host, outside of the container" } else { "as root" }
            );
        }
        let Some(copy) = self.copy else {
            return "Keep the processes running until the copies are checked.".to_owned();
        };
        if self.overwritten {
            return "Keep the processes running: the database was overwritten in place, and the copy has what it was overwritten with. A \
                    process may still have pages of it in memory: dump through its own connection what it can read, into another file."
                .to_owned();
        }
        if self.contradict {
            return format!(
                "Keep the processes running: these files do not belong together, or they are damaged. walscope verify {copy} \
                 says more; a set of files under another name may be the right one."
            );
        }
        let check = format!(
            "Check the copies: walscope verify {copy}, then PRAGMA integrity_check and the rows in a copy of the copies."
        );
        if self.all_at_path && self.pids.is_empty() {
            return format!(
                "No process is seen that has these files open: they are what lies at the path. If an application runs, it uses \
                 other files: walscope ps lists the databases that are open. {check}"
            );
        }
        if self.all_at_path {
            return format!(
                "Nothing was deleted or renamed: the files lie at the path. So this is a backup; what is committed from now \
                 on is not in it. {check}"
            );
        }
        if !self.one {
            return format!("Keep the processes running until that is done. {check}");
        }
        format!("Keep the processes running until that is done. {check} {}", self.back())
    }

    fn hold(&self) -> String {
        if self.pids.is_empty() {
            return "Hold the processes that write with kill -STOP".to_owned();
        }
        let pids = self.pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        format!("Hold the processes with kill -STOP {pids}")
    }

    /// How to go back into service. A process that is killed while it is held does not copy its WAL into other files.
    fn back(&self) -> String {
        let again = match self.pids {
            [] => String::new(),
            _ => format!(
                "Switch off what starts the processes again (systemd, a restart policy). {}, save again into another folder and \
                 check that: what was committed meanwhile is only there. Then end those that use the database with kill -KILL, \
                 so that they write nothing when they end; let those that only read the files, as a backup does, go on with \
                 kill -CONT. ",
                self.hold()
            ),
        };
        let files = if self.journal { "database, -wal and -journal" } else { "database and -wal" };
        let owner = self.owner.map_or_else(String::new, |(uid, gid, mode)| {
            format!(", with the owner {uid}:{gid} and the mode {mode} that they had")
        });
        format!(
            "How to go back into service: {again}Put the copies of {files} at the path, not the -shm{owner}, and start again."
        )
    }
}

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
        let others = files(&say).into_iter().filter(|path| !path.ends_with("rescue.rs"));
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

    #[cfg(all(feature = "cli", target_os = "linux"))]
    #[test]
    fn after_a_rescue_no_advice_loses_what_is_committed_later() {
        let whole = Saved {
            copy: Some("out/t.db"),
            pids: &[4, 7],
            unstable: None,
            incomplete: false,
            as_root: false,
            behind_fuse: false,
            contradict: false,
            overwritten: false,
            all_at_path: false,
            one: true,
            journal: false,
            owner: Some((1000, 1000, "0644")),
        };
        let back = whole.next();
        let order = [
            "Check the copies",
            "Switch off",
            "kill -STOP 4 7",
            "save again",
            "check that",
            "kill -KILL",
            "Put the copies",
        ];
        let at: Vec<_> = order.iter().map(|words| back.find(words)).collect();
        assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{back}");
        for other in [
            Saved { unstable: Some(RescueCause::Changing), ..whole },
            Saved { unstable: Some(RescueCause::Unwatched), ..whole },
            Saved { unstable: Some(RescueCause::HalfTransaction), ..whole },
            Saved { unstable: Some(RescueCause::SeveralDatabases), ..whole },
            Saved { incomplete: true, ..whole },
            Saved { contradict: true, ..whole },
            Saved { overwritten: true, ..whole },
            Saved { all_at_path: true, ..whole },
            Saved { one: false, ..whole },
        ] {
            let next = other.next();
            assert!(!next.contains("Put the copies") && !next.contains("-KILL"), "{other:?}: {next}");
        }
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
