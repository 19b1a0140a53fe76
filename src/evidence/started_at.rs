//! When a process was started, and how long it ran until it was looked at.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// The start of a process in seconds since 1970 (UTC), and the moment of the look. Two looks at one process are equal.
#[derive(Debug, Clone, Copy)]
pub struct StartedAt {
    /// The start.
    pub seconds: i64,
    /// The moment of the look. `None`: not recorded.
    pub seen: Option<i64>,
}

impl StartedAt {
    /// How many seconds it had been running.
    #[must_use]
    pub fn age(&self) -> Option<u64> {
        u64::try_from(self.seen?.saturating_sub(self.seconds)).ok()
    }
}

impl PartialEq for StartedAt {
    fn eq(&self, other: &Self) -> bool {
        self.seconds == other.seconds
    }
}

impl Eq for StartedAt {}

impl PartialOrd for StartedAt {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for StartedAt {
    fn cmp(&self, other: &Self) -> Ordering {
        self.seconds.cmp(&other.seconds)
    }
}

impl Hash for StartedAt {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.seconds.hash(state);
    }
}

/// Stored as a point in time in RFC 3339, such as `2026-12-01T09:18:28Z`.
#[cfg(feature = "capture")]
mod stored {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::StartedAt;

    impl Serialize for StartedAt {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match jiff::Timestamp::from_second(self.seconds) {
                Ok(moment) => serializer.serialize_str(&moment.to_string()),
                Err(_) => serializer.serialize_none(),
            }
        }
    }

    impl<'de> Deserialize<'de> for StartedAt {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            let moment: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
            Ok(Self { seconds: moment.as_second(), seen: None })
        }
    }

    impl JsonSchema for StartedAt {
        fn schema_name() -> Cow<'static, str> {
            "StartedAt".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "format": "date-time" })
        }
    }
}

#[cfg(all(test, feature = "capture"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_stored_as_people_read_it_and_looks_at_one_process_are_equal() {
        let started = StartedAt { seconds: 1_796_116_708, seen: Some(1_796_116_718) };
        let text = serde_json::to_string(&started).unwrap();
        assert_eq!(text, "\"2026-12-01T09:18:28Z\"");
        let read: StartedAt = serde_json::from_str(&text).unwrap();
        assert_eq!((read, started.age(), read.age()), (started, Some(10), None));
        assert!(serde_json::from_str::<StartedAt>("\"soon\"").is_err());
        let far = StartedAt { seconds: i64::MAX, seen: Some(i64::MIN) };
        assert_eq!((serde_json::to_string(&far).unwrap(), far.age()), ("null".to_owned(), None));
    }
}
