//! Sentences, made of facts: the last step before a document is written. One file for each family.

pub mod checkpoint;
pub mod finding;
mod look;
