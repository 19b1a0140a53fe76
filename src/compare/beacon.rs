//! The lock beacon and the trial by mapping as evidence.

use super::{About, Because, Fact, Says};
use crate::evidence::Observation;
use crate::evidence::live::{Arrival, BeaconLook, CoherenceView, Live, Sight};
use crate::sides::{BeaconFact, CoherenceFact, NoBeacon, Recorded, SideIndex};

/// The lock beacon as evidence. A proof and a refutation can occur together. `a` and `b` are the two sides of `live`.
pub(super) fn because(a: SideIndex, b: SideIndex, live: Option<&Live>) -> Vec<Because> {
    let new = |says, fact| Because::new(About::Locks, says, Fact::LockBeacon(fact));
    let Some(live) = live else {
        return vec![new(Says::Silent, BeaconFact::Silent(NoBeacon::NotLive))];
    };
    let looks = [(a, b, &live.beacon.forth), (b, a, &live.beacon.back)];
    let seen = looks.iter().find_map(|&(holder, seeker, look)| {
        let look = look.value().filter(|look| look.sight == Sight::Seen)?;
        Some(new(Says::Proves, BeaconFact::Seen { holder, seeker, nonce: look.nonce }))
    });
    let unseen = looks.iter().find_map(|&(holder, seeker, look)| {
        look.value().filter(|look| refutes(look))?;
        Some(new(Says::Refutes, BeaconFact::NotSeen { holder, seeker }))
    });
    let mut because: Vec<Because> = seen.into_iter().chain(unseen).collect();
    if because.is_empty() {
        // A look that saw nothing says more than a look that was not tried.
        let look = looks.iter().find(|(_, _, look)| look.value().is_some()).or(looks.first());
        because.extend(look.map(|(_, _, look)| new(Says::Silent, BeaconFact::Silent(why_not(look)))));
    }
    because
}

/// "Not seen" refutes only if the pattern was certainly held, on the file that both paths still name.
fn refutes(look: &BeaconLook) -> bool {
    look.sight == Sight::NotSeen && look.held_throughout && look.files_in_place
}

fn why_not(look: &Observation<BeaconLook>) -> NoBeacon {
    match look.value() {
        Some(look) if look.sight == Sight::Garbled => NoBeacon::Garbled,
        Some(_) => NoBeacon::MayNotHaveBeenThere,
        None => NoBeacon::Untried(Recorded::of(look)),
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
