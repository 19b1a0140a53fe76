//! Where the path of a `-shm` leads at the moment of a look.

use crate::number::FileId;

/// Where the path of the `-shm` leads, beside the file that was opened there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathLeads {
    /// To the file that was opened.
    Here,
    /// To another file than the one that was opened, or to one where there was none.
    Elsewhere(FileId),
    /// To none.
    Nowhere,
    /// That could not be seen.
    Unknown,
}
