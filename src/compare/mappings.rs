//! Which wal-index the visible processes of each side have mapped.

use std::collections::BTreeSet;

use super::{About, Because, Fact, Pair, Placed, Says, Side, continuity, identity};
use crate::evidence::{FileOpen, Mapping, Observation};
use crate::sides::{
    CutOffProcesses, Identity, MappedInodes, Mappers, MappingFact, NotAtWork, NotMapped, Part, Process, Recorded,
    Unseen, What,
};

/// The result of a look at one side's processes.
#[derive(Debug)]
pub(super) enum Mapped<'a> {
    /// Visible processes map exactly the side's `-shm`, and no other wal-index.
    This(Vec<&'a Mapping>),
    /// Visible processes map another wal-index than the one that the path leads to.
    Split(CutOffProcesses),
    /// Nothing is known, for this reason.
    Unseen(NotMapped),
}

/// Looks at the visible processes of one side.
///
/// Only processes of the side's own mount namespace count for its path, because the same path is another file
/// elsewhere. A process that has the side's database open counts everywhere.
pub(super) fn mapped(of: Placed<'_>) -> Mapped<'_> {
    let Placed { index: side, side: Side { evidence, .. } } = of;
    let unseen = |what, reason| Mapped::Unseen(NotMapped::Unseen(Unseen { side, what, reason }));
    let Some(view) = evidence.mappings.value() else {
        return unseen(What::Mappings, Recorded::of(&evidence.mappings));
    };
    let Some(namespace) = evidence.host.namespaces.mount.value() else {
        return unseen(What::MountNamespace, Recorded::of(&evidence.host.namespaces.mount));
    };
    let mappings = || view.mappings.iter().filter(|mapping| mapping.shared);
    let own = || mappings().filter(|mapping| mapping.mount_namespace.value() == Some(namespace));
    let shm = &evidence.files.shm;
    let id = match shm {
        Observation::Seen { value } => match &value.maps_identity {
            Observation::Seen { value } => Some(*value),
            other => return unseen(What::MappedIdentity(Part::Shm), Recorded::of(other)),
        },
        Observation::Missing { .. } => None,
        other => return unseen(What::File(Part::Shm), Recorded::of(other)),
    };
    let cut_off: Vec<Mapping> = mappings().filter(|mapping| mapping.cut_off.is_some()).cloned().collect();
    let reachable = shm.value().is_some_and(|file| identity::reachable(evidence, file));
    if !cut_off.is_empty() {
        let path_leads_to = id.filter(|_| reachable);
        return Mapped::Split(CutOffProcesses { side, mappings: cut_off, path_leads_to });
    }
    if shm.value().is_some() && !reachable {
        return Mapped::Unseen(NotMapped::Replaced(side));
    }
    // `maps` escapes a newline and nothing else.
    let path = format!("{}-shm", evidence.files.database_path).replace('\n', "\\012");
    if own().any(|mapping| Some(mapping.inode) != id && mapping.path == path) {
        return Mapped::Unseen(NotMapped::SeenOnce(side));
    }
    let this: Vec<&Mapping> = own().filter(|mapping| Some(mapping.inode) == id).collect();
    if !this.is_empty() {
        return Mapped::This(this);
    }
    Mapped::Unseen(NotMapped::Nobody {
        side,
        passing: view.passing,
        denied: view.processes_denied,
        reason: view.denied_reason.clone().map(Recorded),
        not_listed: view.mappings_not_listed,
    })
}

/// The mappings as evidence. `shm` is what was found about the identity of the `-shm`.
///
/// By themselves they can only refute. In favour of sharing, they change the subject from paths to mappings.
pub(super) fn because(pair: &Pair<'_>, shm: &Identity) -> Because {
    let (says, fact) = weigh(pair, shm);
    Because::new(About::Both, says, Fact::ProcessMappings(fact))
}

fn weigh(pair: &Pair<'_>, shm: &Identity) -> (Says, MappingFact) {
    let (a, b) = match (mapped(pair.a), mapped(pair.b)) {
        (Mapped::This(a), Mapped::This(b)) => (a, b),
        (a, b) => {
            let (mut cut_off, mut unseen) = (Vec::new(), Vec::new());
            for mapped in [a, b] {
                match mapped {
                    Mapped::Split(split) => cut_off.push(split),
                    Mapped::Unseen(reason) => unseen.push(reason),
                    Mapped::This(_) => {}
                }
            }
            return match cut_off.is_empty() {
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

fn mappers(of: Placed<'_>, mappings: &[&Mapping]) -> Mappers {
    let view = of.side.evidence.mappings.value();
    Mappers {
        side: of.index,
        processes: processes(mappings),
        processes_denied: view.map_or(0, |view| view.processes_denied),
        mappings_not_listed: view.map_or(0, |view| view.mappings_not_listed),
    }
}

/// The processes of some mappings, each once, sorted by pid.
pub(super) fn processes(mappings: &[&Mapping]) -> Vec<Process> {
    let all: BTreeSet<Process> = mappings.iter().map(|mapping| Process::from(*mapping)).collect();
    all.into_iter().collect()
}

/// Whether processes of both sides were seen to use what their paths lead to. A verdict about mappings needs this.
pub(super) fn seen_at_work(pair: &Pair<'_>) -> bool {
    match (mapped(pair.a), mapped(pair.b)) {
        (Mapped::This(a), Mapped::This(b)) => at_work(pair, &a, &b).is_ok(),
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

/// Processes anywhere that map the wal-index of a side, but do not have the database or the `-wal` open that its path
/// leads to.
pub(super) fn of_others(side: &Side, open: fn(&Mapping) -> FileOpen) -> Vec<&Mapping> {
    let id = side.evidence.files.shm.value().and_then(|file| file.maps_identity.value());
    let mappings = side.evidence.mappings.value().into_iter().flat_map(|view| &view.mappings);
    let of_this = mappings.filter(|mapping| mapping.shared && mapping.cut_off.is_none() && Some(&mapping.inode) == id);
    of_this.filter(|mapping| open(mapping) == FileOpen::NotOpen).collect()
}
