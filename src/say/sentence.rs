//! The kinds of sentences about the checkpoint, and which one the state alone asks for.

use super::kinds::kinds;
use crate::evidence::LockSlot;
use crate::look::checkpoint::{Basis, CheckpointFacts, CheckpointState, Doubt, Restart};
use crate::wal::{EndReason, WalFacts};

kinds! {
    /// Why the usual sentence about the checkpoint would be wrong. Of findings of one severity the first of these decides.
    Against
    /// Processes use other files than the paths lead to: a checkpoint would mix them.
    OtherFiles "other_files",
    /// The `-shm` was cut off under the processes that use it.
    IndexCutOff "index_cut_off",
    /// There is no database: the next to open one by this name deletes the `-wal`.
    NoDatabase "no_database",
    /// The database has a format that SQLite cannot read beside a `-wal`.
    OtherFormat "other_format",
    /// The header of the database is damaged, and page 1 is not in the WAL: SQLite does not open it.
    NoHeader "no_header",
    /// The `-wal` does not belong to the database: SQLite mixes the two.
    OtherDatabase "other_database",
    /// The `-wal` may be of another database or of another time: then the next to open the database destroys it.
    Foreign "foreign",
    /// A transfer changed bytes of the database or of the `-wal`.
    Mangled "mangled",
    /// Pages of the last commit are in neither file.
    PagesNowhere "pages_nowhere",
    /// Frames that count as copied are not in the database.
    NotInDatabase "not_in_database",
    /// The database was overwritten under its wal-index.
    Overwritten "overwritten",
    /// The wal-index in use is wrong, or counts frames that are.
    IndexWrong "index_wrong",
    /// The next to open the database drops commits that stand behind a break of the WAL.
    CommitsBehind "commits_behind",
    /// The `-wal` is missing or empty, and a left-over `-shm` counts frames that were not copied.
    FramesGone "frames_gone",
    /// The file system is full: who opens the database, or commits, fails.
    NoRoom "no_room",
    /// The file system does not map files shared: who opens the database in WAL mode fails.
    NoMapping "no_mapping",
    /// Frames stand behind a header that SQLite cannot use: the next writer overwrites them.
    BehindHeader "behind_header",
    /// Frames of the generation before are not in the database.
    OlderFrames "older_frames",
    /// A rollback journal waits. If it belongs to the database, only a sentence that all is well would be wrong.
    Journal "journal",
}

kinds! {
    /// The kind of a sentence about the checkpoint. `docs/states.md` has a section for each, and
    /// `tests/common/contradictions.rs` lists which kinds must not occur beside which findings.
    Sentence
    /// The files were replaced while they were read.
    Replaced "replaced",
    /// The database is open without its `-shm`.
    WithoutIndex "without_index",
    /// Frames wait, and a process has the whole database locked, so that nobody else can copy them.
    DatabaseLocked "database_locked",
    /// There is no `-wal`.
    NoWal "no_wal",
    /// The header of the `-wal` cannot be used: SQLite overwrites the file.
    HeaderUnusable "header_unusable",
    /// The `-wal` is of another version: SQLite cannot open the database.
    OtherVersion "other_version",
    /// The WAL has just started over.
    Restarted "restarted",
    /// A commit is in the WAL that the wal-index does not show.
    CommitNotShown "commit_not_shown",
    /// The WAL has frames, but no commit.
    NoCommit "no_commit",
    /// No frame waits to be copied.
    NothingWaits "nothing_waits",
    /// A checkpoint is at work, or keeps writers out while it waits for a reader.
    InProgress "in_progress",
    /// Nothing can be copied, because a reader reads only the database.
    BlockedByDatabaseReader "blocked_by_database_reader",
    /// A reader keeps frames from being copied.
    Blocked "blocked",
    /// A checkpoint was killed or failed.
    Interrupted "interrupted",
    /// Everything is copied, and there is nothing to do.
    CopiedNothingToDo "copied_nothing_to_do",
    /// Everything is copied, and a reader prevents the WAL from restarting.
    CopiedCannotRestart "copied_cannot_restart",
    /// Everything is copied, and the writer may also be the reader that prevents a restart.
    CopiedWriterAtWork "copied_writer_at_work",
    /// Everything is copied, and readers were not seen.
    CopiedReadersUnseen "copied_readers_unseen",
    /// Frames wait, and it is not known who blocks them.
    WaitReadersUnseen "wait_readers_unseen",
    /// Frames wait, and a checkpoint copies them.
    WaitCheckpointCopies "wait_checkpoint_copies",
    /// Frames wait, a checkpoint copies them, and a reader prevents the WAL from restarting.
    WaitCannotRestart "wait_cannot_restart",
    /// At rest: everything is in the database.
    RestCopied "rest_copied",
    /// At rest: a checkpoint was killed or failed.
    RestInterrupted "rest_interrupted",
    /// At rest: according to a `-shm` that was left over, some frames are copied and the others wait.
    RestSomeWait "rest_some_wait",
    /// At rest: the next connection reads the frames, and copies them when it closes.
    RestNextReadsThem "rest_next_reads_them",
    /// The frames wait, as far as the files show.
    RestAsFarAsSeen "rest_as_far_as_seen",
    ;
    /// A finding decides: the usual sentence would be wrong beside it.
    Against(Against) against_name,
    /// The wal-index in use cannot be judged.
    Doubted(Doubt) doubt_name,
}

