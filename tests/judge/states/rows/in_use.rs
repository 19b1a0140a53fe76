//! The rows of a database in use.

use walscope::look::checkpoint::Doubt;
use walscope::say::checkpoint::Sentence as S;

use super::super::stage::{
    Checkpoint::{self, Returns},
    Next,
    Reads::{Fails, Rows},
    Stage,
    Writes::{self, Then},
    gone, live, rest, stays,
};
use super::super::{doubted, in_use};
use super::{Row, row};

/// One process has the whole database locked, and everybody else is refused.
fn locked(make: fn(&mut Stage), case: &'static str) -> Row {
    let busy = || Checkpoint::Fails("SQLITE_BUSY");
    let reads = [Rows(7), Fails("SQLITE_BUSY"), Rows(7)];
    let next = live(7, reads, Writes::Fails("SQLITE_BUSY"), [busy(), busy()], gone(Rows(7)));
    row(S::DatabaseLocked, make, case, next, "Wait for that process, or close its connection. Do not kill it for this.")
}

pub fn rows() -> Vec<Row> {
    vec![
        row(
            S::Replaced,
            in_use::replaced,
            "The last connection closed, and removed the -wal, while `inspect` read it.",
            rest(6, Rows(6), Then(Rows(7), 3), [Returns(0, 0, 0), Returns(0, 0, 0)], gone(Rows(6))),
            "Look again.",
        ),
        row(
            S::WithoutIndex,
            in_use::without_index,
            "A process opened and closed its own -shm beside SQLite, and so dropped its locks on it.",
            live(6, [Rows(6), Rows(6), Rows(6)], Then(Rows(7), 9), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Look again. If a finding names a process that has lost its locks, do what it says.",
        ),
        locked(
            in_use::exclusive_beside_a_left_over,
            "A process has the database open with `PRAGMA locking_mode=EXCLUSIVE`. A -shm is left over.",
        ),
        locked(
            in_use::exclusive_without_shm,
            "A process has the database open with `PRAGMA locking_mode=EXCLUSIVE`. There is no -shm.",
        ),
        locked(
            in_use::exclusive_from_now_on,
            "A process that had the database open already set `PRAGMA locking_mode=EXCLUSIVE`, and wrote.",
        ),
        row(
            S::InProgress,
            in_use::in_progress,
            "`PRAGMA wal_checkpoint(FULL)` waits for a reader that reads the state before the last commit.",
            live(
                6,
                [Rows(6), Rows(6), Rows(6)],
                Writes::Fails("SQLITE_BUSY"),
                [Returns(1, -1, -1), Returns(1, -1, -1)],
                gone(Rows(6)),
            ),
            "Wait. If it takes long, end the read transaction that the sentence names.",
        ),
        row(
            S::BlockedByDatabaseReader,
            in_use::blocked_by_database_reader,
            "A reader began when nothing was in the -wal; then two rows were committed.",
            live(6, [Rows(6), Rows(6), Rows(6)], Then(Rows(7), 9), [Returns(0, 6, 0), Returns(1, 6, 0)], gone(Rows(6))),
            "`inspect --for 5s` tells whether one reader stays. Then end its read transaction, and run `PRAGMA wal_checkpoint`.",
        ),
        row(
            S::Blocked,
            in_use::blocked,
            "A reader reads the state before the last commit.",
            live(6, [Rows(6), Rows(6), Rows(6)], Then(Rows(7), 9), [Returns(0, 6, 3), Returns(1, 6, 3)], gone(Rows(6))),
            "`inspect --for 5s` tells whether one reader stays. Then end its read transaction, and run `PRAGMA wal_checkpoint`.",
        ),
        row(
            S::Interrupted,
            in_use::interrupted,
            "A checkpoint failed half-way: there was no room for the new pages of the database.",
            live(6, [Rows(6), Rows(6), Rows(6)], Then(Rows(7), 9), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Make room if that was the cause, then run `PRAGMA wal_checkpoint`.",
        ),
        row(
            S::CopiedNothingToDo,
            in_use::copied_nothing_to_do,
            "A checkpoint has copied all frames.",
            live(6, [Rows(6), Rows(6), Rows(6)], Then(Rows(7), 3), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Nothing.",
        ),
        row(
            S::CopiedCannotRestart,
            in_use::copied_cannot_restart,
            "A checkpoint has copied all frames, and a reader still reads the last of them.",
            live(6, [Rows(6), Rows(6), Rows(6)], Then(Rows(7), 9), [Returns(0, 6, 6), Returns(1, 6, 6)], gone(Rows(6))),
            "`inspect --for 5s` tells whether one reader stays. Then end its read transaction; else the -wal grows with each commit.",
        ),
        row(
            S::CopiedWriterAtWork,
            in_use::copied_writer_at_work,
            "A checkpoint has copied all frames while a write transaction was open.",
            live(
                6,
                [Rows(6), Rows(6), Rows(6)],
                Writes::Fails("SQLITE_BUSY"),
                [Returns(0, 6, 6), Returns(1, 6, 6)],
                gone(Rows(6)),
            ),
            "Wait for the end of the write transaction, and look again.",
        ),
        row(
            S::CopiedReadersUnseen,
            in_use::copied_readers_unseen,
            "A checkpoint has copied all frames, and a reader still reads the last of them. `inspect` was given a \
             bundle without the locks of readers, as on NFS.",
            live(6, [Rows(6), Rows(6), Rows(6)], Then(Rows(7), 9), [Returns(0, 6, 6), Returns(1, 6, 6)], gone(Rows(6))),
            "Look from where the locks are seen: on the machine and in the container of the processes.",
        ),
        row(
            S::WaitReadersUnseen,
            in_use::wait_readers_unseen,
            "Two rows were committed, and a reader reads them. `inspect` was given a bundle without the locks of \
             readers, as on NFS.",
            live(6, [Rows(6), Rows(6), Rows(6)], Then(Rows(7), 9), [Returns(0, 6, 6), Returns(1, 6, 6)], gone(Rows(6))),
            "Look from where the locks are seen: on the machine and in the container of the processes. `PRAGMA \
             wal_checkpoint` copies what can be copied.",
        ),
        row(
            S::WaitCheckpointCopies,
            in_use::wait_checkpoint_copies,
            "Two rows were committed.",
            live(6, [Rows(6), Rows(6), Rows(6)], Then(Rows(7), 9), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Nothing, or run `PRAGMA wal_checkpoint`.",
        ),
        row(
            S::WaitCannotRestart,
            in_use::wait_cannot_restart,
            "Two rows were committed, and a reader reads them.",
            live(6, [Rows(6), Rows(6), Rows(6)], Then(Rows(7), 9), [Returns(0, 6, 6), Returns(1, 6, 6)], gone(Rows(6))),
            "Run `PRAGMA wal_checkpoint`. End the read transaction, so that the WAL can restart.",
        ),
        row(
            S::Doubted(Doubt::Recovering),
            doubted::recovering,
            "The first to open the database after a crash is held at the end of its recovery.",
            Next {
                there: None,
                ..live(
                    6,
                    [Rows(6), Rows(6), Rows(6)],
                    Writes::Fails("SQLITE_BUSY"),
                    [Returns(1, -1, -1), Returns(1, -1, -1)],
                    gone(Rows(6)),
                )
            },
            "Look again.",
        ),
        row(
            S::Doubted(Doubt::Unreadable),
            doubted::unreadable,
            "A process could not make the -shm for want of room.",
            live(
                6,
                [Fails("SQLITE_IOERR_SHMSIZE"), Rows(6), Rows(6)],
                Then(Rows(7), 9),
                [Returns(0, 6, 6), Returns(0, 0, 0)],
                stays(Rows(4)),
            ),
            "Look again. If it stays so, make room, and let the process open the database again.",
        ),
        row(
            S::Doubted(Doubt::Torn),
            doubted::torn,
            "The two copies of the header of the wal-index differ, as if a writer died between them.",
            live(6, [Rows(6), Rows(6), Rows(6)], Then(Rows(7), 9), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Look again. If it stays so, the next connection recovers: nothing is lost.",
        ),
        row(
            S::Doubted(Doubt::OtherVersion),
            doubted::other_version,
            "The header of the wal-index has a version that SQLite does not know.",
            live(
                6,
                [Fails("SQLITE_CANTOPEN"), Fails("SQLITE_CANTOPEN"), Rows(6)],
                Writes::Fails("SQLITE_CANTOPEN"),
                [Checkpoint::Fails("SQLITE_CANTOPEN"), Checkpoint::Fails("SQLITE_CANTOPEN")],
                stays(Rows(4)),
            ),
            "Run no checkpoint and stop no process yet. Save what the processes have open with `walscope rescue`. Then \
             stop the processes. The next to open the database makes the wal-index anew.",
        ),
        row(
            S::Doubted(Doubt::OtherGeneration),
            doubted::other_generation,
            "The -wal of another database was copied over the one in use.",
            live(
                6,
                [Rows(6), Fails("SQLITE_CORRUPT"), Fails("SQLITE_CORRUPT")],
                Writes::Fails("SQLITE_CORRUPT"),
                [Checkpoint::Fails("SQLITE_CORRUPT"), Checkpoint::Fails("SQLITE_CORRUPT")],
                gone(Fails("SQLITE_CORRUPT")),
            ),
            "Run no checkpoint and stop no process yet. Save what the processes have open with `walscope rescue`. Then \
             stop the processes. Put away the -wal that does not belong to the database.",
        ),
        row(
            S::Doubted(Doubt::Truncated),
            doubted::truncated,
            "The -wal in use was cut off after its first frame.",
            live(
                6,
                [Rows(6), Fails("SQLITE_IOERR_SHORT_READ"), Rows(4)],
                Writes::Fails("SQLITE_IOERR_SHORT_READ"),
                [Checkpoint::Fails("SQLITE_IOERR_SHORT_READ"), Checkpoint::Fails("SQLITE_IOERR_SHORT_READ")],
                stays(Rows(4)),
            ),
            "Run no checkpoint and stop no process yet. Save what the processes have open with `walscope rescue`. Then \
             stop the processes. What was in the lost frames comes only from a backup.",
        ),
        row(
            S::Doubted(Doubt::BackfillBeyondEnd),
            doubted::backfill_beyond_end,
            "`nBackfill` in the wal-index in use is greater than `mxFrame`.",
            live(
                6,
                [Rows(6), Rows(4), Rows(6)],
                Then(Rows(4), 9),
                [Returns(0, 6, 1000), Returns(0, 0, 0)],
                gone(Rows(4)),
            ),
            "Run no checkpoint and stop no process yet. Save what the processes have open with `walscope rescue`. Then \
             stop the processes. The next to open the database makes the wal-index anew and reads every frame.",
        ),
    ]
}
