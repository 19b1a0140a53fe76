//! What trace of an accident the files hold. This is the definition that the campaign holds `verify` against. It is written
//! from the file formats and the rules of wal.c, and shares no code with the library; what the accident was it does not
//! know.
//!
//! A trace is something in the bytes that SQLite never leaves by itself, or that only a crash leaves. Rows, tables and
//! indexes are no trace: walscope reads none, and says so (`not_checked`). A file that was left out, and a state that a
//! database really had some time ago, leave none either: [`crate::lies::Silent`] counts these.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::synthetic::sum;
use crate::moments::Files;

/// What the bytes show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trace {
    /// The `-wal` has a header that SQLite does not take.
    WalHeaderUnusable,
    /// The `-wal` has fewer bytes than a header.
    WalHeaderCut,
    /// The `-wal` ends within a frame.
    FrameCut,
    /// Behind the end of the chain a frame of the same generation follows, with a commit behind the next frame but one: more
    /// than the transaction that a crash can tear.
    CommitsBehindBreak,
    /// Behind the end of the chain there is one transaction of the same generation, or what is left of it.
    LastTransactionBroken,
    /// A frame whose salts agree with the header's by half: no generation has such salts.
    SaltsByHalf,
    /// The `-shm` of this generation counts more frames than the chain has.
    IndexCountsMore,
    /// The `-shm` is of another generation than the `-wal`.
    IndexOfOtherGeneration,
    /// What the `-shm` of exactly this `-wal` says to be copied is not in the database.
    CopiedNotInDatabase,
    /// The database has bytes, and no header that SQLite takes.
    DatabaseHeaderUnusable,
    /// A field of the database's header has a value that the format does not have.
    HeaderFieldImpossible,
    /// The database is empty, and the `-wal` has commits.
    DatabaseEmpty,
    /// The header of the database is of another page size than the `-wal`.
    PageSizeDiffers,
    /// The header says rollback mode, and the `-wal` has commits.
    WalBesideRollback,
    /// Pages that the last commit counts are in neither file.
    PagesMissing,
    /// Page 1 of the database is neither in the `-wal` nor can it be the one before: its change counter is not that of the
    /// first image, nor one less, or its schema cookie is larger than that of the last image.
    PageOneOutOfLine,
    /// Page 1 of the database has the schema cookie of the last image in the `-wal`, and other rows of the schema, or another
    /// form of pages.
    SchemaUnlikeItsCookie,
    /// Frames that were all copied before the restart are not in the database.
    StaleNotInDatabase,
    /// Each line feed of a file has a carriage return before it, and there are at least 16: a transfer as text.
    LineEnds,
}

/// How loud `verify` has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loud {
    /// It is not called sound. A crash leaves the same, or a rolled back transaction: a warning could be a false alarm.
    NotSound,
    /// A warning or an error.
    Warning,
}

impl Trace {
    pub fn loud(self) -> Loud {
        match self {
            // The end of a -wal after a crash.
            Self::WalHeaderCut | Self::FrameCut | Self::LastTransactionBroken => Loud::NotSound,
            Self::SaltsByHalf => Loud::NotSound,
            // A -shm at rest is rebuilt by the next connection, and a restart in exclusive mode leaves it behind.
            Self::IndexCountsMore | Self::IndexOfOtherGeneration => Loud::NotSound,
            _ => Loud::Warning,
        }
    }
}

fn be(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn ne(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// A frame of the `-wal`.
#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    page: u32,
    /// The size after the commit; 0: no commit frame.
    size: u32,
    salts: [u32; 2],
    sums: (u32, u32),
    content: &'a [u8],
    /// Whether its sum continues that of the frame before, or of the header.
    follows: bool,
}

/// A `-wal` with a header that SQLite takes.
struct Wal<'a> {
    page_size: usize,
    salts: [u32; 2],
    frames: Vec<Frame<'a>>,
    /// Frames of the chain that SQLite reads.
    valid: usize,
    /// Those of them up to the last commit.
    committed: usize,
    cut: bool,
}

