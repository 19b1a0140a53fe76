//! Which wal-index the visible processes of each side have mapped.

use std::collections::BTreeSet;

use super::{About, Because, Fact, Pair, Placed, Says, continuity};
use crate::evidence::{FileOpen, InodeId, Mapping, Role, User};
use crate::finding::processes::{self, Mapped};
use crate::sides::{Identity, MappedInodes, Mappers, MappingFact, NotAtWork, Part, Process};

/// Looks at the visible processes of both sides. In one mount namespace a process belongs to the side by whose path it has
/// the `-shm` mapped, as `maps` prints it: a folder can have two names there.
fn mapped_of_both<'a>(pair: &Pair<'a>) -> [Mapped<'a>; 2] {
    let of = [pair.a, pair.b];
    let [a, b] = of.map(|of| of.side.evidence.host.namespaces.mount.value());
    let look = if a == b { processes::mapped_by_path } else { processes::mapped };
    of.map(|of| look(of.index, &of.side.evidence))
}

/// The mappings as evidence. `shm` is what was found about the identity of the `-shm`.
///
/// By themselves they can only refute. In favour of sharing, they change the subject from paths to mappings.
pub(super) fn because(pair: &Pair<'_>, shm: &Identity) -> Because {
    let (says, fact) = weigh(pair, shm);
    Because::new(About::Both, says, Fact::ProcessMappings(fact))
}

fn weigh(pair: &Pair<'_>, shm: &Identity) -> (Says, MappingFact) {
    let (a, b) = match mapped_of_both(pair) {
        [Mapped::This(a), Mapped::This(b)] => (a, b),
        [a, b] => {
            let (mut cut_off, mut unseen) = (Vec::new(), Vec::new());
            for mapped in [a, b] {
                match mapped {
                    Mapped::Split(split) => cut_off.push(split),
                    Mapped::Unseen(reason) => unseen.push(reason),
                    Mapped::This(_) => {}
                }
            }
            return match cut_off.is_empty() {
                // They share what they map, and no path leads to it.
                false if on_one_other(pair).is_some() => (Says::Silent, MappingFact::CutOff(cut_off)),
                false => (Says::Refutes, MappingFact::CutOff(cut_off)),
                true => (Says::Silent, MappingFact::Unseen(unseen)),
            };
        }
    };
    let (says, inodes) = match shm {
        Identity::OneInode(_) => match at_work(pair, &a, &b) {
            Ok(()) => (Says::Supports, MappedInodes::One),
            Err(reason) => (Says::Silent, MappedInodes::NotAtWork(reason)),
        },
        Identity::TwoInodes(_) => (Says::Refutes, MappedInodes::Two),
        _ => (Says::Silent, MappedInodes::Undecided),
    };
    (says, MappingFact::Mapped([mappers(pair.a, &a), mappers(pair.b, &b)], inodes))
}

/// The one wal-index that is in use as far as was seen, although no path leads to it, and who uses it. `None`: nobody uses
/// such a one, or another one is in use beside it. A process that is cut off alone has nobody with whom it does not share.
pub(super) fn on_one_other(pair: &Pair<'_>) -> Option<(InodeId, Vec<Process>)> {
    let mut other: BTreeSet<InodeId> = BTreeSet::new();
    let mut all: BTreeSet<Process> = BTreeSet::new();
    for mapped in mapped_of_both(pair) {
        if let Mapped::Split(split) = mapped {
            other.extend(split.mappings.iter().map(|mapping| mapping.inode));
            all.extend(split.mappings.iter().map(Process::from));
        }
    }
    for user in [pair.a, pair.b].into_iter().flat_map(users) {
        if user.role() == Role::Elsewhere {
            other.insert(user.other_index.as_ref()?.inode?);
            all.insert(Process::from(user));
        }
    }
    let [inode] = other.iter().collect::<Vec<_>>()[..] else { return None };
    let another = |of: Placed<'_>| in_use(of).is_some_and(|id| id != *inode);
    let alone = ![pair.a, pair.b].into_iter().any(another);
    alone.then(|| (*inode, all.into_iter().collect()))
}

fn users<'a>(of: Placed<'a>) -> impl Iterator<Item = &'a User> {
    of.side.evidence.users.value().into_iter().flat_map(|view| &view.users)
}

