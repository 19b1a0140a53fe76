//! Do the processes that use the database hold the locks of this wal-index, and have it mapped?
//!
//! A process that uses a wal-index holds SHARED on the database, the dead-man switch of the `-shm`, and a mapping of it. A
//! verdict about running processes needs that of each one that was seen. A process that holds less is no proof that paths
//! lead to two places; so it refutes only where it is known which other wal-index it uses.

use std::cmp::Ordering;

use super::{About, Because, Fact, Pair, Placed, Says, mappings, users};
use crate::evidence::{Access, Evidence, LockState, Observation, Role, SwitchLock, User};
use crate::finding;
use crate::finding::users::role;
use crate::sides::{HeldBack, Identity, PairingFact, Process, Recorded, Replaced, SeenUser, UsersOf};

/// What the processes of both sides came to.
pub(super) struct Pairing {
    /// As evidence.
    pub because: Because,
    /// Every reason why sharing is not proven although memory and locks are, the one that explains most first.
    pub held_back: Vec<HeldBack>,
    /// Whether every process that was seen can have the wal-index in use.
    pub allows_mappings: bool,
}

/// Judges the processes. `shm`: what the identity of the `-shm` came to.
pub(super) fn judge(pair: &Pair<'_>, shm: &Identity) -> Pairing {
    let sides = [pair.a, pair.b];
    let mut all = users::of_sides(&sides).into_iter();
    let of = [(); 2].map(|()| all.next().unwrap_or_default());
    let [a, b] = &of;
    let seen = [seen(pair.a, a), seen(pair.b, b)];
    // Who holds the database exclusively and is not visible is no ordinary user either.
    let unseen = sides.iter().any(|of| held_by_the_unseen(*of));
    let any = |wanted: fn(Role) -> bool| seen.iter().flat_map(|side| &side.users).any(|user| wanted(user.role));
    let each_has = |role: Role| seen.iter().all(|side| side.users.iter().any(|user| user.role == role));
    let rollback = sides.iter().find(|of| in_rollback_mode(**of));
    let one_other = mappings::on_one_other(pair);
    let says = if one_other.is_none() && any(|role| role == Role::Elsewhere) {
        Says::Refutes
    } else if rollback.is_none() && !unseen && !any(Role::is_suspect) && each_has(Role::Ordinary) {
        Says::Supports
    } else {
        Says::Silent
    };
    let unseen_holder = sides.iter().filter(|of| held_by_the_unseen(**of));
    let mut held_back: Vec<HeldBack> = rollback.map(|of| HeldBack::Rollback(of.index)).into_iter().collect();
    held_back.extend(by_role(&seen));
    held_back.extend(unseen_holder.map(|of| HeldBack::Exclusive(of.index, Vec::new())));
    held_back.extend(sides.iter().filter_map(|of| on_another_file(*of)));
    held_back.extend(one_other.map(|(inode, processes)| HeldBack::OnOneOther(inode, processes)));
    held_back.extend(made_anew(pair, shm, [a, b]));
    let allows_mappings = rollback.is_none() && !unseen && !any(Role::is_suspect);
    let fact = match rollback {
        Some(of) => PairingFact::NotWal(of.index),
        None => PairingFact::Users(seen),
    };
    Pairing { because: Because::new(About::Both, says, Fact::LockPairing(fact)), held_back, allows_mappings }
}

fn in_rollback_mode(of: Placed<'_>) -> bool {
    finding::users::in_rollback_mode(&of.side.evidence, of.side.database.as_ref())
}

fn on_another_file(of: Placed<'_>) -> Option<HeldBack> {
    let [database, wal] = finding::processes::on_other_files(&of.side.evidence);
    match (database.is_empty(), wal.is_empty()) {
        (false, _) => Some(HeldBack::OtherDatabase(of.index, database, None)),
        (true, false) => Some(HeldBack::OtherWal(of.index, wal)),
        (true, true) => None,
    }
}

fn held_by_the_unseen(of: Placed<'_>) -> bool {
    let Evidence { users, locks, .. } = &of.side.evidence;
    let by_lock = || locks.value().is_some_and(|locks| locks.database.state == LockState::Exclusive);
    users.value().map_or_else(by_lock, |view| view.exclusive_unseen)
}

