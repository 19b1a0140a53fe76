//! Files on this machine as something that can be looked at.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bundle;
use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{Evidence, LocksView, Observation, OtherNames, RightsView};
use crate::linux::{self, OpenedFiles};
use crate::look::{DatabaseSeen, HotJournal, Origin, OriginKind, Reasons, Seen, WalSeen, Why};

use super::{SourceError, commits, other_names};

/// Files on this machine, opened read-only, without following the last link of siblings, never blocking.
///
/// A file that exists but could not be opened is absent here; [`Files::opened`] has the reason.
pub struct Files {
    /// What the user typed.
    pub label: String,
    /// The resolved path of the database, even when the database is missing. For a `-wal` or a `-shm` alone, the path
    /// of that file.
    pub database_path: PathBuf,
    /// The database.
    pub database: Option<Arc<dyn ReadAt>>,
    /// The `-wal`.
    pub wal: Option<Arc<dyn ReadAt>>,
    /// The `-shm`.
    pub shm: Option<Arc<dyn ReadAt>>,
    /// Whether a `-journal` with content lies beside them. Nobody looks for one beside a single `-wal` or `-shm`.
    pub hot_journal: HotJournal,
    /// Files whose access time the reading may have moved.
    pub access_time_moved: Vec<String>,
    /// The open descriptors of a database and its siblings; `None` for a `-wal` or a `-shm` alone.
    pub opened: Option<OpenedFiles>,
}

impl Files {
    /// A file with the length that it has now.
    fn now(
        &self,
        of: impl FnOnce(&OpenedFiles) -> &Observation<Arc<File>>,
        alone: Option<&Arc<dyn ReadAt>>,
    ) -> io::Result<Option<Arc<dyn ReadAt>>> {
        match &self.opened {
            None => Ok(alone.cloned()),
            Some(files) => match of(files).value() {
                Some(file) => Ok(Some(Arc::new(FileBytes::whole(Arc::clone(file))?))),
                None => Ok(None),
            },
        }
    }

    /// Refuses a source with a file that is there and cannot be read: an answer about it would be wrong.
    ///
    /// # Errors
    /// Which file was refused, and why.
    pub fn check_readable(&self) -> Result<(), SourceError> {
        let Some(opened) = &self.opened else { return Ok(()) };
        let refused = |suffix: &str, reason: &String| {
            let mut path = opened.database_path.clone().into_os_string();
            path.push(suffix);
            let path = PathBuf::from(opened.target.beneath(Path::new(&path)).to_string());
            Err(SourceError::Refused { path, reason: reason.clone() })
        };
        for (file, suffix) in [(&opened.database, ""), (&opened.wal, "-wal"), (&opened.shm, "-shm")] {
            if let Observation::Denied { reason } | Observation::Unsupported { reason } = file {
                return refused(suffix, reason);
            }
        }
        // One that may not be read is told with what this user may do. What is no file stops everybody.
        if let Observation::Unsupported { reason } = &opened.journal {
            return refused("-journal", reason);
        }
        Ok(())
    }

    /// Whether a `-journal` that waited to be rolled back when the files were opened still waits. A journal that is
    /// gone belonged to a transaction that has ended.
    #[must_use]
    pub fn journal_still_hot(&self) -> HotJournal {
        let hot = |opened: &OpenedFiles| {
            linux::journal_in_place(opened) && opened.journal.value().is_some_and(bundle::is_hot_journal)
        };
        match self.hot_journal {
            HotJournal::Waits if !self.opened.as_ref().is_none_or(hot) => HotJournal::None,
            then => then,
        }
    }
}

/// Files of this machine. Each look takes the length that a file has at that moment.
impl Seen for Files {
    fn origin(&self) -> Origin {
        let mut origin = Origin::new(OriginKind::Files, &self.label, &self.database_path.to_string_lossy());
        origin.access_time_moved.clone_from(&self.access_time_moved);
        origin.of_other_process = self.opened.as_ref().is_some_and(|opened| opened.target.pid().is_some());
        origin
    }

    fn database(&self) -> io::Result<DatabaseSeen> {
        Ok(match self.now(|files| &files.database, self.database.as_ref())? {
            Some(bytes) => DatabaseSeen::Whole(bytes),
            None if self.opened.is_some() => DatabaseSeen::Absent,
            None => DatabaseSeen::NotSeen,
        })
    }

    fn wal(&self) -> io::Result<WalSeen> {
        Ok(match self.now(|files| &files.wal, self.wal.as_ref())? {
            Some(bytes) => WalSeen::Whole(bytes),
            // With a -shm alone nothing is known about the -wal.
            None if self.opened.is_some() => WalSeen::Absent,
            None => WalSeen::NotSeen,
        })
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        match &self.opened {
            Some(opened) => opened.shm_bytes(),
            None => Ok(self.shm.clone()),
        }
    }

    /// The states of the locks, without a search for the holders: [`linux::lock_states`].
    /// Without a `-shm` those of the database itself are left: in rollback mode and in exclusive locking mode nobody has
    /// others.
    fn locks(&self) -> Option<LocksView> {
        let opened = self.opened.as_ref()?;
        (self.shm.is_some() || opened.database.value().is_some()).then(|| linux::lock_states(opened))
    }

    fn name_holders(&self, locks: LocksView) -> LocksView {
        match &self.opened {
            Some(opened) => linux::name_holders(opened, locks),
            None => locks,
        }
    }

    fn in_place(&self) -> bool {
        self.opened.as_ref().is_none_or(linux::in_place)
    }

    fn reasons(&self) -> Reasons {
        let Some(opened) = &self.opened else {
            let alone = |here: bool| (!here).then_some(Why::OneFileAlone);
            return Reasons {
                database: alone(false),
                wal: alone(self.wal.is_some()),
                shm: alone(self.shm.is_some()),
                locks: Some(Why::LocksOfOneFileAlone),
            };
        };
        let absent =
            |file: &Observation<Arc<File>>| file.known().is_some_and(|file| file.is_none()).then_some(Why::Absent);
        Reasons { database: absent(&opened.database), wal: absent(&opened.wal), shm: absent(&opened.shm), locks: None }
    }

    fn hot_journal(&self) -> HotJournal {
        self.journal_still_hot()
    }

    fn journal(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        self.now(|files| &files.journal, None)
    }

    /// At most one holder per lock is named; `/proc/locks` is not read. The `-journal` is left out: it comes and goes
    /// with every transaction in rollback mode.
    fn surroundings(&self) -> Option<Evidence> {
        let opened = self.opened.as_ref()?;
        let mut evidence = linux::evidence_without_holders(opened);
        commits::count(&mut evidence, opened);
        evidence.paths_unchanged = self.in_place();
        if !evidence.paths_unchanged {
            evidence.files.shm = Observation::missing("it was deleted or replaced while the processes were looked at");
        }
        Some(evidence)
    }

    fn other_names(&self) -> OtherNames {
        self.opened.as_ref().map(other_names::of).unwrap_or_default()
    }

    fn rights(&self) -> Option<RightsView> {
        self.opened.as_ref().map(linux::rights_view)
    }
}
