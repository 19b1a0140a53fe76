//! The stability rule: when the bytes of a capture are provably of one moment.
//!
//! No lock is taken. In one generation of the WAL committed frames are never overwritten, and a checkpoint copies into
//! the database only what stands in frames up to `mxFrame`. So a database copied first, and after it the WAL up to the
//! `mxFrame` read in between, fit together if the generation did not change. Without a generation the database itself
//! is all there is, and it must not have been written to; nor may it where the WAL's pages, which would mend what a
//! checkpoint has written half, are left out.

use super::look::{Look, Moment};

/// What one attempt saw.
pub(super) struct Attempt<'a> {
    /// Before anything was copied (a).
    pub(super) before: &'a Moment,
    /// S1, behind the database and before the WAL (c).
    pub(super) between: &'a Look,
    /// After everything was copied (e).
    pub(super) after: &'a Moment,
    /// Whether each path still leads to what was opened, and what was missing still is.
    pub(super) paths_unchanged: bool,
    /// Whether a member had to be padded.
    pub(super) padded: bool,
    /// Whether the whole database was copied, without the pages of its WAL.
    pub(super) database_alone: bool,
    /// Why it is not certain that nobody wrote to the database.
    pub(super) database_disturbed: Option<String>,
    /// The same of the `-wal`.
    pub(super) wal_disturbed: Option<String>,
    /// Why the database or the `-wal` could not be opened although they exist.
    pub(super) refused: Option<String>,
}

/// Whether the attempt is of one moment.
///
/// # Errors
/// Why it cannot be shown to be.
pub(super) fn judge(attempt: &Attempt<'_>) -> Result<(), String> {
    let Attempt { before, between, after, .. } = attempt;
    if let Some(refused) = &attempt.refused {
        return Err(refused.clone());
    }
    if !attempt.paths_unchanged {
        return Err("one of the files was created, removed or replaced during the capture".to_owned());
    }
    if attempt.padded {
        return Err("a file became shorter while it was copied".to_owned());
    }
    if before.hot_journal || after.hot_journal {
        return Err(
            "a -journal waits beside the database: a rollback-mode transaction is under way, or was cut off".to_owned()
        );
    }
    let sizes = [&before.look, between, &after.look].map(|look| look.wal.as_ref().map_or(0, |wal| wal.size));
    if !sizes.is_sorted() {
        return Err(format!("the -wal became shorter during the capture: {sizes:?} bytes"));
    }
    match [before.look.generation(), between.generation(), after.look.generation()] {
        [Some(a), Some(c), Some(e)] if a == c && c == e => {
            whole_wal(between)?;
            if attempt.database_alone { not_checkpointed(attempt) } else { Ok(()) }
        }
        [Some(_), _, Some(_)] => Err("the -wal was restarted during the capture".to_owned()),
        [None, _, None] => unwritten(attempt),
        _ => Err("a generation of the -wal began or ended during the capture".to_owned()),
    }
}

/// The WAL must have the frames that S1 counts.
fn whole_wal(between: &Look) -> Result<(), String> {
    let needed = between.mx_frame().zip(between.wal.as_ref()).and_then(|(frame, wal)| wal.end_of_frame(frame));
    let found = between.wal.as_ref().map_or(0, |wal| wal.size);
    match needed {
        Some(needed) if needed <= found => Ok(()),
        needed => Err(format!(
            "the -wal has fewer frames than the -shm counts: needed {} bytes, found {found}",
            needed.unwrap_or(0)
        )),
    }
}

/// A database without the pages of its WAL has nothing to mend it: no checkpoint may have written to it meanwhile.
fn not_checkpointed(attempt: &Attempt<'_>) -> Result<(), String> {
    let Attempt { before, between, after, .. } = attempt;
    let [a, c, e] = [&before.look, between, &after.look].map(Look::backfill);
    if a != c || c != e {
        return Err(
            "a checkpoint went on during the capture, and the pages of the -wal are not in the bundle".to_owned()
        );
    }
    database_unwritten(attempt)
}

fn database_unwritten(attempt: &Attempt<'_>) -> Result<(), String> {
    if attempt.before.database != attempt.after.database {
        return Err("the database changed during the capture".to_owned());
    }
    attempt.database_disturbed.clone().map_or(Ok(()), Err)
}

/// Without a generation on either end nothing may have been written. That includes files at rest, a `-wal` without a
/// usable `-shm` among them: they are as a crash would have left them, and SQLite recovers from that.
fn unwritten(attempt: &Attempt<'_>) -> Result<(), String> {
    let Attempt { before, between, after, .. } = attempt;
    for look in [&before.look, between, &after.look] {
        // A -wal of these frames is in use, or lost: the database alone may be half of a state.
        if let Some(frames) = look.mx_frame().filter(|&frames| frames > 0) {
            return Err(format!("the -shm counts {frames} frames of another -wal than the one that is there"));
        }
    }
    database_unwritten(attempt)?;
    if before.wal != after.wal {
        return Err("the -wal changed during the capture".to_owned());
    }
    attempt.wal_disturbed.clone().map_or(Ok(()), Err)
}
