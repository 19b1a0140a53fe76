//! One file for each command.

pub mod compare;
pub mod explain;
pub mod inspect;
pub mod probe;
pub mod ps;
pub mod rescue;
pub mod schema;
pub mod shm;
pub mod snapshot;
pub mod verify;
pub mod wal;
