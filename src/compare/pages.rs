//! Whether one page frame is behind the mappings of both sides.
//!
//! Page tables were read in turn. If a frame was the same before and after another one was read, it was there at that
//! moment. Equal frames at one moment are one memory, on any file system. Different frames, again and again, are two.

use super::{About, Because, Fact, Pair, Placed, Says, Side, identity};
use crate::evidence::file_system::{FileSystemKind, PageFrames};
use crate::evidence::live::{Live, Mapper, NoFrame, PageEntry, PageTable, PagesView, Touched};
use crate::sides::{MappedBy, NoPages, PageFact, Recorded};

/// How often two mappings of one page must be seen with different frames. They can differ for a moment while the kernel
/// moves the page.
const APART: u32 = 3;

/// The result of comparing page frames.
pub(super) struct Pages {
    /// The result as evidence. A proof and a refutation can occur together.
    pub because: Vec<Because>,
    /// Whether the deciding frames were seen between running processes of both sides.
    pub of_processes: bool,
}

/// One page of two mappings.
enum Relation {
    /// One frame at one moment: page and frame.
    One(usize, u64),
    /// Two frames, again and again: the page, and both frames.
    Two(usize, u64, u64),
    /// Nothing is known, for this reason.
    Unknown(NoPages),
}

/// A page table, and whose it is.
#[derive(Clone, Copy)]
struct Seen<'a> {
    of: Placed<'a>,
    table: &'a PageTable,
}

/// Page frames as evidence.
pub(super) fn judge(pair: &Pair<'_>) -> Pages {
    let silent = |reason| {
        let because = vec![because(Says::Silent, PageFact::Silent(reason))];
        Pages { because, of_processes: false }
    };
    let Some(Live { pages, .. }) = pair.live else {
        return silent(NoPages::NotLive);
    };
    match pages.value() {
        Some(view) => weigh(pair, view).unwrap_or_else(silent),
        None => silent(NoPages::Unread(Recorded::of(pages))),
    }
}

fn because(says: Says, fact: PageFact) -> Because {
    Because::new(About::Memory, says, Fact::PhysicalPages(fact))
}

fn weigh(pair: &Pair<'_>, view: &PagesView) -> Result<Pages, NoPages> {
    if !view.files_in_place {
        return Err(NoPages::Replaced);
    }
    let local = [pair.a, pair.b].into_iter().all(|of| identity::shm_is_local(of.side));
    let (a, b) = (tables(pair.a, &view.a, local), tables(pair.b, &view.b, local));
    let mut pairs = Vec::new();
    for x in &a {
        for y in b.iter().filter(|y| !one_mapping(x, y)) {
            pairs.push((*x, *y, relation(x.table, y.table)));
        }
    }
    let mut found = Vec::new();
    // Also within one side: a process that has other pages than its path leads to is cut off.
    let within = [&a, &b].into_iter().flat_map(|tables| neighbours(tables));
    let apart: Vec<_> = pairs
        .iter()
        .map(|(x, y, relation)| (*x, *y, relation))
        .filter(|(_, _, relation)| matches!(relation, Relation::Two(..)))
        .collect();
    let inner: Vec<_> = within.filter(|(_, _, relation)| matches!(relation, Relation::Two(..))).collect();
    let looked_at = view.a.iter().chain(&view.b).filter(|table| matches!(table.mapper, Mapper::Process { .. })).count();
    let everybody = view.not_looked_at == 0 && looked_at == a.iter().chain(&b).filter(|seen| is_process(seen)).count();
    let mut of_processes = false;
    if let Some((says, fact, about_processes)) = proof(&a, &b, &pairs, local, everybody) {
        found.push(because(says, fact));
        of_processes = about_processes;
    }
    let differing = apart.first().copied().or_else(|| inner.first().map(|(x, y, relation)| (*x, *y, relation)));
    if let Some((x, y, &Relation::Two(page, p, q))) = differing {
        let fact = PageFact::TwoFrames { page, frames: [p, q], by: [x.by(), y.by()], times: APART };
        found.push(because(Says::Refutes, fact));
        of_processes = apart.iter().all(|(x, y, _)| is_process(x) || is_process(y));
    }
    if found.is_empty() {
        let why = match (why_not(&a, &b, pairs), view.touched) {
            (NoPages::NoFrame(NoFrame::NotResident), Touched::NotAnswered) => NoPages::NotAnswered,
            (why, _) => why,
        };
        return Err(why);
    }
    Ok(Pages { because: found, of_processes })
}

/// The tables of one side that count.
fn tables<'a>(of: Placed<'a>, tables: &'a [PageTable], local: bool) -> Vec<Seen<'a>> {
    let counts = |seen: &Seen<'_>| match seen.table.mapper {
        Mapper::Descriptor => !stacked(of.side),
        // On other file systems equal numbers do not show one inode, so the path has to be the side's own.
        Mapper::Process { .. } => local || seen.table.same_path,
    };
    tables.iter().map(|table| Seen { of, table }).filter(counts).collect()
}

type Related<'a> = (Seen<'a>, Seen<'a>, Relation);

fn neighbours<'a>(tables: &[Seen<'a>]) -> Vec<Related<'a>> {
    let mut pairs = Vec::new();
    for (i, x) in tables.iter().enumerate() {
        for y in tables.iter().skip(i + 1) {
            pairs.push((*x, *y, relation(x.table, y.table)));
        }
    }
    pairs
}

