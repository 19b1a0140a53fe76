//! How a device travels in documents, and an inode as the kernel prints it for a mapping.

use std::fmt;

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Deserializer, Serialize, Serializer},
};

use crate::number::Device;

#[cfg(feature = "capture")]
impl JsonSchema for Device {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Device".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+:[0-9]+$", "description": "A device number as `major:minor`, decimal." })
    }
}

#[cfg(feature = "capture")]
impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "capture")]
impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.split_once(':')
            .and_then(|(major, minor)| Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? }))
            .ok_or_else(|| serde::de::Error::custom(format!("expected a device as major:minor, found {text:?}")))
    }
}

/// An inode as `/proc/PID/maps` prints it for a mapping of the file.
///
/// This can differ from what `stat` returns: on btrfs subvolumes the devices differ.
// What `stat` says is a `number::FileId`. It is not written above because that text is part of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct InodeId {
    /// The device column of `maps`.
    pub device: Device,
    /// The inode column of `maps`.
    #[cfg_attr(feature = "capture", serde(with = "super::decimal"), schemars(with = "String"))]
    pub inode: u64,
}

impl fmt::Display for InodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} inode {}", self.device, self.inode)
    }
}
