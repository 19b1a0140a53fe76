//! What two live sides can find out by a trial together.
//!
//! * [`beacon`]: one side holds a pattern of locks far beyond SQLite's bytes, the other looks for it.
//! * [`meeting`]: two sides find each other on one `-shm` by a word, through beacons alone. Nothing is written.
//! * [`trial`]: two sides find each other in a folder, and write to a scratch file that both have mapped.

pub mod beacon;
pub mod meeting;
mod status_file;
pub mod trial;
