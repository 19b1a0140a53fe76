//! What Linux shows about the files of a database and about the processes that use them.
//!
//! | folder or file | holds |
//! |---|---|
//! | `text/` | parsers of the kernel's texts, without any input or output |
//! | [`procfs`], [`target`], [`open`] | reading below `/proc`; in which process's view a path is; opening files without
//! side effects |
//! | `file_id`, `mapped_identity`, `stat`, `identities` | what open descriptors say about their files |
//! | `mounts`, `namespaces`, `container`, [`runtimes`], `host`, `clocks` | the process that the files belong to, and
//! its surroundings |
//! | `lock_view`, `descriptor_locks`, `own_locks` | who holds SQLite's locks |
//! | [`mapped`] | one scanner of processes: who maps the `-shm` of one side, and every mapped wal-index |
//! | `pagemap`, [`challenge`], `live_sides` | trials with two sides that are live at the same time |
//! | `beside` | sidecars in the folder whose database is missing |
//! | `gather` | all evidence about one side |
//! | `rights` | what the user who asks may do with the files |
//! | [`walk`] | the regular files below a folder |
//! | `staged` | what the lab does to itself to make a faulty set-up; nothing examined is touched |
//! | `sys` | the only unsafe calls |
//!
//! Nothing here decodes SQLite's formats or judges. What is known of SQLite is where its locks are
//! ([`LockSlot`](crate::evidence::LockSlot)), the names and the first bytes of the files of a database
//! ([`Part`](crate::evidence::Part)), and that a wal-index is mapped in blocks of 32 KiB. What could not be seen is an [`Observation`](crate::evidence::Observation) with its reason.
//!
//! Everything about one database is read through descriptors opened by [`open_database`], so that identities, bytes and
//! locks speak of the same files even when the paths are replaced meanwhile. The proc file system can be a folder that a
//! test made ([`Proc::new`]).

mod another_look;
mod beside;
pub mod challenge;
pub mod child;
mod clocks;
mod container;
mod container_root;
mod descriptor_locks;
mod file_id;
mod forked;
mod gather;
mod host;
mod identities;
mod live_sides;
mod lock_view;
pub mod mapped;
mod mapped_identity;
mod mounts;
mod namespaces;
pub mod open;
mod open_error;
mod own_child;
mod own_locks;
mod pagemap;
mod path_leads;
pub mod procfs;
mod rights;
pub mod runtimes;
#[cfg(feature = "lab")]
pub mod staged;
pub mod stat;
mod stopped;
mod sys;
pub mod target;
pub mod text;
mod unopened;
mod unseen;
pub mod walk;

pub use beside::{Sidecar, holds_all_the_time, sidecars_of_missing};
pub use gather::{clock_sample, evidence, evidence_without_holders, raw_texts};
pub use host::host_view;
pub use identities::identities;
pub use live_sides::{live, page_tables};
pub use lock_view::{dead_man_switch, lock_states, locks_view, name_holders};
pub use mapped::of_side::mappings_view;
pub use mapped::users::users_view;
pub use open::{
    Care, Opened, OpenedFiles, complete, folder_unchanged, in_place, journal_in_place, open_database, open_regular,
    paths_unchanged,
};
pub use open_error::OpenError;
pub use pagemap::LiveSide;
pub use procfs::Proc;
pub use rights::rights_view;
pub use stat::space;
pub use sys::{end_standard_output, ignores_signal, settle_inheritance, share_one_heap};
pub use target::Target;
pub use unopened::MappedFile;
