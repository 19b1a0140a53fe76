//! What wal.c does to the checkpoint info of a wal-index, written down from its source a second time: which reader sits
//! where, how far a checkpoint gets. The library is compared with this, and both with what SQLite then reports.

use std::fs;
use std::path::Path;

/// A connection: its process, and its number in there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    pub pid: u32,
    pub id: usize,
}

/// The wal-index, and who holds what.
#[derive(Debug, Clone)]
pub struct Index {
    pub mx_frame: u32,
    pub backfilled: u32,
    pub attempted: u32,
    pub marks: [Option<u32>; 5],
    pub readers: [Vec<Who>; 5],
    pub writer: Option<Who>,
    /// A connection in exclusive locking mode has the whole database locked.
    pub exclusive: bool,
    /// A checkpoint was cut and none has made up for it.
    pub cut: bool,
    /// The index was recovered with frames in it, and not restarted since.
    pub recovered: bool,
}

impl Index {
    /// After walIndexRecover with nobody else there.
    pub fn recovered(mx_frame: u32) -> Self {
        Self {
            mx_frame,
            backfilled: 0,
            attempted: mx_frame,
            marks: [Some(0), (mx_frame > 0).then_some(mx_frame), None, None, None],
            readers: Default::default(),
            writer: None,
            exclusive: false,
            cut: false,
            recovered: mx_frame > 0,
        }
    }

    pub fn slot_of(&self, who: Who) -> Option<usize> {
        self.readers.iter().position(|slot| slot.contains(&who))
    }

    /// walTryBeginRead. `use_wal`: slot 0 will not do.
    pub fn begin_read(&mut self, who: Who, use_wal: bool) {
        assert_eq!(self.slot_of(who), None);
        if !use_wal && self.backfilled == self.mx_frame {
            self.readers[0].push(who);
            return;
        }
        let mut best: Option<(u32, usize)> = None;
        for slot in 1..5 {
            if let Some(mark) = self.marks[slot].filter(|mark| *mark <= self.mx_frame)
                && best.is_none_or(|(highest, _)| highest <= mark)
            {
                best = Some((mark, slot));
            }
        }
        if best.is_none_or(|(mark, _)| mark < self.mx_frame)
            && let Some(free) = (1..5).find(|slot| self.readers[*slot].is_empty())
        {
            self.marks[free] = Some(self.mx_frame);
            best = Some((self.mx_frame, free));
        }
        self.readers[best.expect("a slot").1].push(who);
    }

    /// Ends what the connection holds.
    pub fn end(&mut self, who: Who) {
        for slot in &mut self.readers {
            slot.retain(|reader| *reader != who);
        }
        if self.writer == Some(who) {
            self.writer = None;
        }
    }

    /// A transaction that begins and ends: only its traces in the marks stay.
    pub fn touch(&mut self, who: Who) {
        self.begin_read(who, false);
        self.end(who);
    }

    /// walRestartLog, before the first frame of a transaction.
    pub fn first_frame(&mut self, who: Who) {
        if self.slot_of(who) != Some(0) {
            return;
        }
        if self.backfilled > 0 && self.readers[1..].iter().all(Vec::is_empty) {
            self.restart();
        }
        self.readers[0].retain(|reader| *reader != who);
        self.begin_read(who, true);
    }

    /// walRestartHdr.
    pub fn restart(&mut self) {
        (self.mx_frame, self.backfilled, self.attempted) = (0, 0, 0);
        self.marks = [Some(0), Some(0), None, None, None];
        (self.cut, self.recovered) = (false, false);
    }

    pub fn commit(&mut self, mx_frame: u32) {
        self.mx_frame = mx_frame;
    }

    /// walCheckpoint's way through the marks: how far it may copy. `None`: all was copied before.
    fn raise_marks(&mut self) -> Option<u32> {
        if self.backfilled >= self.mx_frame {
            return None;
        }
        let mut safe = self.mx_frame;
        for slot in 1..5 {
            let Some(mark) = self.marks[slot].filter(|mark| *mark < safe) else { continue };
            if self.readers[slot].is_empty() {
                self.marks[slot] = (slot == 1).then_some(safe);
            } else {
                safe = mark;
            }
        }
        Some(safe)
    }

