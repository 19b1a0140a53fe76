//! What the targets share: bytes that a random change leaves worthless are made plausible again, so that more than the
//! first check is reached.

pub mod archive;
pub mod bits;
pub mod chain;
pub mod text;
