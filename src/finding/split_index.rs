//! Running processes that use several wal-indexes for one database.

use std::collections::BTreeSet;

use super::value::{Evidence, Fact};
use crate::evidence::{CutOff, InodeId, MappingProcess};
use crate::sides::CutOffProcesses;

/// Running processes that use more than one wal-index for one database.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SplitIndex {
    /// Processes of one side are cut off from a process that opens its path next.
    Side {
        /// The side's label.
        side: String,
        /// Who maps what, and what the path leads to.
        cut_off: CutOffProcesses,
    },
    /// Several wal-indexes are mapped under one path.
    Path {
        /// The path.
        path: String,
        /// What is mapped, and by whom.
        mapped: Vec<(InodeId, Vec<MappingProcess>)>,
    },
    /// One database is used with several wal-indexes, under several names.
    Database {
        /// The names of its wal-indexes, without `-shm`, as the processes see them.
        names: Vec<String>,
        /// What is mapped, and by whom.
        mapped: Vec<(InodeId, Vec<MappingProcess>)>,
    },
}

impl SplitIndex {
    /// Whether processes opened the database by another name than that of the path.
    #[must_use]
    pub fn by_database(&self) -> bool {
        matches!(self, Self::Side { cut_off, .. } if cut_off.by(CutOff::Database).next().is_some())
    }
}

impl Fact for SplitIndex {
    fn show(&self, _: &'static str, evidence: &mut Evidence) {
        match self {
            Self::Side { side, cut_off } => {
                let mapped: BTreeSet<InodeId> = cut_off.mappings.iter().map(|mapping| mapping.inode).collect();
                side.show("side", evidence);
                cut_off.pids().into_iter().collect::<Vec<u32>>().show("pids", evidence);
                mapped.into_iter().collect::<Vec<InodeId>>().show("mapped", evidence);
                cut_off.path_leads_to.show("path_leads_to", evidence);
            }
            Self::Path { path, mapped } => {
                path.show("path", evidence);
                mapped.iter().map(|(id, _)| *id).collect::<Vec<InodeId>>().show("mapped", evidence);
            }
            Self::Database { names, mapped } => {
                names.show("names", evidence);
                let pids: BTreeSet<u32> = mapped.iter().flat_map(|(_, all)| all).map(|process| process.pid).collect();
                pids.into_iter().collect::<Vec<u32>>().show("pids", evidence);
                mapped.iter().map(|(id, _)| *id).collect::<Vec<InodeId>>().show("mapped", evidence);
            }
        }
    }
}
