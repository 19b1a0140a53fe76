//! Turns system errors into observations of what could not be seen.

use std::io;

use crate::evidence::Observation;

/// The observation for a system error.
pub(super) fn unseen<T>(what: &str, error: &io::Error) -> Observation<T> {
    let reason = format!("{what}: {error}");
    if refused(error) {
        Observation::Denied { reason }
    } else if vanished(error) {
        Observation::Missing { reason }
    } else {
        Observation::Unsupported { reason }
    }
}

/// Whether the system refused: EACCES or EPERM.
pub(super) fn refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Whether the thing is not there (any more): ENOENT, or ESRCH of a process that ended.
pub(super) fn vanished(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// An observation made through another one; the reason of the first is kept.
pub(super) fn and_then<T, U>(first: &Observation<T>, then: impl FnOnce(&T) -> Observation<U>) -> Observation<U> {
    match first {
        Observation::Seen { value } => then(value),
        Observation::Denied { reason } => Observation::denied(reason),
        Observation::Missing { reason } => Observation::missing(reason),
        Observation::Unsupported { reason } => Observation::unsupported(reason),
    }
}
