//! Which processes use the database of one side, and what they hold of it.

use std::collections::{BTreeMap, BTreeSet};

use super::inherited::{self, Traces};
use super::limits::USERS_OF_A_SIDE;
use super::settle;
use super::user::{Looked, Subject};
use crate::evidence::{DatabaseLock, MappingsView, Observation, Role, SwitchLock, User, UsersView};
use crate::linux::another_look::is_another_look;
use crate::linux::open::{self, OpenedFiles};
use crate::linux::path_leads::PathLeads;
use crate::linux::procfs::Proc;
use crate::linux::text::fdinfo::locks;
use crate::linux::unseen::unseen;

/// Which visible processes have the database open, mapped or locked, except this one. When the locks and mappings of a
/// process do not fit together, this looks several times within a quarter of a second.
///
/// Takes no lock. `/proc/locks` is read only when there are processes whose descriptors cannot be read, once a look.
#[must_use]
pub fn users_view(files: &OpenedFiles, mappings: &Observation<MappingsView>) -> Observation<UsersView> {
    let proc = Proc::system();
    let mut subject = Subject::of(&proc, files, mappings);
    // All places are held open: otherwise a new file could get the inode number of an earlier one and look like it.
    let mut places = Vec::new();
    let mut leads = || {
        let (leads, place) = open::shm_leads(files);
        places.extend(place);
        let in_place = match leads {
            PathLeads::Here => true,
            PathLeads::Nowhere => matches!(files.shm, Observation::Missing { .. }),
            PathLeads::Elsewhere(_) | PathLeads::Unknown => false,
        };
        in_place && open::folder_unchanged(files)
    };
    let look = |pids: Option<&BTreeSet<u32>>| {
        let before = leads();
        subject.begin_look();
        let seen = scan(&proc, &subject, pids);
        (before && leads(), seen)
    };
    let mut seen = settled(look, settle::pause);
    if let Observation::Seen { value: view } = &mut seen
        && !open::in_place(files)
    {
        // What was opened is itself no longer what the path leads to.
        view.users.iter_mut().filter(|user| user.on_replaced_files).for_each(|user| user.settled = false);
    }
    seen
}

/// Looks once: at every visible process, or at these and their ancestors.
pub(super) fn scan(proc: &Proc, subject: &Subject<'_>, pids: Option<&BTreeSet<u32>>) -> Observation<UsersView> {
    let all = match pids {
        Some(pids) => pids.iter().copied().collect(),
        None => match proc.pids() {
            Ok(all) => all,
            Err(error) => return unseen("listing the processes", &error),
        },
    };
    let mut view = UsersView::default();
    let mut users: Vec<(User, Traces)> = Vec::new();
    let own = std::process::id();
    let looks = |pid: &u32| proc.process(*pid).is_ok_and(|process| is_another_look(proc, &process));
    for pid in all.into_iter().filter(|pid| *pid != own && !looks(pid)) {
        let denied = match subject.look(pid) {
            Looked::No => None,
            Looked::User(user) => {
                users.push(*user);
                None
            }
            Looked::Denied(error) => Some(error),
            Looked::OnlyLocks(user, error) => {
                users.push((*user, Traces::default()));
                Some(error)
            }
        };
        match denied {
            None => view.processes_read = view.processes_read.saturating_add(1),
            Some(error) => {
                view.processes_denied = view.processes_denied.saturating_add(1);
                view.denied_reason.get_or_insert_with(|| format!("{pid}/fd: {error}"));
            }
        }
    }
    inherited::mark(proc, &mut users);
    inherited::share_a_table(proc, &mut users);
    view.users = users.into_iter().map(|(user, _)| user).collect();
    let is_seen = view.users.iter().any(|user| user.database_lock == DatabaseLock::Exclusive);
    view.exclusive_unseen = !is_seen && subject.is_held_by_the_unseen();
    bound(&mut view);
    Observation::seen(view)
}

/// Keeps the list short.
fn bound(view: &mut UsersView) {
    let more = view.users.len().saturating_sub(USERS_OF_A_SIDE);
    if more > 0 {
        view.not_listed = view.not_listed.saturating_add(more as u64);
        view.users.sort_by_key(|user| !user.role_at_this_look().is_suspect());
        view.users.truncate(USERS_OF_A_SIDE);
        view.users.sort_by_key(|user| user.pid);
    }
}

/// One process, by pid and start, and what its locks and mappings say of it. Of who is not seen, that is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Suspect {
    Process(u32, u64, Role),
    ExclusiveUnseen,
}

fn suspects(view: &UsersView) -> BTreeSet<Suspect> {
    let unseen = view.exclusive_unseen.then_some(Suspect::ExclusiveUnseen);
    view.users.iter().filter_map(suspect).chain(unseen).collect()
}

/// The suspect that a process is. `None` without a start time: then it could be confused with a later one of the same pid.
fn suspect(user: &User) -> Option<Suspect> {
    let role = match user.role_at_this_look() {
        // A child that works with what it inherited holds locks of its own now and then.
        Role::Inherited => Role::WithoutLocks,
        role => role,
    };
    role.is_suspect().then_some(Suspect::Process(user.pid, user.start_time?, role))
}

