//! One look at the files of a database in the order that cross-checks need, and the facts that it yields.
//!
//! The order is the point. Frames up to `nBackfill` are in the database from the moment on at which that number could be
//! read; later the database only gains images of later frames. So `nBackfill` is read *before* the database, which frame
//! of a page is its latest is settled *after* the WAL, and both must be of one generation. Any other order calls a
//! healthy database damaged while it is written to.

use std::io;
use std::sync::Arc;

use crate::bytes::ReadAt;
use crate::evidence::LocksView;
use crate::format::db::{self, DatabaseHead};
use crate::format::shm::{self, IndexHead, IndexHeader};
use crate::format::wal::{FRAME_HEADER_SIZE, FrameHeader, HEADER_SIZE, WalHeader, parse_header};
use crate::number::FrameNumber;

use self::checkpoint::CheckpointFacts;
use self::marks_and_locks::of_one_kind;
use crate::wal::{Frame, Scan, WalFacts};

mod backfill;
pub mod checkpoint;
mod index;
pub mod marks_and_locks;

pub use backfill::{Backfill, Copied};
pub use index::{IndexCheck, WrongPage};

use backfill::Latest;

/// Things that are listed one by one: wrong entries, unreachable frames, pages that were not copied.
pub const LISTED: usize = 16;

/// The database, as far as it can be seen.
#[derive(Clone)]
pub enum DatabaseSight {
    /// There is none.
    Absent,
    /// It was not looked at.
    NotSeen,
    /// The first page, or what there is of it.
    FirstPage(Arc<dyn ReadAt>),
    /// The whole file.
    Whole(Arc<dyn ReadAt>),
}

/// The `-wal`, as far as it can be seen.
#[derive(Clone)]
pub enum WalSight {
    /// There is none.
    Absent,
    /// It was not looked at.
    NotSeen,
    /// Page content was left out of a bundle; the facts were measured at capture.
    Headers(Box<WalFacts>),
    /// The whole file.
    Whole(Arc<dyn ReadAt>),
}

/// Where the files are seen. Each call gives them as they are at that moment, with their length of that moment.
pub trait Sight: Sync {
    /// The database.
    ///
    /// # Errors
    /// What reading reported; the same for the other files.
    fn database(&self) -> io::Result<DatabaseSight>;
    /// The `-wal`.
    ///
    /// # Errors
    /// As [`Sight::database`].
    fn wal(&self) -> io::Result<WalSight>;
    /// The `-shm`; `None` when there is none or it was not looked at.
    ///
    /// # Errors
    /// As [`Sight::database`].
    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>>;
    /// The locks, as far as seen: their state, in as short a time as possible.
    fn locks(&self) -> Option<LocksView>;
    /// Names the holders of locks, which may take longer: another thread does it while the WAL is passed over.
    fn name_holders(&self, locks: LocksView) -> LocksView {
        locks
    }
    /// Whether the names of the files still lead to what is seen here. The last connection to close a database deletes
    /// `-wal` and `-shm`, and the next one changes the database: what stands still may be long gone.
    fn in_place(&self) -> bool {
        true
    }
    /// `nBackfill` as it was before the database was read; `head` is the wal-index as first looked at. In a bundle that
    /// was read after the database, an earlier sample has the number.
    fn backfilled_before_database(&self, head: &IndexHead) -> Option<FrameNumber> {
        Some(head.checkpoint.backfilled)
    }
    /// Passes once over the `-wal`: hands on every frame but those of zero bytes in holes of a sparse file. With how many
    /// threads is chosen here.
    ///
    /// # Errors
    /// As [`Sight::database`].
    fn pass(&self, wal: &dyn ReadAt, each: &mut dyn FnMut(&Frame)) -> io::Result<WalFacts> {
        Scan::new(wal).frames_outside_of_holes(each)
    }
    /// Whether what is seen can be of one moment at all; an unstable bundle cannot.
    fn may_be_settled(&self) -> bool {
        true
    }
}

