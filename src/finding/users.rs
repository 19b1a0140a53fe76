//! Findings about processes that use a database without its wal-index, or the wal-index without its locks.

use super::kept_log;
use super::old_names;
use super::processes::{self, Mapped};
use super::value::{Apart, UsersFound};
use super::{Finding, Found, Severity};
use crate::evidence::{Access, DatabaseLock, Evidence, KeptLog, MappingProcess, Role, User};
use crate::format::db::{DatabaseHead, JournalMode};
use crate::sides::{Part, Process, SideIndex};

/// Whether a database is in rollback mode, by its header, and no `-wal` says otherwise: then there is no wal-index.
#[must_use]
pub fn in_rollback_mode(evidence: &Evidence, database: Option<&DatabaseHead>) -> bool {
    let rollback = |head: &DatabaseHead| match head {
        DatabaseHead::Plain(header) => header.journal_mode() == JournalMode::Rollback,
        // A new database, until somebody changes its mode.
        DatabaseHead::Empty => true,
        DatabaseHead::Opaque { .. } => false,
    };
    database.is_some_and(rollback) && evidence.files.wal.known().is_some_and(|wal| wal.is_none())
}

/// How a process uses the database. Where there is no wal-index, no process has to use one; but one that has it mapped goes on in
/// WAL mode, although the header says otherwise.
#[must_use]
pub fn role(user: &User, rollback_mode: bool) -> Role {
    match user.role() {
        Role::Stopped
        | Role::NoIndexYet
        | Role::WithoutLocks
        | Role::Inherited
        | Role::LeftOver
        | Role::WithoutIndex
        | Role::SeveralLibraries
        | Role::MayBeElsewhere
            if rollback_mode && !matches!(user.mapped, Access::ReadOnly | Access::Writable) =>
        {
            if user.database_lock == DatabaseLock::Shared { Role::RollbackMode } else { Role::Idle }
        }
        role => role,
    }
}

/// Every process that was seen to use the database of one side.
#[must_use]
pub fn all(evidence: &Evidence) -> Vec<&User> {
    evidence.users.value().into_iter().flat_map(|view| &view.users).collect()
}

/// Findings about these processes of one side. `label`: the name of the side.
#[must_use]
pub fn findings(label: &str, evidence: &Evidence, database: Option<&DatabaseHead>, users: &[&User]) -> Vec<Finding> {
    let split = match processes::mapped(SideIndex(0), evidence) {
        Mapped::Split(split) => split.pids(),
        _ => <_>::default(),
    };
    let rollback = in_rollback_mode(evidence, database);
    let moved = old_names::named(evidence);
    let found = |wanted: &dyn Fn(&User, Role) -> bool| {
        let users = users.iter().filter(|user| wanted(user, role(user, rollback)));
        let users: Vec<User> = users.map(|user| (*user).clone()).collect();
        (!users.is_empty()).then(|| UsersFound::Side { side: label.to_owned(), users })
    };
    let of_role = |wanted: Role| found(&move |_, role| role == wanted);
    let lost = of_role(Role::WithoutLocks).map(|users| Finding::new(Found::MappingWithoutLocks { users }));
    let inherited =
        of_role(Role::Inherited).map(|users| Finding::at(Severity::Notice, Found::MappingWithoutLocks { users }));
    let left_over = found(&|user, role| role == Role::LeftOver && has_nothing_to_lose(user, &evidence.deleted_wals));
    let left_over = left_over.map(|users| Finding::at(Severity::Notice, Found::MappingWithoutLocks { users }));
    // A process that maps another wal-index is named as split already.
    let without = found(&|user, role| {
        (matches!(role, Role::WithoutIndex | Role::MayBeElsewhere | Role::Elsewhere)
            || (role == Role::LeftOver && !has_nothing_to_lose(user, &evidence.deleted_wals)))
            && !split.contains(&user.pid)
            && !moved.contains(&user.pid)
    });
    let without = without.map(|users| without_index(users, &evidence.deleted_wals));
    let not_yet = found(&|user, role| role == Role::NoIndexYet && !split.contains(&user.pid));
    let not_yet = not_yet
        .map(|users| Finding::at(Severity::Notice, Found::UsedWithoutWalIndex { users, deleted_wals: Vec::new() }));
    let replaced = |unlocked: bool, severity: Severity| {
        let users = found(&|user, role| role == Role::OnReplacedFiles && user.replaced_unlocked == unlocked)?;
        Some(Finding::at(severity, Found::WorkerOnReplacedFiles { users }))
    };
    let libraries = of_role(Role::SeveralLibraries).map(|users| Finding::new(Found::SeveralSqliteLibraries { users }));
    let view = evidence.users.value();
    let unseen =
        || view.is_some_and(|view| view.exclusive_unseen).then(|| UsersFound::Unseen { side: label.to_owned() });
    let exclusive = of_role(Role::Exclusive).or_else(unseen);
    let exclusive = exclusive.map(|users| Finding::at(Severity::Info, Found::DatabaseHeldExclusively { users }));
    let mut named = processes::of_another_database(evidence);
    named.extend(moved.iter().copied());
    let other = users.iter().filter(|user| role(user, rollback) == Role::OtherDatabase && !named.contains(&user.pid));
    let other: Vec<Process> = other.map(|user| Process::from(*user)).collect();
    let other = (!other.is_empty()).then(|| {
        let apart = Apart::Process { side: label.to_owned(), apart: Part::Database, processes: other };
        Finding::new(Found::apart(apart))
    });
    let all = [
        old_names::finding(label, evidence),
        kept_log::finding(label, evidence, users),
        other,
        replaced(false, Severity::Error),
        replaced(true, Severity::Warning),
        lost,
        libraries,
        inherited,
        left_over,
        without,
        not_yet,
        through_fuse(label, users, rollback),
        exclusive,
    ];
    all.into_iter().flatten().collect()
}

