//! Findings about processes that use a database: who they are, and what they do.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;

use super::words::{count, each, many, one_or};
use super::{rescue, users};
use crate::evidence::{Access, DatabaseLock, KeptLog, MappingProcess, OtherIndex, Role, SwitchLock, User};
use crate::finding::Severity;
use crate::finding::users::are_left_over;
use crate::finding::value::UsersFound;

/// How parent and child have a connection each.
macro_rules! after_fork {
    () => {
        "A connection that a child opens itself joins the inherited one in SQLite's memory. So the parent has to open the database \
         after the fork, or the child has to start a program (exec) that does."
    };
}

/// Who they are, and where: the subject of a sentence about one, or about each.
pub(super) fn users_found(found: &UsersFound) -> String {
    match found {
        UsersFound::Side { side, users } => format!("On {side} {}", subject(users)),
        UsersFound::Unseen { side } => format!("On {side} somebody who is not visible from here"),
        UsersFound::Index { mapped, path, processes: all } => {
            format!("{} ({path}, {mapped}){}", processes(all), each(all.len()))
        }
    }
}

/// Processes as the subject of what is said of one, or of each.
pub(super) fn subject<U: Borrow<User>>(users: &[U]) -> String {
    format!("{}{}", users::names(users.iter().map(Borrow::borrow)), each(users.len()))
}

/// Locks that a process lost, or never had because its parent has them. Where it cannot stay open whether a child uses what it
/// inherited, the severity is a warning.
pub(super) fn without_locks(found: &UsersFound, severity: Severity) -> (Cow<'static, str>, &'static str) {
    let inherited = match found {
        UsersFound::Side { users, .. } => users.iter().all(|user| user.role() == Role::Inherited),
        UsersFound::Index { processes, .. } => processes.iter().all(|process| process.inherited),
        UsersFound::Unseen { .. } => false,
    };
    let who = users_found(found);
    if are_left_over(found) && severity <= Severity::Notice {
        return (
            format!("{who} was forked from its parent, holds no lock, and still has a wal-index of this database mapped that was deleted. What its -wal holds is in the database. A child has that after its parent has closed the database; a connection of its own, whose locks were cancelled, would look the same until it commits.").into(),
            concat!("Harmless while the child does not use the database: what it commits there, nobody else sees. ", after_fork!()),
        );
    }
    if are_of_exclusive(found) {
        return (
            format!("{who} has the database and its -wal open as its parent has them, which keeps the database for itself (exclusive locking mode), and holds no lock of its own: a forked child inherits descriptors, but no locks. If it uses the connection, nobody sees its transactions, and commits are lost.").into(),
            concat!("Harmless while the child does not use the database. ", after_fork!()),
        );
    }
    if inherited {
        return (
            format!("{who} has the wal-index mapped as its parent has it, and holds no lock of its own: a forked child inherits mappings, but no locks. If it uses the connection, nobody sees its transactions, and commits are lost.").into(),
            match severity {
                Severity::Info | Severity::Notice => concat!("Harmless while the child does not use the database. ", after_fork!()),
                _ => concat!("Find out whether the child uses the database. ", after_fork!()),
            },
        );
    }
    let (missing, lost) = match found {
        UsersFound::Side { side, users } => missing_locks(side, users),
        _ => (
            format!("{who} has the wal-index mapped and does not hold the locks that every connection keeps"),
            Lost::Some,
        ),
    };
    let if_used = match lost {
        Lost::Some => {
            "Others checkpoint, restart and write while it reads or writes: commits are lost, and integrity_check may not notice."
        }
        Lost::All => {
            "If it uses the connection, others checkpoint, restart and write while it reads or writes: commits are lost, and integrity_check may not notice."
        }
    };
    (format!("{missing}. {if_used}").into(), rescue::WITHOUT_LOCKS)
}

/// Whether they are children of a process that keeps the database for itself: there is no wal-index.
pub(super) fn are_of_exclusive(found: &UsersFound) -> bool {
    let is = |user: &User| user.role() == Role::Inherited && user.mapped == Access::No;
    matches!(found, UsersFound::Side { users, .. } if users.iter().all(is))
}

