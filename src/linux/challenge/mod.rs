//! What two live sides can find out by a trial together.
//!
//! * [`beacon`]: one side holds a pattern of locks far beyond SQLite's bytes, the other looks for it.
//! * [`meeting`]: two sides find each other on one `-shm` by a word, through beacons alone. Nothing is written.
//! * [`bound`]: the words by which two sides at a meeting know each other.
//! * [`contact`]: beacons that captures hold and see.
//! * [`trial`]: two sides find each other in a folder, write to a scratch file that both have mapped, and try each
//!   other's locks on it.

pub mod beacon;
pub mod bound;
pub mod contact;
pub mod meeting;
mod scratch;
mod status_file;
pub mod trial;
mod tries;
