//! A look at one SOURCE as a whole: what `wal` and `shm` begin with. `inspect` and `verify` hold the files against each
//! other, which takes more reading: that is in `examined`.

use std::collections::BTreeMap;
use std::io;

use anyhow::{Context, bail};
use walscope::bundle::{Capture, DatabaseBytes, WalBytes};
use walscope::bytes::ReadAt;
use walscope::evidence::{LocksView, Observation};
use walscope::finding::rules::Facts;
use walscope::format::{ParseError, db, shm};
use walscope::look::checkpoint;
use walscope::look::marks_and_locks;
use walscope::look::settled_head;
use walscope::report::inspect::{self, InspectDocument, Sizes, SourceKind};
use walscope::source::{self, Files, Source};
use walscope::wal::frames::{self, FrameBytes};
use walscope::wal::{Frame, WalFacts};

use crate::options::Global;
use crate::pass::pass;
use walscope::number::FrameNumber;

/// What one look found.
pub struct Look {
    /// The page about the whole.
    pub document: InspectDocument,
    /// The WAL; `None` when it was not looked at.
    pub wal: Option<WalFacts>,
    /// The head of the wal-index; `None` when it is absent or too short.
    pub shm: Option<shm::IndexHead>,
    /// Whether the files were replaced by others meanwhile.
    pub replaced: bool,
}

/// Takes a frame of the pass over the WAL, and bytes that are equal for equal pages.
pub type EachFrame<'a> = &'a mut dyn FnMut(&Frame, &[u8]);

/// What of the WAL is looked at.
pub enum Wal<'a> {
    /// Nothing: it can be long.
    LeftOut,
    /// Every frame but those of zero bytes in holes of a sparse file: no valid one stands behind them.
    Frames(EachFrame<'a>),
}

impl Wal<'_> {
    /// One pass over its bytes.
    fn pass(self, bytes: &dyn ReadAt, global: &Global) -> io::Result<Option<WalFacts>> {
        match self {
            Self::LeftOut => Ok(None),
            Self::Frames(each) => pass(bytes, global, |scan| scan.pages_outside_of_holes(each)).map(Some),
        }
    }

    /// The frame headers of a bundle without pages; the facts are those of its capture.
    fn headers(self, bytes: &dyn ReadAt, facts: &WalFacts) -> io::Result<Option<WalFacts>> {
        let Self::Frames(each) = self else { return Ok(None) };
        frames::visit(FrameBytes::Headers(bytes), facts, FrameNumber::FIRST..=FrameNumber::LARGEST, 1, &mut |seen| {
            each(&seen.frame, seen.content.identity());
            Ok(())
        })?;
        Ok(Some(facts.clone()))
    }
}

/// Looks.
pub fn look(source: &Source, wal: Wal<'_>, global: &Global) -> anyhow::Result<Look> {
    match source {
        Source::Files(files) => of_files(files, wal, global),
        Source::Bundle(capture) => of_bundle(capture, wal, global),
    }
}

/// Live files: the `-shm` before the WAL, so that a commit in between leaves the WAL ahead, as it does in SQLite too.
fn of_files(files: &Files, wal: Wal<'_>, global: &Global) -> anyhow::Result<Look> {
    let name = || files.label.clone();
    let mut reasons = why_absent(files)?;
    let database = database_head(files.database.as_deref(), &mut reasons).with_context(name)?;
    let look = || shm_head(files.shm.as_deref(), &mut reasons);
    let (before, locks, with_locks) =
        marks_and_locks::together(look, || files.lock_states(), |a, b| a == b).with_context(name)?;
    let locks =
        locks.map(|locks| marks_and_locks::fitting(before.as_ref(), with_locks.as_ref(), files.name_holders(locks)));
    let wal = match &files.wal {
        Some(bytes) => wal.pass(bytes.as_ref(), global).with_context(name)?,
        // Of a -shm alone nothing is known about the -wal.
        None => files.opened.as_ref().map(|_| WalFacts::absent()),
    };
    let after = shm_head(files.shm.as_deref(), &mut reasons).with_context(name)?;
    let shm = settled_head(before, after, wal.as_ref());
    match (&locks, &files.shm) {
        (Some(locks), _) => why_unknown(locks, &mut reasons),
        (None, Some(_)) => drop(reasons.insert("shm.locks".to_owned(), source::NO_LOCKS.to_owned())),
        (None, None) => {}
    }
    // Last of all: what is in place now was so throughout.
    let replaced = !files.in_place();
    if let (None, None, None, Some(reason)) = (&database, &files.wal, &files.shm, reasons.get("database")) {
        bail!("{}: {reason}", files.label);
    }
    let checkpoint = wal.as_ref().map(|wal| checkpoint::of_look(wal, shm.as_ref(), locks.as_ref(), replaced));
    let facts = Facts {
        database: database.as_ref(),
        wal: wal.as_ref(),
        shm: shm.as_ref(),
        locks: locks.as_ref(),
        checkpoint: checkpoint.as_ref(),
        replaced,
        hot_journal: files.journal_still_hot(),
        access_time_moved: &files.access_time_moved,
        ..Facts::default()
    };
    let sizes = Sizes {
        database: files.database.as_ref().map(|bytes| bytes.len()),
        wal: files.wal.as_ref().map(|bytes| bytes.len()),
        shm: files.shm.as_ref().map(|bytes| bytes.len()),
    };
    let source = inspect::Source {
        label: files.label.clone(),
        kind: SourceKind::Files,
        path: files.database_path.display().to_string(),
        stable: None,
    };
    Ok(Look { document: inspect::build(source, sizes, &facts, reasons), wal, shm, replaced })
}