impl<'a> Wal<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..32)?;
        let big = match be(header, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let page_size = be(header, 8) as usize;
        let known = be(header, 4) == 3_007_000 && page_size.is_power_of_two() && (512..=65536).contains(&page_size);
        let mut sums = sum(big, (0, 0), &header[..24]);
        if !known || sums != (be(header, 24), be(header, 28)) {
            return None;
        }
        let salts = [be(header, 16), be(header, 20)];
        let mut frames = Vec::new();
        let whole = bytes[32..].chunks_exact(24 + page_size);
        let cut = !whole.remainder().is_empty();
        for frame in whole {
            sums = sum(big, sum(big, sums, &frame[..8]), &frame[24..]);
            let stored = (be(frame, 16), be(frame, 20));
            frames.push(Frame {
                page: be(frame, 0),
                size: be(frame, 4),
                salts: [be(frame, 8), be(frame, 12)],
                sums: stored,
                content: &frame[24..],
                follows: sums == stored,
            });
            sums = stored;
        }
        let valid = frames.iter().take_while(|frame| frame.follows && frame.page != 0 && frame.salts == salts).count();
        let committed = frames[..valid].iter().rposition(|frame| frame.size > 0).map_or(0, |last| last + 1);
        Some(Self { page_size, salts, frames, valid, committed, cut })
    }

    fn commits(&self) -> &[Frame<'a>] {
        &self.frames[..self.committed]
    }

    /// The newest content of each page among the first so many frames.
    fn newest(&self, frames: usize) -> BTreeMap<u32, &'a [u8]> {
        self.frames[..frames].iter().map(|frame| (frame.page, frame.content)).collect()
    }
}

/// Every trace in these files, in order.
pub fn traces(files: &Files) -> BTreeSet<Trace> {
    let mut found = BTreeSet::new();
    let bytes = files.wal.as_deref().unwrap_or_default();
    let wal = Wal::read(bytes);
    let (database, commits) = (&files.database[..], wal.as_ref().is_some_and(|wal| wal.committed > 0));
    if [bytes, database].into_iter().any(line_ends) {
        found.insert(Trace::LineEnds);
    }
    match &wal {
        None if bytes.is_empty() => {}
        None if bytes.len() < 32 => drop(found.insert(Trace::WalHeaderCut)),
        None => drop(found.insert(Trace::WalHeaderUnusable)),
        Some(wal) => behind_the_chain(wal, &mut found),
    }
    header(database, wal.as_ref().filter(|_| commits), &mut found);
    pages(database, wal.as_ref(), &mut found);
    if let Some(wal) = &wal {
        if let Some(index) = files.shm.as_deref().filter(|shm| trusted(shm)) {
            index_of(index, wal, database, &mut found);
        }
        stale(wal, database, &mut found);
        if commits {
            page_one(wal, database, &mut found);
        }
    }
    found
}

fn line_ends(bytes: &[u8]) -> bool {
    let feeds: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
    feeds.len() >= 16 && feeds.iter().all(|at| *at > 0 && bytes[at - 1] == b'\r')
}

