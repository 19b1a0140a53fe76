//! What a side does not show, and why two sides cannot be compared. The sentences have no full stop.

use super::words::Names;
use crate::sides::{Gap, NoCommonClock, NoCommonKernel, NotRefuted, Part, SideIndex, Unseen, What};

/// The other reason why files can differ.
pub(super) const MOVED: &str = "a folder moved or a volume switched between the captures looks the same: capture again while both are open, or compare live";

/// Something that one side does not show.
pub(super) fn unseen(unseen: &Unseen, names: Names<'_>) -> String {
    let label = names.of(unseen.side);
    let of_part = |what: &str, file: Part| format!("the {what} of the {} of {label} was", file.name());
    let what = match unseen.what {
        What::BootId => format!("the boot id of {label} was"),
        What::File(file) => format!("the {} of {label} was", file.name()),
        What::Absent(file) => return format!("{label} has no {}: {}", file.name(), unseen.reason.0),
        What::MappedIdentity(file) => of_part("identity as mapped", file),
        What::FileSystem(file) => of_part("file system", file),
        What::BirthTime(file) => of_part("birth time", file),
        What::Generation(file) => of_part("inode generation", file),
        What::Mount(file) => of_part("mount", file),
        What::MountAccess(file) => of_part("way of mounting", file),
        What::JournalMode => format!("the journal mode of {label} was"),
        What::Contact => format!("the beacons on the -shm of {label} were"),
        What::DatabaseLock => format!("the lock on the database of {label} was"),
        What::Mappings => format!("the mappings of {label} were"),
        What::MountNamespace => format!("the mount namespace of {label} was"),
    };
    format!("{what} not seen: {}", unseen.reason.0)
}

/// The sentence that a file was deleted or replaced while a side was captured.
pub(super) fn replaced_during_capture(file: Part, side: SideIndex, names: Names<'_>) -> String {
    format!("the {} of {} was deleted or replaced while it was captured", file.name(), names.of(side))
}

/// Why it is not known that both sides are of one kernel.
pub(super) fn no_common_kernel(why: &NoCommonKernel, names: Names<'_>) -> String {
    match why {
        NoCommonKernel::Unseen(what) => unseen(what, names),
        NoCommonKernel::Different => {
            "the boot ids differ: two kernels, or one of the two was mounted over; identities cannot be compared"
                .to_owned()
        }
    }
}

/// Why the times of two captures cannot be compared.
pub(super) fn no_common_clock(why: &NoCommonClock, names: Names<'_>) -> String {
    match why {
        NoCommonClock::Kernel(why) => no_common_kernel(why, names),
        NoCommonClock::EndedBeforeItBegan(side) => {
            format!("{} ended before it began, by its own clock", names.of(*side))
        }
        NoCommonClock::OffsetUnseen(side) => format!("the clock offset of {} was not seen", names.of(*side)),
    }
}

/// Why content that does not fit together refutes nothing.
#[must_use]
pub fn not_refuted(why: &NotRefuted, names: Names<'_>) -> String {
    match why {
        NotRefuted::Gap(why) => gap(why, names),
        NotRefuted::InPlace => {
            "identity does not tell the files apart, and files that are overwritten in place look the same".to_owned()
        }
    }
}

/// Why it is not known that both sides were seen within one life of the files that they have open.
#[must_use]
pub fn gap(why: &Gap, names: Names<'_>) -> String {
    match why {
        Gap::Clock(why) => no_common_clock(why, names),
        Gap::NoProcessThroughout(later) => format!(
            "no process was seen on {} that maps its -shm and is older than the other capture",
            names.of(*later)
        ),
        Gap::ShmMayBeYounger(later) => {
            format!("the -shm of {} may be younger than the other capture", names.of(*later))
        }
    }
}