/// What is missing of the two locks that every connection keeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lost {
    /// One of them; or a transaction is under way.
    Some,
    /// Both.
    All,
}

/// The processes by the lock that each does not hold, and the worst that can be said of all.
fn missing_locks(side: &str, users: &[User]) -> (String, Lost) {
    let mut by_missing: BTreeMap<&str, Vec<&User>> = BTreeMap::new();
    let mut lost = Lost::All;
    for user in users {
        let missing = match (user.database_lock, user.dead_man_switch) {
            (DatabaseLock::None, SwitchLock::Held) => {
                "does not hold SHARED on the database, which every connection keeps; of its two locks it holds the dead-man switch of the -shm alone"
            }
            (DatabaseLock::Shared, SwitchLock::NotHeld) => {
                "does not hold the dead-man switch of the -shm, which every connection keeps; of its two locks it holds SHARED on the database alone"
            }
            _ => {
                "holds neither SHARED on the database nor the dead-man switch of the -shm, which every connection keeps: they were cancelled, or it was forked from a process that has closed the database since"
            }
        };
        if user.in_transaction
            || (user.database_lock, user.dead_man_switch) != (DatabaseLock::None, SwitchLock::NotHeld)
        {
            lost = Lost::Some;
        }
        by_missing.entry(missing).or_default().push(user);
    }
    let told = by_missing
        .into_iter()
        .map(|(missing, users)| format!("{} has the wal-index mapped and {missing}", subject(&users)));
    (format!("On {side} {}", told.collect::<Vec<_>>().join("; ")), lost)
}

/// Who uses the database without this wal-index, and what each uses instead.
pub(super) fn without_index(found: &UsersFound) -> String {
    let UsersFound::Side { side, users } = found else { return users_found(found) };
    let mut by_index: BTreeMap<(bool, Option<&OtherIndex>), Vec<&User>> = BTreeMap::new();
    for user in users {
        by_index.entry((holds_nothing(user), user.other_index.as_ref())).or_default().push(user);
    }
    let told = by_index.into_iter().map(|((holds_nothing, other), users)| {
        let names = subject(&users);
        match (holds_nothing, other) {
            (true, None) => format!("{names} has the database and its -wal open for writing, holds no lock, and has no -shm mapped: it was started with the descriptors of another program and does not use them, or it uses the database without this wal-index"),
            (true, Some(other)) => format!(
                "{names} holds no lock, and has {} mapped, which was deleted: it goes on with files to which no path leads, or was forked from a process that has closed the database since",
                other.path.as_deref().unwrap_or("another -shm")
            ),
            (false, other) => format!("{names} {}", instead(other)),
        }
    });
    format!("On {side} {}", told.collect::<Vec<_>>().join("; "))
}

/// Who has SHARED on the database and no wal-index.
pub(super) fn no_index_yet(found: &UsersFound) -> (Cow<'static, str>, &'static str) {
    const ADVICE: &str = "This alone is no fault. If it stays so: look whether SQLite can open the database there, with that process as the source (walscope inspect pid:N:PATH), and whether it asks for PRAGMA locking_mode=EXCLUSIVE while others have the database open.";
    let UsersFound::Side { side, users } = found else { return (users_found(found).into(), ADVICE) };
    let told = |unseen: bool, does: &str| {
        let of_kind: Vec<&User> = users.iter().filter(|user| (user.mapped == Access::NotKnown) == unseen).collect();
        (!of_kind.is_empty()).then(|| format!("{} {does}", subject(&of_kind)))
    };
    let all = [
        told(
            false,
            "holds SHARED on the database and has no wal-index mapped: it waits for others, as for exclusive locking mode until all others have closed the database, or it could not open the -shm. It reads and writes nothing so",
        ),
        told(
            true,
            "holds SHARED on the database and not the dead-man switch of the -shm; whether it has a wal-index mapped was not seen: it waits, could not open the -shm, or has lost that lock. Root sees more",
        ),
    ];
    (format!("On {side} {}.", all.into_iter().flatten().collect::<Vec<_>>().join("; ")).into(), ADVICE)
}