fn behind_the_chain(wal: &Wal<'_>, found: &mut BTreeSet<Trace>) {
    let rest = &wal.frames[wal.valid..];
    if wal.cut {
        found.insert(Trace::FrameCut);
    }
    let Some(broken) = rest.first() else { return };
    // The frames after the broken one, as long as each continues the one before it: nobody but one writer wrote them, and it
    // went on after this place. The last commit is the transaction that a crash can tear; one more before it is not.
    let behind = &rest[1..];
    let run = behind.iter().take_while(|frame| frame.salts == wal.salts && frame.follows && frame.page != 0).count();
    // Without powersafe overwrite the commit frame is repeated up to the end of the sector.
    let repeats = |at: usize| {
        let (before, now) = (&rest[at], &rest[at + 1]);
        (before.page, before.size, before.content) == (now.page, now.size, now.content)
    };
    let commits = (0..run).filter(|at| behind[*at].size > 0 && !repeats(*at)).count();
    let by_half = |frame: &Frame<'_>| (frame.salts[0] == wal.salts[0]) != (frame.salts[1] == wal.salts[1]);
    if by_half(broken) {
        found.insert(Trace::SaltsByHalf);
    }
    if commits + usize::from(broken.size > 0) > 1 {
        found.insert(Trace::CommitsBehindBreak);
    } else if broken.salts == wal.salts {
        found.insert(Trace::LastTransactionBroken);
    }
}

fn header(database: &[u8], wal: Option<&Wal<'_>>, found: &mut BTreeSet<Trace>) {
    if database.is_empty() {
        if wal.is_some() {
            found.insert(Trace::DatabaseEmpty);
        }
        return;
    }
    let page_size = page_size(database);
    let Some(page_size) = page_size.filter(|_| database.starts_with(b"SQLite format 3\0")) else {
        found.insert(Trace::DatabaseHeaderUnusable);
        return;
    };
    if wal.is_some_and(|wal| wal.page_size != page_size) {
        found.insert(Trace::PageSizeDiffers);
    }
    if wal.is_some() && database[18..20] == [1, 1] {
        found.insert(Trace::WalBesideRollback);
    }
    // fileformat2, 1.3: what cannot be otherwise.
    let possible = matches!(database[18], 1 | 2)
        && matches!(database[19], 1 | 2)
        && database[21..24] == [64, 32, 32]
        && page_size - usize::from(database[20]) >= 480
        && (1..=4).contains(&be(database, 44))
        && (1..=3).contains(&be(database, 56))
        && database[72..92].iter().all(|byte| *byte == 0);
    if !possible {
        found.insert(Trace::HeaderFieldImpossible);
    }
}

fn page_size(database: &[u8]) -> Option<usize> {
    let header = database.get(..100)?;
    let size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65536,
        size => usize::from(size),
    };
    (size.is_power_of_two() && size >= 512).then_some(size)
}

/// Pages that are in neither file. Without a commit in the `-wal` the header says how many there are, if it was written with
/// the change counter.
fn pages(database: &[u8], wal: Option<&Wal<'_>>, found: &mut BTreeSet<Trace>) {
    let committed = wal.filter(|wal| wal.committed > 0);
    let (size, page_size, there) = match committed {
        Some(wal) => {
            let there: BTreeSet<u32> = wal.commits().iter().map(|frame| frame.page).collect();
            (wal.commits()[wal.committed - 1].size, wal.page_size, there)
        }
        None => {
            let Some(page_size) = page_size(database) else { return };
            if be(database, 24) != be(database, 92) {
                return;
            }
            (be(database, 28), page_size, BTreeSet::new())
        }
    };
    let held = (database.len() / page_size) as u32;
    // The page of the lock bytes is never written; no database of a history is that large.
    if (held + 1..=size).take(100_000).any(|page| !there.contains(&page)) {
        found.insert(Trace::PagesMissing);
    }
}

/// Both copies of the header agree, and the checksum is right: recovery would not be needed.
fn trusted(shm: &[u8]) -> bool {
    let big = cfg!(target_endian = "big");
    shm.len() >= 136
        && shm[..48] == shm[48..96]
        && ne(shm, 0) == 3_007_000
        && sum(big, (0, 0), &shm[..40]) == (ne(shm, 40), ne(shm, 44))
}

