//! Whether the `-wal` and the database beside it belong together: by the pages that exist, by page 1, and by the frames of
//! the generation before.
//!
//! Each rule was tried on thousands of healthy databases with killed processes: `random_histories_with_kills_fit_their_wal`.

use std::cmp::Ordering;

use crate::evidence::{Holder, LocksView};
use crate::finding::cut;
use crate::finding::newer::{self, behind};
use crate::finding::value::OtherSign;
use crate::finding::{Finding, Found, Severity};
use crate::format::db::{DatabaseHead, DatabaseHeader, JournalMode};
use crate::look::{Inspection, NotCompared, PageOnes, Schema, SizeStated, ZerosBehind};
use crate::number::{FrameOfPage, PageNumber};
use crate::wal::WalFacts;

/// Every sign that the two do not belong together.
pub(super) fn findings(examined: &Inspection) -> impl Iterator<Item = Finding> {
    // The other format keeps its frames in two files.
    let wal2 =
        matches!(&examined.database, Some(DatabaseHead::Plain(header)) if header.journal_mode() == JournalMode::Wal2);
    let found =
        [pages_nowhere(examined), pages_zero(examined), other_database(examined), stale_not_in_database(examined)];
    found.into_iter().flatten().filter(move |_| !wal2)
}

/// Pages that the database must have, and that are in neither file.
fn pages_nowhere(examined: &Inspection) -> Option<Finding> {
    let pages = examined.pages.as_ref().ok().filter(|pages| pages.missing > 0)?;
    let severity = match &examined.database {
        // The length of a file without a header shows its pages only if it is encrypted page by page, and not compressed.
        Some(DatabaseHead::Opaque { .. }) => Severity::Warning,
        // Who writes without a journal on the disk has written the header before the pages.
        Some(DatabaseHead::Plain(header))
            if header.journal_mode() == JournalMode::Rollback && pages.stated == SizeStated::ByHeader =>
        {
            Severity::Warning
        }
        // Of the last page a part is there, and what is not can have been zeros.
        _ if pages.stated == SizeStated::ByHeader && pages.only_a_part_is_missing() => Severity::Warning,
        _ => Severity::Error,
    };
    let found = Found::DatabaseTooShort {
        size: pages.size,
        expected: pages.expected,
        database_pages: pages.database_pages,
        missing: pages.missing,
        first_missing: pages.first_missing,
        stated: pages.stated,
        within_page: pages.only_a_part_is_missing(),
        cut: cut::of(examined),
        in_use: examined.in_use(),
        holders: examined.locks.as_ref().map(holders).unwrap_or_default(),
    };
    Some(Finding::at(severity, found))
}

/// Nothing but zeros behind page 1. SQLite calls that malformed as soon as it reads a table.
fn pages_zero(examined: &Inspection) -> Option<Finding> {
    let ZerosBehind { pages, tables, .. } = examined.first_page.zeros_behind?;
    let wal_mode =
        matches!(&examined.database, Some(DatabaseHead::Plain(header)) if header.journal_mode() == JournalMode::Wal);
    // A program that writes without a journal on the disk writes in place.
    let severity = if wal_mode && tables { Severity::Error } else { Severity::Warning };
    Some(Finding::at(severity, Found::DatabasePagesZero { pages, tables }))
}

/// Who has the wal-index open, as far as visible; each process once.
pub(super) fn holders(locks: &LocksView) -> Vec<Holder> {
    let mut holders = locks.shm.dead_man_switch.holders.clone();
    holders.dedup_by_key(|holder| holder.pid);
    holders
}

/// What page 1 shows about the database that the WAL belongs to.
fn other_database(examined: &Inspection) -> Option<Finding> {
    let Some(DatabaseHead::Plain(header)) = &examined.database else { return None };
    let page_ones = examined.page_ones.as_ref().ok();
    let mut signs = page_ones.map(|page_ones| signs(header, page_ones)).unwrap_or_default();
    let size = size_differs(header, examined);
    signs.extend(size.map(|size| size.sign));
    let stated_in_wal = size.is_some_and(|size| size.in_wal);
    // Commits behind a break may have been copied before it came: then the database is not too new, the WAL is cut short.
    if examined.behind_break.commits > 0 && !stated_in_wal {
        signs.retain(|sign| {
            !matches!(
                sign,
                OtherSign::CounterBehind | OtherSign::CounterOfNone | OtherSign::CookieBehind | OtherSign::FewerPages
            )
        });
    }
    let of = |head: &DatabaseHead, field: fn(&DatabaseHeader) -> u32| match head {
        DatabaseHead::Plain(one) => Some(field(one)),
        DatabaseHead::Opaque { .. } | DatabaseHead::Empty => None,
    };
    let of_image = |image: fn(&PageOnes) -> &DatabaseHead, field| page_ones.and_then(|both| of(image(both), field));
    let severity = signs.iter().map(|sign| severity(*sign)).max()?;
    let found = Found::WalOfOtherDatabase {
        signs,
        database_change_counter: header.change_counter,
        wal_change_counter: of_image(|both| &both.latest, |one| one.change_counter),
        first_wal_change_counter: of_image(|both| &both.first, |one| one.change_counter),
        database_schema_cookie: header.schema_cookie,
        wal_schema_cookie: of_image(|both| &both.latest, |one| one.schema_cookie),
        database_pages: size.map(|size| size.stated),
        committed_pages: size.map(|size| size.committed),
        newer: newer::of_pair(examined),
        stated_in_wal,
        cut: cut::of(examined),
    };
    Some(Finding::at(severity, found))
}

