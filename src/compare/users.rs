//! Whose is a process? Each process that uses the database counts for one side.

use super::{Placed, Side};
use crate::evidence::{Role, Root, User};

/// The processes of each side, in the order of the sides; each process once.
///
/// A process belongs to the side in whose mount namespace it is; where several sides are of one mount namespace, to the
/// side that was asked for by its pid, or under whose path and root it has the database open. A process of no side's mount
/// namespace, and one whose mount namespace was not seen, belongs to the side that saw it.
pub(super) fn of_sides<'a>(sides: &[Placed<'a>]) -> Vec<Vec<&'a User>> {
    let mut all: Vec<Vec<&User>> = vec![Vec::new(); sides.len()];
    let of_side = |(seen_by, of): (usize, &Placed<'a>)| {
        let users = of.side.evidence.users.value().into_iter().flat_map(|view| &view.users);
        users.map(move |user| (seen_by, user)).collect::<Vec<_>>()
    };
    let mut looks: Vec<(usize, &User)> = sides.iter().enumerate().flat_map(of_side).collect();
    // Whoever has the root of the side that saw it belongs to a side before others can claim it.
    looks.sort_by_key(|(_, user)| user.root != Root::Same);
    for (seen_by, user) in looks {
        let home = home(sides, seen_by, user);
        // A process of no side's mount namespace may stand in the list of another side that saw it too.
        match all.iter_mut().flatten().find(|other| is_one(other, user)) {
            // Of two looks the one counts that says more against it: both sides are judged by it.
            Some(other) if user.says_more(other) => *other = user,
            Some(_) => {}
            None => all.get_mut(home).into_iter().for_each(|list| list.push(user)),
        }
    }
    all
}

/// The processes of each side of which findings are made: not those that only another side calls users without its wal-index.
///
/// folklore: a database with two names (a hard link, a mount of the file alone) has two wal-indexes. From each side, whoever
/// came by the other name uses another wal-index, and uses its own as every connection does. Seen with three sides; held by
/// `who_uses_the_wal_index_of_its_own_side_is_not_accused_by_another_side`.
pub(super) fn accused<'a>(sides: &[Placed<'a>]) -> Vec<Vec<&'a User>> {
    let mut all = of_sides(sides);
    for list in &mut all {
        list.retain(|user| {
            let without =
                matches!(user.role(), Role::WithoutIndex | Role::LeftOver | Role::MayBeElsewhere | Role::Elsewhere);
            !(without && is_ordinary_at_home(sides, user))
        });
    }
    all
}

/// Whether a side of its mount namespace sees a process hold the locks of its wal-index; of a process of no side's, whether any
/// does.
fn is_ordinary_at_home(sides: &[Placed<'_>], user: &User) -> bool {
    let of_no_side = !sides.iter().any(|of| is_near(of.side, user));
    let looks = sides.iter().filter(|of| of_no_side || is_near(of.side, user));
    let users = looks.flat_map(|of| of.side.evidence.users.value()).flat_map(|view| &view.users);
    users.filter(|look| is_one(look, user)).any(|look| look.role() == Role::Ordinary)
}

/// Whether a process is in the mount namespace of a side.
fn is_near(side: &Side, user: &User) -> bool {
    let namespace = user.mount_namespace.value();
    namespace.is_some() && side.evidence.host.namespaces.mount.value() == namespace
}

fn home(sides: &[Placed<'_>], seen_by: usize, user: &User) -> usize {
    let near: Vec<(usize, &Placed<'_>)> = sides.iter().enumerate().filter(|(_, of)| is_near(of.side, user)).collect();
    let position = |wanted: &dyn Fn(&Side) -> bool| near.iter().find(|(_, of)| wanted(of.side)).map(|(at, _)| *at);
    let named = |side: &Side| user.names.contains(&side.evidence.files.database_path);
    position(&|side| side.process == Some(user.pid) && named(side))
        // The paths of two chroot jails can be equal.
        .or_else(|| (user.root == Root::Same && sides.get(seen_by).is_some_and(|of| named(of.side))).then_some(seen_by))
        .or_else(|| position(&named))
        .or_else(|| position(&|_| true))
        .unwrap_or(seen_by)
}

/// Whether two looks met one process.
fn is_one(a: &User, b: &User) -> bool {
    (a.pid, a.start_time, a.mount_namespace.value()) == (b.pid, b.start_time, b.mount_namespace.value())
}
