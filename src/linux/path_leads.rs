//! Where the path of a `-shm` leads at the moment of a look.

use crate::number::FileId;

/// Where the path of the `-shm` leads, compared with the file that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathLeads {
    /// To the file that was opened.
    Here,
    /// To another file than the one that was opened, or to a file although there was none before.
    Elsewhere(FileId),
    /// To no file.
    Nowhere,
    /// It could not be seen.
    Unknown,
}
