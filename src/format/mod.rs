//! Bytes to structures, with nom: the `-wal`, the `-shm`, the database header, pages of
//! b-trees with their cells and records, the freelist and the pointer maps, the schema on page 1. No files, no judgement.

pub mod btree;
pub mod checksum;
pub mod db;
mod error;
pub mod first_page;
pub mod flip;
pub mod freelist;
pub mod journal;
pub mod layout;
pub(crate) mod record;
pub mod schema;
pub mod shm;
pub(crate) mod varint;
pub mod wal;

pub use error::ParseError;
use error::fixed;
