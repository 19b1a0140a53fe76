//! Processes that use the database of one side: what they have open, mapped and locked.
//!
//! A process that uses a wal-index holds three things for as long as it has the database open: a SHARED lock on the
//! database, the dead-man switch of the `-shm`, and a mapping of the `-shm`. A process that holds only some of them is not
//! protected, or uses another wal-index.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use super::{Container, InodeId, Observation};

/// How a process has a file open or mapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum Access {
    /// It has not.
    No,
    /// Only for reading.
    ReadOnly,
    /// For writing.
    Writable,
    /// Not seen.
    #[default]
    NotKnown,
}

/// The lock that a process holds on the SHARED range of the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum DatabaseLock {
    /// It holds none.
    None,
    /// SHARED, as every connection in WAL mode does after its first read.
    Shared,
    /// EXCLUSIVE: exclusive locking mode, or a last close.
    Exclusive,
    /// Not seen.
    #[default]
    NotKnown,
}

/// Whether a process holds the dead-man switch of the `-shm`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum SwitchLock {
    /// It holds it.
    Held,
    /// It does not.
    NotHeld,
    /// Not seen.
    #[default]
    NotKnown,
}

/// Another file on which a process holds the byte of the dead-man switch, and which belongs to no other database that it
/// uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct OtherIndex {
    /// Device and inode as the lock table prints them. Null: the lock table has several.
    pub inode: Option<InodeId>,
    /// Its path as the process has it open. Null: not seen.
    pub path: Option<String>,
    /// Whether its name says that it is a wal-index of this database. Otherwise only the number of locks hints at it.
    pub certain: bool,
}

/// One process that has the database, its `-wal` or its `-shm` open, mapped or locked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct User {
    /// Process id in the PID namespace of the observer.
    pub pid: u32,
    /// Name of its command, from `/proc/PID/comm`.
    pub command: Option<String>,
    /// Start time of the process: field 22 of `/proc/PID/stat`.
    pub start_time: Option<u64>,
    /// Its parent: field 4 of `/proc/PID/stat`.
    pub parent: Option<u32>,
    /// Whether an ancestor of it uses this `-shm` and holds the dead-man switch: then it may have inherited what it has
    /// open.
    pub ancestor_holds: bool,
    /// Its mount namespace, as the link `/proc/PID/ns/mnt` names it.
    pub mount_namespace: Observation<String>,
    /// Its container.
    pub container: Option<Container>,
    /// The paths under which it has the database open. Empty if that was not seen.
    pub names: Vec<String>,
    /// How it has the database open.
    pub database: Access,
    /// How it has the `-wal` open.
    pub wal: Access,
    /// How it has the `-shm` mapped.
    pub mapped: Access,
    /// Its lock on the database.
    pub database_lock: DatabaseLock,
    /// Whether it holds the dead-man switch of this `-shm`.
    pub dead_man_switch: SwitchLock,
    /// Another wal-index that it seems to use for this database.
    pub other_index: Option<OtherIndex>,
    /// Whether it has a file locked that lay at the path of this database before.
    pub on_replaced_files: bool,
    /// Whether several looks within a quarter of a second showed the same, where its locks and mappings do not fit
    /// together. A process that is opening or closing the database passes through such states.
    pub settled: bool,
}

/// The processes that use one database, and how far the search could look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct UsersView {
    /// The processes, by number.
    pub users: Vec<User>,
    /// Number of processes whose descriptors could be read.
    pub processes_read: u32,
    /// Number of processes whose descriptors could not be read. Of these only the lock table tells.
    pub processes_denied: u32,
    /// Why the first of them could not be read.
    pub denied_reason: Option<String>,
    /// Number of processes whose locks and mappings did not fit together at first, and which were gone later.
    pub passing: u32,
    /// Number of processes that are not listed because there are too many. Those whose locks and mappings do not fit
    /// together are left out last.
    pub not_listed: u64,
}

