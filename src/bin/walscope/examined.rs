//! One look at a SOURCE: what `inspect` and `verify` judge, and why parts of it are not there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::sync::Arc;

use anyhow::{Context, bail};
use walscope::analysis::examine::{DatabaseSight, Examined, Sight, WalSight, examine};
use walscope::analysis::findings::Facts;
use walscope::analysis::surroundings;
use walscope::analysis::wal::{Frame, WalFacts};
use walscope::bytes::{FileBytes, ReadAt};
use walscope::compare;
use walscope::evidence::{Evidence, LocksView, Observation};
use walscope::finding::Finding;
use walscope::format::shm::IndexHead;
use walscope::linux::{self, OpenedFiles};
use walscope::report::inspect::{self, Sizes, SourceKind};
use walscope::snapshot::{Capture, DatabaseBytes, WalBytes};
use walscope::source::{self, Files, Source};

use crate::args::Global;
use crate::look::{seen, why_absent};
use crate::pass::pass;

/// How often files in use are looked at until they stand still: a WAL restarts now and then, not all the time.
const LOOKS: u32 = 5;

/// What was looked at and found.
pub struct Look {
    /// Where.
    pub source: inspect::Source,
    /// File sizes.
    pub sizes: Sizes,
    /// Why something is null or unknown, by its name in the document.
    pub reasons: BTreeMap<String, String>,
    examined: Examined,
    hot_journal: Option<bool>,
    access_time_moved: Vec<String>,
    unstable: Option<String>,
    readable_by_others: bool,
    around: Vec<Finding>,
}

impl Look {
    /// Opens and looks.
    pub fn at(argument: &OsStr, global: &Global) -> anyhow::Result<Self> {
        match source::open(argument, global.strict_atime)? {
            Source::Files(files) => of_files(&files, global),
            Source::Bundle(capture) => of_bundle(&capture, global),
        }
    }

    /// The facts, for findings.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            hot_journal: self.hot_journal,
            access_time_moved: &self.access_time_moved,
            unstable: self.unstable.as_deref(),
            readable_by_others: self.readable_by_others,
            around: &self.around,
            ..Facts::of(&self.examined)
        }
    }
}

fn of_files(files: &Files, global: &Global) -> anyhow::Result<Look> {
    let mut reasons = why_absent(files)?;
    let live = Live { files, global, locks: files.shm.is_some().then(|| files.locks()) };
    let mut looks = 1;
    let mut examined = examine(&live).with_context(|| files.label.clone())?;
    while examined.in_use() && !examined.settled && looks < LOOKS {
        looks += 1;
        examined = examine(&live).with_context(|| files.label.clone())?;
    }
    explain_faults(&examined, &mut reasons);
    if let (None, None, None, Some(reason)) = (&examined.database, &files.wal, &files.shm, reasons.get("database")) {
        bail!("{}: {reason}", files.label);
    }
    if let Some(locks) = &live.locks {
        seen(locks, &mut reasons);
    }
    Ok(Look {
        source: inspect::Source {
            label: files.label.clone(),
            kind: SourceKind::Files,
            path: files.database_path.display().to_string(),
            stable: None,
        },
        sizes: Sizes {
            database: files.database.as_ref().map(|bytes| bytes.len()),
            wal: examined.wal.as_ref().filter(|_| files.wal.is_some()).map(|wal| wal.file_size),
            shm: live.shm()?.map(|bytes| bytes.len()),
        },
        reasons,
        examined,
        hot_journal: files.hot_journal,
        access_time_moved: files.access_time_moved.clone(),
        unstable: None,
        readable_by_others: false,
        around: files.opened.as_ref().map(|opened| around_live(&files.label, opened)).unwrap_or_default(),
    })
}

/// Files of this machine, each time with the length that they have then.
struct Live<'a> {
    files: &'a Files,
    global: &'a Global,
    locks: Option<Observation<LocksView>>,
}

impl Live<'_> {
    fn now(
        &self,
        opened: impl FnOnce(&walscope::linux::OpenedFiles) -> &Observation<Arc<File>>,
        alone: Option<&Arc<dyn ReadAt>>,
    ) -> io::Result<Option<Arc<dyn ReadAt>>> {
        match &self.files.opened {
            None => Ok(alone.cloned()),
            Some(files) => match opened(files).value() {
                Some(file) => Ok(Some(Arc::new(FileBytes::whole(Arc::clone(file))?))),
                None => Ok(None),
            },
        }
    }
}

impl Sight for Live<'_> {
    fn database(&self) -> io::Result<DatabaseSight> {
        Ok(match self.now(|files| &files.database, self.files.database.as_ref())? {
            Some(bytes) => DatabaseSight::Whole(bytes),
            None if self.files.opened.is_some() => DatabaseSight::Absent,
            None => DatabaseSight::NotSeen,
        })
    }

    fn wal(&self) -> io::Result<WalSight> {
        Ok(match self.now(|files| &files.wal, self.files.wal.as_ref())? {
            Some(bytes) => WalSight::Whole(bytes),
            // Of a -shm alone nothing is known about the -wal.
            None if self.files.opened.is_some() => WalSight::Absent,
            None => WalSight::NotSeen,
        })
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        self.now(|files| &files.shm, self.files.shm.as_ref())
    }

    fn pass(&self, wal: &dyn ReadAt, each: &mut dyn FnMut(&Frame)) -> io::Result<WalFacts> {
        pass(wal, self.global, |scan| scan.frames_outside_of_holes(each))
    }

    fn locks(&self) -> Option<LocksView> {
        self.locks.as_ref().and_then(Observation::value).cloned()
    }
}

