//! Decoders for SQLite's `-wal` and `-shm` files, and the judgement whether two sides share one wal-index.
//!
//! Data flows one way:
//!
//! ```text
//! bytes --> format --> analysis --+
//!                                 +--> compare --> report --> the command line
//! /proc, stat, locks --> linux --> snapshot --+
//! ```
//!
//! # The POSIX-lock trap
//!
//! Closing *any* descriptor of a file drops every POSIX lock that the process holds on it. A library that opens and
//! closes a `-shm` inside an application which uses that database through SQLite silently removes SQLite's locks.
//! So [`mod@format`] and [`analysis`] only parse bytes that they are given, and capturing (`linux`, `snapshot`, `source`)
//! belongs into a process of its own: the `walscope` command. Do not call the capturing modules from a process that
//! has the same database open through SQLite. Where they find that this process holds such locks already, they refuse
//! before anything is opened; a connection that comes later, while a capture runs, they cannot protect.

pub mod analysis;
pub mod bytes;
pub mod compare;
pub mod evidence;
pub mod finding;
pub mod format;
#[cfg(target_os = "linux")]
pub mod linux;
pub mod report;
#[cfg(target_os = "linux")]
pub mod snapshot;
#[cfg(target_os = "linux")]
pub mod source;
