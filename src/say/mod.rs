//! Sentences, made of facts: the last step before a document is written. One file for each family. Nothing here
//! decides anything. Sentences about verdicts need the feature `capture`, as `compare` does.

pub mod check;
pub mod checkpoint;
#[cfg(feature = "capture")]
pub mod evidence;
pub mod finding;
pub mod identity;
#[cfg(feature = "capture")]
pub mod lineage;
mod look;
#[cfg(feature = "capture")]
mod pairing;
#[cfg(feature = "capture")]
mod reach;
mod rescue;
mod sides;
pub mod unseen;
pub mod users;
mod users_found;
#[cfg(feature = "capture")]
pub mod verdict;
mod words;

pub use words::Names;

/// A noun after a number: `1 frame`, `2 frames`.
pub(crate) fn plural(n: u64, noun: &str) -> String {
    format!("{noun}{}", if n == 1 { "" } else { "s" })
}