/// How a process uses the database, as its locks, its mappings and its descriptors show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// It holds SHARED on the database and the dead-man switch, and maps the `-shm`, as far as that can be seen.
    Ordinary,
    /// It has the database open, locks nothing and maps nothing: it has not read yet, copies the file, or reads without
    /// locks (`immutable=1`).
    Idle,
    /// It has files open or mapped as no SQLite connection has them.
    Bystander,
    /// Its locks and mappings did not fit together once, and did not stay so.
    Passing,
    /// Too little was seen.
    NotKnown,
    /// It maps this `-shm` and does not hold its locks.
    WithoutLocks,
    /// It maps this `-shm` and does not hold its locks; an ancestor of it does.
    Inherited,
    /// It uses the database without this wal-index.
    WithoutIndex,
    /// It holds the whole database exclusively.
    Exclusive,
    /// It may use another wal-index for this database.
    MayBeElsewhere,
    /// It uses another wal-index for this database.
    Elsewhere,
    /// It goes on with files that lay at this path before.
    OnReplacedFiles,
}

impl Role {
    /// Whether it speaks against the process, so that it counts only if it stays so.
    #[must_use]
    pub const fn is_suspect(self) -> bool {
        match self {
            Self::Ordinary | Self::Idle | Self::Bystander | Self::Passing | Self::NotKnown => false,
            Self::WithoutLocks
            | Self::Inherited
            | Self::WithoutIndex
            | Self::Exclusive
            | Self::MayBeElsewhere
            | Self::Elsewhere
            | Self::OnReplacedFiles => true,
        }
    }
}

impl User {
    /// How it uses the database.
    #[must_use]
    pub fn role(&self) -> Role {
        let role = self.role_at_this_look();
        if role.is_suspect() && !self.settled { Role::Passing } else { role }
    }

    /// How it uses the database, by one look alone.
    ///
    /// folklore: in WAL mode a connection keeps SHARED on the database and the dead-man switch of the `-shm` from its first
    /// read until it is closed (`sqlite3PagerSharedLock`, `unixLockSharedMemory`). Closing any descriptor of a file drops
    /// all POSIX locks of the process on it, and a forked child inherits none. A connection that cannot write the `-shm`
    /// maps it read-only, and holds the dead-man switch while somebody else keeps it alive. Held by
    /// `each_combination_of_locks_and_mappings_has_its_role` and the tests in `tests/sharing/users.rs`.
    #[must_use]
    pub fn role_at_this_look(&self) -> Role {
        if self.on_replaced_files {
            return Role::OnReplacedFiles;
        }
        if self.database_lock == DatabaseLock::Exclusive {
            return Role::Exclusive;
        }
        match &self.other_index {
            Some(other) if other.certain => return Role::Elsewhere,
            Some(_) => return Role::MayBeElsewhere,
            None => {}
        }
        match (self.database_lock, self.dead_man_switch) {
            (DatabaseLock::Shared, SwitchLock::Held) if self.mapped == Access::No => Role::WithoutIndex,
            (DatabaseLock::Shared, SwitchLock::Held) => Role::Ordinary,
            (DatabaseLock::Shared, SwitchLock::NotHeld) => match self.mapped {
                Access::ReadOnly | Access::Writable => self.without_locks(),
                Access::No | Access::NotKnown => Role::WithoutIndex,
            },
            (DatabaseLock::None, SwitchLock::Held) => Role::WithoutLocks,
            (DatabaseLock::None, SwitchLock::NotHeld) => self.without_any_lock(),
            (DatabaseLock::None, SwitchLock::NotKnown) if self.mapped == Access::No => self.without_any_lock(),
            _ => Role::NotKnown,
        }
    }

    fn without_any_lock(&self) -> Role {
        let (database, wal) = (self.database, self.wal);
        match self.mapped {
            // A child that closed the descriptors that it inherited cannot use the mapping.
            Access::Writable if database == Access::No && wal == Access::No => Role::Bystander,
            Access::Writable => self.without_locks(),
            Access::ReadOnly if database == Access::No || wal == Access::No => Role::Bystander,
            Access::ReadOnly => self.without_locks(),
            Access::No | Access::NotKnown => match (database, wal) {
                (Access::Writable, Access::Writable) => Role::WithoutIndex,
                (Access::No, _) => Role::Bystander,
                (Access::NotKnown, _) => Role::NotKnown,
                _ => Role::Idle,
            },
        }
    }

