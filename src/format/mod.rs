//! Bytes to structures, with nom: the `-wal`, the `-shm`, the database header. No files, no judgement.

pub mod checksum;
pub mod db;
mod error;
pub mod layout;
pub mod shm;
pub mod wal;

pub use error::ParseError;
use error::fixed;
