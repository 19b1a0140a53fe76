//! Which wal-index the visible processes of each side have mapped.

use std::collections::BTreeSet;

use super::{About, Because, Fact, Pair, Placed, Says, continuity};
use crate::evidence::{FileOpen, InodeId, Mapping, Role};
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

/// The one wal-index that the processes of both sides have mapped, although no path leads to it, and who they are. `None`: they
/// have several mapped, or a process uses what the path leads to.
pub(super) fn on_one_other(pair: &Pair<'_>) -> Option<(InodeId, Vec<Process>)> {
    let [Mapped::Split(a), Mapped::Split(b)] = mapped_of_both(pair) else { return None };
    let cut_off = || a.mappings.iter().chain(&b.mappings);
    let inode = cut_off().next()?.inode;
    let uses_another = |of: Placed<'_>| {
        let evidence = &of.side.evidence;
        let mut mappings = evidence.mappings.value().into_iter().flat_map(|view| &view.mappings);
        let mut users = evidence.users.value().into_iter().flat_map(|view| &view.users);
        let id = evidence.files.shm.value().and_then(|shm| shm.maps_identity.value());
        mappings.any(|mapping| mapping.shared && Some(&mapping.inode) == id && mapping.inode != inode)
            || users.any(|user| {
                let elsewhere = user.other_index.as_ref().and_then(|other| other.inode).unwrap_or(inode);
                user.role() == Role::Ordinary && Some(&inode) != id || elsewhere != inode
            })
    };
    let one = cut_off().all(|mapping| mapping.inode == inode) && ![pair.a, pair.b].into_iter().any(uses_another);
    let all: BTreeSet<Process> = cut_off().map(Process::from).collect();
    one.then(|| (inode, all.into_iter().collect()))
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
    for (of, mapped) in [(pair.a, a), (pair.b, b)] {
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
