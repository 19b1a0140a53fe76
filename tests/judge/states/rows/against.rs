//! The rows in which a finding decides.

use walscope::say::checkpoint::{Against, Sentence as S};

use super::super::stage::{
    Checkpoint::{self, Returns},
    Reads::{Dies, Fails, Rows},
    Writes::{self, Then},
    gone, live, rest, stays,
};
use super::super::{against, at_rest};
use super::{Row, row};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            S::Against(Against::OtherFiles),
            against::other_files,
            "A backup was renamed over the database in use. It lacks rows that were copied before it came.",
            live(
                26,
                [Rows(26), Fails("SQLITE_CORRUPT"), Fails("SQLITE_CORRUPT")],
                Then(Fails("SQLITE_CORRUPT"), 9),
                [Returns(0, 6, 6), Returns(0, 0, 0)],
                stays(Rows(4)),
            ),
            "Run no checkpoint and stop no process yet. Save what the processes have open with `walscope rescue`. Then \
             stop the processes. Put away the -wal and the -shm that belong to the old database.",
        ),
        row(
            S::Against(Against::OtherFiles),
            against::deleted_wal,
            "The -wal in use was deleted.",
            live(
                6,
                [Rows(6), Fails("SQLITE_IOERR_SHORT_READ"), Rows(4)],
                Writes::Fails("SQLITE_IOERR_SHORT_READ"),
                [Checkpoint::Fails("SQLITE_IOERR_SHORT_READ"), Checkpoint::Fails("SQLITE_IOERR_SHORT_READ")],
                gone(Rows(6)),
            ),
            "Run no checkpoint and stop no process yet. Save what the processes have open with `walscope rescue`. Then \
             stop the processes. Let them close the database if they can: that copies the frames of the deleted -wal.",
        ),
        row(
            S::Against(Against::IndexCutOff),
            against::index_cut_off,
            "The -shm in use was cut off.",
            live(
                6,
                [Dies(7), Rows(6), Rows(6)],
                Then(Rows(7), 9),
                [Returns(0, 6, 6), Returns(0, 0, 0)],
                stays(Rows(4)),
            ),
            "Run no checkpoint and stop no process yet. Save what the processes have open with `walscope rescue`. Then \
             stop the processes. The next to open the database makes the wal-index anew.",
        ),
        row(
            S::Against(Against::NoDatabase),
            against::no_database,
            "Two rows are in the -wal, and the database was deleted.",
            rest(
                6,
                Fails("SQLITE_ERROR"),
                Writes::Fails("SQLITE_ERROR"),
                [Returns(0, -1, -1), Returns(0, -1, -1)],
                gone(Fails("SQLITE_ERROR")),
            ),
            "Copy the -wal before anything opens a database by this name. Put the database back beside it.",
        ),
        row(
            S::Against(Against::OtherFormat),
            against::other_format,
            "A row was changed in the -wal, and the header of the database says wal2 mode.",
            rest(
                4,
                Fails("SQLITE_NOTADB"),
                Writes::Fails("SQLITE_NOTADB"),
                [Checkpoint::Fails("SQLITE_NOTADB"), Checkpoint::Fails("SQLITE_NOTADB")],
                gone(Fails("SQLITE_NOTADB")),
            ),
            "Copy the database, the -wal and the -shm before anything opens the database, and work on copies of \
             that copy.",
        ),
        row(
            S::Against(Against::OtherFormat),
            against::other_format_without_frames,
            "The header of the database says wal2 mode, and nothing is committed in the -wal.",
            rest(
                4,
                Fails("SQLITE_NOTADB"),
                Writes::Fails("SQLITE_NOTADB"),
                [Checkpoint::Fails("SQLITE_NOTADB"), Checkpoint::Fails("SQLITE_NOTADB")],
                stays(Fails("SQLITE_NOTADB")),
            ),
            "Copy the database, the -wal and the -shm before anything opens the database, and work on copies of \
             that copy.",
        ),
        row(
            S::Against(Against::NoHeader),
            against::no_header,
            "A row was changed in the -wal, and the first 100 bytes of the database were overwritten with zeros.",
            rest(
                4,
                Fails("SQLITE_NOTADB"),
                Writes::Fails("SQLITE_NOTADB"),
                [Checkpoint::Fails("SQLITE_NOTADB"), Checkpoint::Fails("SQLITE_NOTADB")],
                stays(Fails("SQLITE_NOTADB")),
            ),
            "Copy the database, the -wal and the -shm before anything opens the database, and work on copies of \
             that copy. The first 100 bytes of an earlier copy of the database can give the header back.",
        ),
        row(
            S::Against(Against::OtherDatabase),
            against::other_database,
            "The -wal of an earlier time was put beside the database.",
            rest(12, Rows(6), Then(Rows(7), 9), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Copy the database, the -wal and the -shm before anything opens the database, and work on copies of \
             that copy. Look for the -wal that belongs to the database, if it had one.",
        ),
        row(
            S::Against(Against::Foreign),
            against::foreign,
            "All frames were copied, and the processes were killed. Then the -wal of an earlier time was put beside the \
             database and the left-over -shm.",
            rest(6, Rows(6), Then(Rows(7), 9), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Copy the database, the -wal and the -shm before anything opens the database, and work on copies of \
             that copy. Look for the -wal that belongs to the database.",
        ),
        row(
            S::Against(Against::Foreign),
            against::beside_rollback_mode,
            "Rows were changed in the -wal, and the header of the database says rollback mode.",
            rest(4, Rows(4), Then(Rows(5), 7), [Returns(0, 4, 4), Returns(0, 0, 0)], gone(Rows(4))),
            "Copy the database, the -wal and the -shm before anything opens the database, and work on copies of \
             that copy. Find out where the -wal comes from.",
        ),
        row(
            S::Against(Against::PagesNowhere),
            against::pages_nowhere,
            "A backup was put beside the -wal of a later time.",
            rest(
                26,
                Fails("SQLITE_CORRUPT"),
                Then(Fails("SQLITE_CORRUPT"), 9),
                [Returns(0, 6, 6), Returns(0, 0, 0)],
                gone(Fails("SQLITE_CORRUPT")),
            ),
            "Copy the database, the -wal and the -shm before anything opens the database, and work on copies of \
             that copy. Look for the database that belongs to the -wal.",
        ),
        row(
            S::Against(Against::NotInDatabase),
            against::not_in_database,
            "A checkpoint has copied all frames; then an older backup was copied over the database in use.",
            live(6, [Rows(6), Rows(4), Rows(6)], Then(Rows(5), 3), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(4))),
            "Run no checkpoint and stop no process yet. Save what the processes have open with `walscope rescue`. Then \
             stop the processes. A copy of the database and the -wal, without the -shm, has every row of the -wal.",
        ),
        row(
            S::Against(Against::IndexWrong),
            against::index_wrong,
            "The wal-index in use names another page for the last frame.",
            live(
                6,
                [Rows(6), Fails("SQLITE_CORRUPT"), Rows(6)],
                Writes::Fails("SQLITE_CORRUPT"),
                [Returns(0, 6, 6), Returns(0, 0, 0)],
                gone(Fails("SQLITE_CORRUPT")),
            ),
            "Run no checkpoint and stop no process yet. Save what the processes have open with `walscope rescue`. Then \
             stop the processes. The next to open the database makes the wal-index anew.",
        ),
        row(
            S::Against(Against::CommitsBehind),
            against::commits_behind,
            "A byte of the second of four commits has changed; then all processes were killed.",
            rest(8, Rows(5), Then(Rows(6), 6), [Returns(0, 3, 3), Returns(0, 0, 0)], gone(Rows(5))),
            "Copy the database, the -wal and the -shm before anything opens the database, and work on copies of \
             that copy.",
        ),
        row(
            S::Against(Against::Mangled),
            at_rest::mangled,
            "Two rows are in the -wal, and it was written as hexadecimal digits.",
            rest(6, Rows(4), Then(Rows(5), 3), [Returns(0, 0, 0), Returns(0, 0, 0)], gone(Rows(4))),
            "Copy the files again in binary mode, and keep these until the new copy is verified. If there is no other \
             copy, undo the change in a copy.",
        ),
        row(
            S::Against(Against::BehindHeader),
            at_rest::behind_header,
            "Two rows are in the -wal, and its first 32 bytes are zeros.",
            rest(6, Rows(4), Then(Rows(5), 3), [Returns(0, 0, 0), Returns(0, 0, 0)], gone(Rows(4))),
            "Copy the database and the -wal before anything opens the database. `walscope wal --salvage` shows the \
             header that makes the frames readable: write it into a copy.",
        ),
        row(
            S::Against(Against::FramesGone),
            against::frames_gone,
            "Two rows were in the -wal, the process was killed, and the -wal was deleted. The -shm stayed.",
            rest(6, Rows(4), Then(Rows(5), 3), [Returns(0, 0, 0), Returns(0, 0, 0)], gone(Rows(4))),
            "Copy the database and the -shm before anything opens the database. Look for the -wal, and put it beside a copy.",
        ),
        row(
            S::Against(Against::FramesGone),
            against::frames_gone_empty,
            "Two rows were in the -wal, the process was killed, and the -wal was cut to no bytes. The -shm stayed.",
            rest(6, Rows(4), Then(Rows(5), 3), [Returns(0, 0, 0), Returns(0, 0, 0)], gone(Rows(4))),
            "Copy the database and the -shm before anything opens the database. Look for the -wal, and put it beside a copy.",
        ),
        row(
            S::Against(Against::FramesGone),
            against::frames_gone_cut,
            "Two rows were in the -wal, the process was killed, and the last frame of the -wal was cut off. The -shm stayed.",
            rest(6, Rows(5), Then(Rows(6), 6), [Returns(0, 3, 3), Returns(0, 0, 0)], gone(Rows(5))),
            "Copy the database, the -wal and the -shm before anything opens the database. Look for the whole -wal.",
        ),
        row(
            S::Against(Against::FramesGone),
            against::frames_gone_replaced,
            "Two rows were in the -wal, the process was killed, and an older -wal took its place. The -shm stayed.",
            rest(7, Rows(5), Then(Rows(6), 6), [Returns(0, 3, 3), Returns(0, 0, 0)], gone(Rows(5))),
            "Copy the database, the -wal and the -shm before anything opens the database. Look for the -wal of the -shm.",
        ),
        row(
            S::Against(Against::Overwritten),
            against::overwritten,
            "All frames were copied, and the WAL was begun anew. Then an older and shorter backup was copied over the \
             database in use.",
            live(
                16,
                [Rows(4), Rows(4), Rows(4)],
                Then(Rows(5), 3),
                [Returns(0, 0, 0), Returns(0, 0, 0)],
                gone(Rows(4)),
            ),
            "Run no checkpoint and stop no process yet. Save what the processes have open with `walscope rescue`. Then \
             stop the processes.",
        ),
        row(
            S::Against(Against::OlderFrames),
            against::older_frames,
            "All frames were copied, and the WAL was begun anew. Then an older backup of the same size was copied over the \
             database in use.",
            live(4, [Rows(4), Rows(4), Rows(4)], Then(Rows(5), 3), [Returns(0, 0, 0), Returns(0, 0, 0)], gone(Rows(4))),
            "Run no checkpoint and stop no process yet. Save what the processes have open with `walscope rescue`. Then \
             stop the processes.",
        ),
        row(
            S::Against(Against::OlderFrames),
            against::older_frames_and_new_ones,
            "An older backup of the same size was put beside the -wal, which was begun anew since and has a new commit.",
            rest(4, Rows(4), Then(Rows(5), 4), [Returns(0, 1, 1), Returns(0, 0, 0)], gone(Rows(4))),
            "Copy the database, the -wal and the -shm before anything opens the database, and work on copies of \
             that copy. Find out which of the two was put there.",
        ),
        row(
            S::Against(Against::Journal),
            against::journal,
            "The database was closed in WAL mode with an empty -wal, and the -journal of another copy was put \
             beside it.",
            rest(6, Rows(4), Then(Rows(5), -1), [Returns(0, -1, -1), Returns(0, -1, -1)], stays(Rows(4))),
            "Copy the database, the -wal, the -shm and the -journal before anything opens the database, and work on copies of \
             that copy.",
        ),
    ]
}
