//! Whether a later capture shows less than an earlier one had shown: of the WAL, or of the database.
//!
//! Within one life a WAL only goes on or is restarted, and the change counter of a database only counts up. Content that
//! went back was restored in place, or is that of another machine or disk.

use super::{Pair, Placed, continuity, history, lineage};
use crate::format::db::DatabaseHead;
use crate::sides::{LineageFact, Parting};

/// What went back between two captures, one of which ended before the other began.
pub(super) fn went_back(pair: &Pair<'_>) -> Option<Parting> {
    let (earlier, later) = continuity::in_order(pair)?;
    if !earlier.side.stable || !later.side.stable {
        return None;
    }
    let counters = change_counter(earlier).zip(change_counter(later)).filter(|(before, after)| after < before);
    let of_database = counters.map(|(before, after)| Parting::ChangeCounter {
        earlier: (earlier.index, before),
        later: (later.index, after),
    });
    let of_wal = || {
        let found = lineage::lineage(pair);
        let back = match found.fact {
            LineageFact::GoesOn(_) | LineageFact::LeftoverFrames(..) => true,
            // A restart that is only in the wal-index is undone by a crash.
            LineageFact::SaltCountsUp => {
                [earlier, later].iter().all(|of| history::end(of.side).is_some_and(|end| end.sequence.is_some()))
            }
            _ => false,
        };
        let back = back && found.ahead == Some(earlier.index);
        back.then_some(Parting::WentBack { earlier: earlier.index, later: later.index })
    };
    of_database.or_else(of_wal)
}

/// The change counter of the database file.
///
/// folklore: the backup API and VACUUM count up from the counter of the file that they write to, not from that of their
/// source (`pager_write_changecounter`). Held by `a_change_counter_that_went_back_leaves_it_undecided`.
fn change_counter(of: Placed<'_>) -> Option<u32> {
    match of.side.database.as_ref()? {
        DatabaseHead::Plain(header) => Some(header.change_counter),
        _ => None,
    }
}