fn against_name(against: Against) -> &'static str {
    against.name()
}

/// The names are prefixed: several of them are also those of findings.
fn doubt_name(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Recovering => "doubted_recovering",
        Doubt::Unreadable => "doubted_unreadable",
        Doubt::Torn => "doubted_torn",
        Doubt::OtherVersion => "doubted_other_version",
        Doubt::OtherGeneration => "doubted_other_generation",
        Doubt::Truncated => "doubted_truncated",
        Doubt::BackfillBeyondEnd => "doubted_backfill_beyond_end",
    }
}

impl Sentence {
    /// Whether it says that all is in the database, or that nothing waits.
    pub(super) fn all_is_well(self) -> bool {
        matches!(
            self,
            Self::CopiedCannotRestart
                | Self::CopiedNothingToDo
                | Self::CopiedReadersUnseen
                | Self::CopiedWriterAtWork
                | Self::NothingWaits
                | Self::RestCopied
                | Self::Restarted
        )
    }
}

impl Sentence {
    /// Whether it tells to open or to checkpoint the database, or that somebody will.
    pub(super) fn invites(self) -> bool {
        matches!(
            self,
            Self::Blocked
                | Self::BlockedByDatabaseReader
                | Self::Interrupted
                | Self::RestInterrupted
                | Self::RestNextReadsThem
                | Self::RestSomeWait
                | Self::RestAsFarAsSeen
                | Self::WaitCannotRestart
                | Self::WaitCheckpointCopies
                | Self::WaitReadersUnseen
        )
    }
}

/// The kind of the sentence for these facts, if no finding stands beside it.
pub(super) fn usual(facts: &CheckpointFacts, wal: &WalFacts) -> Sentence {
    match &facts.basis {
        Basis::Replaced => Sentence::Replaced,
        Basis::Doubted(doubt) => Sentence::Doubted(*doubt),
        Basis::WithoutIndex { exclusive: true, .. } if facts.state == CheckpointState::Blocked => {
            Sentence::DatabaseLocked
        }
        Basis::WithoutIndex { exclusive: true, .. } => nothing_committed(facts.state, wal),
        Basis::WithoutIndex { .. } => Sentence::WithoutIndex,
        Basis::Live { against_restart, slots_seen, .. } => match facts.state {
            CheckpointState::InProgress => Sentence::InProgress,
            CheckpointState::Blocked if facts.blocked_by.iter().any(|by| by.lock == LockSlot::Database) => {
                Sentence::DatabaseLocked
            }
            CheckpointState::Blocked if facts.blocked_by.iter().any(|by| by.lock == LockSlot::Checkpoint) => {
                Sentence::InProgress
            }
            CheckpointState::Blocked if facts.blocked_by.iter().any(|by| by.lock == LockSlot::Read0) => {
                Sentence::BlockedByDatabaseReader
            }
            CheckpointState::Blocked => Sentence::Blocked,
            CheckpointState::Interrupted => Sentence::Interrupted,
            CheckpointState::Complete => match facts.restart {
                Restart::Possible => Sentence::CopiedNothingToDo,
                Restart::HeldUp => Sentence::CopiedCannotRestart,
                Restart::NotKnown if *slots_seen => Sentence::CopiedWriterAtWork,
                Restart::NotKnown => Sentence::CopiedReadersUnseen,
            },
            CheckpointState::Pending => match facts.safe_to {
                None => Sentence::WaitReadersUnseen,
                Some(_) if against_restart.is_empty() => Sentence::WaitCheckpointCopies,
                Some(_) => Sentence::WaitCannotRestart,
            },
            state => nothing_committed(state, wal),
        },
        Basis::AtRest { seen, .. } => match facts.state {
            CheckpointState::Complete => Sentence::RestCopied,
            CheckpointState::Interrupted => Sentence::RestInterrupted,
            CheckpointState::Pending if facts.backfilled > 0 => Sentence::RestSomeWait,
            CheckpointState::Pending if *seen => Sentence::RestNextReadsThem,
            CheckpointState::Pending => Sentence::RestAsFarAsSeen,
            state => nothing_committed(state, wal),
        },
    }
}

fn nothing_committed(state: CheckpointState, wal: &WalFacts) -> Sentence {
    match wal.end_reason {
        EndReason::NoFile => Sentence::NoWal,
        reason if reason.is_taken_for_empty() => Sentence::HeaderUnusable,
        EndReason::UnsupportedVersion => Sentence::OtherVersion,
        _ if state == CheckpointState::Restarted => Sentence::Restarted,
        _ if wal.frames.committed > 0 => Sentence::CommitNotShown,
        _ if wal.frames.uncommitted > 0 => Sentence::NoCommit,
        _ => Sentence::NothingWaits,
    }
}
