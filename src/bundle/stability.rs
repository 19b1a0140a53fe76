//! The stability rule: when the bytes of a capture are provably of one moment.
//!
//! No lock is taken. In one generation of the WAL committed frames are never overwritten, and a checkpoint copies into
//! the database only what stands in frames up to `mxFrame`. So a database copied first, and after it the WAL up to the
//! `mxFrame` read in between, fit together if the generation did not change, and if only a checkpoint wrote to the
//! database: where none did, nobody may have. Without a generation the database itself is all there is, and it must not
//! have been written to; nor may it where the WAL's pages, which would mend what a checkpoint has written half, are left
//! out.
//!
//! A `-shm` that nobody has open counts for nothing: the first to open the database makes it anew from the WAL.

use super::look::{Look, Moment};
use super::watch::Writes;
use crate::evidence::{ByteLock, LockState};

/// Why an attempt cannot be shown to be of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unstable {
    /// In words.
    pub(super) reason: String,
    /// Another attempt would meet the same.
    pub(super) lasting: bool,
}

fn passing(reason: impl Into<String>) -> Unstable {
    Unstable { reason: reason.into(), lasting: false }
}

fn lasting(reason: impl Into<String>) -> Unstable {
    Unstable { reason: reason.into(), lasting: true }
}

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
    /// Whether anybody wrote to the database.
    pub(super) database_writes: Writes,
    /// Whether anybody wrote to the `-wal`.
    pub(super) wal_writes: Writes,
    /// The lock by which whoever has the `-shm` open shows.
    pub(super) dead_man_switch: ByteLock,
    /// Why the database or the `-wal` could not be opened although they exist.
    pub(super) refused: Option<String>,
}

/// Whether the attempt is of one moment.
///
/// # Errors
/// Why it cannot be shown to be.
pub(super) fn judge(attempt: &Attempt<'_>) -> Result<(), Unstable> {
    let Attempt { before, between, after, .. } = attempt;
    if let Some(refused) = &attempt.refused {
        return Err(lasting(refused));
    }
    if !attempt.paths_unchanged {
        return Err(passing("one of the files was created, removed or replaced during the capture"));
    }
    if attempt.padded {
        return Err(passing("a file became shorter while it was copied"));
    }
    // A checkpoint shortens it only where it was vacuumed: then another attempt is cheap. Anybody else who does so takes
    // away what may be in no frame of the WAL.
    let [was, is] = [before, after].map(|moment| moment.database.as_ref().map_or(0, |stamp| stamp.size));
    if is < was {
        return Err(passing(format!("the database became shorter during the capture: from {was} to {is} bytes")));
    }
    if before.hot_journal || after.hot_journal {
        return Err(passing(
            "a -journal waits beside the database: a rollback-mode transaction is under way, or was cut off",
        ));
    }
    let sizes = [&before.look, between, &after.look].map(|look| look.wal.as_ref().map_or(0, |wal| wal.size));
    if !sizes.is_sorted() {
        return Err(passing(format!("the -wal became shorter during the capture: {sizes:?} bytes")));
    }
    match [before.look.generation(), between.generation(), after.look.generation()] {
        [Some(a), Some(c), Some(e)] if a == c && c == e => {
            if let Some(missing) = missing_frames(between) {
                return if attempt.left_over() { unwritten(attempt) } else { Err(passing(missing)) };
            }
            if attempt.database_alone {
                return not_checkpointed(attempt);
            }
            // Without a checkpoint whoever writes to the database is not SQLite. Held by
            // `a_database_that_another_program_rewrites_in_place_is_not_of_one_moment`.
            if attempt.checkpoint_stood_still() { not_seen_written(attempt) } else { Ok(()) }
        }
        [Some(_), _, Some(_)] => Err(passing("the -wal was restarted during the capture")),
        [None, _, None] => unwritten(attempt),
        _ => Err(passing("a generation of the -wal began or ended during the capture")),
    }
}

impl Attempt<'_> {
    fn looks(&self) -> [&Look; 3] {
        [&self.before.look, self.between, &self.after.look]
    }

    /// Whether nobody has the `-shm` open.
    fn left_over(&self) -> bool {
        self.dead_man_switch.state == LockState::Free
    }

    /// What only somebody who has the `-shm` open could change.
    fn standing(&self, reason: &str) -> Unstable {
        Unstable { reason: reason.to_owned(), lasting: !self.dead_man_switch.held() }
    }

    /// Whether no checkpoint was at work: `nBackfillAttempted` goes ahead of `nBackfill` before it writes anything, and
    /// `nBackfill` follows when all is written.
    fn checkpoint_stood_still(&self) -> bool {
        let [a, c, e] = self.looks().map(Look::backfill);
        a == c && c == e && a.is_some_and(|[backfilled, attempted]| attempted == backfilled)
    }
}

