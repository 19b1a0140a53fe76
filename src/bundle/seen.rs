//! A bundle as something that can be looked at. Every look sees the same: what was captured.

use std::io;
use std::sync::Arc;

use crate::bytes::ReadAt;
use crate::evidence::{Evidence, LocksView, Observation};
use crate::format::shm::IndexHead;
use crate::look::{DatabaseSeen, HotJournal, Origin, OriginKind, Reasons, Seen, Sizes, WalSeen, Why};
use crate::number::FrameNumber;

use super::{Capture, Manifest};

impl Manifest {
    /// The name of a capture, and what its manifest says about the whole capture.
    #[must_use]
    pub fn origin(&self, label: &str) -> Origin {
        let mut origin = Origin::new(OriginKind::Bundle, label, &self.evidence.files.database_path);
        let stability = &self.stability;
        origin.unstable =
            (!stability.stable).then(|| stability.reason.clone().unwrap_or_else(|| "no reason given".to_owned()));
        origin.access_time_moved.clone_from(&self.access_time_moved);
        origin
    }
}

impl Seen for Capture {
    fn origin(&self) -> Origin {
        let mut origin = self.manifest.origin(&self.label);
        origin.readable_by_others = self.readable_by_others;
        origin
    }

    fn database(&self) -> io::Result<DatabaseSeen> {
        Ok(self.database.clone())
    }

    fn wal(&self) -> io::Result<WalSeen> {
        Ok(self.wal.clone())
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        Ok(self.shm.clone())
    }

    fn locks(&self) -> Option<LocksView> {
        self.manifest.evidence.locks.value().cloned()
    }

    /// `nBackfill` from before the database was read. The bundle's `-shm` was read after the database, so the number
    /// comes from the first sample of the same generation.
    fn backfilled_before_database(&self, head: &IndexHead) -> Option<FrameNumber> {
        let salts = head.trusted()?.salts;
        let samples = self.manifest.evidence.samples.iter();
        samples.map(|sample| (sample.salts, sample.backfilled)).find(|(of, _)| *of == salts).map(|(_, n)| n)
    }

    fn may_be_settled(&self) -> bool {
        self.manifest.stability.stable
    }

    fn sizes(&self) -> Option<Sizes> {
        let files = &self.manifest.evidence.files;
        Some(Sizes {
            database: files.database.value().map(|file| file.size),
            wal: files.wal.value().map(|file| file.size),
            shm: self.shm.as_ref().map(|bytes| bytes.len()),
        })
    }

    fn reasons(&self) -> Reasons {
        let evidence = &self.manifest.evidence;
        let recorded = |reason: Option<&str>| reason.map(|reason| Why::Recorded(reason.to_owned()));
        let wal = match &self.wal {
            WalSeen::NotSeen => recorded(evidence.files.wal.reason()).or(Some(Why::LeftOut)),
            _ => None,
        };
        Reasons { wal, locks: recorded(evidence.locks.reason()), ..Reasons::default() }
    }

    fn hot_journal(&self) -> HotJournal {
        self.manifest.hot_journal()
    }

    fn surroundings(&self) -> Option<Evidence> {
        Some(self.manifest.evidence.clone())
    }
}

/// What a bundle says about a file without bytes in it: the file was absent, or it was not seen.
pub(super) fn without_bytes<T, F>(file: &Observation<F>, absent: T, not_seen: T) -> T {
    match file {
        Observation::Missing { .. } => absent,
        _ => not_seen,
    }
}