    /// A checkpoint that waits for nobody; returns what it reports. `TRUNCATE` restarts, if it can.
    pub fn checkpoint(&mut self, mode: &str) -> String {
        if mode == "NOOP" {
            return format!("0|{}|{}", self.mx_frame, self.backfilled);
        }
        // Without the WRITE lock everything else becomes PASSIVE, and busy.
        let mut busy = mode != "PASSIVE" && self.writer.is_some();
        if let Some(safe) = self.raise_marks()
            && self.backfilled < safe
            && self.readers[0].is_empty()
        {
            (self.backfilled, self.attempted, self.cut) = (safe, safe, false);
        }
        if mode != "PASSIVE" && !busy {
            busy = self.backfilled < self.mx_frame;
            if !busy && mode != "FULL" {
                busy = self.readers[1..].iter().any(|slot| !slot.is_empty());
                if !busy && mode == "TRUNCATE" {
                    self.restart();
                }
            }
        }
        format!("{}|{}|{}", u8::from(busy), self.mx_frame, self.backfilled)
    }

    /// How far a checkpoint would copy.
    pub fn safe_to(&self) -> u32 {
        let mut after = self.clone();
        after.checkpoint("PASSIVE");
        after.backfilled
    }

    /// Whether slots 1 to 4 are free of everybody but the writer of now.
    pub fn can_restart(&self) -> bool {
        self.readers[1..].iter().flatten().all(|reader| self.writer == Some(*reader))
    }

    /// Whether a reader keeps frames behind its mark, or all of them, from being copied, or nobody else can use the database.
    pub fn blocked(&self) -> bool {
        let limits = |slot: usize| slot == 0 || self.marks[slot] < Some(self.mx_frame);
        self.exclusive || (0..5).any(|slot| !self.readers[slot].is_empty() && limits(slot))
    }

    /// Takes over what a process that died, or was cut off, left in the `-shm`; the holders stay.
    pub fn adopt(&mut self, raw: &Raw) {
        (self.mx_frame, self.backfilled, self.attempted) = (raw.mx_frame, raw.backfilled, raw.attempted);
        self.marks = raw.marks;
        self.cut &= self.attempted > self.backfilled;
    }
}

/// Fields of a native `-shm` at fixed places, written from walformat and not from the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw {
    pub mx_frame: u32,
    pub backfilled: u32,
    pub attempted: u32,
    pub marks: [Option<u32>; 5],
    pub salts: [u8; 8],
}

pub fn raw(path: &Path) -> Option<Raw> {
    let bytes = fs::read(path.with_extension("db-shm")).ok().filter(|bytes| bytes.len() >= 136)?;
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    Some(Raw {
        mx_frame: word(16),
        backfilled: word(96),
        attempted: word(128),
        marks: std::array::from_fn(|slot| Some(word(100 + 4 * slot)).filter(|mark| *mark != u32::MAX)),
        salts: bytes[32..40].try_into().unwrap(),
    })
}

/// The salt-1 of the -wal if a whole commit frame stands behind what the wal-index counts: its writer died, or failed to repeat
/// the frame up to the sector boundary, before the wal-index showed it. Nobody was told that it is committed. If others go on
/// and restart the WAL, it stays behind as a frame of the generation before that was never copied.
pub fn unconfirmed(path: &Path, page_size: usize) -> Option<u32> {
    let wal = fs::read(path.with_extension("db-wal")).ok()?;
    let behind = raw(path)?.mx_frame as usize;
    let salts = wal.get(16..24)?;
    let mut frames = wal.get(32..)?.chunks_exact(24 + page_size).skip(behind);
    let commits = frames.any(|frame| frame[8..16] == *salts && frame[4..8] != [0; 4]);
    commits.then(|| u32::from_be_bytes(salts[..4].try_into().unwrap()))
}

/// Whether the -wal is of a generation that ended, with `mxFrame` 0 and these salts in the wal-index. With `commits` in it,
/// salt-1 tells, which a restart counts up: else they begin the next generation. Without, frames of other salts than the
/// header's are of before.
pub fn ended(path: &Path, page_size: usize, index: [u8; 8], commits: bool) -> bool {
    let wal = fs::read(path.with_extension("db-wal")).unwrap_or_default();
    let Some(header) = wal.get(16..24) else { return false };
    if commits {
        let salt1 = |salts: &[u8]| u32::from_be_bytes(salts[..4].try_into().unwrap());
        return salt1(header).wrapping_add(1) == salt1(&index);
    }
    let frames = wal.get(32..).unwrap_or_default().chunks_exact(24 + page_size);
    frames.into_iter().any(|frame| frame[8..16] != *header && frame[8..16] != [0; 8])
}