/// What equal frames of both sides show, and whether that is about running processes. `everybody`: the tables of all
/// processes of both sides are there.
fn proof(
    a: &[Seen<'_>],
    b: &[Seen<'_>],
    pairs: &[Related<'_>],
    local: bool,
    everybody: bool,
) -> Option<(Says, PageFact, bool)> {
    let one = |x: &Seen<'_>, y: &Seen<'_>, relation: &Relation, others_unseen: bool| match *relation {
        Relation::One(page, frame) => Some(PageFact::OneFrame { page, frame, by: [x.by(), y.by()], others_unseen }),
        _ => None,
    };
    let processes = |x: &Seen<'_>, y: &Seen<'_>| is_process(x) && is_process(y) && x.table.writable && y.table.writable;
    let found = |others_unseen: bool, wanted: &dyn Fn(&Seen<'_>, &Seen<'_>) -> bool| {
        let mut pairs = pairs.iter().filter(|(x, y, _)| wanted(x, y));
        pairs.find_map(|(x, y, relation)| one(x, y, relation, others_unseen))
    };
    // On other file systems nothing else shows that all processes of a side map what one of them maps.
    let met = |seen: &Seen<'_>| {
        pairs.iter().any(|(x, y, relation)| {
            matches!(relation, Relation::One(..))
                && processes(x, y)
                && (std::ptr::eq(x.table, seen.table) || std::ptr::eq(y.table, seen.table))
        })
    };
    let all = local || everybody && a.iter().chain(b).filter(|seen| is_process(seen)).all(met);
    if let Some(fact) = found(!all, &processes) {
        return Some((if all { Says::Proves } else { Says::Supports }, fact, true));
    }
    let descriptors = |x: &Seen<'_>, y: &Seen<'_>| !is_process(x) && !is_process(y);
    if let Some(fact) = found(false, &descriptors) {
        return Some((if local { Says::Proves } else { Says::Supports }, fact, false));
    }
    found(false, &|_, _| true).map(|fact| (Says::Supports, fact, false))
}

fn is_process(seen: &Seen<'_>) -> bool {
    matches!(seen.table.mapper, Mapper::Process { .. })
}

/// Whether it is one mapping that is on both sides: in one mount namespace the processes of both are the same. Compared
/// with itself it shows nothing.
fn one_mapping(x: &Seen<'_>, y: &Seen<'_>) -> bool {
    let [a, b] = [x, y].map(|seen| seen.of.side.evidence.files.shm.value().and_then(|file| file.maps_identity.value()));
    is_process(x) && x.table.mapper == y.table.mapper && a == b
}

/// Whether the `-shm` is on an overlay or on another file system with layers, as far as is known.
fn stacked(side: &Side) -> bool {
    let file_system = side.evidence.files.shm.value().and_then(|file| file.file_system.value());
    file_system.is_none_or(|found| FileSystemKind::by_magic(found.magic).frames == PageFrames::OfProcesses)
}

/// Compares page by page. `x` was read before `y` and again after it.
fn relation(x: &PageTable, y: &PageTable) -> Relation {
    let (reads_x, reads_y) = match (x.reads.value(), y.reads.value()) {
        (Some(x), Some(y)) => (x, y),
        (None, _) => return Relation::Unknown(NoPages::Unread(Recorded::of(&x.reads))),
        (_, None) => return Relation::Unknown(NoPages::Unread(Recorded::of(&y.reads))),
    };
    let pages = reads_x.iter().chain(reads_y).map(Vec::len).min().unwrap_or(0);
    let (mut two, mut reason) = (None, NoPages::TooFewReads);
    for page in 0..pages {
        let mut apart = 0;
        let mut last = None;
        let mut together = None;
        for ((before, between), after) in reads_x.iter().zip(reads_y).zip(reads_x.iter().skip(1)) {
            let frame = |read: &[PageEntry]| read.get(page).map_or(Err(NoFrame::NotResident), |entry| entry.frame());
            match (frame(before), frame(between), frame(after)) {
                (Ok(p), Ok(q), Ok(r)) if p == r && p == q => together = Some(p),
                (Ok(p), Ok(q), Ok(r)) if p == r => {
                    apart += 1;
                    last = Some((p, q));
                }
                (Ok(_), Ok(_), Ok(_)) => reason = NoPages::Moved,
                (Err(why), _, _) | (_, Err(why), _) | (_, _, Err(why)) => reason = NoPages::NoFrame(why),
            }
        }
        if let Some(frame) = together {
            return Relation::One(page, frame);
        }
        if let Some((p, q)) = last.filter(|_| apart >= APART) {
            two.get_or_insert((page, p, q));
        }
    }
    two.map_or_else(|| Relation::Unknown(reason), |(page, p, q)| Relation::Two(page, p, q))
}

fn why_not(a: &[Seen<'_>], b: &[Seen<'_>], pairs: Vec<Related<'_>>) -> NoPages {
    if a.is_empty() || b.is_empty() {
        return NoPages::NoProcess;
    }
    let reason = pairs.into_iter().find_map(|(_, _, relation)| match relation {
        Relation::Unknown(reason) => Some(reason),
        _ => None,
    });
    reason.unwrap_or(NoPages::OneMapping)
}

impl Seen<'_> {
    fn by(&self) -> MappedBy {
        MappedBy { side: self.of.index, mapper: self.table.mapper.clone() }
    }
}