/// What one look found.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The head of the database; `None` when there is none, or too little of one.
    pub database: Option<DatabaseHead>,
    /// Bytes of the database, when all of it was seen.
    pub database_size: Option<u64>,
    /// Whether it was looked for and there was none.
    pub database_absent: bool,
    /// The `-wal`; `None` when it was not looked at.
    pub wal: Option<WalFacts>,
    /// The head of the latest committed image of page 1 in the WAL.
    pub wal_page_one: Option<DatabaseHead>,
    /// Commit frames of the current salts behind the break of the chain.
    pub commits_behind_break: u64,
    /// The head of the `-shm`; `None` when there is none, or too little of one.
    pub shm: Option<IndexHead>,
    /// Locks, as far as seen.
    pub locks: Option<LocksView>,
    /// What the checkpoint is doing; `None` when the `-wal` was not looked at.
    pub checkpoint: Option<CheckpointFacts>,
    /// Whether the `-shm` could be trusted, and spoke of one generation without a recovery, before and after the rest
    /// was read, and neither the WAL's header nor whether the `-shm` is in use changed meanwhile, and the files are the
    /// same.
    pub settled: bool,
    /// Whether something changed so that what was read is not of one state: another look may find it still.
    pub changed: bool,
    /// Whether the files were replaced by others while they were read.
    pub replaced: bool,
    /// `mxFrame` after everything was read.
    pub mx_frame_after: Option<FrameNumber>,
    /// The header of frame `mxFrame`, whether the WAL's valid chain reaches it or not.
    pub at_mx_frame: Option<FrameHeader>,
    /// The wal-index against the frames; or why it was not compared.
    pub index: Result<IndexCheck, String>,
    /// The claimed frames against the database; or why that was not compared.
    pub backfill: Backfill,
    /// Why the head of the database could not be decoded.
    pub database_fault: Option<String>,
    /// Why the head of the `-shm` could not be decoded.
    pub shm_fault: Option<String>,
}

impl Examined {
    /// The wal-index header that a reader would use.
    #[must_use]
    pub fn trusted(&self) -> Option<&IndexHeader> {
        self.shm.as_ref().and_then(IndexHead::trusted)
    }

    /// Whether somebody was seen to have the `-shm` open: the dead-man switch is held.
    #[must_use]
    pub fn in_use(&self) -> bool {
        self.locks.as_ref().is_some_and(|locks| locks.shm.dead_man_switch.held())
    }

    /// Whether the wal-index must be right: somebody uses it, and it stood still enough to be judged.
    #[must_use]
    pub fn must_hold(&self) -> bool {
        self.settled && self.in_use()
    }

    /// Whether to look again: it changed meanwhile, or is in use and could not be judged.
    #[must_use]
    pub fn look_again(&self) -> bool {
        self.changed || (self.in_use() && !self.settled)
    }

    /// Why the files cannot be held against each other.
    ///
    /// # Errors
    /// They were replaced while they were read.
    pub fn of_one_time(&self) -> Result<(), String> {
        if self.replaced { Err(REPLACED.to_owned()) } else { Ok(()) }
    }

    /// Whether the wal-index names the salts of the WAL.
    #[must_use]
    pub fn same_generation(&self) -> bool {
        let wal = self.wal.as_ref().and_then(|wal| wal.header);
        self.trusted().zip(wal).is_some_and(|(shm, wal)| shm.salts == wal.salts)
    }
}

/// Why files were not held against each other.
const REPLACED: &str = "the files were replaced while they were read";

