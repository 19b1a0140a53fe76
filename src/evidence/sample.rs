//! The wal-index at one moment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ClockSample;

/// What the wal-index said at one moment; both header copies were equal and their checksums right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WalIndexSample {
    /// Clocks before the header was read.
    pub before: ClockSample,
    /// Clocks after it was read.
    pub after: ClockSample,
    /// `mxFrame`.
    pub mx_frame: u32,
    /// Both salts, as the WAL's big-endian numbers.
    pub salts: [u32; 2],
    /// `aFrameCksum`: meaningless while `mx_frame` is 0.
    pub frame_checksum: [u32; 2],
    /// `nBackfill`.
    pub backfilled: u32,
}