/// The `-shm` to which the path of a side leads, if somebody uses it: maps it, or holds its dead-man switch.
fn in_use(of: Placed<'_>) -> Option<InodeId> {
    let evidence = &of.side.evidence;
    let id = *evidence.files.shm.value()?.maps_identity.value()?;
    let mut mappings = evidence.mappings.value().into_iter().flat_map(|view| &view.mappings);
    let by_mapping = mappings.any(|mapping| mapping.shared && mapping.inode == id);
    let by_lock = evidence.locks.value().is_some_and(|locks| locks.shm.dead_man_switch.held());
    let by_user = users(of).any(|user| user.role() == Role::Ordinary);
    (by_mapping || by_lock || by_user).then_some(id)
}

fn mappers(of: Placed<'_>, mappings: &[&Mapping]) -> Mappers {
    let view = of.side.evidence.mappings.value();
    Mappers {
        side: of.index,
        processes: processes::of_mappings(mappings),
        processes_denied: view.map_or(0, |view| view.processes_denied),
        mappings_not_listed: view.map_or(0, |view| view.mappings_not_listed),
        mappings_unknown: view.map_or(0, |view| view.mappings_unknown),
    }
}

/// Whether processes of both sides were seen to use what their paths lead to. A verdict about mappings needs this.
pub(super) fn seen_at_work(pair: &Pair<'_>) -> bool {
    match mapped_of_both(pair) {
        [Mapped::This(a), Mapped::This(b)] => at_work(pair, &a, &b).is_ok(),
        _ => false,
    }
}

/// Whether both sides' wal-index was mapped by processes of both, at one time, for the files that the paths lead to.
///
/// # Errors
/// Why that is not known.
fn at_work(pair: &Pair<'_>, a: &[&Mapping], b: &[&Mapping]) -> Result<(), NotAtWork> {
    let [a, b] = &[a, b].map(|mapped| of_sqlite(pair, mapped));
    for (of, mapped) in [(pair.a, a), (pair.b, b)] {
        if mapped.is_empty() {
            return Err(NotAtWork::Bystanders(of.index));
        }
        uses_its_files(of, mapped)?;
        if let Some(pid) = of.side.process.filter(|pid| !mapped.iter().any(|mapping| mapping.pid == *pid)) {
            return Err(NotAtWork::NamedProcess(pid, of.index));
        }
    }
    // In one mount namespace the processes of one side are also those of the other.
    let namespaces = [pair.a, pair.b].map(|of| of.side.evidence.host.namespaces.mount.value());
    let all: BTreeSet<(u32, Option<u64>)> =
        a.iter().chain(b).map(|mapping| (mapping.pid, mapping.start_time)).collect();
    if namespaces[0] == namespaces[1] && all.len() < 2 {
        return Err(NotAtWork::OneProcess([pair.a.index, pair.b.index]));
    }
    continuity::together(pair, a, b)
}

/// Without the mappings of programs that look at the files and are no SQLite.
fn of_sqlite<'a>(pair: &Pair<'_>, mapped: &[&'a Mapping]) -> Vec<&'a Mapping> {
    let is_bystander = |mapping: &Mapping| {
        let is_its = |user: &&User| (user.pid, user.start_time) == (mapping.pid, mapping.start_time);
        [pair.a, pair.b].into_iter().flat_map(users).filter(is_its).any(|user| user.role() == Role::Bystander)
    };
    mapped.iter().filter(|mapping| !is_bystander(mapping)).copied().collect()
}

/// Whether each of these processes has the database and the `-wal` open that the path leads to.
///
/// # Errors
/// Which process has not, or for which process this was not seen.
fn uses_its_files(of: Placed<'_>, mapped: &[&Mapping]) -> Result<(), NotAtWork> {
    for mapping in mapped {
        for (part, open) in [(Part::Database, mapping.database_open), (Part::Wal, mapping.wal_open)] {
            match open {
                FileOpen::Open => {}
                FileOpen::NotOpen => return Err(NotAtWork::OtherFile(Process::from(*mapping), part, of.index)),
                FileOpen::NotKnown => return Err(NotAtWork::FileUnseen(Process::from(*mapping), part, of.index)),
            }
        }
    }
    Ok(())
}
