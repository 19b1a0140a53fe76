//! The stability rule: when the bytes of a capture are provably of one moment.
//!
//! No lock is taken. In one generation of the WAL committed frames are never overwritten, and a checkpoint copies only
//! frames up to `mxFrame` into the database. So the database is copied first, then `mxFrame` is read, then the WAL up
//! to it is copied. They fit together if the generation did not change, and if only a checkpoint wrote to the database.
//! When no checkpoint ran, nobody may have written to it. Without a generation there is only the database, and nobody
//! may have written to it. The same rule holds when the WAL's pages are left out, because they would complete what a
//! checkpoint has half written.
//!
//! A `-shm` that nobody has open is ignored: the first connection that opens the database rebuilds it from the WAL.

use super::look::{Look, Moment};
use super::unstable::{Unstable, Why};
use super::watch::Writes;
use crate::evidence::{ByteLock, LockState, Part};
use crate::number::FrameNumber;

/// What one attempt saw.
pub(super) struct Attempt<'a> {
    /// The look before anything was copied (a).
    pub(super) before: &'a Moment,
    /// S1: the look after the database was copied and before the WAL was (c).
    pub(super) between: &'a Look,
    /// The look after everything was copied (e).
    pub(super) after: &'a Moment,
    /// Whether each path still leads to the file that was opened, and each missing file is still missing.
    pub(super) paths_unchanged: bool,
    /// Whether a member had to be padded.
    pub(super) padded: bool,
    /// Whether the whole database was copied, without the pages of its WAL.
    pub(super) database_alone: bool,
    /// Whether anybody wrote to the database.
    pub(super) database_writes: Writes,
    /// Whether anybody wrote to the `-wal`.
    pub(super) wal_writes: Writes,
    /// The dead-man switch: every connection that has the `-shm` open holds this lock.
    pub(super) dead_man_switch: ByteLock,
    /// Why the database or the `-wal` could not be opened although they exist.
    pub(super) refused: Option<Why>,
}

