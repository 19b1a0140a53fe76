//! What happens to the files while processes have them open.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::random::Random;
use crate::place::DATABASE;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accident {
    /// The `-shm` is removed.
    ShmRemoved,
    /// The `-wal` is removed.
    WalRemoved,
    /// Both are removed.
    BothRemoved,
    /// The database is removed with both, and is restored.
    AllRemoved,
    /// The database is renamed, and another one gets its name.
    DatabaseReplaced,
    /// The folder is renamed, and another one with a backup gets its name.
    FolderReplaced,
    /// A backup is renamed to the database's name; `-wal` and `-shm` stay.
    RestoredByRename,
    /// A backup is renamed to the database's name after `-wal` and `-shm` were removed.
    RestoredWhole,
    /// A backup is copied into the database.
    RestoredInPlace,
    /// A checkpoint, by the first process that can.
    Checkpoint(&'static str),
    /// VACUUM, by the first process that can.
    Vacuum,
    /// All processes of one side close, and open again.
    Reopened(usize),
    /// All processes close, and open again.
    AllReopened,
    /// One process is killed.
    Killed,
    /// All are killed.
    AllKilled,
}

/// These leave one wal-index to all that go on.
const CALM: &[Accident] = &[
    Accident::Checkpoint("PASSIVE"),
    Accident::Checkpoint("FULL"),
    Accident::Checkpoint("RESTART"),
    Accident::Checkpoint("TRUNCATE"),
    Accident::Vacuum,
    Accident::Reopened(0),
    Accident::Reopened(1),
    Accident::AllReopened,
    Accident::Killed,
    Accident::AllKilled,
];

const WILD: &[Accident] = &[
    Accident::ShmRemoved,
    Accident::ShmRemoved,
    Accident::WalRemoved,
    Accident::BothRemoved,
    Accident::AllRemoved,
    Accident::DatabaseReplaced,
    Accident::FolderReplaced,
    Accident::RestoredByRename,
    Accident::RestoredWhole,
    Accident::RestoredInPlace,
];

impl Accident {
    /// Whether processes that have the database open have it under another name afterwards: that of another database.
    pub fn renames(self) -> bool {
        matches!(self, Self::DatabaseReplaced | Self::FolderReplaced)
    }

    /// Whether processes that used the database may be gone afterwards.
    pub fn ends_processes(self) -> bool {
        matches!(self, Self::Killed | Self::AllKilled | Self::Reopened(_) | Self::AllReopened)
    }

    pub fn draw(random: &mut Random, wild: bool) -> Self {
        random.pick(if wild { WILD } else { CALM })
    }
}

pub fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A name in a folder that nothing has.
fn free(folder: &Path, name: &str) -> PathBuf {
    (0..).map(|n| folder.join(format!("{name}-{n}"))).find(|path| !path.exists()).unwrap()
}

fn remove(database: &Path, suffixes: &[&str]) {
    for suffix in suffixes {
        let _ = fs::remove_file(beside(database, suffix));
    }
}

/// What is done to the files of the folder `origin`; `backup` is a database without a `-wal`. `false`: nothing, the
/// accident is one of processes.
pub fn to_files(accident: Accident, origin: &Path, backup: &Path) -> bool {
    let database = origin.join(DATABASE);
    let copy = |to: &Path| {
        // Another process copies: the new file, or the old one with new bytes.
        let copied = Command::new("cp").arg(backup).arg(to).status().unwrap();
        assert!(copied.success());
    };
    match accident {
        Accident::ShmRemoved => remove(&database, &["-shm"]),
        Accident::WalRemoved => remove(&database, &["-wal"]),
        Accident::BothRemoved => remove(&database, &["-wal", "-shm"]),
        Accident::AllRemoved => {
            remove(&database, &["", "-wal", "-shm"]);
            copy(&database);
        }
        Accident::DatabaseReplaced => {
            fs::rename(&database, free(origin, "old")).unwrap();
            remove(&database, &["-wal", "-shm"]);
            copy(&database);
        }
        Accident::FolderReplaced => {
            fs::rename(origin, free(origin.parent().unwrap(), "old")).unwrap();
            fs::create_dir(origin).unwrap();
            copy(&database);
        }
        Accident::RestoredByRename | Accident::RestoredWhole => {
            let new = origin.join("new.db");
            copy(&new);
            if accident == Accident::RestoredWhole {
                remove(&database, &["-wal", "-shm"]);
            }
            fs::rename(new, &database).unwrap();
        }
        Accident::RestoredInPlace => copy(&database),
        _ => return false,
    }
    true
}