/// Why files are absent here. One that is there and cannot be read is an error: an answer without it would be wrong.
pub fn why_absent(files: &Files) -> anyhow::Result<BTreeMap<String, String>> {
    let Some(opened) = &files.opened else {
        let alone = || "not looked at: one file alone was given".to_owned();
        let present = [("database", false), ("wal", files.wal.is_some()), ("shm", files.shm.is_some())];
        let missing = present.iter().filter(|(_, here)| !here).map(|(name, _)| ((*name).to_owned(), alone()));
        let locks = ("shm.locks".to_owned(), "one file alone was given; locks were not looked at".to_owned());
        return Ok(missing.chain([locks]).collect());
    };
    let mut reasons = BTreeMap::new();
    for (name, file, suffix) in
        [("database", &opened.database, ""), ("wal", &opened.wal, "-wal"), ("shm", &opened.shm, "-shm")]
    {
        match file {
            Observation::Seen { .. } => {}
            Observation::Missing { .. } => {
                reasons.insert(name.to_owned(), "absent".to_owned());
            }
            Observation::Denied { reason } | Observation::Unsupported { reason } => {
                bail!("{}{suffix}: {reason}", opened.database_path.display());
            }
        }
    }
    Ok(reasons)
}

fn of_bundle(capture: &Capture, wal: Wal<'_>, global: &Global) -> anyhow::Result<Look> {
    let name = || capture.label.clone();
    let manifest = &capture.manifest;
    let files = &manifest.evidence.files;
    let mut reasons = BTreeMap::new();
    let bytes = match &capture.database {
        DatabaseBytes::Missing => None,
        DatabaseBytes::FirstPage(bytes) | DatabaseBytes::Full(bytes) => Some(bytes.as_ref()),
    };
    let database = database_head(bytes, &mut reasons).with_context(name)?;
    let shm = shm_head(capture.shm.as_deref(), &mut reasons).with_context(name)?;
    let wal = match &capture.wal {
        WalBytes::Missing if matches!(files.wal, Observation::Denied { .. } | Observation::Unsupported { .. }) => None,
        WalBytes::Missing => Some(WalFacts::absent()),
        WalBytes::NotCaptured => None,
        WalBytes::Full(bytes) => wal.pass(bytes.as_ref(), global).with_context(name)?,
        WalBytes::Headers { bytes, facts } => wal.headers(bytes.as_ref(), facts).with_context(name)?,
    };
    if wal.is_none() {
        let why = files.wal.reason().unwrap_or("left out of this bundle");
        reasons.insert("wal".to_owned(), why.to_owned());
    }
    let unstable =
        (!manifest.stability.stable).then(|| manifest.stability.reason.as_deref().unwrap_or("no reason given"));
    let locks = seen(&manifest.evidence.locks, &mut reasons);
    let checkpoint = wal.as_ref().map(|wal| checkpoint::of_look(wal, shm.as_ref(), locks, false));
    let facts = Facts {
        database: database.as_ref(),
        wal: wal.as_ref(),
        shm: shm.as_ref(),
        locks,
        checkpoint: checkpoint.as_ref(),
        hot_journal: manifest.hot_journal(),
        access_time_moved: &manifest.access_time_moved,
        unstable,
        readable_by_others: capture.readable_by_others,
        ..Facts::default()
    };
    let sizes = Sizes {
        database: files.database.value().map(|file| file.size),
        wal: files.wal.value().map(|file| file.size),
        shm: capture.shm.as_ref().map(|bytes| bytes.len()),
    };
    let source = inspect::Source {
        label: capture.label.clone(),
        kind: SourceKind::Bundle,
        path: files.database_path.clone(),
        stable: Some(manifest.stability.stable),
    };
    Ok(Look { document: inspect::build(source, sizes, &facts, reasons), wal, shm, replaced: false })
}

fn database_head(
    bytes: Option<&dyn ReadAt>,
    reasons: &mut BTreeMap<String, String>,
) -> io::Result<Option<db::DatabaseHead>> {
    decoded(bytes, 100, db::parse_head, "database", reasons)
}

fn shm_head(bytes: Option<&dyn ReadAt>, reasons: &mut BTreeMap<String, String>) -> io::Result<Option<shm::IndexHead>> {
    decoded(bytes, shm::HEAD_SIZE, shm::parse_head, "shm", reasons)
}

/// Decodes the first `len` bytes; too few of them is a reason, not an error.
fn decoded<T>(
    bytes: Option<&dyn ReadAt>,
    len: usize,
    parse: fn(&[u8]) -> Result<T, ParseError>,
    name: &str,
    reasons: &mut BTreeMap<String, String>,
) -> io::Result<Option<T>> {
    let Some(bytes) = bytes else { return Ok(None) };
    let mut head = vec![0; len];
    let n = bytes.read_at(&mut head, 0)?;
    head.truncate(n);
    match parse(&head) {
        Ok(value) => {
            reasons.remove(name);
            Ok(Some(value))
        }
        Err(error) => {
            reasons.insert(name.to_owned(), error.to_string());
            Ok(None)
        }
    }
}

/// The locks, or why they are not known.
pub fn seen<'a>(locks: &'a Observation<LocksView>, reasons: &mut BTreeMap<String, String>) -> Option<&'a LocksView> {
    match locks.value() {
        Some(view) => why_unknown(view, reasons),
        None => drop(locks.reason().map(|reason| reasons.insert("shm.locks".to_owned(), reason.to_owned()))),
    }
    locks.value()
}

/// Why some of the locks are not known, if some are not.
pub fn why_unknown(locks: &LocksView, reasons: &mut BTreeMap<String, String>) {
    if let Some(reason) = marks_and_locks::unknown_because(locks) {
        reasons.insert("shm.locks".to_owned(), reason.to_owned());
    }
}
