//! One look at a SOURCE: what `inspect` and `verify` judge, and why parts of it are not there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::sync::Arc;

use anyhow::{Context, bail};
use walscope::bundle::{Capture, DatabaseBytes, WalBytes};
use walscope::bytes::{FileBytes, ReadAt};
use walscope::compare;
use walscope::evidence::{Evidence, LocksView, Observation};
use walscope::finding::Finding;
use walscope::finding::rules::Facts;
use walscope::finding::surroundings;
use walscope::format::shm::IndexHead;
use walscope::linux::{self, OpenedFiles};
use walscope::look::{DatabaseSight, Examined, Sight, WalSight, examine};
use walscope::report::inspect::{self, Sizes, SourceKind};
use walscope::source::{self, Files, Source};
use walscope::wal::{Frame, WalFacts};

use crate::look::{seen, why_absent, why_unknown};
use crate::options::Global;
use crate::pass::pass;
use crate::steady::steady;
use walscope::number::FrameNumber;

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
    /// Opens and looks, until it stands still.
    pub fn at(argument: &OsStr, global: &Global) -> anyhow::Result<Self> {
        let source = source::open(argument, global.strict_atime)?;
        let look = |source: &Source| match source {
            Source::Files(files) => {
                why_absent(files)?;
                examine(&Live { files, global }).with_context(|| files.label.clone())
            }
            Source::Bundle(capture) => examine(&Captured(capture, global)).with_context(|| capture.label.clone()),
        };
        let live = matches!(source, Source::Files(_));
        let (source, examined) = steady(source, argument, global, look, |examined| live && examined.look_again())?;
        let mut look = match &source {
            Source::Files(files) => of_files(files, examined)?,
            Source::Bundle(capture) => of_bundle(capture, examined),
        };
        if live {
            look.around = around_live(source, argument, global)?;
        }
        Ok(look)
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

fn of_files(files: &Files, examined: Examined) -> anyhow::Result<Look> {
    let mut reasons = why_absent(files)?;
    explain_faults(&examined, &mut reasons);
    if let (None, None, None, Some(reason)) = (&examined.database, &files.wal, &files.shm, reasons.get("database")) {
        bail!("{}: {reason}", files.label);
    }
    match (&examined.locks, &files.shm) {
        (Some(locks), _) => why_unknown(locks, &mut reasons),
        (None, Some(_)) => drop(reasons.insert("shm.locks".to_owned(), source::NO_LOCKS.to_owned())),
        (None, None) => {}
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
            shm: now(files, |opened| &opened.shm, files.shm.as_ref())?.map(|bytes| bytes.len()),
        },
        reasons,
        examined,
        hot_journal: files.journal_still_hot(),
        access_time_moved: files.access_time_moved.clone(),
        unstable: None,
        readable_by_others: false,
        around: Vec::new(),
    })
}

/// Files of this machine, each time with the length that they have then.
struct Live<'a> {
    files: &'a Files,
    global: &'a Global,
}

/// A file with the length that it has now.
fn now(
    files: &Files,
    opened: impl FnOnce(&OpenedFiles) -> &Observation<Arc<File>>,
    alone: Option<&Arc<dyn ReadAt>>,
) -> io::Result<Option<Arc<dyn ReadAt>>> {
    match &files.opened {
        None => Ok(alone.cloned()),
        Some(files) => match opened(files).value() {
            Some(file) => Ok(Some(Arc::new(FileBytes::whole(Arc::clone(file))?))),
            None => Ok(None),
        },
    }
}

impl Sight for Live<'_> {
    fn database(&self) -> io::Result<DatabaseSight> {
        Ok(match now(self.files, |files| &files.database, self.files.database.as_ref())? {
            Some(bytes) => DatabaseSight::Whole(bytes),
            None if self.files.opened.is_some() => DatabaseSight::Absent,
            None => DatabaseSight::NotSeen,
        })
    }

    fn wal(&self) -> io::Result<WalSight> {
        Ok(match now(self.files, |files| &files.wal, self.files.wal.as_ref())? {
            Some(bytes) => WalSight::Whole(bytes),
            // Of a -shm alone nothing is known about the -wal.
            None if self.files.opened.is_some() => WalSight::Absent,
            None => WalSight::NotSeen,
        })
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        now(self.files, |files| &files.shm, self.files.shm.as_ref())
    }

    fn pass(&self, wal: &dyn ReadAt, each: &mut dyn FnMut(&Frame)) -> io::Result<WalFacts> {
        pass(wal, self.global, |scan| scan.frames_outside_of_holes(each))
    }

    fn locks(&self) -> Option<LocksView> {
        self.files.lock_states()
    }

    fn name_holders(&self, locks: LocksView) -> LocksView {
        self.files.name_holders(locks)
    }

    fn in_place(&self) -> bool {
        self.files.in_place()
    }
}

fn of_bundle(capture: &Capture, examined: Examined) -> Look {
    let manifest = &capture.manifest;
    let files = &manifest.evidence.files;
    let mut reasons = BTreeMap::new();
    explain_faults(&examined, &mut reasons);
    seen(&manifest.evidence.locks, &mut reasons);
    if examined.wal.is_none() {
        let why = files.wal.reason().unwrap_or("left out of this bundle");
        reasons.insert("wal".to_owned(), why.to_owned());
    }
    let unstable = || manifest.stability.reason.clone().unwrap_or_else(|| "no reason given".to_owned());
    Look {
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
        hot_journal: manifest.hot_journal(),
        access_time_moved: manifest.access_time_moved.clone(),
        unstable: (!manifest.stability.stable).then(unstable),
        readable_by_others: capture.readable_by_others,
        around: around(&capture.label, &manifest.evidence),
    }
}

/// The same of files that are looked at now; of a container's, also whether its user can write. A `-shm` that goes while
/// the processes are looked at went with the last connection: the next look has none.
fn around_live(source: Source, argument: &OsStr, global: &Global) -> anyhow::Result<Vec<Finding>> {
    let look = |source: &Source| {
        let Source::Files(files) = source else { return Ok((Vec::new(), true)) };
        let Some(opened) = &files.opened else { return Ok((Vec::new(), true)) };
        let mut evidence = linux::evidence_without_holders(opened);
        let in_place = files.in_place();
        // Of the -journal, which comes and goes with every transaction in rollback mode, nothing is said here.
        evidence.paths_unchanged = in_place;
        if !in_place {
            evidence.files.shm = Observation::missing("it was deleted or replaced while the processes were looked at");
        }
        let mut found = around(&files.label, &evidence);
        found.extend(opened.target.pid().and_then(|_| surroundings::user_cannot_write(&evidence)));
        Ok((found, in_place))
    };
    steady(source, argument, global, look, |(_, in_place)| !in_place).map(|(_, (found, _))| found)
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

    fn backfilled_before_database(&self, head: &IndexHead) -> Option<FrameNumber> {
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
