//! The verdict of a probe. Two sides met, and each of them knows only itself.

use super::judge::{self, decided_by};
use super::{
    About, Answer, Because, Fact, Pair, PairVerdict, Placed, Says, Side, Subject, Verdict, beacon, identity,
    lock_pairing, mappings,
};
use crate::evidence::FileSystem;
use crate::evidence::live::Live;
use crate::sides::{HeldBack, Identity, MappingFact, PeerUnknown, SideIndex, Unknown};

/// The side that probes.
const HERE: SideIndex = SideIndex(0);
/// The other side, which is known only by its beacon.
const THERE: SideIndex = SideIndex(1);

/// How the identity of the `-shm` can be judged.
#[derive(Clone, Copy)]
pub enum Met<'a> {
    /// The other side's answer was bound to the same kernel identity as this side's file has: what is known of this one
    /// is true of both, and both are open now.
    SameIdentity(&'a Side),
    /// Its identity is not known, for this reason.
    Unknown(PeerUnknown),
    /// It was no examined file but a scratch file, on this file system if that was seen.
    Folder(Option<&'a FileSystem>),
}

/// What the processes of this side add: those that use another wal-index, and why sharing is not proven although the files
/// are one. Nothing is known of the other side's processes.
fn of_processes(pair: &Pair<'_>, shm: &Identity) -> (Vec<Because>, Option<HeldBack>) {
    let pairing = lock_pairing::judge(pair, shm);
    let mut refuting = vec![mappings::because(pair, shm), pairing.because];
    refuting.retain(|item| item.says == Says::Refutes);
    for item in &mut refuting {
        if let Fact::ProcessMappings(MappingFact::CutOff(cut_off)) = &mut item.fact {
            cut_off.retain(|split| split.side == HERE);
        }
    }
    (refuting, judge::reasons(pair, pairing.held_back).into_iter().next())
}

/// Judges what two sides showed each other. This side is the first side of `live`.
#[must_use]
pub fn probe(met: Met<'_>, live: &Live) -> Verdict {
    let (shm, doubt, (refuting, held_back)) = match met {
        Met::SameIdentity(here) => {
            let [a, b] = [HERE, THERE].map(|index| Placed { index, side: here });
            let pair = Pair { a, b, simultaneous: true, live: Some(live) };
            let files = judge::files_beside(&pair);
            let of_processes = of_processes(&pair, &files.shm);
            (files.shm, files.doubt, of_processes)
        }
        Met::Unknown(reason) => (Identity::Unknown(Unknown::Peer(reason)), None, (Vec::new(), None)),
        Met::Folder(_) => (Identity::Unknown(Unknown::Peer(PeerUnknown::ScratchFile)), None, (Vec::new(), None)),
    };
    let subject = if refuting.is_empty() { Subject::Paths } else { Subject::Mappings };
    let mut because = match met {
        Met::Folder(_) => Vec::new(),
        Met::SameIdentity(_) | Met::Unknown(_) => identity::because(&shm),
    };
    let worth = match met {
        Met::SameIdentity(side) => beacon::Worth::of_side(side),
        Met::Unknown(_) => beacon::Worth::of_another_file(),
        Met::Folder(file_system) => beacon::Worth::of_folder(file_system),
    };
    because.extend(refuting);
    because.extend(beacon::because(HERE, THERE, Some(live), worth));
    because.extend(beacon::tried(HERE, THERE, live));
    because.extend(beacon::coherence(live));
    let (mut memory, mut locks) = (judge::answer(&because, About::Memory), judge::answer(&because, About::Locks));
    let proven = Answer::of_both(memory, locks) == Answer::Proven;
    let held_back = held_back.filter(|_| proven);
    let sharing = match Answer::of_both(memory, locks) {
        Answer::Proven if doubt.is_some() || held_back.is_some() => Answer::Undecided,
        sharing => sharing,
    };
    if held_back.as_ref().is_some_and(HeldBack::leaves_nothing_shared) {
        (memory, locks) = (Answer::Undecided, Answer::Undecided);
    }
    let decided_by = decided_by(&because, sharing, memory, locks);
    Verdict {
        sharing,
        memory,
        locks,
        subject,
        decided_by: decided_by.clone(),
        assuming: Vec::new(),
        groups: Vec::new(),
        undecided: Vec::new(),
        pairs: vec![PairVerdict {
            sides: [HERE, THERE],
            sharing,
            memory,
            locks,
            subject,
            decided_by,
            because,
            one_side: None,
            apart: None,
            shm,
            two_files: None,
            doubt,
            held_back,
            assuming: Vec::new(),
            pages_of_processes: false,
        }],
    }
}
