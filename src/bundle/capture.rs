//! Capturing without locks: the order of reading, the retries, the bundle as a stream.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{ClockSample, Evidence, FilesView, LocksView, Observation, Part, WalIndexSample};
use crate::format::db::{self, DatabaseHead};
use crate::format::shm::{BLOCK_SIZE, HEAD_SIZE, block_of};
use crate::format::wal::HEADER_SIZE;
use crate::linux::challenge::contact;
use crate::linux::mapped::kept::{GoesOn, goes_on};
use crate::linux::{self, OpenedFiles, Target};
use crate::look::order;
use crate::number::{FrameNumber, PageSize, Stride};
use crate::wal::{self as wal_scan, Frame};

use super::archive::{MANIFEST, MARKER, Sink, Writer, unreadable};
use super::look::{Locks, Look, Moment, sibling};
use super::manifest::{
    LeftOut, LeftOutReason, MANIFEST_AT_MOST, Manifest, Member, SPARSE, Stability, WalMode, WalSummary, prefix,
};
use super::sparse::{Pieces, Placed, headers_in, kept, left_out, long_holes};
use super::stability;
use super::unstable::{Unstable, Why};
use super::watch::Watch;
use super::{BUNDLE_VERSION, Options, SnapshotError, Step};

/// Up to this size the whole `-wal` is taken, unless the options say otherwise.
const FULL_WAL_AT_MOST: u64 = 64 << 20;
/// Up to this size the whole `-shm` is taken. It is enough for 8 million frames.
const WHOLE_SHM_AT_MOST: u64 = 64 << 20;
/// Captures from open files and streams the bundle to `out`. The first attempt uses the given files. Returns the
/// descriptors, still open, that the manifest describes.
pub(super) fn write_bundle(
    target: &Target,
    mut given: Option<OpenedFiles>,
    options: &Options,
    out: &mut dyn Write,
    hook: &mut dyn FnMut(u32, Step),
) -> Result<(Manifest, OpenedFiles), SnapshotError> {
    let mtime = u64::try_from(linux::clock_sample().realtime.seconds).unwrap_or(0);
    let mut writer = Writer::new(out, mtime);
    let marker = format!("walscope bundle {BUNDLE_VERSION}\n");
    writer.member(MARKER, marker.len() as u64, |sink| sink.write(marker.as_bytes()))?;
    let mut number = 1;
    let mut last: Option<Attempt> = None;
    let (manifest, files) = loop {
        let mut hook = |step| hook(number, step);
        hook(Step::Before);
        let opened = match given.take() {
            Some(files) => Ok(files),
            None => linux::open_database(target.clone(), options.care),
        };
        let files = match (opened, last) {
            (Ok(files), _) => files,
            // What was captured stays in the bundle, and the bundle must get its end.
            (Err(gone), Some(attempt)) => {
                hook(Step::Evidence);
                break Attempt { then_gone: Some(gone), ..attempt }.conclude(target, options, &mut writer)?;
            }
            (Err(error), None) => return Err(error.into()),
        };
        let attempt = Attempt::run(files, options, number, &mut writer, &mut hook)?;
        if number >= options.attempts || attempt.verdict.as_ref().map_or_else(|unstable| unstable.lasting, |()| true) {
            hook(Step::Evidence);
            break attempt.conclude(target, options, &mut writer)?;
        }
        last = Some(attempt);
        number += 1;
    };
    let unusable = |e| SnapshotError::Unusable { path: target.path().to_owned(), message: format!("{MANIFEST}: {e}") };
    let json = serde_json::to_vec_pretty(&manifest).map_err(|e| unusable(e.to_string()))?;
    // Better no bundle than one that cannot be read.
    if json.len() as u64 > MANIFEST_AT_MOST {
        return Err(unusable(format!("it would have {} bytes, and at most {MANIFEST_AT_MOST} are read", json.len())));
    }
    writer.member(MANIFEST, json.len() as u64, |sink| sink.write(&json))?;
    writer.finish()?;
    Ok((manifest, files))
}

/// One attempt, from opening the files to the verdict on stability. Its descriptors stay open until it is dropped.
struct Attempt {
    number: u32,
    begun: ClockSample,
    files: OpenedFiles,
    members: Vec<Member>,
    looks: [Look; 3],
    locks: LocksView,
    hot_journal: bool,
    wal_mode: WalMode,
    wal_summary: Option<WalSummary>,
    identities: FilesView,
    paths_unchanged: bool,
    verdict: Result<(), Unstable>,
    /// Why no further attempt was possible, although this one is unstable.
    then_gone: Option<linux::OpenError>,
}