/// Who goes on with a file that lay at the path before. A warning: it has no lock on it.
pub(super) fn on_replaced(found: &UsersFound, severity: Severity) -> String {
    let who = users_found(found);
    match severity {
        Severity::Error => format!(
            "{who} has a file locked that lay at the path of this database before, and the path leads to another one now. What it commits, nobody else sees."
        ),
        _ => format!(
            "{who} has a file open for writing that lay at the path of this database before, holds no lock on it at the moment, and the path leads to another one now. It goes on reading what stands there; what it writes is refused (SQLITE_READONLY_DBMOVED), or nobody else sees it."
        ),
    }
}

/// Who serves a FUSE mount with the files of the database behind it.
pub(super) fn through_fuse(found: &UsersFound, severity: Severity) -> (Cow<'static, str>, &'static str) {
    let (both, advice) = match severity {
        Severity::Info | Severity::Notice => (
            "",
            "Look at the database by its path below that mount: there its processes, their locks and what they wait for are seen.",
        ),
        _ => (
            " Others use the wal-index directly. The mount has memory of its own: both sides can overwrite each other's commits.",
            "Let all processes open the database in one way, through the mount or beside it. Until then let nobody write. Compare both ways: walscope compare.",
        ),
    };
    let UsersFound::Side { side, users } = found else { return (users_found(found).into(), advice) };
    let told: Vec<String> = users
        .iter()
        .map(|user| {
            let mounts = user.serves.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
            let of = if mounts.is_empty() { String::new() } else { format!(" of {mounts}") };
            format!("{} is the server{of}", subject(&[user]))
        })
        .collect();
    let told = told.join("; ");
    (
        format!("On {side} {told}: other processes have the database open through that mount. Their locks and what they have mapped do not show here.{both}").into(),
        advice,
    )
}

/// Commits that stand in deleted files only, with the descriptor of each `-wal`.
pub(super) fn only_in_deleted(wals: &[KeptLog]) -> String {
    let told = wals.iter().filter_map(|wal| {
        let commits = wal.commits.filter(|commits| *commits > 0)?;
        let (stand, are) = (one_or(commits, "stands", "stand"), one_or(commits, "is", "are"));
        Some(format!(
            " pid {pid} still has the deleted -wal open (/proc/{pid}/fd/{number}): {} that {are} not in the database {stand} in it, \
             and {} when that process ends.",
            many(commits, "commit"),
            one_or(commits, "is gone", "are gone"),
            pid = wal.pid,
            number = wal.descriptors.0,
        ))
    });
    told.collect()
}

/// Whether a process holds no lock and has not this `-shm` mapped. Where it has no other one mapped either, descriptors are all
/// that it has: a program that was started with those of another one has the same.
///
/// folklore: execve(2) keeps the descriptors, and nothing else. When the process that opened them has closed the database or has
/// ended, nothing shows whose they were. Held by `who_may_only_have_inherited_descriptors_is_not_said_to_lose_commits`.
fn holds_nothing(user: &User) -> bool {
    (user.database_lock, user.dead_man_switch, user.mapped) == (DatabaseLock::None, SwitchLock::NotHeld, Access::No)
}

fn instead(other: Option<&OtherIndex>) -> String {
    match other.map(|other| (other.path.as_deref(), other.inode)) {
        Some((Some(path), _)) => {
            format!("uses the database, and holds the locks of {path} instead of those of this -shm")
        }
        Some((None, Some(inode))) => {
            format!("uses the database, and holds the locks of another -shm ({inode}) instead of those of this one")
        }
        Some((None, None)) => "uses the database, and holds locks of other -shm files, not of this one".to_owned(),
        None => "uses the database, and neither holds the dead-man switch of this -shm nor has it mapped".to_owned(),
    }
}