/// Whether page 1 of the database is newer than every one in the chain of the WAL.
pub(super) fn database_is_ahead(examined: &Inspection) -> bool {
    let (Some(DatabaseHead::Plain(header)), Ok(page_ones)) = (&examined.database, &examined.page_ones) else {
        return false;
    };
    signs(header, page_ones).iter().any(|sign| matches!(sign, OtherSign::CounterBehind | OtherSign::CookieBehind))
}

/// A commit that counts on another number of pages than page 1 states.
#[derive(Clone, Copy)]
struct SizeDiffers {
    sign: OtherSign,
    /// Pages that page 1 states.
    stated: u32,
    /// Pages that the commit counts.
    committed: u32,
    /// Whether this page 1 is in the WAL.
    in_wal: bool,
}

/// The first commit whose size does not fit the page 1 of its time.
///
/// folklore: the number of pages stands in page 1, and SQLite writes page 1 with each transaction that changes it. So a WAL
/// without page 1 never changed the size. SQLite calls a database malformed whose header counts more pages than the last
/// commit. A commit counts the pages of the file, which can be longer than its header says (`SQLITE_FCNTL_CHUNK_SIZE`).
/// Before each transaction, SQLite corrects a size that a release before 3.7.0 left; that one also left the two counters
/// different. Held by `a_wal_without_page_1_has_the_size_that_the_header_states`.
fn size_differs(header: &DatabaseHeader, examined: &Inspection) -> Option<SizeDiffers> {
    let pages = examined.pages.as_ref().ok().filter(|pages| matches!(pages.stated, SizeStated::ByCommit { .. }))?;
    let last = pages.database_pages;
    let of_database = Some(*header).filter(|one| one.journal_mode() == JournalMode::Wal);
    // Page 1, where it stands, and the commits that have to fit it.
    let to_fit = match &examined.page_ones {
        Err(NotCompared::NoPageOne) => vec![(of_database, false, vec![last])],
        Ok(one) => vec![
            (of_database, false, one.commit_before.into_iter().collect()),
            (one.first.plain().copied(), true, vec![one.first_commit]),
            (one.latest.plain().copied(), true, vec![one.latest_commit, last]),
        ],
        Err(_) => return None,
    };
    // Pages that are nowhere are another finding.
    let longer_than_file = |commit: u32| {
        let page = pages.expected.checked_div(pages.database_pages.into()).unwrap_or(0);
        pages.size < u64::from(commit).saturating_mul(page) && pages.missing == 0
    };
    to_fit.into_iter().find_map(|(head, in_wal, commits)| {
        let stated = head.as_ref().and_then(DatabaseHeader::believed_pages)?;
        commits.into_iter().find_map(|committed| {
            let sign = match stated.cmp(&committed) {
                Ordering::Greater => OtherSign::FewerPages,
                Ordering::Less if !in_wal && longer_than_file(committed) => OtherSign::MorePages,
                Ordering::Less | Ordering::Equal => return None,
            };
            Some(SizeDiffers { sign, stated, committed, in_wal })
        })
    })
}

/// A change counter that SQLite could not have written is certain, and so is a size that it does not accept. The other signs have
/// innocent causes.
fn severity(sign: OtherSign) -> Severity {
    match sign {
        OtherSign::CounterBehind | OtherSign::CounterAhead | OtherSign::FewerPages => Severity::Error,
        OtherSign::CounterOfNone
        | OtherSign::NoHeader
        | OtherSign::CookieBehind
        | OtherSign::SchemaDiffers
        | OtherSign::MorePages => Severity::Warning,
    }
}

fn signs(header: &DatabaseHeader, page_ones: &PageOnes) -> Vec<OtherSign> {
    let DatabaseHead::Plain(latest) = &page_ones.latest else { return vec![OtherSign::NoHeader] };
    let ahead = match &page_ones.first {
        DatabaseHead::Plain(first) => behind(header.change_counter.wrapping_add(1), first.change_counter),
        DatabaseHead::Opaque { .. } | DatabaseHead::Empty => false,
    };
    let counter_behind = behind(latest.change_counter, header.change_counter);
    let all = [
        (OtherSign::CounterBehind, counter_behind),
        (OtherSign::CounterAhead, ahead),
        (OtherSign::CounterOfNone, page_ones.counter_of_none && !ahead && !counter_behind),
        (OtherSign::CookieBehind, behind(latest.schema_cookie, header.schema_cookie)),
        (OtherSign::SchemaDiffers, page_ones.schema == Schema::Differs),
    ];
    all.into_iter().filter(|(_, is)| *is).map(|(sign, _)| sign).collect()
}

/// Frames that were copied before the WAL was restarted, and that the database does not have.
fn stale_not_in_database(examined: &Inspection) -> Option<Finding> {
    let stale = examined.stale.as_ref().ok().filter(|stale| stale.missing > 0)?;
    // They are in ascending order.
    let page_size = examined.wal.as_ref().and_then(WalFacts::page_size);
    let end_of = |first: &FrameOfPage| Some(page_size?.offset_in_database(PageNumber(first.page.0.checked_add(1)?)));
    let first_end = stale.listed.first().and_then(end_of);
    Some(Finding::new(Found::StaleFramesNotInDatabase {
        compared: stale.pages,
        missing: stale.missing,
        pages: stale.listed.clone(),
        newer: newer::of_pair(examined),
        zeros: stale.zeros.clone(),
        cut: cut::of(examined),
        behind_end: first_end.zip(examined.database_size).is_some_and(|(end, size)| end > size),
    }))
}