/// How the WAL has not the frames that S1 counts.
fn missing_frames(between: &Look) -> Option<String> {
    let needed = between.mx_frame().zip(between.wal.as_ref()).and_then(|(frame, wal)| wal.end_of_frame(frame));
    let found = between.wal.as_ref().map_or(0, |wal| wal.size);
    match needed {
        Some(needed) if needed <= found => None,
        needed => Some(format!(
            "the -wal has fewer frames than the -shm counts: needed {} bytes, found {found}",
            needed.unwrap_or(0)
        )),
    }
}

/// A database without the pages of its WAL has nothing to mend it: no checkpoint may have written to it meanwhile.
fn not_checkpointed(attempt: &Attempt<'_>) -> Result<(), Unstable> {
    let [a, c, e] = attempt.looks().map(Look::backfill);
    if a != c || c != e {
        return Err(passing(
            "a checkpoint went on during the capture, and the pages of the -wal are not in the bundle",
        ));
    }
    // One that stands still between two pages writes nothing for a while and leaves no less of a mixture. Held by
    // `a_checkpoint_that_stands_still_half_way_disturbs_a_database_without_its_wal`.
    if a.is_some_and(|[backfilled, attempted]| attempted > backfilled) {
        return Err(attempt.standing(
            "a checkpoint was begun and not ended before the capture, or the wal-index was recovered since the last \
             one, and the pages of the -wal are not in the bundle",
        ));
    }
    database_unwritten(attempt)
}

/// Whether nothing tells of a write to the database, as far as this file system tells of any.
fn not_seen_written(attempt: &Attempt<'_>) -> Result<(), Unstable> {
    if attempt.before.database != attempt.after.database {
        return Err(passing("the database changed during the capture"));
    }
    match &attempt.database_writes {
        Writes::Seen(reason) => Err(passing(reason)),
        Writes::None | Writes::Unknown(_) => Ok(()),
    }
}

/// Whether the database certainly was not written to.
fn database_unwritten(attempt: &Attempt<'_>) -> Result<(), Unstable> {
    not_seen_written(attempt)?;
    certain(&attempt.database_writes)
}

fn certain(writes: &Writes) -> Result<(), Unstable> {
    match writes {
        Writes::None => Ok(()),
        Writes::Seen(reason) => Err(passing(reason)),
        Writes::Unknown(reason) => Err(lasting(reason)),
    }
}

/// Without a generation on either end nothing may have been written. That includes files at rest, a `-wal` without a
/// usable `-shm` among them: they are as a crash would have left them, and SQLite recovers from that.
fn unwritten(attempt: &Attempt<'_>) -> Result<(), Unstable> {
    let Attempt { before, after, dead_man_switch, .. } = attempt;
    let counted = attempt.looks().into_iter().filter_map(Look::mx_frame).find(|&frames| frames > 0);
    if let Some(frames) = counted.filter(|_| !attempt.left_over()) {
        // A -wal of these frames is in use: the files by these names are not all there is.
        let who = match &dead_man_switch.reason {
            None => "somebody has it open".to_owned(),
            Some(reason) => format!("whether anybody has it open could not be seen: {reason}"),
        };
        return Err(passing(format!(
            "the -shm counts {frames} frames of another -wal than the one that is there, and {who}"
        )));
    }
    // Nothing tells how many of its frames a checkpoint has copied. Held by
    // `a_half_checkpointed_database_without_its_wal_and_without_a_wal_index_is_no_state`.
    if attempt.database_alone && attempt.looks().into_iter().any(Look::has_frames) {
        return Err(attempt.standing(
            "nothing tells whether the database holds all pages of the -wal or some, and those of the -wal are not in \
             the bundle",
        ));
    }
    database_unwritten(attempt)?;
    if before.wal != after.wal {
        return Err(passing("the -wal changed during the capture"));
    }
    certain(&attempt.wal_writes)
}

#[cfg(test)]
mod tests {
    use super::super::look::{Stamp, WalLook};
    use super::*;
    use crate::format::shm::{CheckpointInfo, HEAD_SIZE, IndexHeader, parse_head};
    use crate::format::wal::WalHeader;
    use crate::number::{Checksum, FrameNumber, Salts};

    /// A look at one frame of one generation, `backfilled` of it checkpointed and `attempted` to be.
    fn look(backfilled: u32, attempted: u32) -> Look {
        let mut bytes = [0; HEAD_SIZE];
        bytes[..4].copy_from_slice(&3_007_000u32.to_ne_bytes());
        let blank = parse_head(&bytes).unwrap();
        let salts = Salts([1, 2]);
        let index = IndexHeader { salts, mx_frame: FrameNumber(1), page_size: 512, ..blank.headers[0] };
        let header = WalHeader {
            magic: 0x377f_0682,
            format_version: 3_007_000,
            page_size: 512,
            checkpoint_sequence: 0,
            salts,
            checksum: Checksum::ZERO,
            checksum_ok: true,
        };
        let (backfilled, backfill_attempted) = (backfilled.into(), attempted.into());
        let checkpoint = CheckpointInfo { backfilled, backfill_attempted, ..blank.checkpoint };
        let wal = Some(WalLook { size: 32 + 536, header: Some(header) });
        Look { head: Vec::new(), index: Ok(index), checkpoint: Some(checkpoint), sample: None, wal }
    }

