//! Who has a `-shm` mapped, as the fact of a finding.

use super::value::{Evidence, Fact};
use crate::evidence::{InodeId, MappingProcess};
use crate::sides::Process;

/// Who has more of a `-shm` mapped than there is of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mappers {
    /// Processes at the database that was looked at. Empty: somebody holds its locks, and no mapping was seen.
    Here(Vec<Process>),
    /// Processes of one mapped wal-index.
    Index {
        /// What is mapped.
        mapped: InodeId,
        /// The path that it was mapped by.
        path: String,
        /// The processes.
        processes: Vec<MappingProcess>,
    },
}

impl Fact for Mappers {
    fn show(&self, _: &'static str, evidence: &mut Evidence) {
        match self {
            Self::Here(processes) => {
                processes.iter().map(|process| process.pid).collect::<Vec<u32>>().show("pids", evidence);
            }
            Self::Index { mapped, path, processes } => {
                mapped.show("mapped", evidence);
                path.show("path", evidence);
                processes.iter().map(|process| process.pid).collect::<Vec<u32>>().show("pids", evidence);
            }
        }
    }
}
