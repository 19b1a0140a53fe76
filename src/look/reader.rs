//! A look: it takes the steps of [`order`](super::order) and keeps facts.

use std::io;

use crate::bytes::ReadAt;
use crate::evidence::{LockState, LocksView, OtherNames};
use crate::format::db::{self, DatabaseHead, DatabaseHeader, HEADER_SIZE, JournalMode, is_damaged_magic};
use crate::format::shm::IndexHead;
use crate::format::{ParseError, schema::begins_table, wal::WalHeader};
use crate::number::{FrameNumber, PAGE_SIZES, PageNumber};
use crate::tree::Trees;
use crate::wal::{WalFacts, mangled};

use super::all_copied;
use super::backfill::{self, Copied};
use super::behind_header::{self, BehindHeader, Beside};
use super::both_ways::BothWays;
use super::checkpoint::CheckpointFacts;
use super::damage::{self, Damage};
use super::first_page::{self, FirstPage};
use super::head;
use super::inspection::HotJournal;
use super::later::Later;
use super::marks_and_locks::{self, of_one_kind};
use super::page_ones::{self, PageOnes};
use super::pages_there::{self, File, PagesThere};
use super::pass::{Pass, wal_header};
use super::stale::StaleInDatabase;
use super::trees;
use super::{
    DatabaseSeen, Depth, EachFrame, Inspection, NotCompared, Options, Reasons, Seen, Sizes, WalSeen, Why, checkpoint,
    order,
};

mod waiting_journal;

/// The facts that the steps have found so far.
struct Looking<'a, 'o, 'e> {
    seen: &'a dyn Seen,
    options: &'a Options<'o>,
    each: Option<EachFrame<'e>>,
    /// The head of the `-shm` and the header of the `-wal` before the database was read.
    first: Option<IndexHead>,
    first_header: Option<WalHeader>,
    database: DatabaseSeen,
    database_head: Result<Option<DatabaseHead>, ParseError>,
    first_table: Option<bool>,
    damaged_magic: bool,
    /// The head of the `-shm` that was read before the locks, the locks, and the head that was read after them.
    index: Option<IndexHead>,
    index_after_locks: Option<IndexHead>,
    locks: Option<LocksView>,
    wal: WalSeen,
    pass: Pass,
    facts: Option<WalFacts>,
    behind_header: Option<BehindHeader>,
    damage: Damage,
    backfill: Result<Copied, NotCompared>,
    page_ones: Result<PageOnes, NotCompared>,
    stale: Result<StaleInDatabase, NotCompared>,
    trees: Result<Trees, NotCompared>,
    both_ways: Option<BothWays>,
    last: Option<IndexHead>,
    last_header: Option<WalHeader>,
    shm_fault: Option<ParseError>,
    shm_size: Option<u64>,
    use_stayed: bool,
    replaced: bool,
}

/// Looks at everything once, in the one order.
pub(super) fn inspect(seen: &dyn Seen, options: &Options<'_>, each: Option<EachFrame<'_>>) -> io::Result<Inspection> {
    let mut looking = Looking {
        seen,
        options,
        each,
        first: None,
        first_header: None,
        database: DatabaseSeen::NotSeen,
        database_head: Ok(None),
        first_table: None,
        damaged_magic: false,
        index: None,
        index_after_locks: None,
        locks: None,
        wal: WalSeen::NotSeen,
        pass: Pass::default(),
        facts: None,
        behind_header: None,
        damage: Damage::default(),
        backfill: Err(NotCompared::NotAsked),
        page_ones: Err(NotCompared::NotAsked),
        stale: Err(NotCompared::NotAsked),
        trees: Err(NotCompared::NotAsked),
        both_ways: None,
        last: None,
        last_header: None,
        shm_fault: None,
        shm_size: None,
        use_stayed: true,
        replaced: false,
    };
    order::read(&mut looking)?;
    looking.conclude()
}

