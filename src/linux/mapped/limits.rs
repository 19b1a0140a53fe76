//! Limits of the search for mappings. Anybody can map a file often: a process may have 65,530 mappings.

/// SQLite maps a wal-index in blocks of 32 KiB (`WALINDEX_PGSZ` in wal.c). A shorter mapping is none in use, but a look
/// at its identity such as walscope's own.
pub(in crate::linux) const BLOCK: u64 = 32 * 1024;

/// Further looks at whoever seems cut off.
pub(super) const LOOKS: u32 = 5;
/// Time before each of them, milliseconds.
pub(super) const PAUSE: u64 = 50;

/// Mappings that are listed for one side. A manifest has to be read by whoever compares it.
pub(super) const MAPPINGS_OF_A_SIDE: usize = 1024;
/// Descriptors that are looked at in one process.
pub(super) const DESCRIPTORS_OF_A_PROCESS: usize = 65_536;

/// Different mapped files that are looked into.
pub(super) const FILES_LOOKED_INTO: usize = 4096;
/// Names of mapped files that are looked into for one process: each name of each file is one, and a file can have 65,000.
pub(super) const NAMES_OF_A_PROCESS: usize = 4096;
/// Names of mapped files that are looked into for all processes together.
pub(super) const NAMES_OF_ALL_PROCESSES: usize = 5 * NAMES_OF_A_PROCESS;
/// Processes that are kept of one wal-index.
pub(super) const PROCESSES_OF_AN_INDEX: usize = 10_000;
/// Mappings of one file through which opening it is tried.
pub(super) const TRIES_TO_OPEN: usize = 8;
/// Bytes that are read from the beginning of a mapped file: the head of a wal-index.
pub(super) const HEAD_BYTES: usize = 136;
