//! Did one side see the locks that the other held? And what came of a trial by mapping.

use super::{About, Because, Kind, Says};
use crate::evidence::Observation;
use crate::evidence::live::{BeaconLook, CoherenceView, Live, Sight};

/// The lock beacon as evidence: a proof and a refutation can stand side by side.
pub(super) fn because(a: &str, b: &str, live: Option<&Live>) -> Vec<Because> {
    let Some(live) = live else {
        let reason = "locks are held by live processes: compare two live sides, or run walscope probe on both";
        return vec![silent(reason.to_owned())];
    };
    let looks = [(a, b, &live.beacon.forth), (b, a, &live.beacon.back)];
    let seen = looks.iter().find_map(|(holder, seeker, look)| {
        let look = look.value().filter(|look| look.sight == Sight::Seen)?;
        Some(format!("64 bits that {holder} held as locks were read by {seeker} ({:016x})", look.nonce))
    });
    let unseen = looks.iter().find_map(|(holder, seeker, look)| {
        look.value()
            .filter(|look| refutes(look))
            .map(|_| format!("{holder} held 64 locks throughout, and {seeker} saw none of them"))
    });
    let mut because = Vec::new();
    because.extend(seen.map(|detail| Because::new(Kind::LockBeacon, About::Locks, Says::Proves, detail)));
    because.extend(unseen.map(|detail| Because::new(Kind::LockBeacon, About::Locks, Says::Refutes, detail)));
    if because.is_empty() {
        // What somebody looked for in vain says more than what nobody tried.
        let (tried, untried): (Vec<_>, Vec<_>) = looks.iter().partition(|(_, _, look)| look.value().is_some());
        let reason = tried.iter().chain(&untried).map(|(_, _, look)| why_not(look)).next();
        because.push(silent(reason.unwrap_or_default()));
    }
    because
}

fn silent(reason: String) -> Because {
    Because::silent(Kind::LockBeacon, About::Locks, reason, "the lock beacon decides nothing here")
}

/// Not seen refutes only where the pattern was certainly there, on the file that both paths still name.
fn refutes(look: &BeaconLook) -> bool {
    look.sight == Sight::NotSeen && look.held_throughout && look.files_in_place
}

fn why_not(look: &Observation<BeaconLook>) -> String {
    match look {
        Observation::Seen { value } if value.sight == Sight::Garbled => {
            "other locks lay over the pattern; try again".to_owned()
        }
        Observation::Seen { .. } => {
            "it was not seen, which counts only where the holder is known to have held throughout, and both paths still name the file".to_owned()
        }
        unseen => unseen.reason().unwrap_or_default().to_owned(),
    }
}

/// The trial by mapping as evidence; nothing where it is no part of the question.
pub(super) fn coherence(live: &Live) -> Option<Because> {
    let new = |says, detail: String| Because::new(Kind::MappingCoherence, About::Memory, says, detail);
    let silent = |reason: &str| {
        Because::silent(Kind::MappingCoherence, About::Memory, reason, "the trial by mapping decides nothing here")
    };
    Some(match live.coherence.as_ref()? {
        Observation::Seen { value } => weigh(value, &new, &silent),
        unseen => silent(unseen.reason().unwrap_or_default()),
    })
}

fn weigh(found: &CoherenceView, new: &dyn Fn(Says, String) -> Because, silent: &dyn Fn(&str) -> Because) -> Because {
    match (found.forth, found.back) {
        (Some(false), _) => {
            new(Says::Refutes, "what was written through the mapping here was not there on the other side".to_owned())
        }
        (_, Some(false)) => {
            new(Says::Refutes, "what the other side wrote through its mapping was not there here".to_owned())
        }
        (Some(true), Some(true)) if found.wanted > 0 && found.made == found.wanted => new(
            Says::Proves,
            format!("{} times a fresh number went there and back through the two mappings", found.made),
        ),
        (Some(true), Some(true)) => silent("the first numbers were seen, later ones were not answered in time"),
        _ => silent("the other side did not say what it saw"),
    }
}
