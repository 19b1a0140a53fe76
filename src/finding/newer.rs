//! Which of a database and the `-wal` beside it is of a later time, where the two do not fit.
//!
//! Only counters tell, and only if the two are of one database: each transaction of a new writer adds 1 to the change
//! counter of page 1, and each change of the schema to the schema cookie; neither falls. The times of the files tell
//! nothing: a copy has the time of the copying.

use super::value::Value;
use crate::format::db::{DatabaseHead, DatabaseHeader};
use crate::look::Inspection;

/// The file of the later time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Newer {
    /// The database.
    Database,
    /// The `-wal`.
    Wal,
}

impl Newer {
    /// The name in documents, in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Wal => "wal",
        }
    }
}

impl From<Newer> for Value {
    fn from(fact: Newer) -> Self {
        fact.name().into()
    }
}

/// Which of the two is newer. `None`: not known, because the counters are equal, were not seen, or say both.
#[must_use]
pub fn of_pair(examined: &Inspection) -> Option<Newer> {
    let database = examined.database.as_ref().and_then(DatabaseHead::plain)?;
    let told = [|of: &DatabaseHeader| of.change_counter, |of: &DatabaseHeader| of.schema_cookie]
        .map(|counter| by_counter(examined, database, counter));
    match told {
        [Some(a), Some(b)] if a != b => None,
        [a, b] => a.or(b),
    }
}

/// What one of the two counters says.
fn by_counter(
    examined: &Inspection,
    database: &DatabaseHeader,
    counter: impl Fn(&DatabaseHeader) -> u32,
) -> Option<Newer> {
    let of_database = counter(database);
    let [first, latest] = match &examined.page_ones {
        Ok(ones) => [ones.first.plain(), ones.latest.plain()].map(|one| one.map(&counter)),
        Err(_) => [None, None],
    };
    let before = examined.stale.as_ref().ok().and_then(|stale| stale.page_one).as_ref().map(counter);
    // The first writer of a generation adds at most 1. What was there before the generation is copied.
    let too_far = first.is_some_and(|first| behind(of_database.wrapping_add(1), first));
    if too_far || before.is_some_and(|before| behind(of_database, before)) {
        return Some(Newer::Wal);
    }
    // The latest page 1 that the -wal has, of the two generations.
    behind(latest.or(before)?, of_database).then_some(Newer::Database)
}

/// Whether a counter is behind another one. Counters begin anew at 0 after the largest number.
pub(crate) fn behind(counter: u32, of: u32) -> bool {
    (1..=u32::MAX / 2).contains(&of.wrapping_sub(counter))
}
