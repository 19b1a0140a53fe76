//! Why one folder does not mean one wal-index in use, in sentences without a full stop.

use super::unseen::unseen;
use super::words::Names;
use crate::compare::{DirectoryFact, Fact, NotReached, PairVerdict};

/// Why one folder does not lead to one `-shm` in use.
pub(super) fn not_reached(why: &NotReached, names: Names<'_>) -> String {
    match why {
        NotReached::Names([(a, x), (b, y)]) => {
            format!("the database is called {x} on {} and {y} on {}", names.of(*a), names.of(*b))
        }
        NotReached::OwnMount(file, side) => format!(
            "on {} the {} is a mount of its own: the directory says nothing about it",
            names.of(*side),
            file.name()
        ),
        NotReached::NotWal(side) => {
            format!("the header of the database of {} does not say WAL: there is no wal-index to share", names.of(*side))
        }
        NotReached::Exclusive(side) => format!(
            "somebody holds the database of {} exclusively: nobody else can open it, and there may be no wal-index to share",
            names.of(*side)
        ),
        NotReached::ReadOnly(side) => format!(
            "on {} the folder is mounted read-only and there is no -shm that is known to stay: a process there cannot make one, and cannot open the database until somebody keeps it open on another side",
            names.of(*side)
        ),
        NotReached::FolderClosed(side, uid) => format!(
            "on {} the user {uid}, whose files were looked at, cannot write in the folder, and there is no -shm that is known to stay: as this user a process cannot make one",
            names.of(*side)
        ),
        NotReached::RemovedAlone => {
            "the -shm was removed while the -wal stayed, which SQLite does not do: a process that had it open goes on with it, cut off from who opens the database now".to_owned()
        }
        NotReached::Unseen(what) => unseen(what, names),
    }
}

/// Why a pair is undecided although the folder is one.
pub(super) fn of_folder(pair: &PairVerdict, names: Names<'_>) -> Option<String> {
    pair.because.iter().find_map(|item| match &item.fact {
        Fact::DirectoryIdentity(DirectoryFact::Silent(why)) => match why {
            NotReached::Names(_) | NotReached::OwnMount(..) | NotReached::Unseen(_) => None,
            _ => Some(format!("The folder is one, but {}.", not_reached(why, names))),
        },
        _ => None,
    })
}
