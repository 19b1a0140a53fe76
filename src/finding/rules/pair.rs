//! Whether the `-wal` and the database beside it belong together: by the pages that exist, by page 1, and by the frames of
//! the generation before.
//!
//! Each rule was tried on thousands of healthy databases with killed processes: `random_histories_with_kills_fit_their_wal`.

use crate::evidence::{Holder, LocksView};
use crate::finding::value::OtherSign;
use crate::finding::{Finding, Found, Severity};
use crate::format::db::{DatabaseHead, DatabaseHeader, JournalMode};
use crate::look::{Inspection, PageOnes, Schema, SizeStated};

/// Every sign that the two do not belong together.
pub(super) fn findings(examined: &Inspection) -> impl Iterator<Item = Finding> {
    // The other format keeps its frames in two files.
    let wal2 =
        matches!(&examined.database, Some(DatabaseHead::Plain(header)) if header.journal_mode() == JournalMode::Wal2);
    let found = [pages_nowhere(examined), other_database(examined), stale_not_in_database(examined)];
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
        in_use: examined.in_use(),
        holders: examined.locks.as_ref().map(holders).unwrap_or_default(),
    };
    Some(Finding::at(severity, found))
}

/// Who has the wal-index open, as far as visible; each process once.
fn holders(locks: &LocksView) -> Vec<Holder> {
    let mut holders = locks.shm.dead_man_switch.holders.clone();
    holders.dedup_by_key(|holder| holder.pid);
    holders
}

/// What the images of page 1 show about the database that the WAL belongs to.
fn other_database(examined: &Inspection) -> Option<Finding> {
    let (Some(DatabaseHead::Plain(header)), Ok(page_ones)) = (&examined.database, &examined.page_ones) else {
        return None;
    };
    let mut signs = signs(header, page_ones);
    // Commits behind a break may have been copied before it came: then the database is not too new, the WAL is cut short.
    if examined.behind_break.commits > 0 {
        signs.retain(|sign| !matches!(sign, OtherSign::CounterBehind | OtherSign::CookieBehind));
    }
    let of = |head: &DatabaseHead, field: fn(&DatabaseHeader) -> u32| match head {
        DatabaseHead::Plain(one) => Some(field(one)),
        DatabaseHead::Opaque { .. } | DatabaseHead::Empty => None,
    };
    let severity = signs.iter().map(|sign| severity(*sign)).max()?;
    let found = Found::WalOfOtherDatabase {
        signs,
        database_change_counter: header.change_counter,
        wal_change_counter: of(&page_ones.latest, |one| one.change_counter),
        first_wal_change_counter: of(&page_ones.first, |one| one.change_counter),
        database_schema_cookie: header.schema_cookie,
        wal_schema_cookie: of(&page_ones.latest, |one| one.schema_cookie),
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

/// A change counter that SQLite could not have written is certain. The other signs have innocent causes.
fn severity(sign: OtherSign) -> Severity {
    match sign {
        OtherSign::CounterBehind | OtherSign::CounterAhead => Severity::Error,
        OtherSign::NoHeader | OtherSign::CookieBehind | OtherSign::SchemaDiffers => Severity::Warning,
    }
}

fn signs(header: &DatabaseHeader, page_ones: &PageOnes) -> Vec<OtherSign> {
    let DatabaseHead::Plain(latest) = &page_ones.latest else { return vec![OtherSign::NoHeader] };
    let ahead = match &page_ones.first {
        DatabaseHead::Plain(first) => behind(header.change_counter.wrapping_add(1), first.change_counter),
        DatabaseHead::Opaque { .. } | DatabaseHead::Empty => false,
    };
    let all = [
        (OtherSign::CounterBehind, behind(latest.change_counter, header.change_counter)),
        (OtherSign::CounterAhead, ahead),
        (OtherSign::CookieBehind, behind(latest.schema_cookie, header.schema_cookie)),
        (OtherSign::SchemaDiffers, page_ones.schema == Schema::Differs),
    ];
    all.into_iter().filter(|(_, is)| *is).map(|(sign, _)| sign).collect()
}

/// Whether a counter is behind another one. Counters begin anew at 0 after the largest number.
fn behind(counter: u32, of: u32) -> bool {
    (1..=u32::MAX / 2).contains(&of.wrapping_sub(counter))
}

/// Frames that were copied before the WAL was restarted, and that the database does not have.
fn stale_not_in_database(examined: &Inspection) -> Option<Finding> {
    let stale = examined.stale.as_ref().ok().filter(|stale| stale.missing > 0)?;
    Some(Finding::new(Found::StaleFramesNotInDatabase {
        compared: stale.pages,
        missing: stale.missing,
        pages: stale.listed.clone(),
    }))
}
