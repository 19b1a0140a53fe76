//! Sidecars in the folder of a database whose own database is missing: they may be those of this one, by its old name.

use std::io;
use std::sync::Arc;

use crate::bundle;
use crate::bytes::{FileBytes, ReadAt};
use crate::evidence::{KeptPages, LockState, Observation, OtherName, OtherNames, Part, WalElsewhere};
use crate::format::db::{self, DatabaseHead, JournalMode};
use crate::linux::{self, OpenedFiles};
use crate::look;

/// Looks beside a database that has no `-wal` and no `-journal` that waits: without a renamed database there is nothing to find.
pub(super) fn of(opened: &OpenedFiles) -> OtherNames {
    let absent = |file: &Observation<_>| matches!(file, Observation::Missing { .. });
    let Some(database) = opened.database.value().filter(|_| absent(&opened.wal)) else { return OtherNames::default() };
    if opened.journal.value().is_some_and(bundle::is_hot_journal) {
        return OtherNames::default();
    }
    let Ok(bytes) = FileBytes::whole(Arc::clone(database)) else { return OtherNames::default() };
    let Ok(Some(mode)) = mode(&bytes) else { return OtherNames::default() };
    let wal_mode = mode == JournalMode::Wal;
    let locked_without_sidecars = wal_mode && absent(&opened.shm) && is_locked(opened);
    let at_rest = || linux::lock_states(opened).database.state == LockState::Free;
    let sidecars = linux::sidecars_of_missing(opened).into_iter().filter_map(|found| {
        let is_journal = found.part == Part::Journal;
        let waits = is_journal && !wal_mode && bundle::is_hot_journal(&found.file);
        let journal = waits.then(|| kept_pages(&found.file, &bytes)).flatten();
        let of_closed = found.part == Part::Wal && wal_mode && !locked_without_sidecars && at_rest();
        let wal = of_closed.then(|| wal(&found.file, &bytes)).flatten();
        let wanted = journal.is_some() || wal.is_some() || !is_journal && locked_without_sidecars;
        wanted.then_some(OtherName {
            path: found.path,
            in_use: found.in_use,
            moved_aside: found.moved_aside,
            journal,
            wal,
        })
    });
    OtherNames { locked_without_sidecars, sidecars: sidecars.collect() }
}

fn mode(bytes: &dyn ReadAt) -> io::Result<Option<JournalMode>> {
    let mut head = [0; db::HEADER_SIZE];
    bytes.read_at(&mut head, 0)?;
    Ok(match db::parse_head(&head) {
        Ok(DatabaseHead::Plain(header)) => Some(header.journal_mode()),
        _ => None,
    })
}

fn kept_pages(journal: &Arc<std::fs::File>, database: &dyn ReadAt) -> Option<KeptPages> {
    let journal = FileBytes::whole(Arc::clone(journal)).ok()?;
    look::kept_pages(&journal, database).ok().flatten()
}

fn wal(wal: &Arc<std::fs::File>, database: &dyn ReadAt) -> Option<WalElsewhere> {
    let wal = FileBytes::whole(Arc::clone(wal)).ok()?;
    look::wal_elsewhere(&wal, database).ok().flatten()
}

/// Whether the database stays locked and without sidecars. Who opens it has it locked for a moment before it makes them.
fn is_locked(opened: &OpenedFiles) -> bool {
    let held = || linux::lock_states(opened).database.state == LockState::Shared && linux::in_place(opened);
    linux::holds_all_the_time(held)
}