/// Looks until it is clear whose locks and mappings do not fit together. `look` returns whether the path led to the same
/// files during the whole look, and who uses them.
pub(super) fn settled(
    mut look: impl FnMut(Option<&BTreeSet<u32>>) -> (bool, Observation<UsersView>),
    pause: impl FnMut(),
) -> Observation<UsersView> {
    let (in_place, mut first) = look(None);
    let Observation::Seen { value: view } = &mut first else { return first };
    let before = suspects(view);
    let mut latest: BTreeMap<u32, Option<User>> = BTreeMap::new();
    let mut gravest: BTreeMap<Suspect, User> = BTreeMap::new();
    let first_suspects = if in_place { before } else { BTreeSet::new() };
    let standing = settle::settle(first_suspects, pause, |suspected| {
        let pid = |suspect: &Suspect| match suspect {
            Suspect::Process(pid, ..) => Some(*pid),
            Suspect::ExclusiveUnseen => None,
        };
        // An ancestor decides whether a child has inherited.
        let mut pids: BTreeSet<u32> = suspected.iter().filter_map(pid).collect();
        pids.extend(view.users.iter().filter(|user| user.dead_man_switch == SwitchLock::Held).map(|user| user.pid));
        let (in_place, now) = look(Some(&pids));
        let nobody = UsersView::default();
        let now = now.value().unwrap_or(&nobody);
        for pid in pids {
            latest.insert(pid, now.users.iter().find(|user| user.pid == pid).cloned());
        }
        for user in &now.users {
            let Some(suspect) = suspect(user) else { continue };
            if gravest.get(&suspect).is_none_or(|before| user.says_more(before)) {
                gravest.insert(suspect, user.clone());
            }
        }
        if in_place { suspects(now) } else { BTreeSet::new() }
    });
    view.exclusive_unseen = standing.contains(&Suspect::ExclusiveUnseen);
    let mut passing: u32 = 0;
    for mut user in std::mem::take(&mut view.users) {
        let Some(suspected) = suspect(&user) else {
            user.settled = !user.role_at_this_look().is_suspect();
            view.users.push(user);
            continue;
        };
        if standing.contains(&suspected) {
            user.settled = true;
            view.users.push(gravest.remove(&suspected).filter(|later| later.says_more(&user)).unwrap_or(user));
            continue;
        }
        user.settled = false;
        match latest.remove(&user.pid) {
            // It is no suspect any more, or has become another one: that was seen less often.
            Some(Some(mut now)) if now.start_time == user.start_time => {
                now.settled = !now.role_at_this_look().is_suspect();
                view.users.push(now);
            }
            Some(_) => passing = passing.saturating_add(1),
            None => view.users.push(user),
        }
    }
    view.passing = passing;
    beside_the_stopped(&mut view.users);
    first
}

/// Takes back what was said of processes that may wait for one that is stopped.
///
/// folklore: a process that is stopped while it opens the database can hold the dead-man switch or PENDING exclusively. Others
/// hold SHARED, have no wal-index mapped, and try again until their busy timeout ends. Seen for 10 s; held by
/// `who_waits_for_a_stopped_process_is_not_accused`.
fn beside_the_stopped(users: &mut [User]) {
    if users.iter().any(|user| user.role() == Role::Stopped) {
        let waits = |user: &&mut User| {
            matches!(user.role(), Role::NoIndexYet | Role::WithoutIndex)
                && user.other_index.is_none()
                && user.database_lock == DatabaseLock::Shared
        };
        users.iter_mut().filter(waits).for_each(|user| user.settled = false);
    }
}

/// The texts that were read of one process: its `stat`, and of each descriptor of the database's files the flags and locks.
pub(in crate::linux) fn raw_texts(proc: &Proc, files: &OpenedFiles, pid: u32) -> Vec<(String, Observation<Vec<u8>>)> {
    let process = match proc.process(pid) {
        Ok(process) => process,
        Err(error) => return vec![(format!("{pid}/stat"), unseen(&format!("{pid}/stat"), &error))],
    };
    let of_database = [&files.database, &files.wal, &files.shm];
    let ids: Vec<_> =
        of_database.into_iter().filter_map(|file| crate::linux::file_id::id_of(file.value()?).ok()).collect();
    let names = match process.names("fd") {
        Ok(names) => names,
        Err(error) => {
            let fdinfo = format!("{pid}/fdinfo");
            return vec![(format!("{pid}/stat"), process.observe("stat")), (fdinfo.clone(), unseen(&fdinfo, &error))];
        }
    };
    let mut text = Vec::new();
    for name in names {
        let link = format!("fd/{name}");
        let info = process.read(&format!("fdinfo/{name}")).unwrap_or_default();
        let of_this = process.file_behind(&link).is_ok_and(|file| ids.contains(&file));
        if of_this || !locks(&info).is_empty() {
            let path = process.link_bytes(&link).unwrap_or_default();
            for part in [name.as_bytes(), b" ", &path, b"\n", &info] {
                text.extend_from_slice(part);
            }
        }
    }
    vec![(format!("{pid}/stat"), process.observe("stat")), (format!("{pid}/fdinfo"), Observation::seen(text))]
}

#[cfg(test)]
mod tests;
