//! Whose is a process? Each process that uses the database counts for one side.

use super::Placed;
use crate::evidence::User;

/// The processes of each side, in the order of the sides; each process once.
///
/// A process belongs to the side in whose mount namespace it is; where several sides are of one mount namespace, to the
/// side under whose path it has the database open. A process of no side's mount namespace, and one whose mount namespace
/// was not seen, belongs to the side that saw it.
pub(super) fn of_sides<'a>(sides: &[Placed<'a>]) -> Vec<Vec<&'a User>> {
    let mut all: Vec<Vec<&User>> = vec![Vec::new(); sides.len()];
    for (seen_by, of) in sides.iter().enumerate() {
        for user in of.side.evidence.users.value().into_iter().flat_map(|view| &view.users) {
            let home = home(sides, seen_by, user);
            if let Some(list) = all.get_mut(home).filter(|list| !list.iter().any(|other| is_one(other, user))) {
                list.push(user);
            }
        }
    }
    all
}

fn home(sides: &[Placed<'_>], seen_by: usize, user: &User) -> usize {
    let Some(namespace) = user.mount_namespace.value() else { return seen_by };
    let of_namespace =
        |(_, of): &(usize, &Placed<'_>)| of.side.evidence.host.namespaces.mount.value() == Some(namespace);
    let near: Vec<(usize, &Placed<'_>)> = sides.iter().enumerate().filter(of_namespace).collect();
    let by_name = |(_, of): &&(usize, &Placed<'_>)| user.names.contains(&of.side.evidence.files.database_path);
    let named: Vec<usize> = near.iter().filter(by_name).map(|(at, _)| *at).collect();
    let near = if named.is_empty() { near.into_iter().map(|(at, _)| at).collect() } else { named };
    if near.contains(&seen_by) { seen_by } else { near.first().copied().unwrap_or(seen_by) }
}

/// Whether two looks met one process.
fn is_one(a: &User, b: &User) -> bool {
    (a.pid, a.start_time, a.mount_namespace.value()) == (b.pid, b.start_time, b.mount_namespace.value())
}