fn of_bundle(capture: &Capture, global: &Global) -> anyhow::Result<Look> {
    let manifest = &capture.manifest;
    let files = &manifest.evidence.files;
    let mut reasons = BTreeMap::new();
    let examined = examine(&Captured(capture, global)).with_context(|| capture.label.clone())?;
    explain_faults(&examined, &mut reasons);
    seen(&manifest.evidence.locks, &mut reasons);
    if examined.wal.is_none() {
        let why = files.wal.reason().unwrap_or("left out of this bundle");
        reasons.insert("wal".to_owned(), why.to_owned());
    }
    let unstable = || manifest.stability.reason.clone().unwrap_or_else(|| "no reason given".to_owned());
    Ok(Look {
        source: inspect::Source {
            label: capture.label.clone(),
            kind: SourceKind::Bundle,
            path: files.database_path.clone(),
            stable: Some(manifest.stability.stable),
        },
        sizes: Sizes {
            database: files.database.value().map(|file| file.size),
            wal: files.wal.value().map(|file| file.size),
            shm: capture.shm.as_ref().map(|bytes| bytes.len()),
        },
        reasons,
        examined,
        hot_journal: files.journal.known().map(|journal| journal.is_some_and(|journal| journal.size > 0)),
        access_time_moved: manifest.access_time_moved.clone(),
        unstable: (!manifest.stability.stable).then(unstable),
        readable_by_others: capture.readable_by_others,
        around: around(&capture.label, &manifest.evidence),
    })
}

/// The same of files that are looked at now; of a container's, also whether its user can write.
fn around_live(label: &str, opened: &OpenedFiles) -> Vec<Finding> {
    let evidence = linux::evidence(opened);
    let mut found = around(label, &evidence);
    found.extend(opened.target.pid().and_then(|_| surroundings::user_cannot_write(&evidence)));
    found
}

/// How the files are mounted, linked and owned, and whether running processes have others mapped.
fn around(label: &str, evidence: &Evidence) -> Vec<Finding> {
    let mut found = compare::of_one(label, evidence);
    found.extend(surroundings::findings(evidence));
    found
}

/// A bundle: what was captured, the same each time. Its database was read before its `-shm`.
struct Captured<'a>(&'a Capture, &'a Global);

impl Sight for Captured<'_> {
    fn database(&self) -> io::Result<DatabaseSight> {
        Ok(match &self.0.database {
            DatabaseBytes::FirstPage(bytes) => DatabaseSight::FirstPage(Arc::clone(bytes)),
            DatabaseBytes::Full(bytes) => DatabaseSight::Whole(Arc::clone(bytes)),
            DatabaseBytes::Missing => match self.0.manifest.evidence.files.database {
                Observation::Missing { .. } => DatabaseSight::Absent,
                _ => DatabaseSight::NotSeen,
            },
        })
    }

    fn wal(&self) -> io::Result<WalSight> {
        let seen = &self.0.manifest.evidence.files.wal;
        Ok(match &self.0.wal {
            WalBytes::Missing if matches!(seen, Observation::Denied { .. } | Observation::Unsupported { .. }) => {
                WalSight::NotSeen
            }
            WalBytes::Missing => WalSight::Absent,
            WalBytes::NotCaptured => WalSight::NotSeen,
            WalBytes::Full(bytes) => WalSight::Whole(Arc::clone(bytes)),
            WalBytes::Headers { facts, .. } => WalSight::Headers(facts.clone()),
        })
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        Ok(self.0.shm.clone())
    }

    fn pass(&self, wal: &dyn ReadAt, each: &mut dyn FnMut(&Frame)) -> io::Result<WalFacts> {
        pass(wal, self.1, |scan| scan.frames_outside_of_holes(each))
    }

    fn locks(&self) -> Option<LocksView> {
        self.0.manifest.evidence.locks.value().cloned()
    }

    fn backfilled_before_database(&self, head: &IndexHead) -> Option<u32> {
        let salts = head.trusted()?.salts;
        let samples = self.0.manifest.evidence.samples.iter();
        samples.map(|sample| (sample.salts, sample.backfilled)).find(|(of, _)| *of == salts).map(|(_, n)| n)
    }

    fn may_be_settled(&self) -> bool {
        self.0.manifest.stability.stable
    }
}

fn explain_faults(examined: &Examined, reasons: &mut BTreeMap<String, String>) {
    for (name, fault) in [("database", &examined.database_fault), ("shm", &examined.shm_fault)] {
        if let Some(fault) = fault {
            reasons.insert(name.to_owned(), fault.clone());
        }
    }
}
