//! Points in time, and the clocks of a process.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

/// A point in time of the file system or the wall clock (CLOCK_REALTIME).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// Nanoseconds since 1970.
    #[must_use]
    pub fn since_1970(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds)
    }
}

/// The clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct ClockSample {
    /// CLOCK_BOOTTIME in nanoseconds, as this process sees it.
    pub boottime: u64,
    /// CLOCK_REALTIME.
    pub realtime: Timestamp,
    /// The offset in nanoseconds that the time namespace of this process adds to CLOCK_BOOTTIME; 0 outside of time
    /// namespaces. `None`: `/proc/self/timens_offsets` could not be read, so the clock cannot be compared with others.
    pub boottime_offset: Option<i64>,
}

impl ClockSample {
    /// CLOCK_BOOTTIME of the initial time namespace, nanoseconds: comparable between containers of one kernel.
    #[must_use]
    pub fn host_boottime(&self) -> Option<u64> {
        self.boottime.checked_add_signed(self.boottime_offset?.checked_neg()?)
    }
}