    fn switch(state: LockState) -> ByteLock {
        ByteLock { state, ..ByteLock::unknown("not asked") }
    }

    fn judged(looks: [Look; 3], change: impl FnOnce(&mut Attempt<'_>)) -> Result<(), Unstable> {
        judged_of_size(looks, [1024; 2], change)
    }

    /// The same with the size of the database before and after.
    fn judged_of_size(
        [before, between, after]: [Look; 3],
        [was, is]: [u64; 2],
        change: impl FnOnce(&mut Attempt<'_>),
    ) -> Result<(), Unstable> {
        let moment = |look, size| {
            let database = Some(Stamp { size, modified: (0, 0), changed: (0, 0) });
            Moment { look, database, wal: None, hot_journal: false }
        };
        let mut attempt = Attempt {
            before: &moment(before, was),
            between: &between,
            after: &moment(after, is),
            paths_unchanged: true,
            padded: false,
            database_alone: false,
            database_writes: Writes::None,
            wal_writes: Writes::Seen("commits".to_owned()),
            dead_man_switch: switch(LockState::Shared),
            refused: None,
        };
        change(&mut attempt);
        judge(&attempt)
    }

    fn verdict(looks: [Look; 3], database_alone: bool) -> Result<(), String> {
        judged(looks, |attempt| attempt.database_alone = database_alone).map_err(|unstable| unstable.reason)
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

    #[test]
    fn a_database_is_written_to_by_a_checkpoint_or_by_nobody() {
        let written = |looks, writes: &Writes| judged(looks, |attempt| attempt.database_writes = writes.clone());
        let seen = Writes::Seen("written".to_owned());
        let still = || [(); 3].map(|()| look(1, 1));
        assert_eq!(written(still(), &seen), Err(passing("written")));
        assert_eq!(written([look(0, 0), look(1, 1), look(1, 1)], &seen), Ok(()), "a checkpoint ended");
        assert_eq!(written([(); 3].map(|()| look(0, 1)), &seen), Ok(()), "one is under way");
        // Where writes are not told, the generation alone has to do, as beside a checkpoint; without it nothing does.
        let unknown = Writes::Unknown("FUSE".to_owned());
        assert_eq!(written(still(), &unknown), Ok(()));
        let none = [(); 3].map(|()| Look { index: Err("none".to_owned()), ..look(0, 0) });
        assert_eq!(written(none, &unknown), Err(lasting("FUSE")));
    }

    #[test]
    fn a_database_that_becomes_shorter_is_not_of_one_moment_whoever_cut_it() {
        for looks in [[look(0, 0), look(1, 1), look(1, 1)], [(); 3].map(|()| look(0, 1))] {
            assert_eq!(judged_of_size(looks.clone(), [512, 1024], |_| ()), Ok(()));
            let cut = judged_of_size(looks, [1024, 512], |_| ()).unwrap_err();
            assert!(cut.reason.starts_with("the database became shorter") && !cut.lasting, "{cut:?}");
        }
    }

    #[test]
    fn a_wal_index_of_another_wal_counts_while_somebody_has_it_open() {
        let left_over = || {
            let mut look = look(1, 1);
            look.wal = Some(WalLook { size: 0, header: None });
            look
        };
        let judged = |state| {
            judged([(); 3].map(|()| left_over()), |attempt| {
                attempt.wal_writes = Writes::None;
                attempt.dead_man_switch = switch(state);
            })
        };
        assert_eq!(judged(LockState::Free), Ok(()));
        for state in [LockState::Shared, LockState::Exclusive, LockState::Unknown] {
            let unstable = judged(state).unwrap_err();
            assert!(unstable.reason.contains("frames of another -wal") && !unstable.lasting, "{unstable:?}");
        }
    }

    #[test]
    fn a_restored_wal_with_fewer_frames_than_a_left_over_wal_index_counts_is_as_good_as_any_at_rest() {
        let short = || {
            let mut look = look(0, 0);
            look.wal.as_mut().unwrap().size = 33;
            look
        };
        for (state, stable) in [(LockState::Free, true), (LockState::Shared, false)] {
            let verdict = judged([(); 3].map(|()| short()), |attempt| {
                attempt.wal_writes = Writes::None;
                attempt.dead_man_switch = switch(state);
            });
            assert_eq!(verdict.is_ok(), stable, "{verdict:?}");
        }
    }
}
