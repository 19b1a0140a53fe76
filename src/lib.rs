//! Decoders for SQLite's `-wal` and `-shm` files, and the judgement whether two sides share one wal-index.
//!
//! Bytes are enough, from wherever they come. The commits of a `-wal`:
//!
//! ```
//! let wal: &[u8] = &std::fs::read("testdata/cases/six-classes-wal/t.db-wal")?;
//! for commit in walscope::wal::commits(&wal) {
//!     let commit = commit?;
//!     println!("frame {}: the database has {} pages", commit.number, commit.header.commit_pages);
//! }
//! # assert!(walscope::wal::commits(&wal).count() > 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! What the checkpoint of a database is doing, from its `-wal` and `-shm`:
//!
//! ```
//! use walscope::look::{Bytes, Options, inspect};
//!
//! let files = Bytes {
//!     wal: Some(std::fs::read("testdata/cases/six-classes-wal/t.db-wal")?),
//!     shm: Some(std::fs::read("testdata/cases/six-classes-wal/t.db-shm")?),
//!     ..Bytes::default()
//! };
//! let inspection = inspect(&files, &Options::default())?;
//! if let Some(checkpoint) = inspection.checkpoint {
//!     println!("{:?}: {} of {} frames wait", checkpoint.state, checkpoint.pending, checkpoint.committed);
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Whether two containers share one wal-index, from a bundle of each (with the feature `capture`, on Linux):
//!
//! ```
//! # #[cfg(all(feature = "capture", target_os = "linux"))] {
//! use walscope::bundle::Capture;
//! use walscope::compare::{Answer, Side, compare};
//!
//! let reader = Capture::open("testdata/bundles/copied/reader.walsnap".as_ref())?;
//! let writer = Capture::open("testdata/bundles/copied/writer.walsnap".as_ref())?;
//! let sides = [Side::from_capture(&reader)?, Side::from_capture(&writer)?];
//! let comparison = compare(&sides, false);
//! assert_eq!(comparison.verdict.sharing, Answer::Refuted);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/` has programs for the three. The features are `decode`, `capture`, `cli` and `lab`, each with the one before
//! it; a library that takes `default-features = false` gets `decode`, which compiles for any system.
//!
//! # How data flows
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
pub mod shell_word;
pub mod shm;
pub mod sides;
#[cfg(all(feature = "capture", target_os = "linux"))]
pub mod source;
pub mod state;
pub mod tree;
pub mod wal;