fn index_of(shm: &[u8], wal: &Wal<'_>, database: &[u8], found: &mut BTreeSet<Trace>) {
    let (counted, copied) = (ne(shm, 16) as usize, ne(shm, 96) as usize);
    if counted == 0 {
        return;
    }
    if [be(shm, 32), be(shm, 36)] != wal.salts {
        found.insert(Trace::IndexOfOtherGeneration);
        return;
    }
    if counted > wal.committed {
        found.insert(Trace::IndexCountsMore);
    }
    let exact = counted == wal.committed && (ne(shm, 24), ne(shm, 28)) == wal.frames[counted - 1].sums;
    if !exact || copied > counted {
        return;
    }
    // A later commit can make the database smaller: then a page need not be there.
    let smallest = wal.commits().iter().filter(|frame| frame.size > 0).map(|frame| frame.size).min().unwrap_or(0);
    // A page with a later frame shows nothing: a checkpoint that was cut off may have copied that one.
    let later: BTreeSet<u32> = wal.commits()[copied..].iter().map(|frame| frame.page).collect();
    for (page, content) in wal.newest(copied).into_iter().filter(|(page, _)| !later.contains(page)) {
        let at = (page as usize - 1) * wal.page_size;
        if page <= smallest && database.get(at..at + wal.page_size) != Some(content) {
            found.insert(Trace::CopiedNotInDatabase);
        }
    }
}

/// The frames of the generation before, behind the chain: those that continue one another up to their last commit. A WAL is
/// restarted only when all of them are in the database.
fn stale(wal: &Wal<'_>, database: &[u8], found: &mut BTreeSet<Trace>) {
    let rest = &wal.frames[wal.valid..];
    let Some(first) = rest.first().filter(|first| first.salts[0].wrapping_add(1) == wal.salts[0]) else { return };
    // Nothing shows that the first of them is right: the one before it is gone.
    let run = &rest[1..];
    let run =
        &run[..run.iter().take_while(|frame| frame.follows && frame.salts == first.salts && frame.page != 0).count()];
    let Some(last) = run.iter().rposition(|frame| frame.size > 0) else { return };
    let (run, others) = run.split_at(last + 1);
    // Pages that somebody wrote later, or that nobody knows of.
    let mut elsewhere: BTreeSet<u32> = wal.frames[..wal.valid].iter().map(|frame| frame.page).collect();
    elsewhere.extend(others.iter().chain(&rest[1 + run.len()..]).map(|frame| frame.page));
    let sizes = run.iter().chain(&wal.frames[..wal.valid]).filter(|frame| frame.size > 0).map(|frame| frame.size);
    let smallest = sizes.min().unwrap_or(0);
    let newest: BTreeMap<u32, &[u8]> = run.iter().map(|frame| (frame.page, frame.content)).collect();
    for (page, content) in newest {
        let at = (page as usize - 1) * wal.page_size;
        if page <= smallest && !elsewhere.contains(&page) && database.get(at..at + wal.page_size) != Some(content) {
            found.insert(Trace::StaleNotInDatabase);
        }
    }
}

/// A writer adds at most 1 to the change counter of the page 1 that it read.
fn page_one(wal: &Wal<'_>, database: &[u8], found: &mut BTreeSet<Trace>) {
    let images: Vec<&[u8]> = wal.commits().iter().filter(|frame| frame.page == 1).map(|frame| frame.content).collect();
    let (Some(first), Some(of_database)) = (images.first(), database.get(..wal.page_size)) else { return };
    if images.contains(&of_database) {
        return;
    }
    let last = images[images.len() - 1];
    let cookie = be(last, 40).wrapping_sub(be(of_database, 40));
    if !matches!(be(first, 24).wrapping_sub(be(of_database, 24)), 0 | 1) || cookie > u32::MAX / 2 {
        found.insert(Trace::PageOneOutOfLine);
    }
    // The page size, the versions, the reserved bytes and the payload fractions stay too.
    if cookie == 0 && (last[100..] != of_database[100..] || last[16..24] != of_database[16..24]) {
        found.insert(Trace::SchemaUnlikeItsCookie);
    }
}
