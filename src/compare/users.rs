//! Whose is a process? Each process that uses the database counts for one side.

use super::{Placed, Side};
use crate::evidence::{Root, User};

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

fn home(sides: &[Placed<'_>], seen_by: usize, user: &User) -> usize {
    let Some(namespace) = user.mount_namespace.value() else { return seen_by };
    let of_namespace =
        |(_, of): &(usize, &Placed<'_>)| of.side.evidence.host.namespaces.mount.value() == Some(namespace);
    let near: Vec<(usize, &Placed<'_>)> = sides.iter().enumerate().filter(of_namespace).collect();
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
