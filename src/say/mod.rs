//! Sentences, made of facts: the last step before a document is written. One file for each family. Nothing here
//! decides anything. Sentences about verdicts need the feature `capture`, as `compare` does.

mod against;
#[cfg(feature = "capture")]
mod apart;
pub mod check;
pub mod checkpoint;
pub mod compared;
pub mod damage;
#[cfg(feature = "capture")]
pub mod evidence;
pub mod finding;
mod header;
pub(crate) mod held_up;
pub mod identity;
mod journal;
mod kinds;
#[cfg(feature = "capture")]
pub mod lineage;
mod links;
mod log_apart;
mod look;
pub mod opening;
mod other_names;
pub mod over_time;
mod pair;
#[cfg(feature = "capture")]
mod pairing;
#[cfg(feature = "capture")]
mod reach;
mod renamed;
pub(crate) mod rescue;
mod room;
mod sentence;
mod sides;
mod trees;
pub mod unseen;
pub mod users;
mod users_found;
#[cfg(feature = "capture")]
pub mod verdict;
mod wal_truncated;
mod words;

pub use words::{Names, count, many};
