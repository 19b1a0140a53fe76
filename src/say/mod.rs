//! Sentences, made of facts: the last step before a document is written. One file for each family. Nothing here
//! decides anything. Sentences about two sides need the feature `capture`, as `compare` does.

pub mod check;
pub mod checkpoint;
#[cfg(feature = "capture")]
pub mod evidence;
pub mod finding;
#[cfg(feature = "capture")]
pub mod identity;
#[cfg(feature = "capture")]
pub mod lineage;
mod look;
#[cfg(feature = "capture")]
pub mod unseen;
#[cfg(feature = "capture")]
pub mod verdict;
#[cfg(feature = "capture")]
mod words;

#[cfg(feature = "cli")]
pub(crate) use words::plural;
#[cfg(feature = "capture")]
pub use words::{Names, processes};