impl order::Steps for Looking<'_, '_, '_> {
    type Error = io::Error;

    fn before(&mut self) -> io::Result<()> {
        self.first = self.head()?;
        if self.reads_frames() {
            self.first_header = wal_header(&self.seen.wal()?)?;
        }
        Ok(())
    }

    fn database(&mut self) -> io::Result<()> {
        self.database = self.seen.database()?;
        self.database_head = match self.database.bytes() {
            Some((bytes, _)) => read_head(bytes)?.map(Some),
            None => Ok(None),
        };
        if let (Some((bytes, true)), Ok(Some(DatabaseHead::Opaque { .. }))) =
            (self.database.bytes(), &self.database_head)
        {
            let mut head = [0; HEADER_SIZE];
            let got = bytes.read_at(&mut head, 0)?;
            self.damaged_magic = is_damaged_magic(head.get(..got).unwrap_or_default(), bytes.len());
        }
        self.first_table = match (self.database.bytes(), &self.database_head) {
            (Some((bytes, _)), Ok(Some(head))) if head.is_doubtful() => Some(table_behind_header(bytes)?),
            _ => None,
        };
        Ok(())
    }

    fn index_with_locks(&mut self) -> io::Result<()> {
        let seen = self.seen;
        let (head, locks, after) = marks_and_locks::together(|| self.head(), || seen.locks(), |a, b| a == b)?;
        (self.index, self.locks, self.index_after_locks) = (head, locks, after);
        Ok(())
    }

    fn wal(&mut self) -> io::Result<()> {
        let index = if self.cross_checked() { self.seen.shm()? } else { None };
        self.wal = self.seen.wal()?;
        self.pass = Pass::new(&self.wal, self.index.as_ref(), index, self.claimed() > FrameNumber::NONE)?;
        let (locks, each) = (self.locks.take(), self.each.take());
        let (pass, wal, options) = (&mut self.pass, &self.wal, self.options);
        let (locks, facts) = while_holders_are_named(self.seen, locks, || pass.run(wal, options, each));
        self.facts = facts?;
        self.behind_header = self.look_behind_header()?;
        self.damage = self.look_for_damage()?;
        let (head, after) = (self.index.as_ref(), self.index_after_locks.as_ref());
        self.locks = locks.map(|locks| marks_and_locks::fitting(head, after, locks));
        Ok(())
    }

    fn claims(&mut self) -> io::Result<()> {
        if self.reads_frames() {
            self.page_ones = self.compare_page_ones()?;
        }
        if !self.cross_checked() {
            return Ok(());
        }
        let header = self.first.as_ref().and_then(IndexHead::trusted);
        let claim = match &self.facts {
            Some(facts) => backfill::claim(header, facts, self.claimed(), in_use(self.locks.as_ref())),
            None => Err(NotCompared::WalNotSeen),
        };
        let latest = self.pass.pages.index_if(claim.is_ok());
        self.backfill = match (claim, &self.wal, self.pass.claimed.as_mut(), self.database.bytes()) {
            (Err(reason), ..) => Err(reason),
            (Ok(claim), WalSeen::Whole(bytes), Some(collected), Some(database)) => {
                Ok(backfill::compare(&claim, collected, latest, bytes.as_ref(), database)?)
            }
            (Ok(_), WalSeen::Whole(_), ..) => Err(NotCompared::NoDatabase),
            (Ok(_), ..) => Err(NotCompared::PagesLeftOut),
        };
        self.stale = self.compare_stale()?;
        if self.options.trees {
            self.walk_over_trees()?;
        }
        Ok(())
    }

    fn after(&mut self) -> io::Result<()> {
        if self.reads_frames() {
            let later = self.seen.wal()?;
            self.last_header = wal_header(&later)?;
            self.forgive(&later)?;
        }
        self.last = self.head()?;
        if self.trees.is_ok() && self.copied_meanwhile()? {
            self.trees = Err(NotCompared::Changed);
        }
        if self.cross_checked() {
            self.use_stayed = in_use(self.locks.as_ref()) == in_use(self.seen.locks().as_ref());
        }
        Ok(())
    }

    fn names(&mut self) -> io::Result<()> {
        self.replaced = !self.seen.in_place();
        Ok(())
    }
}