/// Looks at everything once.
///
/// # Errors
/// Only what reading reported; bad content is part of the facts.
pub fn examine(sight: &dyn Sight) -> io::Result<Examined> {
    let look = || shm_head(sight.shm()?.as_deref()).map(|(head, _)| head);
    let (before, locks, with_locks) = marks_and_locks::together(look, || sight.locks(), |a, b| a == b)?;
    let index = sight.shm()?;
    let database = sight.database()?;
    let (database_head, database_fault) = database_head(&database)?;
    let trusted = before.as_ref().and_then(IndexHead::trusted).copied();
    let claimed = before.as_ref().and_then(|head| sight.backfilled_before_database(head)).unwrap_or_default();

    let wal = sight.wal()?;
    let mut pass = Pass::new(&wal, before.as_ref(), index.as_deref(), claimed > 0)?;
    let (locks, facts) = while_holders_are_named(sight, locks, || pass.run(sight, &wal));
    let (locks, facts) =
        (locks.map(|locks| marks_and_locks::fitting(before.as_ref(), with_locks.as_ref(), locks)), facts?);
    let held = |locks: Option<&LocksView>| locks.is_some_and(|locks| locks.shm.dead_man_switch.held());
    let in_use = held(locks.as_ref());
    let claim = match &facts {
        Some(facts) => backfill::claim(trusted.as_ref(), facts, claimed, in_use),
        None => Err("the -wal was not looked at".to_owned()),
    };
    let mut backfill = match (claim, &wal, pass.latest.as_mut(), pages(&database)) {
        (Err(reason), ..) => Err(reason),
        (Ok(claim), WalSight::Whole(bytes), Some(latest), Some(pages)) => {
            Ok(backfill::compare(&claim, latest, bytes.as_ref(), pages)?)
        }
        (Ok(_), WalSight::Whole(_), ..) => Err("there is no database to compare with".to_owned()),
        (Ok(_), ..) => Err("the pages of the WAL were left out of the bundle".to_owned()),
    };
    let wal_page_one = match &wal {
        WalSight::Whole(bytes) => pass.page_one(bytes.as_ref())?,
        _ => None,
    };

    // From here on everything is looked at once more: what the WAL has gained, and whether it is still the same.
    let later = sight.wal()?;
    let later_header = wal_header(&later)?;
    if let (Ok(copied), WalSight::Whole(bytes), Some(facts), Some(latest)) =
        (&mut backfill, &later, &facts, pass.latest.as_mut())
    {
        backfill::forgive(copied, latest, bytes.as_ref(), facts)?;
    }
    let (after, shm_fault) = shm_head(sight.shm()?.as_deref())?;
    let one_kind = of_one_kind(before.as_ref(), after.as_ref());
    let stayed = in_use == held(sight.locks().as_ref());
    // Last of all: what is in place now was so throughout.
    let replaced = !sight.in_place();
    let changed = replaced || !stayed || pass.header != later_header || !(one_kind || before == after);
    let settled = sight.may_be_settled() && !changed && one_kind;
    if !settled && backfill.is_ok() {
        backfill = Err(if replaced { REPLACED } else { "the files changed while they were read" }.to_owned());
    }
    let mx_frame_after = after.as_ref().and_then(IndexHead::trusted).map(|header| header.mx_frame);
    let index = if replaced { Err(REPLACED.to_owned()) } else { pass.index_result(&wal)? };
    let shm = settled_head(before, after, facts.as_ref());
    let checkpoint = facts.as_ref().map(|wal| checkpoint::of_look(wal, shm.as_ref(), locks.as_ref(), replaced));
    Ok(Examined {
        database: database_head,
        database_size: whole_size(&database),
        database_absent: matches!(database, DatabaseSight::Absent),
        wal_page_one: wal_page_one.filter(|_| pass.header == later_header),
        commits_behind_break: pass.commits_behind_break,
        shm,
        wal: facts,
        locks,
        checkpoint,
        settled,
        changed,
        replaced,
        mx_frame_after,
        at_mx_frame: pass.at_mx_frame,
        index,
        backfill,
        database_fault,
        shm_fault,
    })
}

/// Does the work, and has the holders of the locks named meanwhile: to list locks, the kernel can wait for as long as it
/// takes to read a gigabyte.
fn while_holders_are_named<T>(
    sight: &dyn Sight,
    locks: Option<LocksView>,
    work: impl FnOnce() -> T,
) -> (Option<LocksView>, T) {
    let Some(locks) = locks else { return (None, work()) };
    std::thread::scope(|scope| {
        let Ok(naming) = std::thread::Builder::new().spawn_scoped(scope, || sight.name_holders(locks.clone())) else {
            // A thread that cannot be started is done without. Afterwards others may hold the locks.
            return (Some(sight.name_holders(locks.clone())), work());
        };
        let done = work();
        let named = naming.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (Some(named), done)
    })
}

/// Of two looks at a live `-shm`, the first belongs to the WAL scanned after it, unless the generation changed meanwhile,
/// or the WAL has become too short for it: how much was copied by then, the second tells.
#[must_use]
pub fn settled_head(before: Option<IndexHead>, after: Option<IndexHead>, wal: Option<&WalFacts>) -> Option<IndexHead> {
    let header = |head: &Option<IndexHead>| head.as_ref().and_then(IndexHead::trusted).copied();
    let (first, second) = (header(&before), header(&after));
    let cut = first.zip(wal).is_some_and(|(first, wal)| wal.cut_short_of(&first));
    let same = first.is_some() && first.map(|header| header.salts) == second.map(|header| header.salts);
    if same && !cut { before } else { after }
}

fn shm_head(bytes: Option<&dyn ReadAt>) -> io::Result<(Option<IndexHead>, Option<String>)> {
    let Some(bytes) = bytes else { return Ok((None, None)) };
    let mut head = [0; shm::HEAD_SIZE];
    let got = bytes.read_at(&mut head, 0)?;
    Ok(match shm::parse_head(head.get(..got).unwrap_or_default()) {
        Ok(head) => (Some(head), None),
        Err(error) => (None, Some(error.to_string())),
    })
}

fn database_head(database: &DatabaseSight) -> io::Result<(Option<DatabaseHead>, Option<String>)> {
    let (DatabaseSight::FirstPage(bytes) | DatabaseSight::Whole(bytes)) = database else { return Ok((None, None)) };
    let mut head = [0; db::HEADER_SIZE];
    let got = bytes.read_at(&mut head, 0)?;
    Ok(match db::parse_head(head.get(..got).unwrap_or_default()) {
        Ok(head) => (Some(head), None),
        Err(error) => (None, Some(error.to_string())),
    })
}

