//! Something that was looked at: seen, or not seen for a reason.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

/// Something that was looked at: it was seen, or there is a reason why not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "capture",
    derive(JsonSchema, Serialize, Deserialize),
    serde(tag = "status", rename_all = "snake_case")
)]
pub enum Observation<T> {
    /// It was seen.
    Seen {
        /// What was seen.
        value: T,
    },
    /// The system refused to show it.
    Denied {
        /// The reason.
        reason: String,
    },
    /// It is not there.
    Missing {
        /// The reason.
        reason: String,
    },
    /// This kernel or file system cannot show it.
    Unsupported {
        /// The reason.
        reason: String,
    },
}

impl<T> Observation<T> {
    /// A value that was seen.
    pub fn seen(value: T) -> Self {
        Self::Seen { value }
    }

    /// A value that the system refused to show, with the reason.
    pub fn denied(reason: impl Into<String>) -> Self {
        Self::Denied { reason: reason.into() }
    }

    /// A value that is not there, with the reason.
    pub fn missing(reason: impl Into<String>) -> Self {
        Self::Missing { reason: reason.into() }
    }

    /// A value that this kernel or file system cannot give, with the reason.
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported { reason: reason.into() }
    }

    /// The value, if it was seen.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Seen { value } => Some(value),
            _ => None,
        }
    }

    /// The value, or `Some(None)` when it is known that there is none; `None` when that could not be seen.
    #[must_use]
    pub fn known(&self) -> Option<Option<&T>> {
        match self {
            Self::Seen { value } => Some(Some(value)),
            Self::Missing { .. } => Some(None),
            Self::Denied { .. } | Self::Unsupported { .. } => None,
        }
    }

    /// Why there is no value.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Seen { .. } => None,
            Self::Denied { reason } | Self::Missing { reason } | Self::Unsupported { reason } => Some(reason),
        }
    }

    /// The same with a reference to the value.
    #[must_use]
    pub fn as_ref(&self) -> Observation<&T> {
        match self {
            Self::Seen { value } => Observation::seen(value),
            Self::Denied { reason } => Observation::denied(reason),
            Self::Missing { reason } => Observation::missing(reason),
            Self::Unsupported { reason } => Observation::unsupported(reason),
        }
    }

    /// Applies `f` to the value; without a value, the reason stays.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Observation<U> {
        match self {
            Self::Seen { value } => Observation::Seen { value: f(value) },
            Self::Denied { reason } => Observation::Denied { reason },
            Self::Missing { reason } => Observation::Missing { reason },
            Self::Unsupported { reason } => Observation::Unsupported { reason },
        }
    }
}
