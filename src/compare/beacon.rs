//! Did one side see the locks that the other held? Were they refused to it? And what came of a trial by mapping.

use super::{About, Because, Fact, Pair, Says, Side};
use crate::evidence::file_system::{AskedLocks, FileSystemKind, UNKNOWN};
use crate::evidence::live::{Arrival, BeaconLook, CoherenceView, Live, Refusal, Sight, TriedLook, TriedView};
use crate::evidence::{FileSystem, Observation};
use crate::sides::{BeaconFact, CoherenceFact, NoBeacon, Recorded, SeenIsNotEnough, SideIndex, TriedFact};

/// What asking for locks is worth between two sides.
#[derive(Clone, Copy)]
pub(super) struct Worth {
    /// The more careful row of both file systems.
    kind: &'static FileSystemKind,
    /// Whether both sides are known to have the same file, or to be looked at by one process.
    one_file: bool,
}

impl Worth {
    /// Where one process looks at the files of both sides.
    pub(super) fn of_pair(pair: &Pair<'_>) -> Self {
        let [a, b] = [pair.a.side, pair.b.side].map(Self::row);
        Self { kind: if care(a) >= care(b) { a } else { b }, one_file: true }
    }

    /// Where the other side is known to have the same file as this one.
    pub(super) fn of_side(side: &Side) -> Self {
        Self { kind: Self::row(side), one_file: true }
    }

    /// On a scratch file, which both sides reached through its name and its content.
    pub(super) fn of_folder(file_system: Option<&FileSystem>) -> Self {
        Self { kind: file_system.map_or(&UNKNOWN, FileSystemKind::of_type), one_file: true }
    }

    /// Where nothing is known of the other side's file: locks can be copied from one file to another.
    pub(super) fn of_another_file() -> Self {
        Self { kind: &UNKNOWN, one_file: false }
    }

    fn row(side: &Side) -> &'static FileSystemKind {
        let found = side.evidence.files.shm.value().and_then(|file| file.file_system.value());
        found.map_or(&UNKNOWN, FileSystemKind::of_type)
    }

    /// Why a lock that is seen may stop nobody.
    pub(super) fn doubt(self) -> Option<SeenIsNotEnough> {
        match self.kind.asked_locks {
            _ if !self.one_file => Some(SeenIsNotEnough::OtherFile),
            AskedLocks::Enforced => None,
            _ if self.kind == &UNKNOWN => Some(SeenIsNotEnough::UnknownFileSystem),
            AskedLocks::Shown | AskedLocks::ShownInPart => Some(SeenIsNotEnough::FileSystem(self.kind.title)),
        }
    }

    fn every_lock_is_seen(self) -> bool {
        self.kind.asked_locks != AskedLocks::ShownInPart
    }
}

fn care(kind: &FileSystemKind) -> u8 {
    match kind.asked_locks {
        AskedLocks::Enforced => 0,
        AskedLocks::Shown => 1,
        AskedLocks::ShownInPart => 2,
    }
}

/// The lock beacon as evidence: a proof and a refutation can stand side by side. `a` and `b`: the two sides of `live`.
pub(super) fn because(a: SideIndex, b: SideIndex, live: Option<&Live>, worth: Worth) -> Vec<Because> {
    let new = |says, fact| Because::new(About::Locks, says, Fact::LockBeacon(fact));
    let Some(live) = live else {
        return vec![new(Says::Silent, BeaconFact::Silent(NoBeacon::NotLive))];
    };
    let looks = [(a, b, &live.beacon.forth), (b, a, &live.beacon.back)];
    let seen = looks.iter().find_map(|&(holder, seeker, look)| {
        let look = look.value().filter(|look| look.sight == Sight::Seen)?;
        let doubt = worth.doubt();
        let says = if doubt.is_none() { Says::Proves } else { Says::Supports };
        Some(new(says, BeaconFact::Seen { holder, seeker, nonce: look.nonce, doubt }))
    });
    let unseen = looks.iter().find_map(|&(holder, seeker, look)| {
        look.value().filter(|look| refutes(look) && worth.every_lock_is_seen())?;
        Some(new(Says::Refutes, BeaconFact::NotSeen { holder, seeker }))
    });
    let mut because: Vec<Because> = seen.into_iter().chain(unseen).collect();
    if because.is_empty() {
        // A look that saw nothing says more than a look that was not tried.
        let look = looks.iter().find(|(_, _, look)| look.value().is_some()).or(looks.first());
        because.extend(look.map(|(_, _, look)| new(Says::Silent, BeaconFact::Silent(why_not(look, worth)))));
    }
    because
}

