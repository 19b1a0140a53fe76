//! Which processes have a wal-index mapped: one scanner for the evidence about one side, and for the list of all.
//!
//! * `scan` passes once over `/proc/PID/maps` of every visible process and says how many could be read.
//! * `of_side` picks what belongs to one database: mappings of its `-shm`, of another file under the same path, and of
//!   another wal-index for the same database. `wanted` says what belongs to it, `open_files` looks at descriptors,
//!   and `one_process` holds what was read of one process.
//! * `every_index` picks everything that could be a wal-index; `index`, `names` and `subvolume` say what each file is.
//! * `users` picks every process that has the database open, mapped or locked; `user` says what one process has,
//!   `descriptors` what it has open, `link` by which path, `inherited` what of it is an ancestor's, `replaced` what lay at the path before.
//! * `database_of` says which database a process uses with a wal-index, and which databases are used with several.
//! * `locked` picks the databases that processes have locked without such a wal-index.
//! * `unlocked` picks the processes that map a wal-index of that list and hold no lock on it.
//! * `settle` looks again at processes that seem cut off and keeps what stayed; `cut_off`, `closing` and `users` say which
//!   processes those are.
//! * `kept` finds the files of one database that processes still have open, also deleted and renamed ones.
//! * `limits` has every limit of these searches.

pub(in crate::linux) mod limits;

mod closing;
mod cut_off;
mod database_of;
mod descriptors;
pub mod every_index;
#[cfg(test)]
pub(in crate::linux) mod fake_proc;
mod fuse;
mod index;
mod inherited;
pub mod kept;
mod link;
mod locked;
mod names;
pub(in crate::linux) mod of_side;
mod one_process;
mod open_files;
mod replaced;
mod scan;
mod settle;
mod subvolume;
mod unlocked;
mod user;
pub(in crate::linux) mod users;
mod wal_beside;
mod wanted;

pub use every_index::every_wal_index;
pub(in crate::linux) use settle::pause;