impl Attempt {
    fn run(
        files: OpenedFiles,
        options: &Options,
        number: u32,
        writer: &mut Writer<'_>,
        hook: &mut dyn FnMut(Step),
    ) -> Result<Self, SnapshotError> {
        // Taken after the opening: two captures with overlapping times then had their files open at the same moment.
        let begun = linux::clock_sample();
        let watched = |part, file: &Observation<Arc<File>>| Watch::start(part, file.value().map(Arc::as_ref));
        let (database_watch, wal_watch) = (watched(Part::Database, &files.database), watched(Part::Wal, &files.wal));

        let mut copy = Copy {
            files: &files,
            options,
            prefix: prefix(number),
            writer,
            hook,
            members: Vec::new(),
            before: None,
            between: None,
            locks: None,
            named: None,
            wal_mode: options.wal.unwrap_or(WalMode::Full),
            wal_summary: None,
            after: None,
            identities: None,
            paths_unchanged: false,
        };
        order::read(&mut copy)?;
        let Copy { members, wal_mode, wal_summary, paths_unchanged, .. } = copy;
        let (Some(before), Some(between), Some(locks), Some(after), Some(identities)) =
            (copy.before, copy.between, copy.named, copy.after, copy.identities)
        else {
            return Err(SnapshotError::Unusable {
                path: files.database_path.clone(),
                message: "a step of the capture was left out".to_owned(),
            });
        };

        // The watches are asked last, so that nothing that was looked at before can have changed unseen.
        let verdict = stability::judge(&stability::Attempt {
            before: &before,
            between: &between,
            after: &after,
            paths_unchanged,
            padded: members.iter().any(|member| member.padded > 0),
            database_alone: options.with_db && wal_mode != WalMode::Full,
            database_writes: database_watch.writes(),
            wal_writes: wal_watch.writes(),
            dead_man_switch: linux::dead_man_switch(&files),
            refused: refused(&files),
        });
        let hot_journal = before.hot_journal && after.hot_journal;
        let looks = [before.look, between, after.look];
        Ok(Self {
            number,
            begun,
            files,
            members,
            looks,
            locks,
            hot_journal,
            wal_mode,
            wal_summary,
            identities,
            paths_unchanged,
            verdict,
            then_gone: None,
        })
    }

    /// The reason that the manifest gives for an unstable capture.
    fn reason(&self) -> Option<String> {
        let Unstable { why, .. } = self.verdict.as_ref().err()?;
        Some(match &self.then_gone {
            Some(gone) => format!("{why}; before the next attempt: {gone}"),
            None => why.to_string(),
        })
    }

    /// Gathers the evidence and says what the bundle holds.
    fn conclude(
        mut self,
        target: &Target,
        options: &Options,
        writer: &mut Writer<'_>,
    ) -> Result<(Manifest, OpenedFiles), SnapshotError> {
        let host = linux::host_view(&self.files);
        let mappings = linux::mappings_view(&self.files);
        let users = linux::users_view(&self.files, &mappings);
        let GoesOn { renamed, deleted_wals, journals } = goes_on(&self.files, &mappings, &users);
        let page_tables = linux::page_tables(&linux::LiveSide {
            files: &self.files,
            mappings: &mappings,
            mount_namespace: &host.namespaces.mount,
        });
        let mut missing_texts = std::collections::BTreeMap::new();
        for (name, text) in linux::raw_texts(&self.files, &mappings, &users) {
            match text {
                Observation::Seen { value } => {
                    let name = format!("{}proc/{name}", prefix(self.number));
                    self.members.push(writer.member(&name, value.len() as u64, |sink| sink.write(&value))?);
                }
                unseen => {
                    missing_texts.insert(name, unseen.reason().unwrap_or_default().to_owned());
                }
            }
        }
        let mut samples: Vec<_> = self.looks.iter().filter_map(|look| look.sample).collect();
        samples.extend(more_samples(&self.files, options)?);
        let contact = contact::contact(&self.files.shm, options.hold.as_deref());
        // Checked again after the processes: their mappings are compared with what the paths lead to.
        let paths_unchanged = self.paths_unchanged && linux::paths_unchanged(&self.files);
        let [_, between, _] = &self.looks;
        let cause = self.verdict.as_ref().err().map(|unstable| unstable.why.cause());
        let manifest = Manifest {
            schema: format!("walscope/bundle/{BUNDLE_VERSION}"),
            bundle_version: BUNDLE_VERSION,
            walscope_version: env!("CARGO_PKG_VERSION").to_owned(),
            path: target.to_string(),
            stability: Stability { stable: self.verdict.is_ok(), reason: self.reason(), cause, attempts: self.number },
            wal_mode: self.wal_mode,
            mx_frame: between.mx_frame().and_then(FrameNumber::to_u32),
            with_db: options.with_db,
            members: self.members,
            wal_summary: self.wal_summary,
            missing_texts,
            access_time_moved: self.files.access_time_moved.clone(),
            hot_journal: Some(self.hot_journal),
            evidence: Evidence {
                begun: self.begun,
                ended: linux::clock_sample(),
                host,
                files: self.identities,
                paths_unchanged,
                folder_unchanged: linux::folder_unchanged(&self.files),
                mappings,
                users,
                renamed,
                deleted_wals,
                journals,
                locks: Observation::seen(self.locks),
                contact,
                samples,
                page_tables,
                space: linux::space(&self.files),
            },
        };
        Ok((manifest, self.files))
    }
}

