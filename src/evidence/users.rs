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

use super::{Container, InodeId, Observation, Root};

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

/// Another file on which a process holds the byte of the dead-man switch, or which it has mapped without any lock after it was
/// deleted, and which belongs to no other database that it uses.
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

/// Another database file with which a process uses this wal-index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct OtherDatabase {
    /// Device and inode as the lock table prints them. Null: not seen.
    pub inode: Option<InodeId>,
    /// Its path as the process has it open. Null: not seen.
    pub path: Option<String>,
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
    /// Whether an ancestor of it holds the dead-man switch of this `-shm`, or the whole database exclusively, and all that it has of the database's files, open
    /// or mapped, is that ancestor's: it has inherited it.
    pub ancestor_holds: bool,
    /// Whether its memory shows that it was forked from its parent and has started no program since. `false`: that was not seen.
    #[cfg_attr(feature = "capture", serde(default))]
    pub forked: bool,
    /// Where the FUSE file systems are mounted that it serves, as the side's process sees it. Null: it serves none, or that was
    /// not seen. Empty: it serves one that is not mounted there.
    #[cfg_attr(feature = "capture", serde(default))]
    pub serves: Option<Vec<String>>,
    /// Whether it is stopped (field 3 of `/proc/PID/stat`), or its cgroup is frozen: then it can stay in a state that a
    /// process passes through when it opens or closes the database.
    #[cfg_attr(feature = "capture", serde(default))]
    pub stopped: bool,
    /// Its mount namespace, as the link `/proc/PID/ns/mnt` names it.
    pub mount_namespace: Observation<String>,
    /// Whether it looks its paths up where the side's process does.
    #[cfg_attr(feature = "capture", serde(default))]
    pub root: Root,
    /// Its container.
    pub container: Option<Container>,
    /// The paths under which it has the database open, as the side's process would see them. Empty if that was not seen.
    pub names: Vec<String>,
    /// How it has the database open.
    pub database: Access,
    /// How it has the `-wal` open.
    pub wal: Access,
    /// How it has the `-shm` open. Not known: also a capture of an earlier walscope.
    #[cfg_attr(feature = "capture", serde(default))]
    pub shm: Access,
    /// How it has the `-journal` at the path open.
    #[cfg_attr(feature = "capture", serde(default))]
    pub journal: Access,
    /// How it has the `-shm` mapped.
    pub mapped: Access,
    /// Its lock on the database.
    pub database_lock: DatabaseLock,
    /// Whether it holds the dead-man switch of this `-shm`.
    pub dead_man_switch: SwitchLock,
    /// Whether it holds another lock on this `-shm`: it is in a transaction, or does a checkpoint or a recovery.
    #[cfg_attr(feature = "capture", serde(default))]
    pub in_transaction: bool,
    /// How often it has this `-shm` open and mapped from its beginning, for writing, without what it has inherited. One SQLite library
    /// does that once, with however many connections.
    #[cfg_attr(feature = "capture", serde(default))]
    pub shm_opened: u32,
    /// Another wal-index that it seems to use for this database.
    pub other_index: Option<OtherIndex>,
    /// Another database file with which it uses this wal-index. Null: none was seen.
    #[cfg_attr(feature = "capture", serde(default))]
    pub other_database: Option<OtherDatabase>,
    /// Whether it has a file locked, or open for writing, that lay at the path of this database before.
    pub on_replaced_files: bool,
    /// Whether it holds no lock on that file: so is a connection in rollback mode between two transactions.
    #[cfg_attr(feature = "capture", serde(default))]
    pub replaced_unlocked: bool,
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
    /// Whether somebody who is not among these processes holds the whole database exclusively, at every look.
    #[cfg_attr(feature = "capture", serde(default))]
    pub exclusive_unseen: bool,
}