fn whole_size(database: &DatabaseSight) -> Option<u64> {
    match database {
        DatabaseSight::Whole(bytes) => Some(bytes.len()),
        _ => None,
    }
}

/// The database's pages, and whether all of them are there.
fn pages(database: &DatabaseSight) -> Option<(&dyn ReadAt, bool)> {
    match database {
        DatabaseSight::FirstPage(bytes) => Some((bytes.as_ref(), false)),
        DatabaseSight::Whole(bytes) => Some((bytes.as_ref(), true)),
        DatabaseSight::Absent | DatabaseSight::NotSeen => None,
    }
}

fn wal_header(wal: &WalSight) -> io::Result<Option<WalHeader>> {
    match wal {
        WalSight::Absent | WalSight::NotSeen => Ok(None),
        WalSight::Headers(facts) => Ok(facts.header),
        WalSight::Whole(bytes) => {
            let mut head = [0; HEADER_SIZE];
            let got = bytes.read_at(&mut head, 0)?;
            Ok(parse_header(head.get(..got).unwrap_or_default()).ok())
        }
    }
}

/// What the one pass over the WAL collects.
struct Pass<'a> {
    header: Option<WalHeader>,
    /// `mxFrame` of a wal-index that speaks of this WAL, else 0.
    mx_frame: FrameNumber,
    index: Option<index::Comparison<'a>>,
    /// The latest frames, where they will be asked for.
    latest: Option<Latest>,
    commits_behind_break: u64,
    at_mx_frame: Option<FrameHeader>,
    /// Where the latest image of page 1 stands, and the latest of the transaction that is not committed yet.
    page_one_at: Option<u64>,
    page_one_open: Option<u64>,
}

impl<'a> Pass<'a> {
    fn new(wal: &WalSight, head: Option<&IndexHead>, index: Option<&'a dyn ReadAt>, claimed: bool) -> io::Result<Self> {
        let header = wal_header(wal)?;
        let of_this_wal = head.filter(|head| {
            head.trusted().zip(header).is_some_and(|(shm, wal)| shm.salts == wal.salts && shm.mx_frame > 0)
        });
        let mx_frame = of_this_wal.and_then(IndexHead::trusted).map_or(FrameNumber::NONE, |header| header.mx_frame);
        Ok(Self {
            header,
            mx_frame,
            index: of_this_wal.zip(index).map(|(head, bytes)| index::Comparison::new(bytes, head, mx_frame)),
            latest: (claimed && mx_frame > 0).then(Latest::default),
            commits_behind_break: 0,
            at_mx_frame: None,
            page_one_at: None,
            page_one_open: None,
        })
    }

    fn run(&mut self, sight: &dyn Sight, wal: &WalSight) -> io::Result<Option<WalFacts>> {
        match wal {
            WalSight::NotSeen => Ok(None),
            WalSight::Absent => Ok(Some(WalFacts::absent())),
            WalSight::Headers(facts) => Ok(Some((**facts).clone())),
            WalSight::Whole(bytes) => sight.pass(bytes.as_ref(), &mut |frame| self.take(frame)).map(Some),
        }
    }

    fn take(&mut self, frame: &Frame) {
        if frame.number == self.mx_frame {
            self.at_mx_frame = Some(frame.header);
        }
        if !frame.valid {
            let current = self.header.is_some_and(|header| header.salts == frame.header.salts);
            self.commits_behind_break += u64::from(current && frame.header.is_commit());
            return;
        }
        if let Some(index) = &mut self.index {
            index.take(frame);
        }
        if let Some(latest) = &mut self.latest {
            latest.take(frame);
        }
        if frame.header.page == 1 {
            self.page_one_open = Some(frame.offset);
        }
        if frame.header.is_commit() {
            self.page_one_at = self.page_one_open.take().or(self.page_one_at);
        }
    }

    fn page_one(&self, wal: &dyn ReadAt) -> io::Result<Option<DatabaseHead>> {
        let Some(at) = self.page_one_at else { return Ok(None) };
        let mut head = [0; db::HEADER_SIZE];
        let got = wal.read_at(&mut head, at.saturating_add(FRAME_HEADER_SIZE as u64))?;
        Ok(db::parse_head(head.get(..got).unwrap_or_default()).ok())
    }

    fn index_result(&mut self, wal: &WalSight) -> io::Result<Result<IndexCheck, String>> {
        if !matches!(wal, WalSight::Whole(_)) {
            return Ok(Err("the frames are not there to be compared".to_owned()));
        }
        match self.index.take() {
            Some(index) => index.finish().map(Ok),
            None => Ok(Err("no wal-index that a reader would trust lists frames of this WAL".to_owned())),
        }
    }
}