/// Samples the wal-index repeatedly. When two sides do so at the same time, the samples show the order of events.
fn more_samples(files: &OpenedFiles, options: &Options) -> Result<Vec<WalIndexSample>, SnapshotError> {
    let mut samples = Vec::new();
    for _ in 0..options.samples {
        std::thread::sleep(options.interval);
        samples.extend(Look::take(files)?.sample);
    }
    Ok(samples)
}

/// Why one of the files could not be opened although it is there. A `-shm` without permission does not count: the other
/// files can still be of one moment. A `-shm` that is no regular file counts: then nothing here is what it seems.
fn refused(files: &OpenedFiles) -> Option<Why> {
    [(Part::Database, &files.database), (Part::Wal, &files.wal), (Part::Shm, &files.shm)].into_iter().find_map(
        |(part, file)| match file {
            Observation::Seen { .. } | Observation::Missing { .. } => None,
            Observation::Denied { .. } if part == Part::Shm => None,
            refused => Some(Why::NotOpened(part, refused.reason().unwrap_or_default().to_owned())),
        },
    )
}

/// The copying of one attempt.
struct Copy<'a, 'w> {
    files: &'a OpenedFiles,
    options: &'a Options,
    prefix: String,
    writer: &'a mut Writer<'w>,
    hook: &'a mut dyn FnMut(Step),
    members: Vec<Member>,
    before: Option<Moment>,
    /// S1.
    between: Option<Look>,
    /// The locks of the same moment as S1, and later with their holders.
    locks: Option<Locks>,
    named: Option<LocksView>,
    wal_mode: WalMode,
    wal_summary: Option<WalSummary>,
    after: Option<Moment>,
    identities: Option<FilesView>,
    paths_unchanged: bool,
}

/// The steps of a look, for a capture: it keeps bytes where a look keeps facts.
impl order::Steps for Copy<'_, '_> {
    type Error = SnapshotError;

    fn before(&mut self) -> Result<(), SnapshotError> {
        let before = Moment::take(self.files)?;
        self.head("shm-before", &before.look)?;
        self.before = Some(before);
        Ok(())
    }

    fn database(&mut self) -> Result<(), SnapshotError> {
        (self.hook)(Step::Database);
        let page_size = self.before.as_ref().and_then(|before| before.look.wal.as_ref()?.page_size());
        self.copy_database(page_size)
    }

    fn index_with_locks(&mut self) -> Result<(), SnapshotError> {
        (self.hook)(Step::WalIndex);
        let (between, locks) = Look::take_with_locks(self.files)?;
        self.copy_wal_index(&between)?;
        (self.locks, self.between) = (Some(locks), Some(between));
        Ok(())
    }

    fn wal(&mut self) -> Result<(), SnapshotError> {
        (self.hook)(Step::WalCommitted);
        let Some(between) = self.between.take() else { return Ok(()) };
        (self.wal_mode, self.wal_summary) = self.copy_wal(&between)?;
        self.between = Some(between);
        Ok(())
    }

    fn after(&mut self) -> Result<(), SnapshotError> {
        (self.hook)(Step::After);
        let after = Moment::take(self.files)?;
        self.head("shm-after", &after.look)?;
        self.after = Some(after);
        Ok(())
    }