/// "Not seen" refutes only if the pattern was certainly held, on the file that both paths still name.
fn refutes(look: &BeaconLook) -> bool {
    look.sight == Sight::NotSeen && look.held_throughout && look.files_in_place
}

fn why_not(look: &Observation<BeaconLook>, worth: Worth) -> NoBeacon {
    match look.value() {
        Some(look) if look.sight == Sight::Garbled => NoBeacon::Garbled,
        Some(look) if refutes(look) => {
            NoBeacon::NotAllAreSeen(Some(worth.kind.title).filter(|_| worth.kind != &UNKNOWN))
        }
        Some(_) => NoBeacon::MayNotHaveBeenThere,
        None => NoBeacon::Untried(Recorded::of(look)),
    }
}

/// The tried locks as evidence; nothing where trying is no part of the question. `a` and `b`: the two sides of `live`.
pub(super) fn tried(a: SideIndex, b: SideIndex, live: &Live) -> Option<Because> {
    let tried = live.tried.as_ref()?;
    let (says, fact) = match tried.value() {
        Some(view) => weigh_tries(a, b, view),
        None => (Says::Silent, TriedFact::Untried(Recorded::of(tried))),
    };
    Some(Because::new(About::Locks, says, Fact::TriedLocks(fact)))
}

/// SQLite uses POSIX locks of processes, so both ways these have to be refused. Where the kernel has no locks of open
/// file descriptions, that is enough.
fn weigh_tries(a: SideIndex, b: SideIndex, view: &TriedView) -> (Says, TriedFact) {
    let looks = [(a, b, &view.forth), (b, a, &view.back)];
    let results = |look: &TriedLook| {
        [&look.by_description, &look.by_process, &look.as_sqlite].map(|result| result.value().copied())
    };
    let any = |look: &TriedLook, refusal| results(look).contains(&Some(refusal));
    let granted = || looks.iter().filter(|(_, _, look)| any(look, Refusal::Granted));
    if let Some((holder, trier, _)) = granted().find(|(_, _, look)| look.held_throughout) {
        return (Says::Refutes, TriedFact::Granted { holder: *holder, trier: *trier });
    }
    if let Some((_, trier, _)) = granted().next() {
        return (Says::Silent, TriedFact::MayNotHaveBeenHeld(*trier));
    }
    if let Some((_, trier, _)) = looks.iter().find(|(_, _, look)| any(look, Refusal::Garbled)) {
        return (Says::Silent, TriedFact::EverythingRefused(*trier));
    }
    let untried = looks.iter().flat_map(|(_, _, look)| [&look.by_process, &look.as_sqlite]);
    match untried.into_iter().find(|result| result.value().is_none()) {
        Some(reason) => (Says::Silent, TriedFact::Untried(Recorded::of(reason))),
        None => (Says::Proves, TriedFact::Refused),
    }
}

/// The trial by mapping as evidence; nothing if no trial belongs to the question.
pub(super) fn coherence(live: &Live) -> Option<Because> {
    let trial = live.coherence.as_ref()?;
    let (says, fact) = match trial.value() {
        Some(found) => weigh(found),
        None => (Says::Silent, CoherenceFact::Untried(Recorded::of(trial))),
    };
    Some(Because::new(About::Memory, says, Fact::MappingCoherence(fact)))
}

fn weigh(found: &CoherenceView) -> (Says, CoherenceFact) {
    match (found.forth, found.back) {
        (Arrival::Lost, _) => (Says::Refutes, CoherenceFact::LostThere),
        (_, Arrival::Lost) => (Says::Refutes, CoherenceFact::LostHere),
        (Arrival::Arrived, Arrival::Arrived) if found.wanted > 0 && found.made == found.wanted => {
            (Says::Proves, CoherenceFact::RoundTrips(found.made))
        }
        (Arrival::Arrived, Arrival::Arrived) => (Says::Silent, CoherenceFact::Unanswered),
        _ => (Says::Silent, CoherenceFact::Unsaid),
    }
}
