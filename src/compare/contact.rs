//! Did one side see the beacon that the other held while it was captured?

use super::{About, Because, Fact, Pair, Placed, Says, beacon};
use crate::evidence::{Contact, Observation};
use crate::sides::{ContactFact, Identity, NoContact, NoProof, Recorded, SeenIsNotEnough, SideIndex, Unseen, What};

/// A beacon that one side held and the other saw.
#[derive(Debug, Clone, Copy)]
struct Met {
    holder: SideIndex,
    seeker: SideIndex,
    nonce: u64,
}

fn view(of: Placed<'_>) -> Option<&Contact> {
    of.side.evidence.contact.value()
}

fn meeting(pair: &Pair<'_>) -> Option<Met> {
    let one_way = |holder: Placed<'_>, seeker: Placed<'_>| {
        let nonce = view(holder)?.held?;
        view(seeker)?.seen.contains(&nonce).then_some(Met { holder: holder.index, seeker: seeker.index, nonce })
    };
    one_way(pair.a, pair.b).or_else(|| one_way(pair.b, pair.a))
}

/// Whether both captures had one `-shm` open at one moment. Numbers are random: two of them are never equal by chance.
pub(super) fn met(pair: &Pair<'_>) -> bool {
    meeting(pair).is_some()
}

/// Contact as evidence about the locks. `shm`: what was found about the identity of the `-shm`.
pub(super) fn because(pair: &Pair<'_>, shm: &Identity) -> Because {
    let (says, fact) = match meeting(pair) {
        Some(Met { holder, seeker, nonce }) => {
            // Somebody can copy locks from one file to another. Equal identities exclude that within one machine.
            let one_file = matches!(
                shm,
                Identity::OneInode(_)
                    | Identity::Alike(_, NoProof::OtherFiles(_) | NoProof::FileSystem | NoProof::Overlay)
            );
            let doubt = match one_file {
                true => beacon::Worth::of_pair(pair).doubt(),
                false => Some(SeenIsNotEnough::OtherFile),
            };
            let says = if doubt.is_none() { Says::Proves } else { Says::Supports };
            (says, ContactFact::Seen { holder, seeker, nonce, doubt })
        }
        None => (Says::Silent, ContactFact::Silent(why_not(pair))),
    };
    Because::new(About::Locks, says, Fact::Contact(fact))
}

fn why_not(pair: &Pair<'_>) -> NoContact {
    if pair.looked_at_by_one_process() {
        return NoContact::Live;
    }
    let sides = [pair.a, pair.b];
    let unseen = sides.into_iter().find_map(|of| match &of.side.evidence.contact {
        Observation::Seen { .. } => None,
        other => Some(NoContact::Unseen(Unseen { side: of.index, what: What::Contact, reason: Recorded::of(other) })),
    });
    let held = sides.into_iter().find(|of| view(*of).is_some_and(|contact| contact.held.is_some()));
    unseen.or_else(|| held.map(|of| NoContact::NotSeen(of.index))).unwrap_or(NoContact::NotHeld)
}