/// The first processes by name, and how many more there are.
pub(super) fn processes(all: &[MappingProcess]) -> String {
    const LISTED: usize = 5;
    let mut named: Vec<String> = all
        .iter()
        .take(LISTED)
        .map(|process| {
            let command = process.command.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
            let container =
                process.container.as_deref().map(|name| format!(" in container {name}")).unwrap_or_default();
            format!("pid {}{command}{container}", process.pid)
        })
        .collect();
    if all.len() > LISTED {
        named.push(format!("{} more", count((all.len() - LISTED) as u64)));
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Observation, Root};

    fn without_its_locks() -> User {
        User {
            pid: 7,
            command: None,
            start_time: Some(1),
            parent: Some(1),
            ancestor_holds: false,
            forked: false,
            serves: None,
            shm: Access::Writable,
            stopped: false,
            mount_namespace: Observation::seen("mnt:[1]".into()),
            root: Root::Same,
            container: None,
            names: Vec::new(),
            database: Access::Writable,
            wal: Access::Writable,
            mapped: Access::Writable,
            database_lock: DatabaseLock::None,
            dead_man_switch: SwitchLock::NotHeld,
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

    fn user(pid: u32, path: Option<&str>) -> User {
        let other = path.map(|path| OtherIndex { inode: None, path: Some(path.to_owned()), certain: true });
        User { pid, other_index: other, ..without_its_locks() }
    }

    #[test]
    fn each_process_is_named_with_the_wal_index_that_it_uses() {
        let users = vec![user(7, Some("/a-shm")), user(8, Some("/b-shm")), user(9, None), user(10, Some("/a-shm"))];
        let told = without_index(&UsersFound::Side { side: "web".into(), users });
        for words in [
            "process 9 uses the database, and neither",
            "process 7, process 10: each uses",
            "of /a-shm",
            "process 8 uses",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(told.starts_with("On web ") && told.contains("of /b-shm"), "{told}");
    }

    #[test]
    fn several_processes_have_a_verb_that_fits_each() {
        let told = |users| without_locks(&UsersFound::Side { side: "web".into(), users }, Severity::Warning).0;
        assert!(told(vec![user(7, None)]).starts_with("On web process 7 has the wal-index mapped"));
        let both = told(vec![user(7, None), user(8, None)]);
        assert!(both.starts_with("On web process 7, process 8: each has the wal-index mapped"), "{both}");
    }

    #[test]
    fn the_lock_that_is_missing_is_named() {
        let told = |database_lock, dead_man_switch| {
            let users = vec![User { database_lock, dead_man_switch, ..without_its_locks() }];
            without_locks(&UsersFound::Side { side: "web".into(), users }, Severity::Warning).0.into_owned()
        };
        let told_of_database = told(DatabaseLock::None, SwitchLock::Held);
        assert!(told_of_database.contains("does not hold SHARED on the database"), "{told_of_database}");
        assert!(!told_of_database.contains("If it uses"), "{told_of_database}");
        let told_of_switch = told(DatabaseLock::Shared, SwitchLock::NotHeld);
        assert!(told_of_switch.contains("does not hold the dead-man switch"), "{told_of_switch}");
        // A forked child whose parent has closed the database looks like a process whose locks were all cancelled.
        let told_of_both = told(DatabaseLock::None, SwitchLock::NotHeld);
        assert!(told_of_both.contains("holds neither SHARED") && told_of_both.contains("If it uses"), "{told_of_both}");
    }

    #[test]
    fn who_may_only_have_inherited_descriptors_is_not_said_to_lose_commits() {
        let told = |user| without_index(&UsersFound::Side { side: "web".into(), users: vec![user] });
        let started = User { mapped: Access::No, ..without_its_locks() };
        let innocent = told(started.clone());
        let at = |words: &str| innocent.find(words).unwrap_or_else(|| panic!("{words}: {innocent}"));
        assert!(at("it was started with the descriptors of another program") < at("or it uses the database without"));
        let locked = told(User { database_lock: DatabaseLock::Shared, ..started });
        assert!(locked.contains("uses the database, and neither holds"), "{locked}");
    }

    #[test]
    fn who_has_inherited_is_called_harmless_only_in_a_notice() {
        let users = || vec![User { ancestor_holds: true, ..without_its_locks() }];
        let told = |severity| without_locks(&UsersFound::Side { side: "web".into(), users: users() }, severity).1;
        assert!(told(Severity::Notice).contains("Harmless"));
        assert!(!told(Severity::Warning).contains("Harmless"));
    }
}