/// Whether the attempt is of one moment.
///
/// # Errors
/// Why it cannot be shown to be.
pub(super) fn judge(attempt: &Attempt<'_>) -> Result<(), Unstable> {
    let Attempt { before, between, after, .. } = attempt;
    if let Some(refused) = &attempt.refused {
        return Err(Unstable::lasting(refused.clone()));
    }
    if !attempt.paths_unchanged {
        return Err(Unstable::passing(Why::Replaced));
    }
    if attempt.padded {
        return Err(Unstable::passing(Why::Padded));
    }
    // A checkpoint shortens the database only after a VACUUM: then another attempt is cheap. Any other program that
    // shortens it removes pages that may be in no frame of the WAL.
    let [was, is] = [before, after].map(|moment| moment.database.as_ref().map_or(0, |stamp| stamp.size));
    if is < was {
        return Err(Unstable::passing(Why::DatabaseShorter(was, is)));
    }
    if before.hot_journal || after.hot_journal {
        return Err(Unstable::passing(Why::HotJournal));
    }
    let sizes = [&before.look, between, &after.look].map(|look| look.wal.as_ref().map_or(0, |wal| wal.size));
    if !sizes.is_sorted() {
        return Err(Unstable::passing(Why::WalShorter(sizes)));
    }
    if let Some(frames) = attempt.frames_cut_off() {
        return Err(Unstable::lasting(Why::WalCutOff { frames }));
    }
    match [before.look.generation(), between.generation(), after.look.generation()] {
        [Some(a), Some(c), Some(e)] if a == c && c == e => {
            if let Some(missing) = missing_frames(between) {
                return if attempt.left_over() { unwritten(attempt) } else { Err(Unstable::passing(missing)) };
            }
            if attempt.database_alone {
                return not_checkpointed(attempt);
            }
            // When no checkpoint ran, a writer to the database is not SQLite. Held by
            // `a_database_that_another_program_rewrites_in_place_is_not_of_one_moment`.
            if attempt.checkpoint_stood_still() { not_seen_written(attempt) } else { Ok(()) }
        }
        [Some(_), _, Some(_)] => Err(Unstable::passing(Why::WalRestarted)),
        [None, _, None] => unwritten(attempt),
        _ => Err(Unstable::passing(Why::GenerationCameOrWent)),
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

    /// How many frames the `-shm` in use counts that the `-wal` does not have, if that is so at each look.
    fn frames_cut_off(&self) -> Option<FrameNumber> {
        always_cut_off(self.looks(), &self.dead_man_switch)
    }

    /// A reason that only somebody who has the `-shm` open could remove: it lasts when nobody has it open.
    fn standing(&self, why: Why) -> Unstable {
        Unstable { why, lasting: !self.dead_man_switch.held() }
    }

    /// Whether no checkpoint was at work. A checkpoint raises `nBackfillAttempted` before it writes anything, and
    /// `nBackfill` after it has written everything.
    fn checkpoint_stood_still(&self) -> bool {
        let [a, c, e] = self.looks().map(Look::backfill);
        a == c && c == e && a.is_some_and(|[backfilled, attempted]| attempted == backfilled)
    }
}

/// How many frames the `-shm` in use counts that the `-wal` does not have, if that is so at each look.
///
/// folklore: a checkpoint that truncates the `-wal`, and a last close, give the wal-index other salts or remove it first
/// (walRestartHdr, sqlite3WalClose). A look reads the `-shm` before the `-wal`. So if the first and the last look count
/// frames of one generation, the `-wal` had to have them in between. Held by
/// `a_wal_that_is_cut_off_at_each_look_is_no_traffic`. Whoever holds the dead-man switch exclusively has just opened the
/// `-shm` as the first one, and is about to truncate what was left over (unixLockSharedMemory).
pub(super) fn always_cut_off(looks: [&Look; 3], dead_man_switch: &ByteLock) -> Option<FrameNumber> {
    let [a, b, c] = looks.map(Look::cut_off);
    let always = a.is_some() && a == b && b == c && dead_man_switch.state == LockState::Shared;
    let [_, between, _] = looks;
    always.then(|| between.mx_frame()).flatten()
}

/// Why the WAL does not have the frames that S1 counts, if it does not.
fn missing_frames(between: &Look) -> Option<Why> {
    let needed = between.mx_frame().zip(between.wal.as_ref()).and_then(|(frame, wal)| wal.end_of_frame(frame));
    let found = between.wal.as_ref().map_or(0, |wal| wal.size);
    match needed {
        Some(needed) if needed <= found => None,
        needed => Some(Why::FramesMissing { needed, found }),
    }
}

/// Checks that no checkpoint wrote to the database during the copy. Without the WAL's pages nothing could repair a
/// mixture of old and new pages.
fn not_checkpointed(attempt: &Attempt<'_>) -> Result<(), Unstable> {
    let [a, c, e] = attempt.looks().map(Look::backfill);
    if a != c || c != e {
        return Err(Unstable::passing(Why::CheckpointWentOn));
    }
    // A checkpoint that stops between two pages writes nothing for a while, and still leaves a mixture of old and new
    // pages. Held by `a_checkpoint_that_stands_still_half_way_disturbs_a_database_without_its_wal`.
    if a.is_some_and(|[backfilled, attempted]| attempted > backfilled) {
        return Err(attempt.standing(Why::CheckpointHalfWay));
    }
    database_unwritten(attempt)
}

/// Checks that no write to the database was seen, as far as this file system reports writes.
fn not_seen_written(attempt: &Attempt<'_>) -> Result<(), Unstable> {
    if attempt.before.database != attempt.after.database {
        return Err(Unstable::passing(Why::Changed(Part::Database)));
    }
    match attempt.database_writes {
        Writes::Seen(file) => Err(Unstable::passing(Why::Written(file))),
        Writes::None | Writes::Unknown(_) => Ok(()),
    }
}

/// Checks that the database was certainly not written to.
fn database_unwritten(attempt: &Attempt<'_>) -> Result<(), Unstable> {
    not_seen_written(attempt)?;
    certain(attempt.database_writes)
}

fn certain(writes: Writes) -> Result<(), Unstable> {
    match writes {
        Writes::None => Ok(()),
        Writes::Seen(file) => Err(Unstable::passing(Why::Written(file))),
        Writes::Unknown(reason) => Err(Unstable::lasting(reason.into())),
    }
}

/// Checks that nothing was written, for files without a generation before or after the copy. This includes files at
/// rest, also a `-wal` without a usable `-shm`: they are as a crash leaves them, and SQLite recovers from that.
fn unwritten(attempt: &Attempt<'_>) -> Result<(), Unstable> {
    let Attempt { before, after, dead_man_switch, .. } = attempt;
    let counted = attempt.looks().into_iter().filter_map(Look::mx_frame).find(|&frames| frames > 0);
    if let Some(frames) = counted.filter(|_| !attempt.left_over()) {
        // A -wal with these frames is in use, but not under this name: the database has files that were not captured.
        let open_unseen = dead_man_switch.reason.clone();
        return Err(Unstable::passing(Why::OtherWal { frames, open_unseen }));
    }
    // Nothing shows how many frames of the WAL a checkpoint has copied. Held by
    // `a_half_checkpointed_database_without_its_wal_and_without_a_wal_index_is_unstable`.
    if attempt.database_alone && attempt.looks().into_iter().any(Look::has_frames) {
        return Err(attempt.standing(Why::CheckpointUnseen));
    }
    database_unwritten(attempt)?;
    if before.wal != after.wal {
        return Err(Unstable::passing(Why::Changed(Part::Wal)));
    }
    certain(attempt.wal_writes)
}

#[cfg(test)]
mod tests {
    use super::super::look::{Stamp, WalLook};
    use super::super::unstable::Unwatched;
    use super::*;
    use crate::format::shm::{CheckpointInfo, HEAD_SIZE, IndexHeader, parse_head};
    use crate::format::wal::WalHeader;
    use crate::number::{Checksum, Salts};

    /// A look at a WAL with one frame, with these numbers for `nBackfill` and `nBackfillAttempted`.
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
        Look { head: Vec::new(), index: Some(index), checkpoint: Some(checkpoint), sample: None, wal }
    }

    fn switch(state: LockState) -> ByteLock {
        ByteLock { state, ..ByteLock::unknown("not asked") }
    }

    fn judged(looks: [Look; 3], change: impl FnOnce(&mut Attempt<'_>)) -> Result<(), Unstable> {
        judged_of_size(looks, [1024; 2], change)
    }

    /// The verdict on three looks, with the size of the database before and after.
    fn judged_of_size(
        [before, between, after]: [Look; 3],
        [was, is]: [u64; 2],
        change: impl FnOnce(&mut Attempt<'_>),
    ) -> Result<(), Unstable> {
        let moment = |look, size| {
            let database = Some(Stamp { size, modified: (0, 0), changed: (0, 0) });
            Moment { look, database, wal: None, journal: None, hot_journal: false, transaction: None }
        };
        let mut attempt = Attempt {
            before: &moment(before, was),
            between: &between,
            after: &moment(after, is),
            paths_unchanged: true,
            padded: false,
            database_alone: false,
            database_writes: Writes::None,
            wal_writes: Writes::Seen(Part::Wal),
            dead_man_switch: switch(LockState::Shared),
            refused: None,
        };
        change(&mut attempt);
        judge(&attempt)
    }

    fn verdict(looks: [Look; 3], database_alone: bool) -> Result<(), Why> {
        judged(looks, |attempt| attempt.database_alone = database_alone).map_err(|unstable| unstable.why)
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
                assert_eq!(verdict(looks, true), Err(Why::CheckpointWentOn));
            }
        }
    }

    #[test]
    fn a_wal_that_is_cut_off_at_each_look_is_no_traffic() {
        let wal = |size| Some(WalLook { size, header: None });
        let cut = |wal| Look { wal, ..look(0, 0) };
        let empty = || cut(wal(0));
        let off = Err(Why::WalCutOff { frames: FrameNumber(1) });
        for gone in [None, wal(0)] {
            assert_eq!(verdict([(); 3].map(|()| cut(gone.clone())), false), off);
        }
        let short = look(0, 0).wal.map(|wal| WalLook { size: 100, ..wal });
        assert_eq!(verdict([(); 3].map(|()| cut(short.clone())), false), off);
        // Between two looks the WAL may have been emptied by a checkpoint, and filled again.
        let other = |mx_frame| {
            let index = look(0, 0).index.map(|index| IndexHeader { salts: Salts([2, 9]), mx_frame, ..index });
            Look { index, ..empty() }
        };
        for looks in [
            [empty(), empty(), other(FrameNumber(1))],
            [empty(), other(FrameNumber(1)), empty()],
            [empty(), empty(), other(FrameNumber::NONE)],
            [other(FrameNumber::NONE), empty(), empty()],
        ] {
            assert_ne!(verdict(looks, false), off);
        }
        assert_ne!(verdict([look(0, 0), empty(), empty()], false), off);
        for state in [LockState::Free, LockState::Exclusive, LockState::Unknown] {
            let left_over = |attempt: &mut Attempt<'_>| attempt.dead_man_switch = switch(state);
            let told = judged([empty(), empty(), empty()], left_over).map_err(|unstable| unstable.why);
            assert_ne!(told, off, "a -shm that was left over counts for nobody");
        }
    }

    #[test]
    fn a_checkpoint_that_stands_still_half_way_disturbs_a_database_without_its_wal() {
        for (backfilled, attempted) in [(0, 1), (1, 2)] {
            let looks = || [(); 3].map(|()| look(backfilled, attempted));
            assert_eq!(verdict(looks(), true), Err(Why::CheckpointHalfWay));
            assert_eq!(verdict(looks(), false), Ok(()));
        }
        // The checkpoint has copied everything that it began to copy.
        assert_eq!(verdict([(); 3].map(|()| look(1, 1)), true), Ok(()));
    }

    #[test]
    fn a_database_is_written_to_by_a_checkpoint_or_by_nobody() {
        let written = |looks, writes| judged(looks, |attempt| attempt.database_writes = writes);
        let seen = Writes::Seen(Part::Database);
        let still = || [(); 3].map(|()| look(1, 1));
        assert_eq!(written(still(), seen), Err(Unstable::passing(Why::Written(Part::Database))));
        assert_eq!(written([look(0, 0), look(1, 1), look(1, 1)], seen), Ok(()), "a checkpoint ended");
        assert_eq!(written([(); 3].map(|()| look(0, 1)), seen), Ok(()), "one is under way");
        // Where the file system does not report writes, an unchanged generation is enough, as during a checkpoint.
        // Without a generation nothing is enough.
        let unseen = Unwatched::FileSystem("FUSE");
        let unknown = Writes::Unknown(unseen);
        assert_eq!(written(still(), unknown), Ok(()));
        let none = [(); 3].map(|()| Look { index: None, ..look(0, 0) });
        assert_eq!(written(none, unknown), Err(Unstable::lasting(unseen.into())));
    }

    #[test]
    fn a_database_that_becomes_shorter_is_not_of_one_moment_whoever_cut_it() {
        for looks in [[look(0, 0), look(1, 1), look(1, 1)], [(); 3].map(|()| look(0, 1))] {
            assert_eq!(judged_of_size(looks.clone(), [512, 1024], |_| ()), Ok(()));
            let cut = judged_of_size(looks, [1024, 512], |_| ()).unwrap_err();
            assert_eq!(cut, Unstable::passing(Why::DatabaseShorter(1024, 512)));
        }
    }

    #[test]
    fn a_wal_index_of_another_wal_counts_while_somebody_has_it_open() {
        let left_over = || {
            let mut look = look(1, 1);
            let of_another =
                look.wal.and_then(|wal| wal.header).map(|header| WalHeader { salts: Salts([8, 9]), ..header });
            look.wal = Some(WalLook { size: 32, header: of_another });
            look
        };
        let judged = |state| {
            judged([(); 3].map(|()| left_over()), |attempt| {
                attempt.wal_writes = Writes::None;
                attempt.dead_man_switch = switch(state);
            })
        };
        assert_eq!(judged(LockState::Free), Ok(()));
        for state in [LockState::Exclusive, LockState::Unknown] {
            let unstable = judged(state).unwrap_err();
            assert!(matches!(unstable.why, Why::OtherWal { .. }) && !unstable.lasting, "{unstable:?}");
        }
        let put_there = Err(Unstable::lasting(Why::WalCutOff { frames: FrameNumber(1) }));
        assert_eq!(judged(LockState::Shared), put_there);
    }

    #[test]
    fn a_wal_of_another_generation_at_each_look_was_put_there() {
        let header = |change: fn(&mut WalHeader)| {
            let mut look = look(0, 0);
            change(look.wal.as_mut().unwrap().header.as_mut().unwrap());
            look
        };
        let index = |change: fn(&mut IndexHeader), look: Look| {
            let mut look = look;
            change(look.index.as_mut().unwrap());
            look
        };
        let older = || header(|header| header.salts = Salts([0, 9]));
        let off = Err(Why::WalCutOff { frames: FrameNumber(1) });
        for put in [older(), header(|header| header.checksum_ok = false)] {
            assert_eq!(verdict([(); 3].map(|()| put.clone()), false), off);
            // At one look, or at two, it may be a restart.
            for at in 0..3 {
                let mut looks = [(); 3].map(|()| put.clone());
                looks[at] = look(0, 0);
                assert_ne!(verdict(looks, false), off, "{at}");
            }
        }
        // After a restart the wal-index counts nothing until a commit, and the header is the old one, or a new one of a
        // transaction under way.
        let restarted = || index(|index| index.mx_frame = FrameNumber::NONE, older());
        let told = verdict([(); 3].map(|()| restarted()), false);
        assert!(!matches!(told, Err(Why::WalCutOff { .. })), "{told:?}");
        // The looks are of three generations, each seen before its header was: a WAL that restarts all the time.
        let other = || index(|index| index.salts = Salts([3, 3]), older());
        let third = || index(|index| index.salts = Salts([4, 4]), older());
        for looks in [[older(), other(), third()], [older(), older(), other()], [other(), older(), older()]] {
            assert_ne!(verdict(looks, false), off);
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