fn seen(of: Placed<'_>, users: &[&User]) -> UsersOf {
    let view = of.side.evidence.users.value();
    let user = |user: &&User| SeenUser {
        process: Process::from(*user),
        role: role(user, in_rollback_mode(of)),
        other_index: user.other_index.clone(),
        other_database: user.other_database.clone(),
    };
    UsersOf {
        side: of.index,
        users: users.iter().map(user).collect(),
        processes_denied: view.map_or(0, |view| view.processes_denied),
        denied_reason: view.and_then(|view| view.denied_reason.clone()).map(Recorded),
        passing: view.map_or(0, |view| view.passing),
        not_listed: view.map_or(0, |view| view.not_listed),
        unseen: view.is_none().then(|| Recorded::of(&of.side.evidence.users)),
    }
}

fn by_role(seen: &[UsersOf; 2]) -> Vec<HeldBack> {
    let roles = [Role::Exclusive, Role::OtherDatabase, Role::OnReplacedFiles, Role::LeftOver, Role::MayBeElsewhere];
    let found = |role: Role| seen.iter().filter_map(move |side| of_role(side, role));
    roles.into_iter().flat_map(found).collect()
}

fn of_role(seen: &UsersOf, role: Role) -> Option<HeldBack> {
    let users: Vec<&SeenUser> = seen.users.iter().filter(|user| user.role == role).collect();
    let processes: Vec<Process> = users.iter().map(|user| user.process.clone()).collect();
    if processes.is_empty() {
        return None;
    }
    match role {
        Role::Exclusive => Some(HeldBack::Exclusive(seen.side, processes)),
        Role::OtherDatabase => {
            let other = users.iter().find_map(|user| user.other_database.clone());
            Some(HeldBack::OtherDatabase(seen.side, processes, other))
        }
        Role::OnReplacedFiles => Some(HeldBack::OnReplacedFiles(seen.side, processes)),
        Role::LeftOver | Role::MayBeElsewhere => Some(HeldBack::MayBeElsewhere(seen.side, processes)),
        _ => None,
    }
}

/// The `-shm` of the earlier capture is not that of the later one, and processes used the earlier. Nobody saw them end: one
/// that goes on is cut off from whoever opens the path now.
fn made_anew(pair: &Pair<'_>, shm: &Identity, of: [&[&User]; 2]) -> Option<HeldBack> {
    // Looks that follow each other at once see all close and open again: nobody is left behind by that.
    if pair.looked_at_by_one_process() {
        return None;
    }
    let ended = |of: Placed<'_>| of.side.evidence.ended.host_boottime();
    let order = ended(pair.a).zip(ended(pair.b)).map(|(a, b)| a.cmp(&b));
    let [a, b] = of;
    // Where the order is not known, each can be the earlier one.
    let forth = order.is_none_or(|order| order == Ordering::Less).then_some((pair.a, a, pair.b));
    let back = order.is_none_or(|order| order == Ordering::Greater).then_some((pair.b, b, pair.a));
    [forth, back].into_iter().flatten().find_map(|(earlier, before, later)| {
        let missing = matches!(later.side.evidence.files.shm, Observation::Missing { .. });
        let another = missing || matches!(shm, Identity::Replaced(Replaced::Between(..)));
        let gone = another && earlier.side.evidence.files.shm.value().is_some();
        gone.then(|| left_behind(earlier, before, later)).flatten()
    })
}

/// Processes that used the `-shm` of the earlier capture, and were not seen to use that of the later one.
fn left_behind(earlier: Placed<'_>, before: &[&User], later: Placed<'_>) -> Option<HeldBack> {
    let after = later.side.evidence.users.value().map(|view| view.users.as_slice()).unwrap_or_default();
    let uses = |user: &&&User| {
        user.dead_man_switch == SwitchLock::Held || matches!(user.mapped, Access::ReadOnly | Access::Writable)
    };
    let again = |user: &&&User| {
        after.iter().any(|now| (now.pid, now.start_time) == (user.pid, user.start_time) && now.role() == Role::Ordinary)
    };
    let users = before.iter().filter(uses).filter(|user| !again(user));
    let processes: Vec<Process> = users.map(|user| Process::from(*user)).collect();
    (!processes.is_empty()).then_some(HeldBack::MadeAnew(earlier.index, processes))
}