impl Looking<'_, '_, '_> {
    fn cross_checked(&self) -> bool {
        self.options.depth == Depth::CrossChecked
    }

    fn reads_frames(&self) -> bool {
        self.options.depth >= Depth::Frames
    }

    /// The head of the `-shm`, read now.
    fn head(&mut self) -> io::Result<Option<IndexHead>> {
        let bytes = self.seen.shm()?;
        self.shm_size = bytes.as_ref().map(|bytes| bytes.len());
        let Some(bytes) = bytes else {
            self.shm_fault = None;
            return Ok(None);
        };
        let parsed = head::read(bytes.as_ref())?;
        self.shm_fault = parsed.as_ref().err().cloned();
        Ok(parsed.ok())
    }

    /// Holds the images of page 1 in the WAL against page 1 of the database.
    fn compare_page_ones(&mut self) -> io::Result<Result<PageOnes, NotCompared>> {
        let wal = match whole(&self.wal) {
            Ok(wal) => wal,
            Err(reason) => return Ok(Err(reason)),
        };
        let cross_checked = self.cross_checked();
        let Some(images) = self.pass.page_ones else { return Ok(Err(NotCompared::NoPageOne)) };
        let database = self.database.bytes().map(|(bytes, _)| bytes);
        let head = self.database_head.as_ref().ok().and_then(Option::as_ref);
        let mut compared = page_ones::compare(images, wal, database, head)?.ok_or(NotCompared::NoPageOne);
        if let (Ok(page_ones), Some(facts)) = (&mut compared, &self.facts) {
            let differs = |of: &DatabaseHeader| page_ones.commit_before.is_some_and(|pages| pages != of.database_pages);
            let not_before = |of: &DatabaseHeader| page_ones.is_not_from_before(of);
            let none_of_them = match (head, facts.page_size(), facts.last_commit) {
                // Without the pages of the frames it cannot be known what was copied.
                (Some(head @ DatabaseHead::Plain(of)), Some(size), Some(last))
                    if cross_checked && (differs(of) || not_before(of)) =>
                {
                    let frames = self.pass.pages.index().frames(PageNumber(1)).filter(|frame| *frame <= last.frame);
                    let images = frames.map(|frame| size.page_offset_of(frame));
                    !page_ones::is_one_of(head, wal, images)?
                }
                _ => false,
            };
            let counter = head.and_then(DatabaseHead::plain).is_some_and(not_before);
            page_ones.commit_before = page_ones.commit_before.filter(|_| none_of_them);
            page_ones.counter_of_none = none_of_them && counter;
        }
        Ok(compared)
    }

    /// Holds the frames of the generation before against the database.
    fn compare_stale(&mut self) -> io::Result<Result<StaleInDatabase, NotCompared>> {
        let wal = match whole(&self.wal) {
            Ok(wal) => wal,
            Err(reason) => return Ok(Err(reason)),
        };
        let Some(page_size) = self.facts.as_ref().and_then(WalFacts::page_size) else {
            return Ok(Err(NotCompared::WalHeaderUnusable));
        };
        let Some(database) = self.database.bytes().filter(|(bytes, _)| !bytes.is_empty()) else {
            return Ok(Err(NotCompared::NoDatabase));
        };
        match self.database_head {
            Ok(Some(DatabaseHead::Plain(header))) if header.page_size != page_size.bytes() => {
                Ok(Err(NotCompared::PageSizesDiffer))
            }
            _ => self.pass.stale.compare(page_size, &mut self.pass.pages, wal, database),
        }
    }

    /// Looks for frames behind a header that cannot be used.
    fn look_behind_header(&self) -> io::Result<Option<BehindHeader>> {
        let (WalSeen::Whole(wal), Some(facts)) = (&self.wal, &self.facts) else { return Ok(None) };
        let page_size = self.database_head.as_ref().ok().and_then(Option::as_ref).and_then(DatabaseHead::page_size);
        let beside = Beside { bytes: self.database.bytes(), page_size };
        behind_header::look(wal.as_ref(), facts, self.options.threads, &beside)
    }

    /// Looks for bytes that a transfer changed.
    fn look_for_damage(&self) -> io::Result<Damage> {
        let wal = match (&self.wal, &self.facts) {
            (WalSeen::Whole(wal), Some(facts)) => mangled::of_wal(wal.as_ref(), facts, self.options.threads.get())?,
            _ => None,
        };
        let database = match (self.options.depth, self.database.bytes(), &self.database_head) {
            (Depth::Heads, ..) => None,
            (_, Some((bytes, true)), Ok(head)) => damage::of_database(bytes, head.as_ref())?,
            _ => None,
        };
        Ok(Damage { wal, database })
    }

    /// Takes back what frames explain that were added to the WAL since it was read.
    fn forgive(&mut self, later: &WalSeen) -> io::Result<()> {
        let differs = self.backfill.as_ref().is_ok_and(|copied| copied.missing > 0)
            || self.stale.as_ref().is_ok_and(|stale| stale.missing > 0);
        let (true, WalSeen::Whole(bytes), Some(facts)) = (differs, later, &self.facts) else { return Ok(()) };
        let later = Later::read(bytes.as_ref(), facts)?;
        if let (Ok(copied), Some(collected)) = (&mut self.backfill, self.pass.claimed.as_mut()) {
            backfill::forgive(copied, collected, self.pass.pages.index(), &later);
        }
        if let Ok(stale) = &mut self.stale {
            self.pass.stale.forgive(stale, &later);
        }
        Ok(())
    }

    /// Whether frames behind the state that was walked over may have been copied into the database by now. `after` has read
    /// the head of the `-shm` again.
    fn copied_meanwhile(&self) -> io::Result<bool> {
        let commit = trees::commit_of(self.facts.as_ref());
        let attempted = |head: &Option<IndexHead>| {
            let head = head.as_ref().filter(|head| head.trusted().is_some())?;
            Some(head.checkpoint.backfilled.max(head.checkpoint.backfill_attempted))
        };
        if let (Some(first), Some(last)) = (attempted(&self.first), attempted(&self.last)) {
            return Ok(last > commit && last != first);
        }
        match (self.seen.wal()?, &self.facts) {
            (WalSeen::Whole(bytes), Some(facts)) => Ok(Later::read(bytes.as_ref(), facts)?.has_commits()),
            _ => Ok(false),
        }
    }

    /// `nBackfill`, read before the database.
    fn claimed(&self) -> FrameNumber {
        self.first.as_ref().and_then(|head| self.seen.backfilled_before_database(head)).unwrap_or(FrameNumber::NONE)
    }

    fn conclude(mut self) -> io::Result<Inspection> {
        let (first, last) = (self.first.as_ref(), self.last.as_ref());
        let mx_frame_after = last.and_then(IndexHead::trusted).map(|header| header.mx_frame);
        // Each look is compared with the look before it. A recovery sets `iChange` to 0, and the counter may pass the
        // value of the first look again.
        let index = self.index.as_ref();
        let one_kind = of_one_kind(first, index) && of_one_kind(index, last);
        let stood_still = one_kind || (first == index && index == last);
        // The first page is written before there is a -wal.
        let begun = matches!(self.database_head, Ok(Some(DatabaseHead::Empty)))
            && self.seen.database()?.bytes().is_some_and(|(bytes, _)| !bytes.is_empty());
        let header_stayed = self.first_header == self.pass.header && self.pass.header == self.last_header;
        let (changed, settled) = if self.cross_checked() {
            let changed = self.replaced || begun || !self.use_stayed || !header_stayed || !stood_still;
            (changed, self.seen.may_be_settled() && !changed && one_kind)
        } else {
            (self.replaced || begun, false)
        };
        let apart = if self.replaced { NotCompared::Replaced } else { NotCompared::Changed };
        if !settled && self.backfill.is_ok() {
            self.backfill = Err(apart);
        }
        let all_copied = all_copied::look(first, last, self.claimed(), self.locks.as_ref()).filter(|_| settled);
        let hot_journal = self.seen.hot_journal();
        let mut journal = if hot_journal == HotJournal::Waits && !self.replaced { self.journal()? } else { None };
        // Without a -shm nothing is called settled, but the files can be of one time all the same.
        let of_one_time = self.cross_checked() && !changed && self.seen.may_be_settled();
        let pages = if of_one_time { self.pages_there(hot_journal)? } else { Err(apart) };
        let both_ways = self.both_ways.take().filter(|_| of_one_time);
        let stood_still = match &mut journal {
            // The two walks have looked for changes themselves.
            Some(journal) if both_ways.is_some() => {
                journal.both_ways = both_ways;
                true
            }
            _ => of_one_time && self.stood_still(hot_journal)?,
        };
        if self.trees.is_ok() && !stood_still {
            self.trees = Err(apart);
        }
        let first_page = if of_one_time { self.first_page(hot_journal)? } else { FirstPage::default() };
        if let (false, Some((bytes, _))) = (first_page.faults.is_empty(), self.database.bytes()) {
            self.first_table = Some(table_behind_header(bytes)?);
        }
        let wal_page_one = self.page_ones.as_ref().ok().map(|page_ones| page_ones.latest).filter(|_| header_stayed);
        if let Some(behind) = self.behind_header.as_mut().filter(|_| changed) {
            behind.in_database = Err(apart);
        }
        if self.cross_checked() && !of_one_time {
            (self.page_ones, self.stale) = (self.page_ones.and(Err(apart)), self.stale.and(Err(apart)));
        }
        let index = match (self.cross_checked(), self.replaced) {
            (false, _) => Err(NotCompared::NotAsked),
            (true, true) => Err(NotCompared::Replaced),
            (true, false) => self.pass.index_result(&self.wal)?,
        };
        let behind_break = self.pass.behind_break(&self.wal, self.facts.as_ref())?;
        let reasons = self.reasons();
        let shm = settled_head(self.index, self.last, self.facts.as_ref());
        let locks = self.locks;
        let of_look = |wal| checkpoint::of_look(wal, shm.as_ref(), locks.as_ref(), self.replaced);
        // Committed frames of the header's own generation are not those that were compared.
        let begun = self.facts.as_ref().is_some_and(|facts| facts.frames.committed > 0);
        let found_copied =
            self.stale.as_ref().ok().filter(|stale| !begun && stale.missing == 0).map(|stale| stale.pages);
        let checkpoint = self.facts.as_ref().map(of_look).map(|facts| CheckpointFacts { found_copied, ..facts });
        let (database_size, wal_size) = (
            self.database.bytes().filter(|(_, whole)| *whole).map(|(bytes, _)| bytes.len()),
            match &self.wal {
                WalSeen::Whole(bytes) => Some(self.facts.as_ref().map_or(bytes.len(), |facts| facts.file_size)),
                WalSeen::Headers { facts, .. } => Some(facts.file_size),
                WalSeen::Absent | WalSeen::NotSeen => None,
            },
        );
        let sizes = self.seen.sizes().unwrap_or(Sizes { database: database_size, wal: wal_size, shm: self.shm_size });
        Ok(Inspection {
            origin: self.seen.origin(),
            depth: self.options.depth,
            sizes,
            reasons,
            database: self.database_head.ok().flatten(),
            first_table: self.first_table,
            damaged_magic: self.damaged_magic,
            first_page,
            database_size,
            database_absent: matches!(self.database, DatabaseSeen::Absent),
            wal: self.facts,
            behind_header: self.behind_header,
            damage: if changed { Damage::default() } else { self.damage },
            behind_break,
            wal_page_one,
            page_ones: self.page_ones,
            pages,
            shm,
            locks,
            settled,
            changed,
            replaced: self.replaced,
            mx_frame_after,
            at_mx_frame: self.pass.at_mx_frame,
            index,
            backfill: self.backfill,
            all_copied,
            stale: self.stale,
            trees: self.trees,
            checkpoint,
            hot_journal,
            journal,
            surroundings: None,
            other_names: OtherNames::default(),
            rights: None,
        })
    }

    /// Whether a database that is written in place was not written since its head was read. A database in WAL mode is only
    /// written by a checkpoint.
    fn stood_still(&self, journal: HotJournal) -> io::Result<bool> {
        let (Some((bytes, _)), Ok(Some(head))) = (self.database.bytes(), &self.database_head) else { return Ok(true) };
        if head.plain().is_none_or(|header| header.journal_mode() == JournalMode::Wal) {
            return Ok(journal != HotJournal::Waits);
        }
        // Who held the lock before the walk may have written meanwhile what the head, read before, has already.
        let before = self.locks.as_ref().is_some_and(LocksView::writes_to_database);
        let written = || before || self.seen.locks().is_some_and(|locks| locks.writes_to_database());
        let waits = journal == HotJournal::Waits;
        Ok(!waits && !written() && read_head(bytes)?.ok().as_ref() == Some(head))
    }

    /// Looks at page 1 of a database that stands still, if no frame of the WAL takes its place.
    fn first_page(&self, journal: HotJournal) -> io::Result<FirstPage> {
        let (Some((bytes, true)), Ok(Some(head @ DatabaseHead::Plain(header)))) =
            (self.database.bytes(), &self.database_head)
        else {
            return Ok(FirstPage::default());
        };
        let Some(wal) = &self.facts else { return Ok(FirstPage::default()) };
        let no_page_one = wal.last_commit.is_none() || matches!(self.page_ones, Err(NotCompared::NoPageOne));
        let wal_mode = header.journal_mode() == JournalMode::Wal;
        if !no_page_one || journal == HotJournal::Waits || !(wal_mode || self.not_written(journal)) {
            return Ok(FirstPage::default());
        }
        let found = first_page::look(bytes, header, wal.last_commit.map(|commit| commit.database_pages))?;
        let stayed = read_head(bytes)?.ok().as_ref() == Some(head);
        Ok(if stayed { found } else { FirstPage::default() })
    }

    /// Whether it is known that no rollback journal waits, and nobody was seen to have the database locked exclusively.
    fn not_written(&self, journal: HotJournal) -> bool {
        let locked = self.locks.as_ref().is_some_and(|locks| locks.database.state == LockState::Exclusive);
        journal == HotJournal::None && !locked
    }

    /// Whether each page of the database is in one of the two files.
    fn pages_there(&mut self, journal: HotJournal) -> io::Result<Result<PagesThere, NotCompared>> {
        let Some(wal) = &self.facts else { return Ok(Err(NotCompared::WalNotSeen)) };
        if let (Some(_), Err(why)) = (wal.last_commit, whole(&self.wal)) {
            return Ok(Err(why));
        }
        let head = self.database_head.as_ref().ok().and_then(Option::as_ref);
        let file = self.database.bytes().filter(|(_, whole)| *whole);
        let size = file.map(|(bytes, _)| bytes.len());
        let stood_still = match file {
            Some((bytes, _)) if self.not_written(journal) => read_head(bytes)?.ok().as_ref() == head,
            _ => false,
        };
        let journal_waits = journal == HotJournal::Waits;
        Ok(pages_there::look(wal, &mut self.pass.pages, &File { head, size, journal_waits, stood_still }))
    }

    /// Why files and locks were not seen: the reason of the source, or that a file was too short.
    fn reasons(&self) -> Reasons {
        let mut reasons = self.seen.reasons();
        if let Err(fault) = &self.database_head {
            reasons.database = Some(Why::TooShort(fault.clone()));
        }
        if let Some(fault) = &self.shm_fault {
            reasons.shm = Some(Why::TooShort(fault.clone()));
        }
        let locks = self.locks.as_ref().filter(|_| self.shm_size.is_some());
        if let Some(unknown) = locks.and_then(marks_and_locks::unknown_because) {
            reasons.locks = Some(Why::Recorded(unknown.to_owned()));
        }
        reasons
    }
}

