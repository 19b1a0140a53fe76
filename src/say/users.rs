//! Processes that use a database: what is said of each kind. Sentences without a full stop.

use super::words::count;
#[cfg(feature = "capture")]
use crate::evidence::Role;
use crate::evidence::{Container, User};

/// Processes named in one sentence.
const LISTED: usize = 5;

/// A process, what it runs and where: `process 7 (python3, container web)`.
fn name(user: &User) -> String {
    let container = user.container.as_ref().map(|container| format!("container {}", of_container(container)));
    let more: Vec<String> = user.command.clone().into_iter().chain(container).collect();
    if more.is_empty() {
        format!("process {}", user.pid)
    } else {
        format!("process {} ({})", user.pid, more.join(", "))
    }
}

fn of_container(container: &Container) -> &str {
    let short = || container.id.get(..12).unwrap_or(&container.id);
    container.name.as_deref().unwrap_or_else(short)
}

/// Some processes; the first few by name.
pub(crate) fn names<'a>(users: impl IntoIterator<Item = &'a User>) -> String {
    let all: Vec<&User> = users.into_iter().collect();
    let mut named: Vec<String> = all.iter().take(LISTED).map(|user| name(user)).collect();
    if all.len() > LISTED {
        named.push(format!("{} more", count((all.len() - LISTED) as u64)));
    }
    named.join(", ")
}

/// What a process does, after its name; after the names of several and "each". `rollback_mode`: the database is in it.
#[cfg(feature = "capture")]
#[must_use]
pub fn does(role: Role, rollback_mode: bool) -> &'static str {
    match role {
        Role::Idle if rollback_mode => {
            "has the database open and holds no lock on it: in rollback mode a connection has it locked only during a \
             transaction"
        }
        Role::RollbackMode => "has the database locked in rollback mode",
        Role::Ordinary => "has the wal-index mapped and holds its locks",
        Role::Idle => {
            "has the database open and holds no lock on it: it has not read yet, copies the file, or reads with \
             immutable=1 or without locks, so that it does not see what the WAL holds"
        }
        Role::Bystander => "has files of the database open or mapped and locks nothing: it is no SQLite connection",
        Role::Passing => "was opening or closing the database",
        Role::NotKnown => "has the database open; whether it holds its locks was not seen",
        Role::Stopped => {
            "is stopped, and does not hold the locks of a connection: it may be opening or closing the database"
        }
        Role::SeveralLibraries => {
            "has the wal-index open by several SQLite libraries, whose locks do not keep each other out"
        }
        Role::OtherDatabase => "uses this wal-index with another database file",
        Role::WithoutLocks => "has the wal-index mapped and does not hold all locks of a connection",
        Role::Inherited => "has what its parent has of the database, inherited from it, and holds no lock of its own",
        Role::FuseServer => "serves a FUSE mount, and has files of the database open for who uses them through it",
        Role::NoIndexYet => {
            "holds SHARED on the database and has no wal-index: it waits, as for exclusive locking mode, or could not open the \
             -shm"
        }
        Role::LeftOver => {
            "was forked, holds no lock, and has a wal-index of this database mapped that was deleted, as a child has whose \
             parent has closed the database since"
        }
        Role::WithoutIndex => "has the database open or locked, and not this wal-index",
        Role::Exclusive => "holds the whole database exclusively, so that nobody else can open it",
        Role::MayBeElsewhere => "may use another wal-index for this database",
        Role::Elsewhere => "uses another wal-index for this database",
        Role::OnReplacedFiles => "goes on with files that lay at this path before",
    }
}