/// Whether all that these processes have is of a wal-index that was deleted.
#[must_use]
pub fn are_left_over(users: &UsersFound) -> bool {
    match users {
        UsersFound::Side { users, .. } => users.iter().all(|user| user.role() == Role::LeftOver),
        UsersFound::Index { processes, .. } => processes.iter().all(MappingProcess::is_left_over),
        UsersFound::Unseen { .. } => false,
    }
}

/// Who serves a FUSE mount through which others use the database. A warning if others use the wal-index directly at the same time.
///
/// folklore: a FUSE file system has pages of its own for each file, and locks of its own unless its server passes them on. Two users of
/// one wal-index, one through the mount and one not, overwrite each other's commits. Held by
/// `who_serves_a_fuse_mount_is_no_user_of_the_files_behind_it`.
fn through_fuse(label: &str, users: &[&User], rollback: bool) -> Option<Finding> {
    let servers = users.iter().filter(|user| role(user, rollback) == Role::FuseServer);
    let servers: Vec<User> = servers.map(|user| (*user).clone()).collect();
    if servers.is_empty() {
        return None;
    }
    let directly = users.iter().any(|user| matches!(user.mapped, Access::ReadOnly | Access::Writable));
    let behind = servers.iter().any(|server| server.shm == Access::Writable);
    let severity = if directly && behind { Severity::Warning } else { Severity::Notice };
    let users = UsersFound::Side { side: label.to_owned(), users: servers };
    Some(Finding::at(severity, Found::UsedThroughFuse { users }))
}

/// Whether all that is in the deleted `-wal` of a process is known to be in the database.
fn has_nothing_to_lose(user: &User, deleted_wals: &[KeptLog]) -> bool {
    deleted_wals.iter().filter(|wal| wal.pid == user.pid).all(|wal| wal.commits == Some(0))
}

/// Whether it is at work on a wal-index that was deleted: it has a lock on that one and none on the database, because it joined what it
/// inherited.
fn is_at_work_on_deleted(user: &User) -> bool {
    user.role() == Role::Elsewhere && user.database_lock == DatabaseLock::None
}

/// An error if one of them has commits in a deleted `-wal` that are not in the database, for they go with the process; or if one is at
/// work on a deleted wal-index.
fn without_index(users: UsersFound, deleted_wals: &[KeptLog]) -> Finding {
    let named = |wal: &&KeptLog| match &users {
        UsersFound::Side { users, .. } => users.iter().any(|user| user.pid == wal.pid),
        _ => false,
    };
    let deleted_wals: Vec<KeptLog> = deleted_wals.iter().filter(named).cloned().collect();
    let only_there = deleted_wals.iter().any(|wal| wal.commits.is_some_and(|commits| commits > 0));
    let at_work = match &users {
        UsersFound::Side { users, .. } => users.iter().any(is_at_work_on_deleted),
        _ => false,
    };
    let severity = if only_there || at_work { Severity::Error } else { Severity::Warning };
    Finding::at(severity, Found::UsedWithoutWalIndex { users, deleted_wals })
}
