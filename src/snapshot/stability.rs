//! The stability rule: when the bytes of a capture are provably of one moment.
//!
//! No lock is taken. In one generation of the WAL committed frames are never overwritten, and a checkpoint copies into
//! the database only what stands in frames up to `mxFrame`. So a database copied first, and after it the WAL up to the
//! `mxFrame` read in between, fit together if the generation did not change. Without a generation the database itself
//! is all there is, and it must not have been written to; nor may it where the WAL's pages, which would mend what a
//! checkpoint has written half, are left out.

use super::look::{Look, Moment, Stamp};

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
    // A checkpoint shortens it only where it was vacuumed: then another attempt is cheap. Anybody else who does so takes
    // away what may be in no frame of the WAL.
    let [was, is] = [before, after].map(|moment| moment.database.as_ref().map_or(0, Stamp::size));
    if is < was {
        return Err(format!("the database became shorter during the capture: from {was} to {is} bytes"));
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
    // One that stands still between two pages writes nothing for a while and leaves no less of a mixture. Held by
    // `a_checkpoint_that_stands_still_half_way_disturbs_a_database_without_its_wal`.
    if a.is_some_and(|[backfilled, attempted]| attempted > backfilled) {
        return Err(
            "a checkpoint was begun and not ended before the capture, or the wal-index was recovered since the last \
             one, and the pages of the -wal are not in the bundle"
                .to_owned(),
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

#[cfg(test)]
mod tests {
    use super::super::look::WalLook;
    use super::*;
    use crate::format::shm::{CheckpointInfo, HEAD_SIZE, IndexHeader, parse_head};
    use crate::format::wal::WalHeader;

    /// A look at one frame of one generation, `backfilled` of it checkpointed and `attempted` to be.
    fn look(backfilled: u32, attempted: u32) -> Look {
        let mut bytes = [0; HEAD_SIZE];
        bytes[..4].copy_from_slice(&3_007_000u32.to_ne_bytes());
        let blank = parse_head(&bytes).unwrap();
        let index = IndexHeader { salts: [1, 2], mx_frame: 1, page_size: 512, ..blank.headers[0] };
        let header = WalHeader {
            magic: 0x377f_0682,
            format_version: 3_007_000,
            page_size: 512,
            checkpoint_sequence: 0,
            salt1: 1,
            salt2: 2,
            checksum1: 0,
            checksum2: 0,
            checksum_ok: true,
        };
        let checkpoint = CheckpointInfo { backfilled, backfill_attempted: attempted, ..blank.checkpoint };
        let wal = Some(WalLook { size: 32 + 536, header: Some(header) });
        Look { head: Vec::new(), index: Ok(index), checkpoint: Some(checkpoint), sample: None, wal }
    }

    fn verdict(looks: [Look; 3], database_alone: bool) -> Result<(), String> {
        let [before, between, after] = looks;
        let moment = |look| Moment { look, database: None, wal: None, hot_journal: false };
        judge(&Attempt {
            before: &moment(before),
            between: &between,
            after: &moment(after),
            paths_unchanged: true,
            padded: false,
            database_alone,
            database_disturbed: None,
            wal_disturbed: Some("commits".to_owned()),
            refused: None,
        })
    }

    #[test]
    fn a_checkpoint_that_moves_at_any_look_disturbs_a_database_without_its_wal() {
        let still = || look(0, 0);
        assert_eq!(verdict([still(), still(), still()], true), Ok(()));
        for moved in [look(1, 1), look(0, 1)] {
            for at in 0..3 {
                let mut looks = [still(), still(), still()];
                looks[at] = moved.clone();
                assert_eq!(verdict(looks.clone(), false), Ok(()));
                assert!(verdict(looks, true).unwrap_err().starts_with("a checkpoint went on"));
            }
        }
    }

    #[test]
    fn a_checkpoint_that_stands_still_half_way_disturbs_a_database_without_its_wal() {
        for (backfilled, attempted) in [(0, 1), (1, 2)] {
            let looks = || [(); 3].map(|()| look(backfilled, attempted));
            assert!(verdict(looks(), true).unwrap_err().starts_with("a checkpoint was begun"));
            assert_eq!(verdict(looks(), false), Ok(()));
        }
        // All that was begun is in the database.
        assert_eq!(verdict([(); 3].map(|()| look(1, 1)), true), Ok(()));
    }
}
