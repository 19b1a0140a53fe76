//! Bytes to structures, with nom: the `-wal`, the `-shm`, the database header, the schema on page 1. No files, no judgement.

pub mod checksum;
pub mod db;
mod error;
pub mod first_page;
pub mod flip;
pub mod journal;
pub mod layout;
pub mod schema;
pub mod shm;
pub mod wal;

pub use error::ParseError;
use error::fixed;
