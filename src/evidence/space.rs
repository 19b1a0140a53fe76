//! The room on the file system of a database's folder.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

/// What statvfs(3) says about the file system of the folder, and what the `-wal` and the `-shm` have of it. Quotas are not
/// in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct SpaceView {
    /// Bytes of a block: `f_frsize`.
    pub block_size: u64,
    /// All blocks: `f_blocks`. 0: the file system does not count them.
    pub blocks: u64,
    /// Free blocks for root: `f_bfree`.
    pub free: u64,
    /// Free blocks for other users: `f_bavail`.
    pub available: u64,
    /// All inodes: `f_files`. 0: the file system does not count them.
    pub inodes: u64,
    /// Free inodes: `f_ffree`.
    pub free_inodes: u64,
    /// Bytes that the `-wal` takes on the file system. Null: there is none, or it was not seen.
    pub wal_allocated: Option<u64>,
    /// Bytes that the `-shm` takes on the file system. Null: there is none, or it was not seen.
    pub shm_allocated: Option<u64>,
}

impl SpaceView {
    /// Free bytes: `None` if the file system does not count blocks.
    #[must_use]
    pub fn free_bytes(&self, root: bool) -> Option<u64> {
        let blocks = if root { self.free } else { self.available };
        (self.blocks > 0 && self.block_size > 0).then(|| blocks.saturating_mul(self.block_size))
    }

    /// Bytes of the whole blocks that so many bytes take.
    #[must_use]
    pub fn in_blocks(&self, bytes: u64) -> u64 {
        let block = self.block_size.max(1);
        bytes.div_ceil(block).saturating_mul(block)
    }
}
