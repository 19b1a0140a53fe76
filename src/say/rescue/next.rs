//! What to do after files were saved: what is committed later may not be lost either.

use super::{end_them, put_back};
use crate::evidence::RescueCause;

/// What was saved of the files of processes, for [`Saved::next`].
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Saved<'a> {
    /// Whether a database was copied.
    pub database: bool,
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
    /// A `-journal` was saved of which it is not known whose it is.
    pub journal_unclear: bool,
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
        if !self.database {
            return "Keep the processes running until the copies are checked.".to_owned();
        }
        if self.overwritten {
            return "Keep the processes running: the database was overwritten in place, and the copy has what it was overwritten with. A \
                    process may still have pages of it in memory: dump through its own connection what it can read, into another file."
                .to_owned();
        }
        if self.contradict {
            return "Keep the processes running: these files do not belong together, or they are damaged. The command below says more; a \
                    set of files under another name may be the right one."
                .to_owned();
        }
        if self.journal_unclear {
            return "Keep the processes running, and leave these copies as they are: a -journal was saved apart, and it is not known which \
                    database it belongs to. That one is whole only with the -journal beside it, and SQLite writes old pages into any other \
                    one. Try both with copies of the copies: PRAGMA integrity_check and the rows tell."
                .to_owned();
        }
        let check =
            "Check the copies, by the command below, then PRAGMA integrity_check and the rows in a copy of the copies.";
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
        let end = match self.pids {
            [] => String::new(),
            pids => {
                let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
                format!(concat!(end_them!("kill -STOP {pids}"), " "), pids = pids)
            }
        };
        let files = match (self.one, self.journal) {
            (false, _) => "the set that you go on with",
            (true, true) => "database, -wal and -journal",
            (true, false) => "database and -wal",
        };
        let owner = self.owner.map_or_else(String::new, |(uid, gid, mode)| {
            format!(", with the owner {uid}:{gid} and the mode {mode} that they had")
        });
        let put = format!(put_back!("{files}"), files = files);
        format!(
            "How to go back into service: {end}{put}{owner}. Check what lies there with walscope verify, and start again."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_rescue_no_advice_loses_what_is_committed_later() {
        let whole = Saved {
            database: true,
            pids: &[4, 7],
            unstable: None,
            incomplete: false,
            as_root: false,
            behind_fuse: false,
            journal_unclear: false,
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
            "end its transaction",
            "kill -STOP 4 7",
            "Save again",
            "check that",
            "kill -KILL",
            "Move all that lies at the path",
            "Put the last copies",
            "walscope verify",
            "start again",
        ];
        for told in [back, Saved { one: false, ..whole }.next()] {
            let at: Vec<_> = order.iter().map(|words| told.find(words)).collect();
            assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{told}");
        }
        // The findings say the same.
        let again = super::super::START_AGAIN.replace("kill -STOP.", "kill -STOP 4 7.");
        assert!(again.contains(&format!(end_them!("kill -STOP {pids}"), pids = "4 7")), "{again}");
        for other in [
            Saved { unstable: Some(RescueCause::Changing), ..whole },
            Saved { unstable: Some(RescueCause::Unwatched), ..whole },
            Saved { unstable: Some(RescueCause::HalfTransaction), ..whole },
            Saved { unstable: Some(RescueCause::SeveralDatabases), ..whole },
            Saved { incomplete: true, ..whole },
            Saved { contradict: true, ..whole },
            Saved { overwritten: true, ..whole },
            Saved { all_at_path: true, ..whole },
            Saved { journal_unclear: true, ..whole },
        ] {
            let next = other.next();
            assert!(!next.contains("Put the last copies") && !next.contains("-KILL"), "{other:?}: {next}");
        }
    }
}
