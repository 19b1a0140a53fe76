//! The wal-index at one moment.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

use super::ClockSample;
use crate::number::{Checksum, FrameNumber, Salts};

/// Frame numbers of a wal-index have 32 bits: a larger number in a bundle is refused.
#[cfg(feature = "capture")]
mod in_32_bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::FrameNumber;

    pub(super) fn serialize<S: Serializer>(frame: &FrameNumber, serializer: S) -> Result<S::Ok, S::Error> {
        frame.saturating_u32().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FrameNumber, D::Error> {
        u32::deserialize(deserializer).map(FrameNumber::from)
    }
}

/// What the wal-index showed at one moment. Both header copies were equal and their checksums right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct WalIndexSample {
    /// The clocks before the header was read.
    pub before: ClockSample,
    /// The clocks after the header was read.
    pub after: ClockSample,
    /// `mxFrame`.
    #[cfg_attr(feature = "capture", serde(with = "in_32_bits"), schemars(with = "u32"))]
    pub mx_frame: FrameNumber,
    /// Both salts, as the WAL's big-endian numbers.
    pub salts: Salts,
    /// `aFrameCksum`. It means nothing while `mx_frame` is 0.
    pub frame_checksum: Checksum,
    /// `nBackfill`.
    #[cfg_attr(feature = "capture", serde(with = "in_32_bits"), schemars(with = "u32"))]
    pub backfilled: FrameNumber,
}
