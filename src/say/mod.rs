//! Sentences, made of facts: the last step before a document is written. One file for each family. Nothing here
//! decides anything.

pub mod check;
pub mod checkpoint;
pub mod evidence;
pub mod finding;
pub mod identity;
pub mod lineage;
mod look;
pub mod unseen;
pub mod verdict;
mod words;

pub(crate) use words::plural;
pub use words::{Names, processes};
