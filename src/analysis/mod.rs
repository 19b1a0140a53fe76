//! Facts about one capture: pure functions of bytes and of a lock view.

pub mod checkpoint;
pub mod checks;
pub mod examine;
pub mod findings;
pub mod frame_index;
pub mod frames;
pub mod moment;
pub mod shm;
pub mod surroundings;
pub mod transactions;
pub mod wal;
