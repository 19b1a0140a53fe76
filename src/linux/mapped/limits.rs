//! Limits of the search for mappings. Anybody can map a file often: a process may have 65,530 mappings.

/// SQLite maps a wal-index in blocks of 32 KiB (`WALINDEX_PGSZ` in wal.c). A shorter mapping is no wal-index in use; it
/// may be another walscope that looks up the identity of the file.
pub(in crate::linux) const BLOCK: u64 = 32 * 1024;

/// Number of further looks at processes that seem cut off.
pub(super) const LOOKS: u32 = 5;
/// Time before each further look, in milliseconds.
pub(super) const PAUSE: u64 = 50;

/// At most so many mappings are listed for one side: a manifest must stay small enough to be read.
pub(super) const MAPPINGS_OF_A_SIDE: usize = 1024;
/// At most so many processes are listed that use one database.
pub(super) const USERS_OF_A_SIDE: usize = 1024;
/// At most so many descriptors of one process are searched for locks of another wal-index.
pub(super) const DESCRIPTORS_WITH_LOCKS: usize = 4096;
/// At most so many ancestors of a process are looked for.
pub(super) const ANCESTORS: usize = 16;
/// At most so many descriptors are looked at in one process.
pub(in crate::linux) const DESCRIPTORS_OF_A_PROCESS: usize = 65_536;

/// At most so many different mapped files are examined.
pub(super) const FILES_LOOKED_INTO: usize = 4096;
/// At most so many names of mapped files are looked up for one process. Each name of each file counts, and a file can
/// have 65,000 names.
pub(super) const NAMES_OF_A_PROCESS: usize = 4096;
/// At most so many names of mapped files are looked up for all processes together.
pub(super) const NAMES_OF_ALL_PROCESSES: usize = 5 * NAMES_OF_A_PROCESS;
/// At most so many processes are listed for one wal-index.
pub(super) const PROCESSES_OF_AN_INDEX: usize = 10_000;
/// At most so many mappings of one file are tried to open it.
pub(super) const TRIES_TO_OPEN: usize = 8;
/// Bytes that are read from the beginning of a mapped file: the head of a wal-index.
pub(super) const HEAD_BYTES: usize = 136;
