//! Decoders for SQLite's `-wal` and `-shm` files, and the judgement whether two sides share one wal-index.
//!
//! Data flows one way:
//!
//! ```text
//! bytes --> format --> wal, shm, look --+
//!                                       +--> finding, compare --> say --> report --> the command line
//! /proc, stat, locks --> linux --> bundle --+
//! ```
//!
//! # The POSIX-lock trap
//!
//! Closing *any* descriptor of a file drops every POSIX lock that the process holds on it. A library that opens and
//! closes a `-shm` inside an application which uses that database through SQLite silently removes SQLite's locks.
//! So [`mod@format`] and [`mod@wal`], [`mod@shm`], [`mod@look`] only parse bytes that they are given, and capturing (`linux`, `bundle`, `source`)
//! belongs into a process of its own: the `walscope` command. Do not call the capturing modules from a process that
//! has the same database open through SQLite. Where they find that this process holds such locks already, they refuse
//! before anything is opened; a connection that comes later, while a capture runs, they cannot protect.

#[cfg(all(feature = "capture", target_os = "linux"))]
pub mod bundle;
pub mod bytes;
#[cfg(feature = "capture")]
pub mod compare;
pub mod evidence;
pub mod finding;
pub mod format;
#[cfg(all(feature = "capture", target_os = "linux"))]
pub mod linux;
pub mod look;
pub mod number;
#[cfg(feature = "cli")]
pub mod report;
pub mod say;
pub mod shm;
#[cfg(all(feature = "capture", target_os = "linux"))]
pub mod source;
pub mod wal;