/// How a process uses the database, as its locks, its mappings and its descriptors show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Role {
    /// It holds SHARED on the database and the dead-man switch, and maps the `-shm`, as far as that can be seen.
    Ordinary,
    /// It has the database open, locks nothing and maps nothing: it has not read yet, copies the file, or reads without
    /// locks (`immutable=1`).
    Idle,
    /// It has the database locked, which is in rollback mode: nobody has a wal-index there.
    RollbackMode,
    /// It has files open or mapped as no SQLite connection has them.
    Bystander,
    /// Its locks and mappings did not fit together once, and did not stay so.
    Passing,
    /// It serves a FUSE file system, and has no wal-index mapped: what it has open, others use through that mount.
    FuseServer,
    /// Too little was seen.
    NotKnown,
    /// It is stopped, and its locks and mappings do not fit together: it may be opening or closing the database.
    Stopped,
    /// It holds SHARED on the database and has no wal-index: it waits, as for exclusive locking mode, or could not open the `-shm`.
    NoIndexYet,
    /// It has no lock, an ancestor of it has, and it has nothing but that ancestor's: it maps this `-shm`, or was forked from an ancestor
    /// that holds the whole database exclusively.
    Inherited,
    /// It was forked, holds no lock, and has a `-shm` of this database mapped that was deleted, as a child has whose parent has closed
    /// the database since.
    LeftOver,
    /// Several SQLite libraries in it use this `-shm`: their locks do not keep each other out, and the first that closes
    /// drops those of the others.
    SeveralLibraries,
    /// It maps this `-shm` and does not hold its locks.
    WithoutLocks,
    /// It uses the database without this wal-index.
    WithoutIndex,
    /// It holds the whole database exclusively.
    Exclusive,
    /// It uses this wal-index with another database file.
    OtherDatabase,
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
            Self::Ordinary
            | Self::Idle
            | Self::RollbackMode
            | Self::Bystander
            | Self::Passing
            | Self::FuseServer
            | Self::NotKnown => false,
            Self::Stopped
            | Self::NoIndexYet
            | Self::Inherited
            | Self::LeftOver
            | Self::SeveralLibraries
            | Self::WithoutLocks
            | Self::WithoutIndex
            | Self::Exclusive
            | Self::OtherDatabase
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

    /// Whether this look at a process says more against it than another look does. Of two looks that one counts.
    #[must_use]
    pub fn says_more(&self, than: &Self) -> bool {
        self.role() > than.role()
    }

    /// How it uses the database, by one look alone.
    ///
    /// folklore: a process that is stopped while it opens or closes the database holds SHARED without the dead-man switch
    /// for as long as it is stopped. It maps the `-shm` after it has both locks, and unmaps it before it gives one back
    /// (`unixOpenSharedMemory`, `unixShmPurge`); so who maps it has lost its locks, stopped or not. Seen with SIGSTOP between
    /// the two locks; held by `who_is_stopped_while_it_opens_the_database_is_not_accused`.
    #[must_use]
    pub fn role_at_this_look(&self) -> Role {
        let on_its_way = self.stopped && self.database_lock == DatabaseLock::Shared;
        match self.role_at_work() {
            Role::NoIndexYet | Role::WithoutIndex | Role::MayBeElsewhere if on_its_way => Role::Stopped,
            role => role,
        }
    }

    /// folklore: in WAL mode a connection keeps SHARED on the database and the dead-man switch of the `-shm` from its first
    /// read until it is closed (`sqlite3PagerSharedLock`, `unixLockSharedMemory`). Closing any descriptor of a file drops
    /// all POSIX locks of the process on it, and a forked child inherits none. A connection that cannot write the `-shm`
    /// maps it read-only, and holds the dead-man switch while somebody else keeps it alive. Held by
    /// `each_combination_of_locks_and_mappings_has_its_role` and the tests in `tests/sharing/users.rs`.
    ///
    /// folklore: all connections of one SQLite library in a process share one descriptor and one set of mappings of a `-shm`
    /// (`unixShmNode`). A second library has its own. POSIX locks of one process never conflict, so both can write at once.
    /// Seen with Python's library and a copy of it; held by `two_sqlite_libraries_in_one_process_are_named`.
    ///
    /// folklore: a connection keeps SHARED, and a -wal that it found, while it waits for the lock on the whole database that exclusive
    /// locking mode needs, and when it could not open the -shm, as on a read-only mount (`pagerOpenWal`, `walTryBeginRead`). Only who has
    /// the -shm open reads without it: it found the -shm left over and may not write to it. Seen with 3.40.1; held by
    /// `who_waits_for_exclusive_mode_is_not_accused` and `who_could_not_open_the_shm_is_not_accused`.
    fn role_at_work(&self) -> Role {
        if self.on_replaced_files {
            return Role::OnReplacedFiles;
        }
        if self.database_lock == DatabaseLock::Exclusive {
            return Role::Exclusive;
        }
        if self.serves.is_some() && self.mapped == Access::No {
            return Role::FuseServer;
        }
        if self.uses_another_database() {
            return Role::OtherDatabase;
        }
        match &self.other_index {
            Some(other) if other.certain => return Role::Elsewhere,
            Some(_) if self.is_left_over() => return Role::LeftOver,
            Some(_) => return Role::MayBeElsewhere,
            None => {}
        }
        match (self.database_lock, self.dead_man_switch) {
            (DatabaseLock::Shared, SwitchLock::Held) if self.mapped == Access::No => Role::NoIndexYet,
            (DatabaseLock::Shared, SwitchLock::Held) if self.shm_opened > 1 => Role::SeveralLibraries,
            (DatabaseLock::Shared, SwitchLock::Held) => Role::Ordinary,
            (DatabaseLock::Shared, SwitchLock::NotHeld) => match self.mapped {
                Access::ReadOnly | Access::Writable => Role::WithoutLocks,
                Access::No if matches!(self.shm, Access::ReadOnly | Access::Writable) => Role::WithoutIndex,
                Access::No | Access::NotKnown => Role::NoIndexYet,
            },
            (DatabaseLock::None, SwitchLock::Held) if self.is_apart() => Role::Bystander,
            (DatabaseLock::None, SwitchLock::Held) => Role::WithoutLocks,
            (DatabaseLock::None, SwitchLock::NotHeld) => self.without_any_lock(),
            (DatabaseLock::None, SwitchLock::NotKnown) if self.mapped == Access::No => self.without_any_lock(),
            _ => Role::NotKnown,
        }
    }

    /// Whether it uses this wal-index, and the database that it has open is not the one that the path leads to.
    fn uses_another_database(&self) -> bool {
        let uses = self.dead_man_switch == SwitchLock::Held || self.mapped == Access::Writable;
        let without = self.database == Access::No && matches!(self.wal, Access::ReadOnly | Access::Writable);
        uses && !self.ancestor_holds && (without || self.other_database.is_some())
    }

    /// Whether it has neither the database nor the `-wal` open, and cannot write the `-shm`: no SQLite connection is so.
    fn is_apart(&self) -> bool {
        self.database == Access::No && self.wal == Access::No && matches!(self.mapped, Access::No | Access::ReadOnly)
    }

    /// Whether it is a forked child without any lock that has not this `-shm` mapped.
    fn is_left_over(&self) -> bool {
        let holds_nothing = (self.database_lock, self.dead_man_switch) == (DatabaseLock::None, SwitchLock::NotHeld);
        self.forked && holds_nothing && !self.in_transaction && self.mapped == Access::No
    }

    fn without_any_lock(&self) -> Role {
        let (database, wal) = (self.database, self.wal);
        match self.mapped {
            // A child that closed the descriptors that it inherited cannot use the mapping.
            Access::Writable if database == Access::No && wal == Access::No => Role::Bystander,
            Access::Writable => self.without_locks(),
            // A program that copies or looks at the files. A connection that may only read and lost its locks looks the same.
            Access::ReadOnly if database != Access::Writable && wal != Access::Writable => Role::Bystander,
            Access::ReadOnly => self.without_locks(),
            // folklore: a program that was started with the descriptors of its parent has no mapping: execve(2) keeps the
            // descriptors, and nothing else. Held by `a_started_program_that_keeps_the_descriptors_of_its_parent_is_no_sqlite`.
            // In exclusive locking mode the parent has no mapping either.
            Access::No if self.ancestor_holds && self.forked => Role::Inherited,
            Access::No if self.ancestor_holds => Role::Bystander,
            Access::No | Access::NotKnown => match (database, wal) {
                (Access::Writable, Access::Writable) => Role::WithoutIndex,
                (Access::No, _) => Role::Bystander,
                (Access::NotKnown, _) => Role::NotKnown,
                _ => Role::Idle,
            },
        }
    }

    /// A child that has a lock of its own works with the connection that it inherited.
    fn without_locks(&self) -> Role {
        if self.ancestor_holds && !self.in_transaction { Role::Inherited } else { Role::WithoutLocks }
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
            forked: false,
            serves: None,
            shm: Access::No,
            stopped: false,
            mount_namespace: Observation::seen("mnt:[1]".into()),
            root: Root::Same,
            container: None,
            names: vec!["/data/t.db".into()],
            database: Access::Writable,
            wal: Access::Writable,
            mapped,
            database_lock,
            dead_man_switch,
            in_transaction: false,
            journal: Access::No,
            shm_opened: 1,
            other_index: None,
            other_database: None,
            on_replaced_files: false,
            replaced_unlocked: false,
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
            (Shared, Held, No, Role::NoIndexYet),
            (Shared, NotHeld, Writable, Role::WithoutLocks),
            (Shared, NotHeld, No, Role::NoIndexYet),
            (Shared, NotHeld, NotKnown, Role::NoIndexYet),
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
    fn who_reads_beside_a_shm_that_it_has_open_uses_no_wal_index() {
        let reads = user(DatabaseLock::Shared, SwitchLock::NotHeld, Access::No);
        let with = |shm| User { shm, ..reads.clone() }.role();
        assert_eq!([with(Access::ReadOnly), with(Access::NotKnown)], [Role::WithoutIndex, Role::NoIndexYet]);
    }

    #[test]
    fn who_serves_a_fuse_mount_is_no_user() {
        let server = User { serves: Some(vec![]), ..user(DatabaseLock::None, SwitchLock::NotHeld, Access::No) };
        assert_eq!(server.role(), Role::FuseServer);
        // It passes on the locks of who uses the mount.
        let locks = User { database_lock: DatabaseLock::Shared, dead_man_switch: SwitchLock::Held, ..server.clone() };
        assert_eq!(locks.role(), Role::FuseServer);
        // It is a SQLite too.
        assert_eq!(User { mapped: Access::Writable, ..server }.role(), Role::WithoutLocks);
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
            (ReadOnly, ReadOnly, ReadOnly, Role::Bystander),
            (Writable, ReadOnly, ReadOnly, Role::WithoutLocks),
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
        assert_eq!(User { on_replaced_files: true, ..lost.clone() }.role(), Role::OnReplacedFiles);
        let left_over = User { forked: true, mapped: Access::No, other_index: other(false), ..lost };
        assert_eq!(left_over.role(), Role::LeftOver);
        let locked = User { database_lock: DatabaseLock::Shared, ..left_over.clone() };
        assert_eq!([locked.role(), User { forked: false, ..left_over }.role()], [Role::MayBeElsewhere; 2]);
    }

    #[test]
    fn a_child_that_holds_a_lock_of_its_own_has_not_only_inherited() {
        let child = User { ancestor_holds: true, ..user(DatabaseLock::None, SwitchLock::NotHeld, Access::Writable) };
        assert_eq!(child.role(), Role::Inherited);
        let at_work = User { in_transaction: true, ..child.clone() };
        assert_eq!(at_work.role(), Role::WithoutLocks);
        assert!(at_work.says_more(&child) && !child.says_more(&at_work) && !child.says_more(&child));
        assert_eq!(User { database_lock: DatabaseLock::Shared, ..child.clone() }.role(), Role::WithoutLocks);
        // A program that was started with these descriptors.
        assert_eq!(User { mapped: Access::No, ..child.clone() }.role(), Role::Bystander);
        // The parent is in exclusive locking mode.
        assert_eq!(User { mapped: Access::No, forked: true, ..child.clone() }.role(), Role::Inherited);
        assert_eq!(User { mapped: Access::No, ancestor_holds: false, ..child }.role(), Role::WithoutIndex);
    }

    #[test]
    fn who_is_stopped_while_it_opens_the_database_is_not_accused() {
        use Access::{No, Writable};
        use DatabaseLock::{Exclusive, None, Shared};
        use SwitchLock::{Held, NotHeld};
        for (lock, switch, mapped, role) in [
            (Shared, NotHeld, No, Role::Stopped),
            (Shared, Held, No, Role::Stopped),
            (Shared, NotHeld, Writable, Role::WithoutLocks),
            (None, Held, Writable, Role::WithoutLocks),
            (None, NotHeld, Writable, Role::WithoutLocks),
            (None, NotHeld, No, Role::WithoutIndex),
            (Shared, Held, Writable, Role::Ordinary),
            (Exclusive, Held, Writable, Role::Exclusive),
        ] {
            assert_eq!(User { stopped: true, ..user(lock, switch, mapped) }.role(), role, "{lock:?} {switch:?}");
        }
        assert!(Role::Stopped.is_suspect());
    }

    #[test]
    fn a_wal_index_that_was_opened_twice_in_one_process_is_of_several_libraries() {
        let ordinary = user(DatabaseLock::Shared, SwitchLock::Held, Access::Writable);
        for (shm_opened, role) in [(0, Role::Ordinary), (1, Role::Ordinary), (2, Role::SeveralLibraries)] {
            assert_eq!(User { shm_opened, ..ordinary.clone() }.role(), role);
        }
    }

    #[test]
    fn who_uses_the_wal_index_with_another_database_has_lost_no_locks() {
        let other = Some(OtherDatabase { inode: None, path: Some("/data/old.db".into()) });
        let renamed = user(DatabaseLock::None, SwitchLock::Held, Access::Writable);
        assert_eq!(User { database: Access::No, ..renamed.clone() }.role(), Role::OtherDatabase);
        assert_eq!(User { database: Access::NotKnown, ..renamed.clone() }.role(), Role::WithoutLocks);
        let by_locks = User { database: Access::NotKnown, wal: Access::NotKnown, mapped: Access::NotKnown, ..renamed };
        assert_eq!(User { other_database: other, ..by_locks }.role(), Role::OtherDatabase);
    }

    #[test]
    fn who_only_maps_the_wal_index_for_reading_is_no_sqlite() {
        for switch in [SwitchLock::Held, SwitchLock::NotHeld] {
            let reader =
                User { database: Access::No, wal: Access::No, ..user(DatabaseLock::None, switch, Access::ReadOnly) };
            assert_eq!(reader.role(), Role::Bystander);
        }
    }
}
