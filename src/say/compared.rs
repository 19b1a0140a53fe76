//! The sentences about what comparing two sides found.

use super::words::Names;
use super::{identity, sides, unseen};
use crate::finding::value::{Compared, Diverged, Sides};
use crate::sides::Identity;

/// The other reason why content can differ.
pub(crate) const LOST_TAIL: &str = "a tail lost by a crash or a backup restored between the captures looks the same";

/// What comparing two sides found, without a full stop.
#[must_use]
pub fn compared(sides: &Sides, fact: &Compared) -> String {
    match fact {
        Compared::Identity(identity) => identity_of(sides, identity),
        Compared::Parting(parting) => with_names(sides, |names| sides::parting(parting, names)),
        Compared::NotRefuted(why) => with_names(sides, |names| unseen::not_refuted(why, names)),
    }
}

pub(super) fn diverged_captures(Diverged { sides, parting, not_refuted }: &Diverged) -> String {
    with_names(sides, |names| {
        let (parting, why) = (sides::parting(parting, names), unseen::not_refuted(not_refuted, names));
        format!("{parting}. Two writers on two wal-indexes leave that behind; {LOST_TAIL}, and {why}.")
    })
}

pub(super) fn with_names(sides: &Sides, say: impl FnOnce(Names<'_>) -> String) -> String {
    say(Names::of_some(&sides.at, &sides.labels.each_ref().map(String::as_str)))
}

pub(super) fn identity_of(sides: &Sides, identity: &Identity) -> String {
    with_names(sides, |names| identity::identity(identity, names))
}
