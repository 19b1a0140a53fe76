//! The verdict of a probe. Two sides met, and each of them knows only itself.

use super::judge::{self, decided_by};
use super::{About, Answer, Pair, PairVerdict, Placed, Side, Subject, Verdict, beacon, identity, lock_pairing, reach};
use crate::evidence::FileSystem;
use crate::evidence::live::Live;
use crate::sides::{HeldBack, Identity, PeerUnknown, SideIndex, Unknown};

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

/// Why a process that opens the database next cannot use the wal-index, although it is one on both sides. What else the
/// processes of this side hold says nothing of the other side's.
fn nobody_can_open(pair: &Pair<'_>, shm: &Identity) -> Option<HeldBack> {
    let by_processes = lock_pairing::judge(pair, shm).held_back;
    by_processes.into_iter().find(HeldBack::leaves_nothing_shared).or_else(|| reach::held_back(pair))
}

/// Judges what two sides showed each other. This side is the first side of `live`.
#[must_use]
pub fn probe(met: Met<'_>, live: &Live) -> Verdict {
    let (shm, doubt, held_back) = match met {
        Met::SameIdentity(here) => {
            let [a, b] = [HERE, THERE].map(|index| Placed { index, side: here });
            let pair = Pair { a, b, simultaneous: true, live: Some(live) };
            let files = judge::files_beside(&pair);
            let held_back = nobody_can_open(&pair, &files.shm);
            (files.shm, files.doubt, held_back)
        }
        Met::Unknown(reason) => (Identity::Unknown(Unknown::Peer(reason)), None, None),
        Met::Folder(_) => (Identity::Unknown(Unknown::Peer(PeerUnknown::ScratchFile)), None, None),
    };
    let mut because = match met {
        Met::Folder(_) => Vec::new(),
        Met::SameIdentity(_) | Met::Unknown(_) => identity::because(&shm),
    };
    let worth = match met {
        Met::SameIdentity(side) => beacon::Worth::of_side(side),
        Met::Unknown(_) => beacon::Worth::of_another_file(),
        Met::Folder(file_system) => beacon::Worth::of_folder(file_system),
    };
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
        subject: Subject::Paths,
        decided_by: decided_by.clone(),
        assuming: Vec::new(),
        groups: Vec::new(),
        undecided: Vec::new(),
        pairs: vec![PairVerdict {
            sides: [HERE, THERE],
            sharing,
            memory,
            locks,
            subject: Subject::Paths,
            decided_by,
            because,
            one_side: None,
            shm,
            two_files: None,
            doubt,
            held_back,
            assuming: Vec::new(),
            pages_of_processes: false,
        }],
    }
}
