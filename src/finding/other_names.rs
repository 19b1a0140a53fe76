//! The rule about sidecars that may be those of a database by an old name of it: it was renamed by somebody who is not seen, or who
//! has ended.

use super::{Finding, Found, Severity};
use crate::evidence::{DatabaseLock, KeptPages, OtherName, WalElsewhere};
use crate::look::Inspection;

/// The finding about one look. Processes that are seen are named by other findings.
pub(super) fn of_look(inspection: &Inspection) -> Option<Finding> {
    let evidence = inspection.surroundings.as_ref()?;
    let users = evidence.users.value().into_iter().flat_map(|view| &view.users);
    let locks = |lock| matches!(lock, DatabaseLock::Shared | DatabaseLock::Exclusive);
    if !evidence.renamed.is_empty() || users.into_iter().any(|user| locks(user.database_lock)) {
        return None;
    }
    let names = &inspection.other_names;
    let half = |one: &&OtherName| one.journal.is_some_and(|pages| is_half_written(&pages));
    if let Some(journal) = names.sidecars.iter().find(half) {
        let pages = journal.journal?;
        let severity = if pages.page_one == Some(true) { Severity::Error } else { Severity::Warning };
        let found = Found::SidecarsUnderOtherName {
            files: vec![journal.path.clone()],
            locked: false,
            pages_compared: Some(pages.compared),
            pages_same: Some(pages.same),
            commits: None,
        };
        return Some(Finding::at(severity, found));
    }
    let of_this = names.sidecars.iter().find_map(|one| Some((one, one.wal.filter(|wal| is_missing_here(one, wal))?)));
    if let Some((sidecar, wal)) = of_this {
        let found = Found::SidecarsUnderOtherName {
            files: vec![sidecar.path.clone()],
            locked: false,
            pages_compared: Some(wal.compared),
            pages_same: Some(wal.akin),
            commits: Some(wal.commits),
        };
        return Some(Finding::at(Severity::Warning, found));
    }
    let in_use = names.sidecars.iter().any(|one| one.in_use);
    names.locked_without_sidecars.then(|| {
        let files = names.sidecars.iter().filter(|one| in_use && one.journal.is_none());
        let files = files.map(|one| one.path.clone()).collect();
        let found = Found::SidecarsUnderOtherName {
            files,
            locked: true,
            pages_compared: None,
            pages_same: None,
            commits: None,
        };
        Finding::at(Severity::Warning, found)
    })
}

/// Whether a journal is that of this database, and a transaction was written into it in part. If all pages that are kept are still
/// there, nothing was written: the database may be a copy from before.
fn is_half_written(pages: &KeptPages) -> bool {
    pages.page_one != Some(false) && pages.differ > 0 && (pages.page_one == Some(true) || pages.same > 0)
}

/// Whether a `-wal` seems to be of this database, by its name or by its pages, and has something that is not in it.
fn is_missing_here(sidecar: &OtherName, wal: &WalElsewhere) -> bool {
    wal.differ > 0 && (sidecar.moved_aside || wal.akin.saturating_mul(2) > wal.compared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wal_fits_a_database_that_is_like_most_of_its_pages_and_lacks_some() {
        let wal = |compared, akin, differ| WalElsewhere { commits: 1, compared, akin, differ };
        let named =
            |moved_aside| OtherName { path: String::new(), in_use: false, moved_aside, journal: None, wal: None };
        let is_missing_here = |wal: &WalElsewhere| is_missing_here(&named(false), wal);
        assert!(is_missing_here(&wal(1, 1, 1)) && is_missing_here(&wal(3, 2, 1)));
        assert!(
            super::is_missing_here(&named(true), &wal(2, 0, 2)) && !super::is_missing_here(&named(true), &wal(2, 2, 0))
        );
        // All of it is in the database, and another database.
        assert!(!is_missing_here(&wal(3, 3, 0)) && !is_missing_here(&wal(4, 2, 4)) && !is_missing_here(&wal(0, 0, 0)));
    }

    #[test]
    fn a_journal_fits_a_database_that_has_some_of_its_pages_and_not_all() {
        let pages = |same, differ, page_one| KeptPages { compared: same + differ, same, differ, page_one };
        assert!(is_half_written(&pages(1, 9, None)) && is_half_written(&pages(0, 3, Some(true))));
        // A copy from before the transaction, another database, and one of another time.
        for none in [pages(9, 0, None), pages(9, 0, Some(true)), pages(0, 9, None), pages(3, 3, Some(false))] {
            assert!(!is_half_written(&none), "{none:?}");
        }
    }
}
