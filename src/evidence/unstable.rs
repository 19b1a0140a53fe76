//! Why a capture is not of one moment, as far as a verdict needs it.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

/// Why a capture is not of one moment, as far as a verdict needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum UnstableCause {
    /// At each look the `-shm` counted frames of one generation that the `-wal` did not have: it was removed, replaced or cut
    /// off while it was in use. Traffic does not look so.
    WalCutOff,
    /// Anything else: the files may have changed during the capture.
    Other,
}
