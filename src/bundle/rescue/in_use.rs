//! The files of a set while processes use them. What is wrong with some of them shows only there: copies have no locks, and a
//! wal-index that nobody uses proves nothing.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::opened;
use crate::bundle::SnapshotError;
use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{LocksView, Observation};
use crate::linux::mapped::kept::KeptSet;
use crate::linux::{self, OpenedFiles};
use crate::look::{self, DatabaseSeen, Inspection, Options, Seen, WalSeen};

/// Looks that are made until the files stand still.
const LOOKS: u32 = 5;

/// Looks at the files of a set as their processes have them. No path is looked up.
///
/// # Errors
/// A file cannot be read.
pub fn look_in_use(set: &KeptSet) -> Result<Inspection, SnapshotError> {
    let live = Live(opened(set)?);
    let once = || {
        look::inspect(&live, &Options::default()).map_err(|source| SnapshotError::Io {
            path: live.0.database_path.clone(),
            action: "read",
            source,
        })
    };
    let mut seen = once()?;
    for _ in 1..LOOKS {
        if !seen.look_again() {
            break;
        }
        seen = once()?;
    }
    Ok(seen)
}

struct Live(OpenedFiles);

fn bytes(file: &Observation<Arc<File>>) -> io::Result<Option<Arc<dyn ReadAt>>> {
    let Some(file) = file.value() else { return Ok(None) };
    Ok(Some(Arc::new(FileBytes::whole(Arc::clone(file))?)))
}

impl Seen for Live {
    fn database(&self) -> io::Result<DatabaseSeen> {
        Ok(bytes(&self.0.database)?.map_or(DatabaseSeen::Absent, DatabaseSeen::Whole))
    }

    fn wal(&self) -> io::Result<WalSeen> {
        Ok(bytes(&self.0.wal)?.map_or(WalSeen::Absent, WalSeen::Whole))
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        bytes(&self.0.shm)
    }

    fn locks(&self) -> Option<LocksView> {
        Some(linux::lock_states(&self.0))
    }
}
