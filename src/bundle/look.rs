//! One look at the files: what the stability rule compares.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{LocksView, Observation, WalIndexSample};
use crate::format::shm::{self, CheckpointInfo, HEAD_SIZE, IndexHead, IndexHeader};
use crate::format::wal::{self, WalHeader};
use crate::linux::{self, OpenedFiles};
use crate::look::marks_and_locks;
use crate::number::{FrameNumber, PageSize, Salts};
use crate::wal::is_cut_short;

use super::SnapshotError;
use super::archive::unreadable;

/// How often a torn wal-index header is read again. A writer needs nanoseconds between the two copies. When a writer
/// was stopped there, the header stays torn, and the look says so.
const TEAR_RETRIES: u32 = 100;

/// The first bytes of a journal that a rollback would use. A finished journal has zeros there or is empty.
pub(super) const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// What the wal-index and the head of the WAL say at one moment.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// The first 136 bytes of the `-shm`, or what there is of them.
    pub(super) head: Vec<u8>,
    /// The header, when both copies were equal and their checksums right.
    pub(super) index: Option<IndexHeader>,
    /// How far the checkpoint is; only with a header that could be trusted.
    pub(super) checkpoint: Option<CheckpointInfo>,
    /// The header and the checkpoint info, with the clocks read before and after.
    pub(super) sample: Option<WalIndexSample>,
    /// The `-wal`.
    pub(super) wal: Option<WalLook>,
}

/// The head of a `-wal`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WalLook {
    /// Bytes of the file.
    pub(super) size: u64,
    /// Its header.
    pub(super) header: Option<WalHeader>,
}

impl WalLook {
    /// The page size, when the header has a magic and a page size that SQLite accepts.
    pub(super) fn page_size(&self) -> Option<PageSize> {
        self.header.filter(|header| header.checksum_order().is_some())?.page_size()
    }

    /// Where frame `number` ends, in bytes from the start of the file.
    pub(super) fn end_of_frame(&self, number: FrameNumber) -> Option<u64> {
        Some(self.page_size()?.stride().length_with(number.count()))
    }
}

/// Locks that were asked for between two looks.
pub(super) struct Locks {
    states: LocksView,
    after: Look,
}

impl Locks {
    /// The locks with their holders, as far as they agree with the look before them.
    pub(super) fn named(self, files: &OpenedFiles, before: &Look) -> LocksView {
        let locks = linux::name_holders(files, self.states);
        marks_and_locks::fitting(before.parsed().as_ref(), self.after.parsed().as_ref(), locks)
    }
}

impl Look {
    /// Reads the wal-index first, then the WAL header.
    pub(super) fn take(files: &OpenedFiles) -> Result<Self, SnapshotError> {
        let shm = files.shm_bytes().map_err(|e| unreadable(&sibling(files, "-shm"), e))?;
        let mut look = match shm {
            Some(shm) => read_index(shm.as_ref()).map_err(|e| unreadable(&sibling(files, "-shm"), e))?,
            None => Self { head: Vec::new(), index: None, checkpoint: None, sample: None, wal: None },
        };
        if let Some(file) = files.wal.value() {
            look.wal = Some(read_wal_head(file).map_err(|e| unreadable(&sibling(files, "-wal"), e))?);
        }
        Ok(look)
    }

    /// Reads the wal-index and the WAL header, then the locks, then wal-index and WAL header again.
    pub(super) fn take_with_locks(files: &OpenedFiles) -> Result<(Self, Locks), SnapshotError> {
        let (look, states, after) =
            marks_and_locks::together(|| Self::take(files), || linux::lock_states(files), |a, b| a.head == b.head)?;
        Ok((look, Locks { states, after }))
    }

    fn parsed(&self) -> Option<IndexHead> {
        shm::parse_head(&self.head).ok()
    }

    /// The salts, when the wal-index and a WAL that is long enough for frames have the same.
    pub(super) fn generation(&self) -> Option<Salts> {
        let salts = self.index.as_ref()?.salts;
        let header = self.wal.as_ref().filter(|_| self.has_frames())?.header?;
        (header.salts == salts).then_some(salts)
    }

    /// The salts of a WAL that is long enough for frames, whatever the wal-index says.
    pub(super) fn salts_of_wal(&self) -> Option<Salts> {
        Some(self.wal.as_ref().filter(|_| self.has_frames())?.header?.salts)
    }

    /// The generation whose frames the wal-index counts, if the `-wal` does not have them: it is missing or too short, or
    /// its header is not that of this generation.
    ///
    /// folklore: while the wal-index counts frames, the header of the `-wal` is that of their generation. A restart sets
    /// `mxFrame` to 0 together with new salts (walRestartHdr); only then, before the first frame, a writer writes the new
    /// header (walFrames); and a recovery takes the salts from the header (walIndexRecover). So at `mxFrame` 0 the header
    /// may have any salts, and above 0 only the same. Held by `a_wal_of_another_generation_at_each_look_was_put_there` and
    /// `writers_that_restart_the_wal_all_the_time_lose_no_wal`.
    pub(super) fn cut_off(&self) -> Option<Salts> {
        let index = self.index.as_ref()?;
        let (header, size) = self.wal.as_ref().map_or((None, 0), |wal| (wal.header.as_ref(), wal.size));
        let other = header.is_some_and(|header| header.salts != index.salts || !header.checksum_ok);
        let replaced = index.mx_frame != FrameNumber::NONE && other;
        (replaced || is_cut_short(header, size, index)).then_some(index.salts)
    }