    fn without_locks(&self) -> Role {
        if self.ancestor_holds { Role::Inherited } else { Role::WithoutLocks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that has everything open for writing, with these locks and this mapping.
    fn user(database_lock: DatabaseLock, dead_man_switch: SwitchLock, mapped: Access) -> User {
        User {
            pid: 7,
            command: None,
            start_time: Some(1),
            parent: Some(1),
            ancestor_holds: false,
            mount_namespace: Observation::seen("mnt:[1]".into()),
            container: None,
            names: vec!["/data/t.db".into()],
            database: Access::Writable,
            wal: Access::Writable,
            mapped,
            database_lock,
            dead_man_switch,
            other_index: None,
            on_replaced_files: false,
            settled: true,
        }
    }

    #[test]
    fn each_combination_of_locks_and_mappings_has_its_role() {
        use Access::{No, NotKnown, ReadOnly, Writable};
        use DatabaseLock::{Exclusive, None, Shared};
        use SwitchLock::{Held, NotHeld};
        for (lock, switch, mapped, role) in [
            (Shared, Held, Writable, Role::Ordinary),
            (Shared, Held, ReadOnly, Role::Ordinary),
            (Shared, Held, NotKnown, Role::Ordinary),
            (Shared, Held, No, Role::WithoutIndex),
            (Shared, NotHeld, Writable, Role::WithoutLocks),
            (Shared, NotHeld, No, Role::WithoutIndex),
            (Shared, NotHeld, NotKnown, Role::WithoutIndex),
            (None, Held, Writable, Role::WithoutLocks),
            (None, Held, NotKnown, Role::WithoutLocks),
            (None, NotHeld, Writable, Role::WithoutLocks),
            (None, NotHeld, ReadOnly, Role::WithoutLocks),
            (None, NotHeld, No, Role::WithoutIndex),
            (Exclusive, Held, Writable, Role::Exclusive),
            (Exclusive, NotHeld, No, Role::Exclusive),
            (DatabaseLock::NotKnown, SwitchLock::NotKnown, Writable, Role::NotKnown),
            (Shared, SwitchLock::NotKnown, Writable, Role::NotKnown),
        ] {
            assert_eq!(user(lock, switch, mapped).role(), role, "{lock:?} {switch:?} {mapped:?}");
        }
    }

    #[test]
    fn who_holds_nothing_is_judged_by_what_it_has_open() {
        use Access::{No, NotKnown, ReadOnly, Writable};
        for (database, wal, mapped, role) in [
            (Writable, No, No, Role::Idle),
            (ReadOnly, No, No, Role::Idle),
            (ReadOnly, ReadOnly, No, Role::Idle),
            (No, Writable, No, Role::Bystander),
            (No, No, Writable, Role::Bystander),
            (ReadOnly, No, ReadOnly, Role::Bystander),
            (NotKnown, NotKnown, NotKnown, Role::NotKnown),
        ] {
            let user = User { database, wal, ..user(DatabaseLock::None, SwitchLock::NotHeld, mapped) };
            assert_eq!(user.role(), role, "{database:?} {wal:?} {mapped:?}");
        }
    }

    #[test]
    fn a_child_of_a_process_with_locks_has_inherited_and_what_does_not_stay_so_is_passing() {
        let lost = user(DatabaseLock::None, SwitchLock::NotHeld, Access::Writable);
        assert_eq!(User { ancestor_holds: true, ..lost.clone() }.role(), Role::Inherited);
        assert_eq!(User { settled: false, ..lost.clone() }.role(), Role::Passing);
        let other = |certain| Some(OtherIndex { inode: None, path: None, certain });
        assert_eq!(User { other_index: other(true), ..lost.clone() }.role(), Role::Elsewhere);
        assert_eq!(User { other_index: other(false), ..lost.clone() }.role(), Role::MayBeElsewhere);
        assert_eq!(User { on_replaced_files: true, ..lost }.role(), Role::OnReplacedFiles);
    }
}
