//! Beacons by which captures meet.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

/// The beacon that a capture holds on its `-shm`, and those of other captures that it sees there. A number is random, so
/// one that a capture held and another saw shows that both had one file open at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Contact {
    /// The number of its own beacon, held from before the capture until some time after it. Null: it holds none.
    #[cfg_attr(feature = "capture", serde(with = "super::decimal::optional"), schemars(with = "Option<String>"))]
    pub held: Option<u64>,
    /// The numbers of others.
    #[cfg_attr(feature = "capture", serde(with = "super::decimal::list"), schemars(with = "Vec<String>"))]
    pub seen: Vec<u64>,
}