    /// Whether the `-wal` has a header that SQLite accepts, and bytes after it.
    pub(super) fn has_frames(&self) -> bool {
        let wal = self.wal.as_ref().filter(|wal| wal.size > wal::HEADER_SIZE as u64);
        wal.is_some_and(|wal| wal.page_size().is_some() && wal.header.is_some_and(|header| header.checksum_ok))
    }

    /// `nBackfill` and `nBackfillAttempted`: they move before and after a checkpoint writes to the database.
    pub(super) fn backfill(&self) -> Option<[FrameNumber; 2]> {
        self.checkpoint.map(|checkpoint| [checkpoint.backfilled, checkpoint.backfill_attempted])
    }

    /// `mxFrame`, when the header could be trusted.
    pub(super) fn mx_frame(&self) -> Option<FrameNumber> {
        self.index.as_ref().map(|header| header.mx_frame)
    }
}

fn read_index(bytes: &dyn ReadAt) -> std::io::Result<Look> {
    let mut retries = 0;
    loop {
        let before = linux::clock_sample();
        let mut head = vec![0; HEAD_SIZE];
        let n = bytes.read_at(&mut head, 0)?;
        let after = linux::clock_sample();
        head.truncate(n);
        let parsed = shm::parse_head(&head);
        let trusted = parsed.as_ref().ok().and_then(IndexHead::trusted).copied();
        if let (Ok(index), Some(header)) = (&parsed, trusted) {
            let sample = WalIndexSample {
                before,
                after,
                mx_frame: header.mx_frame,
                salts: header.salts,
                frame_checksum: header.frame_checksum,
                backfilled: index.checkpoint.backfilled,
            };
            let checkpoint = Some(index.checkpoint);
            return Ok(Look { head, index: Some(header), checkpoint, sample: Some(sample), wal: None });
        }
        retries += 1;
        if parsed.is_err() || retries > TEAR_RETRIES {
            return Ok(Look { head, index: None, checkpoint: None, sample: None, wal: None });
        }
        std::thread::yield_now();
    }
}

fn read_wal_head(file: &Arc<File>) -> std::io::Result<WalLook> {
    let size = file.metadata()?.len();
    let mut head = [0; wal::HEADER_SIZE];
    let n = FileBytes::region(Arc::clone(file), 0, size).read_at(&mut head, 0)?;
    Ok(WalLook { size, header: wal::parse_header(head.get(..n).unwrap_or_default()).ok() })
}

/// A look, and the stamps that show whether files without a generation stayed unchanged.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// The wal-index and the WAL.
    pub(super) look: Look,
    /// Stamp of the database.
    pub(super) database: Option<Stamp>,
    /// Stamp of the `-wal`.
    pub(super) wal: Option<Stamp>,
    /// Stamp of the `-journal`.
    pub(super) journal: Option<Stamp>,
    /// Whether a `-journal` waits to be rolled back.
    pub(super) hot_journal: bool,
    /// Which transaction the `-journal` is of.
    pub(super) transaction: Option<u32>,
}

impl Moment {
    /// Looks at everything that is open.
    pub(super) fn take(files: &OpenedFiles) -> Result<Self, SnapshotError> {
        let look = Look::take(files)?;
        let stamp = |file: &Observation<Arc<File>>, suffix: &str| match file.value() {
            Some(file) => {
                file.metadata().map(|m| Some(Stamp::of(&m))).map_err(|e| unreadable(&sibling(files, suffix), e))
            }
            None => Ok(None),
        };
        Ok(Self {
            look,
            database: stamp(&files.database, "")?,
            wal: stamp(&files.wal, "-wal")?,
            journal: stamp(&files.journal, "-journal")?,
            hot_journal: files.journal.value().is_some_and(is_hot_journal),
            transaction: files.journal.value().and_then(nonce),
        })
    }
}

/// What changes with every write: size, mtime, ctime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    pub(super) modified: (i64, i64),
    pub(super) changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Whether a `-journal` begins as one does that SQLite would roll back.
pub(crate) fn is_hot_journal(file: &Arc<File>) -> bool {
    let mut head = [0; 8];
    let read = FileBytes::region(Arc::clone(file), 0, 8).read_at(&mut head, 0);
    // A journal that cannot be read may be hot.
    read.map_or(true, |n| n == head.len() && head == JOURNAL_MAGIC)
}

/// What the checksums of a `-journal` begin with: random, and another in each transaction (writeJournalHdr in pager.c). It is
/// there before the magic, which comes with the first sync.
fn nonce(file: &Arc<File>) -> Option<u32> {
    let mut bytes = [0; 4];
    let read = FileBytes::region(Arc::clone(file), 0, 16).read_at(&mut bytes, 12);
    let nonce = read.is_ok_and(|n| n == bytes.len()).then(|| u32::from_be_bytes(bytes))?;
    // A header that was made invalid is all zeros.
    (nonce != 0).then_some(nonce)
}

/// The path of a sibling of the database, for messages.
pub(super) fn sibling(files: &OpenedFiles, suffix: &str) -> PathBuf {
    with_suffix(&files.database_path, suffix)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