    fn names(&mut self) -> Result<(), SnapshotError> {
        // Finding the holders takes longer, so it comes after everything else has been read.
        self.named = self.locks.take().zip(self.between.as_ref()).map(|(locks, at)| locks.named(self.files, at));
        self.identities = Some(linux::identities(self.files));
        self.paths_unchanged = linux::paths_unchanged(self.files);
        Ok(())
    }
}

impl Copy<'_, '_> {
    fn member(
        &mut self,
        name: &str,
        length: u64,
        left_out: Vec<LeftOut>,
        fill: impl FnOnce(&mut Sink<'_>, &mut dyn FnMut(Step)) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let hook = &mut *self.hook;
        let end = if left_out.is_empty() { "" } else { SPARSE };
        let name = format!("{}{name}{end}", self.prefix);
        let left = left_out.iter().map(|out| out.length).fold(0, u64::saturating_add);
        let member = self.writer.member(&name, length.saturating_sub(left), |sink| fill(sink, hook))?;
        self.members.push(Member { left_out, ..member });
        Ok(())
    }

    /// Writes the head of the `-shm` as one look found it.
    fn head(&mut self, name: &str, look: &Look) -> Result<(), SnapshotError> {
        match self.files.shm.value() {
            Some(_) => self.member(name, look.head.len() as u64, Vec::new(), |sink, _| sink.write(&look.head)),
            None => Ok(()),
        }
    }

    /// Copies the database, or its first page.
    fn copy_database(&mut self, page_size_of_wal: Option<PageSize>) -> Result<(), SnapshotError> {
        let Some(file) = self.files.database.value() else { return Ok(()) };
        let size = self.size(file, "")?;
        if self.options.with_db {
            return self.range("db", file, "", 0, size, Some(Step::DatabaseChunk));
        }
        let mut head = [0; 100];
        let n = FileBytes::region(Arc::clone(file), 0, size)
            .read_at(&mut head, 0)
            .map_err(|e| unreadable(&sibling(self.files, ""), e))?;
        let head = db::parse_head(head.get(..n).unwrap_or_default()).ok();
        let page = head.as_ref().and_then(DatabaseHead::page_size).or(page_size_of_wal);
        self.range("db-page1", file, "", 0, size.min(page.map_or(4096, u64::from)), None)
    }

    /// Copies the `-shm`: first the head that one look found whole, then the rest.
    fn copy_wal_index(&mut self, between: &Look) -> Result<(), SnapshotError> {
        let path = sibling(self.files, "-shm");
        let Some(bytes) = self.files.shm_bytes().map_err(|e| unreadable(&path, e))? else { return Ok(()) };
        let size = bytes.len();
        let needed = indexed_end(between, size);
        // Looked for a little beyond, so that a hole which the end cuts short is still found.
        let looked_at = needed.saturating_add(WHOLE_SHM_AT_MOST).min(size);
        let holes = long_holes(bytes.as_ref(), HEAD_SIZE as u64..looked_at).map_err(|e| unreadable(&path, e))?;
        let holes: Vec<_> = holes.into_iter().map(|hole| hole.start..hole.end.min(needed)).collect();
        let mut left = left_out(&holes, 0, LeftOutReason::Hole);
        left.retain(|out| out.length > 0 && out.offset < needed);
        if needed < size {
            let reason = if bytes.next_data(needed) >= size { LeftOutReason::Hole } else { LeftOutReason::NotIndexed };
            left.push(LeftOut { offset: needed, length: size - needed, reason });
        }
        let mut kept = kept(&left, size);
        // The head is the one that a look found whole.
        if let Some(first) = kept.first_mut() {
            first.start = (HEAD_SIZE as u64).min(first.end);
        }
        let rest = Pieces { bytes, path, from: 0, kept };
        let chunk = self.options.chunk_size;
        self.member("shm", size, left, |sink, _| {
            sink.write(&between.head)?;
            rest.copy(chunk, sink, &mut |_| {})
        })
    }

    /// Copies the `-wal` as the options say.
    fn copy_wal(&mut self, between: &Look) -> Result<(WalMode, Option<WalSummary>), SnapshotError> {
        let asked = self.options.wal;
        let Some(file) = self.files.wal.value() else {
            (self.hook)(Step::WalTail);
            return Ok((asked.unwrap_or(WalMode::Full), None));
        };
        let size = self.size(file, "-wal")?;
        // A whole database needs the WAL's pages that a checkpoint has not copied, or has copied only in part.
        let full = self.options.with_db || size <= FULL_WAL_AT_MOST;
        let mode = asked.unwrap_or(if full { WalMode::Full } else { WalMode::Headers });
        let mut summary = None;
        match mode {
            WalMode::Full => {
                let border = committed_end(between).unwrap_or(size).min(size);
                self.range("wal", file, "-wal", 0, border, Some(Step::WalChunk))?;
                (self.hook)(Step::WalTail);
                let size = self.size(file, "-wal")?;
                if size > border {
                    self.range("wal-tail", file, "-wal", border, size, None)?;
                }
            }
            WalMode::Headers => {
                summary = Some(self.wal_headers(file, size, between)?);
                (self.hook)(Step::WalTail);
            }
            WalMode::None => (self.hook)(Step::WalTail),
        }
        Ok((mode, summary))
    }

    /// Copies the WAL header and every frame header, and returns what one pass over the whole WAL found.
    fn wal_headers(&mut self, file: &Arc<File>, size: u64, between: &Look) -> Result<WalSummary, SnapshotError> {
        let page_size = between.wal.as_ref().and_then(|wal| wal.page_size());
        let frames = page_size.map_or(0, |page_size| page_size.stride().frames_in(size));
        let length = size.min(Stride::HEADERS.length_with(frames));
        let path = sibling(self.files, "-wal");
        let bytes = FileBytes::region(Arc::clone(file), 0, size);
        let holes = long_holes(&bytes, HEADER_SIZE as u64..size).map_err(|e| unreadable(&path, e))?;
        let left = page_size.map_or_else(Vec::new, |page_size| headers_in(&holes, page_size, frames));
        let mut placed = Placed::new(kept(&left, length));
        let mut facts = None;
        self.member("wal-headers", length, left, |sink, _| {
            let mut head = [0; HEADER_SIZE];
            let n = bytes.read_at(&mut head, 0).map_err(|e| unreadable(&path, e))?;
            placed.write(sink, 0, head.get(..n).unwrap_or_default())?;
            let mut written = Ok(());
            let mut each = |frame: &Frame| {
                if written.is_ok() {
                    written = placed.write(sink, Stride::HEADERS.offset_of(frame.number), &frame.header.to_bytes());
                }
            };
            let scan = wal_scan::Scan::new(&bytes).frames_outside_of_holes(&mut each);
            let found = scan.map_err(|e| unreadable(&path, e))?;
            written?;
            // What was not handed out are zeros in a hole, unless the file shrank.
            if found.frames.in_file >= frames {
                sink.zeros(u64::MAX)?;
            }
            facts = Some(found);
            Ok(())
        })?;
        Ok(facts.unwrap_or_else(wal_scan::WalFacts::absent).into())
    }

    /// Copies bytes `from..to` of a file as one member, with a step between two chunks.
    fn range(
        &mut self,
        name: &str,
        file: &Arc<File>,
        suffix: &str,
        from: u64,
        to: u64,
        step: Option<fn(u64) -> Step>,
    ) -> Result<(), SnapshotError> {
        let path = sibling(self.files, suffix);
        let bytes = FileBytes::region(Arc::clone(file), 0, to);
        let holes = long_holes(&bytes, from..to).map_err(|e| unreadable(&path, e))?;
        let left = left_out(&holes, from, LeftOutReason::Hole);
        let length = to.saturating_sub(from);
        let range = Pieces { bytes: Arc::new(bytes), path, from, kept: kept(&left, length) };
        let chunk = self.options.chunk_size;
        self.member(name, length, left, |sink, hook| {
            range.copy(chunk, sink, &mut |n| {
                if let Some(step) = step {
                    hook(step(n));
                }
            })
        })
    }

    fn size(&self, file: &File, suffix: &str) -> Result<u64, SnapshotError> {
        let metadata = file.metadata().map_err(|e| unreadable(&sibling(self.files, suffix), e))?;
        Ok(metadata.len())
    }
}

/// Where the blocks of a `-shm` end that are captured: all of a usual one, else those that frames up to mxFrame need.
fn indexed_end(between: &Look, size: u64) -> u64 {
    let last = between.mx_frame().map_or(0, block_of);
    let needed = u64::from(last).saturating_add(1).saturating_mul(BLOCK_SIZE as u64);
    needed.max(WHOLE_SHM_AT_MOST).min(size)
}

/// Where the frames up to `S1.mxFrame` end, if the wal-index belongs to this WAL.
fn committed_end(between: &Look) -> Option<u64> {
    between.wal.as_ref()?.end_of_frame(between.mx_frame()?)
}