fn read_head(database: &dyn ReadAt) -> io::Result<Result<DatabaseHead, ParseError>> {
    let mut head = [0; db::HEADER_SIZE];
    let got = database.read_at(&mut head, 0)?;
    Ok(db::parse_head(head.get(..got).unwrap_or_default()))
}

/// Whether a table begins behind the header of a database, as on page 1.
fn table_behind_header(database: &dyn ReadAt) -> io::Result<bool> {
    let mut page = vec![0; *PAGE_SIZES.end() as usize];
    let got = database.read_at(&mut page, 0)?;
    Ok(begins_table(page.get(..got).unwrap_or_default()))
}

/// The `-wal`, if all of it was seen.
fn whole(wal: &WalSeen) -> Result<&dyn ReadAt, NotCompared> {
    match wal {
        WalSeen::Whole(bytes) => Ok(bytes.as_ref()),
        WalSeen::Headers { .. } => Err(NotCompared::PagesLeftOut),
        WalSeen::Absent => Err(NotCompared::NoFrames),
        WalSeen::NotSeen => Err(NotCompared::WalNotSeen),
    }
}

fn in_use(locks: Option<&LocksView>) -> bool {
    locks.is_some_and(|locks| locks.shm.dead_man_switch.held())
}

/// Does the work while another thread finds the holders of the locks. To list locks, the kernel can need as long as for
/// reading a gigabyte.
fn while_holders_are_named<T>(
    seen: &dyn Seen,
    locks: Option<LocksView>,
    work: impl FnOnce() -> T,
) -> (Option<LocksView>, T) {
    let Some(locks) = locks else { return (None, work()) };
    std::thread::scope(|scope| {
        let Ok(naming) = std::thread::Builder::new().spawn_scoped(scope, || seen.name_holders(locks.clone())) else {
            // No thread could be started. The holders are determined first: after the work, others may hold the locks.
            return (Some(seen.name_holders(locks.clone())), work());
        };
        let done = work();
        let named = naming.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (Some(named), done)
    })
}

/// Chooses between two looks at a `-shm` in use. The first one belongs to the WAL that was read after it, unless the
/// generation changed or the WAL became too short for it. Then the second one says how much was copied.
fn settled_head(before: Option<IndexHead>, after: Option<IndexHead>, wal: Option<&WalFacts>) -> Option<IndexHead> {
    let header = |head: &Option<IndexHead>| head.as_ref().and_then(IndexHead::trusted).copied();
    let (first, second) = (header(&before), header(&after));
    let cut = first.zip(wal).is_some_and(|(first, wal)| wal.cut_short_of(&first));
    let same = first.is_some() && first.map(|header| header.salts) == second.map(|header| header.salts);
    if same && !cut { before } else { after }
}
